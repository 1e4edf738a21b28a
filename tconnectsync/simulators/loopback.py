"""A small HTTP server on loopback, which the simulated services are built on.

It speaks HTTP/1.1 with kept-alive connections, notes every request it answered, can slow every
answer down, and can be made to misbehave.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

ABORT = struct.pack("ii", 1, 0)
"""For SO_LINGER: let closing a connection break it off (RST) instead of ending it."""


@dataclass(frozen=True)
class Request:
    """What a client sent. Header names are lower case; ``path`` has no query and no host.

    Names of the query that end with ``[]`` are those of ``lists``.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    lists: dict[str, list[str]] = field(default_factory=dict)
    """All values of the parameters whose names end in ``[]``; ``query`` has the last of each."""

    @property
    def form(self) -> dict[str, str]:
        """The fields of a URL-encoded form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies sent along."""
        return {name: c.value for name, c in SimpleCookie(self.headers.get("cookie", "")).items()}


@dataclass(frozen=True)
class Response:
    """What to answer; ``headers`` may repeat a name, as ``Set-Cookie`` needs it."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    delay: float = 0.0
    """Seconds to wait before answering."""


class Fault(Enum):
    """How a server can fail to answer at all."""

    DROP = "close the connection without a word"
    CUT = "close the connection in the middle of the answer"
    RESET = "break the connection off in the middle of the answer"
    REFUSE = "close the connection, and take no new one until reopened"


@dataclass(frozen=True)
class Logged:
    """A request that was answered, and how."""

    request: Request
    status: int


class LoopbackServer:
    """Serves ``handle`` on a free port of 127.0.0.1 until stopped; use it with ``with``.

    Args:
        handle: makes the answer to a request; requests come from several threads.
        latency: seconds added before every answer.
    """

    def __init__(self, handle: Callable[[Request], Response], *, latency: float = 0.0) -> None:
        self.latency = latency
        self.log: list[Logged] = []
        self.fault: Callable[[Request], Response | Fault | None] | None = None
        """Asked first for every request; what it returns replaces the answer."""
        self._handle = handle
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self._serving = False

    @property
    def url(self) -> str:
        """The base address, without trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        self._server.server_close()

    def refuse(self) -> None:
        """Refuse new connections; the port stays ours, and connections that are open stay open."""
        if self._serving:
            self._serving = False
            self._server.stop_listening()

    def reopen(self) -> None:
        """Take new connections again."""
        if not self._serving:
            self._server.server_activate()
            self._serve()

    def _serve(self) -> None:
        self._serving = True
        self._server.start()

    def carry_out(self, request: Request) -> Response:
        """Do what is asked and return the true answer; for a fault that comes after the deed."""
        return self._handle(request)

    def answer(self, request: Request) -> Response | Fault:
        """Answer one request: the planned fault if there is one, else what ``handle`` says."""
        answer = (self.fault and self.fault(request)) or self._handle(request)
        delay = self.latency + (answer.delay if isinstance(answer, Response) else 0.0)
        if delay:
            time.sleep(delay)
        self.log.append(Logged(request, answer.status if isinstance(answer, Response) else 0))
        return answer


class SimulatedCloud(LoopbackServer):
    """A server that stands for one of the clouds."""

    uploaded_until: datetime | None
    """Up to when the pump has uploaded, by its wall clock; ``None``: all."""

    @property
    def variables(self) -> dict[str, str]:
        """The settings that lead to it instead of the real one."""
        raise NotImplementedError


def read_query(text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Read a query or form; names that end with ``[]`` may come several times, and are apart."""
    single: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name.endswith("[]"):
            lists.setdefault(name, []).append(value)
        else:
            single[name] = value
    return single, lists


class _Server(ThreadingHTTPServer):
    """Takes connections in a thread of its own, which ends at once when it is asked to."""

    daemon_threads = True
    block_on_close = False
    timeout = 0

    def start(self) -> None:
        """Take connections from now on."""
        self._ask_to_end, asked = socket.socketpair()
        self._taking = threading.Thread(target=self._take_connections, args=(asked,), daemon=True)
        self._taking.start()

    def _take_connections(self, asked: socket.socket) -> None:
        with asked, DefaultSelector() as selector:
            selector.register(self, EVENT_READ)
            selector.register(asked, EVENT_READ)
            while all(ready.fileobj is not asked for ready, _ in selector.select()):
                self.handle_request()

    def stop_listening(self) -> None:
        """Hold the port without listening, so that new connections are refused."""
        self._ask_to_end.close()
        self._taking.join()
        self.socket.close()
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: clients that go away are part of what is simulated."""


def _handler_for(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            query, lists = read_query(url.query)
            request = Request(
                method=self.command,
                path=url.path,
                query=query,
                lists=lists,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            answer = server.answer(request)
            if isinstance(answer, Response):
                self._send(answer)
                return
            if answer is Fault.REFUSE:
                server.refuse()
            if answer in (Fault.CUT, Fault.RESET):
                self._send(Response(b"[", headers=[("Content-Length", "1000")]))
            self._hang_up(with_reset=answer is Fault.RESET)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        def _send(self, answer: Response) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            names = {name.lower() for name, _ in answer.headers}
            if "content-length" not in names:
                self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()

        def _hang_up(self, *, with_reset: bool) -> None:
            self.close_connection = True
            if with_reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                socket.close(self.connection.detach())
            else:
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent; the server keeps its own log."""

    return Handler
