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
from tconnectsync.nightscout.entries import entries, entry_time
from tconnectsync.nightscout.proof import kind
from tconnectsync.nightscout.provenance import Document, instant
from tconnectsync.nightscout.stored import stored_treatments
from tconnectsync.nightscout.treatments import Treatment, documents
from tconnectsync.sources.base import Reader, Remark, Source
from tconnectsync.sync.features import features_showing
from tconnectsync.sync.plan import Plan, Update, make_plan, moved_elsewhere
from tconnectsync.sync.plan.defer import LONGEST_DEFERRAL, defer_recent, log_deferred, minimum_age
from tconnectsync.sync.plan.glucose import SAME_READING, with_entries
from tconnectsync.sync.run.apply import apply
from tconnectsync.sync.run.collect import Events, collect
from tconnectsync.sync.run.outcome import Outcome, Work, failed_throughout
from tconnectsync.sync.run.window import windows

log = logging.getLogger(__name__)

Progress = Callable[[list[TimeRange]], Iterable[TimeRange]]
LOOK_BEFORE = timedelta(hours=36)
LOOK_AFTER = timedelta(hours=24)
"""How much more of Nightscout is read on both sides of what is wanted.

A corrected ``TIMEZONE_NAME`` moves documents by up to a day, and what is stored must be found where
it was. Nightscout compares times as text: one that an older program left with a space instead of
``T`` sorts before its whole day, and its day is a local one.
"""
MOVED = timedelta(minutes=1)
"""By how much a treatment moves at least where the pump's clock is known better now."""
DAY = timedelta(days=1)
LONGEST_WINDOW = timedelta(days=28)
"""Windows in which treatments move become one up to this length."""
IN_DOUBT = (
    "Not written, because an older tconnectsync may have written the same at another time: {}. "
    "Compare them with your pump; if one is missing, delete the older one in Nightscout and run "
    "these days again. {}"
)
LEFT_TO_THE_NEXT = "Not tried, because all of the days before failed."
MOST_NAMED = 5
LONGEST_BOLUS = timedelta(hours=1)
"""How long before its treatment a bolus may have begun; an extended part is looked for anyway."""
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass
class _Run:
    """What the windows of one run have in common."""

    wanted: TimeRange
    chunks: list[TimeRange]
    look_back: timedelta
    """How far before the first window something may have waited."""
    newest: Callable[[str], datetime | None]
    """When our newest stored treatment of a type was, before this run wrote any."""
    features: list[str]
    """Those that go on; the others failed and wait."""
    is_known: bool
    """Whether earlier runs may have written to the site."""


@dataclass
class _Window:
    """One window of a run: what it needs to know of the others, and what becomes of it."""

    range: TimeRange
    reader: Reader
    newest: Callable[[str], datetime | None]
    """When our newest stored treatment of a type was, before this run wrote any."""
    shown: TimeRange
    """What touches it has its treatments written with this window."""
    until: datetime = LATEST
    """Treatments from then on are left to the next window."""
    before: Plan = field(default_factory=Plan)
    """The plan of the window before."""
    is_known: bool = True
    """Whether earlier runs may have written to the site."""
    outcome: Outcome = field(default_factory=Outcome)
    plan: Plan = field(default_factory=Plan)
    is_all_new: bool = False
    """Whether something is to be written, and nothing stands of what begins within the range.

    What began before and goes on, such as a sleep, says nothing of that.
    """

    @property
    def is_moving_at_its_beginning(self) -> bool:
        """Whether treatments of its first day stand where the pump's clock no longer puts them."""
        first_day = TimeRange(self.range.start, self.range.start + DAY)
        return any(
            abs(after - before) >= MOVED and first_day.overlaps(min(before, after), after)
            for update in self.plan.update
            if _says_the_same(update)
            and (before := instant(update.before))
            and (after := instant(update.after))
        )


