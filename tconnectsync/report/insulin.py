"""Sums of insulin in exact arithmetic, so that two ways to the same amount never differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction

from tconnectsync.domain.clock import HOUR, TimeRange

MICROSECOND = timedelta(microseconds=1)


def exact_sum(amounts: Iterable[float]) -> float:
    """Return the sum of some amounts, of insulin or carbs, as they are written."""
    return float(sum((Fraction(repr(float(amount))) for amount in amounts), Fraction()))


def insulin_of_rates(parts: Iterable[tuple[float, timedelta]]) -> float:
    """Return the insulin (U) that flowed at some rates (U/h), each for some time."""
    lengths: defaultdict[float, int] = defaultdict(int)
    for rate, length in parts:
        lengths[rate] += length // MICROSECOND
    per_hour = HOUR // MICROSECOND
    total = sum((Fraction(repr(float(rate))) * it for rate, it in lengths.items()), Fraction())
    return float(total / per_hour)


def overlap(start: datetime, end: datetime, time_range: TimeRange) -> timedelta:
    """Return how long something lasted within a range; nothing if it lies outside."""
    return max(min(end, time_range.end) - max(start, time_range.start), timedelta())
