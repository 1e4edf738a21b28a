"""From events to Nightscout treatments.

See tconnect-processing §5, §6, §8 and §9 and tandem-source-processing §2 to §7 for the texts,
nightscout-api §4 for what Nightscout makes of the fields. Insulin is in U, rates in U/h,
``duration`` in minutes, carbs in g. Unknown numbers are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha1
from typing import Any, NamedTuple

from tconnectsync.domain.events import (
    EXTENDED_PART,
    IN_PROGRESS,
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
from tconnectsync.nightscout.eventtypes import (
    ACTIVITY,
    ALARM,
    BASAL_RESUME,
    BASAL_SUSPENSION,
    CARB_CORRECTION,
    CGM_ALERT,
    COMBO_BOLUS,
    EXERCISE,
    INSULIN_CHANGE,
    NOTE,
    SENSOR_START,
    SENSOR_STOP,
    SITE_CHANGE,
    SLEEP,
    TEMP_BASAL,
)
from tconnectsync.nightscout.provenance import (
    CLOUD,
    ENTERED_BY,
    GLUCOSE_FIELDS,
    UNNAMED_CLOUDS,
    Document,
    checksum,
    created_at,
    glucose_of,
    known,
    log_ids,
    log_number,
    without_words,
)

NAMESPACE = "5d0e6a5c-3f0b-4c57-9c43-6d2f2b1f7a10"
"""Where our identifiers live (RFC 9562 §6.5)."""

USER_MODE_TYPES = {
    UserModeKind.SLEEP: SLEEP,
    UserModeKind.EXERCISE: EXERCISE,
    UserModeKind.OTHER: ACTIVITY,
}
PUMP_EVENT_TYPES = {
    PumpEventKind.SUSPENSION: BASAL_SUSPENSION,
    PumpEventKind.RESUME: BASAL_RESUME,
    PumpEventKind.ALARM: ALARM,
    PumpEventKind.CARTRIDGE: INSULIN_CHANGE,
    PumpEventKind.TUBING: NOTE,
    PumpEventKind.SITE_CHANGE: SITE_CHANGE,
    PumpEventKind.NO_CHANGE: NOTE,
    PumpEventKind.SENSOR_START: SENSOR_START,
    PumpEventKind.SENSOR_STOP: SENSOR_STOP,
    PumpEventKind.CGM_ALERT: CGM_ALERT,
}
"""Each fill has its own type: Nightscout shows the age of the insulin and of the site by them, and
a cartridge and its tubing are filled in the same second."""
PIECE = "extendedPart"
"""A field of ours: which piece of the later part of a bolus a treatment shows."""
NOTE_IN_PROGRESS = f"({IN_PROGRESS}"
"""What the notes of a bolus hold as long as its end is not known."""
NOTE_WHOLE_LATER_PART = f"({EXTENDED_PART})"
"""What the notes of a later part hold that is shown as a whole."""
GLUCOSE_TYPES = {ReadingKind.SENSOR: "Sensor", ReadingKind.FINGER: "Finger"}


class Treatment(NamedTuple):
    """A treatment as it should stand in Nightscout."""

    at: datetime
    event_type: str
    """Nightscout's name for what it shows."""
    identifier: str
    """The name under which Nightscout knows it; what an older version wrote has none."""
    body: Document
    growing: bool
    """What it describes may still go on; Nightscout may already know it to be longer."""
    cloud: str = ""
    """The name of the cloud that its event came from."""
    noted_at: datetime | None = None
    """When the pump wrote the entry, if later; older versions used that as its time."""
    automatic: bool = False
    """It shows what the pump did automatically; while recent, it would snooze alarms."""
    cut: bool = False
    """Another pump claims the rest of its time: what is stored longer is shortened, and removed
    where no duration is left."""
    piece: Piece | None = None
    """Which piece of the later part of a bolus it shows."""
    whole_since: datetime | None = None
    """When the later part of a bolus began of which it shows the whole."""
    other_identifier: str = ""
    """The identifier that it has if it was written before its end was known; may be empty."""

    @property
    def slot(self) -> tuple[str, datetime]:
        """The type and the instant, which no other treatment may have."""
        return self.event_type, self.at

    @property
    def minutes(self) -> float:
        """How long it lasts; 0 if it does not say."""
        return float(self.body.get("duration", 0))

    @property
    def insulin(self) -> float | None:
        """U; ``None`` without any."""
        return self.body.get("insulin")

    @property
    def rate(self) -> float | None:
        """U/h; ``None`` for anything but a basal."""
        return self.body.get("absolute")

    @property
    def reason(self) -> str:
        """What it gives as its reason; may be empty."""
        return str(self.body.get("reason") or "")

    @property
    def notes(self) -> str:
        """What it says besides; may be empty."""
        return str(self.body.get("notes") or "")

    @property
    def glucose(self) -> Document:
        """The fields of the glucose that a bolus was calculated with, if any are known."""
        return glucose_of(self.body)

    @property
    def log_number(self) -> str:
        """The entry of the pump's log that gives it its time; empty without one."""
        return log_number(self.body)

    @property
    def checksum(self) -> str:
        """A text that changes with its content."""
        return str(self.body["checksum"])

    @property
    def without_words(self) -> tuple[object, ...]:
        """What it shares with a treatment of which only reason and notes differ."""
        return without_words(self.body)

    @property
    def whole_identifier(self) -> str:
        """The identifier of the whole later part, if it shows a piece of one that has ended."""
        key = self.piece.whole_key if self.piece else ""
        return identifier_within(self.cloud, identifier_of(key)) if key else ""

    @property
    def is_gone(self) -> bool:
        """Whether another pump claims all of its time."""
        return self.cut and not self.minutes

    def with_fields(self, **fields: Any) -> Treatment:
        """Return it with other fields, and the checksum that fits them."""
        body = {**self.body, **fields}
        return self._replace(body={**body, "checksum": checksum(body)})

    def named(self, identifier: str) -> Treatment:
        """Return it under another identifier."""
        named = self.with_fields(identifier=identifier, syncIdentifier=identifier)
        return named._replace(identifier=identifier)

    def moved_to(self, at: datetime) -> Treatment:
        """Return it at an instant less than a second away, which its checksum does not cover."""
        return self._replace(at=at, body={**self.body, "created_at": created_at(at)})

    def between(self, start: datetime, end: datetime) -> Treatment:
        """Return it as it is from ``start`` to ``end`` alone."""
        start = start.astimezone(self.at.tzinfo)
        minutes = (end - start) / timedelta(minutes=1)
        return self.with_fields(created_at=created_at(start), duration=minutes)._replace(at=start)


