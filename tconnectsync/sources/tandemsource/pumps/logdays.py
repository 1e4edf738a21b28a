"""The log of one pump over some days, also under wrong dates that its clock showed then.

Tandem Source keeps the log by the pump's calendar, and lists all changes of its clock with every
answer. So entries that were written while the pump's date was wrong are under other days; the
changes show which. See tandem-source-api §4.6, tandem-source-processing §16.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tconnectsync.domain.clock import DAY, MINUTE, PumpClock, TimeRange
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES, ClockChange, clock_changes
from tconnectsync.sources.tandemsource.clock.hypotheses import SLOW
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.clock.walldays import without
from tconnectsync.sources.tandemsource.clock.zonerules import is_wrong_date
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, by_code
from tconnectsync.sources.tandemsource.log.records import EVERY_CODE, Record, records_of
from tconnectsync.sources.tandemsource.pumps.pumps import Pump

Payload = dict[str, list[Any]]
Ask = Callable[[date, date], Payload]
"""Asks the cloud for the log from one day of the pump's calendar to another, inclusive."""


@dataclass(eq=False)
class LogDays:
    """The log of one pump over some days.

    An example: the days asked for are 3 to 4 May, and the log records that on 3 May at noon the
    clock was changed from 1 June to 3 May. Then the entries of the morning of 3 May stand under
    1 June, so that day is asked for as well.

    Args:
        ask: asks the cloud; the answers hold entries of all kinds that are ever asked for.
        pump: whose log it is.
        clock: knows the zone of the pump's clock.
        first: the first day of the pump's calendar.
        last: the last one, inclusive.
        few: if given, asks for some kinds only, where the time of entries is in no doubt.
    """

    ask: Ask
    pump: Pump
    clock: PumpClock
    first: date
    last: date
    few: Ask | None = None
    log_clock: LogClock = field(init=False)
    """The clock by which entries are placed."""
    events: list[Any] = field(init=False)
    """All that was answered."""
    changes: list[ClockChange] = field(init=False)
    """The clock changes of the pump's whole life."""
    lacks_newest: bool = field(init=False, default=False)
    """Whether no entry was written after the clock was last set."""
    _asked: list[tuple[date, date]] = field(init=False)

    def __post_init__(self) -> None:
        """Ask for the days, and for others that the clock showed meanwhile.

        A further answer brings no more changes of the clock, so one round is enough.
        """
        payload = (self.few or self.ask)(self.first, self.last)
        self._asked = [(self.first, self.last)]
        self.events = payload["events"]
        noted = payload["clockChanges"] + payload["events"]
        self.changes = clock_changes(records_of(noted, CLOCK_CODES, Counter()))
        # Then only the order of all entries says which of these days have a wrong date.
        is_in_doubt = any(it.is_by_days and it.before.date() >= self.first for it in self.changes)
        if self.few and is_in_doubt:
            self.events = self.ask(self.first, self.last)["events"]
        self.log_clock = self._clock_with(self.pump.newest)
        newest = self._newest()
        if newest != self.pump.newest:
            self.log_clock = self._clock_with(newest)
        # Those of a wrong date generously.
        inner = TimeRange(self.begin + DAY, self._end - DAY)
        for first, last in without(self.log_clock.wall_days(inner, around=DAY), self._asked):
            self.ask_for(first, last)

    @property
    def begin(self) -> datetime:
        """The instant with which these days begin."""
        return self.clock.midnight(self.first)

    @property
    def _end(self) -> datetime:
        return self.clock.midnight(self.last + DAY)

    def ask_for(self, first: date, last: date) -> None:
        """Ask for more days of the pump's calendar, as far as they have not been asked for."""
        for start, end in without([(first, last)], self._asked):
            self.events += self.ask(start, end)["events"]
            self._asked.append((start, end))

    def records(self) -> list[Record]:
        """Return the entries so far that have a time, of whatever kind."""
        return records_of(self.events, EVERY_CODE, Counter())

    def placed(self, used: Container[int], now: datetime, skipped: Counter[str]) -> Log:
        """Return the entries with the ``used`` codes that were written in these days."""
        log = by_code(records_of(self.events, used, skipped), self.log_clock, now, skipped)
        if len(self._asked) == 1 and not self.log_clock.had_wrong_date:
            return log
        begin, end = self.begin, self._end
        return {
            code: [entry for entry in entries if self._is_within(entry, begin, end)]
            for code, entries in log.items()
        }

    def _is_within(self, entry: Entry, begin: datetime, end: datetime) -> bool:
        """Return whether an entry was written in these days, or is kept under them as usual."""
        if begin <= entry.at < end:
            return True
        offset = entry.wall - entry.at.astimezone(UTC).replace(tzinfo=None)
        return not is_wrong_date(offset) and self.first <= entry.wall.date() <= self.last

    def _clock_with(self, newest: datetime | None) -> LogClock:
        return LogClock(
            self.clock,
            self.changes,
            newest=newest,
            uploaded=self.pump.uploaded,
            oldest=self.pump.oldest,
        )

    def _newest(self) -> datetime | None:
        """Return the newest wall time that was written after the clock was last set, if known.

        After the clock was set back by days, an older entry has the latest wall time for that long.
        Then the entries about the time of the last upload decide, in days by the zone or by the
        clock before.
        """
        change, uploaded = self.log_clock.changed_by_days, self.pump.uploaded
        newest = self.pump.newest
        if not change or not uploaded or not newest or change.exact_shift > timedelta(0):
            return newest
        if newest > change.before + MINUTE:
            return newest
        wall = self.clock.here(uploaded).replace(tzinfo=None)
        for about in (wall, wall + change.exact_shift):
            self.ask_for(about.date() - DAY, about.date() + DAY)
            found = [
                record.wall
                for record in self.records()
                if (record.group, record.sequence) >= change.position
                and abs(record.wall - about) <= SLOW
            ]
            if found:
                return found[-1]
        self.lacks_newest = True
        return None
