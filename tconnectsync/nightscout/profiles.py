"""From the pump's profiles to a Nightscout profile record, compared by value.

See tconnect-processing §11, nightscout-api §1.5, §4.6 and §7.5. Profiles that only Nightscout
knows, and fields that we do not know, stay as they are. The pump reports unset values as 0.
Nightscout divides by some of them, and treats only missing values as unset.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from html import unescape
from typing import Any

from tconnectsync.domain.profiles import (
    MGDL_PER_MMOL,
    BrokenProfile,
    Profile,
    PumpSettings,
    Segment,
)
from tconnectsync.errors import NightscoutError
from tconnectsync.nightscout.keys import is_kept, renamed, safe_key, safe_keys, with_safe_keys
from tconnectsync.nightscout.provenance import Document, utc_text

FROM_THE_BEGINNING = "1970-01-01T00:00:00.000Z"
NAMES_OF_ONE_RECORD = ("_id", "identifier", "date", "srvCreated", "srvModified", "subject")
MAY_BE_UNSET = ("sens", "carbratio", "target_low", "target_high")
"""Fields of an entry that a pump may have no values for."""


@dataclass(frozen=True)
class ProfileStyle:
    """How profiles are written down.

    ``timezone`` is the pump's zone; ``mmol`` says that the site shows mmol/L; ``targets`` is
    ``segments`` or ``alerts``; ``carbs_hr`` (g/h) and ``delay`` (minutes) are what the pump does
    not know; ``any_key`` says that the site can store any name as a key.
    """

    timezone: str
    mmol: bool
    targets: str
    carbs_hr: str
    delay: str
    any_key: bool = False


def units_of(site: Mapping[str, Any]) -> str:
    """Return the units in which a site of this status shows glucose.

    Raises:
        NightscoutError: it does not say.
    """
    settings = site.get("settings")
    if not isinstance(settings, dict):
        raise NightscoutError("Nightscout does not say in which units it shows glucose.")
    return str(settings.get("units"))


def shows_all(current: Mapping[str, Any], settings: PumpSettings, style: ProfileStyle) -> bool:
    """Return whether a record shows all of the pump's profiles as they are."""
    try:
        return not left_out(settings, style) and revised_record(current, settings, style) is None
    except ValueError:
        return False


def revised_record(
    current: Mapping[str, Any] | None, settings: PumpSettings, style: ProfileStyle
) -> Document | None:
    """Return the profile record that shows the pump's profiles, ``None`` if ``current`` does.

    ``current`` is the site's newest record, ``None`` when it has none. The times of a new record
    are not set; see :func:`stamped`. Where the profile in use cannot be shown, the one that the
    record names stays, and a site without a record gets none.

    Raises:
        ValueError: the pump does not say which of its profiles is active.
    """
    keys = keys_of(settings, style)
    active = [key for key, profile in keys.items() if profile.active]
    if len(active) + sum(profile.active for profile in left_out(settings, style)) != 1:
        raise ValueError("the pump does not say which profile is active")
    record = with_our_names_safe(current, settings, style) or {"units": _units(style)}
    default = active[0] if active else record.get("defaultProfile")
    if not default:
        return None
    stored = record.get("store")
    store = dict(stored) if isinstance(stored, dict) else {}
    for key, profile in keys.items():
        entry = _entry(profile, settings, style)
        there = _as_stored(key, store, keys)
        known = store.get(there)
        if not isinstance(known, dict):
            store[there] = entry
        elif not _shows(known, entry):
            kept = {name: value for name, value in known.items() if name not in MAY_BE_UNSET}
            store[there] = {**kept, **entry}
    if active and unescape(str(record.get("defaultProfile"))) != default:
        record["defaultProfile"] = _as_stored(default, store, keys)
    record["store"] = store
    return record if record != current else None


def keys_of(settings: PumpSettings, style: ProfileStyle) -> dict[str, Profile]:
    """Return the profiles that can be shown by the names that they have in Nightscout."""
    pump = settings.in_order
    keys = safe_keys(profile.name for profile in pump)
    return {
        key: profile
        for key, profile in zip(keys, pump, strict=True)
        if isinstance(profile, Profile) and is_kept(key, any_key=style.any_key)
    }


def left_out(settings: PumpSettings, style: ProfileStyle) -> list[BrokenProfile]:
    """Return the profiles that cannot be shown: broken ones, and those of impossible names."""
    shown = set(map(id, keys_of(settings, style).values()))
    why = "Nightscout cannot store a profile of this name: rename it on the pump"
    return [
        profile
        if isinstance(profile, BrokenProfile)
        else BrokenProfile(profile.name, why, profile.active, place)
        for place, profile in enumerate(settings.in_order)
        if id(profile) not in shown
    ]


