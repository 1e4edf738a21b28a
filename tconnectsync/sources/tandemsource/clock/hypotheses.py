"""Hypotheses about the offsets of the pump's clock, what each costs, and which is best.

Between two recorded changes the offset is constant, and a change shifts it by what it says; so the
offset of one interval gives those of all the others. A *hypothesis* is one choice of it. What is
unusual in it has a cost, and the cheapest one is the best, unless the time of the upload speaks for
another (``clock/__init__`` has an example). From cheap to dear:

* a clock that was put over for daylight saving a day early, or late the first time; the wrong date
  of a pump that was never set before,
* an interval that did not begin with the zone's offset: the person was away, or set a wrong time,
* a change that happened and is not on record. Only a switch of the zone itself is ever supposed to
  be missing, or one by which the clock became wrong by most of a day or more; any other shift is
  taken at its word, because a move to another zone looks like half of a journey,
* months that did not begin with the zone's offset,
* what happened after the log was uploaded.

Times are naive UTC here, wall times apart. An offset is how far the pump's clock is ahead of UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.clock import DAY, MINUTE
from tconnectsync.sources.tandemsource.clock.changes import MOST_DRIFT, ClockChange
from tconnectsync.sources.tandemsource.clock.evidence import Evidence
from tconnectsync.sources.tandemsource.clock.zonerules import (
    WIDEST_OFFSET,
    ZoneRules,
    earlier,
    is_wrong_date,
    utc,
)

EARLY = 1.5 * DAY
"""How early, before the zone, people set their clocks for daylight saving."""
PATIENCE = 45 * DAY
"""How long a person may be late with daylight saving, or away, before that is unlikely."""
SET_UP = DAY
"""A new pump in use for longer does not show a future date."""
YEAR = 366 * DAY
FRESH = 15 * MINUTE
"""An upload brings entries up to its own time; a clock that is a bit fast brings later ones."""
HALF_A_DAY = 0.5 * DAY
SLOW = 1.25 * DAY
"""No upload of a pump in use brings entries that are all older; its clock has a wrong date."""

LATE, AWAY, MISSING, LONG_AWAY, IMPOSSIBLE = 1, 4, 6, 8, 100
"""The costs."""
MOST_HYPOTHESES = 64
"""More are never needed; the limit bounds the work for any log."""


class Hypothesis(NamedTuple):
    """The offset of an interval when it begins and when it ends; ``older`` is of the one before.

    The two offsets differ where a change is missing from the record.
    """

    cost: int
    """That of this interval and of all before it."""
    begin: timedelta
    end: timedelta
    older: Hypothesis | None


def best_hypothesis(
    changes: Sequence[ClockChange], rules: ZoneRules, evidence: Evidence
) -> Hypothesis | None:
    """Return the best hypothesis; ``None`` if nothing is known but the zone's rules.

    ``changes`` are those that shift the clock, in the order of the log.
    """
    # The cheapest hypothesis for each offset that the newest interval can end with, in order.
    costs = _costs_before_changes(changes, rules, evidence)
    found = _cheapest(Hypothesis(cost, offset, offset, None) for offset, cost in costs.items())
    for index, change in enumerate(changes):
        following = changes[index + 1] if index + 1 < len(changes) else None
        found = _cheapest(_after_change(found, change, following, rules, evidence))
    if evidence.now is None:
        return found[0] if found else None
    by_rules = rules.at(evidence.now)
    best = min(found, key=lambda hypothesis: (hypothesis.cost, hypothesis.end != by_rules))
    if changes and _is_stale(best, changes[-1], rules, evidence.now):
        best = next((each for each in found if each.end == by_rules), best)
    return _fitting_the_upload(best, found, by_rules, evidence)


def home_offsets(change: ClockChange, rules: ZoneRules) -> dict[timedelta, int]:
    """Return the offsets that make the time after a change the zone's own, and their cost."""
    own = dict.fromkeys(rules.of_wall(change.after), 0)
    early = [rules.at(utc(change.after, offset - EARLY)) for offset in own]
    return {**dict.fromkeys(early, LATE), **own}


# -- which there are, and what they cost -----------------------------------------------------------


