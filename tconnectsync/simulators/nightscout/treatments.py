"""How Nightscout stores, recognises and finds treatments, in both of its generations.

Serves the small Nightscout. Not simulated: splitting a ``preBolus`` off, and the memory cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.find import (
    DEFAULT_WINDOW,
    BadFindError,
    Condition,
    Document,
    bounded,
    of_id,
    parse_find,
    read_count,
    read_date,
    read_integer,
    read_text,
)
from tconnectsync.simulators.nightscout.store import Collection, DatabaseError, Host
from tconnectsync.simulators.nightscout.values import (
    is_object_id,
    to_instant,
    to_iso,
    to_number,
    to_offset,
)
from tconnectsync.simulators.nightscout.wire import (
    CrashError,
    deletion,
    failure,
    json_answer,
    read_body,
    read_documents,
    sanitised,
)

_TIME_AND_TYPE = ("created_at", "eventType")
_IDENTIFIER = ("identifier",)

# The fields that are numbers, besides glucose.
_TARGETS = ("targetTop", "targetBottom")
_GONE_WHEN_ZERO = (*_TARGETS, "carbs", "insulin", "percent", "relative", "preBolus")
_KEPT_WHEN_ZERO = ("absolute", "duration")


class Treatments:
    """The treatments of a site.

    15.0.7 recognises a treatment by its ``identifier`` or ``_id``; older ones go by ``created_at``
    and ``eventType`` only.
    """

    def __init__(self, host: Host) -> None:
        keys = (_TIME_AND_TYPE, _IDENTIFIER)
        self.stored = Collection("created_at", keys=keys, written=host.written)
        self._host = host

    def respond(self, request: Request, rest: list[str]) -> Response | None:
        """Answer a request for ``treatments`` and what follows it in the path."""
        match request.method, rest:
            case "GET", []:
                count = read_count(request.query, self._default_count(request.query))
                found = self._find(request.query, request.lists)[:count]
                return json_answer([_shown(treatment) for treatment in found])
            case "POST", []:
                return self._post_all(request)
            case "PUT", []:
                if request.body.strip() == b"[]":
                    return json_answer(self._put_nothing())
                return json_answer(self._put(read_body(request)))
            case "DELETE", [] | [_]:
                return self._delete(of_id(request.query, *rest), request.lists)
        return None

    def _delete(self, query: Mapping[str, str], lists: Mapping[str, list[str]]) -> Response:
        found = self._find(query, lists)
        self.stored.remove(found)
        return deletion(self._host, len(found))

    def _post_all(self, request: Request) -> Response:
        """Store what is posted; an item that is no object stops 15.0.7 at once.

        Raises:
            CrashError: there is one after a good one, for 0.12.8.
        """
        documents = read_documents(request, strict=False)
        good = list(takewhile(lambda item: isinstance(item, dict), documents))
        is_all = len(good) == len(documents)
        if not is_all and (self._host.keyed_by_identifier or not good):
            return failure(request, TypeError("Cannot read properties of null"))
        if self._host.keyed_by_identifier:
            good = sanitised(good)
        answer = [self._post(document) for document in good]
        if not is_all:
            raise CrashError
        return json_answer(answer)

    def _put_nothing(self) -> Any:
        """Store an empty treatment, as a PUT of an empty array does; return what is answered."""
        if self._host.keyed_by_identifier:
            self._post({})
            return []
        self.stored.add({})
        return {"ok": 1, "n": 1, "nModified": 0}

    def _post(self, document: Document) -> Document:
        """Store a treatment in place of the one it is recognised as; return what is answered.

        The answer lacks the ``_id`` if it was recognised by time and type (nightscout-api §1.2).

        Raises:
            DatabaseError: it carries an ``_id`` that cannot be stored.
        """
        treatment = _normalised(document, self._host.now())
        found = self._recognised(treatment)
        if found is None:
            self.stored.add(treatment)
        elif not self._host.keyed_by_identifier and _changes_id(found, treatment):
            raise DatabaseError("the (immutable) field '_id' was found to have been altered")
        else:
            self.stored.replace(found, treatment)
            if self._host.keyed_by_identifier and treatment.get("identifier"):
                treatment["_id"] = found["_id"]
        return dict(treatment)

    def _put(self, document: Document) -> Document:
        """Store a treatment that a client has changed; return what is answered.

        Raises:
            BadIdError: its ``_id`` is none of the database.
        """
        if self._host.keyed_by_identifier:
            return self._post(document)
        existed = self.stored.save(_normalised(document, self._host.now()))
        return {"ok": 1, "n": 1, "nModified": int(existed)}

    def _find(
        self, query: Mapping[str, str], lists: Mapping[str, list[str]] | None = None
    ) -> list[Document]:
        """Return the stored treatments that the query asks for, newest first (nightscout-api §1.7).

        Raises:
            BadFindError: a ``find`` cannot be understood.
        """
        conditions = parse_find(query, _READERS, lists)
        since = to_iso(self._host.now() - DEFAULT_WINDOW)
        conditions = bounded(conditions, "created_at", since)
        return self.stored.find([self._by_id(c) for c in conditions])

    def _default_count(self, query: Mapping[str, str]) -> int | None:
        if not self._host.keyed_by_identifier:
            return None
        return 1000 if any(name.startswith("find[") for name in query) else 100

    def _recognised(self, treatment: Document) -> Document | None:
        """Return the stored document it replaces; decide which of its two ids counts."""
        if self._host.keyed_by_identifier:
            id_ = treatment.pop("_id", None)
            if id_ and not is_object_id(id_):
                treatment.setdefault("identifier", id_)
            if identifier := treatment.get("identifier"):
                return self.stored.same(_IDENTIFIER, treatment) or self.stored.get(identifier)
            if id_:
                treatment["_id"] = id_
                return self.stored.get(id_)
        return self.stored.same(_TIME_AND_TYPE, treatment)

    def _by_id(self, condition: Condition) -> Condition:
        """Let a condition on ``_id`` that holds a UUID look into ``identifier``, as 15.0.7 does."""
        if condition.field != "_id" or condition.operator == "$in":
            return condition
        if is_object_id(condition.operand):
            return condition
        if not self._host.keyed_by_identifier:
            raise BadFindError("the _id must be 24 hexadecimal digits")
        return replace(condition, field="identifier")


def _shown(treatment: Document) -> Document:
    """Return a stored treatment as it is listed: ``carbs`` and ``insulin`` are always there."""
    return treatment | {
        field: to_number(treatment[field]) if field in treatment else None
        for field in ("carbs", "insulin")
    }


def _normalised(document: Document, now: datetime) -> Document:
    """Return a copy as Nightscout stores it: UTC, numbers, no zeros (nightscout-api §1.2)."""
    treatment = dict(document)
    created_at = to_instant(treatment.get("created_at")) or now
    event_time = to_instant(treatment.pop("eventTime", None))
    treatment["created_at"] = to_iso(event_time or created_at)
    treatment["utcOffset"] = to_offset(created_at)
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


def _changes_id(found: Document, treatment: Document) -> bool:
    """Return whether a POST would change the ``_id``; 0.12.8 takes any that is sent for a text."""
    if "_id" not in treatment:
        return False
    return is_object_id(treatment["_id"]) or bool(treatment["_id"] != found["_id"])


_READERS: Mapping[str, Callable[[str], Any]] = {
    "created_at": read_date,
    "insulin": read_integer,
    "carbs": read_integer,
    "glucose": read_integer,
    "notes": read_text,
    "eventType": read_text,
    "enteredBy": read_text,
}
