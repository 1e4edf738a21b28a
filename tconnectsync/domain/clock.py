"""From the pump's wall clock to instants, and ranges of time.

Instants are aware datetimes with a fixed offset, never with a named zone: Python subtracts two
datetimes of one named zone by their wall clocks, which is wrong by an hour across a daylight-saving
change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from operator import itemgetter
from typing import TypeVar
from zoneinfo import ZoneInfo

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""An instant before all others."""


Value = TypeVar("Value", datetime, int)
"""An instant, or the number of a day."""


class PumpClock:
    """The pump's clock, which shows a wall time and knows no zone.

    ``zone`` is the zone that the pump's clock is set to (``TIMEZONE_NAME``).
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def instant(self, wall: datetime) -> datetime:
        """Return the instant at which the pump's clock showed ``wall`` (naive).

        In the hour that an autumn night repeats, ``wall.fold`` says which of the two is meant. A
        time that a spring night skips is read as if the clock had not been set forward yet.
        """
        return _fixed(wall.replace(tzinfo=self.zone))

    def here(self, instant: datetime) -> datetime:
        """Return the same instant as the pump's clock shows it."""
        return _fixed(instant.astimezone(self.zone))

    def day(self, instant: datetime) -> date:
        """Return the day of the pump's calendar in which ``instant`` lies."""
        return instant.astimezone(self.zone).date()

    def days(self, time_range: TimeRange) -> tuple[date, date]:
        """Return the first and the last day of the pump's calendar that a range touches."""
        return self.day(time_range.start), self.day(time_range.end - timedelta(microseconds=1))

    def midnight(self, day: date) -> datetime:
        """Return the instant at which ``day`` begins on the pump."""
        return self.instant(datetime(day.year, day.month, day.day))


def _fixed(local: datetime) -> datetime:
    return local.replace(tzinfo=fixed_zone(local.utcoffset() or timedelta(0)), fold=0)


@cache
def fixed_zone(offset: timedelta) -> timezone:
    """Return the zone of a constant offset: always the same object, so comparisons are quick."""
    return timezone(offset)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The time from ``start`` (included) to ``end`` (excluded), both aware."""

    start: datetime
    end: datetime

    def overlaps(self, begin: datetime, end: datetime) -> bool:
        """Return whether something from ``begin`` to ``end`` (both included) touches the range."""
        return begin < self.end and end >= self.start

    def __contains__(self, instant: datetime) -> bool:
        """Return whether an instant lies in the range."""
        return self.start <= instant < self.end


def merged(spans: Iterable[tuple[Value, Value]]) -> list[tuple[Value, Value]]:
    """Return spans in order of their beginnings; those that touch or overlap become one.

    A span goes from its first value until just before its second one.
    """
    found: list[tuple[Value, Value]] = []
    for start, end in sorted(spans, key=itemgetter(0)):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def without(
    spans: Iterable[tuple[Value, Value]], known: Iterable[tuple[Value, Value]]
) -> list[tuple[Value, Value]]:
    """Return the parts of some spans that lie outside of the ``known`` ones."""
    left = list(spans)
    for begin, stop in known:
        left = [
            (first, last)
            for start, end in left
            for first, last in ((start, min(end, begin)), (max(start, stop), end))
            if first < last
        ]
    return left
