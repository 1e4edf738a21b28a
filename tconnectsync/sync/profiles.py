"""Bringing Nightscout's profile record in line with the pump's profiles."""

from __future__ import annotations

import logging
from datetime import datetime

from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.profiles import ProfileStyle, revised_record, stamped

log = logging.getLogger(__name__)

UPLOAD_MODES = ("add", "replace")
"""A changed profile becomes a new record, valid from now on, or takes the old one's place."""


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

    ``mode`` is one of :data:`UPLOAD_MODES`; a site without any record gets one in both.

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
    if mode == "replace" and current and current.get("_id"):
        if not pretend:
            nightscout.replace_profile(record)
        return [f"Profile record replaced: {what}"]
    if not pretend:
        nightscout.add_profile(stamped(record, now))
    return [f"Profile record added: {what}"]
