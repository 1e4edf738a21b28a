"""Which offset from UTC the pump's clock had between the changes that its log records.

Between two changes the offset is constant, and a change shifts it by what it says, so the offset of
one stretch gives those of all the others. A *hypothesis* is one choice of it; many are possible,
and the one with the least that is odd is the most likely. Odd are, from light to heavy:

* a clock that was put over for daylight saving a day early, or late the first time; the wrong date
  of a pump that was never set before,
* a stretch that did not begin with the zone's offset: the person was away, or set a wrong time,
* a change that happened and is not on record. Only a switch of the zone itself is ever supposed to
  be missing, or one by which the clock became wrong by most of a day or more; any other shift is
  taken at its word, because a move to another zone looks like half of a journey,
* months that did not begin with the zone's offset,
* what happened after the log was uploaded.

Times are naive UTC here, and an offset is what the pump's clock showed more than UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tconnectsync.sources.tandemsource.clock.zonerules import ZoneRules, earlier, utc

Place = tuple[int, int]
"""Sequence group and sequence number: the order in which the pump wrote its log."""

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
QUARTER, HALF_HOUR = 15 * MINUTE, 30 * MINUTE
DRIFT = 10 * MINUTE
"""A smaller change is none of the zone: the clock went wrong by a little and was put right."""
WIDEST = timedelta(hours=15)
"""No zone is further from UTC; a clock with a larger offset shows a wrong date."""
EARLY = 1.5 * DAY
"""So long before the zone does it, people put their clocks over."""
PATIENCE = timedelta(days=45)
"""So long a person may be late with daylight saving, or away, before something else is likelier."""
SET_UP = timedelta(days=1)
"""A new pump that is used for longer does not show a date that is still to come."""
YEAR = timedelta(days=366)

LATE, AWAY, MISSING, LONG_AWAY, IMPOSSIBLE = 1, 4, 6, 8, 100
"""How odd each of these is."""
MOST_HYPOTHESES = 64
"""More are never sensible; it keeps the work small whatever the log says."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of the pump's clock: its naive wall time right before and right after.

    Entries from ``place`` on were written with the new time.
    """

    place: Place
    before: datetime
    after: datetime

    @property
    def exact_shift(self) -> timedelta:
        """Return what the clock shows more after the change than before."""
        return self.after - self.before

    @property
    def shift(self) -> timedelta:
        """Return the shift without the minutes by which the clock had gone wrong.

        Half hours are most likely: zones differ by them, and daylight saving is one or two.
        """
        exact = self.exact_shift
        half_hours = HALF_HOUR * round(exact / HALF_HOUR)
        return half_hours if abs(exact - half_hours) < DRIFT else QUARTER * round(exact / QUARTER)


class Hypothesis(NamedTuple):
    """The offset of a stretch when it begins and when it ends; ``older`` tells of all before it.

    The two differ where a change is missing from the record.
    """

    oddness: int
    begin: timedelta
    end: timedelta
    older: Hypothesis | None

    @property
    def is_broken(self) -> bool:
        """Tell whether a change within the stretch must be missing from the record."""
        return self.begin != self.end

    def newest_first(self) -> Iterator[Hypothesis]:
        """Yield this stretch and all before it."""
        hypothesis: Hypothesis | None = self
        while hypothesis:
            yield hypothesis
            hypothesis = hypothesis.older


Hypotheses = dict[timedelta, Hypothesis]
"""The least odd hypothesis for each offset at the end of a stretch."""


def is_absurd(offset: timedelta) -> bool:
    """Tell whether a clock with this offset shows a wrong date, wherever on earth it is."""
    return abs(offset) > WIDEST


def is_by_days(change: ClockChange) -> bool:
    """Tell whether a change is larger than a journey around half of the earth makes it."""
    return abs(change.exact_shift) > WIDEST


def hypotheses(
    changes: Sequence[ClockChange],
    rules: ZoneRules,
    now: datetime | None,
    oldest: datetime | None = None,
    uploaded: datetime | None = None,
) -> Hypotheses:
    """Return the least odd hypothesis for each offset that the newest stretch can end with.

    ``changes`` are those that shift the clock, in order of place; ``now`` is about when the newest
    entry was written, ``oldest`` the wall time of the oldest one, and ``uploaded`` when the log
    was uploaded, if that is known.
    """
    found = _before_the_first(changes, rules, now, oldest, uploaded)
    for index in range(len(changes)):
        found = _least_odd(_across(found, changes, index, rules, now, uploaded))
    return found


def home_offsets(change: ClockChange, rules: ZoneRules) -> dict[timedelta, int]:
    """Return the offsets that make the time after a change the zone's own, and their oddness."""
    own = dict.fromkeys(rules.of_wall(change.after), 0)
    early = [rules.at(utc(change.after, offset - EARLY)) for offset in own]
    return {**dict.fromkeys(early, LATE), **own}


