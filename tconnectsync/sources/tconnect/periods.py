"""Activities and interruptions from t:connect.

See docs/protocol/tconnect-processing.md §8 and §9, tconnect-api §2.1 and §4.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import Activity, ActivityKind, Interruption, Suspension
from tconnectsync.sources.tconnect.values import (
    UnknownKindError,
    json_date_seconds,
    objects,
    pacific_wall_time,
    read_each,
    seconds_long,
)

ACTIVITIES = {
    1: ActivityKind.SLEEP,
    2: ActivityKind.EXERCISE,
    3: ActivityKind.AUTO_BOLUS,
    4: ActivityKind.CARB_ONLY,
}
IN_PIECES = (ActivityKind.SLEEP, ActivityKind.EXERCISE)
SEAM = timedelta(minutes=1)
"""Two pieces no farther apart than this are one."""
HALF_A_DAY = timedelta(hours=12)

INTERRUPTIONS = {
    "site-cart": Interruption.SITE_CHANGE,
    "alarm": Interruption.ALARM,
    "manual": Interruption.USER,
}
NO_INTERRUPTIONS = ("temp-profile", "basal-profile", "previous")
"""Rate changes, which the basal segments show, and suspensions carried over from the day before."""


def timeline_activities(
    timeline: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]
) -> list[Activity]:
    """Return sleep, exercise and the like in time order; pieces that join are put together."""

    def read(entry: Mapping[str, Any]) -> Activity:
        if entry["eventType"] not in ACTIVITIES:
            raise UnknownKindError(f"activity of unknown type {entry['eventType']!r:.100}")
        kind = ACTIVITIES[entry["eventType"]]
        return Activity(
            key=f"activity {kind.name} {entry['x']}",
            kind=kind,
            start=clock.instant(pacific_wall_time(entry["x"])),
            duration=seconds_long(entry["duration"]),
        )

    pieces = read_each(objects(timeline, "events"), read, "activity", skipped)
    whole: list[Activity] = []
    latest: dict[ActivityKind, int] = {}
    for piece in sorted(pieces, key=lambda piece: (piece.start, piece.key)):
        before = latest.get(piece.kind)
        if before is not None and _joins(whole[before], piece):
            ends = max(whole[before].ends, piece.ends)
            whole[before] = replace(whole[before], duration=ends - whole[before].start)
        else:
            latest[piece.kind] = len(whole)
            whole.append(piece)
    return whole


def _joins(earlier: Activity, later: Activity) -> bool:
    """Tell whether a piece goes on with an earlier one of the same noon to noon.

    Somebody whose pump is in sleep mode day and night has no night to put together, and what
    belongs together must not depend on the range that is looked at.
    """
    same_night = (earlier.start - HALF_A_DAY).date() == (later.start - HALF_A_DAY).date()
    return later.kind in IN_PIECES and same_night and later.start <= earlier.ends + SEAM


def basal_suspensions(
    payload: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]
) -> list[Suspension]:
    """Return site changes, alarms and user suspensions in time order, each once."""

    def read(entry: Mapping[str, Any]) -> Suspension | None:
        reason = entry.get("SuspendReason")
        if reason is None or reason in NO_INTERRUPTIONS:
            return None
        if reason not in INTERRUPTIONS:
            raise UnknownKindError(f"suspension for unknown reason {reason!r:.100}")
        encoded = json_date_seconds(entry["EventDateTime"])
        return Suspension(
            key=f"suspension {reason} {encoded}",
            at=clock.instant(pacific_wall_time(encoded)),
            reason=INTERRUPTIONS[reason],
        )

    found = set(read_each(objects(payload, "BasalSuspension"), read, "suspension", skipped))
    return sorted(found, key=lambda suspension: (suspension.at, suspension.key))
