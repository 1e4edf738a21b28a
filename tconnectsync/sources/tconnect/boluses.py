"""Boluses from t:connect: TherapyEvents, or the CSV export where those have none.

See docs/protocol/tconnect-processing.md §6, tconnect-api §2.4 and §4.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import EXTENDED_PART, IN_PROGRESS, Bolus, Split
from tconnectsync.domain.limits import MOST_BOLUS_MINUTES
from tconnectsync.domain.numbers import as_number
from tconnectsync.sources.tconnect.values import (
    UnknownKindError,
    amount,
    glucose,
    objects,
    read_each,
    required,
    wall_time,
    words,
)

EXTENDED = "Extended"
COMPLETED = "Completed"
UNNAMED = "Bolus"
"""What is shown as the kind of a bolus of which t:connect says none."""
OTHER_EVENTS = ("CGM", "BG", "Basal")
"""Therapy events that are no boluses."""


def therapy_boluses(
    therapy_events: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]
) -> list[Bolus]:
    """Return the boluses of a TherapyEvents answer in the order of their requests."""

    def read(event: Mapping[str, Any]) -> list[Bolus] | None:
        kind = event.get("type")
        if kind in OTHER_EVENTS:
            return None
        if kind != "Bolus":
            raise UnknownKindError(f"therapy event of unknown type {words(kind)!r}")
        return _from_event(event, clock)

    return _in_order(read_each(objects(therapy_events, "event"), read, "bolus", skipped))


def csv_boluses(
    rows: Sequence[Mapping[str, Any]], clock: PumpClock, skipped: Counter[str]
) -> list[Bolus]:
    """Return the boluses of the CSV export in the order of their requests."""

    def read(row: Mapping[str, Any]) -> list[Bolus]:
        return _from_event(_as_event(row), clock)

    return _in_order(read_each(rows, read, "bolus row", skipped))


def _in_order(found: Iterable[list[Bolus]]) -> list[Bolus]:
    return sorted(chain.from_iterable(found), key=lambda bolus: (bolus.requested_at, bolus.key))


def _as_event(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a CSV row the shape that TherapyEvents has for the same bolus."""
    total, percent = (
        as_number(row.get("ActualTotalBolusRequested")),
        as_number(row.get("StandardPercent")),
    )
    is_extended = "extended" in str(row["Description"]).lower()
    immediate = total
    if is_extended and total is not None and percent is not None:
        immediate = round(total * percent / 100, 2)
    bolex = {
        "bolexStartDateTime": row["BolexStartDateTime"],
        "insulinDelivered": {
            "value": row.get("BolexInsulinDelivered"),
            "completionDateTime": row.get("BolexCompletionDateTime"),
        },
        "size": row.get("BolexSize"),
        "completionStatusDesc": row.get("BolexCompletionStatusDesc"),
    }
    return {
        "bolusRequestOptions": EXTENDED if is_extended else "",
        "description": row["Description"],
        "requestDateTime": row.get("RequestDateTime"),
        "eventDateTime": row.get("EventDateTime"),
        "carbSize": row.get("CarbSize"),
        "bg": row.get("BG"),
        "userOverride": row.get("UserOverride"),
        "actualTotalBolusRequested": total,
        "standardPercent": percent,
        "duration": row.get("Duration"),
        "standard": {
            "bolusRequestId": row.get("BolusRequestID"),
            "insulinDelivered": {
                "value": row.get("InsulinDelivered"),
                "completionDateTime": row.get("CompletionDateTime"),
            },
            "insulinRequested": immediate,
            "completionStatusDesc": row.get("CompletionStatusDesc"),
        },
        "bolex": bolex if row["BolexStartDateTime"] else None,
    }


def _from_event(event: Mapping[str, Any], clock: PumpClock) -> list[Bolus]:
    """Read what is given at once of a bolus and, once it has ended, the later part.

    None for one in progress of which nothing certain is known yet.
    """
    standard = event.get("standard") or {}
    delivered = standard.get("insulinDelivered") or {}
    is_extended = event.get("bolusRequestOptions") == EXTENDED
    bolex = (event.get("bolex") or {}) if is_extended else {}
    requested = wall_time(event.get("requestDateTime")) or wall_time(event.get("eventDateTime"))
    if requested is None:
        raise ValueError("time is missing")
    # The later part begins when the immediate one is through; where there is none, at once.
    completed = wall_time(delivered.get("completionDateTime")) or wall_time(
        bolex.get("bolexStartDateTime")
    )
    insulin = amount(delivered.get("value"))
    request_id = as_number(standard.get("bolusRequestId")) or 0
    if completed is None and not (request_id and insulin):
        return []
    description = words(event.get("description")) or UNNAMED
    now = Bolus(
        # Ids begin again with another pump, hence the time with them.
        key=f"bolus {request_id:.0f} {requested.isoformat()}",
        requested_at=clock.instant(requested),
        completed=_after(requested, completed, clock) if completed else None,
        insulin=required(insulin, "insulin"),
        requested=as_number(standard.get("insulinRequested")),
        carbs=amount(event.get("carbSize")),
        description=description,
        incomplete=_incomplete(standard, completed),
        override=as_number(event.get("userOverride")) == 1,
        # Unknown counts as automatic.
        automatic=description == UNNAMED or "Automatic" in description,
        label=EXTENDED if is_extended and "Extended Bolus" not in description else "",
        planned=_split(event) if is_extended else None,
        glucose=glucose(event.get("bg")),
    )
    return [now, *_later_part(now, bolex, requested, clock)]


def _later_part(
    now: Bolus, bolex: Mapping[str, Any], requested: datetime, clock: PumpClock
) -> Iterator[Bolus]:
    """Yield what an extended bolus gave after its immediate part, once it has ended."""
    delivered = bolex.get("insulinDelivered") or {}
    completed = wall_time(delivered.get("completionDateTime"))
    insulin = amount(delivered.get("value"))
    if completed and insulin:
        yield Bolus(
            key=f"{now.key} extended",
            requested_at=now.requested_at,
            completed=_after(requested, completed, clock),
            insulin=insulin,
            requested=as_number(bolex.get("insulinRequested")) or as_number(bolex.get("size")),
            carbs=0,
            description=now.description,
            incomplete=_incomplete(bolex, completed),
            override=False,
            automatic=True,
            label=EXTENDED_PART,
            whole_since=now.requested_at,
        )


def _incomplete(part: Mapping[str, Any], completed: datetime | None) -> str:
    status = words(part.get("completionStatusDesc")) or (COMPLETED if completed else IN_PROGRESS)
    return "" if status == COMPLETED else status


def _after(requested: datetime, completed: datetime, clock: PumpClock) -> datetime:
    """Return when something ended that began at ``requested``.

    Where the end seems to lie before it, in an hour that an autumn night repeats, it is the second.
    """
    ended = clock.instant(completed)
    if ended < clock.instant(requested):
        ended = clock.instant(completed.replace(fold=1))
    return ended


def _split(event: Mapping[str, Any]) -> Split:
    percent, minutes = as_number(event.get("standardPercent")), as_number(event.get("duration"))
    if minutes is not None and not 0 < minutes <= MOST_BOLUS_MINUTES:
        minutes = None
    return Split(
        total=as_number(event.get("actualTotalBolusRequested")),
        now_percent=100.0 if percent is None else min(max(percent, 0.0), 100.0),
        duration=timedelta(minutes=minutes) if minutes else None,
    )
