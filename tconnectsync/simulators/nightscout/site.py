"""A small Nightscout on loopback, kept in memory: the site that ``--demo`` and most tests write to.

It behaves as the real one does towards an uploader, traps included. ``?secret=`` and ``?token=``
do not work on purpose: no secret belongs into a URL.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.activity import ActivityRecords
from tconnectsync.simulators.nightscout.devicestatus import DeviceStatuses
from tconnectsync.simulators.nightscout.entries import Entries
from tconnectsync.simulators.nightscout.find import BadFindError, Document
from tconnectsync.simulators.nightscout.profiles import Profiles
from tconnectsync.simulators.nightscout.rights import Rights
from tconnectsync.simulators.nightscout.store import BadIdError, Collection, DatabaseError, Host
from tconnectsync.simulators.nightscout.treatments import Treatments
from tconnectsync.simulators.nightscout.values import to_epoch, to_iso
from tconnectsync.simulators.nightscout.wire import (
    CrashError,
    failure,
    json_answer,
    not_found,
    page,
    problem,
    wants_json,
)

_API = "/api/v1/"
_ENABLED = ("careportal", "basal", "iob", "pump", "openaps", "profile")
_BODY_LIMITS = {"activity": 100 * 1024, "profile": 1024 * 1024, "devicestatus": 1024 * 1024}
"""The longest body (bytes) that 15.0.7 reads, where one may be longer (nightscout-api §1.1)."""


class SmallNightscout(LoopbackServer):
    """A Nightscout of either generation; use it with ``with``.

    Where the real 0.12.8 ends its own process, it answers nothing and takes no connection until it
    is reopened.

    Args:
        secret: the site's ``API_SECRET``.
        keyed_by_identifier: behave as 15.0.7, which recognises a treatment by its ``identifier``;
            else as 0.12.8, the oldest one supported, which goes by time and type.
        token: an access token with all rights; 0.12.8 does not take it in the header.
        tokens: further access tokens, each with its roles and rights, separated by blanks.
        default_roles: what is allowed to everybody, even without a secret.
        latency: seconds added before every answer.
        now: the site's clock.
        units: what the site says it shows glucose in; "mg/dl" or "mmol".
    """

    def __init__(
        self,
        secret: str,
        *,
        keyed_by_identifier: bool = True,
        token: str | None = None,
        tokens: Mapping[str, str] | None = None,
        default_roles: str = "denied",
        latency: float = 0.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        units: str = "mg/dl",
    ) -> None:
        super().__init__(self._respond, latency=latency)
        self.writes = 0
        """How many documents requests have created, replaced or deleted."""
        self.crashes = 0
        """How often a request has ended it."""
        self.pages: dict[str, Callable[[], str]] = {}
        """Pages for people besides the API, by path: what makes the HTML of each."""
        self._keyed_by_identifier = keyed_by_identifier
        self._now = now
        roles = {**(tokens or {}), **({token: "admin"} if token else {})}
        self._rights = Rights(secret, roles, default_roles, knows_tokens=keyed_by_identifier)
        self._lock = threading.RLock()
        self._units = units
        host = Host(keyed_by_identifier, now, self._count_written)
        treatments, entries = Treatments(host), Entries(host)
        activity, profiles = ActivityRecords(host), Profiles(host)
        device_statuses = DeviceStatuses(host)
        self._stored: dict[str, Collection] = {
            "treatments": treatments.stored,
            "entries": entries.stored,
            "activity": activity.stored,
            "profile": profiles.stored,
            "devicestatus": device_statuses.stored,
        }
        self._resources: dict[str, Callable[[Request, list[str]], Response | None]] = {
            "status": self._status,
            "treatments": treatments.respond,
            "entries": entries.respond,
            "activity": activity.respond,
            "profile": profiles.respond,
            "profiles": profiles.search,
            "devicestatus": device_statuses.respond,
        }

    @property
    def treatments(self) -> list[Document]:
        """Copies of the stored treatments, oldest first."""
        return self._copies("treatments")

    @property
    def entries(self) -> list[Document]:
        """Copies of the stored entries, oldest first."""
        return self._copies("entries")

    @property
    def activity(self) -> list[Document]:
        """Copies of the stored activity records, oldest first."""
        return self._copies("activity")

    @property
    def profiles(self) -> list[Document]:
        """Copies of the stored profile documents, the one that started first at the front."""
        return self._copies("profile")

    @property
    def device_statuses(self) -> list[Document]:
        """Copies of the stored device statuses, oldest first."""
        return self._copies("devicestatus")

    def insert(self, documents: Iterable[Document], collection: str = "treatments") -> None:
        """Put documents into the database as they are, as another program may have left them.

        Args:
            documents: what to store.
            collection: "treatments", "entries", "activity", "profile" or "devicestatus".
        """
        with self._lock:
            for document in _copies(documents):
                self._stored[collection].seed(document)

    def give_token(self, token: str, roles: str) -> None:
        """Let an access token have roles and rights, separated by blanks, from now on."""
        self._rights.give(token, roles)

    def _copies(self, collection: str) -> list[Document]:
        with self._lock:
            return _copies(self._stored[collection].oldest_first())

    def _count_written(self, documents: int) -> None:
        self.writes += documents

    def answer(self, request: Request) -> Response | Fault:
        """Answer one request, or end as 0.12.8 does."""
        try:
            return super().answer(request)
        except CrashError:
            self.crashes += 1
            return Fault.REFUSE

    def _respond(self, request: Request) -> Response:
        name, *rest = request.path.removeprefix(_API).removesuffix(".json").rstrip("/").split("/")
        if request.path in self.pages and request.method == "GET":
            html = self.pages[request.path]()
            return Response(html.encode(), 200, "text/html; charset=utf-8")
        visitor = self._rights.visitor(request)
        if request.path == f"{_API}verifyauth":
            return json_answer({"status": 200, "message": self._rights.answer_to(visitor)})
        resource = self._resources.get(name)
        if not request.path.startswith(_API) or resource is None:
            return not_found(request)
        if not visitor.may_send(request, "profile" if name == "profiles" else name):
            return problem(401, "Unauthorized", "Invalid/Missing")
        limit = _BODY_LIMITS.get(name) if self._keyed_by_identifier else None
        if limit is not None and len(request.body) > limit:
            return page(413, "PayloadTooLargeError: request entity too large")
        with self._lock:
            try:
                return resource(request, rest) or not_found(request)
            except json.JSONDecodeError as error:
                return page(400, f"SyntaxError: {error}")
            except DatabaseError as error:
                return problem(500, "Mongo Error", str(error))
            except BadIdError as error:
                if self._keyed_by_identifier:
                    return problem(400, "Bad Request", str(error))
                return failure(request, error)
            except BadFindError as error:
                if self._keyed_by_identifier and request.method == "GET" and name != "entries":
                    return json_answer(None)
                return failure(request, error)

    def _status(self, request: Request, rest: list[str]) -> Response | None:
        if request.method != "GET" or rest:
            return None
        if not wants_json(request):
            return page(200, "STATUS OK")
        now = self._now()
        return json_answer(
            {
                "status": "ok",
                "name": "nightscout",
                "version": "15.0.7" if self._keyed_by_identifier else "0.12.8",
                "serverTime": to_iso(now),
                "serverTimeEpoch": to_epoch(now),
                "apiEnabled": True,
                "careportalEnabled": "careportal" in _ENABLED,
                "boluscalcEnabled": "boluscalc" in _ENABLED,
                "settings": {"units": self._units, "timeFormat": 12, "enable": list(_ENABLED)},
                "extendedSettings": {},
                "authorized": None,
            }
        )


def _copies(documents: Iterable[Document]) -> list[Document]:
    copies: list[Document] = json.loads(json.dumps(list(documents)))
    return copies
