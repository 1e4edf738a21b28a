"""Writes a range of the pump's story to files, week by week; about one month is kept in memory.

In the files, rows of the range are replaced by those that are read now; rows outside of it stay.
Where something could not be read, those stay that are already there.
"""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tconnectsync.domain.clock import DAY, SECOND, TimeRange, merged, without
from tconnectsync.domain.events import Basal, Bolus, UserMode
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import TconnectsyncError
from tconnectsync.export.columns import (
    KINDS,
    PROFILES,
    READINGS,
    STATUS,
    Kind,
    kind_of,
)
from tconnectsync.export.fileformat import Row
from tconnectsync.export.folder import Folder, Month, month_of
from tconnectsync.export.profilerows import profile_rows
from tconnectsync.history import History, Window
from tconnectsync.sources.base import Remark
from tconnectsync.sync.run.cycle import Progress
from tconnectsync.sync.run.window import windows

SHIFT = 2 * DAY
"""By how much more than the range files are looked through: the clock of a pump may have been set
to another zone than now, and what happened around midnight then stands in the next month."""


@dataclass
class _Found:
    """What was read for one file."""

    rows: dict[tuple[datetime, str], Row] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    """The keys of these rows, and of others that they take the place of."""
    so_far: dict[tuple[datetime, str], datetime] = field(default_factory=dict)
    """Of rows about what may still go on: until when that is known."""


