"""What to write for one window: it is read, and compared with what Nightscout holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any, NamedTuple

from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.nightscout.entries import entries, entry_time
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.stored import StoredTreatment, stored_treatments
from tconnectsync.nightscout.treatments import Treatment, treatments_of
from tconnectsync.sources.base import Reader, Remark
from tconnectsync.sync.features import features_of_entries
from tconnectsync.sync.plan import Plan, make_plan, moved_elsewhere
from tconnectsync.sync.plan.defer import defer_recent, log_deferred, minimum_age
from tconnectsync.sync.plan.glucose import SAME_READING, with_entries
from tconnectsync.sync.run.collect import Events, collect
from tconnectsync.sync.run.outcome import Outcome, Work
from tconnectsync.sync.run.parts import CycleParts

log = logging.getLogger(__name__)

LOOK_BEFORE = timedelta(hours=36)
LOOK_AFTER = timedelta(hours=24)
"""How much more of Nightscout is read before and after the treatments of a window.

A corrected ``TIMEZONE_NAME`` moves documents by up to a day, and what is stored must be found where
it was. Nightscout compares times as text: one that an older program left with a space instead of
``T`` sorts before its whole day, and its day is a local one.
"""
IN_DOUBT = (
    "Not written, because an older tconnectsync may have written the same at another time: {}. "
    "Compare them with your pump; if one is missing, delete the older one in Nightscout and run "
    "these days again. {}"
)
MOST_NAMED = 5


class WindowRead(NamedTuple):
    """What was read for one window."""

    range: TimeRange
    features: Sequence[str]
    reader: Reader
    treatments: Sequence[Treatment]
    """Those that Nightscout should show."""
    readings: list[Any]
    """The glucose readings, if they are synced."""
    outcome: Outcome
    """What failed or was left out."""


class WindowPlan(NamedTuple):
    """What came of reading and planning a window."""

    range: TimeRange
    reader: Reader
    plan: Plan
    outcome: Outcome
    """What failed, was left out or is deferred."""
    is_all_new: bool
    """Whether something is to be written, and Nightscout holds nothing that begins in the range.

    What began before and goes on, such as a sleep, does not count.
    """


@dataclass(eq=False)
class WindowPlanner:
    """Plans the windows of one run. Nothing is written."""

    cycle: CycleParts
    time_range: TimeRange
    """The range of the run."""
    look_back: timedelta = timedelta(0)
    """How far before the first window treatments may have been deferred."""
    is_known: bool = True
    """Whether earlier runs may have written to the site: then what seems missing, where Nightscout
    holds nothing of ours, is looked for elsewhere, too."""

    @cached_property
    def newest(self) -> Callable[[str], datetime | None]:
        """Return when our newest stored treatment of a type was, before this run wrote any."""
        return cache(self.cycle.nightscout.newest)

    def rest(self, window: TimeRange, features: Sequence[str]) -> Work:
        """Return what is left undone if the run ends with a window."""
        return TimeRange(window.start, self.time_range.end), [*features, *self.cycle.at_the_end]

    def read(
        self, window: TimeRange, features: Sequence[str], *, is_first: bool = True
    ) -> WindowRead:
        """Read a window; Nightscout is not asked.

        Treatments that begin after the window are left to the next one. An extended bolus may end
        there: written now, it would be newer than what has still to be written before it.
        """
        reader, outcome = self.cycle.source.read(window), Outcome()
        treatments: list[Treatment] = []
        readings: list[Any] = []
        with outcome.recording_failures((window, features), rest=self.rest(window, features)):
            events = collect(self.cycle, reader, window, features, outcome)
            readings = events.get("readings", [])
            since = window.start - (self.look_back if is_first else timedelta(0))
            treatments = self.treatments(events, TimeRange(since, window.end))
            if window.end < self.time_range.end:
                treatments = [each for each in treatments if each.at < window.end]
        return WindowRead(window, features, reader, treatments, readings, outcome)

    def plan(self, read: WindowRead, before: Plan | None = None) -> WindowPlan:
        """Return what to write for a window; ``before`` is the plan of the one before."""
        window, features, outcome = read.range, read.features, read.outcome
        plan = planned = Plan()
        with outcome.recording_failures((window, features), rest=self.rest(window, features)):
            plan = planned = self.compare(read.treatments, outcome, before)
            if names := features_of_entries(features):
                plan = self._with_entries(planned, names, read.readings, window, outcome)
        if planned == Plan():
            is_all_new = bool(plan.entries) and not plan.kept
        else:
            is_all_new = _are_all_new(read.treatments, planned, window, outcome)
        return WindowPlan(window, read.reader, plan, outcome, is_all_new)

    def treatments(self, events: Events, shown: TimeRange) -> list[Treatment]:
        """Return the treatments that show, up to now, the events which touch a range."""
        now = self.cycle.now()
        return [
            treatment
            for part, found in events.items()
            if part != "readings"
            for event in found
            if shown.overlaps(event.begins, event.ends)
            for treatment in treatments_of(event, self.cycle.source.name)
            if treatment.at <= now
        ]

    def compare(
        self, treatments: Sequence[Treatment], outcome: Outcome, before: Plan | None = None
    ) -> Plan:
        """Return what to write so that Nightscout shows some treatments.

        Args:
            treatments: what it should show.
            outcome: where to note what is deferred, and remarks.
            before: what the window before would write, if it was not written.
        """
        if not treatments:
            return Plan()
        cycle = self.cycle
        now, wait = cycle.now(), minimum_age(cycle.alarm_safe)
        newest = None if cycle.fill_gaps else self._newest(treatments, wait)

        def compared(stored: Sequence[StoredTreatment]) -> tuple[Plan, dict[str, datetime]]:
            return defer_recent(make_plan(treatments, stored, newest), treatments, now - wait)

        stored = self._stored_around(treatments, before)
        plan, deferred = compared(stored)
        if self.is_known or any(it.is_ours for it in stored):
            moved = moved_elsewhere(plan, stored, cycle.nightscout.by_identifier)
            if moved:
                moved = _as_if_changed(before, moved) if cycle.pretend and before else moved
                stored = stored_treatments(moved, besides=stored)
                plan, deferred = compared(stored)
        if plan.doubts:
            text = IN_DOUBT.format(len(plan.doubts), "; ".join(plan.doubts[:MOST_NAMED]))
            outcome.remark([Remark(text, missing=False)])
        if deferred:
            log_deferred(len(deferred), max(deferred.values()) + wait, cycle.clock)
            outcome.deferred |= {name: at + wait - now for name, at in deferred.items()}
        for each in treatments:
            if each.identifier not in deferred:
                outcome.note_newest(each.event_type, each.at)
        counts = (len(treatments), len(stored), len(plan.create), len(plan.update))
        log.debug("Treatments: %d, stored around them: %d, to create: %d, to update: %d.", *counts)
        return plan

    def _newest(
        self, treatments: Sequence[Treatment], wait: timedelta
    ) -> dict[str, datetime | None]:
        """Return, by type, after when a treatment is new.

        The newest stored one, by a person, may have been written while older ones were deferred.
        """
        newest = {kind: self.newest(kind) for kind in {it.event_type for it in treatments}}
        return {kind: at and at - wait for kind, at in newest.items()}

    def _stored_around(
        self, treatments: Sequence[Treatment], before: Plan | None
    ) -> list[StoredTreatment]:
        times = [at for each in treatments for at in (each.at, each.noted_at) if at]
        since, until = min(times) - LOOK_BEFORE, max(times) + LOOK_AFTER
        found = self.cycle.nightscout.treatments(since, until)
        if self.cycle.pretend and before:
            # As if that had been written, so that what begins in one window and ends in the next
            # is not shown as new in both.
            added = [it.after.body for it in before.update if "_id" not in it.after.body]
            found = _as_if_changed(before, found) + added + [it.body for it in before.create]
        return stored_treatments(found)

    def _with_entries(
        self,
        plan: Plan,
        features: Sequence[str],
        readings: list[Any],
        window: TimeRange,
        outcome: Outcome,
    ) -> Plan:
        """Add the entries that are missing; if they cannot be compared, treatments go on alone."""
        desired = entries(readings, window)
        times = [at for entry in desired if (at := entry_time(entry))]
        if not times:
            return plan
        try:
            since, until = min(times) - SAME_READING, max(times) + SAME_READING
            stored = self.cycle.nightscout.entries(since, until)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            outcome.failed(window, features, error)
            return plan
        for entry in desired:
            if at := entry_time(entry):
                outcome.note_newest(entry["type"], at)
        return with_entries(plan, desired, stored, fill_gaps=self.cycle.fill_gaps)


def _are_all_new(
    treatments: Sequence[Treatment], plan: Plan, window: TimeRange, outcome: Outcome
) -> bool:
    """Return whether Nightscout holds none of the treatments that begin in a window."""
    begun = {it.identifier for it in treatments if it.at >= window.start and not it.cut}
    new = {each.identifier for each in plan.create} | outcome.deferred.keys()
    return bool(plan.create) and begun <= new


def _as_if_changed(plan: Plan, stored: Sequence[Document]) -> list[Document]:
    """Return stored documents as a plan would leave them, without what it would create."""
    afters = [update.after.body for update in plan.update]
    changed = {after["_id"]: after for after in afters if "_id" in after}
    removed = {each.body["_id"] for each in plan.remove}
    left = [document for document in stored if document["_id"] not in removed]
    return [changed.get(document["_id"], document) for document in left]
