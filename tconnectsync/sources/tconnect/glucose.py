"""Glucose readings from t:connect, and insulin on board from its CSV export.

See docs/protocol/tconnect-processing.md §6.1, §7 and §10, tconnect-api §2.4 and §4.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import (
    Bolus,
    CarbEntry,
    InsulinOnBoard,
    Reading,
    ReadingKind,
    newest_reading,
)
from tconnectsync.domain.limits import MOST_IOB
from tconnectsync.sources.tconnect.values import glucose, objects, read_each, required, wall_time

SENSOR = "EGV"
"""How the CSV export describes an estimated glucose value, a sensor's."""
IN_FORCE = timedelta(minutes=15)
"""How long the pump shows a reading as long as none follows it."""


def therapy_readings(
    therapy_events: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]
) -> list[Reading]:
    """Return the readings of a TherapyEvents answer; calibrations are finger sticks."""

    def read(event: Mapping[str, Any]) -> Reading | None:
        match event.get("type"):
            case "CGM":
                value, kind = event["egv"]["estimatedGlucoseValue"], ReadingKind.SENSOR
            case "BG":
                value, kind = event["bg"], ReadingKind.FINGER
            case _:
                return None
        return _reading(event.get("eventDateTime"), value, kind, clock)

    return read_each(objects(therapy_events, "event"), read, "glucose reading", skipped)


def csv_readings(
    rows: Sequence[Mapping[str, Any]], clock: PumpClock, skipped: Counter[str]
) -> list[Reading]:
    """Return the readings of the export; what is not the sensor's is a finger stick."""

    def read(row: Mapping[str, Any]) -> Reading:
        kind = ReadingKind.SENSOR if row["Description"] == SENSOR else ReadingKind.FINGER
        return _reading(row["EventDateTime"], row["Readings (CGM / BGM)"], kind, clock)

    return read_each(rows, read, "glucose reading", skipped)


def _reading(at: object, value: object, kind: ReadingKind, clock: PumpClock) -> Reading:
    wall, known = _required_time(at), glucose(value)
    if known is None:
        raise ValueError("glucose is not plausible")
    return Reading(
        key=f"reading {kind.name} {wall.isoformat()}",
        at=clock.instant(wall),
        glucose=known,
        kind=kind,
    )


def with_glucose_kind(
    boluses: Iterable[Bolus | CarbEntry], readings: Iterable[Reading]
) -> list[Bolus | CarbEntry]:
    """Return the boluses with where their glucose came from (tconnect-processing §6.1).

    t:connect does not say so. It came from the sensor if that is what the sensor showed when the
    bolus was requested, else from the person.
    """
    of_sensor = [reading for reading in readings if reading.kind is ReadingKind.SENSOR]
    sensor = sorted(of_sensor, key=lambda reading: (reading.at, reading.glucose))
    return [
        replace(bolus, glucose_kind=_kind(bolus, sensor))
        if isinstance(bolus, Bolus) and bolus.glucose is not None
        else bolus
        for bolus in boluses
    ]


def _kind(bolus: Bolus, sensor: Sequence[Reading]) -> ReadingKind:
    shown = newest_reading(sensor, bolus.requested_at, IN_FORCE)
    is_same = shown is not None and shown.glucose == bolus.glucose
    return ReadingKind.SENSOR if is_same else ReadingKind.FINGER


def csv_insulin_on_board(
    rows: Sequence[Mapping[str, Any]], clock: PumpClock, skipped: Counter[str]
) -> list[InsulinOnBoard]:
    """Return the values of the export's IOB rows."""

    def read(row: Mapping[str, Any]) -> InsulinOnBoard:
        at = clock.instant(_required_time(row["EventDateTime"]))
        units = required(row["IOB"], "insulin on board")
        if units > MOST_IOB:
            raise ValueError("insulin on board is not plausible")
        return InsulinOnBoard(at, units)

    return read_each(rows, read, "insulin on board row", skipped)


def _required_time(value: object) -> datetime:
    wall = wall_time(value)
    if wall is None:
        raise ValueError("time is missing")
    return wall
