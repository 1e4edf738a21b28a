"""Ranges by days, and cutting them into windows.

Days are days of the pump's calendar, wherever the program runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from tconnectsync.domain.clock import DAY, PumpClock, TimeRange
from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.errors import UsageError


def last_days(days: int, now: datetime) -> TimeRange:
    """Return the ``days`` times 24 hours before ``now``."""
    return TimeRange(now - days * DAY, now)


def date_range(first: date, last: date, clock: PumpClock, now: datetime) -> TimeRange:
    """Return the range from the beginning of ``first`` to the end of ``last``, but not after now.

    Raises:
        UsageError: the range begins in the future, or before there were pumps.
    """
    if first < PUMP_EPOCH.date():
        raise UsageError(
            f"--start-date {first} lies before there were pumps: try {PUMP_EPOCH.date()}."
        )
    start, today = clock.midnight(first), clock.day(now)
    if start >= now:
        raise UsageError(f"--start-date {first} lies in the future: it is {today} on the pump.")
    return TimeRange(start, min(clock.midnight(min(last, today) + DAY), now))


def windows(time_range: TimeRange, days: int, clock: PumpClock) -> Iterator[TimeRange]:
    """Cut a range into windows of at most ``days`` calendar days, in time order."""
    start = time_range.start
    while start < time_range.end:
        end = min(clock.midnight(clock.day(start) + days * DAY), time_range.end)
        yield TimeRange(start, end)
        start = end


def halves(window: TimeRange, clock: PumpClock) -> Iterator[TimeRange]:
    """Cut a window into two of whole calendar days; one of a single day stays whole."""
    first, last = clock.days(window)
    days = (last - first).days + 1
    return windows(window, (days + 1) // 2, clock)
