"""One cycle over a range: window by window, read, plan, write, and go on after failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.entries import entry_time
from tconnectsync.nightscout.proof import kind
from tconnectsync.nightscout.provenance import Document, instant
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sync.features import features_showing
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.plan.defer import LONGEST_DEFERRAL
from tconnectsync.sync.run.apply import apply
from tconnectsync.sync.run.collect import Events
from tconnectsync.sync.run.firstwindow import first_window
from tconnectsync.sync.run.outcome import Outcome, Work, failed_throughout
from tconnectsync.sync.run.windowplan import Planner, WindowPlan

Progress = Callable[[list[TimeRange]], Iterable[TimeRange]]
DAY = timedelta(days=1)
NOT_TRIED = "Not tried, because all of the days before failed."
LONGEST_BOLUS = timedelta(hours=1)
"""How long before its treatment a bolus may have begun; an extended part is looked for anyway."""


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
    """How old automatic treatments must be to be written; with 0 none waits."""

    @property
    def windowed(self) -> list[str]:
        """The features that are synced window by window."""
        return [name for name in self.features if name not in self.at_the_end]

    def run(
        self,
        time_range: TimeRange,
        progress: Progress = lambda windows: windows,
        *,
        in_order: bool = False,
        earliest: datetime | None = None,
        ask_how_far: Callable[[], datetime] | None = None,
        is_known: bool = True,
    ) -> Outcome:
        """Sync a range window by window; memory does not grow with its length.

        What fails is noted and the rest goes on, unless going on makes no sense.

        Args:
            time_range: what to sync.
            progress: is given the windows and hands them on one by one.
            in_order: whether the range goes on where earlier runs stopped. What failed throughout a
                window then waits in later ones, so that the newest document shows where to catch
                up; what was held back is looked for also before the range.
            earliest: how far back it may begin; see ``firstwindow.py``.
            ask_how_far: asks Nightscout where to begin; see there.
            is_known: see :class:`~tconnectsync.sync.run.windowplan.Planner`.
        """
        self.nightscout.new_run()
        outcome, features = Outcome(), self.windowed
        planner = self._planner(time_range, in_order=in_order, is_known=is_known)
        chunks, planned = first_window(planner, time_range, features, earliest, ask_how_far)
        for window in progress(chunks):
            if not features:
                break
            if planned.range != window:
                before = planned.plan
                del planned  # Its reader holds a payload.
                planned = planner.plan(window, features, before)
            result = planned.outcome
            self._carry_out(planned.plan, window, features, result, planner.rest(window, features))
            outcome.absorb(result)
            if outcome.ended_by:
                return outcome
            if in_order:
                features = _tried_further(features, window, time_range.end, result, outcome)
        self._sync_once(chunks[-1], planned, outcome)
        return outcome

    def bring(self, events: Events, within: TimeRange) -> Outcome:
        """Write the treatments of some events, besides what a run over a range writes."""
        outcome, plan, planner = Outcome(), Plan(), self._planner(within)
        work = (within, self.features)
        with outcome.recording_failures(work, rest=work):
            plan = planner.compare(planner.treatments(events, within), outcome)
        self._carry_out(plan, within, self.features, outcome, work)
        return outcome

    def _planner(
        self, time_range: TimeRange, *, in_order: bool = False, is_known: bool = True
    ) -> Planner:
        return Planner(
            self.source,
            self.nightscout,
            self.clock,
            self.now,
            pretend=self.pretend,
            fill_gaps=self.fill_gaps,
            alarm_safe=self.alarm_safe,
            end=time_range.end,
            at_the_end=list(self.at_the_end),
            look_back=LONGEST_DEFERRAL if in_order else timedelta(0),
            is_known=is_known,
        )

    def _carry_out(
        self,
        plan: Plan,
        window: TimeRange,
        features: Sequence[str],
        outcome: Outcome,
        rest: Work,
    ) -> None:
        """Write a plan; note what was stored, and what features what was not belongs to.

        All of the ``rest`` is left undone if an error makes going on pointless.
        """
        if outcome.ended_by or plan == Plan():
            return
        self.on_plan(window, plan)
        outcome.kept += plan.kept
        if self.pretend:
            outcome.created += len(plan.create) + len(plan.entries)
            outcome.updated += plan.changed
            return
        applied = apply(plan, self.nightscout)
        outcome.created += applied.created
        outcome.updated += applied.updated
        for refused in applied.refused():
            names = features_showing({kind(each) for each in refused.documents}, features)
            days = window if refused.throughout else self._days_of(refused.documents, window)
            outcome.failed(days, names, refused.error)
        if applied.ended_by:
            outcome.failed(*rest, applied.ended_by)

    def _days_of(self, written: Sequence[Document], window: TimeRange) -> TimeRange:
        """Return the days of some documents, from which they are read again."""
        times = [at for each in written if (at := instant(each) or entry_time(each))]
        if not times:
            return window
        first, last = (self.clock.day(at) for at in (min(times) - LONGEST_BOLUS, max(times)))
        return TimeRange(self.clock.midnight(first), self.clock.midnight(last + DAY))

    def _sync_once(self, window: TimeRange, planned: WindowPlan, outcome: Outcome) -> None:
        """Sync what is synced once, after the last window; it may have been planned already."""
        reader = planned.reader if planned.range == window else self.source.read(window)
        counted = Counter(reader.skipped)
        left = list(self.at_the_end)
        for feature, sync in self.at_the_end.items():
            with outcome.recording_failures((window, [feature]), rest=(window, left)):
                outcome.others += sync(reader)
            if outcome.ended_by:
                break
            left.remove(feature)
        outcome.skipped.update(reader.skipped - counted)


def _tried_further(
    features: Sequence[str], window: TimeRange, end: datetime, result: Outcome, outcome: Outcome
) -> list[str]:
    """Return the features without those that failed throughout a window.

    That these are not tried up to the end is noted: the newest treatment alone does not show it to
    the next run. It may be later than this range, or so early that it is out of that run's reach.
    """
    failed = failed_throughout(window, result.failures)
    left = [name for name in features if name in failed]
    if left and window.end < end:
        outcome.failed(TimeRange(window.end, end), left, TconnectsyncError(NOT_TRIED))
    return [name for name in features if name not in failed]
