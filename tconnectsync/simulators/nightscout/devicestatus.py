"""How Nightscout stores and finds device statuses, in both of its generations.

See docs/protocol/nightscout-api.md §1.4.

Serves the small Nightscout. Not simulated: cutting long predictions off, and the memory cache.
"""

from __future__ import annotations

from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.find import Document, of_id, read_count
from tconnectsync.simulators.nightscout.store import BadIdError, Collection, Host
from tconnectsync.simulators.nightscout.values import is_object_id, to_instant, to_iso, to_offset
from tconnectsync.simulators.nightscout.wire import deletion, json_answer, read_body, sanitised

_DEFAULT_COUNT = 10


class DeviceStatuses:
    """The device statuses of a site; nothing is recognised: a repeat is another document."""

    def __init__(self, host: Host) -> None:
        self.stored = Collection("created_at", written=host.written)
        self._host = host

    def respond(self, request: Request, rest: list[str]) -> Response | None:
        """Answer a request for ``devicestatus`` and what follows it in the path."""
        match request.method, rest:
            case "GET", []:
                found = self.stored.search(request.query, self._host.now())
                return json_answer(found[: read_count(request.query, _DEFAULT_COUNT)])
            case "POST", []:
                return json_answer(self._post(read_body(request)))
            case "DELETE", [] | [_]:
                found = self.stored.search(of_id(request.query, *rest), self._host.now())
                self.stored.remove(found)
                return deletion(self._host, len(found))
        return None

    def _post(self, body: Document | list[Document]) -> list[Document]:
        """Store device statuses; return what is answered.

        0.12.8 looks for the time of an array as a whole, so what is in it is stored as it comes.

        Raises:
            BadIdError: an ``_id`` is none of the database, for 15.0.7.
            DatabaseError: an ``_id`` is taken, or there is nothing to insert for 0.12.8.
        """
        if self._host.keyed_by_identifier:
            return self._insert(body if isinstance(body, list) else [body])
        return self.stored.post_all(body if isinstance(body, list) else [self._normalised(body)])

    def _insert(self, documents: list[Document]) -> list[Document]:
        if not all(is_object_id(document.get("_id", "0" * 24)) for document in documents):
            raise BadIdError("the _id must be 24 hexadecimal digits")
        statuses = [self._normalised(document) for document in sanitised(documents)]
        for status in statuses:
            self.stored.add(status)
        return [dict(status) for status in statuses]

    def _normalised(self, document: Document) -> Document:
        """Return a copy with its time in UTC; one that cannot be read becomes the present."""
        created_at = to_instant(document.get("created_at")) or self._host.now()
        return document | {"created_at": to_iso(created_at), "utcOffset": to_offset(created_at)}
