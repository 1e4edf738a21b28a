"""Glucose readings: missing entries, and boluses without their glucose.

Pure, as the rest of the planning. An entry is created when there is none of its type and second,
by any author, and is never written again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from tconnectsync.domain.events import Bolus, CarbEntry
from tconnectsync.nightscout.entries import entry_time, slot
from tconnectsync.nightscout.provenance import ENTERED_BY, Document
from tconnectsync.sync.plan import Plan

BolusOrCarbs = TypeVar("BolusOrCarbs", bound=Bolus | CarbEntry)

SAME_READING = timedelta(seconds=30)
"""One cloud gives the time of the measurement, another the time of the log entry."""


def with_entries(
    plan: Plan, desired: Sequence[Document], stored: Iterable[Document], *, fill_gaps: bool = True
) -> Plan:
    """Return a plan that also creates the entries that are missing.

    Args:
        plan: what to do besides.
        desired: the entries for the pump's readings.
        stored: the entries that Nightscout holds around the same time, ours and others'.
        fill_gaps: ``False`` creates only what is newer than our newest stored one of its type.
    """
    stored = list(stored)
    taken = {slot(entry) for entry in stored}
    missing = [entry for entry in desired if slot(entry) not in taken]
    missing = _not_shown_yet(missing, stored)
    kept = len(desired) - len(missing)
    if not fill_gaps:
        missing = _newer_than_stored(missing, stored)
    return replace(plan, entries=missing, kept=plan.kept + kept)


def _not_shown_yet(missing: list[Document], stored: Iterable[Document]) -> list[Document]:
    """Leave out readings that another cloud has already shown, some seconds apart."""
    ours: dict[tuple[str, object], list[datetime]] = defaultdict(list)
    for entry in stored:
        at, kind = entry_time(entry), str(entry.get("type"))
        value = entry.get(kind)
        if at and isinstance(value, int | float) and entry.get("device") == ENTERED_BY:
            ours[kind, value].append(at)
    for times in ours.values():
        times.sort()
    return [
        entry
        for entry in missing
        if not _is_near(entry_time(entry), ours.get((entry["type"], entry[entry["type"]]), []))
    ]


def _is_near(at: datetime | None, times: Sequence[datetime]) -> bool:
    """Return whether one of some times, given in order, may be that of the same reading."""
    if at is None:
        return False
    index = bisect_left(times, at - SAME_READING)
    return index < len(times) and times[index] <= at + SAME_READING


def _newer_than_stored(missing: Iterable[Document], stored: Iterable[Document]) -> list[Document]:
    newest: dict[str, datetime] = {}
    for entry in stored:
        at, kind = entry_time(entry), str(entry.get("type"))
        if at and entry.get("device") == ENTERED_BY:
            newest[kind] = max(at, newest.get(kind, at))
    return [
        entry
        for entry in missing
        if entry["type"] not in newest
        or ((at := entry_time(entry)) is not None and at > newest[entry["type"]])
    ]


def without_glucose_kind(boluses: Iterable[BolusOrCarbs]) -> list[BolusOrCarbs]:
    """Return the boluses without where their glucose came from, so that it is not shown."""
    return [
        replace(bolus, glucose_kind=None) if isinstance(bolus, Bolus) else bolus
        for bolus in boluses
    ]