def _cheapest(candidates: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Return the cheapest candidate for each offset at the end, in order of cost."""
    found: dict[timedelta, Hypothesis] = {}
    for hypothesis in candidates:
        best = found.get(hypothesis.end)
        if best is None or hypothesis.cost < best.cost:
            found[hypothesis.end] = hypothesis
    return sorted(found.values(), key=lambda hypothesis: hypothesis.cost)[:MOST_HYPOTHESES]


def _costs_before_changes(
    changes: Sequence[ClockChange], rules: ZoneRules, evidence: Evidence
) -> dict[timedelta, int]:
    """Return which offsets the first interval can have, and their cost; it has no known beginning.

    A candidate is any offset that makes some later interval begin with the zone's own offset.
    """
    costs: dict[timedelta, int] = {}
    end, possibly_late = evidence.now, YEAR
    if changes:
        before, oldest = changes[0].before, evidence.oldest
        end, possibly_late = utc(before, rules.of_wall(before)[0]), PATIENCE
        was_used = oldest is not None and before - oldest > SET_UP
        total = timedelta(0)
        for change in changes:
            total += change.shift
            for home in home_offsets(change, rules):
                # A pump comes with any date; that is put right first, and is nothing unusual.
                is_new = is_wrong_date(home - total) and not (
                    was_used and home - total > WIDEST_OFFSET
                )
                costs[home - total] = LATE if is_new else LONG_AWAY
    if end:
        for index in rules.between(earlier(end, possibly_late), end):
            costs[rules.offsets[index]] = LATE
        costs[rules.at(end)] = 0
    for offset in costs if changes else ():
        if evidence.is_after_upload(utc(changes[0].before, offset)):
            costs[offset] += IMPOSSIBLE
    return costs


def _after_change(
    found: Sequence[Hypothesis],
    change: ClockChange,
    following: ClockChange | None,
    rules: ZoneRules,
    evidence: Evidence,
) -> Iterator[Hypothesis]:
    """Yield the hypotheses about the interval after a change, from those about the one before."""
    homes = home_offsets(change, rules)
    last = following.before if following else evidence.now
    away = LONG_AWAY if last and last - change.after > PATIENCE else AWAY
    # A clock that is behind what it was set to has been set back since.
    was_set_back = following is not None and change.after - following.before > MOST_DRIFT
    for older in found:
        begin = older.end + change.shift
        cost = older.cost + homes.get(begin, away)
        cost += IMPOSSIBLE * evidence.is_after_upload(utc(change.after, begin))
        ended = utc(following.before, begin) if following else None
        contradictions = was_set_back + evidence.is_after_upload(ended)
        yield Hypothesis(cost + IMPOSSIBLE * contradictions, begin, begin, older)
        for end in _ends_after_missing_change(begin, change, following, rules, evidence.now):
            # Away from home, the clock may lose its date; other changes are taken at their word.
            if begin in homes:
                yield Hypothesis(cost + MISSING, begin, end, older)
            elif is_wrong_date(end):
                yield Hypothesis(cost + MISSING + AWAY, begin, end, older)


def _ends_after_missing_change(
    begin: timedelta,
    change: ClockChange,
    following: ClockChange | None,
    rules: ZoneRules,
    now: datetime | None,
) -> Iterator[timedelta]:
    """Yield the offsets an interval can end with if a change within it is not on record."""
    start = utc(change.after, begin)
    if following:
        # A clock that lost its date away from home is set again to the time there.
        homes = {**home_offsets(following, rules), begin: 0}
        ends = [home - following.shift for home in homes]
    elif now:
        ends = [rules.offsets[i] for i in reversed(rules.between(earlier(now, PATIENCE), now))]
    else:
        ends = []
    for end in ends:
        at = utc(following.before, end) if following else now
        if end == begin or at is None:
            continue
        if following and at < earlier(start, MOST_DRIFT):
            # Nothing ends before it has begun.
            continue
        if is_wrong_date(end) or rules.last_use(end, start, at) is not None:
            yield end


# -- what the upload says --------------------------------------------------------------------------


def _is_stale(hypothesis: Hypothesis, last: ClockChange, rules: ZoneRules, now: datetime) -> bool:
    """Return whether the clock has differed from the zone's rules for too long by now."""
    if hypothesis.end == rules.at(now):
        return False
    since = utc(last.after, hypothesis.begin)
    if hypothesis.begin in home_offsets(last, rules):
        since = max(since, rules.switches[max(bisect_right(rules.switches, now) - 1, 0)])
    return now - since > PATIENCE


def _fitting_the_upload(
    best: Hypothesis, found: Sequence[Hypothesis], by_rules: timedelta, evidence: Evidence
) -> Hypothesis:
    """Return the cheapest hypothesis that fits the time of the upload, or else the best one.

    The newest entry was written right before its upload. If the best hypothesis says otherwise:

    * by more than ``SLOW``, then its date is wrong, and one counts with which it is within half a
      day: an hour more or less is rather the upload's than the clock's,
    * earlier, then the upload may be slow; so one counts only if it costs no more, or if it follows
      the zone's rules,
    * later, which cannot be, then one counts with which it is not later and less far off.

    ``found`` is in order of cost.
    """
    best_lag = evidence.lag(best.end)
    if best_lag is None or abs(best_lag) <= FRESH:
        return best

    def within(limit: timedelta) -> list[Hypothesis]:
        lags = ((each, evidence.lag(each.end)) for each in found)
        return [each for each, lag in lags if lag is not None and -FRESH <= lag <= limit]

    fitting = within(HALF_A_DAY if abs(best_lag) > SLOW else FRESH)
    if FRESH < best_lag <= SLOW:
        fitting = [each for each in fitting if each.end == by_rules or each.cost <= best.cost]
    if best_lag < timedelta(0) and not fitting:
        fitting = within(-best_lag)
    return fitting[0] if fitting else best
