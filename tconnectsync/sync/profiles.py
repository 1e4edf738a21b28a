"""Bringing Nightscout's profile record in line with the pump's profiles."""

from __future__ import annotations

import logging
from datetime import datetime

from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.marks import Document
from tconnectsync.nightscout.profiles import ProfileStyle, revised_record, stamped

log = logging.getLogger(__name__)


def sync_profiles(
    settings: PumpSettings,
    nightscout: NightscoutApi,
    style: ProfileStyle,
    *,
    mode: str,
    now: datetime,
    pretend: bool,
) -> list[str]:
    """Write the pump's profiles if Nightscout has others; return what was done, in words.

    With ``mode`` ``add`` a change becomes a new record, valid from ``now`` on; with ``replace`` it
    takes the old one's place. A site without any record gets one in both. A record from the future
    would hide every new one, and is replaced.

    Raises:
        NightscoutError: Nightscout refused something.
        NetworkError: Nightscout could not be reached.
    """
    current = nightscout.profile()
    try:
        record = revised_record(current, settings, style)
    except ValueError as error:
        log.error("Profiles are left as they are: %s.", error)
        return []
    if record is None:
        return []
    names = sorted(profile.name for profile in settings.profiles)
    what = f"profiles {', '.join(names)}, active: {record['defaultProfile']}"
    new = stamped(record, now)
    is_ahead = bool(current) and str(record.get("startDate") or "") > new["startDate"]
    if current and current.get("_id") and (mode == "replace" or is_ahead):
        if not pretend:
            times = {"startDate": new["startDate"]} if is_ahead else {}
            nightscout.replace_profile({**record, **times})
        return [f"Profile record replaced: {what}"]
    if not pretend:
        nightscout.add_profile(new)
        _repair(new, nightscout)
    return [f"Profile record added: {what}"]


def _repair(record: Document, nightscout: NightscoutApi) -> None:
    """Put a name right that Nightscout has escaped on its way in, as it does with ``&``.

    It does so with texts and not with names of entries, and not when a record is replaced. What is
    in force may by now be a record of another program.
    """
    stored = nightscout.profile() or {}
    is_new = "_id" in stored and stored.get("startDate") == record["startDate"]
    if is_new and stored.get("defaultProfile") != record["defaultProfile"]:
        nightscout.replace_profile({**record, "_id": stored["_id"]})
