"""The offset intervals of a pump's clock: between two changes on record, one offset from UTC.

See Tidepool's "bootstrapping to UTC", and ``clock/__init__.py`` for an example.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from tconnectsync.sources.tandemsource.clock.changes import ClockChange
from tconnectsync.sources.tandemsource.clock.hypotheses import Hypothesis
from tconnectsync.sources.tandemsource.clock.zonerules import is_wrong_date


class OffsetInterval(NamedTuple):
    """A part of a log between two changes of the clock.

    Offsets are how far the clock was ahead of UTC.
    """

    begun_by: ClockChange | None
    """``None`` for the first interval, of which the beginning is not known."""
    ended_by: ClockChange | None
    """``None`` for the newest interval."""
    begin: timedelta
    """The offset with which it begins."""
    end: timedelta
    """The offset with which it ends; another one if a change is missing from the record."""
    exact_end: timedelta
    """The same; exact to the second where the date is wrong, as that is the offset of no zone."""

    @property
    def lacks_a_change(self) -> bool:
        """Whether a change within it must be missing from the record."""
        return self.begin != self.end

    @property
    def may_have_lost_its_date(self) -> bool:
        """Whether the date became wrong in it without a record, or may have before the first."""
        return is_wrong_date(self.end) and (self.begun_by is None or self.lacks_a_change)


def offset_intervals(
    changes: Sequence[ClockChange], best: Hypothesis | None
) -> list[OffsetInterval]:
    """Return the intervals before the first change, after it, and so on.

    ``changes`` are those that shift the clock, in the order of the log. Without a hypothesis there
    is no interval: only the zone's rules are known.
    """
    found: list[OffsetInterval] = []
    for index in reversed(range(len(changes) + 1)):
        if best is None:
            break
        ended_by = changes[index] if index < len(changes) else None
        exact_end = best.end
        if ended_by and is_wrong_date(best.end):
            exact_end = found[-1].begin - ended_by.exact_shift
        begun_by = changes[index - 1] if index else None
        found.append(OffsetInterval(begun_by, ended_by, best.begin, best.end, exact_end))
        best = best.older
    return found[::-1]
