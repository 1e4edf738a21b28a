"""Basal insulin in the pump's log: rates, stops and the alarms that go with them.

The rate of an entry 279 holds until the next 279, or until an entry 11 says that the pump stopped;
that adds up to what the history delivered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from tconnectsync.simulators.history import (
    BasalSegment,
    PumpHistory,
    Record,
    SuspensionRecord,
    between,
    midnight,
    seconds_between,
)
from tconnectsync.simulators.person import scheduled_rate
from tconnectsync.simulators.tandemsource.entries import Happening, Properties, number

CARTRIDGE = 180
"""How much is filled into a cartridge, U."""

_EVERY = timedelta(minutes=5)
_NOTICED = timedelta(seconds=42)
_REMINDED = timedelta(minutes=15)
_SOURCES = {"profile": 1, "temp": 2, "algorithm": 3}
_NOT_APPLICABLE = 65535
_EMPTY_CARTRIDGE = 8
_RESUME_PUMP = (18, 23)


class BasalMeter:
    """Says at what rate (U/h) basal insulin flowed, and how much (U) had flowed by a moment."""

    def __init__(self, segments: Sequence[BasalSegment]) -> None:
        self._segments = segments
        self._starts = [segment.start for segment in segments]
        given = (segment.rate * segment.duration_seconds / 3600 for segment in segments)
        self._before = list(accumulate(given, initial=0.0))

    def rate(self, at: datetime) -> float:
        """Return the rate; 0 while nothing flows."""
        number = bisect_right(self._starts, at) - 1
        return self._segments[number].rate if number >= 0 and at < self._end(number) else 0.0

    def by(self, at: datetime) -> float:
        """Return all that flowed before a moment."""
        number = bisect_right(self._starts, at) - 1
        if number < 0:
            return 0.0
        seconds = seconds_between(self._starts[number], min(at, self._end(number)))
        return self._before[number] + self._segments[number].rate * seconds / 3600

    def _end(self, number: int) -> datetime:
        return self._segments[number].end


@dataclass(frozen=True, slots=True)
class Stop:
    """The pump stands still, for any reason; ``end`` is ``None`` if it never resumed."""

    start: datetime
    end: datetime | None
    record: SuspensionRecord
    """Why it was stopped; others may have followed without a pause."""


def stops(history: PumpHistory) -> list[Stop]:
    """Return when the pump stood still.

    A rate of zero that Control-IQ chose is none of them: the log has it as a rate.
    """
    found: list[Stop] = []
    for record in history.suspensions:
        if record.reason == "control-iq":
            continue
        if found and found[-1].end == record.start:
            found[-1] = Stop(found[-1].start, record.end, found[-1].record)
        else:
            found.append(Stop(record.start, record.end, record))
    return found


def stop_events(history: PumpHistory, meter: BasalMeter) -> Iterator[Happening]:
    """Yield the stops (11), and the alarms (5) before and after them."""
    for stop in stops(history):
        is_alarm = stop.record.reason == "alarm"
        if is_alarm:
            yield _alarm(stop.start, _EMPTY_CARTRIDGE, 103, stop.record)
        amount = 0 if is_alarm else insulin_left(history, meter, stop.start)
        properties = {
            "preSuspendState": 106,
            "insulinAmount": amount,
            "suspendReason": int(is_alarm),
            "rpaTimeout": _REMINDED.seconds // 60,
        }
        yield Happening(stop.start, 11, properties, stop.record)
        if _is_reminded(stop):
            for alarm in _RESUME_PUMP:
                yield _alarm(stop.start + _REMINDED, alarm, 18, stop.record)


def resume_events(history: PumpHistory, meter: BasalMeter) -> Iterator[Happening]:
    """Yield when the pump went on (12), and alarms that were cleared (28)."""
    for stop in stops(history):
        if stop.record.reason == "alarm" and stop.record.end:
            yield Happening(stop.record.end, 28, {"alarmId": _EMPTY_CARTRIDGE}, stop.record)
        if stop.end is None:
            continue
        if _is_reminded(stop):
            for alarm in reversed(_RESUME_PUMP):
                yield Happening(stop.end, 28, {"alarmId": alarm}, stop.record)
        properties = {
            "preResumeState": 100,
            "insulinAmount": insulin_left(history, meter, stop.end),
        }
        yield Happening(stop.end, 12, properties, stop.record)


def basal_events(history: PumpHistory) -> Iterator[Happening]:
    """Yield the rates (279): at each change, and every five minutes from there on.

    While the pump stands still they begin within a minute. Where the history has nothing more to
    say, at its end above all, a rate of zero ends what was delivered.
    """
    standstills = stops(history)
    followed = {segment.start for segment in history.basal} | {stop.start for stop in standstills}
    for segment in history.basal:
        properties = _flowing(segment)
        yield Happening(segment.start, 279, properties, segment)
        at = segment.start + _EVERY
        while at < segment.end:
            yield Happening(at, 279, properties, segment)
            at += _EVERY
        if segment.end not in followed:
            yield Happening(segment.end, 279, _standing_still(segment.end), segment)
    for stop in standstills:
        at = stop.start + _NOTICED
        while at < (stop.end or history.end):
            yield Happening(at, 279, _standing_still(at), stop.record)
            at += _EVERY


def rate_events(history: PumpHistory) -> Iterator[Happening]:
    """Yield the rates of a pump without Control-IQ at each change (3); some are temporary (2, 15).

    Where the pump stops, a rate of zero comes in the same second.
    """
    resumed = {stop.end for stop in stops(history)}
    before: BasalSegment | None = None
    for segment in history.basal:
        was_temp = before is not None and before.kind == "temp"
        is_temp = segment.kind == "temp"
        if was_temp and not is_temp:
            yield Happening(segment.start, 15, _TEMP_ENDED, segment)
        if is_temp and not was_temp:
            yield Happening(segment.start, 2, _temp_started(segment), segment)
        why = [0]
        if segment.start in resumed:
            why = [5]
        elif is_temp and not was_temp:
            why = [2]
        elif was_temp and not is_temp:
            why = [3]
        yield Happening(segment.start, 3, _rate_change(segment.start, segment.rate, why), segment)
        before = segment
    for stop in stops(history):
        yield Happening(stop.start, 3, _rate_change(stop.start, 0.0, [4]), stop.record)


_TEMP_ENDED = {"stopReason": 3, "tempRateId": 1, "timeLeft": 0}


def _temp_started(segment: BasalSegment) -> Properties:
    percent = 100 * segment.rate / scheduled_rate(segment.start)
    duration = segment.duration_seconds * 1000
    return {"percent": number(round(percent, 1)), "duration": duration, "tempRateId": 1}


def _rate_change(at: datetime, rate: float, why: list[int]) -> Properties:
    return {
        "commandedBasalRate": number(rate),
        "baseBasalRate": number(scheduled_rate(at)),
        "maxBasalRate": 3,
        "changeType": why,
        "idp": 0,
    }


def _alarm(at: datetime, alarm: int, parameter: int, record: Record) -> Happening:
    properties = {"alarmId": alarm, "faultLocatorData": 8241, "param1": parameter, "param2": 0}
    return Happening(at, 5, properties, record)


def _is_reminded(stop: Stop) -> bool:
    """Return whether the pump asked to be resumed, as it does after a while."""
    if stop.record.reason == "alarm":
        return False
    return stop.end is None or stop.end - stop.start > _REMINDED


def insulin_left(history: PumpHistory, meter: BasalMeter, at: datetime) -> int:
    """Return about how many U are in the cartridge.

    It is taken as full when the history begins, unless the pump has delivered nothing before its
    cartridge is filled: then it is a new one.
    """
    beginning = filled = midnight(history.first_day)
    for change in history.site_changes:
        if change.part == "cartridge" and change.at < at:
            filled = change.at
    if filled == beginning and not meter.by(at) and not between(history.boluses, filled, at):
        return 0
    known = (bolus.as_of(at) for bolus in between(history.boluses, filled, at))
    boluses = sum(bolus.delivered for bolus in known if bolus)
    return max(0, round(CARTRIDGE - boluses - (meter.by(at) - meter.by(filled))))


def _flowing(segment: BasalSegment) -> Properties:
    rate = round(segment.rate * 1000)
    return _rates(
        segment.start,
        source=_SOURCES[segment.kind],
        commanded=rate,
        temp=rate if segment.kind == "temp" else _NOT_APPLICABLE,
        algorithm=rate if segment.kind == "algorithm" else _NOT_APPLICABLE,
    )


def _standing_still(at: datetime) -> Properties:
    return _rates(at, source=0, commanded=0, temp=_NOT_APPLICABLE, algorithm=_NOT_APPLICABLE)


def _rates(at: datetime, *, source: int, commanded: int, temp: int, algorithm: int) -> Properties:
    return {
        "commandedRateSource": source,
        "reservedA2": 3,
        "spareA3": 0,
        "commandedRate": commanded,
        "profileBasalRate": round(scheduled_rate(at) * 1000),
        "algorithmRate": algorithm,
        "tempRate": temp,
    }
