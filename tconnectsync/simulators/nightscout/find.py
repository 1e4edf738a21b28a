"""Nightscout's ``find`` language (nightscout-api §1.7). Serves the small Nightscout."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from tconnectsync.simulators.nightscout.values import is_object_id, to_instant, to_iso, to_number

Document: TypeAlias = dict[str, Any]
Readers: TypeAlias = Mapping[str, Callable[[str], Any]]
"""How the operands of a field are read; those of all other fields stay text."""

DEFAULT_WINDOW = timedelta(days=4)
"""How far back Nightscout looks when a query does not bound the date."""


class BadFindError(Exception):
    """The query asks for something Nightscout, or this small one, cannot look for."""


@dataclass(frozen=True)
class Condition:
    """One condition on a field: ``find[field][operator]=operand``."""

    field: str
    operator: str
    operand: Any

    def holds(self, document: Document) -> bool:
        """Return whether the document fulfils it."""
        return _OPERATORS[self.operator](document.get(self.field), self.operand)


def parse_find(
    query: Mapping[str, str], readers: Readers, lists: Mapping[str, list[str]] | None = None
) -> list[Condition]:
    """Read the ``find[…]`` parameters of a URL; ``lists`` are those that may be repeated.

    Raises:
        BadFindError: an operand cannot be read, or the operator is not among those simulated.
    """
    conditions = []
    for name, values in (lists or {}).items():
        if not (parts := _ANY_OF.fullmatch(name)):
            raise BadFindError(f"{name} is not understood")
        read = readers.get(parts["field"], str)
        conditions.append(Condition(parts["field"], "$in", [read(value) for value in values]))
    for name, value in query.items():
        if not name.startswith("find[") or (lists and name in lists):
            continue
        parts = _FIND.fullmatch(name)
        if not parts or (parts["operator"] or "$eq") not in _OF_ONE:
            raise BadFindError(f"{name} is not understood")
        read = readers.get(parts["field"], str)
        if read is read_date and not parts["operator"]:
            raise BadFindError(f"{parts['field']} needs an operator")
        conditions.append(Condition(parts["field"], parts["operator"] or "$eq", read(value)))
    return conditions


def bounded(conditions: list[Condition], date_field: str, since: Any) -> list[Condition]:
    """Return the conditions; those that do not bound the date get the beginning ``since``."""
    if any(c.field in ("_id", date_field, "dateString") for c in conditions):
        return conditions
    return [*conditions, Condition(date_field, "$gte", since)]


def of_id(query: Mapping[str, str], id_: str = "*") -> Mapping[str, str]:
    """Return the query of a deletion whose path ends with an ``_id``, or a star for any."""
    return query if id_ == "*" else {**query, "find[_id]": id_}


def read_count(query: Mapping[str, str], default: int | None) -> int | None:
    """Return how many documents are asked for; 0 asks for all, which is ``None``.

    Raises:
        BadFindError: ``count`` is no number.
    """
    if "count" not in query:
        return default
    if not query["count"].isdigit():
        raise BadFindError("count must be a number")
    return int(query["count"]) or None


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


def read_date(text: str) -> str:
    """Read an operand for a date kept as text; a number stays text, and fits all or nothing.

    Raises:
        BadFindError: it is no date.
    """
    if to_number(text) is not None:
        return text
    # Nightscout repairs a plus that was not escaped, and so spoils dates with a space.
    instant = to_instant(text.replace(" ", "+", 1))
    if instant is None:
        raise BadFindError(f"Cannot parse {text} as a valid ISO-8601 date")
    return to_iso(instant)


def read_epoch(text: str) -> float:
    """Read an operand for a date kept as epoch milliseconds; of a written date only the year.

    Raises:
        BadFindError: it does not begin with a number.
    """
    number = read_integer(text)
    if math.isnan(number):
        raise BadFindError(f"{text} is not a number of milliseconds")
    return number


def read_id(text: str) -> str:
    """Read an operand for ``_id``.

    Raises:
        BadFindError: it is no id of the database.
    """
    if not is_object_id(text):
        raise BadFindError("the _id must be 24 hexadecimal digits")
    return text


_ANY_OF = re.compile(r"find\[(?P<field>[^\[\]]+)\]\[\$in\]\[\]")
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


def _one_of(value: Any, operands: Any) -> bool:
    return any(_equal(value, operand) for operand in operands)


_OF_ONE: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": _unequal,
    "$gt": _ordered(operator.gt),
    "$gte": _ordered(operator.ge),
    "$lt": _ordered(operator.lt),
    "$lte": _ordered(operator.le),
    "$in": lambda value, operands: isinstance(value, str) and value in operands,
}
_OPERATORS = {**_OF_ONE, "$in": _one_of}
