"""Where a time, a rate or a glucose value lies in a picture, and what its axes say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import pairwise
from math import ceil

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.profiles import MGDL_PER_MMOL

HALF_HOUR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight scale: ``low`` lies at ``start``, ``high`` at ``end``, in units of the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value lies; what is beyond the scale lies at its nearer end."""
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class TimeScale:
    """The time from left to right: an hour that is repeated has its own place."""

    range: TimeRange
    width: float

    def __call__(self, at: datetime) -> float:
        """Return where an instant lies; before the range it is negative."""
        return (at - self.range.start) / (self.range.end - self.range.start) * self.width


@dataclass(frozen=True, slots=True)
class Tick:
    """A full hour of the pump's clock."""

    at: datetime
    text: str
    """Such as ``06:00``; empty where only the line is drawn."""


def halves(time_range: TimeRange) -> tuple[TimeRange, TimeRange]:
    """Return two parts of a range that last equally long."""
    middle = time_range.start + (time_range.end - time_range.start) / 2
    return TimeRange(time_range.start, middle), TimeRange(middle, time_range.end)


def ticks(time_range: TimeRange, clock: PumpClock) -> Iterator[Tick]:
    """Yield the full hours of the pump's clock within a range, every third one with its text."""
    at = time_range.start
    while at < time_range.end:
        wall = clock.here(at)
        if not wall.minute:
            yield Tick(wall, f"{wall:%H:%M}" if wall.hour % 3 == 0 else "")
        at += HALF_HOUR


def clock_changes(time_range: TimeRange, clock: PumpClock) -> Iterator[tuple[datetime, timedelta]]:
    """Yield when within a range the pump's clock is set on or back, and by how much."""
    steps = int((time_range.end - time_range.start) / HALF_HOUR)
    walls = [clock.here(time_range.start + step * HALF_HOUR) for step in range(steps + 1)]
    for before, after in pairwise(walls):
        changed = (after.utcoffset() or timedelta(0)) - (before.utcoffset() or timedelta(0))
        if changed:
            yield after, changed


def instant_of_day(day_start: datetime, seconds: float, clock: PumpClock) -> datetime:
    """Return when, on the day that begins at ``day_start``, the pump shows a time of the day."""
    midnight = datetime.combine(day_start.date(), time())
    return clock.instant(midnight + timedelta(seconds=seconds))


def top_of_glucose(highest: float, *, mmol: bool) -> float:
    """Return where a glucose axis ends that holds a value, in mg/dL: a round number of its unit."""
    step = 5 * MGDL_PER_MMOL if mmol else 50.0
    return max(ceil(300 / step), ceil(highest / step)) * step


def round_up(value: float) -> float:
    """Return the next round number from which on an axis of insulin is well read."""
    for step in (0.5, 1.0, 2.0, 5.0):
        if value <= 5 * step:
            return max(1, ceil(value / step)) * step
    return ceil(value / 10) * 10.0
