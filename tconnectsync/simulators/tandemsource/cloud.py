"""A simulated Tandem Source cloud: login, account and pump log over HTTP, on loopback.

It serves what its neighbours ``log`` and ``account`` make of a history, and refuses requests that
the real service would refuse (tandem-source-api §2–4). The login page, the accounts service and
the data share one address.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.simulators.history import PumpHistory, Record
from tconnectsync.simulators.loopback import Request, Response, SimulatedCloud
from tconnectsync.simulators.tandemsource.account import account, person
from tconnectsync.simulators.tandemsource.log import PumpLog
from tconnectsync.simulators.tandemsource.oidc import LoginService
from tconnectsync.simulators.tandemsource.pumps import SimulatedPump, as_served
from tconnectsync.simulators.tandemsource.query import QueryError, read_query

__all__ = ["SimulatedPump", "SimulatedTandemSource", "as_served"]

_SITES = {
    "US": "https://source.tandemdiabetes.com",
    "EU": "https://source.eu.tandemdiabetes.com",
}


class SimulatedTandemSource(SimulatedCloud):
    """Serves the account of one person; use it with ``with``.

    The account has one pump, and others that are added to ``pumps``. What is an attribute here and
    of a pump as well is that of the one pump.

    Args:
        history: what the pump did, or the pump.
        email: the account's e-mail address.
        password: the account's password.
        zone: the zone in which the person is when the history begins.
        uploaded_until: see :class:`SimulatedPump`.
        latency: seconds added before every answer.
        clock_changes: see :class:`SimulatedPump`.
        unrecorded: see :class:`SimulatedPump`.
        region: ``US`` or ``EU``.
    """

    def __init__(
        self,
        history: PumpHistory | SimulatedPump,
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
        if isinstance(history, PumpHistory):
            history = SimulatedPump(
                history,
                zone=zone,
                clock_changes=clock_changes,
                unrecorded=unrecorded,
                uploaded_until=uploaded_until,
            )
        self.pump = history
        """The pump that the account was made with."""
        self.pumps: list[dict[str, Any] | SimulatedPump] = []
        """Further pumps of the account: one with a log of its own, or one whose log is empty, as
        ``bff/pumper`` lists it."""
        self.filters = True
        """Whether only the codes that were asked for are given out; until mid-2026 all were."""
        self.strict = False
        """Whether codes that Tandem's web app does not ask for are refused, and no list at all."""
        self.guardian = False
        """Whether the account is a parent's: then ``bff/pumper`` lists no pumps."""
        self.login = LoginService(email, password, region=region)
        self.history = self.pump.history
        self.assignment_id = self.pump.assignment_id
        self.serial_number = self.pump.serial_number
        self.clocks = self.pump.clocks
        self._site = _SITES[region]

    @property
    def uploaded_until(self) -> datetime | None:
        """When the pump last uploaded (the person's own clock); ``None``: after all."""
        return self.pump.uploaded_until

    @uploaded_until.setter
    def uploaded_until(self, moment: datetime | None) -> None:
        self.pump.uploaded_until = moment

    @property
    def hidden(self) -> set[Record]:
        """Records of the pump whose log entries are held back as if the upload had missed them."""
        return self.pump.hidden

    @hidden.setter
    def hidden(self, records: set[Record]) -> None:
        self.pump.hidden = records

    @property
    def settings(self) -> PumpSettings:
        """What the pump is set to, mg/dL; replace it to change a profile."""
        return self.pump.settings

    @settings.setter
    def settings(self, settings: PumpSettings) -> None:
        self.pump.settings = settings

    @property
    def log_of_pump(self) -> PumpLog:
        """The log of the pump."""
        return self.pump.log_of_pump

    @log_of_pump.setter
    def log_of_pump(self, log: PumpLog) -> None:
        self.pump.log_of_pump = log

    @property
    def variables(self) -> dict[str, str]:
        """The settings that lead to it instead of the real one."""
        return {
            "TANDEM_SSO_URL": self.sso_url,
            "TANDEM_ACCOUNTS_URL": self.accounts_url,
            "TANDEM_SOURCE_URL": self.source_url,
        }

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
                listed = account(self._all_pumps(), guardian=self.guardian)
                return _json({"id": self.login.pumper_id, **listed})
        return _error(404)

    def _comes_from_the_web_app(self, request: Request) -> bool:
        """Return whether the headers name the web app, by its real address or by ours."""
        origin, referer = request.headers.get("origin"), request.headers.get("referer")
        return origin in (self._site, self.url) and referer == f"{origin}/"

    def _all_pumps(self) -> list[dict[str, Any]]:
        return [
            each.listed() if isinstance(each, SimulatedPump) else each
            for each in (self.pump, *self.pumps)
        ]

    def _pump_logs(self, request: Request, assignment_id: str) -> Response:
        """Answer a request for a log (docs/protocol/tandem-source-api.md §4.2)."""
        try:
            query = read_query(request.query, strict=self.strict)
        except QueryError as refused:
            issue = {"code": "custom", "path": [], "message": str(refused)}
            return _json({"name": "ZodError", "issues": [issue]}, 400)
        if request.query.get("pumperId") != self.login.pumper_id:
            return _error(403)
        for each in (self.pump, *self.pumps):
            if isinstance(each, SimulatedPump):
                if each.assignment_id == assignment_id:
                    asked = query if self.filters else replace(query, codes=None)
                    return Response(each.text_of_range(asked).encode())
            elif each["assignmentId"] == assignment_id:
                return _json({"events": [], "clockChanges": []})
        return _error(404)


def _json(payload: Any, status: int = 200) -> Response:
    return Response(json.dumps(payload, separators=(",", ":")).encode(), status)


def _error(status: int) -> Response:
    return _json({"message": f"The request was refused ({status})."}, status)


_BLOCKED = "<html><body><h2>The request is blocked.</h2></body></html>"
