"""From the wall times of a log that records the changes of its clock to instants.

The rules, in the order in which they count:

1. Between two recorded changes the clock's offset from UTC is constant; a change shifts it by what
   it says, less the minutes by which the clock had gone wrong. So one offset fixes all of them, and
   of all readings the least odd is taken (:mod:`tconnectsync.domain.stretches`): usually the one
   in which every stretch begins with the zone's own offset.
2. An entry cannot lie after its own upload. A reading that puts the newest entry there gives way to
   the least odd one that does not; one that puts it long before the upload gives way to the zone's
   rules, or to one that is no odder, if with that it fits the upload.
3. Where no upload decides, the log is taken at its word for 45 days, because people are late with
   daylight saving and travel; a difference that is older gives way to the zone's rules.
4. Without any change on record, and where a switch of the zone is missing from the record, the
   zone's rules count; the order of the log tells the two halves of a repeated hour apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from tconnectsync.domain.clock import PumpClock, fixed_zone
from tconnectsync.domain.likeliest import FRESH, likeliest, what_is_known
from tconnectsync.domain.stretches import (
    DAY,
    MINUTE,
    YEAR,
    ClockChange,
    Place,
    Reading,
    is_absurd,
    last_use,
)
from tconnectsync.domain.zonerules import ZoneRules, utc, zone_rules

JITTER = 5 * MINUTE
"""A larger step back between two entries is a clock put back."""
LONGEST = 100 * YEAR
"""Beyond it, a change of the clock is nonsense."""


class _Piece(NamedTuple):
    """Wall times, up to ``upto`` and from where the piece before ends, with one offset."""

    upto: datetime
    zone: timezone
    move: timedelta | None = None
    """What to add to a wall time whose date is wrong."""
    again: timezone | None = None
    """The zone of the second half, where these wall times occur twice."""


class _Stretch(NamedTuple):
    pieces: list[_Piece]
    uptos: list[datetime]


class LogClock:
    """The clock of a pump whose log is known to its newest entry.

    Args:
        clock: the clock with the zone that it should have.
        changes: what the log records of changes, in any order.
        newest: the wall time of the newest entry of the whole log, if known.
        uploaded: when the log was last uploaded, if known.
    """

    def __init__(
        self,
        clock: PumpClock,
        changes: Iterable[ClockChange],
        *,
        newest: datetime | None,
        uploaded: datetime | None,
    ) -> None:
        shifting = [each for each in changes if each.shift and abs(each.exact_shift) < LONGEST]
        self._changes = sorted(shifting, key=lambda change: change.place)
        self._places = [change.place for change in self._changes]
        self._rules = zone_rules(clock.zone)
        self._zone_name = clock.zone.key
        self._known = what_is_known(self._changes, self._rules, newest, uploaded)
        self._reading = likeliest(self._changes, self._rules, self._known)
        self._stretches = self._all_stretches()
        self.disagreement = " ".join(self._said())
        """Sentences for the log about where pump, record and zone differ; empty if nowhere."""

    def instants(self, entries: Sequence[tuple[Place, datetime]]) -> list[datetime]:
        """Return the instant of each entry, given by its place and its naive wall time.

        Entries come in order of place. Instants have a fixed offset: the one that the pump's clock
        had, or UTC where its date was wrong.
        """
        found: list[datetime] = []
        append, combine = found.append, datetime.combine
        nowhere = (0, 0)
        lower, upper, start, stop = datetime.max, datetime.min, nowhere, nowhere
        second_halves: set[tuple[Place, datetime]] = set()
        zone, move = UTC, None
        for index, (place, wall) in enumerate(entries):
            if not (lower <= wall < upper and start <= place < stop):
                start, stop, lower, piece = self._locate(place, wall)
                upper, zone, move, again = piece
                if again:
                    previous = entries[index - 1] if index else None
                    hour = start, upper
                    if hour in second_halves or _stepped_back(previous, start, wall, upper):
                        second_halves.add(hour)
                        zone = again
                    # The next entry may be the one with which the second half begins.
                    lower = datetime.max
            if move is None:
                # Much faster than wall.replace().
                append(combine(wall, wall.time(), zone))
            else:
                append(_moved(wall, move, zone))
        return found

    def _locate(self, place: Place, wall: datetime) -> tuple[Place, Place, datetime, _Piece]:
        number = bisect_right(self._places, place)
        start = self._places[number - 1] if number else (0, 0)
        stop = self._places[number] if number < len(self._places) else (1 << 64, 0)
        pieces, uptos = self._stretches[number]
        which = min(bisect_right(uptos, wall), len(pieces) - 1)
        return start, stop, uptos[which - 1] if which else datetime.min, pieces[which]

    def _all_stretches(self) -> list[_Stretch]:
        """Return what applies before the first change, after it, and so on."""
        chain = list(self._reading.newest_first())[::-1] if self._reading else []
        if not chain:
            return [_stretch(_ruled(self._rules, 0, len(self._rules.switches)))]
        return [_stretch(self._pieces(index, chain)) for index in range(len(chain))]

    def _pieces(self, index: int, chain: Sequence[Reading]) -> list[_Piece]:
        reading = chain[index]
        change = self._changes[index - 1] if index else None
        following = self._changes[index] if index < len(self._changes) else None
        if change and not reading.is_broken:
            return [_constant(_exact_end(reading, following, chain[index + 1 :]))]
        end = utc(following.before, reading.end) if following else self._known.now or datetime.max
        if is_absurd(reading.end) and following:
            offset = _exact_end(reading, following, chain[index + 1 :])
            return _wrong_outside(self._rules, change, end, offset)
        start = utc(change.after, reading.begin) if change else utc(end, YEAR)
        last = last_use(self._rules, reading.end, start, end)
        if last is None:
            return [_constant(reading.end)]
        if following is None and self._rules.at(end) == reading.end:
            last = len(self._rules.switches)
        within = self._rules.between(start, end) if change else range(0)
        first = next((i for i in within if self._rules.offsets[i] == reading.begin), 0)
        return _ruled(self._rules, first, last)

    def _said(self) -> list[str]:
        if not self._reading:
            return []
        name = f"TIMEZONE_NAME ({self._zone_name})"
        said = []
        now, lag = self._known.now, self._known.lag(self._reading)
        if now and (ahead := self._reading.end - self._rules.at(now)):
            said.append(
                f"The pump's clock is {_length(ahead)} {_side(ahead)} the time of {name}, going by "
                "its own record and the last upload; these are followed."
            )
        gaps = [reading for reading in self._reading.newest_first() if reading.is_broken]
        if gaps:
            said.append(
                "The pump's log must lack "
                + ("a change" if len(gaps) == 1 else f"{len(gaps)} changes")
                + f" of its clock; the rules of {name} are followed there."
            )
        if lag is not None and lag < -FRESH:
            said.append(
                f"The pump's newest entry lies {_length(lag)} after its own upload. {name} is not "
                "the zone of the pump's clock, or that clock is fast: compare it with a watch."
            )
        return said


def _stepped_back(
    previous: tuple[Place, datetime] | None, start: Place, wall: datetime, upto: datetime
) -> bool:
    """Tell whether the entry before shows that ``wall`` is in the second half of its hour."""
    if previous is None or previous[0] < start:
        return False
    return previous[1] - wall > JITTER and previous[1] - upto < DAY


def _exact_end(
    reading: Reading, following: ClockChange | None, newer: Sequence[Reading]
) -> timedelta:
    """Return the offset at the end of a stretch; exact to the second if it is that of no zone."""
    if following and is_absurd(reading.end):
        return newer[0].begin - following.exact_shift
    return reading.end


def _constant(offset: timedelta, upto: datetime = datetime.max) -> _Piece:
    if is_absurd(offset):
        return _Piece(upto, UTC, -offset)
    return _Piece(upto, fixed_zone(offset))


def _ruled(rules: ZoneRules, first: int, last: int) -> list[_Piece]:
    """Return the zone's rules; its offset number ``first`` holds before, ``last`` ever after."""
    pieces = []
    for index in range(first, last):
        switch, before, after = rules.switches[index], *rules.offsets[index : index + 2]
        pieces.append(_Piece(switch + after, fixed_zone(before)))
        if after < before:
            pieces.append(_Piece(switch + before, fixed_zone(before), again=fixed_zone(after)))
    return [*pieces, _constant(rules.offsets[last])]