def _says_the_same(update: Update) -> bool:
    """Tell whether a treatment only moves: one that has ended meanwhile moves for that reason."""
    return all(
        update.after.get(name) == update.before.get(name) for name in ("insulin", "notes", "reason")
    )


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
        earliest: datetime | None = None,
        ask_how_far: Callable[[], datetime] | None = None,
        is_known: bool = True,
    ) -> Outcome:
        """Sync a range window by window; memory does not grow with its length.

        What fails is noted in the outcome and the rest goes on, unless the error says that going
        on makes no sense; then all of the rest is noted as not done. ``progress`` is given the
        windows and hands them on one by one.

        ``in_order`` is for a range that goes on where earlier runs left off. A feature that failed
        throughout a window then waits in the later ones too, so that the newest document still
        tells the next run where to catch up; and what waited, while newer documents were written,
        is looked for also somewhat before the range.

        While treatments of the earliest day stand at another instant than the pump's clock, as it
        is known now, puts them, the run begins a window earlier, but not before ``earliest``.

        ``ask_how_far`` asks Nightscout where to begin; it is called if nothing of the first window
        stands there, although it was expected to. ``is_known`` tells whether earlier runs may have
        written to the site: then what seems missing where nothing of ours stands is looked for
        elsewhere, too.
        """
        run = _Run(
            wanted,
            chunks=list(windows(wanted, self.source.window_days, self.clock)),
            look_back=LONGEST_DEFERRAL if in_order else timedelta(0),
            newest=cache(self.nightscout.newest),
            features=[name for name in self.features if name not in self.at_the_end],
            is_known=is_known,
        )
        self.nightscout.new_run()
        outcome = Outcome()
        work = self._first_window(run, earliest, ask_how_far) if run.features else None
        for window in progress(run.chunks):
            if not run.features:
                break
            if work is None or work.range != window:
                # Without the reader of the window before: it holds a payload.
                before, work = work.plan if work else Plan(), None
                work = self._planned(window, run, before)
            if not work.outcome.ended_by:
                with work.outcome.recording_failures(
                    (window, run.features), rest=self._rest(window, run)
                ):
                    replace(self, features=run.features)._carry_out(work)
            outcome.absorb(work.outcome)
            if outcome.ended_by:
                return outcome
            if in_order:
                failed = failed_throughout(window, work.outcome.failures)
                self._leave_rest(window, run, failed, outcome)
        is_last = work is not None and work.range == run.chunks[-1]
        reader = work.reader if work and is_last else self.source.read(run.chunks[-1])
        self._finish(reader, run.chunks[-1], outcome)
        return outcome

    def bring(self, events: Events, within: TimeRange) -> Outcome:
        """Write the treatments of some events, besides what a run over a range writes."""
        work = _Window(within, self.source.read(within), self.nightscout.newest, shown=within)
        with work.outcome.recording_failures((within, self.features), rest=(within, self.features)):
            work.plan = self._treatments(events, work)
            self._carry_out(work)
        return work.outcome

    def _first_window(
        self, run: _Run, earliest: datetime | None, ask_how_far: Callable[[], datetime] | None
    ) -> _Window:
        """Plan the first window, and begin earlier as long as treatments move at its beginning.

        Two windows become one, so that no treatment moves to where another one still stands that
        is to move as well. The earliest is written first: a run that breaks off then leaves what
        shows the next one that it has to go back as far.
        """
        work = self._planned(run.chunks[0], run, Plan())
        if ask_how_far and work.is_all_new and (start := ask_how_far()) < run.wanted.start:
            whole = TimeRange(start, run.wanted.end)
            run.chunks = list(windows(whole, self.source.window_days, self.clock))
            work = self._planned(run.chunks[0], run, Plan())
        start_before = run.chunks[0].start
        while work.is_moving_at_its_beginning:
            start, end = work.range.start, work.range.end
            if earliest is None or start <= earliest:
                work.outcome.moved_before = start
                break
            first = self.clock.midnight(self.clock.day(start) - self.source.window_days * DAY)
            first = max(first, earliest)
            if end - first <= LONGEST_WINDOW:
                run.chunks[0] = TimeRange(first, end)
            else:
                run.chunks.insert(0, TimeRange(first, start))
            work = self._planned(run.chunks[0], run, Plan())
        if (begin := run.chunks[0].start) < start_before:
            log.info(
                "Reaching back to %s, for treatments that stand at another time than the pump's "
                "clock shows by what is known now.",
                self.clock.day(begin),
            )
        return work

    def _planned(self, window: TimeRange, run: _Run, before: Plan) -> _Window:
        """Read a window, unless that is done, and return it with what is to be written."""
        is_first, is_last = window == run.chunks[0], window == run.chunks[-1]
        since = window.start - (run.look_back if is_first else timedelta(0))
        work = _Window(
            window,
            self.source.read(window),
            run.newest,
            shown=TimeRange(since, window.end),
            until=LATEST if is_last else window.end,
            before=before,
            is_known=run.is_known,
        )
        with work.outcome.recording_failures((window, run.features), rest=self._rest(window, run)):
            work.plan = replace(self, features=run.features)._plan(work)
        return work

    def _rest(self, window: TimeRange, run: _Run) -> Work:
        """Return what is left undone if the run ends with this window."""
        rest = TimeRange(window.start, max(window.end, run.wanted.end))
        return rest, [*run.features, *self.at_the_end]

    def _leave_rest(self, window: TimeRange, run: _Run, failed: set[str], outcome: Outcome) -> None:
        """Let features that failed throughout a window wait in the later ones, and note that.

        The newest treatment alone does not tell the next run: it may be later than this range, or
        so early that it is out of the next run's reach.
        """
        left = [name for name in run.features if name in failed]
        if left and window.end < run.wanted.end:
            rest = TimeRange(window.end, run.wanted.end)
            outcome.failed(rest, left, TconnectsyncError(LEFT_TO_THE_NEXT))
        run.features = [name for name in run.features if name not in failed]

    def _finish(self, reader: Reader, window: TimeRange, outcome: Outcome) -> None:
        """Sync what is synced once."""
        counted = Counter(reader.skipped)
        left = list(self.at_the_end)
        for feature, sync in self.at_the_end.items():
            with outcome.recording_failures((window, [feature]), rest=(window, left)):
                outcome.others += sync(reader)
            if outcome.ended_by:
                break
            left.remove(feature)
        outcome.skipped.update(reader.skipped - counted)

    def _plan(self, work: _Window) -> Plan:
        """Return what to write for one window."""
        events = collect(
            self.source,
            work.reader,
            work.range,
            self.features,
            clock=self.clock,
            now=self.now(),
            outcome=work.outcome,
        )
        plan = self._treatments(events, work)
        if "CGM" in self.features:
            plan = self._with_entries(plan, events["readings"], work)
        return plan

    def _carry_out(self, work: _Window) -> None:
        """Write a plan; note what was stored, and what features what was not belongs to.

        Raises:
            TconnectsyncError: going on makes no sense.
        """
        plan, outcome = work.plan, work.outcome
        if plan == Plan():
            return
        self.on_plan(work.range, plan)
        outcome.kept += plan.kept
        if self.pretend:
            outcome.created += len(plan.create) + len(plan.entries)
            outcome.updated += plan.changed
            return
        applied = apply(plan, self.nightscout)
        outcome.created += applied.created
        outcome.updated += applied.updated
        for refused in applied.refused():
            features = features_showing({kind(each) for each in refused.documents}, self.features)
            days = work.range
            if not refused.throughout:
                days = self._days_of(refused.documents, work.range)
            outcome.failed(days, features, refused.error)
        if applied.ended_by:
            raise applied.ended_by

    def _days_of(self, written: Sequence[Document], window: TimeRange) -> TimeRange:
        """Return the days of some documents, from which they are read again."""
        times = [at for each in written if (at := instant(each) or entry_time(each))]
        if not times:
            return window
        first, last = (self.clock.day(at) for at in (min(times) - LONGEST_BOLUS, max(times)))
        return TimeRange(self.clock.midnight(first), self.clock.midnight(last + DAY))

    def _treatments(self, events: Events, run: _Window) -> Plan:
        """Plan the treatments of one window."""
        now = self.now()
        wanted = [want for want in _wanted(events, run, self.source.name) if want.at <= now]
        if not wanted:
            return Plan()
        times = [at for want in wanted for at in (want.at, want.noted_at) if at]
        around = self.nightscout.treatments(min(times) - LOOK_BEFORE, max(times) + LOOK_AFTER)
        if self.pretend:
            around = _as_if_carried_out(run.before, around)
        stored = stored_treatments(around)
        kinds = {want.body["eventType"] for want in wanted}
        newest = None if self.fill_gaps else self._newest(kinds, run)
        wait = minimum_age(self.alarm_safe)
        plan, young = defer_recent(make_plan(wanted, stored, newest), wanted, now - wait)
        may_be_elsewhere = run.is_known or any(it.is_ours for it in stored)
        look_for = self.nightscout.by_identifier
        if may_be_elsewhere and (moved := moved_elsewhere(plan, stored, look_for)):
            if self.pretend:
                moved = _as_if_changed(run.before, moved)
            stored = stored_treatments([*stored, *moved])
            plan, young = defer_recent(make_plan(wanted, stored, newest), wanted, now - wait)
        if plan.doubts:
            text = IN_DOUBT.format(len(plan.doubts), "; ".join(plan.doubts[:MOST_NAMED]))
            run.outcome.remark([Remark(text, missing=False)], run.range, ())
        if young:
            log_deferred(len(young), max(young.values()) + wait, self.clock)
            run.outcome.waiting |= {name: at + wait - now for name, at in young.items()}
        for want in wanted:
            if want.identifier not in young:
                run.outcome.note_newest(want.body["eventType"], want.at)
        new = young.keys() | {each["identifier"] for each in plan.create}
        begun = {it.identifier for it in wanted if it.at >= run.range.start and not it.cut}
        run.is_all_new = bool(plan.create) and begun <= new
        counts = (len(wanted), len(stored), len(plan.create), len(plan.update))
        log.debug(
            "Treatments of %s to %s: %d wanted, %d stored around them, %d to create, %d to update.",
            run.shown.start,
            run.shown.end,
            *counts,
        )
        return plan

    def _newest(self, kinds: Iterable[str], run: _Window) -> dict[str, datetime | None]:
        """Return, per type, after when something is new: it may have waited for a while.

        The newest treatment, by a person, may have been written while older ones waited.
        """
        newest = {kind: run.newest(kind) for kind in kinds}
        return {kind: at and at - minimum_age(self.alarm_safe) for kind, at in newest.items()}

    def _with_entries(self, plan: Plan, readings: list[Any], run: _Window) -> Plan:
        """Add the entries that are missing; treatments go on without them."""
        wanted = entries(readings, run.range)
        times = [at for entry in wanted if (at := entry_time(entry))]
        if not times:
            return plan
        try:
            stored = self.nightscout.entries(min(times) - SAME_READING, max(times) + SAME_READING)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            # A role may lack the right to entries alone.
            run.outcome.failed(run.range, ["CGM"], error)
            return plan
        for entry in wanted:
            if at := entry_time(entry):
                run.outcome.note_newest(entry["type"], at)
        whole = with_entries(plan, wanted, stored, fill_gaps=self.fill_gaps)
        if plan == Plan():
            run.is_all_new = bool(whole.entries) and not whole.kept
        return whole


def _wanted(events: Events, run: _Window, cloud: str) -> list[Treatment]:
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
        for want in documents(event, cloud)
        if want.at < run.until
    ]


def _as_if_carried_out(plan: Plan, stored: Sequence[Document]) -> list[Document]:
    """Return what Nightscout would hold if a plan had been carried out.

    What begins in one window and ends in the next is then not shown as new in both.
    """
    imagined = [update.after for update in plan.update if "_id" not in update.after]
    return _as_if_changed(plan, stored) + imagined + plan.create


def _as_if_changed(plan: Plan, stored: Sequence[Document]) -> list[Document]:
    """Return stored documents as a plan would leave them, without what it would create."""
    changed = [update.after for update in plan.update if "_id" in update.after]
    updated = {document["_id"]: document for document in changed}
    removed = {document["_id"] for document in plan.remove}
    left = [document for document in stored if document["_id"] not in removed]
    return [updated.get(document["_id"], document) for document in left]
