"""What a pump's history should look like in Nightscout, worked out from the history alone.

Nothing of the program is used here; the texts are those of tconnect-processing §5, §6,
§8 and §9, and for Tandem Source those of tandem-source-processing §4 to §7.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tconnectsync.simulators.history import (
    ActivityRecord,
    BolusRecord,
    CgmReading,
    ExtendedPart,
    PumpHistory,
    SuspensionRecord,
    basal_insulin,
    bolus_insulin,
    midnight,
)
from tconnectsync.simulators.tandemsource.boluses import progress_times
from tconnectsync.simulators.tandemsource.clock import Clocks

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


# Tandem Source


RATES = {"profile": "Profile", "temp": "TempRate", "algorithm": "Algorithm"}
FIVE_MINUTES = timedelta(minutes=5)


def logged(history: PumpHistory, clocks: Clocks) -> list[Fact]:
    """Return what is to be shown of a history that comes from the pump's log, oldest first."""
    facts = _logged(history)
    return sorted(fact._replace(at=clocks.instant(fact.at)) for fact in facts)


def _logged(history: PumpHistory) -> Iterator[Fact]:
    stops = _standstills(history.suspensions)
    yield from _logged_basals(history, stops)
    for bolus in history.boluses:
        yield from _logged_bolus(bolus)
    for place, activity in enumerate(history.activities):
        text = _how_logged(activity, place)
        minutes = round(activity.duration_seconds / 60, 3)
        yield Fact(activity.kind.title(), activity.start, text, minutes)
    for stop in stops:
        is_alarm = stop.reason == "alarm"
        if is_alarm:
            yield Fact("Alarm", stop.start, "Cartridge empty")
        yield Fact(
            "Basal Suspension", stop.start, ["Suspended (User)", "Suspended (Alarm)"][is_alarm]
        )
        if stop.end:
            yield Fact("Basal Resume", stop.end, "Basal resumed")
    for change in history.site_changes:
        if change.part == "cartridge":
            yield Fact("Insulin Change", change.at, "Cartridge Filled (180u filled)")
            yield Fact("Note", change.at, "Tubing Filled")
        else:
            yield Fact("Site Change", change.at, "Cannula Filled (0.3u primed)")
    if history.readings:
        yield from _sensor_sessions(history)


def _standstills(suspensions: Iterable[SuspensionRecord]) -> list[SuspensionRecord]:
    """Return when the pump stood still; stops that follow each other are one."""
    found: list[SuspensionRecord] = []
    for stop in suspensions:
        if stop.reason == "control-iq":
            continue
        if found and found[-1].end == stop.start:
            found[-1] = replace(found[-1], end=stop.end)
        else:
            found.append(stop)
    return found


def _logged_basals(history: PumpHistory, stops: Iterable[SuspensionRecord]) -> Iterator[Fact]:
    """Yield a piece for every five minutes, and one of zero where nothing more is delivered."""
    begins = sorted({segment.start for segment in history.basal} | {stop.start for stop in stops})
    for segment in history.basal:
        at = segment.start
        while at < segment.end:
            minutes = _minutes(min(FIVE_MINUTES, segment.end - at))
            yield Fact("Temp Basal", at, RATES[segment.kind], minutes, segment.rate)
            at += FIVE_MINUTES
        following = begins[bisect_left(begins, segment.end) :]
        pause = min([FIVE_MINUTES, *(at - segment.end for at in following[:1])])
        if pause:
            yield Fact("Temp Basal", segment.end, "Suspended", _minutes(pause))
    for stop in stops:
        if stop.end:
            yield Fact("Temp Basal", stop.start, "Suspended", _minutes(stop.end - stop.start))


def _logged_bolus(bolus: BolusRecord) -> Iterator[Fact]:
    """Yield what has ended; what is being delivered is not in the log yet."""
    if bolus.completed is None:
        return
    text = "Extended Bolus" if bolus.extended else "Standard Bolus"
    # Every other bolus of the simulated person comes from the phone.
    text = f"BLE {text}" if bolus.request_id % 2 else text
    text = "Automatic Bolus" if bolus.kind == "automatic" else text
    if bolus.status != "completed":
        text += f" ({STATUS[bolus.status]}: requested {bolus.requested_insulin:g} units)"
    text += " (Override)" if bolus.override else ""
    yield Fact("Combo Bolus", bolus.completed, text, insulin=bolus.insulin, carbs=bolus.carbs)
    part = bolus.extended
    if part and part.end:
        yield from _logged_pieces(bolus, part, part.end)


