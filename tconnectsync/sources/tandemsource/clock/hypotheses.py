"""Which hypothesis about the pump's clock the newest entry and the last upload speak for.

Times are naive UTC here, wall times apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tconnectsync.sources.tandemsource.clock.intervals import (
    DAY,
    MINUTE,
    PATIENCE,
    ClockChange,
    Hypothesis,
    home_offsets,
    hypotheses,
    is_by_days,
)
from tconnectsync.sources.tandemsource.clock.zonerules import ZoneRules, utc

FRESH = 15 * MINUTE
"""An upload brings entries up to its own time; a clock that is a bit fast brings later ones."""
HOUR = timedelta(hours=1)
HALF_A_DAY = timedelta(hours=12)
SLOW = timedelta(hours=30)
"""No upload of a pump in use brings entries that are all older; its clock has a wrong date."""


class Known(NamedTuple):
    """What is known of the newest entry."""

    newest: datetime | None
    """Its wall time, if that surely is of the newest stretch."""
    uploaded: datetime | None
    now: datetime | None
    """About when it was written."""

    def lag(self, hypothesis: Hypothesis) -> timedelta | None:
        """Return how long before its upload a hypothesis puts the newest entry, if it is known."""
        if self.newest is None or self.uploaded is None:
            return None
        return self.uploaded - utc(self.newest, hypothesis.end)


def what_is_known(
    changes: Sequence[ClockChange],
    rules: ZoneRules,
    newest: datetime | None,
    uploaded: datetime | None,
) -> Known:
    """Return what can be used of the newest wall time and the time of the upload (aware)."""
    sent = uploaded and uploaded.astimezone(UTC).replace(tzinfo=None)
    if newest is None or not _is_of_newest_stretch(newest, changes, sent):
        return Known(None, sent, sent)
    by_rules = utc(newest, rules.of_wall(newest)[0])
    if sent and any(is_by_days(change) for change in changes):
        return Known(newest, sent, sent)
    return Known(newest, sent, sent if sent and abs(sent - by_rules) < DAY else by_rules)


def likeliest(
    changes: Sequence[ClockChange],
    rules: ZoneRules,
    known: Known,
    oldest: datetime | None = None,
) -> Hypothesis | None:
    """Choose a hypothesis; ``None`` if nothing is known but the zone's rules.

    ``changes`` are those that shift the clock, in order of place; ``oldest`` is the wall time of
    the oldest entry, if known.
    """
    found = list(hypotheses(changes, rules, known.now, oldest, known.uploaded).values())
    if known.now is None:
        return found[0] if found else None
    by_rules = rules.at(known.now)
    likely = min(found, key=lambda hypothesis: (hypothesis.oddness, hypothesis.end != by_rules))
    if changes and _is_stale(likely, changes[-1], rules, known.now):
        likely = next((each for each in found if each.end == by_rules), likely)
    return _fitting(likely, found, by_rules, known)


def _is_of_newest_stretch(
    newest: datetime, changes: Sequence[ClockChange], uploaded: datetime | None
) -> bool:
    """Tell whether the newest wall time was written after the last change, and can be true.

    After the clock was set back, the latest wall time is for a while the one right before that.
    """
    was_set_by_days = any(is_by_days(change) for change in changes)
    if uploaded and newest - uploaded > 2 * DAY and not was_set_by_days:
        return False
    if changes and changes[-1].after - newest > MINUTE:
        return False
    if any(abs(newest - _noted_with_the_date(change)) <= MINUTE for change in changes):
        return False
    return not any(timedelta(0) <= change.before - newest <= HOUR for change in changes)


def _noted_with_the_date(change: ClockChange) -> datetime:
    """Return the wall time of the note that the date was set, which was never the time.

    Date and time are set one after the other: it has the new date and still the old time.
    """
    return datetime.combine(change.after.date(), change.before.time())


def _is_stale(hypothesis: Hypothesis, last: ClockChange, rules: ZoneRules, now: datetime) -> bool:
    """Tell whether the clock has differed from the zone's rules for too long, now it does."""
    if hypothesis.end == rules.at(now):
        return False
    since = utc(last.after, hypothesis.begin)
    if hypothesis.begin in home_offsets(last, rules):
        since = max(since, rules.switches[max(bisect_right(rules.switches, now) - 1, 0)])
    return now - since > PATIENCE


def _fitting(
    likely: Hypothesis, found: Sequence[Hypothesis], by_rules: timedelta, known: Known
) -> Hypothesis:
    """Return the likely hypothesis, or the one that the time of the upload speaks for.

    ``found`` is sorted by oddness.
    """
    lags = [(hypothesis, lag) for hypothesis in found if (lag := known.lag(hypothesis)) is not None]
    late = known.lag(likely)
    if late is None or abs(late) <= FRESH:
        return likely
    fitting = [hypothesis for hypothesis, lag in lags if abs(lag) <= FRESH]
    if abs(late) > SLOW and (near := [hyp for hyp, lag in lags if -FRESH <= lag <= HALF_A_DAY]):
        # The date is wrong; an hour more or less is rather the upload's than the clock's.
        fitting = near
    elif FRESH < late <= SLOW:
        # Uploads may be slow, so only what is as likely or follows the zone's rules counts.
        fitting = [
            hypothesis
            for hypothesis in fitting
            if hypothesis.end == by_rules or hypothesis.oddness <= likely.oddness
        ]
    elif late < 0 * DAY and not fitting:
        fitting = [hypothesis for hypothesis, lag in lags if -FRESH <= lag <= -late]
    return fitting[0] if fitting else likely
