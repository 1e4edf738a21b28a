"""From glucose readings to Nightscout entries. See docs/protocol/nightscout-api.md §1.3 and §4.10.

Values are in mg/dL. Nightscout knows an entry by its type and its time; ours have whole seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Reading, ReadingKind
from tconnectsync.nightscout.eventtypes import MBG, SGV
from tconnectsync.nightscout.provenance import ENTERED_BY, Document, created_at, log_ids

TYPES = {ReadingKind.SENSOR: SGV, ReadingKind.FINGER: MBG}

LONGEST_STEP = timedelta(minutes=15)
"""A reading older than that says nothing about the direction."""
SHORTEST_STEP = timedelta(minutes=2)
"""Between two readings closer than that the sensor's noise would pass for a direction."""

RISING = ((3.0, "DoubleUp"), (2.0, "SingleUp"), (1.0, "FortyFiveUp"))
FALLING = ((3.0, "DoubleDown"), (2.0, "SingleDown"), (1.0, "FortyFiveDown"))


def entries(readings: Iterable[Reading], desired: TimeRange) -> list[Document]:
    """Return the entries for the readings in a range, oldest first, each type and second once.

    Readings before the range give the direction of its first ones.
    """
    in_order = sorted(readings, key=lambda it: (it.at, it.glucose, it.kind.name))
    sensor = [reading for reading in in_order if reading.kind is ReadingKind.SENSOR]
    found: dict[tuple[str, int] | None, Document] = {}
    for reading in in_order:
        if desired.start <= reading.at < desired.end:
            entry = _entry(reading, sensor)
            found.setdefault(slot(entry), entry)
    return list(found.values())


def direction(reading: Reading, sensor: Sequence[Reading]) -> str | None:
    """Return Nightscout's name for where a sensor reading is heading, ``None`` if unknown.

    It is the change since the newest reading that is 2 to 15 minutes older, in mg/dL per minute:
    up to 1 is ``Flat``, up to 2 ``FortyFive…``, up to 3 ``Single…``, more is ``Double…``.
    ``sensor`` are the sensor's readings in time order.
    """
    later = bisect_right(sensor, reading.at - SHORTEST_STEP, key=lambda other: other.at)
    before = sensor[later - 1] if later else None
    if before is None or reading.at - before.at > LONGEST_STEP:
        return None
    rate = (reading.glucose - before.glucose) / ((reading.at - before.at) / timedelta(minutes=1))
    names = RISING if rate > 0 else FALLING
    return next((name for limit, name in names if abs(rate) > limit), "Flat")


def entry_time(entry: Mapping[str, Any]) -> datetime | None:
    """Return when an entry was measured, ``None`` if it does not say."""
    date = entry.get("date")
    if isinstance(date, bool) or not isinstance(date, int | float):
        return None
    try:
        return datetime.fromtimestamp(date / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def slot(entry: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the type and the second by which an entry is recognised, ``None`` without a time."""
    at = entry_time(entry)
    return (str(entry.get("type")), int(at.timestamp())) if at else None


def _entry(reading: Reading, sensor: Sequence[Reading]) -> Document:
    kind = TYPES[reading.kind]
    entry = {
        "type": kind,
        kind: reading.glucose,
        "date": int(reading.at.timestamp()) * 1000,
        "dateString": created_at(reading.at),
        "device": ENTERED_BY,
        **log_ids(reading.log_ids),
    }
    heading = direction(reading, sensor) if reading.kind is ReadingKind.SENSOR else None
    return {**entry, "direction": heading} if heading else entry
