"""A simulated person with an insulin pump, who lives through some days."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from random import Random
from typing import Literal

from tconnectsync.simulators.history import (
    CARB_RATIO,
    CORRECTION_FACTOR,
    TARGET,
    ActivityRecord,
    BasalKind,
    BasalSegment,
    BolusRecord,
    CgmReading,
    ExtendedPart,
    FingerStick,
    GapReason,
    PumpHistory,
    R,
    SiteChange,
    SuspensionRecord,
    midnight,
    seconds_between,
)

SCHEDULE = ((0, 0.7), (180, 0.85), (390, 1.0), (660, 0.8), (960, 0.9), (1320, 0.75))
"""The basal profile: minute of the day from which a rate (U/h) holds."""

_RISE = [
    2.3 * (minute / 45) * math.exp(1 - minute / 45)
    - 1.2 * (minute / 100) * math.exp(1 - minute / 100)
    for minute in range(420)
]
"""mg/dL added per gram, by minutes after a covered meal: up for two hours, then slightly below."""


@lru_cache(maxsize=16)
def live(first_day: date, days: int, *, seed: int = 1, control_iq: bool = True) -> PumpHistory:
    """Make up ``days`` days of a realistic life with a pump.

    The same arguments give the same life, and a longer life begins with the shorter one.
    """
    life = _Life(first_day, seed, control_iq)
    for index in range(days):
        life.live_through(index)
    end = midnight(first_day) + timedelta(days=days)
    return PumpHistory(
        first_day,
        days,
        control_iq,
        basal=_in_order(life.basal, end),
        boluses=_in_order(life.boluses, end),
        suspensions=_in_order(life.suspensions, end),
        activities=_in_order(life.activities, end),
        site_changes=_in_order(life.site_changes, end),
        readings=_in_order(life.readings, end),
        finger_sticks=_in_order(life.finger_sticks, end),
    )


@dataclass(frozen=True, slots=True)
class _Mode:
    """A period in which the pump follows its profile, scaled, instead of Control-IQ."""

    start: datetime
    end: datetime
    kind: Literal["profile", "temp"]
    factor: float


class _Life:
    """What has happened so far; each day has its own randomness and looks back, never ahead."""

    def __init__(self, first_day: date, seed: int, control_iq: bool) -> None:
        self._first_midnight = midnight(first_day)
        self._seed = seed
        self._offset = seed * 37 % 300
        self._control_iq = control_iq
        self._meals: list[tuple[datetime, int]] = []
        self._gaps: list[SuspensionRecord] = []
        self._noise = 0.0
        self._cursor = self._first_midnight
        self.basal: list[BasalSegment] = []
        self.boluses: list[BolusRecord] = []
        self.suspensions: list[SuspensionRecord] = []
        self.activities: list[ActivityRecord] = []
        self.site_changes: list[SiteChange] = []
        self.readings: list[CgmReading] = []
        self.finger_sticks: list[FingerStick] = []

    def live_through(self, index: int) -> None:
        """Add everything that starts on the day of this index (and the sleep after it)."""
        self._index = index
        self._random = Random(f"{self._seed}/{index}")
        self._midnight = self._first_midnight + timedelta(days=index)
        self._gaps = [gap for gap in self._gaps if gap.end and gap.end > self._midnight]
        self._stop_the_pump()
        meals = self._eat()
        self._measure()
        boluses = self._bolus_by_hand(meals)
        if self._control_iq:
            self._sleep_and_exercise()
            boluses += self._bolus_automatically(boluses)
        for bolus in sorted(boluses, key=attrgetter("requested")):
            self.boluses.append(replace(bolus, request_id=1001 + len(self.boluses)))
        self._deliver_basal()

    def _at(self, clock: str, spread_minutes: int) -> datetime:
        """Return today at ``HH:MM`` or up to some minutes later."""
        hours, minutes = clock.split(":")
        seconds = self._random.randrange(spread_minutes * 60)
        return self._midnight + timedelta(hours=int(hours), minutes=int(minutes), seconds=seconds)

    def _later(self, start: datetime, least: int, most: int) -> datetime:
        """Return ``least`` to ``most`` minutes after ``start``, to the second."""
        return start + timedelta(seconds=self._random.randrange(least * 60, most * 60 + 1))

    # -- what stops the pump -------------------------------------------------------------------

    def _stop_the_pump(self) -> None:
        if self._index % 8 == 6:
            late = self._at("23:25", 20)
            self._stop(late, self._later(late, 45, 70), "manual")
        elif self._random.random() < 0.8:
            start = self._at("13:30", 80)
            self._stop(start, self._later(start, 30, 70), "manual")
        cartridge_is_empty = self._index % 14 == 9
        change = self._at("16:30", 25)
        if cartridge_is_empty:
            alarm, change = change, self._later(change, 10, 20)
            self._stop(alarm, change, "alarm")
        if cartridge_is_empty or self._index % 3 == 2:
            done = self._later(change, 4, 7)
            self._stop(change, done, "site change")
            self.site_changes += [SiteChange(change, "cartridge"), SiteChange(done, "site")]

    def _stop(self, start: datetime, end: datetime, reason: GapReason) -> None:
        gap = SuspensionRecord(start, end, reason)
        self._gaps.append(gap)
        self.suspensions.append(gap)

    def _gap_at(self, moment: datetime) -> datetime | None:
        """Return the end of the gap in delivery at ``moment``, if there is one."""
        return next((g.end for g in self._gaps if g.end and g.start <= moment < g.end), None)

    # -- glucose -------------------------------------------------------------------------------

    def _eat(self) -> list[tuple[datetime, int]]:
        carbs = self._random.randrange
        today = [
            (self._at("07:00", 60), carbs(30, 61)),
            (self._at("12:00", 60), carbs(40, 76)),
            (self._at("18:15", 60), carbs(45, 91)),
        ]
        if self._random.random() < 0.5:
            today.append((self._at("21:30", 30), carbs(10, 26)))
        self._meals = [*self._meals[-2:], *today]
        return today

    def _measure(self) -> None:
        """Add a day of sensor values: slow wandering, and a rise and dip after each meal."""
        eaten = [(seconds_between(self._midnight, at) // 60, carbs) for at, carbs in self._meals]
        for minute in range(0, 1440, 5):
            self._noise = 0.97 * self._noise + self._random.gauss(0, 5)
            value = 130 + self._noise
            for when, carbs in eaten:
                if 0 < minute - when < len(_RISE):
                    value += carbs * _RISE[minute - when]
            at = self._midnight + timedelta(minutes=minute, seconds=self._offset)
            self.readings.append(CgmReading(at, round(min(400, max(45, value)))))

    def _glucose(self, moment: datetime) -> int:
        """Return the sensor value in force at a moment of today or just after."""
        step = (seconds_between(self._midnight, moment) - self._offset) // 300
        now = len(self.readings) - 288 + step
        return self.readings[min(max(now, 0), len(self.readings) - 1)].mgdl

    # -- boluses -------------------------------------------------------------------------------

    def _bolus_by_hand(self, meals: list[tuple[datetime, int]]) -> list[BolusRecord]:
        is_aborted = self._index % 7 == 4
        overridden = 1 if is_aborted else self._random.randrange(2)
        extended = 2 if self._index % 3 == 1 else -1
        boluses = [
            self._meal_bolus(at, carbs, override=number == overridden)
            for number, (at, carbs) in enumerate(meals)
        ]
        if is_aborted:
            boluses[0] = self._abort(boluses[0])
        if extended >= 0:
            boluses[extended] = self._extend(boluses[extended])
        return [*boluses, self._correction_bolus()]

    def _meal_bolus(self, at: datetime, carbs: int, *, override: bool) -> BolusRecord:
        glucose = self._glucose(at) if self._random.random() < 0.8 else None
        food = round(carbs / CARB_RATIO, 2)
        high = glucose is not None and glucose > 140
        correction = round((glucose - TARGET) / CORRECTION_FACTOR, 2) if glucose and high else 0.0
        amount = food + correction
        if override:
            amount += self._random.choice((-0.5, 0.3, 0.5, 1.0))
        bolus = _give(at, amount, carbs=carbs, glucose=glucose)
        return replace(bolus, food=food, correction=correction, override=override)

    def _abort(self, bolus: BolusRecord) -> BolusRecord:
        given = _give(bolus.requested, bolus.insulin * self._random.uniform(0.3, 0.8))
        return replace(
            bolus, insulin=given.insulin, completed=given.completed, status="user aborted"
        )

    def _extend(self, bolus: BolusRecord) -> BolusRecord:
        percent = self._random.choice((40, 50, 60))
        now = _give(bolus.requested, bolus.insulin * percent / 100)
        rest = round(bolus.insulin - now.insulin, 2)
        start = now.completed or now.requested
        return replace(
            bolus,
            kind="extended",
            completed=now.completed,
            insulin=now.insulin,
            requested_insulin=now.insulin,
            extended=ExtendedPart(start, start + timedelta(hours=2), rest, rest, 120, percent),
        )

    def _correction_bolus(self) -> BolusRecord:
        at = self._at("10:20", 60)
        glucose = max(self._glucose(at), self._random.randrange(150, 200))
        if self._index % 2 == 0:
            self.finger_sticks.append(FingerStick(at - timedelta(seconds=70), glucose))
        correction = round((glucose - TARGET) / CORRECTION_FACTOR, 2)
        return replace(_give(at, correction, glucose=glucose), correction=correction)

    def _bolus_automatically(self, by_hand: list[BolusRecord]) -> list[BolusRecord]:
        """Correct high values as Control-IQ does: 60 % of what is missing, hourly at most."""
        taken = [bolus.requested for bolus in by_hand]
        automatic = []
        for reading in self.readings[-204:-24]:
            at = reading.at + timedelta(seconds=self._random.randrange(5, 60))
            hour = timedelta(hours=1)
            is_free = all(at > t + hour or at + hour / 6 < t for t in taken)
            is_stopped = self._gap_at(at) or self._gap_at(at + timedelta(minutes=3))
            if reading.mgdl > 180 and is_free and not is_stopped:
                need = round(0.6 * (reading.mgdl - TARGET) / CORRECTION_FACTOR, 2)
                bolus = _give(at, need, glucose=reading.mgdl)
                automatic.append(replace(bolus, kind="automatic", correction=need))
                taken.append(at)
        return automatic

    # -- modes and basal -----------------------------------------------------------------------

    def _sleep_and_exercise(self) -> None:
        if self._random.random() < 0.4:
            start = self._at("16:50", 50)
            self._be_active("exercise", start, self._later(start, 30, 60))
        asleep = self._at("22:30", 70)
        awake = self._later(asleep, 420, 510)
        turn = self._later(asleep, 120, 300) if self._index % 3 == 2 else awake
        self._be_active("sleep", asleep, turn)
        if turn < awake:
            self._be_active("sleep", turn, awake)

    def _be_active(
        self, kind: Literal["sleep", "exercise"], start: datetime, end: datetime
    ) -> None:
        self.activities.append(ActivityRecord(start, seconds_between(start, end), kind))

    def _modes(self) -> list[_Mode]:
        modes = []
        if self._index % 5 == 3:
            start = self._at("08:20", 15)
            factor = self._random.choice((0.5, 0.7, 1.4))
            modes.append(_Mode(start, self._later(start, 45, 75), "temp", factor))
        if self._control_iq and self._index % 4 == 2:
            start = self._at("20:00", 20)
            modes.append(_Mode(start, start + timedelta(hours=1), "profile", 1.0))
        return modes

    def _deliver_basal(self) -> None:
        modes = self._modes()
        stops = [moment for mode in modes for moment in (mode.start, mode.end)]
        stops += [gap.start for gap in self._gaps]
        if not self._control_iq:
            stops += [self._midnight + timedelta(minutes=m) for m, _ in (*SCHEDULE, (1440, 0))]
        while self._cursor < self._midnight + timedelta(days=1):
            start = self._cursor
            if resumes := self._gap_at(start):
                self._cursor = resumes
                continue
            seconds, rate, kind = self._next_basal(modes)
            ends = [start + timedelta(seconds=seconds), *(s for s in stops if s > start)]
            self._cursor = min(ends)
            suspended = kind == "algorithm" and rate == 0
            lasted = seconds_between(start, self._cursor)
            self.basal.append(BasalSegment(start, lasted, rate, kind, suspended))
            if suspended:
                self.suspensions.append(SuspensionRecord(start, self._cursor, "control-iq"))

    def _next_basal(self, modes: list[_Mode]) -> tuple[int, float, BasalKind]:
        """Return seconds, U/h and kind of what comes next, if nothing comes in between."""
        scheduled = scheduled_rate(self._cursor)
        for mode in modes:
            if mode.start <= self._cursor < mode.end:
                return 86400, round(scheduled * mode.factor, 3), mode.kind
        if not self._control_iq:
            return 86400, scheduled, "profile"
        soon = self._glucose(self._cursor + timedelta(minutes=30))
        if soon < 78:
            return self._random.randrange(600, 1800), 0.0, "algorithm"
        seconds = 300 if self._random.random() < 0.96 else self._random.choice((599, 600, 899))
        rate = scheduled * min(2.4, max(0.1, 1 + (soon - 115) / 70))
        return seconds, round(min(2.5, rate), 3), "algorithm"


def _give(
    at: datetime, amount: float, *, carbs: int = 0, glucose: int | None = None
) -> BolusRecord:
    """Return a bolus delivered in full, not numbered yet; the pump takes about 20 s for 1 U."""
    units = round(amount, 2)
    completed = at + timedelta(seconds=round(40 + 20 * units))
    return BolusRecord(0, at, completed, units, units, carbs=carbs, glucose=glucose)


def scheduled_rate(at: datetime) -> float:
    """Return the rate of the basal profile at a time of the day, U/h."""
    minute = at.hour * 60 + at.minute
    return next(rate for start, rate in reversed(SCHEDULE) if start <= minute)


def _in_order(records: Iterable[R], end: datetime) -> tuple[R, ...]:
    """Sort, and leave to the next day what starts after the last one."""
    return tuple(sorted((r for r in records if r.began < end), key=attrgetter("began")))
