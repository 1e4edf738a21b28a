"""When which pump of a person was worn, from the signs in the logs of all of them.

See tandem-source-api §4.5 and tandem-source-processing §15. The logs of a range tell most of
it; what was worn when it begins is looked for before it, also in the logs of pumps that had ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple, Protocol

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.tandemsource.claims import EVER, Sign, Turn, signs, turns
from tconnectsync.sources.tandemsource.onepump import DAY, OnePump
from tconnectsync.sources.tandemsource.pumps import Pump, first_instant, last_instant, mark, touches
from tconnectsync.sources.tandemsource.reader import LogReader


class Part(NamedTuple):
    """A pump that is read for a range."""

    pump: Pump
    number: int
    """Counts the pumps of the person in the order in which their logs begin."""
    one: OnePump
    reader: LogReader


class Claims(NamedTuple):
    """Whose basal counts."""

    turns: list[Turn]
    signs: list[list[Sign]]
    """The signs of each pump, by its number."""
    are_uncertain: bool
    """Whether the log of a pump cannot be had, which is taken to have been worn all the time."""


class Failed(Protocol):
    """Is told of a pump whose signs cannot be had, be it those of the range itself."""

    def __call__(self, pump: Pump, error: TconnectsyncError, *, in_range: bool) -> None:
        """Take note of it."""
        ...


@dataclass(frozen=True)
class PumpLogs:
    """The logs of the pumps of a person, of which some are read for a range.

    ``pumps`` are all that may be read, in the order in which their logs begin.
    """

    wanted: TimeRange
    clock: PumpClock
    now: datetime
    pumps: Sequence[Pump]
    parts: Sequence[Part]

    def claims_from(
        self, since: datetime, open_log: Callable[[Pump], OnePump], failed: Failed
    ) -> Claims:
        """Return whose basal counts from an instant on.

        Raises:
            TconnectsyncError: going on makes no sense.
        """
        numbers = numbers_of(self.pumps)
        shown: list[list[Sign]] = [[] for _ in set(numbers.values())]
        unknown = []
        for pump in self.pumps:
            try:
                shown[numbers[pump.assignment_id]] += self._signs_of(pump, since, open_log)
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                failed(pump, error, in_range=True)
                unknown.append(pump)
        unknown += self._look_back(shown, since, unknown, open_log, failed)
        for pump in unknown:
            shown = self._as_if_always_worn(pump, numbers[pump.assignment_id], shown)
        for found in shown:
            found.sort()
        first = self._first_to_do_anything(shown, unknown)
        return Claims(turns(shown, first), shown, bool(unknown))

    def _first_to_do_anything(self, shown: list[list[Sign]], unknown: Sequence[Pump]) -> int:
        """Return the pump to which what lies before all signs belongs.

        Where a log begins does not tell: a date that was wrong for an hour puts it years earlier.
        """
        latest = datetime.max.replace(tzinfo=UTC)
        earliest = min((sign.at for found in shown for sign in found), default=latest)
        for part in sorted(self.parts, key=lambda it: it.number):
            if part.pump in unknown:
                continue
            if any(it.at < earliest for found in part.reader.log().values() for it in found):
                return part.number
        return 0

    @property
    def _first_day(self) -> date:
        """The first day of the logs that are read."""
        return self.clock.day(self.wanted.start) - DAY

    def _signs_of(
        self, pump: Pump, since: datetime, open_log: Callable[[Pump], OnePump]
    ) -> list[Sign]:
        """Return the signs in the log of the range, and from an instant before that on."""
        part = next((it for it in self.parts if it.pump is pump), None)
        found = signs(part.reader.log()) if part else []
        first = self._first_day_for(since)
        earlier = TimeRange(since, self.wanted.start)
        if first < self._first_day and touches(pump, earlier, self.clock, self.now):
            one = part.one if part else open_log(pump)
            found += signs(one.signs_log(first, self._first_day - DAY))
        return found

    def _first_day_for(self, since: datetime) -> date:
        """Return the first day of the logs that show whose basal counts from an instant on."""
        if since >= self.clock.midnight(self._first_day):
            return self._first_day
        return self.clock.day(since) - DAY

    def _look_back(
        self,
        shown: list[list[Sign]],
        since: datetime,
        unknown: Sequence[Pump],
        open_log: Callable[[Pump], OnePump],
        failed: Failed,
    ) -> list[Pump]:
        """Add the last sign before an instant, of whichever pump; return those that fail to tell.

        The pumps that were in use last are asked first, so that the others need not be.
        """
        numbers = numbers_of(self.pumps)
        first = self._first_day_for(since)
        known_from = self.clock.midnight(first)
        best = max((it.at for found in shown for it in found if it.at <= since), default=EVER)
        read = [part.pump for part in self.parts]
        left_out = []

        def last(pump: Pump) -> datetime:
            return last_instant(pump, self.clock, self.now) or self.now

        for pump in sorted(self.pumps, key=last, reverse=True):
            unseen_until = min(last(pump), known_from) if pump in read else last(pump)
            if pump in unknown or unseen_until <= best:
                continue
            day = min(first, self.clock.day(last(pump)) + 2 * DAY)
            began = max(best, first_instant(pump, self.clock) or EVER)
            try:
                earlier = open_log(pump).last_signs(
                    day, None if began == EVER else self.clock.day(began) - DAY
                )
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                failed(pump, error, in_range=False)
                left_out.append(pump)
                continue
            shown[numbers[pump.assignment_id]] += signs(earlier)
            best = max([best, *(sign.at for sign in signs(earlier))])
        return left_out

    def _as_if_always_worn(
        self, pump: Pump, number: int, shown: list[list[Sign]]
    ) -> list[list[Sign]]:
        """Return the signs as if a pump whose log cannot be had claimed all of its time.

        So no other pump's basal is shown where it may have gone nowhere.
        """
        first = first_instant(pump, self.clock) or EVER
        last = last_instant(pump, self.clock, self.now) or self.now
        left = [
            [sign for sign in found if other == number or not first <= sign.at <= last]
            for other, found in enumerate(shown)
        ]
        left[number].append(Sign(first, ""))
        return left


def in_order(pumps: Iterable[Pump], clock: PumpClock) -> list[Pump]:
    """Return pumps in the order in which their logs begin; those of which it is unknown last."""

    def began(pump: Pump) -> tuple[bool, datetime, str]:
        first = first_instant(pump, clock)
        return first is None, first or EVER, mark(pump)

    return sorted(pumps, key=began)


def numbers_of(pumps: Sequence[Pump]) -> dict[str, int]:
    """Return the number of each pump; one that was assigned anew keeps it."""
    serials = list(dict.fromkeys(pump.serial for pump in pumps))
    return {pump.assignment_id: serials.index(pump.serial) for pump in pumps}
