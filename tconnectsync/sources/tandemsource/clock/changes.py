"""The changes of the pump's clock that its log records. See tandem-event-log §3 and §10.8."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple, TypeGuard

from tconnectsync.domain.clock import DAY, MINUTE
from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.sources.tandemsource.clock.zonerules import is_wrong_date
from tconnectsync.sources.tandemsource.log.codes import DATE_CHANGED, TIME_CHANGED
from tconnectsync.sources.tandemsource.log.records import Record, whole

CLOCK_CODES = frozenset((TIME_CHANGED, DATE_CHANGED))
QUARTER, HALF_HOUR = 15 * MINUTE, 30 * MINUTE
MOST_DRIFT = 10 * MINUTE
"""A smaller change only corrects the clock drift: it has nothing to do with a zone."""
MILLISECONDS_A_DAY = 86_400_000
FIRST_SOLD = 2016
"""No pump with such a log is older."""
MOST_DAYS = 36_525
"""A hundred years; no clock of a pump shows a later day."""
ONE_GO = timedelta(minutes=2)
"""Changes no further apart were made on the same screen."""

LogPosition = tuple[int, int]
"""Sequence group and sequence number: the order in which the pump wrote its log."""


class ClockChange(NamedTuple):
    """A change of the pump's clock: its naive wall time right before and right after.

    Entries from ``position`` on were written with the new time.
    """

    position: LogPosition
    before: datetime
    after: datetime

    @property
    def exact_shift(self) -> timedelta:
        """By how much the clock was put forward; negative if it was put back."""
        return self.after - self.before

    @property
    def shift(self) -> timedelta:
        """The shift without the clock drift.

        Half hours are most likely: zones differ by them, and daylight saving is one or two.
        """
        exact = self.exact_shift
        half_hours = HALF_HOUR * round(exact / HALF_HOUR)
        if abs(exact - half_hours) < MOST_DRIFT:
            return half_hours
        return QUARTER * round(exact / QUARTER)

    @property
    def is_by_days(self) -> bool:
        """Whether it is larger than a journey around half the earth can cause."""
        return is_wrong_date(self.exact_shift)


def clock_changes(records: Iterable[Record]) -> list[ClockChange]:
    """Return the changes of the pump's clock, in the order of its log.

    The pump logs a change of the date and one of the time of day as two entries, also where a
    person sets both in one go; changes that follow one another at once are therefore joined.
    Changes without effect and impossible ones are left out.
    """
    found: dict[LogPosition, ClockChange] = {}
    for record in records:
        if change := _change(record):
            found.setdefault(change.position, change)
    joined: list[ClockChange] = []
    for _, change in sorted(found.items()):
        last = joined[-1] if joined else None
        is_same_group = last and last.position[0] == change.position[0]
        if last and is_same_group and abs(change.before - last.after) <= ONE_GO:
            # One change, at the log position of the second.
            shift = last.exact_shift + change.exact_shift
            joined[-1] = ClockChange(change.position, change.after - shift, change.after)
        else:
            joined.append(change)
    return [change for change in joined if change.before != change.after]


def _change(record: Record) -> ClockChange | None:
    """Read one entry.

    The wall time in its head is the one after the change: of a change of the time, the date is
    right before and after, and the other way round.
    """
    midnight = record.wall.replace(hour=0, minute=0, second=0, microsecond=0)
    position = record.group, record.sequence
    if record.code == TIME_CHANGED:
        prior, after = (whole(record.values, name) for name in ("timeprior", "timeafter"))
        if _is_below(prior, MILLISECONDS_A_DAY) and _is_below(after, MILLISECONDS_A_DAY):
            tick = timedelta(milliseconds=1)
            return ClockChange(position, midnight + prior * tick, midnight + after * tick)
    elif record.code == DATE_CHANGED:
        prior, after = (whole(record.values, name) for name in ("dateprior", "dateafter"))
        if _is_below(prior, MOST_DAYS) and _is_below(after, MOST_DAYS):
            time_of_day = PUMP_EPOCH + (record.wall - midnight)
            return ClockChange(position, time_of_day + prior * DAY, time_of_day + after * DAY)
    return None


def _is_below(value: int | None, limit: int) -> TypeGuard[int]:
    return value is not None and 0 <= value < limit
