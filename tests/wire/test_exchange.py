"""Ways to a service: proxies, and certificates that the environment names."""

from __future__ import annotations

import os
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from tconnectsync.errors import NetworkError
from tconnectsync.http import NO_RETRIES, HttpClient
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tests.support.clocks import NO_WAITING
from tests.support.tls import new_certificate, over_tls

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LOGIN = "robin:hidden%2Bwell"
LOGIN_SENT = "Basic " + b64encode(b"robin:hidden+well").decode()


def client(**options: Any) -> HttpClient:
    return HttpClient("The service", NO_WAITING, retries=NO_RETRIES, **options)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def proxy() -> Iterator[LoopbackServer]:
    """A proxy that answers by itself, whatever it is asked for."""

    def answer(request: Request) -> Response:
        return Response(request.headers["host"].encode())

    with LoopbackServer(answer) as server:
        yield server


@contextmanager
def tunnel() -> Iterator[tuple[str, list[bytes]]]:
    """Run a proxy that passes on what is said through it; give its address and what it is asked."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, target: socket.socket) -> None:
        while part := source.recv(65_536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with listener.accept()[0] as one:
            asked.append(one.recv(65_536))
            host, port = asked[0].split()[1].decode().rsplit(":", 1)
            with socket.create_connection((host, int(port))) as other:
                one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=copy, args=(other, one), daemon=True)
                back.start()
                copy(one, other)
                back.join()

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    with listener:
        yield f"http://{LOGIN}@127.0.0.1:{listener.getsockname()[1]}", asked


@pytest.mark.parametrize("is_set", ["here", "in the environment", "without a scheme"])
def test_a_proxy_is_asked_for_other_hosts_with_its_login(
    proxy: LoopbackServer, monkeypatch: pytest.MonkeyPatch, is_set: str
) -> None:
    address = proxy.url.replace("://", f"://{LOGIN}@")
    if is_set == "in the environment":
        monkeypatch.setenv("HTTP_PROXY", address)
    elif is_set == "without a scheme":
        monkeypatch.setenv("http_proxy", address.removeprefix("http://"))
    http = client(proxy=address if is_set == "here" else "")
    assert http.get("http://site.example:1337/a?b=c").content == b"site.example:1337"
    (logged,) = proxy.log
    assert logged.request.headers["proxy-authorization"] == LOGIN_SENT
    assert logged.request.path == "/a"
    assert logged.request.query == {"b": "c"}


def test_names_and_paths_may_have_letters_of_any_language(proxy: LoopbackServer) -> None:
    http = client(proxy=proxy.url)
    assert http.get("http://nächte.example/für alle?ä=ö ü").content == b"xn--nchte-gra.example"
    (logged,) = proxy.log
    assert logged.request.path == "/f%C3%BCr%20alle"
    assert logged.request.query == {"ä": "ö ü"}


def test_a_service_is_reached_over_tls_through_a_proxy_that_learns_its_name_only(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with over_tls(certificate) as (url, paths), tunnel() as (address, asked):
        http = client(proxy=address)
        assert http.get(f"{url}/private").status_code == 200
        http.session.close()
    assert paths == ["/private"]
    (head,) = asked
    assert head.startswith(f"CONNECT {url.removeprefix('https://')} ".encode())
    assert LOGIN_SENT.encode() in head
    assert b"private" not in head


def test_a_proxy_learns_no_login_of_an_address_and_gets_a_path(proxy: LoopbackServer) -> None:
    http = client(proxy=proxy.url)
    assert http.get("http://robin:hidden@site.example:1337?b=c#d").content == b"site.example:1337"
    (logged,) = proxy.log
    assert logged.request.path == "/"
    assert logged.request.query == {"b": "c"}
    assert "authorization" not in logged.request.headers


def test_a_proxy_that_speaks_https_is_verified_by_the_certificates_that_are_named(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tls(certificate) as (url, paths):
        with pytest.raises(NetworkError, match="the proxy cannot be used"):
            client(proxy=url).get("http://site.example/")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert client(proxy=url).get("http://site.example/a").status_code == 200
    assert paths == ["http://site.example/a"]


def test_a_socks_proxy_gets_its_login_as_it_is_meant() -> None:
    said: list[bytes] = []

    def serve() -> None:
        with listener.accept()[0] as one:
            said.append(one.recv(100))
            one.sendall(b"\x05\x02")  # A name and a password are wanted,
            said.append(one.recv(100))
            one.sendall(b"\x01\x01")  # and are refused.

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        http = client(proxy=f"socks5h://{LOGIN}@127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(NetworkError, match="the proxy cannot be used"):
            http.get("https://site.example/")
    assert said[1] == b"\x01\x05robin\x0bhidden+well"


def test_of_two_cookies_with_a_name_the_first_counts() -> None:
    headers = [("Set-Cookie", "User=robin; path=/"), ("Set-Cookie", "User=; path=/myaccount")]
    with LoopbackServer(lambda request: Response(b"", headers=headers)) as server:
        assert client().get(f"{server.url}/myaccount/a").cookies == {"User": "robin"}


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks5", "socks5h"])
def test_a_proxy_that_does_not_answer_is_what_is_to_be_checked(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    http = client(proxy=f"{scheme}://127.0.0.1:{port}")
    with pytest.raises(NetworkError, match="the proxy cannot be used"):
        http.get("https://site.example/")


def test_a_socks_proxy_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(NetworkError, match=r'pip install "\.\[socks\]"'):
        client(proxy="socks5h://127.0.0.1:1").get("https://site.example/")


@pytest.mark.parametrize("name", BUNDLES)
def test_the_environment_may_name_the_certificates_that_are_trusted(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(certificate))
    with over_tls(certificate) as (url, _):
        assert client().get(url).status_code == 200
        with pytest.raises(NetworkError, match="certificate"):
            client().get(url.replace("127.0.0.1", "localhost"))
        monkeypatch.setenv(name, str(new_certificate(tmp_path)))
        with pytest.raises(NetworkError, match="its TLS certificate cannot be verified"):
            client().get(url)


BROKEN = b"-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [None, b"", b"nonsense", BROKEN])
def test_certificates_that_cannot_be_read_are_named_and_looked_for_again(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with over_tls(certificate) as (url, paths):
        http = client()
        with pytest.raises(NetworkError, match="REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names no"):
            http.get(url)
        assert not paths
        copyfile(certificate, bundle)
        # Some file systems count in seconds.
        os.utime(bundle, (0, 0))
        assert http.get(url).status_code == 200