def insulin_in(body: Document) -> float:
    """Return how much insulin (U) one of our documents shows: of a bolus, or of a whole basal."""
    basal = body.get("absolute", 0.0) * body.get("duration", 0.0) / 60
    return float(body.get("insulin") or basal)


def identifier_of(key: str) -> str:
    """Return the identifier of the treatment that shows the event of a key."""
    return _uuid(NAMESPACE, key)


def identifier_within(cloud: str, identifier: str) -> str:
    """Return an identifier as it is for the events of a cloud; an empty one stays so.

    Keys of t:connect and Tandem Source are never alike, but those of any other cloud might be.
    """
    if cloud in UNNAMED_CLOUDS or not identifier:
        return identifier
    return _uuid(identifier, cloud)


def _uuid(namespace: str, name: str) -> str:
    """Return the UUID of a name (version 5, RFC 9562 §5.5); Python's own module loads slowly."""
    space = bytes.fromhex(namespace.replace("-", ""))
    found = bytearray(sha1(space + name.encode(), usedforsecurity=False).digest()[:16])
    found[6] = found[6] & 0x0F | 0x50
    found[8] = found[8] & 0x3F | 0x80
    text = found.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def treatments_of(event: Event, cloud: str) -> Iterator[Treatment]:
    """Yield the treatment that shows ``event``, or none for a bolus of which nothing was given.

    ``cloud`` is the :attr:`~tconnectsync.sources.base.Source.name` of the one that reported it.
    """
    for treatment in _shown(event):
        treatment = treatment._replace(cloud=cloud, automatic=event.automatic)
        if cloud not in UNNAMED_CLOUDS:
            other = identifier_within(cloud, treatment.other_identifier)
            treatment = treatment.named(identifier_within(cloud, treatment.identifier))
            treatment = treatment.with_fields(**{CLOUD: cloud})._replace(other_identifier=other)
        yield treatment


