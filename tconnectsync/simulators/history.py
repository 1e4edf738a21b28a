"""What an insulin pump did, in no cloud's format: the records, and how much insulin they are.

All times are the pump's wall clock, without zone. The records say what the pump delivered, what it
had delivered at an earlier moment (``as_of``), and how much insulin that was. A simulated cloud
translates them into its own payloads.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from operator import attrgetter
from typing import Literal, Protocol, Self, TypeVar

CARB_RATIO = 8
"""Grams of carbohydrate covered by 1 U."""

CORRECTION_FACTOR = 40
"""mg/dL by which 1 U lowers the glucose."""

TARGET = 110
"""Glucose aimed at, mg/dL."""

_DURATION_OF_INSULIN = timedelta(hours=5)


BasalKind = Literal["profile", "temp", "algorithm"]
GapReason = Literal["manual", "site change", "alarm"]


class Record(Protocol):
    """Anything the pump noted down."""

    @property
    def began(self) -> datetime:
        """When it happened or started."""

    def as_of(self, moment: datetime) -> Self | None:
        """Return what the pump knew of it at ``moment``; ``None`` when that was nothing yet."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class _Period:
    start: datetime
    duration_seconds: int

    @property
    def began(self) -> datetime:
        """When it started."""
        return self.start

    @property
    def end(self) -> datetime:
        """When it was over."""
        return self.start + timedelta(seconds=self.duration_seconds)

    def as_of(self, moment: datetime) -> Self | None:
        """Return it with the time that had passed by ``moment``."""
        known = seconds_between(self.start, moment)
        if known <= 0:
            return None
        return self if known >= self.duration_seconds else replace(self, duration_seconds=known)


@dataclass(frozen=True, slots=True)
class BasalSegment(_Period):
    """Background insulin at one rate (U/h)."""

    rate: float
    kind: BasalKind
    suspended: bool = False
    """Control-IQ stopped the delivery; a suspension starts at the same second."""


@dataclass(frozen=True, slots=True)
class ActivityRecord(_Period):
    """A period of sleep or exercise mode."""

    kind: Literal["sleep", "exercise"]


@dataclass(frozen=True, slots=True)
class ExtendedPart:
    """The part of a bolus delivered evenly over a longer time; amounts in U."""

    start: datetime
    end: datetime | None
    """``None`` while it is being delivered."""
    insulin: float
    requested_insulin: float
    duration_minutes: int
    immediate_percent: int
    """How much of the whole bolus is given at once."""
    pauses: tuple[tuple[datetime, datetime], ...] = ()
    """When it stood still in between, in time order."""

    def as_of(self, moment: datetime) -> Self:
        """Return what was known at ``moment``, also before it started."""
        if self.end is None or moment >= self.end:
            return self
        # Without the pauses, it flows evenly.
        end, known = (each - self._stood_still(each) for each in (self.end, moment))
        return replace(self, end=None, insulin=_share(self.insulin, self.start, end, known))

    def _stood_still(self, until: datetime) -> timedelta:
        spans = (min(end, until) - min(start, until) for start, end in self.pauses)
        return sum(spans, timedelta(0))


@dataclass(frozen=True, slots=True)
class BolusRecord:
    """Insulin given at once, and perhaps a part given over time; amounts in U."""

    request_id: int
    requested: datetime
    completed: datetime | None
    """When the immediate part ended; ``None`` while it is being delivered."""
    insulin: float
    """The immediate part delivered."""
    requested_insulin: float
    """The immediate part asked for."""
    kind: Literal["standard", "automatic", "extended"] = "standard"
    status: Literal["completed", "user aborted", "running"] = "completed"
    carbs: int = 0
    """Grams."""
    glucose: int | None = None
    """mg/dL, as entered or taken from the sensor."""
    food: float = 0.0
    """What the pump calculated for the carbs."""
    correction: float = 0.0
    """What the pump calculated for the glucose."""
    override: bool = False
    """The person asked for another amount than calculated."""
    extended: ExtendedPart | None = None
    end_in_log: Literal["whole", "progress", "none"] = "whole"
    """Whether the pump's own log says how it ended: entirely, only in what it says of progress
    (an extended part then just breaks off), or not at all."""

    @property
    def began(self) -> datetime:
        """When it was asked for."""
        return self.requested

    def as_of(self, moment: datetime) -> Self | None:
        """Return it with the insulin given by ``moment``."""
        if moment <= self.requested:
            return None
        extended = self.extended.as_of(moment) if self.extended else None
        if self.completed is None or moment >= self.completed:
            return self if extended is self.extended else replace(self, extended=extended)
        given = _share(self.insulin, self.requested, self.completed, moment)
        return replace(self, completed=None, insulin=given, status="running", extended=extended)

    @property
    def delivered(self) -> float:
        """All insulin of both parts, U."""
        return round(self.insulin + (self.extended.insulin if self.extended else 0.0), 2)

    @property
    def total_requested(self) -> float:
        """The U asked for, immediate and extended part together."""
        later = self.extended.requested_insulin if self.extended else 0.0
        return round(self.requested_insulin + later, 2)

    @property
    def immediate_percent(self) -> int:
        """How much of the whole is given at once."""
        return self.extended.immediate_percent if self.extended else 100


