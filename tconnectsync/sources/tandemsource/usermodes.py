"""Sleep and exercise from the pump's log.

See tandem-source-processing §7, tandem-event-log §7 (229). Every entry says what was asked
for, and in which mode the pump is before and after it. The mode counts where it is reported: one
can follow the other without a request.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from tconnectsync.domain.events import UserMode, UserModeKind
from tconnectsync.sources.tandemsource.log.codes import USER_MODE
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.records import flag, mask, whole

CODES = (USER_MODE,)
MODES = {1: UserModeKind.SLEEP, 2: UserModeKind.EXERCISE}
STARTS = {1: UserModeKind.SLEEP, 3: UserModeKind.EXERCISE}
STOP_SLEEP, STOP_EXERCISE, STOP_ALL = 2, 4, 5
STOPPED_BY = {
    UserModeKind.SLEEP: (STOP_SLEEP, STOP_ALL),
    UserModeKind.EXERCISE: (STOP_EXERCISE, STOP_ALL),
}
BY_HAND = "Sleep (Manual)"
"""A sleep that the person began, not the schedule."""


def user_modes(log: Log, known_until: datetime, skipped: Counter[str]) -> list[UserMode]:
    """Return the periods of sleep and exercise in time order.

    One without an end in the log lasts until ``known_until``, the newest instant of the log, and is
    marked as running; it is left out while that is its first instant.
    """
    found: list[UserMode] = []
    begun: Entry | None = None
    kind: UserModeKind | None = None
    for entry in entries_of(log, USER_MODE):
        before, after = _modes(entry, kind)
        if begun and kind and kind is before and kind is not after:
            found.append(_mode(kind, begun, entry, entry.at))
        elif kind and kind is not before:
            skipped[f"{kind.value} whose end is not in the pump's log"] += 1
        if after is not before:
            begun, kind = (entry, after) if after else (None, None)
        elif kind is not before:
            begun, kind = None, None
    if begun and kind and begun.at < known_until:
        found.append(_mode(kind, begun, None, known_until))
    return found


def begins_inside(log: Log, since: datetime) -> bool:
    """Return whether the log opens in the middle of something that lasts until ``since``."""
    story = list(entries_of(log, USER_MODE))
    kind = _modes(story[0], None)[0] if story else None
    ends = next((entry.at for entry in story if _modes(entry, kind) != (kind, kind)), since)
    return kind is not None and ends >= since


def _modes(
    entry: Entry, assumed: UserModeKind | None
) -> tuple[UserModeKind | None, UserModeKind | None]:
    """Return the mode before and after an entry; ``assumed`` is the one that is known before."""
    noted_before = whole(entry.values, "previoususermode")
    before = assumed if noted_before is None else MODES.get(noted_before)
    noted_after = whole(entry.values, "currentusermode")
    if noted_after is not None:
        return before, MODES.get(noted_after)
    asked = whole(entry.values, "requestedaction") or 0
    if asked in STARTS:
        return before, STARTS[asked]
    stopped = before is not None and asked in STOPPED_BY[before]
    return before, None if stopped else before


def _mode(kind: UserModeKind, begun: Entry, ended: Entry | None, until: datetime) -> UserMode:
    values = begun.values
    if kind is UserModeKind.EXERCISE:
        text = "Exercise (Timed)" if whole(values, "exercisechoice") == 1 else "Exercise"
        if ended and flag(ended.values, "exercisestoppedbytimer"):
            text += " (Stopped by timer)"
    elif flag(values, "sleepstartedbygui"):
        text = BY_HAND
    else:
        text = "Sleep (Scheduled)" if mask(values, "activesleepschedule") else "Sleep"
    return UserMode(
        key=begun.key,
        kind=kind,
        start=begun.at,
        duration=until - begun.at,
        text=text,
        automatic=kind is UserModeKind.SLEEP and text != BY_HAND,
        running=ended is None,
        log_ids=(begun.sequence, ended.sequence) if ended else (begun.sequence,),
    )
