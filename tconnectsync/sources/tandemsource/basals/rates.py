"""What an entry of the log does to the basal rate of a pump without Control-IQ.

See docs/protocol/tandem-source-processing.md §14, tandem-event-log §10.1. Rates are in U/h.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from tconnectsync.domain.clock import MINUTE
from tconnectsync.domain.limits import MOST_RATE
from tconnectsync.sources.tandemsource.basals.basals import NOTHING, PROFILE, TEMP
from tconnectsync.sources.tandemsource.log.codes import (
    ALARM,
    NEW_DAY,
    RATE_CHANGE,
    RESUMED,
    SUSPENDED,
    TEMP_RATE_ENDED,
    TEMP_RATE_STARTED,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry
from tconnectsync.sources.tandemsource.log.records import mask, number, whole

CODES = (TEMP_RATE_STARTED, RATE_CHANGE, TEMP_RATE_ENDED, NEW_DAY)
RATE_CODES = (RATE_CHANGE, NEW_DAY)
"""The codes of the entries that state a rate."""
OCCLUSIONS = (2, 26)
"""Alarms at which the pump stops, whether it says so or not."""
STARTS_TEMP, ENDS_TEMP, SUSPENDS, RESUMES, SHUTS_DOWN, NEW_LIMIT = (
    1 << bit for bit in (2, 3, 4, 5, 6, 7)
)
"""Why a rate changes; several may come together."""
SAME_RATE = 0.0005
"""U/h; half of the smallest step."""
MOST_MILLISECONDS = 7 * 86_400_000
"""No temporary rate lasts longer."""
AT_ONCE = MINUTE
"""How soon after a resumption the change of rate comes that belongs to it."""


class Flow(NamedTuple):
    """A basal rate, and where it comes from."""

    rate: float
    source: int
    """As entries of pumps with Control-IQ count it."""


SUSPENSION = Flow(0.0, NOTHING)


class Rates:
    """Follows the log entry by entry.

    Args:
        newest_change: the last change of rate before it, if known.
    """

    def __init__(self, newest_change: Entry | None = None) -> None:
        self.newest_change = newest_change
        self.flow: Flow | None = None
        """What flows; ``None`` if that is not known, or shown as a suspension."""
        self.unclear: list[Entry] = []
        """Entries after which no rate is known although they should state it."""
        self._kept: Flow | None = None
        """What flowed before the pump stopped."""
        self._stopped = False
        self._temp_ends: datetime | None = None
        self._temp_is_over = False

    def stop(self) -> None:
        """Note that the pump stands still, for as long as its log says."""
        self._keep()
        self.flow = None
        self._stopped = True

    def note(self, entry: Entry, later: Sequence[Entry]) -> bool:
        """Note an entry, which ``later`` ones follow; return whether what flows starts again."""
        notes = {
            RATE_CHANGE: self._change,
            NEW_DAY: self._new_day,
            ALARM: self._alarm,
            TEMP_RATE_STARTED: self._temp_start,
        }
        if entry.code in notes:
            return notes[entry.code](entry)
        if entry.code == SUSPENDED:
            self.stop()
            return True
        if entry.code == RESUMED:
            return self._resume(entry, later)
        self._temp_is_over |= entry.code == TEMP_RATE_ENDED
        return False

    def _temp_start(self, entry: Entry) -> bool:
        length = number(entry.values, "duration") or 0.0
        is_known = 0 < length <= MOST_MILLISECONDS
        self._temp_ends = entry.at + timedelta(milliseconds=length) if is_known else None
        self._temp_is_over = False
        return False

    def _change(self, entry: Entry) -> bool:
        self.newest_change = entry
        why, rate = mask(entry.values, "changetype") or 0, rate_of(entry)
        self._temp_is_over |= bool(why & ENDS_TEMP)
        if why & STARTS_TEMP:
            self._temp_is_over = False
        if self._stopped and not (why & RESUMES and rate):
            base = _rate(entry, "basebasalrate")
            if base is not None and self._kept and self._kept.source == PROFILE:
                self._kept = self._kept._replace(rate=base)
            return False
        self._stopped = False
        if why & (SUSPENDS | SHUTS_DOWN):
            self._keep()
            self.flow = None if why & SHUTS_DOWN else SUSPENSION
        elif rate is None:
            self.unclear.append(entry)
            self.flow = None
        else:
            before = self.flow or self._kept
            self.flow = Flow(rate, _source(entry, rate, before))
        return True

    def _new_day(self, entry: Entry) -> bool:
        if self._stopped:
            return False
        rate = rate_of(entry)
        if rate is None:
            if self.flow is None:
                self.unclear.append(entry)
            return False
        before = self.flow or self._kept
        if before is None and self.newest_change:
            known = rate_of(self.newest_change)
            why = mask(self.newest_change.values, "changetype") or 0
            is_stop = bool(why & SUSPENDS)
            source = NOTHING if is_stop else _source(self.newest_change, known or 0.0, None)
            before = Flow(known or 0.0, source)
        if before is None:
            before = Flow(rate, PROFILE)
        if before.source == NOTHING and rate:
            before = self._kept or Flow(rate, PROFILE)
        self.flow = before._replace(rate=rate)
        return True

    def _resume(self, entry: Entry, later: Sequence[Entry]) -> bool:
        if self.flow and self.flow.source != NOTHING:
            return False
        self._stopped = False
        soon = takewhile(lambda each: each.at - entry.at <= AT_ONCE, later)
        if any(each.code == RATE_CHANGE for each in soon):
            self.flow = None
            return True
        is_temp = self._kept is not None and self._kept.source == TEMP
        is_over = self._temp_is_over or (
            self._temp_ends is not None and self._temp_ends <= entry.at
        )
        self.flow = None if is_temp and is_over else self._kept
        if self.flow is None:
            self.unclear.append(entry)
        return True

    def _alarm(self, entry: Entry) -> bool:
        stops = whole(entry.values, "alarmid") in OCCLUSIONS
        if self._stopped or not stops or self.flow in (None, SUSPENSION):
            return False
        self._keep()
        self.flow = SUSPENSION
        return True

    def _keep(self) -> None:
        if self.flow and self.flow.source != NOTHING:
            self._kept = self.flow


def rate_of(entry: Entry) -> float | None:
    """Return the rate that an entry sets, ``None`` if it states none that can be true (U/h)."""
    return _rate(entry, "commandedbasalrate")


def profile_rate_of(entry: Entry, flow: Flow) -> float | None:
    """Return the rate of the profile (U/h) at an entry from which something flows, if known."""
    return flow.rate if flow.source == PROFILE else _rate(entry, "basebasalrate")


def _rate(entry: Entry, name: str) -> float | None:
    rate = number(entry.values, name)
    return round(rate, 3) if rate is not None and 0 <= rate <= MOST_RATE else None


def _source(entry: Entry, rate: float, before: Flow | None) -> int:
    """Return whether a rate comes from a temporary rate or from the profile."""
    why, base = mask(entry.values, "changetype") or 0, _rate(entry, "basebasalrate")
    if why & STARTS_TEMP:
        return TEMP
    if base is not None and abs(rate - base) > SAME_RATE:
        return TEMP
    if why == NEW_LIMIT and before and before.source == TEMP:
        return TEMP
    if base is None and not why & ENDS_TEMP and before and before.source == TEMP:
        return TEMP
    return PROFILE
