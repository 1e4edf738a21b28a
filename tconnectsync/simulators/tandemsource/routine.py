"""The rest of the pump's log: modes, fills, finger sticks, what every day brings, clock changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tconnectsync.simulators.history import (
    CORRECTION_FACTOR,
    TARGET,
    ActivityRecord,
    PumpHistory,
    insulin_on_board,
    midnight,
    seconds_between,
)
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.delivery import CARTRIDGE, BasalMeter
from tconnectsync.simulators.tandemsource.entries import EPOCH, Happening, Properties, number

_MODES = {"sleep": 1, "exercise": 2}
_START = {"sleep": 1, "exercise": 3}
_STOP = {"sleep": 2, "exercise": 4}
_STOP_ALL = 5
_DEXCOM_G7 = 3
_COMPLETED = 3


def clock_events(clocks: Clocks) -> Iterator[Happening]:
    """Yield how the clock was set: the date (14), then the time of the day (13) if it changed."""
    for change in clocks.changes:
        if not change.on_record:
            continue
        raw = seconds_between(EPOCH, change.at) * 1000 % 2**32
        yield Happening(
            change.at,
            14,
            {
                "datePrior": (change.before - EPOCH).days,
                "dateAfter": (change.after - EPOCH).days,
                "rawRtcTime": raw,
            },
        )
        if change.before.time() != change.after.time():
            times = {
                "timePrior": _milliseconds(change.before),
                "timeAfter": _milliseconds(change.after),
            }
            yield Happening(change.at, 13, {**times, "rawRtcTime": raw})


def _milliseconds(wall: datetime) -> int:
    """Return the time of the day as the pump counts it."""
    return seconds_between(midnight(wall.date()), wall) * 1000


def mode_events(history: PumpHistory) -> Iterator[Happening]:
    """Yield starts and ends of sleep and exercise (229); now and then everything is ended at once.

    Some exercise ends by its timer, and some sleep begins by a schedule.
    """
    for place, activity in enumerate(history.activities):
        mode, varies = _MODES[activity.kind], place % 3 == 0
        common = {
            "sleepStartedByGui": int(activity.kind == "sleep" and not varies),
            "activeSleepSchedule": [0] if activity.kind == "sleep" and varies else [],
            "exerciseChoice": int(activity.kind == "exercise" and varies),
            "exerciseTime": activity.duration_seconds // 60 if mode == 2 and varies else 0,
        }
        start = _mode_change(0, mode, _START[activity.kind]) | common
        yield Happening(activity.start, 229, start, activity)
        action = _STOP_ALL if place % 4 == 2 else _STOP[activity.kind]
        end = _mode_change(mode, 0, action) | common
        end["exerciseStoppedByTimer"] = int(common["exerciseChoice"] == 1 and action != _STOP_ALL)
        yield Happening(activity.end, 229, end, activity)


def _mode_change(before: int, after: int, action: int) -> Properties:
    return {
        "currentUserMode": after,
        "previousUserMode": before,
        "requestedAction": action,
        "spareA3": 0,
        "spareB6": 0,
        "exerciseStoppedByTimer": 0,
        "eatingSoonStoppedByTimer": 0,
    }


def fill_events(history: PumpHistory) -> Iterator[Happening]:
    """Yield filled cartridges (33) with their tubing (63) in the same second, and cannulas (61)."""
    for change in history.site_changes:
        if change.part == "cartridge":
            yield Happening(change.at, 33, {"insulinVolume": CARTRIDGE, "v2Volume": 0}, change)
            position = 500_000 + seconds_between(EPOCH, change.at) % 100_000
            tubing = {"primeSize": -1, "completionStatus": _COMPLETED, "position": position}
            yield Happening(change.at, 63, tubing, change)
        else:
            cannula = {"primeSize": 0.3, "completionStatus": _COMPLETED, "infusionSetType": 0}
            yield Happening(change.at, 61, cannula, change)


def finger_events(history: PumpHistory) -> Iterator[Happening]:
    """Yield glucose measured at a finger (16)."""
    for stick in history.finger_sticks:
        properties = {
            "bg": stick.mgdl,
            "cgmCalibration": 1,
            "bgEntryType": 0,
            "iob": number(insulin_on_board(history, stick.at)),
            "targetBg": TARGET,
            "isf": CORRECTION_FACTOR,
            "selectedIob": 1,
            "bgSourceType": 0,
        }
        yield Happening(stick.at, 16, properties, stick)


def daily_events(history: PumpHistory, meter: BasalMeter) -> Iterator[Happening]:
    """Yield what every day brings: basal and battery (81), the day (90), the state (313).

    Also a code that is not used (27), and an unknown one (999).
    """
    for day in (midnight(history.first_day) + timedelta(days=n) for n in range(history.days)):
        yield Happening(
            day,
            90,
            {
                "commandedBasalRate": number(meter.rate(day)),
                "featuresBitmask": [],
                "featureBitmaskIndex": [],
            },
        )
        yield Happening(day + timedelta(seconds=6), 313, _state(history, day))
        for hour in range(24):
            at = day + timedelta(hours=hour, minutes=40, seconds=23)
            yield Happening(at, 81, _daily_basal(history, meter, day, at))
        yield Happening(day + timedelta(hours=5, minutes=12, seconds=33), 27, {"alertId": 0})
        yield Happening(day + timedelta(hours=17, minutes=2, seconds=41), 999, {})


def end_of_day_events(history: PumpHistory, meter: BasalMeter) -> Iterator[Happening]:
    """Yield the last entry 81 of each day, which sums it up at the midnight after it."""
    for day in (midnight(history.first_day) + timedelta(days=n) for n in range(history.days)):
        end = day + timedelta(days=1)
        sum_of_day = _daily_basal(history, meter, day, end) | {"finalEventForDay": 1}
        yield Happening(end, 81, sum_of_day)


def _daily_basal(
    history: PumpHistory, meter: BasalMeter, day: datetime, at: datetime
) -> Properties:
    """Return the basal insulin of the day so far, and a battery that is charged every third day."""
    hours = seconds_between(midnight(history.first_day), at) // 3600
    percent = 96 - hours % 68
    return {
        "dailyTotalBasal": number(round(meter.by(at) - meter.by(day), 4)),
        "lastBasalRate": number(meter.rate(at)),
        "iob": number(insulin_on_board(history, at)),
        "batteryLipoMilliVolts": 3500 + 7 * percent,
        "batteryChargePercent": percent,
        "finalEventForDay": 0,
    }


def _state(history: PumpHistory, at: datetime) -> Properties:
    mode = next((_MODES[a.kind] for a in history.activities if _lasts(a, at)), 0)
    return {
        "pumpControlState": 3 if history.control_iq else 1,
        "usermode": mode,
        "sensorType": _DEXCOM_G7 if history.readings else 0,
        "weightUnit": 0,
        "weight": 0,
        "currentTdIpop": 0,
    }


def _lasts(activity: ActivityRecord, at: datetime) -> bool:
    return activity.start <= at < activity.end
