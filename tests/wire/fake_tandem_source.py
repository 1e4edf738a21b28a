"""A little of Tandem Source on a loopback server: its login, and data that tests choose."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tconnectsync.api.clients import TConnectApi
from tconnectsync.clock import Clock
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.tandemsource.oidc import LoginService
from tests.support.settings import account

EMAIL, PASSWORD = "someone@example.org", "correct horse"
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)

SSO = "/"
LOGIN = "/accounts/api/login"
AUTHORIZE = "/accounts/api/connect/authorize"
TOKEN = "/accounts/api/connect/token"
JWKS = "/accounts/api/.well-known/openid-configuration/jwks"
PUMPER = "/api/reports/bff/pumper"
LOGS = "/api/reports/bff/pump-logs"

BLOCKED_PAGE = "<html><body><h2>The request is blocked.</h2><p>0aBcD</p></body></html>"


def html(page: str, status: int = 200) -> Response:
    return Response(page.encode(), status, "text/html; charset=utf-8")


def ok(payload: Any, status: int = 200) -> Response:
    return Response(json.dumps(payload).encode(), status)


def redirect(location: str) -> Response:
    return Response(b"", 302, "text/html", [("Location", location)])


class Bench:
    """A served Tandem Source, a client of it, and the waits the client asked for."""

    def __init__(self, folder: Path, region: str) -> None:
        self.folder = folder
        self.now = NOW
        self.waits: list[float] = []
        self.logins = LoginService(EMAIL, PASSWORD, region=region, now=lambda: self.server_now)
        self.server_now = NOW
        self.data: Callable[[Request], Response] = lambda _: ok({"pumps": []})
        """Answers each request with an accepted token."""
        self.server = LoopbackServer(self._handle)
        self.api = self.client(region=region)

    def client(
        self,
        *,
        region: str = "US",
        email: str = EMAIL,
        password: str = PASSWORD,
        is_cached: bool = True,
        read_timeout: float = 10.0,
        slash: str = "",
    ) -> TConnectApi:
        base = self.server.url
        settings = account(
            email,
            password,
            region=region,
            sso_url=f"{base}{slash}",
            accounts_url=f"{base}/accounts/api{slash}",
            source_url=f"{base}{slash}",
            cache_credentials=is_cached,
        )
        return TConnectApi(
            settings,
            Clock(now=lambda: self.now, sleep=self.waits.append, jitter=lambda: 0.0),
            self.folder,
            read_timeout=read_timeout,
        )

    def _handle(self, request: Request) -> Response:
        answer = self.logins.respond(request, self.server.url)
        if answer:
            return answer
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.data(request) if token in self.logins.tokens else ok({}, 401)

    def requests(self, path: str = "") -> list[Request]:
        """The requests so far, those whose path starts with ``path``."""
        return [e.request for e in self.server.log if e.request.path.startswith(path)]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests()]

    def fail(self, path: str, *faults: Response | Fault) -> None:
        """Let the next requests to exactly this path meet these faults, one each."""
        left = list(faults)

        def fault(request: Request) -> Response | Fault | None:
            return left.pop(0) if left and request.path == path else None

        self.server.fault = fault

    def always(self, path: str, fault: Response | Fault) -> None:
        """Let all further requests to exactly this path meet this fault."""
        self.server.fault = lambda request: fault if request.path == path else None


@contextmanager
def serve(folder: Path, region: str = "US") -> Iterator[Bench]:
    """Serve a little of Tandem Source; logins are kept in ``folder``."""
    bench = Bench(folder, region)
    with bench.server:
        yield bench