def _shown(event: Event) -> Iterator[Treatment]:
    numbers = log_ids(event.log_ids)
    match event:
        case Basal():
            fields = {
                "duration": _minutes(event.duration),
                "absolute": event.rate,
                "rate": event.rate,
                "reason": event.reason,
                **numbers,
            }
            yield _treatment(
                TEMP_BASAL, event.start, event.key, fields, growing=event.running, cut=event.cut
            )
        case Bolus():
            yield from _bolus(event)
        case CarbEntry():
            fields = {"carbs": _whole(event.carbs), **numbers}
            yield _treatment(CARB_CORRECTION, event.at, event.key, fields)
        case UserMode():
            minutes, kind = _minutes(event.duration), USER_MODE_TYPES[event.kind]
            fields = {"duration": minutes, "reason": event.text, "notes": event.text, **numbers}
            yield _treatment(kind, event.start, event.key, fields, growing=event.running)
        case PumpEvent():
            fields = {"reason": event.text, "notes": event.text, **numbers}
            kind = PUMP_EVENT_TYPES[event.kind]
            yield _treatment(kind, event.at, event.key, fields, noted_at=event.noted_at)


def _bolus(bolus: Bolus) -> Iterator[Treatment]:
    if bolus.incomplete and not bolus.insulin > 0:
        return
    fields = {
        "insulin": bolus.insulin or None,
        "carbs": _whole(bolus.carbs) or None,
        "notes": _bolus_notes(bolus),
        **log_ids(bolus.log_ids),
    }
    if planned := bolus.planned:
        fields |= {
            "enteredinsulin": planned.total,
            "splitNow": planned.now_percent,
            "splitExt": 100 - planned.now_percent,
            "duration": _minutes(planned.duration) if planned.duration else None,
        }
    if bolus.glucose is not None and bolus.glucose_kind is not None:
        # The type is left out where the pump does not say where the glucose came from.
        values = (_whole(bolus.glucose), GLUCOSE_TYPES.get(bolus.glucose_kind), "mg/dl")
        fields |= dict(zip(GLUCOSE_FIELDS, values, strict=True))
    if bolus.piece:
        fields[PIECE] = bolus.piece.number
    at, growing = bolus.completed or bolus.requested_at, bolus.completed is None
    yield _treatment(
        *(COMBO_BOLUS, at, bolus.key, known(**fields)),
        growing=growing,
        piece=bolus.piece,
        whole_since=bolus.whole_since,
        other_identifier=identifier_of(bolus.other_key) if bolus.other_key else "",
    )


def _bolus_notes(bolus: Bolus) -> str:
    notes = bolus.description
    if bolus.incomplete and bolus.requested is None:
        notes += f" ({bolus.incomplete})"
    elif bolus.incomplete:
        notes += f" ({bolus.incomplete}: requested {bolus.requested:g} units)"
    if bolus.override:
        notes += " (Override)"
    if bolus.declined_correction:
        notes += " (Declined Correction)"
    if bolus.label:
        notes += f" ({bolus.label})"
    return notes.strip()


def _minutes(duration: timedelta) -> float:
    return duration.total_seconds() / 60


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _treatment(
    event_type: str,
    at: datetime,
    key: str,
    fields: Document,
    *,
    growing: bool = False,
    **others: Any,
) -> Treatment:
    """Return the treatment of an event; ``others`` are further fields of :class:`Treatment`."""
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
    return Treatment(at, event_type, identifier, body, growing, **others)
