"""User modes and suspensions from t:connect.

See docs/protocol/tconnect-processing.md §8 and §9, tconnect-api §2.1 and §4.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tconnectsync.domain.clock import MINUTE, PumpClock
from tconnectsync.domain.events import PumpEvent, PumpEventKind, UserMode, UserModeKind
from tconnectsync.sources.tconnect.values import (
    UnknownKindError,
    json_date_seconds,
    objects,
    pacific_wall_time,
    read_each,
    seconds_long,
)

MODES = {
    1: (UserModeKind.SLEEP, "SLEEP", "Sleep"),
    2: (UserModeKind.EXERCISE, "EXERCISE", "Exercise"),
    3: (UserModeKind.OTHER, "AUTO_BOLUS", "AutoBolus"),
    4: (UserModeKind.OTHER, "CARB_ONLY", "CarbOnly"),
}
"""What the types of events are, what the keys say of them, and the text to show."""
IN_PARTS = (UserModeKind.SLEEP, UserModeKind.EXERCISE)
SEAM = MINUTE
"""Two parts no farther apart than this are one period."""
HALF_A_DAY = timedelta(hours=12)

SUSPENSIONS = {
    "site-cart": (PumpEventKind.SITE_CHANGE, "Site/Cartridge Change", False),
    "alarm": (PumpEventKind.SUSPENSION, "Empty Cartridge/Pump Shutdown", True),
    "manual": (PumpEventKind.SUSPENSION, "User Suspended", False),
}
"""What reasons stand for, the text to show, and whether the pump stopped without the person."""
NO_SUSPENSIONS = ("temp-profile", "basal-profile", "previous")
"""Rate changes, which the basal segments show, and suspensions carried over from the day before."""


def timeline_modes(
    timeline: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]
) -> list[UserMode]:
    """Return sleep, exercise and the like in time order; parts that join are put together."""

    def read(entry: Mapping[str, Any]) -> UserMode:
        if entry["eventType"] not in MODES:
            raise UnknownKindError(f"activity of unknown type {entry['eventType']!r:.100}")
        kind, name, text = MODES[entry["eventType"]]
        return UserMode(
            key=f"activity {name} {entry['x']}",
            kind=kind,
            start=clock.instant(pacific_wall_time(entry["x"])),
            duration=seconds_long(entry["duration"]),
            text=text,
            automatic=kind is not UserModeKind.EXERCISE,
        )

    parts = read_each(objects(timeline, "events"), read, "activity", skipped)
    found: list[UserMode] = []
    latest: dict[UserModeKind, int] = {}
    for part in sorted(parts, key=lambda part: (part.start, part.key)):
        before = latest.get(part.kind)
        if before is not None and _joins(found[before], part):
            ends = max(found[before].ends, part.ends)
            found[before] = replace(found[before], duration=ends - found[before].start)
        else:
            latest[part.kind] = len(found)
            found.append(part)
    return found


def _joins(earlier: UserMode, later: UserMode) -> bool:
    """Return whether a part goes on with an earlier one of the same noon to noon.

    Somebody whose pump is in sleep mode day and night has no night to put together, and what
    belongs together must not depend on the range that is looked at.
    """
    same_night = (earlier.start - HALF_A_DAY).date() == (later.start - HALF_A_DAY).date()
    return later.kind in IN_PARTS and same_night and later.start <= earlier.ends + SEAM


def basal_suspensions(
    payload: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]
) -> list[PumpEvent]:
    """Return site changes, alarms and suspensions by the person in time order, each once."""

    def read(entry: Mapping[str, Any]) -> PumpEvent | None:
        reason = entry.get("SuspendReason")
        if reason is None or reason in NO_SUSPENSIONS:
            return None
        if reason not in SUSPENSIONS:
            raise UnknownKindError(f"suspension for unknown reason {reason!r:.100}")
        kind, text, automatic = SUSPENSIONS[reason]
        encoded = json_date_seconds(entry["EventDateTime"])
        at = clock.instant(pacific_wall_time(encoded))
        return PumpEvent(f"suspension {reason} {encoded}", at, kind, text, automatic)

    found = set(read_each(objects(payload, "BasalSuspension"), read, "suspension", skipped))
    return sorted(found, key=lambda suspension: (suspension.at, suspension.key))
