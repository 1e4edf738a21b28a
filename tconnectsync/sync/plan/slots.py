"""The instants that treatments of a type have to themselves.

Pure. Nightscout before 15.0.7 lets one of two treatments of a type at one instant overwrite the
other, a person's own included (docs/protocol/nightscout-api.md §1.2); so no two of ours share one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.nightscout.provenance import Document, created_at, instant

MILLISECOND = timedelta(milliseconds=1)
Slot = tuple[str, datetime]
"""A type of treatment and an instant."""


def slot(document: Mapping[str, Any]) -> Slot | None:
    """Return what a treatment takes up, ``None`` if it has no time."""
    at = instant(document)
    return (str(document.get("eventType")), at) if at else None


def slots(documents: Iterable[Mapping[str, Any]]) -> set[Slot]:
    """Return what some treatments take up."""
    return {taken for document in documents if (taken := slot(document))}


def set_apart(document: Document, at: datetime, taken: set[Slot]) -> Document:
    """Return a treatment at the first free millisecond from ``at`` on, and take that."""
    event_type = document["eventType"]
    while (event_type, at) in taken:
        at += MILLISECOND
    taken.add((event_type, at))
    return {**document, "created_at": created_at(at)}


def set_apart_anew(
    planned: Sequence[Document], taken: Collection[Slot], uncertain: Collection[Slot] = ()
) -> list[Document]:
    """Return planned treatments; those whose instant turned out to be taken have another one.

    That is none of the ``uncertain`` ones either, which may still become free, or not.
    """
    claimed = {*taken, *uncertain, *slots(planned)}
    return [
        set_apart(document, own[1], claimed)
        if (own := slot(document)) and own in taken
        else document
        for document in planned
    ]
