"""Bringing Nightscout's profile record in line with the pump's profiles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tconnectsync.domain.profiles import BrokenProfile, PumpSettings
from tconnectsync.errors import ApiError, MissingRightError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.keys import takes_any_key
from tconnectsync.nightscout.profiles import (
    ProfileStyle,
    keys_of,
    left_out,
    revised_record,
    sendable,
    shows_all,
    stamped,
    units_in_force,
    units_of,
    with_our_names_safe,
)
from tconnectsync.nightscout.provenance import Document

log = logging.getLogger(__name__)


def sync_profiles(
    pump: PumpSettings,
    nightscout: NightscoutApi,
    style: Callable[..., ProfileStyle],
    *,
    mode: str,
    now: Callable[[], datetime],
    pretend: bool,
) -> list[str]:
    """Write the pump's profiles if Nightscout has others; return what was done, in words.

    ``style`` makes a :class:`ProfileStyle` from ``mmol`` and ``any_key``, which the site decides.
    Its status is not asked for when its profile already shows what the pump is set to. ``now`` is
    asked only after that: a new record must not begin before the waits of failed requests.

    Raises:
        ApiError, NightscoutError, NetworkError: as in :func:`store_profiles`.
    """
    current = nightscout.profile()
    if current:
        shown = style(mmol=_is_mmol(units_in_force(current)), any_key=takes_any_key(None))
        if shows_all(current, pump, shown):
            return []
    site: Mapping[str, Any]
    try:
        site = nightscout.status()
    except MissingRightError:
        # Without the right to ask for the status, its profile may say the units.
        units = units_in_force(nightscout.profile())
        if not units:
            raise
        site = {"settings": {"units": units}}
    whole = style(mmol=_is_mmol(units_of(site)), any_key=takes_any_key(site.get("version")))
    return store_profiles(pump, nightscout, whole, mode=mode, now=now(), pretend=pretend)


def _is_mmol(units: str) -> bool:
    return units.lower().startswith("mmol")


def store_profiles(
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
    would hide every new one, and is replaced. Where only names have to become safe, the record
    itself is changed in both.

    Raises:
        ApiError: the profile that the pump follows cannot be shown, or is not known; what can be
            shown of the others is written.
        NightscoutError: Nightscout refused something.
        NetworkError: Nightscout could not be reached.
    """
    missing = left_out(settings, style)
    for profile in missing:
        log.warning("%s is left out: %s.", _called(profile), profile.why)
    current = nightscout.profile()
    try:
        record = revised_record(current, settings, style)
    except ValueError as error:
        raise ApiError(
            f"Profiles are left as they are: {error}. Switch on a profile of the pump and upload "
            "it, then its profiles can be synced."
        ) from None
    done = []
    if record is not None:
        only_names = bool(current) and record == with_our_names_safe(current, settings, style)
        replace, what = mode == "replace" or only_names, _shown(settings, style, record)
        sent = sendable(record, style)
        how = _store(sent, current, nightscout, replace=replace, now=now, pretend=pretend)
        done = [f"Profile record {how}: {what}"]
    _require_active(missing, done)
    return done


def _store(
    record: Document,
    current: Document | None,
    nightscout: NightscoutApi,
    *,
    replace: bool,
    now: datetime,
    pretend: bool,
) -> str:
    """Add a record or replace the one in force; return which."""
    new = stamped(record, now)
    is_ahead = bool(current) and str(record.get("startDate") or "") > new["startDate"]
    if current and current.get("_id") and (replace or is_ahead):
        if not pretend:
            times = {"startDate": new["startDate"]} if is_ahead else {}
            nightscout.replace({**record, **times}, "profile")
        return "replaced"
    if not pretend:
        nightscout.add(new, "profile")
        _repair(new, nightscout)
    return "added"


def _shown(settings: PumpSettings, style: ProfileStyle, record: Document) -> str:
    keys = keys_of(settings, style)
    for key, profile in keys.items():
        if key != profile.name:
            log.info("The profile “%s” is called “%s” in Nightscout.", profile.name, key)
    return f"profiles {', '.join(sorted(keys))}, active: {record['defaultProfile']}"


def _require_active(missing: Sequence[BrokenProfile], done: Sequence[str]) -> None:
    """Insist that the profile which the pump follows is shown.

    Raises:
        ApiError: it is not; the text says what was done all the same.
    """
    for profile in missing:
        if profile.active:
            others = "".join(f" {line}." for line in done)
            raise ApiError(
                f"Nightscout does not show the profile that the pump follows. {_called(profile)} "
                f"cannot be used: {profile.why}. Look at it on the pump and on the cloud's site: "
                f"if all is right there, a newer tconnectsync is needed.{others}"
            )


def _called(profile: BrokenProfile) -> str:
    name = f"“{profile.name}”" if profile.name else f"number {profile.place + 1} of the pump"
    return f"The profile {name}"


def _repair(record: Document, nightscout: NightscoutApi) -> None:
    """Put a name right that Nightscout has escaped on its way in.

    Some do so with the texts of what is added, not with names of entries, and not when a record is
    replaced; letters that no page has to escape are safe. What is in force may by now be a record
    of another program.
    """
    if not {*record["defaultProfile"]} & {*"&>"}:
        return
    stored = nightscout.profile() or {}
    is_new = "_id" in stored and stored.get("startDate") == record["startDate"]
    if is_new and stored.get("defaultProfile") != record["defaultProfile"]:
        nightscout.replace({**record, "_id": stored["_id"]}, "profile")
