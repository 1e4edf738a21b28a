"""Treatments that Nightscout holds, parsed once where they come in.

Everything that the planner asks of a stored treatment is answered here: when it happened, which
program wrote it, and whether a person has changed it since. People change any field in Nightscout's
own pages, the author included (docs/protocol/nightscout-api.md §7.6), so no field decides alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from tconnectsync.domain.numbers import as_number
from tconnectsync.nightscout.eventtypes import TEMP_BASAL
from tconnectsync.nightscout.provenance import (
    ENTERED_BY,
    Document,
    cloud_of,
    edited,
    glucose_of,
    has_database_id,
    instant,
    log_number,
    without_words,
)
from tconnectsync.nightscout.treatments import NOTE_IN_PROGRESS, NOTE_WHOLE_LATER_PART, PIECE

MOST_MINUTES = 1_000_000
"""No basal, sleep or exercise lasts for years."""
ONLY_IN_THE_DIALOG = ("protein", "fat", "profile", "percent")
"""Fields that we never write and that Nightscout's edit dialog always sends, even if empty."""
CHECKSUM = re.compile(r"[0-9a-f]{12}")
NUMBERS = re.compile(r"\d+(?:,\d+)*")


class Writer(Enum):
    """Which program wrote a treatment."""

    THIS_VERSION = "this version: it has an identifier and a checksum"
    VERSION_2_OR_3 = "version 2.x or 3.x: it names entries of the pump's log"
    VERSION_1 = "version 1.0: it has our name and nothing else"
    OTHER = "another program, or a person"


@dataclass(frozen=True, slots=True, eq=False)
class StoredTreatment:
    """A treatment that Nightscout holds; ``body`` is all of it, as it was read."""

    body: Document
    at: datetime | None
    """When it happened, to the millisecond; ``None`` if it does not say."""
    event_type: str
    writer: Writer
    identifier: str
    """The identifier that a program gave it; empty without one. A copy has the same."""
    cloud: str
    """The name of the cloud that its event came from; known of ours only."""
    edited: bool
    """Whether it was edited or copied: such a treatment is never changed."""
    log_number: str
    """The entry of the pump's log that gives it its time; empty without one."""
    minutes: float
    """How long it lasts; 0 if it does not say."""
    insulin: float | None
    """U; ``None`` without any."""
    rate: float | None
    """U/h; ``None`` without any."""
    is_basal: bool
    """Whether it was written as a basal: people change types."""
    is_piece: bool
    """Whether it shows a piece of the later part of a bolus."""
    is_whole_later_part: bool
    """Whether its notes say that it shows the later part of a bolus as a whole."""
    is_in_progress: bool
    """Whether its notes say that the end of the bolus was not known."""
    reason: str
    notes: str

    @property
    def duration(self) -> timedelta:
        """How long it lasts; nothing if it does not say."""
        return timedelta(minutes=self.minutes)

    @property
    def is_ours(self) -> bool:
        """Whether any version of this program wrote it."""
        return self.writer is not Writer.OTHER

    @property
    def slot(self) -> tuple[str, datetime] | None:
        """The type and the instant, which no other treatment may have; ``None`` without a time."""
        return (self.event_type, self.at) if self.at else None

    @property
    def checksum(self) -> str:
        """The one that it was written with."""
        return str(self.body.get("checksum"))

    @property
    def glucose(self) -> Document:
        """The fields of the glucose that a bolus was calculated with, if any are known."""
        return glucose_of(self.body)

    @property
    def without_words(self) -> tuple[object, ...]:
        """What it shares with a treatment of which only reason and notes differ."""
        return without_words(self.body)

    @property
    def is_removable(self) -> bool:
        """Whether this version wrote it, no person edited it, and the database can name it."""
        is_untouched = self.writer is Writer.THIS_VERSION and not self.edited
        return is_untouched and has_database_id(self.body)

    def changed(self, fields: Document) -> Document:
        """Return the document with other fields."""
        known = {name: value for name, value in self.body.items() if value is not None}
        if "glucose" in fields:
            # A type that is not known any more must not stay.
            known.pop("glucoseType", None)
        after = {**known, **fields}
        if "identifier" not in known:
            # Nightscout 15.0.7 would take another identifier for another document.
            after.pop("identifier", None)
        return after


def stored_treatments(
    documents: Iterable[Document], besides: Iterable[StoredTreatment] = ()
) -> list[StoredTreatment]:
    """Parse what Nightscout holds, and add it to what is parsed already.

    An identifier that occurs twice was copied by a person, for example by dragging insulin on the
    chart: all its copies count as edited.
    """
    found = [*besides, *map(_parsed, documents)]
    times = Counter(treatment.identifier for treatment in found if treatment.identifier)
    return [
        replace(it, edited=True) if not it.edited and times[it.identifier] > 1 else it
        for it in found
    ]


def _parsed(body: Document) -> StoredTreatment:
    writer, at, notes = _writer(body), instant(body), str(body.get("notes") or "")
    minutes: Any = body.get("duration")
    # Of the numbers of a treatment, Nightscout keeps only this one a number.
    lasts = isinstance(minutes, int | float) and 0 < minutes < MOST_MINUTES
    return StoredTreatment(
        body=body,
        at=at,
        event_type=str(body.get("eventType") or ""),
        writer=writer,
        identifier=str(body.get("identifier") or body.get("syncIdentifier") or ""),
        cloud=cloud_of(body),
        edited=writer is Writer.OTHER or _is_edited(body, writer, at),
        log_number=log_number(body) if writer is not Writer.OTHER else "",
        minutes=float(minutes) if lasts else 0.0,
        insulin=as_number(body.get("insulin")),
        rate=as_number(body.get("absolute")),
        is_basal=body.get("eventType") == TEMP_BASAL or body.get("rate") is not None,
        is_piece=bool(body.get(PIECE)),
        is_whole_later_part=NOTE_WHOLE_LATER_PART in notes,
        is_in_progress=NOTE_IN_PROGRESS in notes,
        reason=str(body.get("reason") or ""),
        notes=notes,
    )


def _writer(body: Document) -> Writer:
    name = body.get("identifier") or body.get("syncIdentifier")
    if name and CHECKSUM.fullmatch(str(body.get("checksum"))):
        return Writer.THIS_VERSION
    if NUMBERS.fullmatch(str(body.get("pump_event_id"))):
        return Writer.VERSION_2_OR_3
    return Writer.VERSION_1 if body.get("enteredBy") == ENTERED_BY else Writer.OTHER


def _is_edited(body: Document, writer: Writer, at: datetime | None) -> bool:
    """Return whether a document of ours was edited, as far as that leaves a trace.

    A document that was saved in the dialog is edited even if nothing was changed. Older versions
    wrote whole seconds and no checksum: what was dragged on the chart has milliseconds.
    """
    if body.get("enteredBy") != ENTERED_BY:
        return True
    if any(body.get(name) is not None for name in ONLY_IN_THE_DIALOG):
        return True
    if writer is Writer.THIS_VERSION:
        rate = body.get("rate")
        other_rate = rate is not None and as_number(rate) != as_number(body.get("absolute"))
        return other_rate or edited(body)
    return at is not None and at.microsecond != 0
