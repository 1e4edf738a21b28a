"""One cycle over a range: for each window read, plan and write; failures do not stop the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

from tconnectsync.domain.clock import DAY, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.base import Reader
from tconnectsync.sync.features import features_showing
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.plan.defer import LONGEST_DEFERRAL
from tconnectsync.sync.run.ahead import Ahead
from tconnectsync.sync.run.apply import Record, apply
from tconnectsync.sync.run.collect import Events
from tconnectsync.sync.run.firstwindow import first_window
from tconnectsync.sync.run.outcome import Outcome, Work, failed_throughout
from tconnectsync.sync.run.parts import CycleParts
from tconnectsync.sync.run.windowplan import WindowPlan, WindowPlanner
from tconnectsync.sync.run.zonecheck import require_right_zone, require_right_zone_throughout

Progress = Callable[[list[TimeRange]], Iterable[TimeRange]]
AfterWindow = Callable[[TimeRange, Sequence[str], Outcome], None]
NOT_TRIED = "Not tried, because all of the days before failed."
LONGEST_BOLUS = timedelta(hours=1)
"""How long before its treatment a bolus may have begun; an extended part is looked for anyway."""


class Cycle(CycleParts):
    """Syncs a range window by window, then what is synced once."""

    def run(
        self,
        time_range: TimeRange,
        progress: Progress = lambda windows: windows,
        *,
        in_order: bool = False,
        earliest: datetime | None = None,
        ask_how_far: Callable[[], datetime] | None = None,
        is_known: bool = True,
        after_window: AfterWindow = lambda window, features, result: None,
    ) -> Outcome:
        """Sync a range window by window; memory does not grow with its length.

        What fails is noted in the outcome and the rest goes on, unless the error says that going
        on makes no sense; then all of the rest is noted as not done.

        Args:
            time_range: the range.
            progress: is given the windows and hands them on one by one.
            in_order: whether the range goes on where earlier runs stopped. A feature that failed
                throughout a window is then left out of the later ones, so that the newest document
                still shows the next run where to catch up; and what was deferred, while newer
                documents were written, is looked for also somewhat before the range.
            earliest: how far back the run may begin while treatments of its earliest day stand at
                another instant than the pump's clock, as it is known now, puts them.
            ask_how_far: asks Nightscout where to begin; it is called if nothing of the first window
                stands there, although it was expected to.
            is_known: whether earlier runs may have written to the site: then what seems missing
                where nothing of ours stands is looked for elsewhere, too.
            after_window: is given each window that is through, the features that were synced in it,
                and what came of it.

        Raises:
            ClockContradictionError: what would be written has the times of a wrong zone.
        """
        self.nightscout.new_run()
        outcome = Outcome()
        look_back = LONGEST_DEFERRAL if in_order else timedelta(0)
        planner = WindowPlanner(self, time_range, look_back, is_known)
        begin = partial(first_window, planner, earliest=earliest, ask_how_far=ask_how_far)
        last, reader = self._sync_windows(
            planner, begin, progress, outcome, after_window, in_order=in_order
        )
        if not outcome.ended_by:
            self._sync_once(reader or self.source.read(last), last, outcome)
        return outcome

    def _sync_windows(
        self,
        planner: WindowPlanner,
        begin: Callable[[Sequence[str]], tuple[list[TimeRange], WindowPlan]],
        progress: Progress,
        outcome: Outcome,
        after_window: AfterWindow,
        *,
        in_order: bool,
    ) -> tuple[TimeRange, Reader | None]:
        """Sync window by window; return the last window, and its reader if it was read."""
        features, ahead = self.windowed, Ahead(partial(planner.read, is_first=False))
        chunks, planned = begin(features)
        require_right_zone_throughout(planned, chunks[1:], features, planner)
        following = dict(pairwise(chunks))
        with ahead.reading():
            for window in progress(chunks):
                if not features:
                    break
                if planned.range != window:
                    planned = planner.plan(ahead.read(window, features), planned.plan)
                result = planned.outcome
                if window != chunks[0]:
                    require_right_zone(planned, planner)
                if window in following:
                    planned.reader.release()
                    # After a failure, the rest may be left out.
                    if not result.failures:
                        ahead.begin(following[window], features)
                rest = planner.rest(window, features)
                self._carry_out(planned.plan, window, features, result, rest)
                outcome.absorb(result)
                if outcome.ended_by:
                    break
                after_window(window, features, result)
                if in_order:
                    end = planner.time_range.end
                    features = _tried_further(features, window, end, result, outcome)
        return chunks[-1], planned.reader if planned.range == chunks[-1] else None

    def write_events(self, events: Events, within: TimeRange) -> Outcome:
        """Write the treatments of some events, besides what a run over a range writes."""
        outcome, plan, planner = Outcome(), Plan(), WindowPlanner(self, within)
        work = (within, self.features)
        with outcome.recording_failures(work, rest=work):
            plan = planner.compare(planner.treatments(events, within), outcome)
        self._carry_out(plan, within, self.features, outcome, work)
        return outcome

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
            outcome.written.update(plan.kinds)
            outcome.insulin += plan.insulin
            outcome.note_new(plan.new, plan.new_insulin)
            return
        applied = apply(plan, self.nightscout)
        outcome.created += applied.created
        outcome.updated += applied.updated
        outcome.written.update(applied.written)
        outcome.insulin += applied.insulin
        outcome.note_new(applied.new, applied.new_insulin)
        for refused in applied.refused():
            names = features_showing({each.kind for each in refused.records}, features)
            days = window if refused.throughout else self._days_of(refused.records, window)
            outcome.failed(days, names, refused.error)
        if applied.ended_by:
            outcome.failed(*rest, applied.ended_by)

    def _days_of(self, written: Sequence[Record], window: TimeRange) -> TimeRange:
        """Return the days of some treatments or entries, from which they are read again."""
        times = [each.at for each in written if each.at]
        if not times:
            return window
        first, last = (self.clock.day(at) for at in (min(times) - LONGEST_BOLUS, max(times)))
        return TimeRange(self.clock.midnight(first), self.clock.midnight(last + DAY))

    def _sync_once(self, reader: Reader, window: TimeRange, outcome: Outcome) -> None:
        """Sync what is synced once, after all windows."""
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

    Those are recorded as not tried up to the end. The next run would not see that by the newest
    treatment alone: it may be later than this range, or too early for that run to reach.
    """
    failed = failed_throughout(window, result.failures)
    left = [name for name in features if name in failed]
    if left and window.end < end:
        error = TconnectsyncError(NOT_TRIED)
        error.can_retry = any(each.error.is_repeatable for each in result.failures)
        outcome.failed(TimeRange(window.end, end), left, error)
    return [name for name in features if name not in failed]
