"""How Nightscout stores and finds activity records, in both of its generations.

See docs/protocol/nightscout-api.md §1.6.

Serves the small Nightscout.
"""

from __future__ import annotations

from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.find import Document, read_count
from tconnectsync.simulators.nightscout.store import Collection, Host, as_posted
from tconnectsync.simulators.nightscout.values import to_iso
from tconnectsync.simulators.nightscout.wire import json_answer, read_body, read_documents


class ActivityRecords:
    """The activity records of a site; their times are stored as they are sent."""

    def __init__(self, host: Host) -> None:
        self.stored = Collection("created_at", written=host.written)
        self._host = host

    def respond(self, request: Request, rest: list[str]) -> Response | None:
        """Answer a request for ``activity`` and what follows it in the path."""
        match request.method, rest:
            case "GET", []:
                found = self.stored.search(request.query, self._host.now())
                return json_answer(found[: read_count(request.query, None)])
            case "POST", []:
                return json_answer(self._post(read_documents(request)))
            case "PUT", []:
                return json_answer(self._put(dict(read_body(request))))
            case "DELETE", [id_]:
                self.stored.discard(id_)
                return json_answer({})
        return None

    def _post(self, documents: list[Document]) -> list[Document]:
        """Store records; return what is answered.

        Raises:
            DatabaseError: an ``_id`` is taken, or there is nothing to insert for 0.12.8.
        """
        if self._host.keyed_by_identifier:
            return [self._upsert(document) for document in documents]
        return self.stored.post_all(documents)

    def _upsert(self, document: Document) -> Document:
        """Store a record unless it is there; one with its ``_id`` and time is replaced."""
        record = as_posted({"created_at": to_iso(self._host.now())} | document)
        key = {name: record[name] for name in ("_id", "created_at")} if "_id" in record else record
        found = self.stored.with_all_of(key)
        if found is None:
            return self.stored.post(record)
        self.stored.replace(found, record)
        return record

    def _put(self, document: Document) -> Document:
        """Store a record that a client has changed; to 0.12.8 it is always one of this moment.

        Raises:
            BadIdError: its ``_id`` is none of the database.
        """
        now = to_iso(self._host.now())
        if self._host.keyed_by_identifier:
            record = {"created_at": now} | document
            self.stored.save(record)
            return record
        existed = self.stored.save(document | {"created_at": now})
        return {"ok": 1, "n": 1, "nModified": int(existed)}
