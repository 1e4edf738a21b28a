"""The clock of a pump whose log records the changes of it: from wall times to instants.

The rules, in the order in which they count; the method itself is explained in ``clock/__init__``:

1. Between two recorded changes the clock's offset from UTC is constant; a change shifts it by what
   it says, less the clock drift. So one offset fixes all of them, and of all hypotheses the
   cheapest is taken: usually the one in which every interval begins with the zone's own offset.
2. An entry cannot lie after its own upload. A hypothesis that puts the newest entry there gives way
   to the cheapest one that does not; one that puts it long before the upload gives way to the
   zone's rules, or to one that costs no more, if with that it fits the upload.
3. Where no upload decides, the log is taken at its word for 45 days, because people are late with
   daylight saving and travel; a difference that is older gives way to the zone's rules.
4. Where the clock fell behind by days without a note (its battery was flat) and was put right, the
   entry at which the wall times step back shows from where on the date was wrong.
5. Without any change on record, and where a switch of the zone is missing from the record, the
   zone's rules count; the order of the log decides between the two halves of a repeated hour.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.clock import DAY, MINUTE, PumpClock, TimeRange, fixed_zone
from tconnectsync.sources.tandemsource.clock.changes import FIRST_SOLD, ClockChange, LogPosition
from tconnectsync.sources.tandemsource.clock.evidence import evidence_of
from tconnectsync.sources.tandemsource.clock.hypotheses import YEAR, best_hypothesis
from tconnectsync.sources.tandemsource.clock.intervals import OffsetInterval, offset_intervals
from tconnectsync.sources.tandemsource.clock.segments import (
    Segment,
    segments_around_loss,
    segments_of,
    segments_of_zone,
)
from tconnectsync.sources.tandemsource.clock.walldays import Days, wall_days
from tconnectsync.sources.tandemsource.clock.zonerules import (
    WIDEST_OFFSET,
    is_wrong_date,
    zone_rules,
)

JITTER = 5 * MINUTE
"""A larger step back between two entries is a clock put back."""
LONGEST_SHIFT = 100 * YEAR
"""A larger change of the clock is impossible."""
SUMMER_TIME = 70 * MINUTE
"""A step back by less may be the hour that an autumn night repeats."""
BEFORE_ALL, BEYOND_ALL = (0, 0), (1 << 64, 0)
"""Before the first position in a log, and after the last."""

Entries = Sequence[tuple[LogPosition, datetime]]
"""Entries by log position and naive wall time, in order of position."""


class _Section(NamedTuple):
    """The segments of the part of a log from one position until just before another."""

    start: LogPosition
    stop: LogPosition
    segments: list[Segment]


class LogClock:
    """The clock of a pump whose log is known to its newest entry.

    Args:
        clock: the clock with the zone that it should have.
        changes: what the log records of changes, in any order.
        newest: the wall time of the newest entry of the whole log, if known.
        uploaded: when the log was last uploaded, if known.
        oldest: the wall time of the oldest entry of the whole log, if known.
    """

    def __init__(
        self,
        clock: PumpClock,
        changes: Iterable[ClockChange],
        *,
        newest: datetime | None,
        uploaded: datetime | None,
        oldest: datetime | None = None,
    ) -> None:
        self.zone_name = clock.zone.key
        shifting = [
            each for each in changes if each.shift and abs(each.exact_shift) < LONGEST_SHIFT
        ]
        self._changes = sorted(shifting, key=lambda change: change.position)
        self._rules = zone_rules(clock.zone)
        self._evidence = evidence_of(
            self._changes, self._rules, newest=newest, oldest=oldest, uploaded=uploaded
        )
        best = best_hypothesis(self._changes, self._rules, self._evidence)
        self._intervals = offset_intervals(self._changes, best)

    # -- facts about the clock ---------------------------------------------------------------------

    @property
    def ahead(self) -> timedelta:
        """How far the clock is ahead of its zone now; negative if behind, zero if unknown."""
        now = self._evidence.now
        if not self._intervals or (now is None and not self.shows_wrong_date):
            return timedelta(0)
        return self._intervals[-1].end - (self._rules.at(now) if now else timedelta(0))

    @property
    def shows_wrong_date(self) -> bool:
        """Whether the clock shows a wrong date now, by what is on record."""
        return bool(self._intervals) and is_wrong_date(self._intervals[-1].end)

    @property
    def had_wrong_date(self) -> bool:
        """Whether the clock showed a wrong date at any time."""
        return any(is_wrong_date(it.begin) or is_wrong_date(it.end) for it in self._intervals)

    @property
    def changed_by_days(self) -> ClockChange | None:
        """The last change on record, if it moved the clock by days."""
        last = self._changes[-1] if self._changes else None
        return last if last and last.is_by_days else None

    @property
    def lacks_a_change(self) -> bool:
        """Whether the clock was changed at least once without an entry in the log."""
        return any(interval.lacks_a_change for interval in self._intervals)

    @property
    def lag(self) -> timedelta | None:
        """How long before its upload the newest entry was written, if that is known."""
        return self._evidence.lag(self._intervals[-1].end) if self._intervals else None

    @property
    def newest(self) -> datetime | None:
        """The instant of the newest entry, with the clock's offset.

        ``None`` if it is not known, or the clock shows a wrong date.
        """
        if not self._intervals or self.shows_wrong_date or self._evidence.newest is None:
            return None
        offset = self._intervals[-1].end
        return self._evidence.newest.replace(tzinfo=fixed_zone(offset))

    def wall_days(self, time_range: TimeRange, around: timedelta = timedelta(0)) -> Days:
        """Return which days the clock showed in a range: first and last ones, both inclusive.

        What counts ``around`` the range, too, is the time in which the clock showed a wrong date.
        """
        start, end = (
            each.astimezone(UTC).replace(tzinfo=None) for each in (time_range.start, time_range.end)
        )
        return wall_days((start, end), around, self._intervals, self._rules)

    # -- entries -----------------------------------------------------------------------------------

    def instants(self, entries: Entries) -> list[datetime]:
        """Return the instant of each entry.

        Instants have a fixed offset: the one that the pump's clock had, or UTC where its date was
        wrong.
        """
        # Nearly always an entry lies in the segment of the entry before: its wall time from
        # `lower` to `upper`, its position from `start` to `stop`. Only otherwise a search is made.
        found: list[datetime] = []
        append, combine = found.append, datetime.combine
        sections = self._sections(entries)
        starts = [section.start for section in sections]
        lower, upper, start, stop = datetime.max, datetime.min, BEFORE_ALL, BEFORE_ALL
        second_halves: set[tuple[LogPosition, datetime]] = set()
        zone, conversion_offset = UTC, None
        for index, (position, wall) in enumerate(entries):
            if not (lower <= wall < upper and start <= position < stop):
                section = sections[max(bisect_right(starts, position) - 1, 0)]
                start, stop, segments = section
                number = bisect_right(segments, wall, key=lambda segment: segment.until)
                number = min(number, len(segments) - 1)
                lower = segments[number - 1].until if number else datetime.min
                upper, zone, conversion_offset, second_half = segments[number]
                if second_half:
                    previous = entries[index - 1] if index else None
                    hour = start, upper
                    if hour in second_halves or _stepped_back(previous, start, wall, upper):
                        second_halves.add(hour)
                        zone = second_half
                    # The next entry may be the one with which the second half begins.
                    lower = datetime.max
            if conversion_offset is None:
                # Much faster than wall.replace().
                append(combine(wall, wall.time(), zone))
            else:
                try:
                    append((wall - conversion_offset).replace(tzinfo=zone))
                except OverflowError:
                    append(wall.replace(tzinfo=zone))
        return found

    def undated(self, entries: Entries) -> set[int]:
        """Return the indices of entries written after the clock lost its date, if it still has not.

        Since the last change on record the wall times stepped back by days, so when those entries
        were written will be known when somebody has set the clock. Without an upload time (a file,
        which may hold the logs of several pumps), only dates before 2016 count.
        """
        first = bisect_left(entries, (self._changes[-1].position,)) if self._changes else 0
        walls = [wall for _, wall in entries[first:]]
        if walls == sorted(walls):
            # Nearly always, and quickly seen.
            return set()
        lost, latest = set(), datetime.min
        for index, wall in enumerate(walls):
            if latest != datetime.min and latest - wall > WIDEST_OFFSET:
                if self._evidence.uploaded or wall.year < FIRST_SOLD:
                    lost.add(first + index)
            elif wall > latest:
                # A single time that is wrong must not cast doubt on all that follows.
                latest = max(latest, min(walls[index : index + 3]))
        return lost if len(entries) - 1 in lost else set()

    def _sections(self, entries: Entries) -> list[_Section]:
        """Return a section per interval, and two where the clock fell behind by days in it."""
        parts: list[tuple[LogPosition, list[Segment]]] = []
        for interval in self._intervals:
            start = interval.begun_by.position if interval.begun_by else BEFORE_ALL
            loss = self._loss(interval, start, entries)
            if loss is None:
                parts.append((start, segments_of(interval, self._rules, self._evidence.now)))
            else:
                position, walls = loss
                before, after = segments_around_loss(interval, self._rules, walls)
                parts += [(start, before), (position, after)]
        parts = parts or [(BEFORE_ALL, segments_of_zone(self._rules))]
        stops = [*(start for start, _ in parts[1:]), BEYOND_ALL]
        return [_Section(start, stop, it) for (start, it), stop in zip(parts, stops, strict=True)]

    def _loss(
        self, interval: OffsetInterval, start: LogPosition, entries: Entries
    ) -> tuple[LogPosition, list[datetime]] | None:
        """Return where the clock fell behind by days in an interval that was put right then.

        That is the log position of the first entry with the wrong date, and the last wall time
        before it and the first one after it, if both are there. ``None`` if it is not to be seen.
        """
        end = interval.ended_by
        if not end or end.exact_shift < timedelta(0) or not interval.may_have_lost_its_date:
            return None
        low, high = (bisect_left(entries, (at,)) for at in (start, end.position))
        within = entries[low:high]
        first = _first_fallen_behind(within, end.before)
        if first is None:
            return None
        position = within[first][0] if first < len(within) else end.position
        return position, [wall for _, wall in within[first - 1 : first + 1]] if first else []


def _first_fallen_behind(entries: Entries, before: datetime) -> int | None:
    """Return the index of the first entry with the wrong date that an interval ended with.

    ``before`` is the last that the clock showed of it. ``None`` if no entry shows a right date.
    """
    limit = before + JITTER
    count = len(entries)
    if count > 1 and entries[-1][1] > limit >= entries[-2][1]:
        # The date and the time were set one after the other, and this is the note of the date.
        count -= 1
    for index in reversed(range(count)):
        wall = entries[index][1]
        if wall - limit > SUMMER_TIME:
            return index + 1
        limit = min(limit, wall)
    return None


def _stepped_back(
    previous: tuple[LogPosition, datetime] | None,
    start: LogPosition,
    wall: datetime,
    until: datetime,
) -> bool:
    """Return whether the entry before shows that ``wall`` is in the second half of its hour."""
    if previous is None or previous[0] < start:
        return False
    return previous[1] - wall > JITTER and previous[1] - until < DAY
