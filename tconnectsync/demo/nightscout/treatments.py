"""How Nightscout stores, recognises and finds treatments, in both of its generations.

Serves the small Nightscout. Not simulated: splitting a ``preBolus`` off, and the memory cache.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tconnectsync.demo.nightscout.store import (
    BadFindError,
    Collection,
    Condition,
    DatabaseError,
    Document,
    parse_find,
    read_integer,
    read_text,
)

_DEFAULT_WINDOW = timedelta(days=4)
_TIME_AND_TYPE = ("created_at", "eventType")
_IDENTIFIER = ("identifier",)

# The fields that are numbers, besides glucose.
_TARGETS = ("targetTop", "targetBottom")
_GONE_WHEN_ZERO = (*_TARGETS, "carbs", "insulin", "percent", "relative", "preBolus")
_KEPT_WHEN_ZERO = ("absolute", "duration")

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d($|[T ])")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


class Treatments:
    """The treatments of a site.

    Args:
        keyed_by_identifier: whether the site is Nightscout 15.0.7, which recognises a treatment by
            its ``identifier`` or ``_id``; older ones go by ``created_at`` and ``eventType`` only.
        now: the site's clock.
    """

    def __init__(self, *, keyed_by_identifier: bool, now: Callable[[], datetime]) -> None:
        self.stored = Collection("created_at", keys=(_TIME_AND_TYPE, _IDENTIFIER))
        self._keyed_by_identifier = keyed_by_identifier
        self._now = now

    def post(self, document: Document) -> Document:
        """Store a treatment in place of the one it is recognised as; return what is answered.

        The answer lacks the ``_id`` if it was recognised by time and type (contract §1.2).

        Raises:
            DatabaseError: it carries an ``_id`` that cannot be stored.
        """
        treatment = normalised(document, self._now())
        found = self._recognised(treatment)
        if found is None:
            self.stored.add(treatment)
        elif not self._keyed_by_identifier and _changes_id(found, treatment):
            raise DatabaseError("the (immutable) field '_id' was found to have been altered")
        else:
            self.stored.replace(found, treatment)
            if self._keyed_by_identifier and treatment.get("identifier"):
                treatment["_id"] = found["_id"]
        return dict(treatment)

    def put(self, document: Document) -> Document:
        """Store a treatment that a client has changed; return what is answered.

        Raises:
            DatabaseError: its ``_id`` is not one.
        """
        if self._keyed_by_identifier:
            return self.post(document)
        treatment = normalised(document, self._now())
        found = None
        if treatment.get("_id") is None:
            treatment.pop("_id", None)
        elif not _is_object_id(treatment["_id"]):
            raise DatabaseError("the _id must be 24 hexadecimal digits")
        else:
            found = self.stored.get(treatment["_id"])
        if found is None:
            self.stored.add(treatment)
        else:
            self.stored.replace(found, treatment)
        return {"ok": 1, "n": 1, "nModified": 0 if found is None else 1}

    def find(self, query: Mapping[str, str]) -> list[Document]:
        """Return the stored treatments that the query asks for, newest first (contract §1.7).

        Raises:
            BadFindError: a ``find`` cannot be understood.
        """
        conditions = parse_find(query, _READERS)
        if "find[created_at]" in query:
            raise BadFindError("created_at needs an operator")
        if not any(c.field in ("_id", "created_at", "dateString") for c in conditions):
            since = to_iso(self._now() - _DEFAULT_WINDOW)
            conditions.append(Condition("created_at", "$gte", since))
        return self.stored.find([self._by_id(c) for c in conditions])

    def _recognised(self, treatment: Document) -> Document | None:
        """Return the stored document it replaces; settle which of its two ids counts."""
        if self._keyed_by_identifier:
            id_ = treatment.pop("_id", None)
            if id_ and not _is_object_id(id_):
                treatment.setdefault("identifier", id_)
            if identifier := treatment.get("identifier"):
                return self.stored.same(_IDENTIFIER, treatment) or self.stored.get(identifier)
            if id_:
                treatment["_id"] = id_
                return self.stored.get(id_)
        return self.stored.same(_TIME_AND_TYPE, treatment)

    def _by_id(self, condition: Condition) -> Condition:
        """Let a condition on ``_id`` that holds a UUID look into ``identifier``, as 15.0.7 does."""
        if condition.field != "_id" or _is_object_id(condition.operand):
            return condition
        if not self._keyed_by_identifier:
            raise BadFindError("the _id must be 24 hexadecimal digits")
        return replace(condition, field="identifier")


def shown(treatment: Document) -> Document:
    """Return a stored treatment as it is listed: ``carbs`` and ``insulin`` are always there."""
    return treatment | {
        field: to_number(treatment[field]) if field in treatment else None
        for field in ("carbs", "insulin")
    }


def normalised(document: Document, now: datetime) -> Document:
    """Return a copy as Nightscout stores it: times in UTC, numbers, no zeros (contract §1.2)."""
    treatment = dict(document)
    created_at = to_instant(treatment.get("created_at")) or now
    event_time = to_instant(treatment.pop("eventTime", None))
    treatment["created_at"] = to_iso(event_time or created_at)
    offset = created_at.utcoffset() or timedelta()
    treatment["utcOffset"] = int(offset.total_seconds() // 60)
    if treatment.get("eventType") == "Announcement":
        treatment["isAnnouncement"] = True
    for field in ("glucose", *_GONE_WHEN_ZERO, *_KEPT_WHEN_ZERO):
        if field in treatment:
            treatment[field] = to_number(treatment[field])
    gone = [field for field in (*_GONE_WHEN_ZERO, "notes") if not treatment.get(field)]
    gone += [field for field in _KEPT_WHEN_ZERO if treatment.get(field) is None]
    if not treatment.get("glucose"):
        gone += ["glucose", "glucoseType", "units"]
    for field in gone:
        treatment.pop(field, None)
    return treatment


def to_iso(instant: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds; what is finer is cut off."""
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def to_instant(value: Any) -> datetime | None:
    """Read an ISO text (in UTC if it has no zone) or epoch milliseconds; ``None`` if invalid."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000, UTC)
        if not isinstance(value, str) or not _DATE.match(value):
            return None
        instant = datetime.fromisoformat(value)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def to_number(value: Any) -> float | None:
    """Read a value as JavaScript's ``Number`` does: nothing is 0. ``None`` is NaN."""
    if isinstance(value, bool | int | float):
        return value + 0
    if value is None or value == "":
        return 0
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value.strip()):
        return None
    number = float(value)
    return int(number) if number.is_integer() else number


def _changes_id(found: Document, treatment: Document) -> bool:
    """Say whether a POST would change the ``_id``; 0.12.8 takes any that is sent for a text."""
    if "_id" not in treatment:
        return False
    return _is_object_id(treatment["_id"]) or bool(treatment["_id"] != found["_id"])


def _is_object_id(value: Any) -> bool:
    return isinstance(value, str) and _OBJECT_ID.fullmatch(value) is not None


def _read_date(text: str) -> str:
    """Read an operand for ``created_at``; a number stays text, and then fits all or nothing.

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


_READERS: Mapping[str, Callable[[str], Any]] = {
    "created_at": _read_date,
    "insulin": read_integer,
    "carbs": read_integer,
    "glucose": read_integer,
    "notes": read_text,
    "eventType": read_text,
    "enteredBy": read_text,
}
