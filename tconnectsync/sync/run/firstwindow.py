"""Where a run begins: a window earlier, as long as stored treatments have wrong times."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from tconnectsync.domain.clock import DAY, MINUTE, TimeRange
from tconnectsync.sync.plan import Update
from tconnectsync.sync.run.window import windows
from tconnectsync.sync.run.windowplan import WindowPlan, WindowPlanner

log = logging.getLogger(__name__)

SMALLEST_MOVE = MINUTE
"""By how much a treatment moves at least where the pump's clock is known better now."""
LONGEST_WINDOW = timedelta(days=28)
"""Windows in which treatments move become one up to this length."""


def first_window(
    planner: WindowPlanner,
    features: Sequence[str],
    *,
    earliest: datetime | None,
    ask_how_far: Callable[[], datetime] | None,
) -> tuple[list[TimeRange], WindowPlan]:
    """Return the windows of a run, and the plan of the first one.

    Args:
        planner: plans the first window; it knows the range of the run.
        features: what is planned.
        earliest: how far back the run may begin; ``None`` if it must not begin earlier.
        ask_how_far: asks Nightscout where to begin, if nothing of the first window stands there
            although it was expected to.
    """
    time_range, clock = planner.time_range, planner.cycle.clock
    days = planner.cycle.source.window_days
    found = list(windows(time_range, days, clock))
    first = planner.plan(planner.read(found[0], features))
    if ask_how_far and first.is_all_new and (start := ask_how_far()) < time_range.start:
        found = list(windows(TimeRange(start, time_range.end), days, clock))
        first.reader.release()
        first = planner.plan(planner.read(found[0], features))
    begin = found[0].start
    found, first = _reaching_back(planner, features, found, first, earliest)
    if found[0].start < begin:
        log.info(
            "Going back to %s, because treatments are stored at times that no longer agree with "
            "the pump's clock.",
            clock.day(found[0].start),
        )
    return found, first


def _reaching_back(
    planner: WindowPlanner,
    features: Sequence[str],
    found: list[TimeRange],
    first: WindowPlan,
    earliest: datetime | None,
) -> tuple[list[TimeRange], WindowPlan]:
    """Begin a run earlier as long as treatments move at its beginning.

    Two windows become one, so that no treatment moves to the instant of another one that is still
    to be moved. The earliest window is written first, so that after an interrupted run the next one
    still sees that it must go back as far.
    """
    clock, days = planner.cycle.clock, planner.cycle.source.window_days
    while _is_moving_at_its_beginning(first):
        start, end = found[0].start, found[0].end
        if earliest is None or start <= earliest:
            first.outcome.moved_before = start
            break
        earlier = max(clock.midnight(clock.day(start) - days * DAY), earliest)
        if end - earlier <= LONGEST_WINDOW:
            found = [TimeRange(earlier, end), *found[1:]]
        else:
            found = [TimeRange(earlier, start), *found]
        first.reader.release()
        first = planner.plan(planner.read(found[0], features))
    return found, first


def _is_moving_at_its_beginning(window: WindowPlan) -> bool:
    """Return whether treatments of its first day no longer have the times of the pump's clock."""
    first_day = TimeRange(window.range.start, window.range.start + DAY)
    return any(
        abs(after - before) >= SMALLEST_MOVE and first_day.overlaps(min(before, after), after)
        for update in window.plan.update
        if only_moves(update) and (before := update.stored.at) and (after := update.after.at)
    )


def only_moves(update: Update) -> bool:
    """Return whether a treatment keeps its insulin, notes and reason.

    A bolus that has ended since does not: it moves because its time is its end.
    """
    before, after = update.stored, update.after
    return (before.insulin, before.notes, before.reason) == (
        after.insulin,
        after.notes,
        after.reason,
    )
