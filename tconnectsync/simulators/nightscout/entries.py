"""How Nightscout stores, recognises and finds entries: glucose and sensor readings.

See docs/protocol/nightscout-api.md §1.3.

Serves the small Nightscout. Not simulated: reading by kind (``entries/sgv``) or by id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.find import (
    DEFAULT_WINDOW,
    Document,
    bounded,
    parse_find,
    read_count,
    read_epoch,
    read_id,
    read_integer,
)
from tconnectsync.simulators.nightscout.store import Collection, DatabaseError, Host, as_posted
from tconnectsync.simulators.nightscout.values import (
    is_object_id,
    to_epoch,
    to_instant,
    to_iso,
    to_offset,
)
from tconnectsync.simulators.nightscout.wire import (
    deletion,
    json_answer,
    read_body,
    sanitised,
    wants_json,
)

_TIME_AND_TYPE = ("sysTime", "type")
_DEFAULT_COUNT = 10
_COLUMNS = ("dateString", "date", "sgv", "direction", "device")
_NEVER = 3600.0
"""Seconds that no client waits for an answer."""


class Entries:
    """The entries of a site, recognised by their time, to the millisecond, and ``type``."""

    def __init__(self, host: Host) -> None:
        self.stored = Collection("date", keys=[_TIME_AND_TYPE], written=host.written)
        self._host = host

    def respond(self, request: Request, rest: list[str]) -> Response | None:
        """Answer a request for ``entries`` and what follows it in the path."""
        match request.method, rest:
            case "GET", []:
                count = read_count(request.query, _DEFAULT_COUNT)
                return _listed(self._find(request.query)[:count], as_text=not wants_json(request))
            case "POST", []:
                return self._post(request)
            case "DELETE", [] | [_]:
                found = self._find(_narrowed(request.query, *rest))
                self.stored.remove(found)
                return deletion(self._host, len(found))
        return None

    def _post(self, request: Request) -> Response:
        body = read_body(request)
        documents = body if isinstance(body, list) else [body] if "date" in body else []
        if self._host.keyed_by_identifier:
            return _listed([self._store(document) for document in sanitised(documents)])
        if not documents:
            return Response(delay=_NEVER)
        answer = self._store_each(documents)
        return _listed(answer, as_text=not wants_json(request))

    def _store_each(self, documents: list[Document]) -> list[Document]:
        """Store all that can be stored: 0.12.8 writes the items of an array side by side.

        Raises:
            DatabaseError: one of them could not be stored.
        """
        answer = []
        refused: list[DatabaseError] = []
        for document in documents:
            try:
                answer.append(self._store(document))
            except DatabaseError as error:
                refused.append(error)
        if refused:
            raise refused[0]
        return answer

    def _store(self, document: Document) -> Document:
        """Store an entry; return what is answered, by 15.0.7 with the ``_id`` of a new one.

        Raises:
            DatabaseError: it carries another ``_id`` than the entry it is recognised as.
        """
        entry = as_posted(self._normalised(document))
        answer = dict(entry)
        if entry.get("type"):
            found = self.stored.same(_TIME_AND_TYPE, entry)
        else:
            found = self.stored.with_all_of(entry)
        if found is None:
            self.stored.add(entry)
            return answer | {"_id": entry["_id"]} if self._host.keyed_by_identifier else answer
        if "_id" in entry and entry["_id"] != found["_id"]:
            raise DatabaseError("the (immutable) field '_id' was found to have been altered")
        self.stored.replace(found, found | entry if self._host.keyed_by_identifier else entry)
        return answer

    def _normalised(self, document: Document) -> Document:
        """Return a copy as Nightscout stores it, with the time it is recognised by.

        That time comes from ``dateString``, else from ``date``. But where ``dateString`` is
        missing, not only unusable, 0.12.8 takes the present: every repeat is another entry.
        """
        entry = dict(document)
        time = to_instant(entry.get("dateString"))
        if time is None and (self._host.keyed_by_identifier or "dateString" in entry):
            time = to_instant(entry.get("date"))
        time = time or self._host.now()
        entry["utcOffset"] = to_offset(time)
        entry["sysTime"] = to_iso(time)
        if entry.get("dateString"):
            entry["dateString"] = entry["sysTime"]
        return entry

    def _find(self, query: Mapping[str, str]) -> list[Document]:
        since = to_epoch(self._host.now() - DEFAULT_WINDOW)
        return self.stored.find(bounded(parse_find(query, _READERS), "date", since))


def _narrowed(query: Mapping[str, str], spec: str = "*") -> Mapping[str, str]:
    """Return the query of a deletion whose path ends with an id, a type, or a star for any."""
    if spec == "*":
        return query
    if is_object_id(spec):
        return {"find[_id]": spec}
    return {**query, "find[type]": spec}


def _listed(entries: list[Document], *, as_text: bool = False) -> Response:
    """Answer with entries, newest first: as JSON, or as a table if JSON was not asked for."""
    entries = sorted(entries, key=_date, reverse=True)
    if not as_text:
        return json_answer(entries)
    rows = [[json.dumps(e[c]) if c in e else "" for c in _COLUMNS] for e in entries]
    text = "\r\n".join("\t".join(row) for row in rows)
    return Response(text.encode(), content_type="text/plain; charset=utf-8")


def _date(entry: Document) -> float:
    date = entry.get("date")
    return date if isinstance(date, int | float) else 0


_READERS: Mapping[str, Callable[[str], Any]] = {
    "_id": read_id,
    "date": read_epoch,
    **dict.fromkeys(("sgv", "filtered", "unfiltered", "rssi", "noise", "mbg"), read_integer),
}