def _logged_pieces(bolus: BolusRecord, part: ExtendedPart, end: datetime) -> Iterator[Fact]:
    """Yield the pieces of at most 25 minutes and 0.25 U in which an extended part is shown."""
    number = max(ceil(part.duration_minutes / 25), ceil(round(part.requested_insulin * 1000) / 250))
    step = timedelta(seconds=round(part.duration_minutes * 60 / number))
    rest = min(step / 2, FIVE_MINUTES)
    told = [(part.start, 0), *((at, _given(bolus, at)) for at in progress_times(part, end))]
    borders = [part.start]
    while borders[-1] + step <= told[-1][0] or borders[-1] + step < end - rest:
        borders.append(borders[-1] + step)
    told.append((end, round(part.insulin * 1000)))
    amounts = [int(_between(told, at)) for at in borders] + [told[-1][1]]
    for place, (begin, until) in enumerate(pairwise([*borders, end])):
        if amounts[place + 1] == amounts[place]:
            continue
        of = f" of {number}" if place < number else ""
        text = f"Extended Bolus (part {place + 1}{of}{', the last' if until == end else ''})"
        if until == end and part.insulin < part.requested_insulin:
            text += f" (User Aborted: requested {part.requested_insulin:g} units)"
        middle = (begin + (until - begin) / 2).replace(microsecond=0)
        insulin = (amounts[place + 1] - amounts[place]) / 1000
        yield Fact("Combo Bolus", middle, text, insulin=insulin)


def _given(bolus: BolusRecord, at: datetime) -> int:
    """Return how many mU of an extended part had been given by then."""
    known = bolus.as_of(at)
    return round(known.extended.insulin * 1000) if known and known.extended else 0


def _between(told: Sequence[tuple[datetime, int]], at: datetime) -> float:
    for (begin, before), (until, after) in pairwise(told):
        if begin <= at < until:
            return before + (after - before) * ((at - begin) / (until - begin))
    return told[-1][1]


def _how_logged(activity: ActivityRecord, place: int) -> str:
    """Return how it came about; every third of the simulated person's is another way."""
    if activity.kind == "sleep":
        return "Sleep (Manual)" if place % 3 else "Sleep (Scheduled)"
    stopped = "" if place % 4 == 2 else " (Stopped by timer)"
    return "Exercise" if place % 3 else f"Exercise (Timed){stopped}"


def _sensor_sessions(history: PumpHistory) -> Iterator[Fact]:
    """Yield the session that goes on when the history begins, and those of new sensors."""
    put_on, stopped = timedelta(hours=9, minutes=15, seconds=10), timedelta(minutes=20, seconds=22)
    for number in range(-8, history.days, 10):
        begun = midnight(history.first_day) + timedelta(days=number) + put_on
        yield Fact("Sensor Start", begun, "CGM Session Joined")
        if number > 0:
            yield Fact("Sensor Stop", begun + stopped, "CGM Session Stopped")


# Insulin


class Insulin(NamedTuple):
    """U given as basals and as boluses."""

    basal: float
    bolus: float


def delivered(history: PumpHistory) -> Insulin:
    """Return what the pump gave, also just after the last day."""
    span = midnight(history.first_day), history.end + timedelta(days=1)
    return Insulin(basal_insulin(history, *span), bolus_insulin(history, *span))


def insulin_shown(treatments: Iterable[Mapping[str, Any]]) -> Insulin:
    """Return what a person reads off Nightscout (docs/protocol/nightscout-api.md §4.4).

    A temp basal is in force until it ends or the next one begins; one without a duration ends the
    one before. Who entered it makes no difference.
    """
    treatments = list(treatments)
    basals = sorted(
        (datetime.fromisoformat(t["created_at"]), t.get("duration") or 0.0, t.get("absolute") or 0)
        for t in treatments
        if t["eventType"] == "Temp Basal"
    )
    ends = [*(at for at, _, _ in basals), datetime.max.replace(tzinfo=UTC)][1:]
    basal = sum(
        rate * min(minutes, (end - at) / timedelta(minutes=1)) / 60
        for (at, minutes, rate), end in zip(basals, ends, strict=True)
    )
    return Insulin(basal, sum(treatment.get("insulin") or 0.0 for treatment in treatments))
