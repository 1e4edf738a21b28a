"""Searches the logs of all pumps of a person for the signs that decide which pump's basal counts.

See tandem-source-api §4.5 and tandem-source-processing §15. The logs of a range hold most of them;
which pump was worn when the range begins is looked for before it, also in the logs of pumps that
had ended by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple, Protocol

from tconnectsync.api.tandemsource.logs import LONGEST
from tconnectsync.domain.clock import DAY, LONG_AGO, PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.tandemsource.basals.basalowner import Owner, owners
from tconnectsync.sources.tandemsource.pumps.pumplog import PumpLog
from tconnectsync.sources.tandemsource.pumps.pumps import (
    Pump,
    first_instant,
    last_instant,
    mark,
    touches,
)
from tconnectsync.sources.tandemsource.pumps.wornsigns import CODES, Sign, signs
from tconnectsync.sources.tandemsource.reader import LONGEST_LOOK_BACK, LogReader


class ReadPump(NamedTuple):
    """A pump that is read for a range."""

    pump: Pump
    number: int
    """Counts the pumps of the person in the order in which their logs begin."""
    log: PumpLog
    reader: LogReader


class BasalOwners(NamedTuple):
    """Whose basal counts."""

    owners: list[Owner]
    signs: list[list[Sign]]
    """The signs of each pump, by its number."""
    are_uncertain: bool
    """Whether the log of a pump cannot be read, which is taken to have been worn all the time."""


class OnFailure(Protocol):
    """Is called for a pump whose signs cannot be read, those of the range itself or others."""

    def __call__(self, pump: Pump, error: TconnectsyncError, *, in_range: bool) -> None:
        """Take note of it."""
        ...


class WornSearch(NamedTuple):
    """Looks for signs of being worn.

    Args:
        time_range: the range that is read.
        clock: knows the zone of the pumps' clocks.
        now: the current instant.
        pumps: all that may be read, in the order in which their logs begin.
        read: those of them that are read for the range.
        open_log: returns the log of one that is not.
        on_failure: is called where a log cannot be read.
    """

    time_range: TimeRange
    clock: PumpClock
    now: datetime
    pumps: Sequence[Pump]
    read: Sequence[ReadPump]
    open_log: Callable[[Pump], PumpLog]
    on_failure: OnFailure

    def owners_since(self, since: datetime) -> BasalOwners:
        """Return whose basal counts from an instant on.

        Raises:
            TconnectsyncError: going on makes no sense.
        """
        numbers = numbers_of(self.pumps)
        shown: list[list[Sign]] = [[] for _ in set(numbers.values())]
        unknown = []
        for pump in self.pumps:
            try:
                shown[numbers[pump.assignment_id]] += self._signs_since(pump, since)
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                self.on_failure(pump, error, in_range=True)
                unknown.append(pump)
        unknown += self._add_last_signs_before(since, shown, unknown)
        for pump in unknown:
            shown = self._as_if_always_worn(pump, numbers[pump.assignment_id], shown)
        for found in shown:
            found.sort()
        first = self._first_to_do_anything(shown, unknown)
        return BasalOwners(owners(shown, first), shown, bool(unknown))

    def _first_to_do_anything(self, shown: list[list[Sign]], unknown: Sequence[Pump]) -> int:
        """Return the pump to which what lies before all signs belongs.

        Where a log begins does not decide: a date that was wrong for an hour puts it years earlier.
        """
        latest = datetime.max.replace(tzinfo=UTC)
        earliest = min((sign.at for found in shown for sign in found), default=latest)
        for it in sorted(self.read, key=lambda it: it.number):
            if it.pump in unknown:
                continue
            if any(entry.at < earliest for found in it.reader.log().values() for entry in found):
                return it.number
        return 0

    @property
    def _first_day(self) -> date:
        """The first day of the logs that are read."""
        return self.clock.day(self.time_range.start) - DAY

    def _first_day_for(self, since: datetime) -> date:
        """Return the first day of the logs that show whose basal counts from an instant on."""
        if since >= self.clock.midnight(self._first_day):
            return self._first_day
        return self.clock.day(since) - DAY

    def _signs_since(self, pump: Pump, since: datetime) -> list[Sign]:
        """Return the signs in the log of the range, and from an instant before that on."""
        read = next((it for it in self.read if it.pump is pump), None)
        found = signs(read.reader.log()) if read else []
        first = self._first_day_for(since)
        earlier = TimeRange(since, self.time_range.start)
        if first < self._first_day and touches(pump, earlier, self.clock, self.now):
            log = read.log if read else self.open_log(pump)
            found += signs(log.entries(first, self._first_day - DAY, CODES))
        return found

    def _add_last_signs_before(
        self, since: datetime, shown: list[list[Sign]], unknown: Sequence[Pump]
    ) -> list[Pump]:
        """Add the last sign before an instant, of whichever pump, to those that are ``shown``.

        The pumps that were in use last are asked first, so that the others need not be. Those of
        which the log cannot be read are returned.
        """
        numbers = numbers_of(self.pumps)
        first = self._first_day_for(since)
        known_from = self.clock.midnight(first)
        best = max((it.at for found in shown for it in found if it.at <= since), default=LONG_AGO)
        read = [it.pump for it in self.read]
        failed = []

        def last(pump: Pump) -> datetime:
            return last_instant(pump, self.clock, self.now) or self.now

        for pump in sorted(self.pumps, key=last, reverse=True):
            unseen_until = min(last(pump), known_from) if pump in read else last(pump)
            if pump in unknown or unseen_until <= best:
                continue
            day = min(first, self.clock.day(last(pump)) + 2 * DAY)
            began = max(best, first_instant(pump, self.clock) or LONG_AGO)
            earliest = None if began == LONG_AGO else self.clock.day(began) - DAY
            try:
                earlier = last_signs(self.open_log(pump), day, earliest)
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                self.on_failure(pump, error, in_range=False)
                failed.append(pump)
                continue
            shown[numbers[pump.assignment_id]] += earlier
            best = max([best, *(sign.at for sign in earlier)])
        return failed

    def _as_if_always_worn(
        self, pump: Pump, number: int, shown: list[list[Sign]]
    ) -> list[list[Sign]]:
        """Return the signs as if a pump whose log cannot be read owned all of its time.

        So no basal of another pump is shown that may not have reached the body.
        """
        first = first_instant(pump, self.clock) or LONG_AGO
        last = last_instant(pump, self.clock, self.now) or self.now
        left = [
            [sign for sign in found if other == number or not first <= sign.at <= last]
            for other, found in enumerate(shown)
        ]
        left[number].append(Sign(first, ""))
        return left


def last_signs(log: PumpLog, day: date, earliest: date | None) -> list[Sign]:
    """Return what last showed before a day that a pump was worn, with the signs around it.

    The steps back grow. They end at ``earliest``, or after two weeks if that is not known.
    """
    earliest = earliest or day - LONGEST_LOOK_BACK
    step = DAY
    while day > earliest:
        first = max(day - step, earliest)
        if found := signs(log.entries(first, day - DAY, CODES)):
            return found
        day, step = first, min(2 * step, LONGEST)
    return []


def in_order(pumps: Iterable[Pump], clock: PumpClock) -> list[Pump]:
    """Return pumps in the order in which their logs begin; those of which it is unknown last."""

    def began(pump: Pump) -> tuple[bool, datetime, str]:
        first = first_instant(pump, clock)
        return first is None, first or LONG_AGO, mark(pump)

    return sorted(pumps, key=began)


def numbers_of(pumps: Sequence[Pump]) -> dict[str, int]:
    """Return the number of each pump; one that was assigned again keeps it."""
    serials = list(dict.fromkeys(pump.serial for pump in pumps))
    return {pump.assignment_id: serials.index(pump.serial) for pump in pumps}