def _wrong_outside(
    rules: ZoneRules, change: ClockChange | None, end: datetime, offset: timedelta
) -> list[_Piece]:
    """Return the zone's rules for what lies within a stretch with them.

    What does not lie between the change at its beginning and its ``end`` has the wrong date with
    which it ended.
    """
    latest = utc(end, -rules.at(end))
    earliest = change.after if change else datetime.min
    pieces = [_constant(offset, earliest)]
    within = _ruled(rules, 0, len(rules.switches))
    pieces += [piece for piece in within if earliest < piece.upto < latest]
    following = next(piece for piece in within if piece.upto >= latest)
    return [*pieces, following._replace(upto=max(latest, earliest)), _constant(offset)]


def _stretch(pieces: list[_Piece]) -> _Stretch:
    return _Stretch(pieces, [piece.upto for piece in pieces])


def _moved(wall: datetime, move: timedelta, zone: timezone) -> datetime:
    try:
        return (wall + move).replace(tzinfo=zone)
    except OverflowError:
        return wall.replace(tzinfo=zone)


def _side(ahead: timedelta) -> str:
    return "ahead of" if ahead > timedelta(0) else "behind"


def _length(span: timedelta) -> str:
    """Return how long something is, in words."""
    minutes = round(abs(span) / MINUTE)
    days, minutes = divmod(minutes, 24 * 60)
    parts = [(days, "day"), (minutes // 60, "hour"), (0 if days else minutes % 60, "minute")]
    return " and ".join(f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in parts if n)
