"""Which range a run covers, how far it reaches back to catch up, and cutting it into windows.

Days are days of the pump's calendar, wherever the program runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.errors import UsageError

DAY = timedelta(days=1)


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


def caught_up(
    wanted: TimeRange,
    newest: Iterable[datetime | None],
    limit_days: float,
    unfinished_since: datetime | None = None,
) -> tuple[TimeRange, bool]:
    """Extend a range back to where earlier runs left off.

    Args:
        wanted: the range asked for.
        newest: the newest document of ours per regular kind; ``None`` for a kind without any.
        limit_days: how far before its end the range may begin at the most.
        unfinished_since: from when on earlier runs could not bring everything.

    Returns:
        The range, and whether the limit kept it from reaching back to the newest document.
    """
    known = [instant for instant in newest if instant]
    earliest = min(wanted.start, wanted.end - timedelta(days=limit_days))
    if known and max(known) < earliest:
        return TimeRange(earliest, wanted.end), True
    # A kind that stopped before the limit while others went on has not happened since, as site
    # changes may. A day of grace: the limit moves on, and what keeps failing was within it lately.
    left_off = [instant for instant in known if instant >= earliest - DAY]
    if unfinished_since:
        left_off.append(unfinished_since)
    return TimeRange(max(min([wanted.start, *left_off]), earliest), wanted.end), False


def windows(wanted: TimeRange, days: int, clock: PumpClock) -> Iterator[TimeRange]:
    """Cut a range into windows of at most ``days`` calendar days, in time order."""
    start = wanted.start
    while start < wanted.end:
        end = min(clock.midnight(clock.day(start) + days * DAY), wanted.end)
        yield TimeRange(start, end)
        start = end


def halves(window: TimeRange, clock: PumpClock) -> Iterator[TimeRange]:
    """Cut a window into two of whole calendar days; one of a single day stays whole."""
    last = clock.day(window.end - timedelta(microseconds=1))
    days = (last - clock.day(window.start)).days + 1
    return windows(window, (days + 1) // 2, clock)
