"""What the pump's log tells about changes of its clock. See tandem-event-log §3."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeGuard

from tconnectsync.sources.tandemsource.clock.intervals import ClockChange
from tconnectsync.sources.tandemsource.records import Record, whole

TIME_CHANGED, DATE_CHANGED = 13, 14
CLOCK_CODES = frozenset((TIME_CHANGED, DATE_CHANGED))
DAY = timedelta(days=1)
MILLISECONDS_A_DAY = 86_400_000
FIRST_DAY = datetime(2008, 1, 1)
MOST_DAYS = 36_525
"""A hundred years; no clock of a pump shows a later day."""
ONE_GO = timedelta(minutes=2)
"""Changes no further apart were made on the same screen."""


def clock_changes(records: Iterable[Record]) -> list[ClockChange]:
    """Return the changes of the pump's clock, in the order of its log.

    The pump logs a change of the date and one of the time of day as two entries, also where a
    person sets both in one go; changes that follow one another at once are therefore joined. What
    changes nothing and what makes no sense is left out.
    """
    found: dict[tuple[int, int], ClockChange] = {}
    for record in records:
        change = _change(record)
        if change:
            found.setdefault(change.place, change)
    joined: list[ClockChange] = []
    for _, change in sorted(found.items()):
        if joined and _at_once(joined[-1], change):
            change = _both(joined.pop(), change)
        joined.append(change)
    return [change for change in joined if change.before != change.after]


def _change(record: Record) -> ClockChange | None:
    """Read one entry.

    The wall time in its head is the one after the change: of a change of the time, the date is
    right before and after, and the other way round.
    """
    midnight = record.wall.replace(hour=0, minute=0, second=0, microsecond=0)
    place = record.group, record.sequence
    if record.code == TIME_CHANGED:
        prior, after = (whole(record.values, name) for name in ("timeprior", "timeafter"))
        if _is_below(prior, MILLISECONDS_A_DAY) and _is_below(after, MILLISECONDS_A_DAY):
            tick = timedelta(milliseconds=1)
            return ClockChange(place, midnight + prior * tick, midnight + after * tick)
    elif record.code == DATE_CHANGED:
        prior, after = (whole(record.values, name) for name in ("dateprior", "dateafter"))
        if _is_below(prior, MOST_DAYS) and _is_below(after, MOST_DAYS):
            time_of_day = FIRST_DAY + (record.wall - midnight)
            return ClockChange(place, time_of_day + prior * DAY, time_of_day + after * DAY)
    return None


def _is_below(value: int | None, limit: int) -> TypeGuard[int]:
    return value is not None and 0 <= value < limit


def _at_once(one: ClockChange, other: ClockChange) -> bool:
    return one.place[0] == other.place[0] and abs(other.before - one.after) <= ONE_GO


def _both(one: ClockChange, other: ClockChange) -> ClockChange:
    """Return two changes as one, at the place of the second."""
    shift = one.exact_shift + other.exact_shift
    return ClockChange(other.place, other.after - shift, other.after)
