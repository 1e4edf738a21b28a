"""Which days a pump's clock showed in a range of real time.

A cloud that keeps a log by the pump's calendar has the entries of a time in which the pump's date
was wrong under those other days. Times are naive UTC here, wall times apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from tconnectsync.domain.clock import DAY
from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.sources.tandemsource.clock.intervals import OffsetInterval
from tconnectsync.sources.tandemsource.clock.zonerules import (
    ZoneRules,
    earlier,
    is_wrong_date,
    wall_of,
)

BLUR = timedelta(hours=1)
"""More than the clock drift between two settings."""

Span = tuple[datetime, datetime]
Days = list[tuple[date, date]]
"""First and last days, each pair inclusive, in order and apart from one another."""


def wall_days(
    time_range: Span, around: timedelta, intervals: Iterable[OffsetInterval], rules: ZoneRules
) -> Days:
    """Return the days that the clock showed from the start of a range until just before its end.

    Args:
        time_range: the range.
        around: how much more, on both sides, counts where the clock showed a wrong date.
        intervals: the clock's offset intervals, as far as they are known.
        rules: what the zone does.
    """
    spans = list(_shown(*time_range, [rules.at(each) for each in time_range]))
    for interval in intervals:
        change, following, offset = interval.begun_by, interval.ended_by, interval.exact_end
        begin = earlier(change.after, interval.begin + BLUR) if change else datetime.min
        end = earlier(following.before, offset - BLUR) if following else datetime.max
        right = [each for each in (interval.begin, offset) if not is_wrong_date(each)]
        spans += _shown(max(time_range[0], begin), min(time_range[1], end), right)
        if not is_wrong_date(offset):
            continue
        first = max(earlier(time_range[0], around), begin)
        last = min(earlier(time_range[1], -around), end)
        spans += _shown(first, last, [offset])
        if first < last and following and interval.may_have_lost_its_date:
            # From when on the date was wrong is seen by what else was written on that last day.
            shown_rightly = wall_of(first, rules.at(first)) <= following.before < end
            spans += [(following.before, following.before)] if shown_rightly else []
    return merged((first.date(), last.date()) for first, last in spans if last >= PUMP_EPOCH)


def merged(days: Iterable[tuple[date, date]]) -> Days:
    """Return pairs of days in order, those that touch or overlap as one."""
    found: Days = []
    for first, last in sorted((max(first, PUMP_EPOCH.date()), last) for first, last in days):
        if found and first.toordinal() <= found[-1][1].toordinal() + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        elif first <= last:
            found.append((first, last))
    return found


def without(days: Iterable[tuple[date, date]], known: Iterable[tuple[date, date]]) -> Days:
    """Return those days that are not ``known``."""
    left = merged(days)
    for first, last in known:
        parts = []
        for start, end in left:
            if last < start or end < first:
                parts.append((start, end))
                continue
            if start < first:
                parts.append((start, first - DAY))
            if last < end:
                parts.append((last + DAY, end))
        left = parts
    return left


def _shown(first: datetime, last: datetime, offsets: Sequence[timedelta]) -> Iterator[Span]:
    """Yield what clocks with these offsets show from ``first`` until just before ``last``."""
    if first < last:
        until = earlier(last, timedelta(microseconds=1))
        yield from ((wall_of(first, offset), wall_of(until, offset)) for offset in offsets)
