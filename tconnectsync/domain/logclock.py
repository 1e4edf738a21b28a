"""From the wall times of a log that records the changes of its clock to instants.

The rules, in the order in which they count:

1. Between two recorded changes the clock's offset from UTC is constant; a change shifts it by what
   it says, less the minutes by which the clock had gone wrong. So one offset fixes all of them, and
   of all hypotheses the least odd is taken (:mod:`tconnectsync.domain.stretches`): usually the one
   in which every stretch begins with the zone's own offset.
2. An entry cannot lie after its own upload. A hypothesis that puts the newest entry there gives way
   to the least odd one that does not; one that puts it long before the upload gives way to the
   zone's rules, or to one that is no odder, if with that it fits the upload.
3. Where no upload decides, the log is taken at its word for 45 days, because people are late with
   daylight saving and travel; a difference that is older gives way to the zone's rules.
4. Without any change on record, and where a switch of the zone is missing from the record, the
   zone's rules count; the order of the log tells the two halves of a repeated hour apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.likeliest import FRESH, likeliest, what_is_known
from tconnectsync.domain.pieces import Piece, pieces
from tconnectsync.domain.stretches import DAY, MINUTE, YEAR, ClockChange, Place
from tconnectsync.domain.zonerules import zone_rules

JITTER = 5 * MINUTE
"""A larger step back between two entries is a clock put back."""
LONGEST = 100 * YEAR
"""Beyond it, a change of the clock is nonsense."""


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
        self._chosen = likeliest(self._changes, self._rules, self._known)
        self._pieces = pieces(self._changes, self._chosen, self._rules, self._known.now)
        self._untils = [[piece.until for piece in stretch] for stretch in self._pieces]
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

    def _locate(self, place: Place, wall: datetime) -> tuple[Place, Place, datetime, Piece]:
        number = bisect_right(self._places, place)
        start = self._places[number - 1] if number else (0, 0)
        stop = self._places[number] if number < len(self._places) else (1 << 64, 0)
        stretch, untils = self._pieces[number], self._untils[number]
        which = min(bisect_right(untils, wall), len(stretch) - 1)
        return start, stop, untils[which - 1] if which else datetime.min, stretch[which]

    def _said(self) -> list[str]:
        if not self._chosen:
            return []
        name = f"TIMEZONE_NAME ({self._zone_name})"
        said = []
        now, lag = self._known.now, self._known.lag(self._chosen)
        if now and (ahead := self._chosen.end - self._rules.at(now)):
            said.append(
                f"By its own log and the last upload, the pump's clock is {_length(ahead)} "
                f"{_side(ahead)} {name}. The times written follow the log. Set the pump's clock, "
                "or TIMEZONE_NAME if you have moved."
            )
        if any(hypothesis.is_broken for hypothesis in self._chosen.newest_first()):
            said.append(
                "The pump's clock was changed at least once without a note in its log. For those "
                f"days the times of {name} are used; compare them with what you remember."
            )
        if lag is not None and lag < -FRESH:
            said.append(
                f"The pump's newest entry lies {_length(lag)} after its own upload. {name} is not "
                "the zone of the pump's clock, or that clock is fast: compare it with a watch."
            )
        return said


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


def _length(span: timedelta) -> str:
    """Return how long something is, in words."""
    minutes = round(abs(span) / MINUTE)
    days, minutes = divmod(minutes, 24 * 60)
    parts = [(days, "day"), (minutes // 60, "hour"), (0 if days else minutes % 60, "minute")]
    return " and ".join(f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in parts if n)
