"""Three clocks: the person's own, the pump's, and the true one.

A history goes by the person's own clock: it shows the right time of their zone when the history
begins and then runs on evenly, whatever daylight saving or journeys do. The pump's wall clock shows
the same until somebody sets it, and runs on evenly from there. The true instant follows from the
person's own clock alone, so setting the pump's clock changes what is logged but not when it was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class ClockChange:
    """Somebody set the pump's clock."""

    at: datetime
    """When, by the person's own clock."""
    before: datetime
    """What the pump's clock showed before."""
    after: datetime
    """What it showed after."""
    shift: timedelta
    """How far it is ahead of the person's own clock from then on."""
    on_record: bool = True
    """Whether the pump's log records it; a clock that lost its time without power does not."""


class Clocks:
    """Translates moments of the person's own clock (naive).

    Args:
        began: when the history began, by all three clocks.
        zone: the zone in which the person was then.
        changes: what the pump's clock showed before and after each time it was set, in order.
        unrecorded: the numbers of those changes, from 0, which the log does not record: a pump
            without power has lost its time.
    """

    def __init__(
        self,
        began: datetime,
        zone: ZoneInfo,
        changes: Sequence[tuple[datetime, datetime]] = (),
        unrecorded: Collection[int] = (),
    ) -> None:
        self.changes: list[ClockChange] = []
        self._began = began
        self._true_beginning = began.replace(tzinfo=zone).astimezone(UTC)
        shift = timedelta(0)
        for number, (before, after) in enumerate(changes):
            at = before - shift
            shift += after - before
            on_record = number not in unrecorded
            self.changes.append(ClockChange(at, before, after, shift, on_record))

    @property
    def key(self) -> tuple[object, ...]:
        """What equal clocks have in common."""
        return self._began, self._true_beginning, *self.changes

    def wall(self, moment: datetime) -> datetime:
        """Return what the pump's clock shows; in the second of a change, the new time."""
        passed = bisect_right(self.changes, moment, key=attrgetter("at"))
        return moment + self.changes[passed - 1].shift if passed else moment

    def instant(self, moment: datetime) -> datetime:
        """Return the true instant, in UTC."""
        return self._true_beginning + (moment - self._began)
