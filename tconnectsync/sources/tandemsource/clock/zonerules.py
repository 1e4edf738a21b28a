"""When a time zone changes its offset from UTC, as a table for quick searches.

Times are naive UTC here, and an offset is how far a wall clock is ahead of UTC.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tconnectsync.domain.clock import DAY, MINUTE

FIRST, LAST = datetime(2007, 1, 1), datetime(2070, 1, 1)
"""What the table covers: pumps count from 2008. Beyond it, the outermost offsets hold."""
STEP = timedelta(days=10)
"""No zone changes its clocks twice within so few days."""
WIDEST_OFFSET = timedelta(hours=15)
"""No zone is further from UTC."""


class ZoneRules(NamedTuple):
    """When a zone switches, and its offset before, between and after the switches."""

    switches: tuple[datetime, ...]
    offsets: tuple[timedelta, ...]
    """One more than there are switches."""

    def at(self, instant: datetime) -> timedelta:
        """Return the offset at an instant."""
        return self.offsets[bisect_right(self.switches, instant)]

    def between(self, start: datetime, end: datetime) -> range:
        """Return the indices of the offsets in use from ``start`` until just before ``end``."""
        first = bisect_right(self.switches, start)
        return range(first, max(first, bisect_left(self.switches, end)) + 1)

    def of_wall(self, wall: datetime) -> list[timedelta]:
        """Return the offsets with which ``wall`` can be right: two in the repeated hour.

        A time that a spring night leaves out was set forward a bit early.
        """
        before, after = self.at(earlier(wall, DAY)), self.at(earlier(wall, -DAY))
        near = [before, after] if before != after else [before]
        return [offset for offset in near if self.at(utc(wall, offset)) == offset] or [after]

    def last_use(self, offset: timedelta, start: datetime, end: datetime) -> int | None:
        """Return the index of the last use of an offset from ``start`` to ``end``, if any."""
        indices = reversed(self.between(start, end))
        return next((index for index in indices if self.offsets[index] == offset), None)


def is_wrong_date(offset: timedelta) -> bool:
    """Return whether a clock with this offset shows a wrong date, wherever on earth it is."""
    return abs(offset) > WIDEST_OFFSET


def earlier(moment: datetime, by: timedelta) -> datetime:
    """Return a moment earlier by a span, limited to dates that Python can represent."""
    try:
        return moment - by
    except OverflowError:
        return datetime.min if by > timedelta(0) else datetime.max


def utc(wall: datetime, offset: timedelta) -> datetime:
    """Return when a clock with this offset shows ``wall``, limited to representable dates."""
    return earlier(wall, offset)


def wall_of(instant: datetime, offset: timedelta) -> datetime:
    """Return what a clock with this offset shows then, limited to representable dates."""
    return earlier(instant, -offset)


@cache
def zone_rules(zone: ZoneInfo) -> ZoneRules:
    """Return the table of a zone.

    The search goes by wall times, whose offset Python finds eight times faster than an instant's. A
    wall time that exists twice, or not at all, has the offset before the switch. So the first one
    with another offset shows the instant of the switch by the greater of the two offsets.
    """
    switches: list[datetime] = []
    start = FIRST
    offsets = [_offset(zone, start)]
    while start < LAST:
        end = start + STEP
        before, after = offsets[-1], _offset(zone, end)
        if after != before:
            switches.append(_first_with_other_offset(zone, start) - max(before, after))
            offsets.append(after)
        start = end
    return ZoneRules(tuple(switches), tuple(offsets))


def _first_with_other_offset(zone: ZoneInfo, start: datetime) -> datetime:
    """Return the first minute of the wall clock, within a step, with another offset."""
    before = _offset(zone, start)
    same, other = 0, STEP // MINUTE
    while other - same > 1:
        middle = (same + other) // 2
        if _offset(zone, start + middle * MINUTE) == before:
            same = middle
        else:
            other = middle
    return start + other * MINUTE


def _offset(zone: ZoneInfo, wall: datetime) -> timedelta:
    return zone.utcoffset(wall) or timedelta(0)
