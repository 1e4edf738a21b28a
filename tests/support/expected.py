"""What a pump's history should look like in Nightscout, worked out from the history alone.

Nothing of the program is used here; the texts are those of contract tconnect-processing §5, §6,
§8 and §9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tconnectsync.demo.history import ActivityRecord, BolusRecord, CgmReading, PumpHistory

OURS = "Pump (tconnectsync)"
STATUS = {"completed": "Completed", "user aborted": "User Aborted", "running": "in progress"}


class Fact(NamedTuple):
    """A treatment in short; minutes, U/h, U, g, and 0 for what it does not say."""

    kind: str
    at: datetime
    text: str
    minutes: float = 0.0
    rate: float = 0.0
    insulin: float = 0.0
    carbs: float = 0.0


def shown(treatments: Iterable[Mapping[str, Any]]) -> list[Fact]:
    """Return in short what Nightscout shows of ours, oldest first, to the second."""
    return sorted(_fact(treatment) for treatment in treatments if treatment["enteredBy"] == OURS)


def _fact(treatment: Mapping[str, Any]) -> Fact:
    at = datetime.fromisoformat(treatment["created_at"]).astimezone(UTC)
    planned = treatment["eventType"] == "Combo Bolus"
    return Fact(
        kind=treatment["eventType"],
        at=at.replace(microsecond=0),
        text=treatment["notes"] if planned else treatment["reason"],
        minutes=0.0 if planned else round(treatment.get("duration") or 0.0, 3),
        rate=treatment.get("absolute") or 0.0,
        insulin=treatment.get("insulin") or 0.0,
        carbs=treatment.get("carbs") or 0.0,
    )


def expected(history: PumpHistory, zone: str) -> list[Fact]:
    """Return what is to be shown of a whole history, oldest first."""
    return sorted(_in_zone(fact, ZoneInfo(zone)) for fact in _facts(history))


def as_of(history: PumpHistory, moment: datetime) -> PumpHistory:
    """Return what was known of a history at a moment of the pump's clock."""

    def known(records: Iterable[Any]) -> list[Any]:
        return [now for record in records if (now := record.as_of(moment)) is not None]

    return _each(history, known)


def began_between(history: PumpHistory, start: datetime, end: datetime) -> PumpHistory:
    """Return what of a history began from ``start`` on and before ``end``, on the pump's clock."""
    return _each(history, lambda records: [r for r in records if start <= r.began < end])


def _each(history: PumpHistory, choose: Callable[[Iterable[Any]], list[Any]]) -> PumpHistory:
    return replace(
        history,
        basal=choose(history.basal),
        boluses=choose(history.boluses),
        suspensions=choose(history.suspensions),
        activities=choose(history.activities),
        site_changes=choose(history.site_changes),
        readings=choose(history.readings),
        finger_sticks=choose(history.finger_sticks),
    )


def _in_zone(fact: Fact, zone: ZoneInfo) -> Fact:
    return fact._replace(at=fact.at.replace(tzinfo=zone).astimezone(UTC))


def _facts(history: PumpHistory) -> Iterator[Fact]:
    yield from _basals(history) if history.control_iq else _basals_without_control_iq(history)
    for bolus in history.boluses:
        yield from _bolus(bolus)
    yield from _activities(history.activities)
    for change in history.site_changes:
        yield Fact("Site Change", change.at, "Site/Cartridge Change")
    names = {"manual": "User Suspended", "alarm": "Empty Cartridge/Pump Shutdown"}
    for stop in history.suspensions:
        if stop.reason in names:
            yield Fact("Basal Suspension", stop.start, names[stop.reason])


def _basals(history: PumpHistory) -> Iterator[Fact]:
    for segment in history.basal:
        text = f"{segment.kind}Delivery" + (" (control-iq suspension)" if segment.suspended else "")
        minutes = round(segment.duration_seconds / 60, 3)
        yield Fact("Temp Basal", segment.start, text, minutes, segment.rate)
    for stop in history.suspensions:
        if stop.reason == "manual" and stop.end:
            minutes = _minutes(stop.end - stop.start)
            yield Fact("Temp Basal", stop.start, "manual suspension", minutes)


def _basals_without_control_iq(history: PumpHistory) -> Iterator[Fact]:
    """Yield one basal per change of the rate, until the next; the last until the last reading."""
    changes = [(segment.start, segment.rate) for segment in history.basal]
    changes += [(stop.start, 0.0) for stop in history.suspensions]
    known: list[CgmReading | BolusRecord] = [*history.readings, *history.boluses]
    last_known = max(record.began for record in known)
    for (start, rate), (end, _) in pairwise([*sorted(changes), (last_known, 0.0)]):
        yield Fact("Temp Basal", start, "Unknown", _minutes(end - start), rate)


def _bolus(bolus: BolusRecord) -> Iterator[Fact]:
    text = _description(bolus)
    if bolus.status != "completed":
        text += f" ({STATUS[bolus.status]}: requested {bolus.requested_insulin:g} units)"
    text += " (Override)" if bolus.override else ""
    text += " (Extended)" if bolus.extended else ""
    if bolus.insulin:
        at = bolus.completed or bolus.requested
        yield Fact("Combo Bolus", at, text, insulin=bolus.insulin, carbs=bolus.carbs)
    part = bolus.extended
    if part and part.end:
        text = f"{_description(bolus)} (Extended part)"
        yield Fact("Combo Bolus", part.end, text, insulin=part.insulin)


def _description(bolus: BolusRecord) -> str:
    if bolus.extended:
        return f"Extended {bolus.extended.immediate_percent}.00%/0.00"
    if bolus.kind == "automatic":
        return "Automatic Bolus/Correction"
    return "Standard/Correction" if bolus.correction else "Standard"


def _activities(activities: Iterable[ActivityRecord]) -> Iterator[Fact]:
    """Yield sleep and exercise; what follows its like without a pause is the same."""
    for kind in ("sleep", "exercise"):
        spans: list[tuple[datetime, datetime]] = []
        for piece in activities:
            if piece.kind != kind:
                continue
            if spans and spans[-1][1] == piece.start:
                spans[-1] = (spans[-1][0], piece.end)
            else:
                spans.append((piece.start, piece.end))
        for start, end in spans:
            yield Fact(kind.title(), start, kind.title(), _minutes(end - start))


def _minutes(duration: timedelta) -> float:
    return round(duration.total_seconds() / 60, 3)
