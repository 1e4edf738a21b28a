"""The documents of one Nightscout collection, in memory.

Serves the small Nightscout. Documents are kept by id, by the fields they are recognised by, and in
the order of their date, so that a year of treatments can be written and read quickly.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tconnectsync.simulators.nightscout.find import (
    DEFAULT_WINDOW,
    Condition,
    Document,
    bounded,
    parse_find,
    read_date,
    read_id,
)
from tconnectsync.simulators.nightscout.values import is_object_id, to_iso


class DatabaseError(Exception):
    """The database refuses to store a document."""


class BadIdError(Exception):
    """An ``_id`` is none of the database."""


class TextId(str):
    """An ``_id`` that the database holds as a text: the same digits as an id do not mean it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextId) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((TextId, str(self)))


def as_posted(document: Document) -> Document:
    """Return a copy in which an ``_id`` is what a POST makes of it: a text."""
    if "_id" not in document:
        return dict(document)
    return document | {"_id": TextId(document["_id"])}


@dataclass(frozen=True)
class Host:
    """What a collection knows of the Nightscout it belongs to.

    Args:
        keyed_by_identifier: whether it is 15.0.7; else it is 0.12.8.
        now: its clock.
        written: is given how many documents have been created, replaced or deleted.
    """

    keyed_by_identifier: bool
    now: Callable[[], datetime]
    written: Callable[[int], None]


class Collection:
    """Documents with an ``_id`` each.

    Args:
        date_field: the field by which they are ordered.
        keys: the groups of fields by which :meth:`same` finds a document.
        written: is given how many documents have been created, replaced or deleted.
    """

    def __init__(
        self,
        date_field: str,
        *,
        keys: Iterable[tuple[str, ...]] = (),
        written: Callable[[int], None],
    ) -> None:
        self._date_field = date_field
        self._written = written
        self._by_id: dict[str, Document] = {}
        self._by_key: dict[tuple[str, ...], dict[str, list[Document]]] = {k: {} for k in keys}
        self._by_date: list[Document] = []
        self._in_order = True
        self._ids = itertools.count(1)

    def oldest_first(self) -> Sequence[Document]:
        """Return all documents in the order of their date."""
        if not self._in_order:
            self._by_date.sort(key=self._rank)
            self._in_order = True
        return self._by_date

    def get(self, id_: str) -> Document | None:
        """Return the document with this ``_id``."""
        return self._by_id.get(id_)

    def same(self, fields: tuple[str, ...], document: Document) -> Document | None:
        """Return the first stored document with the same values in ``fields``, one of the keys."""
        found = self._by_key[fields].get(_key(fields, document))
        return found[0] if found else None

    def with_all_of(self, document: Document) -> Document | None:
        """Return the first stored document that has every field of this one."""
        for stored in self._by_id.values():
            if all(stored.get(field) == value for field, value in document.items()):
                return stored
        return None

    def seed(self, document: Document) -> None:
        """Store a document without counting it as written; else as :meth:`add`."""
        id_ = document.setdefault("_id", f"{next(self._ids):024x}")
        if id_ in self._by_id:
            raise DatabaseError("E11000 duplicate key error")
        self._by_id[id_] = document
        self._by_date.append(document)
        self._enter(document)

    def add(self, document: Document) -> None:
        """Store a document, which is given an ``_id`` if it has none.

        Raises:
            DatabaseError: another document has its ``_id``.
        """
        self.seed(document)
        self._written(1)

    def post(self, document: Document) -> Document:
        """Store a copy of a posted document; return what is answered. Raises as :meth:`add`."""
        posted = as_posted(document)
        self.add(posted)
        return dict(posted)

    def post_all(self, documents: Sequence[Document]) -> list[Document]:
        """Store posted documents as one insertion of 0.12.8 does; return what is answered.

        Raises:
            DatabaseError: an ``_id`` is taken, or there is nothing to insert.
        """
        if not documents:
            raise DatabaseError("Invalid Operation, no operations specified")
        return [self.post(document) for document in documents]

    def replace(self, stored: Document, document: Document) -> None:
        """Replace the content of a stored document; only its ``_id`` survives."""
        content = document | {"_id": stored["_id"]}
        self._leave(stored)
        stored.clear()
        stored.update(content)
        self._enter(stored)
        self._written(1)

    def save(self, document: Document) -> bool:
        """Replace the document with this ``_id`` or add it; say whether there was one.

        Raises:
            BadIdError: its ``_id`` is none of the database.
        """
        if document.get("_id") is None:
            document.pop("_id", None)
            found = None
        else:
            found = self._meant(document["_id"])
        if found is None:
            self.add(document)
        else:
            self.replace(found, document)
        return found is not None

    def discard(self, id_: str) -> None:
        """Remove the document with this ``_id`` if there is one; raises as :meth:`save`."""
        found = self._meant(id_)
        if found is not None:
            self.remove([found])

    def remove(self, documents: Sequence[Document]) -> None:
        """Remove stored documents."""
        for document in documents:
            self._leave(document)
            del self._by_id[document["_id"]]
        self._by_date = list(self._by_id.values())
        self._in_order = False
        self._written(len(documents))

    def find(self, conditions: Sequence[Condition]) -> list[Document]:
        """Return the documents that fulfil all conditions, newest first."""
        documents = self.oldest_first()
        first, last = 0, len(documents)
        for condition in conditions:
            if condition.field != self._date_field:
                continue
            bound = _rank(condition.operand)
            if condition.operator in ("$gte", "$gt", "$eq"):
                first = max(first, bisect_left(documents, bound, key=self._rank))
            if condition.operator in ("$lte", "$lt", "$eq"):
                last = min(last, bisect_right(documents, bound, key=self._rank))
        return [d for d in reversed(documents[first:last]) if all(c.holds(d) for c in conditions)]

    def search(self, query: Mapping[str, str], now: datetime) -> list[Document]:
        """Return the documents that a ``find`` asks for, newest first (nightscout-api §1.7).

        Their date must be a text; if the query does not bound it, the last days are searched.

        Raises:
            BadFindError: a condition cannot be understood.
        """
        conditions = parse_find(query, {"_id": read_id, self._date_field: read_date})
        return self.find(bounded(conditions, self._date_field, to_iso(now - DEFAULT_WINDOW)))

    def _meant(self, id_: Any) -> Document | None:
        if not is_object_id(id_):
            raise BadIdError("the _id must be 24 hexadecimal digits")
        return self.get(id_)

    def _rank(self, document: Document) -> tuple[int, Any]:
        return _rank(document.get(self._date_field))

    def _enter(self, document: Document) -> None:
        for fields, found in self._by_key.items():
            found.setdefault(_key(fields, document), []).append(document)
        self._in_order = False

    def _leave(self, document: Document) -> None:
        for fields, found in self._by_key.items():
            same = found[_key(fields, document)]
            same[:] = [other for other in same if other is not document]


def _key(fields: tuple[str, ...], document: Document) -> str:
    return repr([document.get(field) for field in fields])


def _rank(date: Any) -> tuple[int, Any]:
    """Order dates as the database does: none, then numbers, then texts."""
    if isinstance(date, str):
        return 2, date
    return (1, date) if isinstance(date, int | float) else (0, 0)