def _before_the_first(
    changes: Sequence[ClockChange],
    rules: ZoneRules,
    now: datetime | None,
    oldest: datetime | None,
    uploaded: datetime | None,
) -> Hypotheses:
    """Return what the stretch before the first change can end with; its beginning is unknown."""
    if changes:
        end: datetime | None = utc(changes[0].before, rules.of_wall(changes[0].before)[0])
        carried = _carried_back(changes, rules)
        was_used = oldest is not None and changes[0].before - oldest > SET_UP
        oddness = {
            # A pump comes with any date; that is put right first, and is nothing odd.
            offset: LATE if is_absurd(offset) and not (was_used and offset > WIDEST) else LONG_AWAY
            for offset in carried
        }
    else:
        end = now
        oddness = {}
    if end:
        late = rules.between(earlier(end, PATIENCE if changes else YEAR), end)
        oddness |= {rules.offsets[index]: LATE for index in late}
        oddness[rules.at(end)] = 0
    if changes:
        for offset in oddness:
            oddness[offset] += _later_than(uploaded, utc(changes[0].before, offset))
    return _least_odd(Hypothesis(odd, offset, offset, None) for offset, odd in oddness.items())


def _carried_back(changes: Sequence[ClockChange], rules: ZoneRules) -> list[timedelta]:
    """Return the first offsets from which some later stretch begins with the zone's."""
    found = []
    total = timedelta(0)
    for change in changes:
        total += change.shift
        found += [home - total for home in home_offsets(change, rules)]
    return found


def _across(
    found: Hypotheses,
    changes: Sequence[ClockChange],
    index: int,
    rules: ZoneRules,
    now: datetime | None,
    uploaded: datetime | None,
) -> Iterator[Hypothesis]:
    """Yield the hypotheses about the stretch after a change, from those about the one before."""
    change = changes[index]
    homes = home_offsets(change, rules)
    following = changes[index + 1] if index + 1 < len(changes) else None
    last = following.before if following else now
    away = LONG_AWAY if last and last - change.after > PATIENCE else AWAY
    # A clock that is behind what it was set to has been set back since.
    steady = IMPOSSIBLE if following and change.after - following.before > DRIFT else 0
    for older in found.values():
        begin = older.end + change.shift
        oddness = older.oddness + homes.get(begin, away)
        oddness += _later_than(uploaded, utc(change.after, begin))
        ended = utc(following.before, begin) if following else None
        yield Hypothesis(oddness + steady + _later_than(uploaded, ended), begin, begin, older)
        for end in _ends_with_a_gap(begin, change, following, rules, now):
            if following and utc(following.before, end) < earlier(utc(change.after, begin), DRIFT):
                # Nothing ends before it has begun.
                continue
            # Away from home, the clock may lose its date; other changes are taken at their word.
            if begin in homes:
                yield Hypothesis(oddness + MISSING, begin, end, older)
            elif is_absurd(end):
                yield Hypothesis(oddness + MISSING + AWAY, begin, end, older)


def _ends_with_a_gap(
    begin: timedelta,
    change: ClockChange,
    following: ClockChange | None,
    rules: ZoneRules,
    now: datetime | None,
) -> Iterator[timedelta]:
    """Yield the offsets a stretch can end with if a change within it is not on record."""
    start = utc(change.after, begin)
    if following:
        # A clock that lost its date away from home is set again to the time there.
        ends = [each - following.shift for each in {**home_offsets(following, rules), begin: 0}]
    elif now:
        in_use = rules.between(earlier(now, PATIENCE), now)
        ends = [rules.offsets[index] for index in reversed(in_use)]
    else:
        ends = []
    for end in ends:
        if end == begin:
            continue
        if is_absurd(end):
            yield end
            continue
        last = utc(following.before, end) if following else now
        if last and last_use(rules, end, start, last) is not None:
            yield end


def _later_than(uploaded: datetime | None, at: datetime | None) -> int:
    """Return how odd it is that something in a log happened at an instant."""
    return IMPOSSIBLE if uploaded and at and at > earlier(uploaded, -WIDEST) else 0


def last_use(rules: ZoneRules, offset: timedelta, start: datetime, end: datetime) -> int | None:
    """Return the index of the zone's last own use of an offset from ``start`` to ``end``."""
    indices = reversed(rules.between(start, end))
    return next((index for index in indices if rules.offsets[index] == offset), None)


def _least_odd(candidates: Iterable[Hypothesis]) -> Hypotheses:
    """Return the least odd candidate for each end, the likeliest ends first."""
    found: Hypotheses = {}
    for hypothesis in candidates:
        best = found.get(hypothesis.end)
        if best is None or hypothesis.oddness < best.oddness:
            found[hypothesis.end] = hypothesis
    likeliest = sorted(found.values(), key=lambda hypothesis: hypothesis.oddness)
    return {hypothesis.end: hypothesis for hypothesis in likeliest[:MOST_HYPOTHESES]}