@dataclass(frozen=True, slots=True)
class SuspensionRecord:
    """No basal insulin for a while.

    Only when Control-IQ is the reason there is a basal segment too, of rate 0.
    """

    start: datetime
    end: datetime | None
    """``None`` while it lasts."""
    reason: GapReason | Literal["control-iq"]

    @property
    def began(self) -> datetime:
        """When it started."""
        return self.start

    def as_of(self, moment: datetime) -> Self | None:
        """Return it without its end while it lasts."""
        if moment <= self.start:
            return None
        return self if self.end is None or moment >= self.end else replace(self, end=None)


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime

    @property
    def began(self) -> datetime:
        """When it happened."""
        return self.at

    def as_of(self, moment: datetime) -> Self | None:
        """Return it once it has happened."""
        return self if self.at <= moment else None


@dataclass(frozen=True, slots=True)
class SiteChange(_Moment):
    """A new cartridge was filled, or a new infusion site."""

    part: Literal["cartridge", "site"]


@dataclass(frozen=True, slots=True)
class CgmReading(_Moment):
    """A sensor value, mg/dL."""

    mgdl: int


@dataclass(frozen=True, slots=True)
class FingerStick(_Moment):
    """A blood glucose measured at a finger and entered to calibrate the sensor, mg/dL."""

    mgdl: int


@dataclass(frozen=True, slots=True)
class PumpHistory:
    """All a pump did from the first second of ``first_day`` on; every sequence in time order.

    Segments, manual suspensions, site changes and alarms never overlap. The last records of a
    sequence may reach beyond the last day.
    """

    first_day: date
    days: int
    control_iq: bool
    basal: Sequence[BasalSegment] = ()
    boluses: Sequence[BolusRecord] = ()
    suspensions: Sequence[SuspensionRecord] = ()
    activities: Sequence[ActivityRecord] = ()
    site_changes: Sequence[SiteChange] = ()
    readings: Sequence[CgmReading] = ()
    finger_sticks: Sequence[FingerStick] = ()

    @property
    def end(self) -> datetime:
        """The midnight after the last day."""
        return midnight(self.first_day) + timedelta(days=self.days)


def between(records: Sequence[R], start: datetime, end: datetime) -> Sequence[R]:
    """Return the records that began from ``start`` on and before ``end``."""
    began = attrgetter("began")
    return records[bisect_left(records, start, key=began) : bisect_left(records, end, key=began)]


def basal_insulin(history: PumpHistory, start: datetime, end: datetime) -> float:
    """Return the U delivered as basal from ``start`` to ``end``."""
    return sum(
        s.rate * max(0, seconds_between(max(s.start, start), min(s.end, end))) / 3600
        for s in history.basal
    )


def bolus_insulin(history: PumpHistory, start: datetime, end: datetime) -> float:
    """Return the U delivered as boluses, immediate and extended parts, from ``start`` to ``end``.

    What was being delivered at either end counts with the share delivered inside.
    """
    total = 0.0
    for bolus in between(history.boluses, datetime.min, end):
        before, after = bolus.as_of(start), bolus.as_of(end)
        total += (after.delivered if after else 0.0) - (before.delivered if before else 0.0)
    return round(total, 2)


def insulin_on_board(history: PumpHistory, at: datetime) -> float:
    """Return the U of earlier boluses that still act at ``at``; it fades over five hours."""
    total = 0.0
    for bolus in between(history.boluses, at - _DURATION_OF_INSULIN, at):
        faded = seconds_between(bolus.requested, at) / _DURATION_OF_INSULIN.total_seconds()
        known = bolus.as_of(at)
        total += (known.delivered if known else 0.0) * (1 - faded) ** 2
    return round(total, 2)


def _share(amount: float, start: datetime, end: datetime, moment: datetime) -> float:
    """Return how much of ``amount`` was delivered by ``moment``, in whole hundredths."""
    share = min(1.0, max(0.0, (moment - start) / (end - start)))
    return math.floor(amount * share * 100 + 1e-6) / 100


def seconds_between(start: datetime, end: datetime) -> int:
    """Return the whole seconds from ``start`` to ``end``."""
    return int((end - start).total_seconds())


def midnight(day: date) -> datetime:
    """Return the first moment of a day."""
    return datetime.combine(day, time.min)
