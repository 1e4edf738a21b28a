"""The Python interface: what the pumps of an account did, as typed and frozen events.

Its names are those of the package: ``tconnectsync.open_source`` and the types of events.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tconnectsync.domain.clock import DAY, TimeRange
from tconnectsync.domain.events import DeviceStatus, Event, Reading
from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.errors import IncompleteError
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.unread import sentences

if TYPE_CHECKING:
    from tconnectsync.domain.profiles import PumpSettings
    from tconnectsync.history import History, Window
    from tconnectsync.sources.base import PumpSpan

File = str | PathLike[str]


class PumpData:
    """What the pumps of one Tandem account did, or what a saved pump log says.

    Nothing is asked for before a method is called or its iterator is advanced. Days are days of the
    pump's calendar, both ends included; of today, there is what has been uploaded. Every error is a
    :class:`~tconnectsync.errors.TconnectsyncError`, wrong arguments a ``ValueError``.
    """

    def __init__(self, history: History) -> None:
        self._history = history

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the pump's clock (``TIMEZONE_NAME``)."""
        return self._history.clock.zone

    @property
    def covered(self) -> tuple[date, date] | None:
        """The first and the last day that a saved log covers; ``None`` for an account."""
        covered = self._history.covered
        return self._history.clock.days(covered) if covered else None

    @property
    def problems(self) -> Sequence[str]:
        """A sentence for everything of what was asked for so far that could not be brought.

        That includes days for which no pump has data, and what else a person should look at.
        """
        return _problems(self._history)

    def history(self, first: date, last: date, *, partial: bool = False) -> Iterator[Event]:
        """Yield the events of some days; one week is kept in memory at a time.

        Each comes once and is whole, also where it began before the first day and reaches into it,
        or goes on after the last one. Within a week they come in order of their beginnings. An
        event that lasts longer than a day after its week comes when its end is known.

        Args:
            first: the first day.
            last: the last day.
            partial: whether part of it is enough; what is missing is then only in
                :attr:`problems`.

        Raises:
            IncompleteError: after the last event, if anything is missing.
            TconnectsyncError: nothing more can be read.
            ValueError: these are no such days.
        """
        for window in self.windows(first, last, partial=partial):
            yield from window.events

    def readings(self, first: date, last: date, *, partial: bool = False) -> Iterator[Reading]:
        """Yield the glucose readings of some days in time order; see :meth:`history`."""
        for window in self.windows(first, last, partial=partial):
            yield from window.readings

    def statuses(self, first: date, last: date, *, partial: bool = False) -> Iterator[DeviceStatus]:
        """Yield what the pumps noted of battery, reservoir and insulin on board on some days.

        Each has only what was noted at its instant; see :meth:`history` for the rest.
        """
        for window in self.windows(first, last, partial=partial):
            yield from window.statuses

    def windows(self, first: date, last: date, *, partial: bool = False) -> Iterator[Window]:
        """Yield all of this together, week by week and read once; see :meth:`history`.

        The other three ask for the same once more.
        """
        time_range = self._range(first, last)
        history = replace(self._history, outcome=Outcome())
        try:
            yield from history.windows(time_range)
        finally:
            self._history.outcome.absorb(history.outcome)
        if not history.outcome.is_complete and not partial:
            raise IncompleteError(_problems(history))

    def pumps(self) -> Sequence[PumpSpan]:
        """Return the pumps of the account; a saved log and t:connect name none.

        Raises:
            TconnectsyncError: they cannot be asked for.
        """
        now = self._history.now()
        return self._history.pumps(TimeRange(now - DAY, now))

    def settings(self) -> PumpSettings:
        """Return what the pump in use was set to at its last upload: profiles, limits, alerts.

        Raises:
            TconnectsyncError: they cannot be had; a saved log has none.
        """
        return self._history.source.pump_settings()

    def _range(self, first: date, last: date) -> TimeRange:
        clock, now = self._history.clock, self._history.now()
        for each in (first, last):
            if not isinstance(each, date):
                raise ValueError(f"{each!r} is no date: give datetime.date(2026, 3, 1).")
        first, last = (date(each.year, each.month, each.day) for each in (first, last))
        if first > last:
            raise ValueError(f"The first day, {first}, is later than the last one, {last}.")
        if first < PUMP_EPOCH.date():
            raise ValueError(f"{first} lies before there were pumps: try {PUMP_EPOCH.date()}.")
        if first > clock.day(now):
            raise ValueError(f"{first} lies in the future: it is {clock.day(now)} on the pump.")
        end = now if last >= clock.day(now) else clock.midnight(last + DAY)
        return TimeRange(clock.midnight(first), end)


def _problems(history: History) -> tuple[str, ...]:
    """Return what is missing or asks something of a person, in sentences."""
    said = sentences(history.outcome, history.clock)
    return tuple(text for text, level in said.items() if level >= logging.WARNING)


def open_source(env_file: File | None = None, *, saved_log: File | None = None) -> PumpData:
    """Return the pump data of the configured Tandem account, or of a saved pump log.

    Of the settings, those of the Tandem account and the time zone are enough; for a saved log, the
    time zone. Nothing is sent yet.

    Args:
        env_file: a file of settings; without it they are found as the command line finds them, in
            the environment and in the usual ``.env``.
        saved_log: a pump log that was saved, as for ``--import-log``; it is read at once.

    Raises:
        ConfigError: a setting is missing or wrong.
        UsageError: there is no such file of settings.
        LogFileError: the saved log cannot be read.
    """
    from tconnectsync.app import open_file, open_history, this_computer
    from tconnectsync.clouds import clouds_with_files

    host = this_computer()
    chosen = {"TCONNECT_SOURCE": clouds_with_files()[0].name} if saved_log is not None else {}
    configuration = host.configuration(chosen, None if env_file is None else Path(env_file))
    settings = configuration.completed(with_account=saved_log is None)
    file = None if saved_log is None else open_file(Path(fspath(saved_log)), settings, host)
    return PumpData(open_history(settings, host, file=file))
