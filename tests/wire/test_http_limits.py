"""Answers without measure, and answers that send us elsewhere with our login in hand."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.api.clients import TConnectApi
from tconnectsync.clock import Clock
from tconnectsync.errors import LoginError, NetworkError, NightscoutError, TconnectsyncError
from tconnectsync.http import (
    MAX_REDIRECTS,
    MOST_BYTES,
    NO_RETRIES,
    HttpClient,
    endpoint,
    same_origin,
)
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tests.support.clocks import NO_WAITING
from tests.support.settings import account
from tests.wire import fake_tandem_source, fake_tconnect

MILLION = 1_000_000
HEADERS = {"Authorization": "Bearer of-the-user", "api-secret": "hashed"}


def client(clock: Clock = NO_WAITING, **options: Any) -> HttpClient:
    headers = options.pop("headers", {})
    http = HttpClient("The service", clock, **options)
    http.session.headers.update(headers)
    return http


class RawServer:
    """Sends prepared bytes to whoever asks, and counts connections and what was asked."""

    def __init__(self, answers: Callable[[int], Iterator[bytes]]) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.gone = threading.Event()
        """The client hung up before it had everything."""
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                while asked := connection.recv(65_536):
                    self.requests.append(asked)
                    for piece in self._answers(len(self.requests)):
                        connection.sendall(piece)
            except OSError:
                self.gone.set()


@contextmanager
def raw_server(answers: Callable[[int], Iterator[bytes]]) -> Iterator[RawServer]:
    server = RawServer(answers)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.stop()


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def unending(_: int) -> Iterator[bytes]:
    """An answer without length or end."""
    yield head("Transfer-Encoding: chunked")
    while True:
        yield chunk(b"[" * MILLION)


def unending_until_closed(_: int) -> Iterator[bytes]:
    yield head("Connection: close")
    while True:
        yield b"[" * MILLION


def announced(_: int) -> Iterator[bytes]:
    """An answer that says it is too long."""
    yield head(f"Content-Length: {MOST_BYTES + 1}")
    yield b"["


def bomb(packing: str, wbits: int) -> Callable[[int], Iterator[bytes]]:
    """An answer that is small on the wire and a gigabyte when it is unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    # After a full flush a part no longer depends on those before: all but the first are the same.
    first, another = (
        packer.compress(bytes(MILLION)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    packed = first + 999 * another
    assert len(packed) < 2 * MILLION

    def answers(_: int) -> Iterator[bytes]:
        yield head(f"Content-Encoding: {packing}", f"Content-Length: {len(packed)}")
        yield packed

    return answers


@pytest.mark.parametrize(
    "answers",
    [unending, unending_until_closed, announced, bomb("gzip", 31), bomb("deflate", 15)],
    ids=["unending", "unending without chunks", "announced", "gzip bomb", "deflate bomb"],
)
def test_an_answer_over_50_mb_is_refused_as_it_comes_in_and_not_kept(
    answers: Callable[[int], Iterator[bytes]],
) -> None:
    with raw_server(answers) as server:
        tracemalloc.start()
        try:
            with pytest.raises(NetworkError, match=r"bigger than 50 MB, .* not read to its end"):
                client().get(server.url)
            now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(server.requests) == 1  # Once more would be no smaller.
    assert peak < 2.5 * MOST_BYTES
    assert now < 5 * MILLION


def test_an_answer_that_is_announced_as_too_big_is_not_even_begun() -> None:
    with raw_server(announced) as server:
        tracemalloc.start()
        try:
            with pytest.raises(NetworkError):
                client().get(server.url)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < MILLION


def test_the_server_of_a_refused_answer_is_left_at_once() -> None:
    with raw_server(unending) as server:
        with pytest.raises(NetworkError):
            client().get(server.url)
        assert server.gone.wait(5)


def up_to_a_million() -> HttpClient:
    limited = client()
    limited.most_bytes = MILLION
    return limited


def test_an_answer_just_below_the_limit_arrives_whole() -> None:
    with LoopbackServer(lambda request: Response(b"x" * MILLION)) as server:
        assert up_to_a_million().get(server.url).content == b"x" * MILLION
    with (
        LoopbackServer(lambda request: Response(b"x" * (MILLION + 1))) as server,
        pytest.raises(NetworkError, match="bigger than 1 MB"),
    ):
        up_to_a_million().get(server.url)


def test_a_redirect_cannot_hide_an_answer_without_end() -> None:
    with (
        LoopbackServer(
            lambda request: Response(bytes(MILLION + 1), 302, headers=[("Location", "/")])
        ) as server,
        pytest.raises(NetworkError, match="bigger than"),
    ):
        up_to_a_million().get(server.url, allow_redirects=False)


@pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "x-unknown"])
def test_an_answer_packed_in_a_way_that_nobody_asked_for_is_refused(packing: str) -> None:
    answer = Response(b"anything", headers=[("Content-Encoding", packing)])
    with (
        LoopbackServer(lambda request: answer) as server,
        pytest.raises(NetworkError, match="compressed in an unexpected way"),
    ):
        client().get(server.url)
    assert server.log[0].request.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("packing", ["gzip", "deflate", "identity", "GZip"])
