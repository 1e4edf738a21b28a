"""Tandem Source as a source: the pumps of the account, and the settings of the one in use.

See docs/protocol/tandem-source-api.md §4 and tandem-source-processing §10 and §15.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.api.clients import TConnectApi
from tconnectsync.clock import Clock
from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import DAY, PumpClock, TimeRange
from tconnectsync.sources.base import PumpSpan, Remark, Source
from tconnectsync.sources.tandemsource.log.codes import EXTRA_CODES, SENSORS, WEB_APP_CODES
from tconnectsync.sources.tandemsource.pumps.allpumps import AllPumpsReader
from tconnectsync.sources.tandemsource.pumps.overlaps import Overlaps
from tconnectsync.sources.tandemsource.pumps.pumpchoice import Account, PumpChoice, choose_pumps
from tconnectsync.sources.tandemsource.pumps.pumplog import PumpLog
from tconnectsync.sources.tandemsource.pumps.pumps import (
    Pump,
    configured,
    first_instant,
    has_data,
    last_instant,
    mark,
    may_be_in_use,
    named,
    newest_first,
    read_pumps,
    touches,
    upload_mark,
)
from tconnectsync.sources.tandemsource.pumps.twopeople import PairComparison
from tconnectsync.sources.tandemsource.reader import USED, LogReader

if TYPE_CHECKING:
    from tconnectsync.domain.profiles import PumpSettings

log = logging.getLogger(__name__)

ASKED_FOR = frozenset(WEB_APP_CODES)
"""The kinds of entries that are asked for, always the whole list of the web app (see
tandem-source-api §4.4), but for readings where none are synced: they are half of a log."""


def open_source(
    api: TConnectApi,
    settings: Settings,
    pump_clock: PumpClock,
    clock: Clock,
    *,
    needs_readings: bool,
) -> TandemSource:
    """Return the Tandem Source that the settings name; see ``tconnectsync.clouds``."""
    return TandemSource(
        api,
        pump_clock,
        settings.source.serial_number,
        everything=settings.source.fetch_all_event_types,
        readings=needs_readings,
        ignore_zero_basals=settings.sync.ignore_zero_unit_basal,
        now=clock.now,
        catch_up_days=settings.sync.catch_up_days,
        folder=api.cache,
    )


class TandemSource(Source):
    """The Tandem Source cloud; see :class:`tconnectsync.sources.base.Source`.

    Args:
        api: Tandem's clients.
        clock: knows the zone of the pump's clock.
        serial: the serial number of the pump; empty for all pumps of one person.
        everything: whether to ask for entries of every kind, also unknown ones.
        readings: whether the sensor's readings are asked for, which are half of a log.
        ignore_zero_basals: whether basals without insulin are left out.
        now: returns the current instant, aware.
        catch_up_days: for how many days before now two people's pumps are compared.
        folder: where may be kept which pumps were in use at the same time; ``None`` for nowhere.
    """

    name = TANDEM_SOURCE.name
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
        catch_up_days: float = 14.0,
        folder: Path | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._serial = serial
        unused = () if readings or everything else SENSORS
        self._used = USED.difference(unused)
        self._codes = None if everything else sorted(ASKED_FOR.difference(unused))
        self._extra = () if everything else EXTRA_CODES
        self._ignore_zero_basals = ignore_zero_basals
        self._now = now
        self._catch_up = timedelta(days=catch_up_days)
        self._overlaps = Overlaps(folder)
        self._account: Account | None = None
        self._is_new = False
        """Whether the account was asked for and no cycle has begun since."""
        self._choice: PumpChoice | None = None
        self._reader: AllPumpsReader | None = None
        self._worn = ""
        """The mark of the pump that was in use in the last cycle, as its log showed."""
        self._said: set[str] = set()

    def pumps(self, time_range: TimeRange) -> list[PumpSpan]:
        """Return the pumps of the account that have data, and which of them are read.

        A cycle begins with it: the account is asked for again, unless that was just done for
        :meth:`upload_counter`.

        Raises:
            PumpChoiceError: a person has to name the pump.
            TconnectsyncError: the account cannot be asked for, or has no pump.
        """
        if not self._is_new:
            self._forget()
        choice = self._chosen(time_range)
        self._is_new = False
        read = {pump.assignment_id for pump in choice.read}
        self._say_once(choice.never_uploaded)
        used = [pump for pump in choice.read if mark(pump) == self._worn]
        used = used or newest_first(choice.read, self._clock, self._now())[:1]
        return [
            PumpSpan(
                named(pump),
                mark(pump),
                first_instant(pump, self._clock),
                last_instant(pump, self._clock, self._now()),
                is_read=pump.assignment_id in read,
                in_use=pump in used,
                uploaded=pump.uploaded,
                mmol=pump.mmol,
            )
            for pump in self.account().pumps
            if has_data(pump) or pump.assignment_id in read
        ]

    def read(self, time_range: TimeRange) -> AllPumpsReader:
        """Return a reader for ``time_range``; nothing is fetched yet."""
        reader = AllPumpsReader(
            time_range,
            self._clock,
            self._now(),
            lambda: self._chosen(time_range).read,
            self.open_log,
            lambda: self._remarks(time_range),
        )
        if self._reader is None and time_range.end >= self._now() - DAY:
            self._reader = reader
        return reader

    def upload_counter(self) -> int | None:
        """Return a number that is greater as soon as one of the pumps has uploaded, if known."""
        self._forget()
        self._is_new = True
        marks = [upload_mark(pump) for pump in configured(self.account().pumps, self._serial)]
        known = [each for each in marks if each is not None]
        return sum(known) if known else None

    def force_login(self) -> None:
        """Make the next request begin with a new login."""
        self._api.forget_logins()

    def pump_settings(self) -> PumpSettings:
        """Return what the pump in use was set to at its last upload.

        Raises:
            ApiError: the pump has never uploaded its settings, or they cannot be understood.
        """
        today = TimeRange(self._now() - DAY, self._now())
        choice = self._chosen(today)
        if len(choice.read) < 2:
            pump = (choice.read or choice.meant)[0]
        else:
            pump = (self._reader or self.read(today)).worn()
        from tconnectsync.sources.tandemsource.settings import pump_settings

        return pump_settings(pump.settings, for_guardian=self.account().is_guardian)

    def account(self) -> Account:
        """Return the account as it was when it was last asked for; ask if that is not yet.

        Raises:
            TconnectsyncError: it cannot be asked for.
        """
        if self._account is None:
            self._account = read_account(self._api, self._clock)
        return self._account

    def _forget(self) -> None:
        if self._reader and (shown := self._reader.shown()):
            self._worn = mark(shown)
        self._account = self._choice = self._reader = None

    def _chosen(self, time_range: TimeRange) -> PumpChoice:
        """Return which pumps are read in this cycle; ``time_range`` is its range, if it begins."""
        if self._choice is None:
            self._choice = self.choose(time_range)
            self._say_once(self._choice.warning)
            now, read = self._now(), self._choice.read
            touched = [pump for pump in read if touches(pump, time_range, self._clock, now)]
            if names := ", ".join(map(named, touched)):
                self._say_once(f"Pump: {names}.", logging.INFO)
        return self._choice

    def open_log(self, pump: Pump) -> PumpLog:
        """Return what reads the log of one of the pumps of the account."""
        pumps = configured(self.account().pumps, self._serial)
        several = len(self.account().pumps) > 1

        def say(sentence: str) -> None:
            self._say_once(f"{named(pump)}: {sentence}" if sentence and several else sentence)

        return PumpLog(
            self._api,
            self._clock,
            pump,
            used=self._used,
            codes=self._codes,
            ignore_zero_basals=self._ignore_zero_basals,
            now=self._now,
            say=say,
            extra=self._extra,
            may_be_in_use=may_be_in_use(pump, pumps, self._clock, self._now()),
        )

    def choose(self, time_range: TimeRange) -> PumpChoice:
        """Return which pumps are read for a range.

        Raises:
            PumpChoiceError: a person has to name the pump.
            TconnectsyncError: the account cannot be asked for, or has no pump.
        """
        pairs = PairComparison(
            self._clock,
            self._now(),
            self._catch_up,
            self._overlaps,
            lambda pump, period: open_for_comparison(self.open_log(pump), period),
        )
        return choose_pumps(self.account(), self._serial, time_range, pairs)

    def _remarks(self, time_range: TimeRange) -> list[Remark]:
        """Return what people have to know of a range because a pump is not read."""
        choice, pumps = self._chosen(time_range), self.account().pumps
        return [
            Remark(choice.undecided[pump.assignment_id], heals=True, pump_or_clock=True)
            for pump in pumps
            if pump.assignment_id in choice.undecided
            and touches(pump, time_range, self._clock, self._now())
        ]

    def _say_once(self, sentence: str, level: int = logging.WARNING) -> None:
        if sentence and sentence not in self._said:
            self._said.add(sentence)
            log.log(level, sentence)


def read_account(api: TConnectApi, clock: PumpClock) -> Account:
    """Ask for the pumps of the account; those of a guardian's are listed elsewhere.

    Raises:
        TconnectsyncError: it cannot be asked for.
    """
    pumps = read_pumps(api.tandemsource.pumper(), clock)
    if pumps:
        return Account(pumps, is_guardian=False)
    return Account(read_pumps(api.tandemsource.account(), clock), is_guardian=True)


def open_for_comparison(log_of_pump: PumpLog, time_range: TimeRange) -> LogReader:
    """Return a reader for when a pump delivered; nothing is fetched yet."""
    without_sensors = replace(
        log_of_pump, used=USED.difference(SENSORS), codes=sorted(ASKED_FOR.difference(SENSORS))
    )
    return without_sensors.read(time_range, lambda codes: False)
