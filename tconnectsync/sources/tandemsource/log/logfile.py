"""A saved pump log as a source."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

from tconnectsync.clock import Clock
from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import DAY, PumpClock, TimeRange
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import ApiError, LogFileError
from tconnectsync.sources.base import Remark, SavedLog
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES, clock_changes
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.log.logentries import UNDATED, Entry, Log, by_code
from tconnectsync.sources.tandemsource.log.logfileformats import read_log
from tconnectsync.sources.tandemsource.pumps.clockmessages import (
    disagreement,
    left_undated,
    set_wrong,
)
from tconnectsync.sources.tandemsource.reader import LONG_LASTING, LONGEST_LOOK_BACK, LogReader

log = logging.getLogger(__name__)

MARGIN = DAY
_at = attrgetter("at")


def open_file(path: Path, settings: Settings, pump_clock: PumpClock, clock: Clock) -> LogFile:
    """Return the log in a file; see ``tconnectsync.clouds``."""
    return LogFile(
        path,
        pump_clock,
        ignore_zero_basals=settings.sync.ignore_zero_unit_basal,
        now=clock.now(),
    )


class LogFile(SavedLog):
    """The log in a file, which does not say which pump wrote it.

    See :class:`tconnectsync.sources.base.SavedLog`.

    Args:
        path: the file, in any of the forms of ``logfileformats.py``.
        clock: knows the zone of the pump's clock.
        ignore_zero_basals: whether basals without insulin are left out.
        now: the current instant; nothing in the file can be later.

    Raises:
        LogFileError: the file cannot be read, or holds no log.
    """

    name = TANDEM_SOURCE.name
    window_days = 7

    def __init__(
        self, path: Path, clock: PumpClock, *, ignore_zero_basals: bool, now: datetime
    ) -> None:
        self._clock = clock
        self._skipped: Counter[str] = Counter()
        records = read_log(path, self._skipped)
        changes = clock_changes(record for record in records if record.code in CLOCK_CODES)
        was_wrong = any(change.is_by_days for change in changes)
        walls = [record.wall for record in records if record.code not in CLOCK_CODES]
        # The latest wall time is not that of the newest entry where the date was wrong.
        newest = walls[-1] if walls and was_wrong else max(walls, default=None)
        log_clock = LogClock(
            clock, changes, newest=newest, uploaded=None, oldest=walls[0] if walls else None
        )
        self._log = by_code(records, log_clock, now, self._skipped)
        # In the order of the log, times may go back where the clock was set.
        self._by_time = {
            code
            for code, entries in self._log.items()
            if all(one.at <= other.at for one, other in pairwise(entries))
        }
        self._remarks = _remarks(log_clock, self._skipped[UNDATED])
        if said := disagreement(log_clock):
            log.warning(said)
        if not any(self._log.values()):
            raise LogFileError("The log file holds no entry that can be used.")
        self._ignore_zero_basals = ignore_zero_basals

    @property
    def covered(self) -> TimeRange:
        """What the log covers."""
        instants = [entry.at for entries in self._log.values() for entry in entries]
        return TimeRange(min(instants), max(instants) + timedelta(seconds=1))

    def read(self, time_range: TimeRange) -> LogReader:
        """Return a reader for ``time_range``."""
        skipped, self._skipped = self._skipped, Counter()

        def cut(counted: Counter[str]) -> Log:
            counted.update(skipped)
            return self._around(time_range)

        return LogReader(
            cut,
            time_range=time_range,
            whole=lambda skipped: self._of_days(time_range),
            ignore_zero_basals=self._ignore_zero_basals,
            remarks=list(self._remarks),
        )

    def pump_settings(self) -> PumpSettings:
        """Raise an ``ApiError``: a log does not hold the pump's settings."""
        raise ApiError("A pump log does not hold the pump's profiles. Leave out PROFILES.")

    def _of_days(self, time_range: TimeRange) -> Log:
        """Return all entries of the days of a range, of the day before and of the one after."""
        first = self._clock.day(time_range.start) - MARGIN
        last = self._clock.day(time_range.end) + MARGIN
        return {
            code: [entry for entry in entries if first <= entry.wall.date() <= last]
            for code, entries in self._log.items()
        }

    def _around(self, time_range: TimeRange) -> Log:
        """Return the entries of a range and some before and after, as they are fetched else."""
        found: dict[int, Sequence[Entry]] = {}
        until = time_range.end + MARGIN
        for code, entries in self._log.items():
            since = time_range.start - (LONGEST_LOOK_BACK if code in LONG_LASTING else MARGIN)
            if code in self._by_time:
                # A log of years is cut into very many ranges.
                low, high = (bisect_left(entries, at, key=_at) for at in (since, until))
                found[code] = entries[low:high]
            else:
                found[code] = [entry for entry in entries if since <= entry.at < until]
        return found


def _remarks(clock: LogClock, undated: int) -> list[Remark]:
    """Return what people have to know if the clock shows a wrong date where the log ends."""
    if clock.shows_wrong_date:
        return [Remark(set_wrong(clock.ahead, clock.changed_by_days), pump_or_clock=True)]
    return [Remark(left_undated(undated))] if undated else []