def with_our_names_safe(
    current: Mapping[str, Any] | None, settings: PumpSettings, style: ProfileStyle
) -> Document:
    """Return a record in which the pump's profiles no longer stand under unsafe names.

    Older versions wrote them so. The profile of the record that is in force stays in force; a site
    that has changed its name on the way in shows none, and gets the one that the pump follows.
    """
    record = dict(current or {})
    stored, default = record.get("store"), record.get("defaultProfile")
    if not isinstance(stored, dict):
        return record
    safe = {profile.name: key for key, profile in keys_of(settings, style).items()}
    old = {name: key for name, key in safe.items() if safe_key(name) != name and name in stored}
    if not old:
        return record
    kept = {name: entry for name, entry in stored.items() if name not in old}
    record["store"] = {old[name]: stored[name] for name in old} | kept
    if default in old:
        record["defaultProfile"] = old[default]
    elif default not in stored:
        for key, profile in keys_of(settings, style).items():
            if profile.active:
                record["defaultProfile"] = key
    return record


def sendable(record: Mapping[str, Any], style: ProfileStyle) -> Document:
    """Return a record that the site can store: an old Nightscout crashes on some keys of others."""
    if style.any_key:
        return dict(record)
    safe: Document = with_safe_keys(record)
    store, default = record.get("store"), record.get("defaultProfile")
    if isinstance(store, dict) and isinstance(default, str):
        safe["defaultProfile"] = renamed(store).get(default, default)
    return safe


def stamped(record: Mapping[str, Any], now: datetime) -> Document:
    """Return a record to be added: valid from ``now`` on, without the id of the old one."""
    moment = utc_text(now)
    fields = {name: value for name, value in record.items() if name not in NAMES_OF_ONE_RECORD}
    return {**fields, "startDate": moment, "created_at": moment}


def same(one: object, other: object) -> bool:
    """Return whether two values are equal; a number may be a text, and differ in the 7th digit."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return _canonical(one) == _canonical(other)


def _shows(known: Mapping[str, Any], entry: Document) -> bool:
    """Return whether an entry says what the pump says, and nothing that the pump no longer has."""
    is_left_over = any(name in known for name in MAY_BE_UNSET if name not in entry)
    return not is_left_over and all(same(value, known.get(name)) for name, value in entry.items())


def _as_stored(key: str, store: Mapping[str, Any], keys: Container[str]) -> str:
    """Return the name under which a site keeps a profile: it may have escaped letters of it."""
    if key in store:
        return key
    return next((name for name in store if unescape(name) == key and name not in keys), key)


def _canonical(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return f"{float(value):.6f}"
    except (OverflowError, ValueError):
        # Sites escape texts on their way in (docs/protocol/nightscout-api.md §7.7).
        return unescape(value) if isinstance(value, str) else value


def _units(style: ProfileStyle) -> str:
    return "mmol" if style.mmol else "mg/dl"


def _entry(profile: Profile, settings: PumpSettings, style: ProfileStyle) -> Document:
    """Return a profile as an entry of a record's ``store``; numbers at this level are texts."""
    entry = {
        "dia": f"{profile.insulin_duration.total_seconds() / 3600:g}",
        "basal": [_item(segment.start, segment.basal_rate) for segment in profile.segments],
        "carbs_hr": style.carbs_hr,
        "delay": style.delay,
        "timezone": style.timezone,
        "startDate": FROM_THE_BEGINNING,
        "units": _units(style),
    }
    found = {
        "sens": _items(profile, lambda segment: _glucose(segment.correction_factor, style)),
        "carbratio": _items(profile, lambda segment: segment.carb_ratio),
        **_targets(profile, settings, style),
    }
    return entry | {name: items for name, items in found.items() if items}


def _targets(
    profile: Profile, settings: PumpSettings, style: ProfileStyle
) -> dict[str, list[Document]]:
    if style.targets == "alerts":
        return {
            "target_low": [_item(time(), _glucose(settings.low_alert, style))],
            "target_high": [_item(time(), _glucose(settings.high_alert, style))],
        }
    targets = _items(profile, lambda segment: _glucose(segment.target, style))
    return {"target_low": targets, "target_high": targets}


def _items(profile: Profile, value: Callable[[Segment], float]) -> list[Document]:
    """Return an item for each segment; none at all if one has no value.

    Without its item, a segment would have the value of the one before it.
    """
    items = [_item(segment.start, value(segment)) for segment in profile.segments]
    return items if all(item["value"] > 0 for item in items) else []


def _glucose(mgdl: float, style: ProfileStyle) -> float:
    return round(mgdl / MGDL_PER_MMOL if style.mmol else mgdl, 2)


def _item(start: time, value: float) -> Document:
    seconds = start.hour * 3600 + start.minute * 60
    return {"time": f"{start:%H:%M}", "timeAsSeconds": seconds, "value": value}


def units_in_force(record: Mapping[str, Any] | None) -> str:
    """Return the units of glucose of a record's profile in force, an empty text if it has none."""
    record = record or {}
    store = record.get("store")
    profile = store.get(record.get("defaultProfile")) if isinstance(store, dict) else None
    units = profile.get("units") if isinstance(profile, dict) else None
    return str(units or record.get("units") or "").lower()
