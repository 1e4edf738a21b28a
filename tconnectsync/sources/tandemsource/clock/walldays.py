"""Which days a pump's clock showed in a range of real time.

A cloud that keeps a log by the pump's calendar has the entries of a time in which the pump's date
was wrong under those other days. Times are naive UTC here, wall times apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from tconnectsync.sources.tandemsource.clock.intervals import (
    DAY,
    ClockChange,
    Hypothesis,
    is_absurd,
)
from tconnectsync.sources.tandemsource.clock.segments import exact_end, is_lost
from tconnectsync.sources.tandemsource.clock.zonerules import ZoneRules, earlier, wall_of

FIRST_DAY = datetime(2008, 1, 1)
"""No pump's clock shows an earlier day."""
BLUR = timedelta(hours=1)
"""More than a clock goes wrong by itself between two settings."""

Span = tuple[datetime, datetime]
Days = list[tuple[date, date]]
"""First and last days, each pair inclusive, in order and apart from one another."""


def wall_days(
    wanted: Span,
    around: timedelta,
    changes: Sequence[ClockChange],
    chosen: Hypothesis | None,
    rules: ZoneRules,
) -> Days:
    """Return the days that the clock showed from the start of ``wanted`` until just before its end.

    Args:
        wanted: the range.
        around: how much more, on both sides, counts where the clock showed a wrong date.
        changes: those that shift the clock, in order of place.
        chosen: the hypothesis about the clock, if there is one.
        rules: what the zone does.
    """
    spans = list(_shown(*wanted, [rules.at(each) for each in wanted]))
    chain = list(chosen.newest_first())[::-1] if chosen else []
    for index, hypothesis in enumerate(chain):
        change = changes[index - 1] if index else None
        following = changes[index] if index < len(changes) else None
        offset = exact_end(hypothesis, following, chain[index + 1 :])
        begin = earlier(change.after, hypothesis.begin + BLUR) if change else datetime.min
        end = earlier(following.before, offset - BLUR) if following else datetime.max
        right = [each for each in (hypothesis.begin, offset) if not is_absurd(each)]
        spans += _shown(max(wanted[0], begin), min(wanted[1], end), right)
        if not is_absurd(offset):
            continue
        first = max(earlier(wanted[0], around), begin)
        last = min(earlier(wanted[1], -around), end)
        spans += _shown(first, last, [offset])
        if first < last and following and is_lost(index, hypothesis):
            # From when on the date was wrong is seen by what else was written on that last day.
            shown_rightly = wall_of(first, rules.at(first)) <= following.before < end
            spans += [(following.before, following.before)] if shown_rightly else []
    return merged((first.date(), last.date()) for first, last in spans if last >= FIRST_DAY)


def merged(days: Iterable[tuple[date, date]]) -> Days:
    """Return pairs of days in order, those that touch or overlap as one."""
    found: Days = []
    for first, last in sorted((max(first, FIRST_DAY.date()), last) for first, last in days):
        if found and first.toordinal() <= found[-1][1].toordinal() + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        elif first <= last:
            found.append((first, last))
    return found


def without(days: Iterable[tuple[date, date]], known: Iterable[tuple[date, date]]) -> Days:
    """Return those days that are not ``known``."""
    left = merged(days)
    for first, last in known:
        pieces = []
        for start, end in left:
            if last < start or end < first:
                pieces.append((start, end))
                continue
            if start < first:
                pieces.append((start, first - DAY))
            if last < end:
                pieces.append((last + DAY, end))
        left = pieces
    return left


def _shown(first: datetime, last: datetime, offsets: Iterable[timedelta]) -> Iterator[Span]:
    """Yield what clocks with these offsets show from ``first`` until just before ``last``."""
    if first < last:
        until = earlier(last, timedelta(microseconds=1))
        yield from ((wall_of(first, offset), wall_of(until, offset)) for offset in offsets)
