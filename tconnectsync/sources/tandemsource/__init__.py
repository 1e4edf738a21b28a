"""Tandem Source as a source: which pump of the account is read, and its settings.

Contracts tandem-source-api §4 and tandem-source-processing §10.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from tconnectsync.api import TConnectApi
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.sources import PumpSpan
from tconnectsync.sources.tandemsource.clockchanges import CLOCK_CODES
from tconnectsync.sources.tandemsource.fields import WEB_APP_CODES
from tconnectsync.sources.tandemsource.onepump import OnePump
from tconnectsync.sources.tandemsource.pumps import (
    Pump,
    choose,
    mark,
    named,
    read_pumps,
    upload_mark,
)
from tconnectsync.sources.tandemsource.reader import USED, LogReader
from tconnectsync.sources.tandemsource.sensor import SENSORS
from tconnectsync.sources.tandemsource.settings import pump_settings

log = logging.getLogger(__name__)

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
        self._is_guardian = False
        self._said: set[str] = set()

    def pumps(self, wanted: TimeRange) -> list[PumpSpan]:
        """Return the pump that is read."""
        pump = self._pump()
        first, last = None, pump.newest and self._clock.instant(pump.newest)
        return [PumpSpan(named(pump), mark(pump), first, last, is_read=True, in_use=True)]

    def read(self, wanted: TimeRange) -> LogReader:
        """Return a reader for ``wanted``; nothing is fetched yet."""
        return OnePump(
            self._api,
            self._clock,
            self._pump,
            self._used,
            self._codes,
            self._ignore_zero_basals,
            self._now,
            self._say_once,
        ).read(wanted)

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
        pump = self._pump()
        return pump_settings(pump.settings, for_guardian=self._is_guardian)

    def _pump(self) -> Pump:
        """Return the pump to read, as it was when it was last asked for."""
        if self._chosen is None:
            source = self._api.tandemsource
            pumps = read_pumps(source.pumper(), self._clock)
            self._is_guardian = not pumps
            pumps = pumps or read_pumps(source.account(), self._clock)
            self._chosen, warning = choose(pumps, self._serial, self._clock, self._now())
            self._say_once(warning)
        return self._chosen

    def _say_once(self, sentence: str) -> None:
        if sentence and sentence not in self._said:
            self._said.add(sentence)
            log.warning(sentence)
