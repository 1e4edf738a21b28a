"""Stops a run before it writes insulin at the times of a wrong zone.

The time of an upload is a true instant, and a pump in use has written an entry shortly before it.
So the newest entry shows whether ``TIMEZONE_NAME`` (with what the log records of the clock) can be
right. That is looked at where a wrong zone does its harm: when the first documents of ours come to
a site, and when stored ones are to move because the zone or the clock is known differently now.

Data after their own upload are impossible. Data that are hours old may be so because the phone was
away from the pump. So old data only count if the stored treatments, or another zone, make them
fresh, and in doubt only while the pump still uploads: its next upload decides then. A run that only
adds to what is there is never stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tconnectsync.domain.clock import DAY, HOUR, MINUTE, TimeRange
from tconnectsync.domain.offsets import fitting_offset, offset_in_words
from tconnectsync.domain.words import number_of, span_in_words
from tconnectsync.errors import ClockContradictionError, TconnectsyncError
from tconnectsync.sources.base import NewestData
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.run.firstwindow import only_moves
from tconnectsync.sync.run.windowplan import WindowPlan, WindowPlanner

IMPOSSIBLE = 40 * MINUTE
"""Data so long after their own upload cannot be, even if they are usually some minutes old."""
TOO_OLD = 55 * MINUTE
"""Data so long before it were read with an offset that is wrong by an hour, or are really old."""
FRESH = 15 * MINUTE
"""The greatest age of data when they are uploaded; the pump writes an entry every 5 minutes."""
USUAL = 65 * MINUTE
"""Their greatest age right before an upload, as the app uploads every hour."""
TOO_OLD_NOW = 80 * MINUTE
"""What is so old now comes from no upload of the last hour."""
MOST = 26 * HOUR
"""By how much zones differ; more is a wrong date, of which others take care."""
RECENT = DAY
"""A pump that has uploaded since then will soon do so again."""
MANY = 3
"""Fewer treatments that move may do so for a reason of their own."""


def require_right_zone_throughout(
    first: WindowPlan,
    later: Iterable[TimeRange],
    features: Sequence[str],
    planner: WindowPlanner,
) -> None:
    """Let a run pass before its first window is written; the rest is as for one plan.

    Where the data look wrong, the later windows are planned for that, too: stored treatments may
    move there, although the first window only adds some.

    Raises:
        ClockContradictionError: nothing of it may be written.
    """
    require_right_zone(first, planner)
    if _wrong_age(first, planner):
        for window in later:
            planned = planner.plan(planner.read(window, features))
            require_right_zone(planned, planner)
            planned.reader.release()


def require_right_zone(planned: WindowPlan, planner: WindowPlanner) -> None:
    """Let a plan pass, unless the pump's data contradict the zone by an hour or more.

    Raises:
        ClockContradictionError: nothing of it may be written.
    """
    plan, now = planned.plan, planner.cycle.now()
    if plan == Plan() or not (found := _wrong_age(planned, planner)):
        return
    newest, age = found
    name = f"TIMEZONE_NAME ({planner.cycle.clock.zone.key})"
    moves = _moves(plan)
    if len(moves) >= min(MANY, plan.kept + 1):
        # By the offset that the stored ones have, the newest data would be that old.
        before = age + moves[-1]
        longest = MOST if _has_uploaded_lately(newest, now) else USUAL
        if age < timedelta(0) or (before < age and -FRESH <= before <= longest):
            raise _contradiction(
                newest,
                age,
                name,
                f"{number_of(len(moves), 'treatment')} in Nightscout would move by "
                f"{span_in_words(abs(moves[-1]))}",
                moves[-1],
                is_sure=age < timedelta(0) or (newest.uploaded is not None and before <= FRESH),
            )
    elif (age < timedelta(0) or _is_likely(newest, age, now)) and _is_first(plan, planner):
        what = "the first treatments in this Nightscout would have wrong times"
        raise _contradiction(newest, age, name, what, is_sure=age < timedelta(0))


def _wrong_age(planned: WindowPlan, planner: WindowPlanner) -> tuple[NewestData, timedelta] | None:
    """Return the newest data with their age, if data of that age may have a wrong zone."""
    now = planner.cycle.now()
    try:
        newest = planned.reader.newest_data()
    except TconnectsyncError:
        return None  # It could not be read, which its features have reported.
    if newest is None or (newest.uploaded is None and planned.range.end < now - HOUR):
        return None  # What such a range ends with is not the newest.
    age = (newest.uploaded or now) - newest.at
    too_old = TOO_OLD if newest.uploaded else TOO_OLD_NOW
    is_wrong = (age <= -IMPOSSIBLE or age >= too_old) and abs(age) <= MOST
    return (newest, age) if is_wrong else None


def _is_likely(newest: NewestData, age: timedelta, now: datetime) -> bool:
    """Return whether data are rather as old as they seem by a wrong offset than really so old.

    That is so if by another offset they are fresh.
    """
    is_fresh = fitting_offset(newest.at, age, FRESH) is not None
    return is_fresh and _has_uploaded_lately(newest, now)


def _has_uploaded_lately(newest: NewestData, now: datetime) -> bool:
    """Return whether another upload soon shows if the phone had only been away from the pump.

    Only then a run may be stopped in doubt: what is long over would stop every run.
    """
    return newest.uploaded is not None and now - newest.uploaded <= RECENT


def _moves(plan: Plan) -> Sequence[timedelta]:
    """Return by how much stored treatments move by hours, in the order of their times."""
    found: list[tuple[datetime, timedelta]] = []
    for update in plan.update:
        at, after = update.stored.at, update.after.at
        if at and only_moves(update) and TOO_OLD <= abs(after - at) <= MOST + HOUR:
            found.append((after, after - at))
    return [shift for _, shift in sorted(found)]


def _is_first(plan: Plan, planner: WindowPlanner) -> bool:
    """Return whether the site holds no document of ours of any kind that would be created."""
    if plan.kept or plan.changed:
        return False
    kinds = {it.event_type for it in plan.create} | {str(it["type"]) for it in plan.entries}
    try:
        return bool(kinds) and not any(planner.newest(kind) for kind in kinds)
    except TconnectsyncError:
        return False  # Then it is not known; what is wrong with the site shows elsewhere.


def _contradiction(
    newest: NewestData,
    age: timedelta,
    name: str,
    harm: str,
    moved: timedelta | None = None,
    *,
    is_sure: bool,
) -> ClockContradictionError:
    reference = "their own upload" if newest.uploaded else "the present time"
    if age < timedelta(0):
        found = f"the pump's newest data lie {span_in_words(-age)} after {reference}"
    else:
        when = "when they were uploaded" if newest.uploaded else "now"
        found = f"the pump's newest data are {span_in_words(age)} old {when}"
    wall = newest.at.replace(tzinfo=None)
    offset = fitting_offset(newest.at, age, FRESH if newest.uploaded else USUAL)
    if offset is None and moved is not None and age > timedelta(0):
        offset = (newest.at.utcoffset() or timedelta(0)) + moved
    fits = f" {offset_in_words(offset, wall)}." if offset is not None and abs(offset) < DAY else ""
    doubt = (
        ""
        if is_sure
        else " If the phone was away from the pump for so long, wait for its next upload; then a "
        "run goes on by itself."
    )
    return ClockContradictionError(
        f"With {name} {found}, so that is not the zone of the pump's clock, or that clock is "
        f"wrong.{fits} Nothing was written, because {harm}. Compare the pump's clock with a watch, "
        f"then correct TIMEZONE_NAME, or the clock on the pump and upload it.{doubt}",
        can_retry=not is_sure,
    )
