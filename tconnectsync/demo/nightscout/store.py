"""The documents of one Nightscout collection, in memory, and Nightscout's ``find`` language.

Serves the small Nightscout. Documents are kept by id, by the fields they are recognised by, and in
the order of their date, so that a year of treatments can be written and read quickly.
"""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
Readers: TypeAlias = Mapping[str, Callable[[str], Any]]
"""How the operands of a field are read; those of all other fields stay text."""


class BadFindError(Exception):
    """The query asks for something Nightscout, or this small one, cannot look for."""


class DatabaseError(Exception):
    """The database refuses to store a document."""


@dataclass(frozen=True)
class Condition:
    """One condition on a field: ``find[field][operator]=operand`` (contract §1.7)."""

    field: str
    operator: str
    operand: Any

    def holds(self, document: Document) -> bool:
        """Say whether the document fulfils it."""
        return _OPERATORS[self.operator](document.get(self.field), self.operand)


class Collection:
    """Documents with an ``_id`` each.

    Args:
        date_field: the field, a text, by which they are ordered.
        keys: the groups of fields by which :meth:`same` finds a document.
    """

    def __init__(self, date_field: str, keys: Iterable[tuple[str, ...]]) -> None:
        self._date_field = date_field
        self._by_id: dict[str, Document] = {}
        self._by_key: dict[tuple[str, ...], dict[str, list[Document]]] = {k: {} for k in keys}
        self._by_date: list[Document] = []
        self._in_order = True
        self._ids = itertools.count(1)

    def oldest_first(self) -> Sequence[Document]:
        """Return all documents in the order of their date."""
        if not self._in_order:
            self._by_date.sort(key=self._date)
            self._in_order = True
        return self._by_date

    def get(self, id_: str) -> Document | None:
        """Return the document with this ``_id``."""
        return self._by_id.get(id_)

    def same(self, fields: tuple[str, ...], document: Document) -> Document | None:
        """Return the first stored document with the same values in ``fields``, one of the keys."""
        found = self._by_key[fields].get(_key(fields, document))
        return found[0] if found else None

    def add(self, document: Document) -> None:
        """Store a document, which is given an ``_id`` if it has none.

        Raises:
            DatabaseError: another document has its ``_id``.
        """
        id_ = document.setdefault("_id", f"{next(self._ids):024x}")
        if id_ in self._by_id:
            raise DatabaseError("E11000 duplicate key error")
        self._by_id[id_] = document
        self._by_date.append(document)
        self._enter(document)

    def replace(self, stored: Document, document: Document) -> None:
        """Replace the content of a stored document; only its ``_id`` survives."""
        content = document | {"_id": stored["_id"]}
        self._leave(stored)
        stored.clear()
        stored.update(content)
        self._enter(stored)

    def remove(self, documents: Sequence[Document]) -> None:
        """Remove stored documents."""
        for document in documents:
            self._leave(document)
            del self._by_id[document["_id"]]
        self._by_date = list(self._by_id.values())
        self._in_order = False

    def find(self, conditions: Sequence[Condition]) -> list[Document]:
        """Return the documents that fulfil all conditions, newest first."""
        documents = self.oldest_first()
        first, last = 0, len(documents)
        for condition in conditions:
            if condition.field != self._date_field:
                continue
            if condition.operator in ("$gte", "$gt", "$eq"):
                first = max(first, bisect_left(documents, condition.operand, key=self._date))
            if condition.operator in ("$lte", "$lt", "$eq"):
                last = min(last, bisect_right(documents, condition.operand, key=self._date))
        return [d for d in reversed(documents[first:last]) if all(c.holds(d) for c in conditions)]

    def _date(self, document: Document) -> str:
        date = document.get(self._date_field)
        return date if isinstance(date, str) else ""

    def _enter(self, document: Document) -> None:
        for fields, found in self._by_key.items():
            found.setdefault(_key(fields, document), []).append(document)
        self._in_order = False

    def _leave(self, document: Document) -> None:
        for fields, found in self._by_key.items():
            same = found[_key(fields, document)]
            same[:] = [other for other in same if other is not document]


def _key(fields: tuple[str, ...], document: Document) -> str:
    return json.dumps([document.get(field) for field in fields])


def parse_find(query: Mapping[str, str], readers: Readers) -> list[Condition]:
    """Read the ``find[…]`` parameters of a URL (contract §1.7).

    Raises:
        BadFindError: an operand cannot be read, or the operator is not among those simulated.
    """
    conditions = []
    for name, value in query.items():
        if not name.startswith("find["):
            continue
        parts = _FIND.fullmatch(name)
        if not parts or (parts["operator"] or "$eq") not in _OPERATORS:
            raise BadFindError(f"{name} is not understood")
        read = readers.get(parts["field"], str)
        conditions.append(Condition(parts["field"], parts["operator"] or "$eq", read(value)))
    return conditions


def read_integer(text: str) -> float:
    """Read an operand as JavaScript's ``parseInt`` does: 0.5 is 0, and NaN if it is no number."""
    digits = re.match(r"\s*([+-]?\d+)", text)
    return int(digits[1]) if digits else math.nan


def read_text(text: str) -> str | re.Pattern[str]:
    """Read an operand that becomes a regular expression as soon as it has two slashes.

    Raises:
        BadFindError: it is not a usable regular expression.
    """
    parts = re.search(r"/(.*)/(.*)", text)
    if not parts:
        return text
    try:
        return re.compile(f"(?{parts[2]}){parts[1]}" if parts[2] else parts[1])
    except re.error as error:
        raise BadFindError(f"{text} is not a regular expression") from error


_FIND = re.compile(r"find\[(?P<field>[^\[\]]+)\](?:\[(?P<operator>\$\w+)\])?")


def _equal(value: Any, operand: Any) -> bool:
    if isinstance(operand, re.Pattern):
        return isinstance(value, str) and operand.search(value) is not None
    return bool(value == operand)


def _unequal(value: Any, operand: Any) -> bool:
    return not _equal(value, operand)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Compare as the database does: texts with texts, numbers with numbers, else false."""

    def holds(value: Any, operand: Any) -> bool:
        comparable = any(
            isinstance(value, kind) and isinstance(operand, kind) for kind in (str, (int, float))
        )
        return comparable and compare(value, operand)

    return holds


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": _unequal,
    "$gt": _ordered(operator.gt),
    "$gte": _ordered(operator.ge),
    "$lt": _ordered(operator.lt),
    "$lte": _ordered(operator.le),
}
