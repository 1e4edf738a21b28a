"""A simulated Tandem Source cloud: login, account and pump log over HTTP, on loopback.

It serves what its neighbours ``log`` and ``account`` make of a history, and refuses requests that
the real service would refuse (tandem-source-api §2–4). The login page, the accounts service and
the data share one address.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync.demo.history import PumpHistory, Record, midnight
from tconnectsync.demo.server import LoopbackServer, Request, Response
from tconnectsync.demo.tandemsource.account import ASSIGNMENT_ID, Upload, account, person, pump
from tconnectsync.demo.tandemsource.clock import Clocks
from tconnectsync.demo.tandemsource.entries import LogEntry
from tconnectsync.demo.tandemsource.log import pump_log
from tconnectsync.demo.tandemsource.oidc import LoginService
from tconnectsync.demo.tandemsource.query import LogQuery, QueryError, read_query
from tconnectsync.demo.tconnect.pages import SETTINGS
from tconnectsync.demo.tconnect.view import SERIAL_NUMBER

_SITES = {
    "US": "https://source.tandemdiabetes.com",
    "EU": "https://source.eu.tandemdiabetes.com",
}
_SECOND = timedelta(seconds=1)
_BEFORE = timedelta(hours=1)


class SimulatedTandemSource(LoopbackServer):
    """Serves one person's history; use it with ``with``.

    The history and ``uploaded_until`` are told by the person's own clock, which runs on evenly. The
    log that is served carries the pump's clock, which shows the same until it is set.

    Args:
        history: what the pump did; the log of it is written once, here.
        email: the account's e-mail address.
        password: the account's password.
        zone: the zone in which the person is when the history begins.
        uploaded_until: see the attribute.
        latency: seconds added before every answer.
        clock_changes: what the pump's clock showed before and after each time it was set, in order.
        unrecorded: the numbers of those changes, from 0, of which the log does not tell.
        region: ``US`` or ``EU``.
    """

    def __init__(
        self,
        history: PumpHistory,
        *,
        email: str,
        password: str,
        zone: ZoneInfo,
        uploaded_until: datetime | None = None,
        latency: float = 0.0,
        clock_changes: Sequence[tuple[datetime, datetime]] = (),
        unrecorded: Collection[int] = (),
        region: str = "US",
    ) -> None:
        super().__init__(self._respond, latency=latency)
        self.history = history
        self.uploaded_until = uploaded_until
        """When the pump last uploaded (the person's own clock); ``None``: after all that happened.

        Nothing later is served.
        """
        self.hidden: set[Record] = set()
        """Records whose log entries are held back as if the upload had missed them."""
        self.pumps: list[dict[str, Any]] = []
        """Further pumps of the account, as ``bff/pumper`` lists them; their logs are empty."""
        self.settings = SETTINGS
        """What the pump is set to, mg/dL; replace it to change a profile."""
        self.guardian = False
        """Whether the account is a parent's: then ``bff/pumper`` lists no pumps."""
        self.login = LoginService(email, password, region=region)
        self.assignment_id = ASSIGNMENT_ID
        self.serial_number = str(SERIAL_NUMBER)
        self.clocks = Clocks(midnight(history.first_day), zone, clock_changes, unrecorded)
        self.log_of_pump = pump_log(history, self.clocks)
        self._site = _SITES[region]

    @property
    def sso_url(self) -> str:
        """The address of the login page, without trailing slash."""
        return self.url

    @property
    def accounts_url(self) -> str:
        """The address of the accounts service, which is also the issuer of its tokens."""
        return f"{self.url}/accounts/api"

    @property
    def source_url(self) -> str:
        """The address of the data, without trailing slash."""
        return self.url

    @property
    def _until(self) -> datetime:
        return self.uploaded_until or self.history.end + timedelta(days=1)

    def _respond(self, request: Request) -> Response:
        if answer := self.login.respond(request, self.url):
            return answer
        if not self._comes_from_the_web_app(request):
            return Response(_BLOCKED.encode(), 403, "text/html; charset=utf-8")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.login.tokens:
            return _error(401)
        if request.method != "GET":
            return _error(405)
        match request.path.removeprefix("/").split("/"):
            case ["api", "reports", "bff", "pumper", self.login.pumper_id]:
                return _json(person([] if self.guardian else self._all_pumps()))
            case ["api", "reports", "bff", "pump-logs", assignment_id]:
                return self._pump_logs(request, assignment_id)
            case ["api", "pumpers", "pumpers", self.login.pumper_id]:
                return _json(account(self._all_pumps(), guardian=self.guardian))
        return _error(404)

    def _comes_from_the_web_app(self, request: Request) -> bool:
        """Tell whether the headers name the web app, by its real address or by ours."""
        origin, referer = request.headers.get("origin"), request.headers.get("referer")
        return origin in (self._site, self.url) and referer == f"{origin}/"

    # -- account (tandem-source-api §4.1) ------------------------------------------------------

    def _all_pumps(self) -> list[dict[str, Any]]:
        count = self.log_of_pump.uploaded(self._until)
        upload = None
        if count:
            upload = Upload(
                self.clocks.instant(self._until),
                self.log_of_pump.oldest(count),
                self.log_of_pump.newest(count),
                self.settings,
            )
        return [pump(upload, control_iq=self.history.control_iq), *self.pumps]

    # -- log (tandem-source-api §4.2) ----------------------------------------------------------

    def _pump_logs(self, request: Request, assignment_id: str) -> Response:
        try:
            query = read_query(request.query)
        except QueryError as refused:
            issue = {"code": "custom", "path": [], "message": str(refused)}
            return _json({"name": "ZodError", "issues": [issue]}, 400)
        if request.query.get("pumperId") != self.login.pumper_id:
            return _error(403)
        if assignment_id == self.assignment_id:
            return _json(self._log_of_range(query))
        if assignment_id in [each["assignmentId"] for each in self.pumps]:
            return _json({"events": [], "clockChanges": []})
        return _error(404)

    def _log_of_range(self, query: LogQuery) -> dict[str, Any]:
        """Return the entries of a range in no order, and all clock changes up to the upload.

        One entry from before the range comes along: it is in the answer for that range, too.
        """
        before = self._wanted(query, query.first - _BEFORE, query.first - _SECOND)
        found = self._wanted(query, query.first, query.last)
        events = [as_served(entry) for entry in (*before[-1:], *found)]
        Random(str(query.first)).shuffle(events)
        changes = self.log_of_pump.clock_changes
        return {
            "events": events,
            "clockChanges": [as_served(entry) for entry in changes if entry.at <= self._until],
        }

    def _wanted(self, query: LogQuery, first: datetime, last: datetime) -> list[LogEntry]:
        count = self.log_of_pump.uploaded(self._until)
        return [
            entry
            for entry in self.log_of_pump.between(first, last, count)
            if query.wants(entry.code) and not (self.hidden and entry.record in self.hidden)
        ]


def as_served(entry: LogEntry) -> dict[str, Any]:
    """Return an entry of the log as pump-logs gives it out."""
    time = entry.wall.isoformat()
    return {
        "deviceAssignmentId": ASSIGNMENT_ID,
        "eventCode": entry.code,
        "sequenceGroup": 0,
        "sequenceNumber": entry.number,
        "pumpDateTime": time,
        "estimatedDateTime": f"{time}Z",
        "eventProperties": entry.properties,
    }


def _json(payload: Any, status: int = 200) -> Response:
    return Response(json.dumps(payload, separators=(",", ":")).encode(), status)


def _error(status: int) -> Response:
    return _json({"message": f"The request was refused ({status})."}, status)


_BLOCKED = "<html><body><h2>The request is blocked.</h2></body></html>"
