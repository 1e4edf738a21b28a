"""How Nightscout stores and lists profiles, in both of its generations (nightscout-api §1.5, §7.5).

Serves the small Nightscout.
"""

from __future__ import annotations

from typing import Any

from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.find import Document, read_count
from tconnectsync.simulators.nightscout.store import Collection, DatabaseError, Host
from tconnectsync.simulators.nightscout.values import to_iso
from tconnectsync.simulators.nightscout.wire import CrashError, json_answer, read_body, sanitised

_DEFAULT_COUNT = 10


class Profiles:
    """The profile documents of a site; nothing is recognised but the ``_id`` of a change."""

    def __init__(self, host: Host) -> None:
        self.stored = Collection("startDate", written=host.written)
        self._host = host

    def respond(self, request: Request, rest: list[str]) -> Response | None:
        """Answer a request for ``profile`` and what follows it in the path."""
        match request.method, rest:
            case "GET", []:
                return json_answer(self._list(request))
            case "GET", ["current"]:
                return json_answer(self._current())
            case "POST", []:
                return json_answer(self._post(read_body(request)))
            case "PUT", []:
                profile = self._kept({"created_at": self._now()} | read_body(request))
                self.stored.save(profile)
                return json_answer(profile)
            case "DELETE", [id_]:
                self.stored.discard(id_)
                return json_answer({})
        return None

    def search(self, request: Request, rest: list[str]) -> Response | None:
        """Answer a request for ``profiles``, which 0.12.8 does not know."""
        if not self._host.keyed_by_identifier or request.method != "GET" or rest:
            return None
        found = self.stored.search(request.query, self._host.now())
        return json_answer(found[: read_count(request.query, _DEFAULT_COUNT)])

    def _list(self, request: Request) -> list[Document]:
        newest_first = list(reversed(self.stored.oldest_first()))
        if not self._host.keyed_by_identifier:
            return newest_first
        return newest_first[: read_count(request.query, _DEFAULT_COUNT)]

    def _current(self) -> Document | None:
        """Return the one that Nightscout uses: the newest, even if it begins in the future."""
        profiles = self.stored.oldest_first()
        if not profiles:
            return None
        newest = profiles[-1]
        if self._host.keyed_by_identifier:
            same = [p for p in profiles if p.get("startDate") == newest.get("startDate")]
            return max(same, key=lambda profile: str(profile["_id"]))
        return newest

    def _post(self, body: Document | list[Document]) -> list[Document]:
        """Insert profiles; return them with their ids.

        Raises:
            DatabaseError: an ``_id`` is taken.
            CrashError: the same, there is nothing to insert, or a key is none that the database's
                driver takes, for 0.12.8.
        """
        documents = body if isinstance(body, list) else [body]
        if self._host.keyed_by_identifier:
            return [self.stored.post({"created_at": self._now()} | d) for d in sanitised(documents)]
        if not isinstance(body, list):
            documents = [body | {"created_at": self._now()}]
        if not all(map(_may_be_inserted, documents)):
            raise CrashError
        documents = [self._kept(document) for document in documents]
        try:
            return self.stored.post_all(documents)
        except DatabaseError as error:
            raise CrashError from error

    def _kept(self, document: Document) -> Document:
        """Return what is stored of a document: 0.12.8 loses a name that JavaScript uses itself."""
        store = document.get("store")
        if self._host.keyed_by_identifier or not isinstance(store, dict):
            return document
        kept = {name: profile for name, profile in store.items() if name != "__proto__"}
        return document | {"store": kept}

    def _now(self) -> str:
        return to_iso(self._host.now())


def _may_be_inserted(value: Any) -> bool:
    """Return whether the driver of old sites takes all keys of a document (nightscout-api §7.5)."""
    if isinstance(value, list):
        return all(map(_may_be_inserted, value))
    if not isinstance(value, dict):
        return True
    return all("." not in name and not name.startswith("$") for name in value) and all(
        map(_may_be_inserted, value.values())
    )
