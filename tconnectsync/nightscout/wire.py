"""Documents on their way to and from Nightscout: batches, conditions, and what may be read.

See docs/protocol/nightscout-api.md §1.1 and §1.7.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Any, TypeVar

from tconnectsync.exchange import Answer
from tconnectsync.nightscout.provenance import Document, instant, utc_text

Each = TypeVar("Each")

BATCH_DOCUMENTS = 100
BATCH_BYTES = 100_000
TREATMENTS, ENTRIES = "treatments", "entries.json"
"""Where treatments and entries are written and read."""
TEXTS = frozenset(
    (
        *("created_at", "device", "enteredBy", "eventType", "identifier", "syncIdentifier"),
        *("checksum", "notes", "pump_event_id", "reason", "type"),
    )
)
"""The fields that we read as texts."""
MAX_NUMBER = 1e18
"""Larger numbers are never valid."""


def batches(
    records: Iterable[Each], document_of: Callable[[Each], Document]
) -> Iterator[list[Each]]:
    """Cut records, in their order, into lists that every known server accepts at once.

    Args:
        records: what is to be created.
        document_of: returns the document of a record as it is sent.
    """
    batch: list[Each] = []
    size = 0
    for record in records:
        length = len(json.dumps(document_of(record))) + 2
        if batch and (len(batch) == BATCH_DOCUMENTS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch


def bounds(collection: str, start: datetime, end: datetime) -> dict[str, str]:
    """Return the conditions on the time; that of entries is a number (nightscout-api §1.7)."""
    if collection == ENTRIES:
        field, first, last = "date", _epoch(start), _epoch(end)
    else:
        field, first, last = "created_at", utc_text(start), utc_text(end)
    return {f"find[{field}][$gte]": first, f"find[{field}][$lte]": last}


def _epoch(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))


def readable(document: Document) -> Document:
    """Return a document whose texts are texts, and whose numbers are numbers that can be.

    Any program may have stored anything, and stored values are compared with ours.
    """
    changed: Document = {}
    at = instant(document)
    if at and not MINYEAR < at.year < MAXYEAR:
        # At the ends of the calendar, a time does not exist in every zone.
        changed["created_at"] = None
    for name, value in document.items():
        if isinstance(value, str):
            continue  # As most are.
        if name in TEXTS and value is not None:
            changed[name] = str(value)
        elif isinstance(value, int | float) and not abs(value) < MAX_NUMBER:
            changed[name] = None
    return {**document, **changed} if changed else document


def parsed(answer: Answer) -> Any:
    """Return the JSON of an answer, ``None`` if it is none."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None
