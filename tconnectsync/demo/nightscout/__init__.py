"""A small Nightscout on loopback, kept in memory: the site that ``--demo`` and most tests write to.

It behaves as the real one does towards an uploader, traps included. ``?secret=`` and ``?token=``
do not work on purpose: no secret belongs into a URL.
"""

from __future__ import annotations

import hashlib
import html
import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from tconnectsync.demo.nightscout.store import BadFindError, DatabaseError, Document
from tconnectsync.demo.nightscout.treatments import Treatments, shown, to_iso
from tconnectsync.demo.server import LoopbackServer, Request, Response

_API = "/api/v1/"


class SmallNightscout(LoopbackServer):
    """A Nightscout of either generation; use it with ``with``.

    Every request needs the header ``api-secret``: nothing is readable for everybody.

    Args:
        secret: the site's ``API_SECRET``.
        keyed_by_identifier: behave as 15.0.7, which recognises a treatment by its ``identifier``;
            else as 0.12.8, the oldest one supported, which goes by time and type.
        token: an access token with all rights; 0.12.8 does not take it in the header.
        latency: seconds added before every answer.
        now: the site's clock.
    """

    def __init__(
        self,
        secret: str,
        *,
        keyed_by_identifier: bool = True,
        token: str | None = None,
        latency: float = 0.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(self._respond, latency=latency)
        self.writes = 0
        """How many documents requests have created, replaced or deleted."""
        self._keyed_by_identifier = keyed_by_identifier
        self._now = now
        self._passwords = {_sha1(secret)}
        if token and keyed_by_identifier:
            self._passwords |= {token, _sha1(token)}
        self._lock = threading.RLock()
        self._treatments = Treatments(keyed_by_identifier=keyed_by_identifier, now=now)
        self._resources: dict[str, Callable[[Request, list[str]], Response | None]] = {
            "status": self._status,
            "treatments": self._on_treatments,
        }

    @property
    def treatments(self) -> list[Document]:
        """Copies of the stored treatments, oldest first."""
        with self._lock:
            return [_copy(document) for document in self._treatments.stored.oldest_first()]

    def insert(self, documents: Iterable[Document]) -> None:
        """Put treatments into the database as they are, as another program may have left them."""
        with self._lock:
            for document in documents:
                self._treatments.stored.add(_copy(document))

    def _respond(self, request: Request) -> Response:
        name, *rest = request.path.removeprefix(_API).removesuffix(".json").rstrip("/").split("/")
        resource = self._resources.get(name)
        if not request.path.startswith(_API) or resource is None:
            return _not_found(request)
        if request.headers.get("api-secret") not in self._passwords:
            return _problem(401, "Unauthorized", "Invalid/Missing")
        with self._lock:
            try:
                return resource(request, rest) or _not_found(request)
            except json.JSONDecodeError as error:
                return _page(400, f"SyntaxError: {error}")
            except DatabaseError as error:
                return _problem(500, "Mongo Error", str(error))
            except BadFindError as error:
                if self._keyed_by_identifier and request.method == "GET":
                    return _json(None)
                return _json({"error": {"message": str(error)}}, 500)

    def _status(self, request: Request, rest: list[str]) -> Response | None:
        if request.method != "GET" or rest:
            return None
        if not request.path.endswith(".json") and "json" not in request.headers.get("accept", ""):
            return _page(200, "STATUS OK")
        now = self._now()
        return _json(
            {
                "status": "ok",
                "name": "nightscout",
                "version": "15.0.7" if self._keyed_by_identifier else "0.12.8",
                "serverTime": to_iso(now),
                "serverTimeEpoch": int(now.timestamp() * 1000),
                "apiEnabled": True,
                "careportalEnabled": True,
                "boluscalcEnabled": True,
                "settings": {"units": "mg/dl", "timeFormat": 12, "enable": ["careportal"]},
                "extendedSettings": {},
                "authorized": None,
            }
        )

    def _on_treatments(self, request: Request, rest: list[str]) -> Response | None:
        match request.method, rest:
            case "GET", []:
                return self._list(request)
            case "POST", []:
                return self._post(request)
            case "PUT", []:
                return self._put(request)
            case "DELETE", [] | [_]:
                return self._delete(request, *rest)
        return None

    def _list(self, request: Request) -> Response:
        count = request.query.get("count", self._default_count(request))
        if not count.isdigit():
            raise BadFindError("count must be a number")
        found = self._treatments.find(request.query)
        return _json([shown(treatment) for treatment in found[: int(count) or None]])

    def _default_count(self, request: Request) -> str:
        if not self._keyed_by_identifier:
            return "0"
        return "1000" if any(name.startswith("find[") for name in request.query) else "100"

    def _post(self, request: Request) -> Response:
        body = _body(request)
        if self._keyed_by_identifier:
            body = _sanitised(body)
        answer = []
        for document in body if isinstance(body, list) else [body]:
            answer.append(self._treatments.post(document))
            self.writes += 1
        return _json(answer)

    def _put(self, request: Request) -> Response:
        answer = self._treatments.put(_body(request))
        self.writes += 1
        return _json(answer)

    def _delete(self, request: Request, id_: str = "*") -> Response:
        query = request.query if id_ == "*" else {**request.query, "find[_id]": id_}
        found = self._treatments.find(query)
        self._treatments.stored.remove(found)
        self.writes += len(found)
        if not self._keyed_by_identifier:
            return _json({"n": len(found), "ok": 1})
        return _json({"acknowledged": True, "deletedCount": len(found)})


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _copy(document: Document) -> Document:
    copy: Document = json.loads(json.dumps(document))
    return copy


def _body(request: Request) -> Any:
    """Return the JSON sent; a body that is not called JSON is no body, and no body is ``{}``.

    Raises:
        json.JSONDecodeError: it is not JSON, or neither an object nor an array of objects.
    """
    if "json" not in request.headers.get("content-type", "") or not request.body:
        return {}
    text = request.body.decode()
    body = json.loads(text)
    documents = body if isinstance(body, list) and request.method == "POST" else [body]
    if not all(isinstance(document, dict) for document in documents):
        raise json.JSONDecodeError("An object is expected", text, 0)
    return body


def _sanitised(value: Any) -> Any:
    """Return a value with its texts made safe for a web page."""
    match value:
        case str():
            return html.escape(html.unescape(value), quote=False)
        case list():
            return [_sanitised(item) for item in value]
        case dict():
            return {name: _sanitised(item) for name, item in value.items()}
    return value


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value).encode(), status, "application/json; charset=utf-8")


def _problem(status: int, message: str, description: str) -> Response:
    return _json({"status": status, "message": message, "description": description}, status)


def _page(status: int, text: str) -> Response:
    body = f"<!DOCTYPE html>\n<title>Nightscout</title>\n<pre>{html.escape(text)}</pre>\n"
    return Response(body.encode(), status, "text/html; charset=utf-8")


def _not_found(request: Request) -> Response:
    return _page(404, f"Cannot {request.method} {request.path}")
