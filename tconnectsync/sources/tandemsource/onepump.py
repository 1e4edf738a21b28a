"""The log of one pump on Tandem Source, from which everything is read.

Contracts tandem-source-api §4 and tandem-source-processing. The log of a range is fetched once,
whatever is wanted of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tconnectsync.api import TConnectApi
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources import Remark
from tconnectsync.sources.tandemsource import claims
from tconnectsync.sources.tandemsource.clockchanges import CLOCK_CODES
from tconnectsync.sources.tandemsource.entries import Log, entries_of
from tconnectsync.sources.tandemsource.pumps import Pump
from tconnectsync.sources.tandemsource.reader import LONGEST_LOOK_BACK, LogReader
from tconnectsync.sources.tandemsource.wrongdates import Ask, PumpDays

DAY = timedelta(days=1)
LONGEST_STEP = 28 * DAY
"""The cloud gives out no more at once."""
SOMEWHAT = timedelta(hours=6)
"""How long before a range something must have ended to be of no interest."""


@dataclass(frozen=True)
class OnePump:
    """Reads the log of one pump.

    ``pump`` returns the pump, and is called when its log is asked for. ``used`` are the codes of
    the entries that something is made of, ``codes`` those that are asked for (``None``: all).
    ``say`` is given sentences for the log, each as often as it comes up.
    """

    api: TConnectApi
    clock: PumpClock
    pump: Callable[[], Pump]
    used: frozenset[int]
    codes: Sequence[int] | None
    ignore_zero_basals: bool
    now: Callable[[], datetime]
    say: Callable[[str], None]
    may_be_in_use: bool = True
    """Whether it matters which date the pump shows now."""

    def read(
        self, wanted: TimeRange, looks_back: Callable[[Sequence[int]], bool] = lambda codes: True
    ) -> LogReader:
        """Return a reader for ``wanted``; nothing is fetched yet.

        It gets the log of the range and a day around it, because the cloud goes by the pump's wall
        clock, which may be off by a journey. ``looks_back`` tells whether the last entry of some
        codes before that is of any use.
        """
        first, last = self.clock.day(wanted.start) - DAY, self.clock.day(wanted.end) + DAY
        remarks: list[Remark] = []

        def fetch(skipped: Counter[str]) -> Log:
            found = self._days(first, last)
            log = found.placed(self.used, self.now(), skipped)
            try:
                if self.may_be_in_use:
                    remarks.extend(found.remarks(wanted, self.now()))
            except TconnectsyncError as error:
                # What is only asked to judge the clock must not hold back what is known.
                if error.fatal:
                    raise
                self.say(f"Whether the pump's date is right is not known. {error}")
            return log

        return LogReader(
            fetch,
            before=lambda codes: self._last_before(first, codes) if looks_back(codes) else None,
            since=wanted.start - SOMEWHAT,
            ignore_zero_basals=self.ignore_zero_basals,
            remarks=remarks,
        )

    def signs_log(self, first: date, last: date) -> Log:
        """Return what shows that the pump was worn, from one day to another, inclusive."""
        found = self._days(first, last, sorted(CLOCK_CODES.union(claims.CODES)))
        return found.placed(claims.CODES, self.now(), Counter())

    def last_signs(self, day: date, earliest: date | None) -> Log:
        """Return what last showed before a day that the pump was worn, with what lies around it.

        The steps back grow. They end at ``earliest``, or after two weeks if that is not known.
        """
        earliest = earliest or day - LONGEST_LOOK_BACK
        step = DAY
        while day > earliest:
            first = max(day - step, earliest)
            found = self.signs_log(first, day - DAY)
            if claims.signs(found):
                return found
            day, step = first, min(2 * step, LONGEST_STEP)
        return {}

    def _days(self, first: date, last: date, few: Sequence[int] = ()) -> PumpDays:
        """Return what the pump's log says from one day to another, inclusive.

        ``few`` are codes that are enough, unless it takes all entries to tell when they were.
        """
        pump = self.pump()

        def asking(codes: Sequence[int] | None) -> Ask:
            log_of = self.api.tandemsource.pump_logs
            return lambda start, end: log_of(pump.assignment_id, start, end, codes)

        only_few = asking(few) if few else None
        found = PumpDays(asking(self.codes), pump, self.clock, first, last, only_few)
        self.say(found.log_clock.disagreement)
        return found

    def _last_before(self, day: date, codes: Sequence[int]) -> Log | None:
        """Return the last entry of some codes before a day; ``None`` if the cloud fails to tell.

        The steps back grow, because the beginning is seldom far. A day that cannot be had makes
        them small again: what is wanted may lie after it.
        """
        earliest, step = day - LONGEST_LOOK_BACK, DAY
        asked_for = sorted(CLOCK_CODES.union(codes))
        while day > earliest:
            first = max(day - step, earliest)
            try:
                days = self._days(first, day - DAY, asked_for)
                log_before = days.placed(codes, self.now(), Counter())
                found = list(entries_of(log_before, *codes))
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                if step == DAY:
                    self.say(_gap(first, error))
                    return None
                step = DAY
                continue
            if found:
                return {found[-1].code: found[-1:]}
            day, step = first, 2 * step
        return {}


def _gap(day: date, error: TconnectsyncError) -> str:
    return (
        f"What the pump did on {day} cannot be had. {str(error).removesuffix('.')}. A suspension, "
        "sleep or exercise that began then or earlier and lasted for more than a day is left out. "
        f"When it works again, get it with --start-date {day} and --end-date of its last day."
    )
