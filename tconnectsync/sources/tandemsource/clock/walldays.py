"""Which days a pump's clock showed in a range of real time.

A cloud that keeps a log by the pump's calendar has the entries of a time in which the pump's date
was wrong under those other days. Times are naive UTC here, wall times apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from tconnectsync.domain import clock
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
            # Also read that last day: its other entries show when the date became wrong.
            shown_rightly = wall_of(first, rules.at(first)) <= following.before < end
            spans += [(following.before, following.before)] if shown_rightly else []
    return merged((first.date(), last.date()) for first, last in spans if last >= PUMP_EPOCH)


def merged(days: Iterable[tuple[date, date]]) -> Days:
    """Return pairs of days in order, those that touch or overlap as one."""
    return _days(clock.merged(_spans(days)))


def without(days: Iterable[tuple[date, date]], known: Iterable[tuple[date, date]]) -> Days:
    """Return those days that are not ``known``."""
    return _days(clock.without(clock.merged(_spans(days)), _spans(known)))


def _spans(days: Iterable[tuple[date, date]]) -> Iterator[tuple[int, int]]:
    """Yield pairs of days as spans of their numbers, without days before there were pumps."""
    for first, last in days:
        start, end = max(first, PUMP_EPOCH.date()).toordinal(), last.toordinal() + 1
        if start < end:
            yield start, end


def _days(spans: Iterable[tuple[int, int]]) -> Days:
    return [(date.fromordinal(start), date.fromordinal(end - 1)) for start, end in spans]


def _shown(first: datetime, last: datetime, offsets: Sequence[timedelta]) -> Iterator[Span]:
    """Yield what clocks with these offsets show from ``first`` until just before ``last``."""
    if first < last:
        until = earlier(last, timedelta(microseconds=1))
        yield from ((wall_of(first, offset), wall_of(until, offset)) for offset in offsets)
