"""One cycle over a range: window by window, read, plan, write, and go on after failures."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.documents import Wanted, documents
from tconnectsync.nightscout.entries import entries, entry_time
from tconnectsync.nightscout.marks import Document, instant
from tconnectsync.nightscout.proof import kind
from tconnectsync.sources import Reader, Source
from tconnectsync.sync.alarms import LONGEST_HOLD_BACK, hold_back, say_what_waits, without_young
from tconnectsync.sync.apply import apply
from tconnectsync.sync.features import features_showing
from tconnectsync.sync.gather import Events, gather
from tconnectsync.sync.outcome import Outcome, failed_throughout
from tconnectsync.sync.plan import Plan, make_plan
from tconnectsync.sync.readings import SAME_READING, with_entries
from tconnectsync.sync.window import windows

log = logging.getLogger(__name__)

Progress = Callable[[list[TimeRange]], Iterable[TimeRange]]
LOOK_BEFORE = timedelta(hours=36)
LOOK_AFTER = timedelta(hours=24)
"""How much more of Nightscout is read on both sides of what is wanted.

A corrected ``TIMEZONE_NAME`` moves documents by up to a day, and what is stored must be found where
it was. Nightscout compares times as text: one that an older program left with a space instead of
``T`` sorts before its whole day, and its day is a local one.
"""
LONGEST_BOLUS = timedelta(hours=1)
"""How long before its treatment a bolus may have begun; an extended part is looked for anyway."""
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass
class _Run:
    """What one window of a run needs to know of the others."""

    newest: Callable[[str], datetime | None]
    """When our newest stored treatment of a type was, before this run wrote any."""
    shown: TimeRange
    """What touches it has its treatments written with this window."""
    outcome: Outcome = field(default_factory=Outcome)
    before: Plan = field(default_factory=Plan)
    """The plan of the window before."""
    until: datetime = LATEST
    """Treatments from then on are left to the next window."""


@dataclass(frozen=True)
class Cycle:
    """What a cycle is made of.

    ``features`` are names of :data:`tconnectsync.sync.features.FEATURES`. With ``pretend`` nothing
    is written. ``on_plan`` sees the plan of every window before it is carried out.
    """

    source: Source
    nightscout: NightscoutApi
    clock: PumpClock
    features: Sequence[str]
    now: Callable[[], datetime]
    pretend: bool
    fill_gaps: bool
    on_plan: Callable[[TimeRange, Plan], None]
    at_the_end: Mapping[str, Callable[[Reader], list[str]]]
    """What is synced once, by feature: is given the last window's reader, says what it wrote."""
    alarm_safe: timedelta = timedelta(0)
    """How old what the pump did by itself must be to be written; with 0 nothing waits."""

    def run(
        self,
        wanted: TimeRange,
        progress: Progress = lambda windows: windows,
        *,
        in_order: bool = False,
    ) -> Outcome:
        """Sync a range window by window; memory does not grow with its length.

        What fails is noted in the outcome and the rest goes on, unless the error says that going
        on makes no sense; then all of the rest is noted as not done. ``progress`` is given the
        windows and hands them on one by one.

        ``in_order`` is for a range that goes on where earlier runs left off. A feature that failed
        throughout a window then waits in the later ones too, so that the newest document still
        tells the next run where to catch up; and what waited, while newer documents were written,
        is looked for also somewhat before the range.
        """
        run = _Run(cache(self.nightscout.newest), wanted)
        self.nightscout.new_run()
        outcome = run.outcome
        chunks = list(windows(wanted, self.source.window_days, self.clock))
        in_windows = [name for name in self.features if name not in self.at_the_end]
        remaining = replace(self, features=in_windows)
        reader, read = None, None
        look_back = LONGEST_HOLD_BACK if in_order else timedelta(0)
        for window in progress(chunks):
            if not remaining.features:
                break
            seen = len(outcome.failures)
            reader, read = self.source.read(window), window
            rest = TimeRange(window.start, wanted.end), [*remaining.features, *self.at_the_end]
            with outcome.noting((window, remaining.features), rest=rest):
                since = window.start - (look_back if window == chunks[0] else timedelta(0))
                run.shown = TimeRange(since, window.end)
                run.until = window.end if window != chunks[-1] else LATEST
                run.before = remaining._sync(reader, window, run)
            if outcome.ended_by:
                return outcome
            if in_order:
                failed = failed_throughout(window, outcome.failures[seen:])
                going = [name for name in remaining.features if name not in failed]
                remaining = replace(remaining, features=going)
        if reader is None or read != chunks[-1]:
            reader = self.source.read(chunks[-1])
        self._finish(reader, chunks[-1], outcome)
        return outcome

    def _finish(self, reader: Reader, window: TimeRange, outcome: Outcome) -> None:
        """Sync what is synced once."""
        counted = Counter(reader.skipped)
        left = list(self.at_the_end)
        for feature, sync in self.at_the_end.items():
            with outcome.noting((window, [feature]), rest=(window, left)):
                outcome.others += sync(reader)
            if outcome.ended_by:
                break
            left.remove(feature)
        outcome.skipped.update(reader.skipped - counted)

    def _sync(self, reader: Reader, window: TimeRange, run: _Run) -> Plan:
        """Sync one window and return its plan."""
        outcome = run.outcome
        events = gather(
            self.source,
            reader,
            window,
            self.features,
            clock=self.clock,
            now=self.now(),
            outcome=outcome,
        )
        plan = self._treatments(events, run)
        if "CGM" in self.features:
            plan = self._with_entries(plan, events["readings"], window, outcome)
        if plan == Plan():
            return plan
        self.on_plan(window, plan)
        if not self.pretend:
            self._carry_out(plan, window, outcome)
        else:
            outcome.created += len(plan.create) + len(plan.entries)
            outcome.updated += len(plan.update)
        outcome.kept += plan.kept
        return plan

    def _carry_out(self, plan: Plan, window: TimeRange, outcome: Outcome) -> None:
        """Write a plan; note what was stored, and what features what was not belongs to.

        Raises:
            TconnectsyncError: going on makes no sense.
        """
        applied = apply(plan, self.nightscout)
        outcome.created += applied.created
        outcome.updated += applied.updated
        for refused in applied.refused():
            features = features_showing({kind(each) for each in refused.documents}, self.features)
            days = window if refused.throughout else self._days_of(refused.documents, window)
            outcome.failed(days, features, TconnectsyncError(refused.reason))
        if applied.ended_by:
            raise applied.ended_by

    def _days_of(self, written: Sequence[Document], window: TimeRange) -> TimeRange:
        """Return the days of some documents, from which they are read again."""
        times = [at for each in written if (at := instant(each) or entry_time(each))]
        if not times:
            return window
        first, last = (self.clock.day(at) for at in (min(times) - LONGEST_BOLUS, max(times)))
        return TimeRange(self.clock.midnight(first), self.clock.midnight(last + timedelta(days=1)))

    def _treatments(self, events: Events, run: _Run) -> Plan:
        """Plan the treatments of one window."""
        now = self.now()
        wanted = [want for want in _wanted(events, run) if want.at <= now]
        if not wanted:
            return Plan()
        times = [at for want in wanted for at in (want.at, want.noted_at) if at]
        stored = self.nightscout.treatments(min(times) - LOOK_BEFORE, max(times) + LOOK_AFTER)
        if self.pretend:
            stored = _as_if_carried_out(run.before, stored)
        kinds = {want.body["eventType"] for want in wanted}
        plan = make_plan(wanted, stored, None if self.fill_gaps else self._newest(kinds, run))
        wait = hold_back(self.alarm_safe)
        plan, young = without_young(plan, wanted, now - wait)
        if young:
            say_what_waits(len(young), max(young.values()) + wait, self.clock)
            run.outcome.waiting |= {name: at + wait - now for name, at in young.items()}
        counts = (len(wanted), len(stored), len(plan.create), len(plan.update))
        log.debug(
            "Treatments of %s to %s: %d wanted, %d stored around them, %d to create, %d to update.",
            run.shown.start,
            run.shown.end,
            *counts,
        )
        return plan

    def _newest(self, kinds: Iterable[str], run: _Run) -> dict[str, datetime | None]:
        """Return, per type, after when something is new: it may have waited for a while.

        The newest treatment, by a person, may have been written while older ones waited.
        """
        newest = {kind: run.newest(kind) for kind in kinds}
        return {kind: at and at - hold_back(self.alarm_safe) for kind, at in newest.items()}

    def _with_entries(
        self, plan: Plan, readings: list[Any], window: TimeRange, outcome: Outcome
    ) -> Plan:
        """Add the entries that are missing; treatments go on without them."""
        wanted = entries(readings, window)
        times = [at for entry in wanted if (at := entry_time(entry))]
        if not times:
            return plan
        try:
            stored = self.nightscout.entries(min(times) - SAME_READING, max(times) + SAME_READING)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            # A role may lack the right to entries alone.
            outcome.failed(window, ["CGM"], error)
            return plan
        return with_entries(plan, wanted, stored, fill_gaps=self.fill_gaps)


def _wanted(events: Events, run: _Run) -> list[Wanted]:
    """Return the documents of this window for what touches it.

    An extended bolus may end in the next window. Written now, it would be newer than what has
    still to be written before it.
    """
    return [
        want
        for part, found in events.items()
        if part != "readings"
        for event in found
        if run.shown.overlaps(event.begins, event.ends)
        for want in documents(event)
        if want.at < run.until
    ]


def _as_if_carried_out(plan: Plan, stored: Sequence[Document]) -> list[Document]:
    """Return what Nightscout would hold if a plan had been carried out.

    What begins in one window and ends in the next is then not shown as new in both.
    """
    changed = [update.after for update in plan.update]
    updated = {document["_id"]: document for document in changed if "_id" in document}
    imagined = [document for document in changed if "_id" not in document] + plan.create
    return [updated.get(document["_id"], document) for document in stored] + imagined
