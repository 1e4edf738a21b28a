"""From the wall times of a log that records the changes of its clock to instants.

The rules, in the order in which they count:

1. Between two recorded changes the clock's offset from UTC is constant; a change shifts it by what
   it says, less the minutes by which the clock had gone wrong. So one offset fixes all of them, and
   of all hypotheses the least odd is taken (``intervals.py``): usually the one in which every
   stretch begins with the zone's own offset.
2. An entry cannot lie after its own upload. A hypothesis that puts the newest entry there gives way
   to the least odd one that does not; one that puts it long before the upload gives way to the
   zone's rules, or to one that is no odder, if with that it fits the upload.
3. Where no upload decides, the log is taken at its word for 45 days, because people are late with
   daylight saving and travel; a difference that is older gives way to the zone's rules.
4. Where the clock fell behind by days without a note (its battery was flat) and was put right, the
   entry at which the wall times step back tells from where on the date was wrong.
5. Without any change on record, and where a switch of the zone is missing from the record, the
   zone's rules count; the order of the log tells the two halves of a repeated hour apart.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.words import days_in_words
from tconnectsync.sources.tandemsource.clock.hypotheses import FRESH, likeliest, what_is_known
from tconnectsync.sources.tandemsource.clock.intervals import (
    DAY,
    MINUTE,
    WIDEST,
    YEAR,
    ClockChange,
    Place,
    is_absurd,
    is_by_days,
)
from tconnectsync.sources.tandemsource.clock.segments import (
    Piece,
    before_and_after_loss,
    is_lost_within,
    pieces,
)
from tconnectsync.sources.tandemsource.clock.walldays import Days, wall_days
from tconnectsync.sources.tandemsource.clock.zonerules import zone_rules

JITTER = 5 * MINUTE
"""A larger step back between two entries is a clock put back."""
LONGEST = 100 * YEAR
"""Beyond it, a change of the clock is nonsense."""
FIRST_SOLD = 2016
"""No pump with such a log is older."""
SUMMER_TIME = 70 * MINUTE
"""A step back by less may be the hour that an autumn night repeats."""
NOWHERE, BEYOND = (0, 0), (1 << 64, 0)
"""Before the first place in a log, and after the last."""

Entries = Sequence[tuple[Place, datetime]]
"""Entries by place and naive wall time, in order of place."""


class LogClock:
    """The clock of a pump whose log is known to its newest entry.

    Three lines of the log of a pump in New York whose clock was put back an hour:

    ======== ============================ =========
    place    wall time, 2 November 2025   instant
    ======== ============================ =========
    (0, 11)  01:50                        05:50 UTC
    (0, 12)  changed from 02:10 to 01:10  06:10 UTC
    (0, 13)  01:50                        06:50 UTC
    ======== ============================ =========

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
        shifting = [each for each in changes if each.shift and abs(each.exact_shift) < LONGEST]
        self._changes = sorted(shifting, key=lambda change: change.place)
        self._places = [change.place for change in self._changes]
        self._rules = zone_rules(clock.zone)
        self._zone_name = clock.zone.key
        self._known = what_is_known(self._changes, self._rules, newest, uploaded)
        self._chosen = likeliest(self._changes, self._rules, self._known, oldest)
        self._pieces = pieces(self._changes, self._chosen, self._rules, self._known.now)
        self.disagreement = " ".join(self._said())
        """Sentences for the log about where pump, record and zone differ; empty if nowhere."""

    @property
    def changed_by_days(self) -> ClockChange | None:
        """The last change on record, if it moved the clock by days."""
        last = self._changes[-1] if self._changes else None
        return last if last and is_by_days(last) else None

    @property
    def days_off(self) -> timedelta:
        """How far the clock is ahead of its zone now by what is on record; zero if by no days."""
        if not self._chosen or not is_absurd(self._chosen.end):
            return timedelta(0)
        now = self._known.now
        return self._chosen.end - (self._rules.at(now) if now else timedelta(0))

    @property
    def lag(self) -> timedelta | None:
        """How long before its upload the newest entry was written, if that is known."""
        return self._known.lag(self._chosen) if self._chosen else None

    @property
    def had_a_wrong_date(self) -> bool:
        """Whether the clock was wrong by days at any time."""
        chain = self._chosen.newest_first() if self._chosen else ()
        return any(is_absurd(each.begin) or is_absurd(each.end) for each in chain)

    def wall_days(self, wanted: TimeRange, around: timedelta = timedelta(0)) -> Days:
        """Return which days the clock showed in a range: first and last ones, both inclusive.

        What counts ``around`` the range, too, is the time in which the clock showed a wrong date.
        """
        start, end = (
            each.astimezone(UTC).replace(tzinfo=None) for each in (wanted.start, wanted.end)
        )
        return wall_days((start, end), around, self._changes, self._chosen, self._rules)

    def instants(self, entries: Entries) -> list[datetime]:
        """Return the instant of each entry.

        Instants have a fixed offset: the one that the pump's clock had, or UTC where its date was
        wrong.
        """
        found: list[datetime] = []
        append, combine = found.append, datetime.combine
        sections = _Sections(self._places, self._pieces)
        self._split_at_losses(sections, entries)
        lower, upper, start, stop = datetime.max, datetime.min, NOWHERE, NOWHERE
        second_halves: set[tuple[Place, datetime]] = set()
        zone, move = UTC, None
        for index, (place, wall) in enumerate(entries):
            if not (lower <= wall < upper and start <= place < stop):
                start, stop, lower, piece = sections.locate(place, wall)
                upper, zone, move, second_half = piece
                if second_half:
                    previous = entries[index - 1] if index else None
                    hour = start, upper
                    if hour in second_halves or _stepped_back(previous, start, wall, upper):
                        second_halves.add(hour)
                        zone = second_half
                    # The next entry may be the one with which the second half begins.
                    lower = datetime.max
            if move is None:
                # Much faster than wall.replace().
                append(combine(wall, wall.time(), zone))
            else:
                append(_moved(wall, move, zone))
        return found

    def undated(self, entries: Entries) -> set[int]:
        """Return the indices of entries written after the clock lost its date, if it still has not.

        Since the last change on record the wall times stepped back by days, so when those entries
        were written will be known when somebody has set the clock. A file may hold the
        logs of several pumps; of it, only what is older than all pumps counts.
        """
        first = bisect_left(entries, (self._places[-1],)) if self._places else 0
        walls = [wall for _, wall in entries[first:]]
        if walls == sorted(walls):
            # Nearly always, and quickly seen.
            return set()
        lost, latest = set(), datetime.min
        for index, wall in enumerate(walls):
            if latest != datetime.min and latest - wall > WIDEST:
                if self._known.uploaded or wall.year < FIRST_SOLD:
                    lost.add(first + index)
            elif wall > latest:
                # A single time that is wrong must not cast doubt on all that follows.
                latest = max(latest, min(walls[index : index + 3]))
        return lost if len(entries) - 1 in lost else set()

    def _split_at_losses(self, sections: _Sections, entries: Entries) -> None:
        """Part stretches in two where the clock fell behind by days without a note."""
        if not self._chosen:
            return
        for number in reversed(range(len(self._changes))):
            if not is_lost_within(number, self._changes, self._chosen):
                continue
            start = self._places[number - 1] if number else NOWHERE
            low, high = (bisect_left(entries, (at,)) for at in (start, self._places[number]))
            stretch = entries[low:high]
            first = _fell_behind(stretch, self._changes[number].before)
            if first is None:
                continue
            walls = [wall for _, wall in stretch[first - 1 : first + 1]] if first else []
            parts = before_and_after_loss(number, self._changes, self._chosen, self._rules, walls)
            place = stretch[first][0] if first < len(stretch) else self._places[number]
            sections.split(number, place, *parts)

    def _said(self) -> list[str]:
        if not self._chosen:
            return []
        name = f"TIMEZONE_NAME ({self._zone_name})"
        said = []
        now, lag = self._known.now, self._known.lag(self._chosen)
        ahead = self._chosen.end - self._rules.at(now) if now else timedelta(0)
        if ahead and not self.days_off:
            said.append(
                f"By its own log and the last upload, the pump's clock is {days_in_words(ahead)} "
                f"{_side(ahead)} {name}. The times written follow the log. Set the pump's clock, "
                "or TIMEZONE_NAME if you have moved."
            )
        if any(hypothesis.is_broken for hypothesis in self._chosen.newest_first()):
            said.append(
                "The pump's clock was changed at least once without a note in its log. For those "
                f"days the times of {name} are used; compare them with what you remember."
            )
        if lag is not None and -DAY < lag < -FRESH:
            said.append(
                f"The pump's newest entry lies {days_in_words(lag)} after its own upload. {name} "
                "is not the zone of the pump's clock, or that clock is fast: compare it with a "
                "watch."
            )
        return said


