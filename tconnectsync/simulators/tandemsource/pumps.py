"""A pump of a simulated account, with a history, a clock, a log and uploads of its own.

:func:`change_pumps` makes the two pumps of a person who takes a new one into use.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync.simulators.history import (
    PumpHistory,
    Record,
    SiteChange,
    SuspensionRecord,
    midnight,
    seconds_between,
)
from tconnectsync.simulators.pump import DEVICE, SERIAL_NUMBER, SETTINGS
from tconnectsync.simulators.tandemsource.account import Upload, assignment_of, pump
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.entries import LogEntry
from tconnectsync.simulators.tandemsource.log import FIRST_NUMBER, PumpLog, pump_log
from tconnectsync.simulators.tandemsource.query import LogQuery

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_BEFORE = timedelta(hours=1)

OTHER_SERIAL = "90211717"
"""The serial number of a second pump."""
_SERIALS = (str(SERIAL_NUMBER), OTHER_SERIAL, "90213003", "90214004")


class SimulatedPump:
    """A pump and what Tandem Source knows of it.

    ``history``, ``began``, ``ended`` and ``uploaded_until`` go by the person's own clock,
    which runs on evenly. The log carries the pump's clock, which shows the same until it is set.

    Args:
        history: what the pump did; the log of it is written once, here.
        zone: the zone in which the person is when the history begins.
        serial: its serial number.
        model: what its model is called.
        clock_changes: what the pump's clock showed before and after each time it was set, in order.
        unrecorded: the numbers of those changes, from 0, which the log does not record.
        first_number: the number of the first entry of its log.
        began: when it was switched on; nothing before is in its log.
        ended: when it was switched off for good, if it was.
        uploaded_until: see the attribute.
    """

    def __init__(
        self,
        history: PumpHistory,
        *,
        zone: ZoneInfo,
        serial: str = str(SERIAL_NUMBER),
        model: str = DEVICE,
        clock_changes: Sequence[tuple[datetime, datetime]] = (),
        unrecorded: Collection[int] = (),
        first_number: int = FIRST_NUMBER,
        began: datetime = datetime.min,
        ended: datetime = datetime.max,
        uploaded_until: datetime | None = None,
    ) -> None:
        self.history = history
        self.serial_number = serial
        self.model = model
        self.assignment_id = assignment_of(serial)
        self.uploaded_until = uploaded_until
        """When it last uploaded (the person's own clock); ``None``: after all that happened.

        Nothing later is served.
        """
        self.hidden: set[Record] = set()
        """Records whose log entries are held back as if the upload had missed them."""
        self.settings = SETTINGS
        """What the pump is set to, mg/dL; replace it to change a profile."""
        self.glucose_unit: str | None = None
        """The unit in which the pump shows glucose, if the account says it."""
        self.clocks = Clocks(midnight(history.first_day), zone, clock_changes, unrecorded)
        log = pump_log(history, self.clocks)
        entries = [entry for entry in log.entries if began <= entry.at <= ended]
        ahead = entries[0].number - first_number if entries else 0
        if ahead:
            entries = [replace(entry, number=entry.number - ahead) for entry in entries]
        self.log_of_pump = log if entries == log.entries else PumpLog(entries)

    @property
    def until(self) -> datetime:
        """When it last uploaded, by the person's own clock."""
        return self.uploaded_until or self.history.end + timedelta(days=1)

    def listed(self) -> dict[str, Any]:
        """Return the pump as ``bff/pumper`` lists it (docs/protocol/tandem-source-api.md §4.1)."""
        count = self.log_of_pump.uploaded(self.until)
        upload = None
        if count:
            upload = Upload(
                self.clocks.instant(self.until),
                self.log_of_pump.oldest(count),
                self.log_of_pump.newest(count),
                self.settings,
            )
        return pump(
            upload,
            control_iq=self.history.control_iq,
            serial=self.serial_number,
            assignment_id=self.assignment_id,
            model=self.model,
            glucose_unit=self.glucose_unit,
        )

    def log_of_range(self, query: LogQuery) -> dict[str, Any]:
        """Return the entries of a range in no order, and all clock changes up to the upload.

        One entry from before the range comes along: it is in the answer for that range, too.
        """
        return {
            name: [as_served(entry, self.assignment_id) for entry in entries]
            for name, entries in self._answer(query).items()
        }

    def text_of_range(self, query: LogQuery) -> str:
        """Return the same as JSON."""
        lists = (
            f'"{name}":[{",".join(map(self._text, entries))}]'
            for name, entries in self._answer(query).items()
        )
        return f"{{{','.join(lists)}}}"

    def _answer(self, query: LogQuery) -> dict[str, list[LogEntry]]:
        before = self._time_range(query, query.first - _BEFORE, query.first - _SECOND)
        events = [*before[-1:], *self._time_range(query, query.first, query.last)]
        Random(str(query.first)).shuffle(events)
        changes = [each for each in self.log_of_pump.clock_changes if each.at <= self.until]
        return {"events": events, "clockChanges": changes}

    def _text(self, entry: LogEntry) -> str:
        texts, key = self.log_of_pump.texts, (id(entry), self.assignment_id)
        if key not in texts:
            texts[key] = json.dumps(as_served(entry, self.assignment_id), separators=(",", ":"))
        return texts[key]

    def _time_range(self, query: LogQuery, first: datetime, last: datetime) -> list[LogEntry]:
        count = self.log_of_pump.uploaded(self.until)
        return [
            entry
            for entry in self.log_of_pump.between(first, last, count)
            if query.asks_for(entry.code) and not (self.hidden and entry.record in self.hidden)
        ]


def as_served(
    entry: LogEntry, assignment_id: str = assignment_of(str(SERIAL_NUMBER))
) -> dict[str, Any]:
    """Return an entry of the log as pump-logs gives it out."""
    time = entry.wall.isoformat()
    return {
        "deviceAssignmentId": assignment_id,
        "eventCode": entry.code,
        "sequenceGroup": 0,
        "sequenceNumber": entry.number,
        "pumpDateTime": time,
        "estimatedDateTime": f"{time}Z",
        "eventProperties": entry.properties,
    }


@dataclass(frozen=True)
class PumpChange:
    """How a person takes a new pump into use, by their own clock."""

    at: datetime
    """When the old pump is taken off, and the new one is switched on."""
    filled: timedelta = timedelta(minutes=6)
    """How long after it the new pump's cartridge is filled: its first sign of being worn."""
    worn: timedelta = timedelta(minutes=11)
    """How long after it the new pump delivers."""
    in_drawer: timedelta = timedelta(hours=5)
    """How long the old pump stays switched on."""
    left_running: bool = False
    """Whether the old pump goes on delivering meanwhile, into the air; else it is suspended."""


def before_change(life: PumpHistory, change: PumpChange) -> PumpHistory:
    """Return what the old pump does of a life: all up to the change, then what it does unworn.

    Boluses that are not over by then go with the pump that began them.
    """
    off = change.at + change.in_drawer if change.left_running else change.at
    basal = [
        replace(segment, duration_seconds=seconds_between(segment.start, min(segment.end, off)))
        for segment in life.basal
        if segment.start < off
    ]
    stops = [
        replace(stop, end=None)
        if stop.reason != "control-iq" and (stop.end or off) >= off
        else stop
        for stop in life.suspensions
        if stop.start < off
    ]
    if not change.left_running and not any(stop.end is None for stop in stops):
        stops.append(SuspensionRecord(change.at, None, "manual"))
    at = change.at
    return replace(
        life,
        basal=basal,
        boluses=[bolus for bolus in life.boluses if bolus.requested < at],
        suspensions=stops,
        activities=[activity for activity in life.activities if activity.end <= at],
        site_changes=[each for each in life.site_changes if each.at < at],
        readings=[reading for reading in life.readings if reading.at < at],
        finger_sticks=[stick for stick in life.finger_sticks if stick.at < at],
    )


def after_change(life: PumpHistory, change: PumpChange) -> PumpHistory:
    """Return what the new pump does of a life: it is filled, resumed, and goes on with it."""
    on, worn = change.at + _MINUTE, change.at + change.worn
    basal = [
        replace(
            segment,
            start=max(segment.start, worn),
            duration_seconds=seconds_between(max(segment.start, worn), segment.end),
        )
        for segment in life.basal
        if segment.end > worn
    ]
    # A standstill in the middle of which the pumps are changed is over with the change.
    stops = [stop for stop in life.suspensions if stop.start >= worn]
    return replace(
        life,
        basal=basal,
        boluses=[bolus for bolus in life.boluses if bolus.requested >= worn],
        suspensions=[SuspensionRecord(on, worn, "site change"), *stops],
        activities=[activity for activity in life.activities if activity.start >= worn],
        site_changes=[
            SiteChange(change.at + change.filled, "cartridge"),
            SiteChange(worn - _MINUTE, "site"),
            *(each for each in life.site_changes if each.at >= worn),
        ],
        readings=[reading for reading in life.readings if reading.at >= worn],
        finger_sticks=[stick for stick in life.finger_sticks if stick.at >= worn],
    )


def change_pumps(
    life: PumpHistory,
    *changes: PumpChange,
    zone: ZoneInfo,
    first_numbers: Sequence[int] = (FIRST_NUMBER, 3, 3, 3),
) -> list[SimulatedPump]:
    """Return the pumps of a person whose life goes on from one to the next, in their order."""
    found = []
    began = datetime.min
    for number in range(len(changes) + 1):
        change = changes[number] if number < len(changes) else None
        history = before_change(life, change) if change else life
        ended = change.at + change.in_drawer if change else datetime.max
        found.append(
            SimulatedPump(
                history,
                zone=zone,
                serial=_SERIALS[number],
                first_number=first_numbers[number],
                began=began,
                ended=ended,
            )
        )
        if change:
            life, began = after_change(life, change), change.at + _MINUTE
    return found
