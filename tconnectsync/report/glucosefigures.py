"""What the sensor's readings say: time in range, mean, spread, and the profile over the day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from math import sqrt

from tconnectsync.domain.clock import DAY, MINUTE, TimeRange
from tconnectsync.domain.events import Reading, ReadingKind
from tconnectsync.report.model import BANDS, Glucose, Percentiles

EVERY = timedelta(minutes=5)
"""How often a sensor reads."""
GMI_BASE, GMI_PER_MGDL = 3.31, 0.02392
"""%, and % per mg/dL of the mean: the consensus' glucose management indicator."""
STEP, AROUND = 15, 15
"""Minutes between the points of the profile, and how far before and after readings count for it."""
MINUTES_OF_DAY = DAY // MINUTE
LEAST_DAYS = 3
"""Readings of fewer days make no point of the profile."""


class ReadingCounts:
    """The readings of the sensor, counted as they come: memory does not grow with the days.

    What a person measured at a finger does not count: such values are taken when something is
    wrong.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._by_slot: dict[int, Counter[int]] = defaultdict(Counter)
        """By quarter of an hour of the pump's clock."""
        self._days: dict[int, set[date]] = defaultdict(set)
        self._covered = 0.0
        self._expected = 0.0

    def add(self, readings: Iterable[Reading], time_range: TimeRange) -> None:
        """Count the readings of a range, in time order; ranges must not overlap."""
        covered, last = 0, time_range.start - EVERY
        for reading in readings:
            if reading.kind is ReadingKind.FINGER:
                continue
            if reading.at - last > EVERY / 2:  # No copy, and times vary by some seconds.
                covered, last = covered + 1, reading.at
            slot = (reading.at.hour * 60 + reading.at.minute) // STEP
            self._counts[reading.glucose] += 1
            self._by_slot[slot][reading.glucose] += 1
            self._days[slot].add(reading.at.date())
        expected = (time_range.end - time_range.start) / EVERY
        self._expected += expected
        self._covered += min(covered, expected)

    def glucose(self) -> Glucose | None:
        """Return what they say; ``None`` without any."""
        number = self._counts.total()
        if not number:
            return None
        total = sum(value * times for value, times in self._counts.items())
        squares = sum(value * value * times for value, times in self._counts.items())
        mean = total / number
        # Of whole numbers, so that nothing is lost where all are alike.
        spread = (number * squares - total * total) / (number * (number - 1)) if number > 1 else 0.0
        return Glucose(
            readings=number,
            coverage=min(1.0, self._covered / self._expected) if self._expected else 0.0,
            mean=mean,
            deviation=sqrt(spread),
            gmi=GMI_BASE + GMI_PER_MGDL * mean,
            shares={
                band.name: sum(
                    times for value, times in self._counts.items() if band.low <= value < band.high
                )
                / number
                for band in BANDS
            },
            profile=list(self._profile()),
        )

    def _profile(self) -> Iterable[Percentiles]:
        """Yield a point for every quarter of an hour, of the readings around it.

        The last one, at midnight, is the first one again.
        """
        slots = MINUTES_OF_DAY // STEP
        for slot in range(slots + 1):
            around = [each % slots for each in range(slot - AROUND // STEP, slot + AROUND // STEP)]
            counts = sum((self._by_slot.get(each, Counter()) for each in around), Counter[int]())
            days: set[date] = set().union(*(self._days.get(each, set()) for each in around))
            if len(days) >= LEAST_DAYS:
                yield Percentiles(slot * STEP, *percentiles(counts, (5, 25, 50, 75, 95)))


def percentiles(counts: Counter[int], percents: Iterable[float]) -> list[float]:
    """Return percentiles of counted values, between two of them in proportion.

    0 % is the lowest value and 100 % the highest, as spreadsheets have it.
    """
    number, found = counts.total(), []
    ordered = sorted(counts.items())
    for percent in percents:
        place = percent / 100 * (number - 1)
        below = int(place)
        low, high = _at_place(ordered, below), _at_place(ordered, min(below + 1, number - 1))
        found.append(low + (high - low) * (place - below))
    return found


def _at_place(ordered: list[tuple[int, int]], place: int) -> int:
    """Return the value at a place, from 0 on, among counted values in order."""
    for value, times in ordered:
        place -= times
        if place < 0:
            return value
    raise IndexError(place)
