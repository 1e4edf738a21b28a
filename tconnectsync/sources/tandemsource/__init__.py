"""Tandem Source as a source: the log of one pump, from which everything is read.

Contracts tandem-source-api §4 and tandem-source-processing. The log of a range is fetched once,
whatever is wanted of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import date, datetime, timedelta

from tconnectsync.api import TConnectApi
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.logclock import LogClock
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.tandemsource.clockchanges import CLOCK_CODES, clock_changes
from tconnectsync.sources.tandemsource.entries import Log, by_code, entries_of
from tconnectsync.sources.tandemsource.fields import WEB_APP_CODES
from tconnectsync.sources.tandemsource.pumps import Pump, choose, read_pumps, upload_mark
from tconnectsync.sources.tandemsource.reader import LONGEST_LOOK_BACK, USED, LogReader
from tconnectsync.sources.tandemsource.records import records_of
from tconnectsync.sources.tandemsource.sensor import SENSORS
from tconnectsync.sources.tandemsource.settings import pump_settings

log = logging.getLogger(__name__)

DAY = timedelta(days=1)
SOMEWHAT = timedelta(hours=6)
"""How long before a range something must have ended to be of no interest."""
ASKED_FOR = (USED | CLOCK_CODES) & set(WEB_APP_CODES)


class TandemSource:
    """The Tandem Source cloud; see :class:`tconnectsync.sources.Source`.

    Args:
        api: Tandem's clients.
        clock: knows the zone of the pump's clock.
        serial: the serial number of the pump; empty for the one in use.
        everything: whether to ask for entries of every kind, which include the battery's.
        readings: whether the sensor's readings are wanted, which are half of a log.
        ignore_zero_basals: whether basals without insulin are left out.
        now: returns the current instant, aware.
    """

    window_days = 7

    def __init__(
        self,
        api: TConnectApi,
        clock: PumpClock,
        serial: str,
        *,
        everything: bool,
        readings: bool,
        ignore_zero_basals: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._clock = clock
        self._serial = serial
        unused = () if readings or everything else SENSORS
        self._used = USED.difference(unused)
        self._codes = None if everything else sorted(ASKED_FOR.difference(unused))
        self._ignore_zero_basals = ignore_zero_basals
        self._now = now
        self._chosen: Pump | None = None
        self._said: set[str] = set()

    def read(self, wanted: TimeRange) -> LogReader:
        """Return a reader for ``wanted``; nothing is fetched yet.

        It gets the log of the range and a day around it, because the cloud goes by the pump's wall
        clock, which may be off by a journey.
        """
        first, last = self._clock.day(wanted.start) - DAY, self._clock.day(wanted.end) + DAY
        return LogReader(
            lambda skipped: self._log(first, last, self._codes, self._used, skipped),
            before=lambda codes: self._last_before(first, codes),
            since=wanted.start - SOMEWHAT,
            ignore_zero_basals=self._ignore_zero_basals,
        )

    def upload_counter(self) -> int | None:
        """Return a number that is another one as soon as the pump has uploaded, if known."""
        self._chosen = None
        return upload_mark(self._pump())

    def log_in_anew(self) -> None:
        """Make the next request begin with a new login."""
        self._api.forget_logins()

    def pump_settings(self) -> PumpSettings:
        """Return what the pump was set to at its last upload.

        Raises:
            ApiError: the pump has never uploaded its settings, or they cannot be understood.
        """
        return pump_settings(self._pump().settings)

    def _pump(self) -> Pump:
        """Return the pump to read, as it was when it was last asked for."""
        if self._chosen is None:
            source = self._api.tandemsource
            pumps = read_pumps(source.pumper(), self._clock)
            pumps = pumps or read_pumps(source.account(), self._clock)
            self._chosen, warning = choose(pumps, self._serial, self._clock, self._now())
            self._say_once(warning)
        return self._chosen

    def _log(
        self,
        first: date,
        last: date,
        codes: Iterable[int] | None,
        used: Container[int],
        skipped: Counter[str],
    ) -> Log:
        """Return what the pump's log says from one day to another, inclusive."""
        pump = self._pump()
        payload = self._api.tandemsource.pump_logs(pump.assignment_id, first, last, codes)
        records = records_of(payload["events"], used, skipped)
        changes = records_of(payload["clockChanges"] + payload["events"], CLOCK_CODES, Counter())
        del payload
        clock = LogClock(
            self._clock, clock_changes(changes), newest=pump.newest, uploaded=pump.uploaded
        )
        self._say_once(clock.disagreement)
        return by_code(records, clock, self._now())

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
                log_before = self._log(first, day - DAY, asked_for, codes, Counter())
                found = list(entries_of(log_before, *codes))
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                if step == DAY:
                    self._say_once(_gap(first, error))
                    return None
                step = DAY
                continue
            if found:
                return {found[-1].code: found[-1:]}
            day, step = first, 2 * step
        return {}

    def _say_once(self, sentence: str) -> None:
        if sentence and sentence not in self._said:
            self._said.add(sentence)
            log.warning(sentence)


def _gap(day: date, error: TconnectsyncError) -> str:
    return (
        f"What the pump did on {day} cannot be had. {str(error).removesuffix('.')}. A suspension, "
        "sleep or exercise that began then or earlier and lasted for more than a day is left out. "
        f"When it works again, get it with --start-date {day} and --end-date of its last day."
    )
