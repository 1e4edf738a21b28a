"""Cuts the wall times of a pump's log into pieces of one offset each.

One hypothesis about the pump's clock has been chosen by then; where it leaves a doubt, the zone's
rules count. Times are naive UTC here, wall times apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from tconnectsync.domain.clock import fixed_zone
from tconnectsync.sources.tandemsource.clock.intervals import (
    MINUTE,
    YEAR,
    ClockChange,
    Hypothesis,
    home_offsets,
    is_absurd,
    last_use,
)
from tconnectsync.sources.tandemsource.clock.zonerules import ZoneRules, earlier, utc, wall_of


class Piece(NamedTuple):
    """Wall times with one offset: those before ``until`` that are in none of the pieces before.

    The last piece also holds what comes later.
    """

    until: datetime
    zone: timezone
    move: timedelta | None = None
    """What to add to a wall time whose date is wrong."""
    second_half: timezone | None = None
    """The zone of the second half, where these wall times occur twice."""


def pieces(
    changes: Sequence[ClockChange],
    chosen: Hypothesis | None,
    rules: ZoneRules,
    now: datetime | None,
) -> list[list[Piece]]:
    """Return the pieces that apply before the first change, after it, and so on.

    ``changes`` are those that shift the clock, in order of place; ``now`` is about when the newest
    entry was written, if that is known. Nothing is ``chosen`` if there is no change either.
    """
    if not chosen:
        return [_ruled(rules, 0, len(rules.switches))]
    chain = list(chosen.newest_first())[::-1]
    return [_of_stretch(index, chain, changes, rules, now) for index in range(len(chain))]


def is_lost_within(index: int, changes: Sequence[ClockChange], chosen: Hypothesis) -> bool:
    """Tell whether the clock fell behind within a stretch by days."""
    hypothesis = list(chosen.newest_first())[-1 - index]
    following = changes[index]
    return following.exact_shift >= timedelta(0) and is_lost(index, hypothesis)


def before_and_after_loss(
    index: int,
    changes: Sequence[ClockChange],
    chosen: Hypothesis,
    rules: ZoneRules,
    walls: Sequence[datetime],
) -> tuple[list[Piece], list[Piece]]:
    """Return the pieces for before and for after the clock fell behind within a stretch by days.

    They are for a log that shows where that was: ``walls`` are the last wall time before it and
    the first one after it, if both are known.
    """
    chain = list(chosen.newest_first())[::-1]
    hypothesis = chain[index]
    offset = exact_end(hypothesis, changes[index], chain[index + 1 :])
    after = [_constant(offset)]
    first, last = 0, len(rules.switches)
    if index:
        change = changes[index - 1]
        if hypothesis.begin not in home_offsets(change, rules):
            return [_constant(hypothesis.begin)], after
        first = _first_use(rules, hypothesis.begin, utc(change.after, hypothesis.begin))
    if len(walls) == 2:
        last = max(first, _last_that_was_set(rules, walls[0], utc(walls[1], offset)))
    return _ruled(rules, first, last), after


def _first_use(rules: ZoneRules, offset: timedelta, start: datetime) -> int:
    """Return the number of the zone's offset with which a clock that was set at ``start`` began."""
    number = rules.between(start, start)[0]
    return number if rules.offsets[number] == offset else 0


def _last_that_was_set(rules: ZoneRules, wall: datetime, latest: datetime) -> int:
    """Return the number of the zone's last offset that a clock can have had.

    It showed ``wall`` at an instant not after the ``latest``; a person may have been late with the
    end of daylight saving.
    """
    if utc(wall, rules.of_wall(wall)[-1]) <= earlier(latest, -MINUTE):
        return len(rules.switches)
    return max(bisect_right(rules.switches, latest) - 1, 0)


def _of_stretch(
    index: int,
    chain: Sequence[Hypothesis],
    changes: Sequence[ClockChange],
    rules: ZoneRules,
    now: datetime | None,
) -> list[Piece]:
    hypothesis = chain[index]
    change = changes[index - 1] if index else None
    following = changes[index] if index < len(changes) else None
    if change and not hypothesis.is_broken:
        return [_constant(exact_end(hypothesis, following, chain[index + 1 :]))]
    end = utc(following.before, hypothesis.end) if following else now or datetime.max
    if is_absurd(hypothesis.end) and following:
        offset = exact_end(hypothesis, following, chain[index + 1 :])
        return _wrong_outside(rules, change, following, end, offset)
    start = utc(change.after, hypothesis.begin) if change else earlier(end, YEAR)
    last = last_use(rules, hypothesis.end, start, end)
    if last is None:
        return [_constant(hypothesis.end)]
    if following is None and rules.at(end) == hypothesis.end:
        last = len(rules.switches)
    within = rules.between(start, end) if change else range(0)
    first = next((i for i in within if rules.offsets[i] == hypothesis.begin), 0)
    return _ruled(rules, first, last)


def is_lost(index: int, hypothesis: Hypothesis) -> bool:
    """Tell whether the clock lost its date within a stretch, or may have, without a record of it.

    ``index`` is the number of the stretch; nothing tells how the first one began.
    """
    return is_absurd(hypothesis.end) and (index == 0 or hypothesis.is_broken)


def exact_end(
    hypothesis: Hypothesis, following: ClockChange | None, newer: Sequence[Hypothesis]
) -> timedelta:
    """Return the offset at the end of a stretch; exact to the second if it is that of no zone."""
    if following and is_absurd(hypothesis.end):
        return newer[0].begin - following.exact_shift
    return hypothesis.end


def _constant(offset: timedelta, until: datetime = datetime.max) -> Piece:
    if is_absurd(offset):
        return Piece(until, UTC, -offset)
    return Piece(until, fixed_zone(offset))


def _ruled(rules: ZoneRules, first: int, last: int) -> list[Piece]:
    """Return the zone's rules; its offset number ``first`` holds before, ``last`` ever after."""
    found = []
    for index in range(first, last):
        switch, before, after = rules.switches[index], *rules.offsets[index : index + 2]
        found.append(Piece(switch + after, fixed_zone(before)))
        if after < before:
            second_half = fixed_zone(after)
            found.append(Piece(switch + before, fixed_zone(before), second_half=second_half))
    return [*found, _constant(rules.offsets[last])]


def _wrong_outside(
    rules: ZoneRules,
    change: ClockChange | None,
    following: ClockChange,
    end: datetime,
    offset: timedelta,
) -> list[Piece]:
    """Return the zone's rules for what lies within a stretch with them.

    What does not lie between the change at its beginning and its ``end`` has the wrong date with
    which it ended. A pump comes with an old date, so what its log begins with and is not later than
    the end of that date has it as well.
    """
    latest = wall_of(end, rules.at(end))
    earliest = change.after if change else datetime.min
    if change is None and following.before < latest:
        earliest = following.before + MINUTE
    found = [_constant(offset, earliest)]
    within = _ruled(rules, 0, len(rules.switches))
    found += [piece for piece in within if earliest < piece.until < latest]
    outermost = next(piece for piece in within if piece.until >= latest)
    return [*found, outermost._replace(until=max(latest, earliest)), _constant(offset)]
