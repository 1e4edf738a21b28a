"""Cuts an offset interval into segments: wall times that share one offset.

The best hypothesis has been chosen by then; where it leaves a doubt, the zone's rules count. Times
are naive UTC here, wall times apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from tconnectsync.domain.clock import MINUTE, fixed_zone
from tconnectsync.sources.tandemsource.clock.changes import ClockChange
from tconnectsync.sources.tandemsource.clock.hypotheses import YEAR, home_offsets
from tconnectsync.sources.tandemsource.clock.intervals import OffsetInterval
from tconnectsync.sources.tandemsource.clock.zonerules import (
    ZoneRules,
    earlier,
    is_wrong_date,
    utc,
    wall_of,
)


class Segment(NamedTuple):
    """Wall times with one offset: those before ``until`` that are in no segment before.

    The last segment also holds what comes later.
    """

    until: datetime
    zone: timezone
    conversion_offset: timedelta | None = None
    """The offset to subtract from a wall time whose date is wrong."""
    second_half: timezone | None = None
    """The zone of the second half, where these wall times occur twice."""


def segments_of_zone(rules: ZoneRules, first: int = 0, last: int | None = None) -> list[Segment]:
    """Return the zone's rules; its offset number ``first`` holds before, ``last`` ever after."""
    last = len(rules.switches) if last is None else last
    found = []
    for index in range(first, last):
        switch, before, after = rules.switches[index], *rules.offsets[index : index + 2]
        found.append(Segment(switch + after, fixed_zone(before)))
        if after < before:
            second_half = fixed_zone(after)
            found.append(Segment(switch + before, fixed_zone(before), second_half=second_half))
    return [*found, _segment(rules.offsets[last])]


def segments_of(interval: OffsetInterval, rules: ZoneRules, now: datetime | None) -> list[Segment]:
    """Return the segments of an offset interval.

    An interval between two changes has one offset. The first one and one that lacks a change have
    the zone's rules as far as they agree with the offsets at its beginning and its end.

    ``now`` is about when the newest entry was written, if that is known.
    """
    change, following = interval.begun_by, interval.ended_by
    if change and not interval.lacks_a_change:
        return [_segment(interval.exact_end)]
    if following and is_wrong_date(interval.end):
        return _zone_within_wrong_date(interval, following, rules)
    end = utc(following.before, interval.end) if following else now or datetime.max
    start = utc(change.after, interval.begin) if change else earlier(end, YEAR)
    last = rules.last_use(interval.end, start, end)
    if last is None:
        return [_segment(interval.end)]
    if following is None and rules.at(end) == interval.end:
        last = len(rules.switches)
    in_use = rules.between(start, end) if change else range(0)
    first = next((index for index in in_use if rules.offsets[index] == interval.begin), 0)
    return segments_of_zone(rules, first, last)


def segments_around_loss(
    interval: OffsetInterval, rules: ZoneRules, walls: Sequence[datetime]
) -> tuple[list[Segment], list[Segment]]:
    """Return the segments for before and for after the clock lost its date within an interval.

    They are for a log that shows where that was: ``walls`` are the last wall time before it and
    the first one after it, if both are known.
    """
    change, first, last = interval.begun_by, 0, len(rules.switches)
    after = [_segment(interval.exact_end)]
    if change:
        if interval.begin not in home_offsets(change, rules):
            return [_segment(interval.begin)], after
        first = bisect_right(rules.switches, utc(change.after, interval.begin))
        if rules.offsets[first] != interval.begin:
            first = 0
    if len(walls) == 2:
        last_right, first_wrong = walls
        lost_by = utc(first_wrong, interval.exact_end)
        if utc(last_right, rules.of_wall(last_right)[-1]) > earlier(lost_by, -MINUTE):
            # By the rules it would be later: the person was late with the end of daylight saving.
            last = max(first, bisect_right(rules.switches, lost_by) - 1)
    return segments_of_zone(rules, first, last), after


def _segment(offset: timedelta, until: datetime = datetime.max) -> Segment:
    if is_wrong_date(offset):
        return Segment(until, UTC, offset)
    return Segment(until, fixed_zone(offset))


def _zone_within_wrong_date(
    interval: OffsetInterval, following: ClockChange, rules: ZoneRules
) -> list[Segment]:
    """Return the zone's rules for the wall times that lie within an interval by them.

    All others have the wrong date with which it ended. A pump comes with an old date, so what its
    log begins with and is not later than the end of that date has it as well.
    """
    end = utc(following.before, interval.end)
    latest = wall_of(end, rules.at(end))
    earliest = interval.begun_by.after if interval.begun_by else datetime.min
    if interval.begun_by is None and following.before < latest:
        earliest = following.before + MINUTE
    of_zone = segments_of_zone(rules)
    within = [segment for segment in of_zone if earliest < segment.until < latest]
    outermost = next(segment for segment in of_zone if segment.until >= latest)
    return [
        _segment(interval.exact_end, earliest),
        *within,
        outermost._replace(until=max(latest, earliest)),
        _segment(interval.exact_end),
    ]
