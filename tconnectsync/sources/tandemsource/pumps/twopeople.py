"""Whether two pumps of an account are worn by two people.

See tandem-source-api §4.5 and tandem-source-processing §15. The account may be shared by two
people, of whom each has a pump, and their insulin must never end up in one Nightscout; so where two
pumps may have been in use for days, their logs have to show that it was not at the same time.

An example: the logs of two pumps overlap for a week. If both delivered for an hour or more at the
same time on three of its days, they are two people's. On one or two days, a person may just have
changed pumps and left the old one running; then only the one in use is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.clock import DAY, HOUR, PumpClock, TimeRange
from tconnectsync.domain.events import Bolus
from tconnectsync.errors import PumpChoiceError, TconnectsyncError
from tconnectsync.sources.tandemsource.pumps.overlaps import Overlap, Overlaps
from tconnectsync.sources.tandemsource.pumps.pumps import (
    Pump,
    ending,
    first_instant,
    last_instant,
    mark,
    named,
    newest_first,
)
from tconnectsync.sources.tandemsource.pumps.wornsigns import signs
from tconnectsync.sources.tandemsource.reader import LogReader

ALLOWED = 2 * DAY
"""For how long the logs of two pumps may overlap without a question: one has replaced the other."""
MOST_DAYS = 14
"""How many days of an overlap are compared: the newest ones."""
DAYS_OF_TWO_PEOPLE = 3
"""One person never has two pumps deliver at the same time on this many days."""
LONGEST_DELIVERY = 7
"""On more days an old pump that is not worn does not deliver: its cartridge is empty by then."""
LEAST = 4 * DAY
"""The shortest span in which two pumps are compared, also with a small CATCH_UP_DAYS: less
could not show three days of delivery by both."""
RECENT = 2 * DAY
"""How long ago the end of a log may be while the pump may still be in use."""

Span = tuple[datetime, datetime]


class PairComparison(NamedTuple):
    """Compares the logs of two pumps.

    ``open_log`` returns a reader for the log of a pump from one day to another, without sensors.
    """

    clock: PumpClock
    now: datetime
    catch_up: timedelta
    overlaps: Overlaps
    open_log: Callable[[Pump, TimeRange], LogReader]
    allowed_days: int = DAYS_OF_TWO_PEOPLE - 1
    """On how many days both may have delivered at the same time."""

    def compare(self, one: Pump, other: Pump, time_range: TimeRange) -> dict[str, str]:
        """Return why one of two pumps is not read, by its assignment; nothing if both are read.

        Raises:
            PumpChoiceError: they are those of two people.
        """
        recent = TimeRange(self.now - max(self.catch_up, LEAST), self.now)
        for period in (recent, time_range):
            days = self._shared_days(one, other, period)
            known = self.overlaps.of(one, other)
            if known and len(known.both) > self.allowed_days and self._is_within(known, period):
                raise two_people(one, other, len(known.both))
            if not days:
                continue
            if not known or known.first > days[0] or known.last < days[-1]:
                try:
                    known = self._look(one, other, days[0], days[-1])
                except TconnectsyncError as error:
                    if error.fatal:
                        raise
                    used, left = newest_first([one, other], self.clock, self.now)
                    return {left.assignment_id: _not_compared(used, left, error)}
                self.overlaps.keep(one, other, known)
            both = [day for day in known.both if days[0] <= day <= days[-1]]
            if len(both) > self.allowed_days:
                raise two_people(one, other, len(both))
            is_said = self.allowed_days >= DAYS_OF_TWO_PEOPLE
            if both and not is_said and self._goes_on(one, other):
                used, left = self._in_use(one, other, known)
                return {left.assignment_id: _undecided(used, left)}
        return {}

    def _shared_days(self, one: Pump, other: Pump, period: TimeRange) -> list[date]:
        """Return the newest days of a period in which both logs have something, if that is long."""
        firsts = [first_instant(pump, self.clock) for pump in (one, other)]
        lasts = [last_instant(pump, self.clock, self.now) for pump in (one, other)]
        first = max([period.start, *filter(None, firsts)])
        last = min([period.end, self.now, *filter(None, lasts)])
        if last - first <= ALLOWED:
            return []
        newest = self.clock.day(last)
        count = min(MOST_DAYS, (newest - self.clock.day(first)).days + 1)
        return [newest - number * DAY for number in reversed(range(count))]

    def _is_within(self, known: Overlap, period: TimeRange) -> bool:
        first, last = self.clock.day(period.start), self.clock.day(period.end)
        return known.first <= last and known.last >= first

    def _goes_on(self, one: Pump, other: Pump) -> bool:
        lasts = (last_instant(pump, self.clock, self.now) for pump in (one, other))
        return all(last is None or last >= self.now - RECENT for last in lasts)

    def _in_use(self, one: Pump, other: Pump, known: Overlap) -> tuple[Pump, Pump]:
        """Return the pump that is in use, and the other one."""
        if known.worn in (mark(one), mark(other)):
            return (one, other) if known.worn == mark(one) else (other, one)
        used, left = newest_first([one, other], self.clock, self.now)
        return used, left

    def _look(self, one: Pump, other: Pump, first: date, last: date) -> Overlap:
        """Find out on which days both pumps delivered at the same time.

        Raises:
            TconnectsyncError: a log cannot be read.
        """
        begin, end = self.clock.midnight(first), self.clock.midnight(last + DAY)
        period = TimeRange(begin, min(end, self.now))
        logs = [self.open_log(pump, period) for pump in (one, other)]
        together: Counter[date] = Counter()
        for start, length in _common(*(list(_delivering(log)) for log in logs)):
            together[self.clock.day(start)] += round(length.total_seconds())
        both = [day for day, seconds in together.items() if seconds >= HOUR.total_seconds()]
        shown = [
            (sign.at, mark(pump))
            for pump, log in zip((one, other), logs, strict=True)
            for sign in signs(log.log())
        ]
        within = tuple(day for day in sorted(both) if first <= day <= last)
        return Overlap(first, last, within, max(shown)[1] if shown else "")


def two_people(one: Pump, other: Pump, days: int) -> PumpChoiceError:
    """Return the error that says that two people share the account."""
    return PumpChoiceError(
        f"The pumps {named(one)} and {named(other)} of this account delivered insulin at the same "
        f"time on {days} days, so they seem to be worn by two people. Their insulin must not end "
        "up in one Nightscout, and nothing was written. Set PUMP_SERIAL_NUMBER to the number of "
        f"the pump whose data belong here, the one that ends in {ending(one)[1:]} or "
        f"{ending(other)[1:]}. For two people, set the program up twice: each with a Nightscout "
        "and a PUMP_SERIAL_NUMBER of its own. If one person wore both and the old one was left "
        "running, switch it off and set PUMP_SERIAL_NUMBER to both numbers, with a comma between "
        f"them: that is allowed for {LONGEST_DELIVERY} days at most."
    )


def _undecided(used: Pump, left: Pump) -> str:
    return (
        f"The pumps {named(used)} and {named(left)} of this account both deliver insulin at the "
        "moment. It is not clear yet whether two people wear them, so only the one in use, "
        f"{ending(used)}, is synced: insulin of {ending(left)} is missing. If the "
        "old one was only left running, switch it off. Otherwise set PUMP_SERIAL_NUMBER to the "
        "pump whose data belong here."
    )


def _not_compared(used: Pump, left: Pump, error: TconnectsyncError) -> str:
    return (
        f"It is not clear whether the pumps {named(used)} and {named(left)} of this account are "
        f"worn by two people, because a log cannot be read: {str(error).removesuffix('.')}. Only "
        f"{ending(used)} is synced: insulin of {ending(left)} may be missing. The "
        "next run asks again."
    )


def _delivering(log: LogReader) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when until when a pump surely delivered, in time order.

    Of a pump whose basal is not known, a bolus stands for the hour that it begins.
    """
    spans = [(it.start, it.ends) for it in log.basals() if it.rate > 0]
    if not spans:
        boluses = (it for it in log.boluses() if isinstance(it, Bolus) and it.insulin > 0)
        spans = [(it.begins, it.begins + HOUR) for it in boluses]
    end = None
    for begin, until in sorted(spans):
        begin = max(begin, end) if end else begin
        if begin < until:
            yield begin, until
            end = until


def _common(
    one: Iterable[tuple[datetime, datetime]], other: Sequence[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, timedelta]]:
    """Yield when both of two lists of spans, each in time order, have something, and how long."""
    number = 0
    for begin, end in one:
        while number < len(other) and other[number][1] <= begin:
            number += 1
        place = number
        while place < len(other) and other[place][0] < end:
            start, stop = max(begin, other[place][0]), min(end, other[place][1])
            if start < stop:
                yield start, stop - start
            place += 1
