"""The insulin left in the pump: the last reported amount, minus the insulin delivered since.

See tandem-source-processing §18, tandem-event-log §10.1 and §10.4. Low values raise alarms in
Nightscout, so nothing is reported where anything is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.domain.limits import MOST_LEFT
from tconnectsync.sources.tandemsource.basals import basals
from tconnectsync.sources.tandemsource.boluses.doses import STARTS, doses, given, given_by
from tconnectsync.sources.tandemsource.log.codes import (
    ALARM,
    ALERT,
    CANNULA_FILLED,
    CARTRIDGE_FILLED,
    RESUMED,
    SUSPENDED,
    TUBING_FILLED,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of, joined
from tconnectsync.sources.tandemsource.log.records import number, whole

WORDS = (ALERT, ALARM, SUSPENDED, RESUMED, CARTRIDGE_FILLED, TUBING_FILLED)
"""The codes of entries that may say how much is left, or that this is not known."""
CODES = (*WORDS, CANNULA_FILLED)
EMPTY = (8, 9)
"""The alarms of a cartridge without insulin."""
VERY_LOW = 17
"""The alert that there is very little insulin, without an amount."""

MISSING = timedelta(minutes=5)
"""The longest gap in the basal rate: one entry may be missing."""


class Left(NamedTuple):
    """What is known of the insulin left."""

    units: float | None
    """U; ``None`` where that is not known."""
    reported_by: Entry | None = None
    """The entry that says so."""
    is_reported: bool = False
    """Whether it is the pump's own number, of which nothing has been given since."""


NOT_KNOWN = Left(None)


def left(log: Log, until: datetime, last: DeviceStatus | None, earlier: Callable[[], Log]) -> Left:
    """Return how much insulin is left at the end of a log, to fractions of a unit.

    Args:
        log: what is known of the pump's log.
        until: the end of it.
        last: the status that was stored last; how much was left then goes on from there.
        earlier: gets the log of some days before, for a pump that has reported nothing since.
    """
    word = _last_word(log)
    if word is None and last and last.reservoir_is_searched and _has(log, last):
        if last.reservoir is None:
            return NOT_KNOWN
        units = _after(log, last.at, until, last.reservoir)
        return Left(units)
    if word is None:
        log = joined(earlier(), log)
        word = _last_word(log)
    reported = _units(word) if word else None
    if word is None or reported is None:
        return NOT_KNOWN
    units = _after(log, word.at, until, reported)
    return Left(units, word, is_reported=units == reported)


def _has(log: Log, status: DeviceStatus) -> bool:
    """Return whether a log is of the pump that a status is of, and goes back to it."""
    number_of_newest = status.log_ids[0] if status.log_ids else None
    return any(
        entry.sequence == number_of_newest and entry.at == status.at
        for entries in log.values()
        for entry in entries
    )


def _last_word(log: Log) -> Entry | None:
    """Return the last entry that says how much is left, or that this is not known."""
    said = [entry for entry in entries_of(log, *WORDS) if _says_something(entry)]
    return said[-1] if said else None


def noted(entry: Entry) -> float | None:
    """Return how much an entry says is left (U); ``None`` if it does not say."""
    return _units(entry) if entry.code in WORDS and _says_something(entry) else None


def _says_something(entry: Entry) -> bool:
    if entry.code == ALERT:
        return whole(entry.values, "alertid") == VERY_LOW
    if entry.code == ALARM:
        return whole(entry.values, "alarmid") in EMPTY
    return entry.code == TUBING_FILLED or _units(entry) is not None


def _units(entry: Entry) -> float | None:
    """Return how much is left by an entry, U; ``None`` if it does not say."""
    values = entry.values
    units: float | None = None
    if entry.code == ALARM:
        units = 0.0
    elif entry.code == CARTRIDGE_FILLED:
        units = number(values, "insulinvolume") or number(values, "v2volume") or None
    elif entry.code in (SUSPENDED, RESUMED):
        units = number(values, "insulinamount")
    return units if units is not None and 0 <= units <= MOST_LEFT else None


def _after(log: Log, since: datetime, until: datetime, units: float) -> float | None:
    """Return what is left of some units; ``None`` if part of what was given is not known."""
    basal = _basal_given(log, since, until)
    if basal is None:
        return None
    boluses = 0.0
    for dose in doses(log):
        points = given(dose)
        if dose.began > since and not dose.first(*STARTS):
            # It had begun before; how much of it had been given then is not known.
            return None
        boluses += points[-1].milliunits - given_by(points, since)
    fills = [entry for entry in log.get(CANNULA_FILLED, ()) if entry.at > since]
    sizes = [number(fill.values, "primesize") or 0.0 for fill in fills]
    primed = sum(size for size in sizes if 0 < size <= MOST_LEFT)
    return max(0.0, units - basal - boluses / 1000 - primed)


def _basal_given(log: Log, since: datetime, until: datetime) -> float | None:
    """Return the basal insulin of a time, U; ``None`` if the log has a gap in it."""
    total, known = 0.0, since
    for basal in basals.basals(log, until, Counter()):
        if basal.ends <= since:
            continue
        if basal.start - known > MISSING:
            return None
        missing = max(timedelta(0), basal.start - known)
        lasted = basal.ends - max(basal.start, since) + missing
        total += basal.rate * (lasted / timedelta(hours=1))
        known = max(known, basal.ends)
    return total if until - known <= MISSING else None