def test_ordinary_packings_are_unpacked(packing: str) -> None:
    body = b'{"some": "data"}' * 20_000
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "identity": body}
    answer = Response(packed[packing.lower()], headers=[("Content-Encoding", packing)])
    with LoopbackServer(lambda request: answer) as server:
        assert client().get(server.url).content == body


def test_a_damaged_packing_is_tried_again_and_then_an_error() -> None:
    answer = Response(b"junk", headers=[("Content-Encoding", "gzip")])
    with (
        LoopbackServer(lambda request: answer) as server,
        pytest.raises(NetworkError, match="its answer was damaged"),
    ):
        client().get(server.url)
    assert len(server.log) == 3


def test_an_answer_that_trickles_in_without_end_is_given_up() -> None:
    started = time.monotonic()
    clock = replace(NO_WAITING, monotonic=lambda: 2000 * (time.monotonic() - started))

    def trickle(_: int) -> Iterator[bytes]:
        yield head("Content-Length: 1000000")
        pause = threading.Event()
        while True:
            yield b"["
            pause.wait(0.02)

    with (
        raw_server(trickle) as server,
        pytest.raises(NetworkError, match="did not answer in time"),
    ):
        client(clock, retries=NO_RETRIES, read_timeout=300).get(server.url)


def test_one_connection_serves_all_answers_whatever_their_form() -> None:
    packed = gzip.compress(b"packed")
    answers = [
        head("Content-Length: 5") + b"plain",
        head("Transfer-Encoding: chunked") + chunk(b"in ") + chunk(b"chunks") + b"0\r\n\r\n",
        head("Content-Encoding: gzip", f"Content-Length: {len(packed)}") + packed,
        head("Content-Length: 0"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 4\r\n\r\ngone",
        head("Content-Length: 3") + b"end",
    ]
    with raw_server(lambda number: iter([answers[number - 1]])) as server:
        http = client(read_timeout=300)
        got = [http.get(server.url).content for _ in range(len(answers) - 1)]
    assert got == [b"plain", b"in chunks", b"packed", b"", b"", b"end"]
    assert server.connections == 1


# -- redirects -----------------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda request: Response(b"{}")) as server:
        yield server


def redirecting(target: str, status: int = 302) -> LoopbackServer:
    return LoopbackServer(lambda request: Response(b"", status, headers=[("Location", target)]))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_redirect_to_another_host_is_refused_before_anything_goes_there(
    elsewhere: LoopbackServer, method: str, status: int
) -> None:
    headers = [("Location", f"{elsewhere.url}/catch"), ("Set-Cookie", "session=secret")]
    with LoopbackServer(lambda request: Response(b"", status, headers=headers)) as server:
        http = client(headers=HEADERS)
        http.get(f"{server.url}/cookie", allow_redirects=False)
        with pytest.raises(NetworkError, match="sends us to another address") as raised:
            http.request(method, f"{server.url}/data", data=b"private" if method != "GET" else None)
    assert not elsewhere.log
    assert [each.request.cookies for each in server.log] == [{}, {"session": "secret"}]
    assert elsewhere.url.partition("//")[2] not in str(raised.value)


@pytest.mark.parametrize(
    ("target", "is_same"),
    [
        ("https://host.example/other?x", True),
        ("https://HOST.example:443/", True),
        ("http://host.example/", False),
        ("http://host.example:443/", False),
        ("https://host.example:8443/", False),
        ("https://host.example.evil.example/", False),
        ("https://host.example@evil.example/", False),
        ("https://evil.example/?https://host.example/", False),
        ("https://sub.host.example/", False),
        ("https:///path", False),
        ("https://host.example:99999/", False),
        ("https://[broken/", False),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_only_the_same_scheme_host_and_port_are_the_same_place(target: str, is_same: bool) -> None:
    assert same_origin("https://host.example/path", target) is is_same


@pytest.mark.parametrize(
    "location",
    [
        "//evil.example/",
        "http://[broken/",
        "http://127.0.0.1:99999/",
        "ftp://127.0.0.1/",
        "h\xfft:",
    ],
)
def test_a_strange_redirect_is_an_ordinary_error(location: str) -> None:
    with redirecting(location) as server, pytest.raises(NetworkError):
        client(headers=HEADERS).get(server.url)
    assert len(server.log) <= 11


def test_a_redirect_within_the_host_keeps_the_login_but_no_query(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password person\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    def handle(request: Request) -> Response:
        if request.path == "/old":
            return Response(b"", 307, headers=[("Location", "/new"), ("Set-Cookie", "a=b")])
        return Response(b"arrived")

    with LoopbackServer(handle) as server:
        answer = client(headers=HEADERS).post(f"{server.url}/old", params={"q": "1"}, data=b"body")
    last = server.log[-1].request
    assert answer.content == b"arrived"
    assert (last.method, last.path, last.query, last.body) == ("POST", "/new", {}, b"body")
    assert last.headers["authorization"] == HEADERS["Authorization"]
    assert last.cookies == {"a": "b"}


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_form_that_leads_on_to_a_page_is_not_sent_to_that_page(status: int) -> None:
    def handle(request: Request) -> Response:
        if request.path == "/form":
            return Response(b"", status, headers=[("Location", "/page")])
        return Response(b"page")

    with LoopbackServer(handle) as server:
        client().post(f"{server.url}/form", data={"password": "secret"})
    last = server.log[-1].request
    assert (last.method, last.path, last.body) == ("GET", "/page", b"")


def test_redirects_in_a_circle_end() -> None:
    with redirecting("/again") as server, pytest.raises(NetworkError, match="in circles"):
        client(retries=NO_RETRIES).get(server.url)
    assert len(server.log) == MAX_REDIRECTS


def test_nightscout_s_secret_follows_no_redirect(elsewhere: LoopbackServer) -> None:
    with redirecting(f"{elsewhere.url}/api/v1/status.json", 307) as server:
        nightscout = NightscoutApi(server.url, "a secret of some length", client())
        with pytest.raises(NightscoutError, match="sends us to another address"):
            nightscout.status()
        with pytest.raises(NightscoutError, match="sends us to another address"):
            nightscout.create([{"eventType": "Note"}])
    assert not elsewhere.log


def led_away(
    elsewhere: LoopbackServer, step: int, status: int
) -> Callable[[Request], Response | None]:
    """Return a fault: the request number ``step`` from now on, counted from 0, is redirected."""
    count = iter(range(1000))
    to = Response(b"", status, headers=[("Location", f"{elsewhere.url}/catch")])
    return lambda request: to if next(count) == step else None


TCONNECT_CALLS: dict[str, Callable[[TConnectApi], Any]] = {
    "controliq": lambda api: api.controliq.therapy_timeline(),
    "android": lambda api: api.android.last_event_uploaded(1),
    "ws2": lambda api: api.ws2.basal_suspension(),
    "webui": lambda api: api.webui.my_devices(),
}


@pytest.mark.parametrize("service", TCONNECT_CALLS)
def test_no_request_to_tconnect_is_led_elsewhere(elsewhere: LoopbackServer, service: str) -> None:
    """Whichever request is answered with a redirect, those of the login included."""
    with fake_tconnect.serve() as bench:
        TCONNECT_CALLS[service](bench.api)
        requests = len(bench.server.log)
        assert requests >= 2
        for step in range(requests):
            bench.server.fault = led_away(elsewhere, step, 302)
            with pytest.raises(TconnectsyncError, match=r"another address|UserGUID") as raised:
                TCONNECT_CALLS[service](bench.client())
            assert elsewhere.url not in str(raised.value)
    assert not elsewhere.log


def test_the_login_form_leads_only_to_the_site_itself(elsewhere: LoopbackServer) -> None:
    with fake_tconnect.serve() as bench:
        bench.fake.location = f"{elsewhere.url}/CookieCheck.aspx"
        with pytest.raises(LoginError, match="sends us to another address"):
            bench.api.controliq.therapy_timeline()
    assert not elsewhere.log


def test_no_request_to_tandem_source_is_led_elsewhere(
    elsewhere: LoopbackServer, tmp_path: Path
) -> None:
    with fake_tandem_source.serve(tmp_path) as bench:
        bench.client(is_cached=False).tandemsource.pumper()
        requests = len(bench.server.log)
        assert requests == 6
        for step in range(1, requests):  # The first is for cookies only, whatever it shows.
            bench.server.fault = led_away(elsewhere, step, 307)
            with pytest.raises(TconnectsyncError) as raised:
                bench.client(is_cached=False).tandemsource.pumper()
            assert elsewhere.url not in str(raised.value)
    assert not elsewhere.log


def test_an_account_s_addresses_with_a_path_stay_one_place() -> None:
    settings = account("a@example.org", "p", web_url="https://one.example/path/")
    assert same_origin(endpoint(settings.web_url, "login"), "https://one.example/")