class _Sections:
    """The pieces of each part of a log, by the place at which the part begins."""

    def __init__(self, places: Sequence[Place], parts: Sequence[list[Piece]]) -> None:
        self._starts = [NOWHERE, *places]
        self._parts = list(parts)
        self._untils = [[piece.until for piece in part] for part in parts]

    def split(self, number: int, place: Place, before: list[Piece], after: list[Piece]) -> None:
        """Replace part ``number`` by two, of which the second begins at ``place``."""
        self._starts.insert(number + 1, place)
        self._parts[number : number + 1] = [before, after]
        self._untils[number : number + 1] = [[each.until for each in p] for p in (before, after)]

    def locate(self, place: Place, wall: datetime) -> tuple[Place, Place, datetime, Piece]:
        """Return where an entry's part begins and ends, where its piece begins, and the piece."""
        number = max(bisect_right(self._starts, place) - 1, 0)
        stop = self._starts[number + 1] if number + 1 < len(self._starts) else BEYOND
        part, untils = self._parts[number], self._untils[number]
        which = min(bisect_right(untils, wall), len(part) - 1)
        return self._starts[number], stop, untils[which - 1] if which else datetime.min, part[which]


def _fell_behind(entries: Entries, before: datetime) -> int | None:
    """Return the index of the first entry with the wrong date that a stretch ended with.

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
    previous: tuple[Place, datetime] | None, start: Place, wall: datetime, until: datetime
) -> bool:
    """Tell whether the entry before shows that ``wall`` is in the second half of its hour."""
    if previous is None or previous[0] < start:
        return False
    return previous[1] - wall > JITTER and previous[1] - until < DAY


def _moved(wall: datetime, move: timedelta, zone: timezone) -> datetime:
    try:
        return (wall + move).replace(tzinfo=zone)
    except OverflowError:
        return wall.replace(tzinfo=zone)


def _side(ahead: timedelta) -> str:
    return "ahead of" if ahead > timedelta(0) else "behind"
