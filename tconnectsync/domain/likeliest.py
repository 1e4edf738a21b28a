"""Which reading of the pump's log its newest entry and its last upload speak for.

Times are naive UTC here, wall times apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.stretches import (
    DAY,
    MINUTE,
    PATIENCE,
    ClockChange,
    Reading,
    home_offsets,
    readings,
)
from tconnectsync.domain.zonerules import ZoneRules, utc

FRESH = 15 * MINUTE
"""An upload brings entries up to its own time; a clock that is a bit fast brings later ones."""
HOUR = timedelta(hours=1)


class Known(NamedTuple):
    """What is known of the newest entry."""

    newest: datetime | None
    """Its wall time, if that surely is of the newest stretch."""
    uploaded: datetime | None
    now: datetime | None
    """About when it was written."""

    def lag(self, reading: Reading) -> timedelta | None:
        """Return how long before its upload a reading puts the newest entry, if it is known."""
        if self.newest is None or self.uploaded is None:
            return None
        return self.uploaded - utc(self.newest, reading.end)


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
    return Known(newest, sent, sent if sent and abs(sent - by_rules) < DAY else by_rules)


def likeliest(changes: Sequence[ClockChange], rules: ZoneRules, known: Known) -> Reading | None:
    """Choose a reading; ``None`` if nothing is known but the zone's rules.

    ``changes`` are those that shift the clock, in order of place.
    """
    found = list(readings(changes, rules, known.now).values())
    if known.now is None:
        return found[0] if found else None
    by_rules = rules.at(known.now)
    likely = min(found, key=lambda reading: (reading.oddness, reading.end != by_rules))
    if changes and _is_stale(likely, changes[-1], rules, known.now):
        likely = next((each for each in found if each.end == by_rules), likely)
    return _fitting(likely, found, by_rules, known)


def _is_of_newest_stretch(
    newest: datetime, changes: Sequence[ClockChange], uploaded: datetime | None
) -> bool:
    """Tell whether the newest wall time was written after the last change, and can be true.

    After the clock was set back, the latest wall time is for a while the one right before that.
    """
    if uploaded and newest - uploaded > 2 * DAY:
        return False
    if changes and changes[-1].after - newest > MINUTE:
        return False
    return not any(timedelta(0) <= change.before - newest <= HOUR for change in changes)


def _is_stale(reading: Reading, last: ClockChange, rules: ZoneRules, now: datetime) -> bool:
    """Tell whether the clock has differed from the zone's rules for too long, now it does."""
    if reading.end == rules.at(now):
        return False
    since = utc(last.after, reading.begin)
    if reading.begin in home_offsets(last, rules):
        since = max(since, rules.switches[max(bisect_right(rules.switches, now) - 1, 0)])
    return now - since > PATIENCE


def _fitting(
    likely: Reading, found: Sequence[Reading], by_rules: timedelta, known: Known
) -> Reading:
    """Return the likely reading, or the one that the time of the upload speaks for.

    ``found`` is sorted by oddness.
    """
    lags = [(reading, lag) for reading in found if (lag := known.lag(reading)) is not None]
    late = known.lag(likely)
    if late is None or abs(late) <= FRESH:
        return likely
    fitting = [reading for reading, lag in lags if abs(lag) <= FRESH]
    if late > FRESH:
        # Uploads may be slow, so only what is as likely or follows the zone's rules counts.
        fitting = [
            reading
            for reading in fitting
            if reading.end == by_rules or reading.oddness <= likely.oddness
        ]
    elif not fitting:
        fitting = [reading for reading, lag in lags if -FRESH <= lag <= -late]
    return fitting[0] if fitting else likely
