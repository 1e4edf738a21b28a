"""A few lines of t:connect: enough of its three hosts, on one loopback server, to test clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tconnectsync.api.clients import Account, TConnectApi
from tconnectsync.clock import Clock
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response

GUID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
EMAIL, PASSWORD = "someone@example.org", "correct horse"
NOW = datetime(2021, 5, 4, 12, 0, tzinfo=UTC)

LOGIN_PAGE = """<html><body><form method="post" action="./login.aspx?ReturnUrl=%2f" id="form1">
<input type="hidden" name="__VIEWSTATE" id="__VIEWSTATE" value="state/+=" />
<input type="hidden" name="__VIEWSTATEGENERATOR" id="__VIEWSTATEGENERATOR" value="gen" />
<input type="hidden" name="__EVENTVALIDATION" id="__EVENTVALIDATION" value="valid" />
</form></body></html>"""
BLOCKED_PAGE = "<html><body><h3>Web Page Blocked!</h3><p>Attack ID: 20000051</p></body></html>"

LOGIN, TOKEN = "/login.aspx", "/cloud/oauth2/token"
CONTROLIQ = "/tconnect/controliq/api"
COUNTER = "/cloud/upload/getlasteventuploaded"


def html(page: str, status: int = 200) -> Response:
    return Response(page.encode(), status, "text/html; charset=utf-8")


def ok(payload: Any) -> Response:
    return Response(json.dumps(payload).encode())


@dataclass
class FakeTConnect:
    """What the service answers; tests change the fields to make it answer otherwise."""

    login_page: Response = field(default_factory=lambda: html(LOGIN_PAGE))
    rejection: Response | None = None
    location: str | None = "/CookieCheck.aspx?ReturnUrl=%2F"
    cookies: dict[str, str] = field(
        default_factory=lambda: {
            "UserGUID": GUID,
            "accessToken": "web-token",
            "accessTokenExpiresAt": "2021-05-04T20:00:00.381Z",
        }
    )
    token: Response = field(
        default_factory=lambda: ok(
            {
                "accessToken": "app-token",
                "accessTokenExpiresAt": "2021-05-04T20:00:00.381Z",
                "user": {"id": "user-1"},
            }
        )
    )
    pages: dict[str, Response] = field(
        default_factory=lambda: {
            "/CookieCheck.aspx": Response(status=302, headers=[("Location", "/")]),
            "/": html("home"),
        }
    )
    data: Response = field(default_factory=lambda: ok({"faked": True}))
    """The answer to everything else."""

    def handle(self, request: Request) -> Response:
        if request.path == LOGIN:
            return self.login_page if request.method == "GET" else self._login()
        if request.path == TOKEN:
            return self.token
        return self.pages.get(request.path, self.data)

    def _login(self) -> Response:
        headers = [("Set-Cookie", f"{name}={text}; path=/") for name, text in self.cookies.items()]
        if self.location is not None:
            headers.append(("Location", self.location))
        return self.rejection or Response(b"<h2>Object moved</h2>", 302, "text/html", headers)


class Bench:
    """A served :class:`FakeTConnect`, a client of it, and the waits the client asked for."""

    def __init__(self, server: LoopbackServer, fake: FakeTConnect) -> None:
        self.server = server
        self.fake = fake
        self.waits: list[float] = []
        self.now = NOW
        self.api = self.client()

    def client(
        self,
        *,
        base: str = "",
        email: str = EMAIL,
        password: str = PASSWORD,
        read_timeout: float = 10.0,
        jitter: float = 0.0,
    ) -> TConnectApi:
        base = base or self.server.url
        return TConnectApi(
            Account(email, password, web_url=base, services_url=base, ws2_url=base),
            Clock(now=lambda: self.now, sleep=self.waits.append, jitter=lambda: jitter),
            read_timeout=read_timeout,
        )

    def requests(self, path: str = "", method: str = "") -> list[Request]:
        """The requests so far, those whose path starts with ``path``."""
        seen = [entry.request for entry in self.server.log]
        return [r for r in seen if r.path.startswith(path) and method in ("", r.method)]

    def fail(self, path: str, *faults: Response | Fault | None) -> None:
        """Let the next requests to this path meet these faults, one each; None means none."""
        left = list(faults)

        def fault(request: Request) -> Response | Fault | None:
            return left.pop(0) if left and request.path.startswith(path) else None

        self.server.fault = fault


@contextmanager
def serve() -> Iterator[Bench]:
    """Serve a fake t:connect."""
    fake = FakeTConnect()
    with LoopbackServer(fake.handle) as server:
        yield Bench(server, fake)
