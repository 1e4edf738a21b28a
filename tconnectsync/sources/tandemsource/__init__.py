"""Tandem Source as a source: the log of one pump, from which everything is read.

Contracts tandem-source-api §4 and tandem-source-processing. The log of a range is fetched once,
whatever is wanted of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta

from tconnectsync.api import TConnectApi
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.logclock import LogClock
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.sources.tandemsource import basals, modes
from tconnectsync.sources.tandemsource.clockchanges import CLOCK_CODES, clock_changes
from tconnectsync.sources.tandemsource.entries import Log, by_code
from tconnectsync.sources.tandemsource.fields import WEB_APP_CODES
from tconnectsync.sources.tandemsource.pumps import Pump, choose, read_pumps, upload_mark
from tconnectsync.sources.tandemsource.reader import (
    LONG_LASTING,
    LONGEST_LOOK_BACK,
    USED,
    LogReader,
)
from tconnectsync.sources.tandemsource.records import Record, records_of
from tconnectsync.sources.tandemsource.sensor import SENSORS
from tconnectsync.sources.tandemsource.settings import pump_settings

log = logging.getLogger(__name__)

DAY = timedelta(days=1)
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
        """Return a reader for ``wanted``; nothing is fetched yet."""
        return LogReader(
            lambda skipped: self._log(wanted, skipped),
            ignore_zero_basals=self._ignore_zero_basals,
        )

    def upload_counter(self) -> int:
        """Return a number that is another one as soon as the pump has uploaded."""
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

    def _log(self, wanted: TimeRange, skipped: Counter[str]) -> Log:
        """Return the log of a range, a day around it, and the beginning of what goes on then."""
        pump = self._pump()
        # The cloud goes by the pump's wall clock, which may be off by a journey.
        first, last = self._clock.day(wanted.start) - DAY, self._clock.day(wanted.end) + DAY
        payload = self._api.tandemsource.pump_logs(pump.assignment_id, first, last, self._codes)
        records = records_of(payload["events"], self._used, skipped)
        changes = records_of(payload["clockChanges"] + payload["events"], CLOCK_CODES, Counter())
        del payload
        clock = LogClock(
            self._clock, clock_changes(changes), newest=pump.newest, uploaded=pump.uploaded
        )
        self._say_once(clock.disagreement)
        found = by_code(records, clock, self._now())
        if basals.begins_suspended(found) or modes.begins_inside(found):
            earlier = self._going_on_before(pump, first)
            found = by_code([*earlier, *records], clock, self._now())
        return found

    def _going_on_before(self, pump: Pump, day: date) -> list[Record]:
        """Return the last entries before a day that tell of a suspension, and of sleep."""
        payload = self._api.tandemsource.pump_logs(
            pump.assignment_id, day - LONGEST_LOOK_BACK, day - DAY, LONG_LASTING
        )
        records = records_of(payload["events"], LONG_LASTING, Counter())
        asleep = [record for record in records if record.code == modes.USER_MODE]
        suspended = [record for record in records if record.code != modes.USER_MODE]
        return suspended[-1:] + asleep[-1:]

    def _say_once(self, sentence: str) -> None:
        if sentence and sentence not in self._said:
            self._said.add(sentence)
            log.warning(sentence)
