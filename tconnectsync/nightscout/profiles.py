"""From the pump's profiles to a Nightscout profile record, compared by value.

Contract tconnect-processing §11, nightscout-api §1.5 and §4.6. Profiles that only Nightscout knows,
and fields that we do not know, stay as they are. What a pump has not set, it tells as 0; Nightscout
divides by some of that, and takes for unset only what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from tconnectsync.domain.profiles import MGDL_PER_MMOL, Profile, PumpSettings, Segment
from tconnectsync.nightscout.marks import Document, utc_text

FROM_THE_BEGINNING = "1970-01-01T00:00:00.000Z"
NAMES_OF_ONE_RECORD = ("_id", "identifier", "date", "srvCreated", "srvModified", "subject")
MAY_BE_UNSET = ("sens", "carbratio", "target_low", "target_high")
"""Fields of an entry that a pump may have no values for."""


@dataclass(frozen=True)
class ProfileStyle:
    """How profiles are written down.

    ``timezone`` is the pump's zone; ``mmol`` says that the site shows mmol/L; ``targets`` is
    ``segments`` or ``alerts``; ``carbs_hr`` (g/h) and ``delay`` (minutes) are what the pump does
    not know.
    """

    timezone: str
    mmol: bool
    targets: str
    carbs_hr: str
    delay: str


def revised_record(
    current: Mapping[str, Any] | None, settings: PumpSettings, style: ProfileStyle
) -> Document | None:
    """Return the profile record that shows the pump's profiles, ``None`` if ``current`` does.

    ``current`` is the site's newest record, ``None`` when it has none. The times of a new record
    are not set; see :func:`stamped`.

    Raises:
        ValueError: the pump does not say which of its profiles is active.
    """
    active = [profile.name for profile in settings.profiles if profile.active]
    if len(active) != 1:
        raise ValueError("the pump does not say which profile is active")
    record = dict(current or {"units": _units(style)})
    stored = record.get("store")
    store = dict(stored) if isinstance(stored, dict) else {}
    for profile in settings.profiles:
        entry = _entry(profile, settings, style)
        known = store.get(profile.name)
        if not isinstance(known, dict):
            store[profile.name] = entry
        elif not _shows(known, entry):
            store[profile.name] = {**_without_unset(known), **entry}
    changed = store != stored or record.get("defaultProfile") != active[0]
    return {**record, "store": store, "defaultProfile": active[0]} if changed else None


def stamped(record: Mapping[str, Any], now: datetime) -> Document:
    """Return a record to be added: valid from ``now`` on, without what names the old one."""
    moment = utc_text(now)
    fields = {name: value for name, value in record.items() if name not in NAMES_OF_ONE_RECORD}
    return {**fields, "startDate": moment, "created_at": moment}


def same(one: object, other: object) -> bool:
    """Tell whether two values mean the same: numbers may be texts, and differ in the 7th digit."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return _canonical(one) == _canonical(other)


def _shows(known: Mapping[str, Any], entry: Document) -> bool:
    """Tell whether an entry says what the pump says, and nothing that the pump no longer has."""
    is_left_over = any(name in known for name in MAY_BE_UNSET if name not in entry)
    return not is_left_over and all(same(value, known.get(name)) for name, value in entry.items())


def _without_unset(known: Mapping[str, Any]) -> Document:
    return {name: value for name, value in known.items() if name not in MAY_BE_UNSET}


def _canonical(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return f"{float(value):.6f}"
    except (OverflowError, ValueError):
        return value


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
