"""Sleep and exercise from the pump's log.

See tandem-source-processing §7, tandem-event-log §7 (229). Every entry says what was asked
for, and in which mode the pump is before and after it. The mode counts where it is told, since one
can follow the other without anybody asking for it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from tconnectsync.domain.events import Activity, ActivityKind
from tconnectsync.sources.tandemsource.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.records import flag, mask, whole

USER_MODE = 229
CODES = (USER_MODE,)
MODES = {1: ActivityKind.SLEEP, 2: ActivityKind.EXERCISE}
STARTS = {1: ActivityKind.SLEEP, 3: ActivityKind.EXERCISE}
STOP_SLEEP, STOP_EXERCISE, STOP_ALL = 2, 4, 5
STOPPED_BY = {
    ActivityKind.SLEEP: (STOP_SLEEP, STOP_ALL),
    ActivityKind.EXERCISE: (STOP_EXERCISE, STOP_ALL),
}


def activities(log: Log, known_until: datetime, skipped: Counter[str]) -> list[Activity]:
    """Return the periods of sleep and exercise in time order.

    One without an end in the log lasts until ``known_until``, the newest instant of the log, and is
    marked as running; it is left out while that is its first instant.
    """
    found: list[Activity] = []
    begun: Entry | None = None
    kind: ActivityKind | None = None
    for entry in entries_of(log, USER_MODE):
        before, after = _modes(entry, kind)
        if begun and kind and kind is before and kind is not after:
            found.append(_ended(kind, begun, entry))
        elif kind and kind is not before:
            skipped[f"{kind.value.lower()} whose end is not in the pump's log"] += 1
        if after is not before:
            begun, kind = (entry, after) if after else (None, None)
        elif kind is not before:
            begun, kind = None, None
    if begun and kind and begun.at < known_until:
        found.append(_running(kind, begun, known_until))
    return found


def begins_inside(log: Log, since: datetime) -> bool:
    """Tell whether the log opens in the middle of something that lasts until ``since``."""
    story = list(entries_of(log, USER_MODE))
    kind = _modes(story[0], None)[0] if story else None
    ends = next((entry.at for entry in story if _modes(entry, kind) != (kind, kind)), since)
    return kind is not None and ends >= since


def _modes(
    entry: Entry, assumed: ActivityKind | None
) -> tuple[ActivityKind | None, ActivityKind | None]:
    """Return the mode before and after an entry; ``assumed`` is the one that is known before."""
    told_before = whole(entry.values, "previoususermode")
    before = assumed if told_before is None else MODES.get(told_before)
    told_after = whole(entry.values, "currentusermode")
    if told_after is not None:
        return before, MODES.get(told_after)
    asked = whole(entry.values, "requestedaction") or 0
    if asked in STARTS:
        return before, STARTS[asked]
    stopped = before is not None and asked in STOPPED_BY[before]
    return before, None if stopped else before


def _ended(kind: ActivityKind, begun: Entry, ended: Entry) -> Activity:
    told_as = _how(kind, begun)
    if kind is ActivityKind.EXERCISE and flag(ended.values, "exercisestoppedbytimer"):
        told_as += " (Stopped by timer)"
    return Activity(
        key=begun.key,
        kind=kind,
        start=begun.at,
        duration=ended.at - begun.at,
        running=False,
        told_as=told_as,
        log_ids=(begun.sequence, ended.sequence),
    )


def _running(kind: ActivityKind, begun: Entry, known_until: datetime) -> Activity:
    return Activity(
        key=begun.key,
        kind=kind,
        start=begun.at,
        duration=known_until - begun.at,
        told_as=_how(kind, begun),
        log_ids=(begun.sequence,),
    )


def _how(kind: ActivityKind, begun: Entry) -> str:
    """Return how a period came about, in the words of older versions."""
    values = begun.values
    if kind is ActivityKind.EXERCISE:
        return "Exercise (Timed)" if whole(values, "exercisechoice") == 1 else "Exercise"
    if flag(values, "sleepstartedbygui"):
        return "Sleep (Manual)"
    return "Sleep (Scheduled)" if mask(values, "activesleepschedule") else "Sleep"
