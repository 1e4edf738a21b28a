"""Where a run begins: a window earlier while treatments stand at another time than they should."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from tconnectsync.domain.clock import TimeRange
from tconnectsync.nightscout.provenance import instant
from tconnectsync.sync.run.window import windows
from tconnectsync.sync.run.windowplan import Planner, WindowPlan

log = logging.getLogger(__name__)

MOVED = timedelta(minutes=1)
"""By how much a treatment moves at least where the pump's clock is known better now."""
DAY = timedelta(days=1)
LONGEST_WINDOW = timedelta(days=28)
"""Windows in which treatments move become one up to this length."""
WORDS_OF_THE_END = ("insulin", "notes", "reason")
"""Fields that change when what a treatment shows ends."""
REACHING_BACK = (
    "Reaching back to %s, for treatments that stand at another time than the pump's clock shows by "
    "what is known now."
)


def first_window(
    planner: Planner,
    time_range: TimeRange,
    features: Sequence[str],
    earliest: datetime | None,
    ask_how_far: Callable[[], datetime] | None,
) -> tuple[list[TimeRange], WindowPlan]:
    """Return the windows of a run, and the plan of the first one.

    The run begins earlier as long as treatments move at its beginning. Two windows become one, so
    that no treatment moves to where another one still stands that is to move as well. The earliest
    is written first: a run that breaks off then leaves what shows the next one that it has to go
    back as far.

    Args:
        planner: plans the first window.
        time_range: the range of the run.
        features: what is planned.
        earliest: how far back the run may begin; ``None`` if it must not begin earlier.
        ask_how_far: asks Nightscout where to begin, if nothing of the first window stands there
            although it was expected to.
    """
    days, clock = planner.source.window_days, planner.clock
    found = list(windows(time_range, days, clock))
    first = planner.plan(found[0], features)
    if ask_how_far and first.is_all_new and (start := ask_how_far()) < time_range.start:
        found = list(windows(TimeRange(start, time_range.end), days, clock))
        first = planner.plan(found[0], features)
    begin = found[0].start
    while _is_moving_at_its_beginning(first):
        start, end = found[0].start, found[0].end
        if earliest is None or start <= earliest:
            first.outcome.moved_before = start
            break
        earlier = max(clock.midnight(clock.day(start) - days * DAY), earliest)
        if end - earlier <= LONGEST_WINDOW:
            found[0] = TimeRange(earlier, end)
        else:
            found.insert(0, TimeRange(earlier, start))
        first = planner.plan(found[0], features)
    if found[0].start < begin:
        log.info(REACHING_BACK, clock.day(found[0].start))
    return found, first


def _is_moving_at_its_beginning(window: WindowPlan) -> bool:
    """Tell whether treatments of its first day stand where the pump's clock no longer puts them."""
    first_day = TimeRange(window.range.start, window.range.start + DAY)
    for update in window.plan.update:
        before, after = instant(update.before), instant(update.after)
        # One that has ended meanwhile moves for that reason.
        ended = any(update.after.get(it) != update.before.get(it) for it in WORDS_OF_THE_END)
        has_moved = before and after and abs(after - before) >= MOVED and not ended
        if before and after and has_moved and first_day.overlaps(min(before, after), after):
            return True
    return False