class Export:
    """The export of a range to a folder, which is held meanwhile.

    Args:
        history: the story of the pumps.
        time_range: what is exported of it.
        folder: where the files are.
    """

    def __init__(self, history: History, time_range: TimeRange, folder: Folder) -> None:
        self.rows: Counter[str] = Counter()
        """How many rows were read, by kind."""
        self.files: set[Path] = set()
        """The files that were brought up to date."""
        self.history = history
        self.range = time_range
        self._folder = folder
        self._read_until = time_range.start
        self._found: dict[tuple[str, Month], _Found] = defaultdict(_Found)
        """What is not written yet, by kind and month."""
        self._is_written: set[Month] = set()
        self._pumps: set[str] = {""}
        """The names of the pumps whose rows may be replaced; empty for a row without one."""
        self._in_use = ""
        """The name of the pump in use."""
        self._unread: list[TimeRange] = []
        """When something may be missing: rows of that time are kept."""
        self._lost = 0
        """How often insulin was left out so far."""

    @property
    def months(self) -> list[Month]:
        """The months in whose files there may be rows of the range."""
        clock = self.history.clock
        months = [month_of(clock.day(self.range.start - SHIFT))]
        last = month_of(clock.day(self.range.end + SHIFT))
        while months[-1] < last:
            year, month = months[-1]
            months.append((year + 1, 1) if month == 12 else (year, month + 1))
        return months

    def run(self, progress: Progress) -> None:
        """Write what happened in the range.

        Raises:
            UsageError: a file is not ours; it is left as it is.
            TconnectsyncError: going on makes no sense, or a file cannot be written. What was read
                before that is written.
        """
        self._note_pumps()
        cut = windows(self.range, self.history.source.window_days, self.history.clock)
        steps, story = iter(progress(list(cut))), self.history.windows(self.range)
        next(steps, None)
        while self._add_next(story):
            gc.collect()  # What read the window refers to itself, and would stay for many more.
            self._write(before=month_of(self.history.clock.day(self._read_until - SHIFT)))
            next(steps, None)
        self._write()

    def _add_next(self, story: Iterator[Window]) -> bool:
        """Read and take the next window; return whether there was one.

        Raises:
            TconnectsyncError: going on makes no sense. What was read before is written.
        """
        try:
            window = next(story, None)
        except TconnectsyncError:
            self._write()
            raise
        if window:
            self._add(window)
        return window is not None

    def _note_pumps(self) -> None:
        """Note whose rows may be replaced, and when no pump was worn that is known."""
        spans = [it for it in self.history.pumps(self.range) if it.is_read]
        self._pumps.update(span.name for span in spans)
        self._in_use = next((span.name for span in spans if span.in_use), "")
        known = [(it.first, it.last + SECOND) for it in spans if it.first and it.last]
        if known and len(known) == len(spans):
            whole = (self.range.start, self.range.end)
            self._unread += [TimeRange(*it) for it in without([whole], merged(known))]

    def _add(self, window: Window) -> None:
        """Take what happened in a window."""
        for event in window.events:
            kind = kind_of(event)
            found = self._found[kind.name, month_of(event.begins)]
            if isinstance(event, Basal) and not event.duration:
                found.keys.add(event.key)  # Another pump claims all of its time.
                continue
            if isinstance(event, Bolus):
                found.keys.add(event.other_key)
            row = self._take(kind, event, found)
            if isinstance(event, Basal | UserMode) and event.running:
                found.so_far[row.at, row.key] = event.ends
        for reading in window.readings:
            self._take(READINGS, reading, self._found[READINGS.name, month_of(reading.at)])
        for status in window.statuses:
            self._take(STATUS, status, self._found[STATUS.name, month_of(status.at)])
        self._unread += window.unknown_days
        outcome = self.history.outcome
        lost = sum(outcome.skipped[what] for what in outcome.lost_insulin)
        if lost > self._lost:
            self._unread.append(window.range)
        self._lost, self._read_until = lost, window.range.end

    def _take(self, kind: Kind, thing: object, found: _Found) -> Row:
        row = self._folder.format.row(kind, thing)
        found.rows[row.at, row.key] = row
        found.keys.add(row.key)
        self._pumps.add(row.pump)
        self.rows[kind.name] += 1
        return row

    def _write(self, before: Month = (9999, 12)) -> None:
        """Write the files of all months before one."""
        months = {month for month in self.months if month not in self._is_written}
        months |= {month for _, month in self._found}
        for month in sorted(it for it in months if it < before):
            for kind in KINDS:
                if kind is not PROFILES:
                    self._replace(kind, month)
            self._is_written.add(month)

    def _replace(self, kind: Kind, month: Month) -> None:
        pending = [each.keys for (name, _), each in self._found.items() if name == kind.name]
        keys = set[str]().union(*pending)
        found = self._found.pop((kind.name, month), _Found())
        # What went on for long comes late, when its month is written already.
        is_stale = self._is_stale(kind) if month not in self._is_written else lambda row: False
        known_better = self._known_for_longer(kind, month, found)
        self._put(
            kind,
            month,
            [row for place, row in found.rows.items() if place not in known_better],
            lambda row: (
                (row.at, row.key) in known_better or (row.key not in keys and not is_stale(row))
            ),
        )

    def _known_for_longer(
        self, kind: Kind, month: Month, found: _Found
    ) -> set[tuple[datetime, str]]:
        """Return the times and keys of rows of a file that reach farther than what was read now.

        What goes on when the range ends is known only so far; an earlier export may have seen its
        end.
        """
        if not found.so_far:
            return set()
        end = kind.names.index("end_utc")
        return {
            (row.at, row.key)
            for row in self._folder.rows(kind, month)
            if (known := found.so_far.get((row.at, row.key)))
            and (text := self._folder.format.values(row.line)[end])
            and datetime.fromisoformat(text) > known
        }

    def _put(
        self, kind: Kind, month: Month, rows: Collection[Row], is_kept: Callable[[Row], bool]
    ) -> None:
        if self._folder.replace(kind, month, rows, is_kept):
            self.files.add(self._folder.file(kind, month))

    def _is_stale(self, kind: Kind) -> Callable[[Row], bool]:
        """Return what says whether a row would have been read if it were still true."""
        outcome = self.history.outcome
        unread = [it.window for it in outcome.failures if kind.features & {*it.features}]
        unread += [it for name in kind.features for it in outcome.healing.get(name, ())]
        unread += self._unread
        read = TimeRange(self.range.start, self._read_until)

        def is_stale(row: Row) -> bool:
            return (
                row.pump in self._pumps
                and row.at in read
                and not any(row.at in each for each in unread)
            )

        return is_stale

    def write_profiles(self, settings: PumpSettings) -> None:
        """Write what the pump is set to, unless the newest rows say the same.

        What cannot be true of it is noted in the outcome of the history.

        Raises:
            UsageError: a file is not ours; it is left as it is.
            TconnectsyncError: a file cannot be written.
        """

        def rows(at: datetime) -> list[Row]:
            found = profile_rows(settings, self.history.clock.here(at), self._in_use)
            return [self._folder.format.row(PROFILES, each) for each in found]

        for broken in settings.broken:
            name = broken.name or "without a name"
            text = f"The profile {name} is left out: {broken.why}."
            self.history.outcome.remark([Remark(text)])
        at = self.history.now().replace(microsecond=0)
        new = rows(at)
        self.rows[PROFILES.name] += len(new)
        for month in self._folder.months(PROFILES)[-1:]:
            known = list(self._folder.rows(PROFILES, month))
            last = max((row.at for row in known), default=at)
            if {row for row in known if row.at == last} == {*rows(last)}:
                self.files.add(self._folder.file(PROFILES, month))
                return
        self._put(PROFILES, month_of(self.history.clock.day(at)), new, lambda row: True)
