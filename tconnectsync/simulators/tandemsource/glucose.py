"""The sensor in the pump's log: readings (399), sessions (394, 447), alerts (369, 370); a G7."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from tconnectsync.simulators.history import CgmReading, PumpHistory, midnight, seconds_between
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.entries import Happening, Properties, seconds_since_2008

_TRANSMITTED = timedelta(seconds=3)
_G7 = 3
_PRECISE, _SPECIAL_HIGH, _SPECIAL_LOW, _DO_NOT_SHOW = 0, 1, 2, 6
_VALID, _INVALID = 32, 33

_NO_SIGNAL = range(3 * 60 + 10, 3 * 60 + 45)
"""The minutes of a night, once a week, whose readings come later, all at once."""

_SENSOR_LASTS = 10
_SENSOR_DAY = 2
"""On which day of the history a new sensor is put on first; the one before was there already."""
_REJOIN_DAY = 5
_WORN_BEFORE = timedelta(minutes=21)
"""How long a sensor is worn before the pump joins its session."""

_ALERTS: tuple[tuple[int, int, Callable[[int], bool]], ...] = (
    (2, 200, lambda mgdl: mgdl >= 200),
    (3, 80, lambda mgdl: mgdl <= 80),
    (1, 55, lambda mgdl: mgdl <= 55),
)
_OUT_OF_RANGE = 14


def glucose_events(history: PumpHistory, clocks: Clocks) -> Iterator[Happening]:
    """Yield all that the sensor brings into the log; nothing without readings."""
    if not history.readings:
        return
    yield from _sessions(history, clocks)
    yield from _readings(history, clocks)
    yield from _alerts(history)
    yield from _lost_signals(history)


def _readings(history: PumpHistory, clocks: Clocks) -> Iterator[Happening]:
    earlier: int | None = None
    for reading in history.readings:
        rate = 0 if earlier is None else min(126, max(-126, 2 * (reading.mgdl - earlier)))
        earlier = reading.mgdl
        logged = _logged(history, reading)
        wall = clocks.wall(logged)
        properties = _reading(
            _status(reading.mgdl),
            reading.mgdl,
            # The pump counts back from its present clock, also over a change of it.
            wall - (logged - reading.at),
            rate=rate,
            back_filled=_is_held_back(history, reading),
        )
        yield Happening(logged, 399, properties, reading)


def _reading(
    status: int, mgdl: int, taken: datetime, *, rate: int = 0, back_filled: bool = False
) -> Properties:
    kind = int(back_filled)
    return {
        "glucoseValueStatus": status,
        "cgmDataType": [kind],
        "rate": rate,
        "algorithmState": _INVALID if status == _DO_NOT_SHOW else _VALID,
        "rssi": -55 - mgdl % 30,
        "currentGlucoseDisplayValue": mgdl,
        "egvTimeStamp": seconds_since_2008(taken),
        "egvInfoBitmask": [kind, 5, 6, 7, 8, 11, 12],
        "interval": kind,
        "reservedD15": 0,
    }


def _status(mgdl: int) -> int:
    if mgdl < 40:
        return _SPECIAL_LOW
    return _SPECIAL_HIGH if mgdl > 400 else _PRECISE


def _day_number(history: PumpHistory, moment: datetime) -> int:
    return (moment.date() - history.first_day).days


def _is_held_back(history: PumpHistory, reading: CgmReading) -> bool:
    is_night = _day_number(history, reading.at) % 7 == 1
    return is_night and reading.at.hour * 60 + reading.at.minute in _NO_SIGNAL


def _logged(history: PumpHistory, reading: CgmReading) -> datetime:
    """Return when the pump noted the reading down; back-filled ones follow each other."""
    if not _is_held_back(history, reading):
        return reading.at + _TRANSMITTED
    number = (reading.at.hour * 60 + reading.at.minute - _NO_SIGNAL.start) // 5
    return _signal_back(midnight(reading.at.date())) + timedelta(seconds=number)


def _signal_back(day: datetime) -> datetime:
    return day + timedelta(minutes=_NO_SIGNAL.stop, seconds=20)


def _sessions(history: PumpHistory, clocks: Clocks) -> Iterator[Happening]:
    """Yield how the pump joins the sensor's session: at first, when a new one starts, and again.

    The second number of a join differs from session to session; a new session begins with a
    reading that is not to be shown.
    """
    first = midnight(history.first_day)
    begun = _put_on(first + timedelta(days=_SENSOR_DAY - _SENSOR_LASTS))
    yield _join(first + timedelta(seconds=20), begun)
    for number in range(history.days):
        day = first + timedelta(days=number)
        if number % _SENSOR_LASTS == _SENSOR_DAY:
            stopped = _joined(day) - timedelta(seconds=38)
            yield Happening(stopped, 447, _stop(seconds_between(begun, stopped)))
            begun = _put_on(day)
            yield _join(_joined(day), begun)
            shown = _joined(day) + timedelta(minutes=2)
            nothing = _reading(_DO_NOT_SHOW, 0, clocks.wall(shown) - _TRANSMITTED)
            yield Happening(shown, 399, nothing)
        if number % _SENSOR_LASTS == _REJOIN_DAY:
            yield _join(day + timedelta(hours=14, minutes=22, seconds=5), begun)


def _joined(day: datetime) -> datetime:
    return day + timedelta(hours=9, minutes=36, seconds=10)


def _put_on(day: datetime) -> datetime:
    return _joined(day) - _WORN_BEFORE


def _join(at: datetime, begun: datetime) -> Happening:
    signature = 64 + begun.toordinal() % 64
    properties = {"cgmTimestamp": seconds_between(begun, at), "sessionSignature": signature}
    return Happening(at, 394, properties)


def _stop(age: int) -> Properties:
    return {
        "currentTransmitterTime": age,
        "sessionStartTime": 72,
        "sessionStopTime": age - 7,
        "sessionDuration": _SENSOR_LASTS,
        "sessionStopReason": 5,
        "stopSessionCode": 1,
    }


def _alerts(history: PumpHistory) -> Iterator[Happening]:
    """Yield what the sensor warned of, and when that was over; there is no warning of the past."""
    active: set[int] = set()
    for reading in history.readings:
        if _is_held_back(history, reading):
            continue
        at = _logged(history, reading)
        for alert, limit, is_reached in _ALERTS:
            if is_reached(reading.mgdl) and alert not in active:
                active.add(alert)
                yield _alert(at, alert, reading.mgdl, limit)
            elif alert in active and not is_reached(reading.mgdl):
                active.remove(alert)
                yield _cleared(at, alert)


def _lost_signals(history: PumpHistory) -> Iterator[Happening]:
    for number in range(1, history.days, 7):
        day = midnight(history.first_day) + timedelta(days=number)
        yield _alert(day + timedelta(minutes=_NO_SIGNAL.start + 25), _OUT_OF_RANGE, 25, 917)
        yield _cleared(_signal_back(day), _OUT_OF_RANGE)


def _alert(at: datetime, alert: int, value: int, limit: int) -> Happening:
    properties = {
        "dalertId": alert,
        "sensorType": _G7,
        "spareA2": 0,
        "faultLocatorData": 8460,
        "param1": value,
        "param2": limit,
    }
    return Happening(at, 369, properties)


def _cleared(at: datetime, alert: int) -> Happening:
    return Happening(at, 370, {"dalertId": alert, "sensorType": _G7})
