"""From events to Nightscout treatments.

See tconnect-processing §5, §6, §8 and §9 and tandem-source-processing §2 to §7 for the texts,
nightscout-api §4 for what Nightscout makes of the fields. Insulin is in U, rates in U/h,
``duration`` in minutes, carbs in g. Unknown numbers are left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.domain.events import (
    COMPLETED,
    Basal,
    Bolus,
    CarbEntry,
    Event,
    Piece,
    PumpEvent,
    PumpEventKind,
    ReadingKind,
    UserMode,
    UserModeKind,
)
from tconnectsync.nightscout.provenance import (
    CLOUD,
    ENTERED_BY,
    UNNAMED_CLOUDS,
    Document,
    checksum,
    created_at,
    log_ids,
)

NAMESPACE = uuid.UUID("5d0e6a5c-3f0b-4c57-9c43-6d2f2b1f7a10")
"""Where our identifiers live (RFC 9562 §6.5)."""

USER_MODE_TYPES = {
    UserModeKind.SLEEP: "Sleep",
    UserModeKind.EXERCISE: "Exercise",
    UserModeKind.OTHER: "Activity",
}
PUMP_EVENT_TYPES = {
    PumpEventKind.SUSPENSION: "Basal Suspension",
    PumpEventKind.RESUME: "Basal Resume",
    PumpEventKind.ALARM: "Alarm",
    PumpEventKind.CARTRIDGE: "Insulin Change",
    PumpEventKind.TUBING: "Note",
    PumpEventKind.SITE_CHANGE: "Site Change",
    PumpEventKind.NO_CHANGE: "Note",
    PumpEventKind.SENSOR_START: "Sensor Start",
    PumpEventKind.SENSOR_STOP: "Sensor Stop",
    PumpEventKind.CGM_ALERT: "CGM Alert",
}
"""Each fill has its own type: Nightscout tells the age of the insulin and of the site by them, and
a cartridge and its tubing are filled in the same second."""
PIECE = "extendedPart"
"""A field of ours: which piece of the later part of a bolus a treatment shows."""
EXTENDED_PART = "(Extended part)"
"""What the notes of a whole later part from t:connect end with."""
GLUCOSE_TYPES = {ReadingKind.SENSOR: "Sensor", ReadingKind.FINGER: "Finger"}
GLUCOSE_FIELDS = ("glucose", "glucoseType", "units")


@dataclass(frozen=True, slots=True)
class Treatment:
    """A treatment as it should stand in Nightscout."""

    at: datetime
    body: Document
    growing: bool
    """What it describes may still go on; Nightscout may already know it to be longer."""
    cloud: str = ""
    """The name of the cloud that its event came from."""
    noted_at: datetime | None = None
    """When the pump noted it, where that is later; older versions took that for its time."""
    automatic: bool = False
    """It shows what the pump did without the person; while young, it would silence alarms."""
    cut: bool = False
    """Another pump claims the rest of its time: what is stored longer is shortened, and removed
    where no duration is left."""
    piece: Piece | None = None
    """Which piece of the later part of a bolus it shows."""
    whole_since: datetime | None = None
    """When the later part of a bolus began of which it shows the whole."""
    other_identifier: str = ""
    """Under which it may stand if it was written before its end was known; may be empty."""

    @property
    def identifier(self) -> str:
        """The name under which Nightscout knows the document."""
        return str(self.body["identifier"])


def identifier_of(key: str) -> str:
    """Return the identifier of the treatment that shows the event of a key."""
    return str(uuid.uuid5(NAMESPACE, key))


def identifier_within(cloud: str, identifier: str) -> str:
    """Return an identifier as it is for the events of a cloud; an empty one stays so.

    Keys of t:connect and Tandem Source are never alike, but those of any other cloud might be.
    """
    if cloud in UNNAMED_CLOUDS or not identifier:
        return identifier
    return str(uuid.uuid5(uuid.UUID(identifier), cloud))


def documents(event: Event, cloud: str) -> Iterator[Treatment]:
    """Yield the treatments that show ``event``: one, or two for an extended bolus, or none.

    ``cloud`` is the :attr:`~tconnectsync.sources.base.Source.name` of the one that reported it.
    """
    for treatment in _shown(event):
        automatic = event.automatic or treatment.automatic
        treatment = replace(treatment, cloud=cloud, automatic=automatic)
        yield treatment if cloud in UNNAMED_CLOUDS else _naming_its_cloud(treatment)


def _naming_its_cloud(treatment: Treatment) -> Treatment:
    own = identifier_within(treatment.cloud, treatment.identifier)
    body = {**treatment.body, CLOUD: treatment.cloud, "identifier": own, "syncIdentifier": own}
    return replace(
        treatment,
        body={**body, "checksum": checksum(body)},
        other_identifier=identifier_within(treatment.cloud, treatment.other_identifier),
    )


def _shown(event: Event) -> Iterator[Treatment]:
    match event:
        case Basal():
            yield _basal(event)
        case Bolus():
            yield from _bolus(event)
        case CarbEntry():
            yield _carbs(event)
        case UserMode():
            yield _user_mode(event)
        case PumpEvent():
            yield _pump_event(event)


def _basal(basal: Basal) -> Treatment:
    fields = {
        "duration": _minutes(basal.duration),
        "absolute": basal.rate,
        "rate": basal.rate,
        "reason": basal.reason,
        **log_ids(basal.log_ids),
    }
    want = _treatment("Temp Basal", basal.start, basal.key, fields, growing=basal.running)
    return replace(want, cut=basal.cut)


def _bolus(bolus: Bolus) -> Iterator[Treatment]:
    if bolus.status == COMPLETED or bolus.insulin > 0:
        fields = _known(
            insulin=bolus.insulin or None,
            carbs=_whole(bolus.carbs) or None,
            notes=_bolus_notes(bolus),
            **log_ids(bolus.log_ids),
            **_split_fields(bolus),
            **_glucose_fields(bolus),
        )
        if bolus.piece:
            fields[PIECE] = bolus.piece.number
        at = bolus.completed or bolus.requested_at
        growing = bolus.completed is None
        want = _treatment("Combo Bolus", at, bolus.key, fields, growing=growing)
        other = identifier_of(bolus.other_key) if bolus.other_key else ""
        yield replace(
            want, piece=bolus.piece, whole_since=bolus.whole_since, other_identifier=other
        )
    part = bolus.extended
    if part and part.completed and part.insulin > 0:
        shortfall = _shortfall(part.status, part.requested)
        notes = f"{bolus.description}{shortfall} {EXTENDED_PART}"
        fields = _known(insulin=part.insulin, notes=notes)
        slow = _treatment("Combo Bolus", part.completed, f"{bolus.key} extended", fields)
        yield replace(slow, automatic=True, whole_since=bolus.requested_at)


def _bolus_notes(bolus: Bolus) -> str:
    notes = bolus.description + _shortfall(bolus.status or "in progress", bolus.requested)
    if bolus.override:
        notes += " (Override)"
    if bolus.declined_correction:
        notes += " (Declined Correction)"
    if bolus.planned and "Extended Bolus" not in bolus.description:
        notes += " (Extended)"
    return notes.strip()


def _shortfall(status: str, requested: float | None) -> str:
    """Say how a bolus ended if not as requested."""
    if status == COMPLETED:
        return ""
    return f" ({status})" if requested is None else f" ({status}: requested {requested:g} units)"


def _split_fields(bolus: Bolus) -> Document:
    if not bolus.planned:
        return {}
    planned = bolus.planned
    return {
        "enteredinsulin": planned.total,
        "splitNow": planned.now_percent,
        "splitExt": 100 - planned.now_percent,
        "duration": _minutes(planned.duration) if planned.duration else None,
    }


def _glucose_fields(bolus: Bolus) -> Document:
    """Return the glucose that a bolus was calculated with, if somebody asked where it came from.

    Its type is left out where the pump does not tell.
    """
    if bolus.glucose is None or bolus.glucose_kind is None:
        return {}
    values = (_whole(bolus.glucose), GLUCOSE_TYPES.get(bolus.glucose_kind), "mg/dl")
    return _known(**dict(zip(GLUCOSE_FIELDS, values, strict=True)))


def _carbs(entry: CarbEntry) -> Treatment:
    fields = {"carbs": _whole(entry.carbs), **log_ids(entry.log_ids)}
    return _treatment("Carb Correction", entry.at, entry.key, fields)


def _user_mode(mode: UserMode) -> Treatment:
    fields = {
        "duration": _minutes(mode.duration),
        "reason": mode.text,
        "notes": mode.text,
        **log_ids(mode.log_ids),
    }
    event_type = USER_MODE_TYPES[mode.kind]
    return _treatment(event_type, mode.start, mode.key, fields, growing=mode.running)


def _pump_event(event: PumpEvent) -> Treatment:
    fields = {"reason": event.text, "notes": event.text, **log_ids(event.log_ids)}
    shown = _treatment(PUMP_EVENT_TYPES[event.kind], event.at, event.key, fields)
    return replace(shown, noted_at=event.noted_at)


def _minutes(duration: timedelta) -> float:
    return duration.total_seconds() / 60


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _known(**fields: Any) -> Document:
    """Leave out what is unknown; Nightscout would take a null for zero."""
    return {name: value for name, value in fields.items() if value is not None}


def _treatment(
    event_type: str, at: datetime, key: str, fields: Document, *, growing: bool = False
) -> Treatment:
    identifier = identifier_of(key)
    body = {
        "eventType": event_type,
        "created_at": created_at(at),
        **fields,
        "enteredBy": ENTERED_BY,
        "identifier": identifier,
        "syncIdentifier": identifier,
    }
    body["checksum"] = checksum(body)
    return Treatment(at, body, growing)
