"""Why no answer came, in words: one sentence for each thing that a person can do about it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,
)

from tconnectsync.exchange import CertificatesError, SocksMissingError, proxy_of_environment

_OF_SOCKS = {"ProxyConnectionError", "SOCKS5AuthError"}
"""The errors of PySocks that are those of a proxy, not of what it should reach."""
PROBE_TIMEOUT = 5.0
"""Seconds to wait for what is spoken at a port."""
DEFAULT_PORTS = {"http": 80, "https": 443}

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
"""What OpenSSL calls an answer that is not TLS, without blanks and in capitals."""
SPEAKS_HTTPS = "it speaks https there. Write https:// instead of http://."
SPEAKS_HTTP = (
    "it does not speak https there. Write http:// instead of https://, or the port at which it "
    "speaks https."
)


class Cause(NamedTuple):
    """Why no answer came."""

    text: str
    can_retry: bool = False
    """Whether it may pass without anybody's help."""
    is_address: bool = False
    """Whether the address may be wrong: nothing of the kind is to be found there."""


def cause_of(error: BaseException, url: str, proxy: str) -> Cause:
    """Say in words why a request to ``url`` got no answer; ``proxy`` is where a proxy is set."""
    parts = urlsplit(url)
    match error:
        case SSLError():
            return _of_tls(str(error))
        case ProxyError():
            return Cause(f"the proxy cannot be used. Check {proxy}.")
        case NewConnectionError() if any(type(it).__name__ in _OF_SOCKS for it in _chain(error)):
            return Cause(f"the proxy cannot be used. Check {proxy}.")
        case SocksMissingError():
            return Cause(
                "a SOCKS proxy needs a package that is not installed. Install it with `pip install "
                f'".[socks]"`, or check {proxy}.'
            )
        case NewConnectionError() | ProtocolError():
            return _of_connection(error, parts.port or DEFAULT_PORTS.get(parts.scheme, 0))
        case ConnectTimeoutError():
            return Cause("it could not be reached in time.", can_retry=True)
        case TimeoutError():
            return Cause("it did not answer in time.", can_retry=True)
        case LocationValueError():
            return Cause("this is not the address of a web site.", is_address=True)
        case DecodeError():
            return Cause("its answer was damaged.", can_retry=True)
        case CertificatesError():
            return Cause("REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names no file with certificates.")
        case _:
            return Cause(f"the request could not be completed ({type(error).__name__}).")


def _of_tls(text: str) -> Cause:
    shouted = text.upper().replace(" ", "_")
    if any(name in shouted for name in NO_TLS):
        return Cause(SPEAKS_HTTP, is_address=True)
    if "CERTIFICATE" in shouted or "DOESN'T_MATCH" in shouted:
        return Cause("its TLS certificate cannot be verified.")
    if "EOF" in shouted or "RESET" in shouted:
        return Cause("the connection failed or was cut.", can_retry=True)
    return Cause("no secure connection to it can be made: it speaks TLS in another way.")


def _of_connection(error: BaseException, port: int) -> Cause:
    causes = list(_chain(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return Cause(
            "no computer of this name is found. It is mistyped, or this computer has no "
            "connection to the internet.",
            can_retry=True,
            is_address=True,
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Cause(
            f"nothing answers at port {port}. It does not run, or the address or port is wrong.",
            can_retry=True,
            is_address=True,
        )
    return Cause("the connection failed or was cut.", can_retry=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it came from, as the libraries pack them into each other."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]


def other_scheme(url: str) -> Cause | None:
    """Return whether an address that gave no answer speaks the other one of http and https.

    Nothing is sent that belongs to anybody. ``None`` also where a proxy would be asked.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    if proxy_of_environment(url):
        return None
    try:
        with socket.create_connection((host, port), PROBE_TIMEOUT) as plain:
            if parts.scheme == "http":
                return Cause(SPEAKS_HTTPS, is_address=True) if _speaks_tls(plain, host) else None
            return Cause(SPEAKS_HTTP, is_address=True) if _speaks_http(plain) else None
    except (OSError, ValueError):
        return None


def _speaks_tls(plain: socket.socket, host: str) -> bool:
    try:
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host):
            return True
    except ssl.SSLCertVerificationError:
        return True
    except ssl.SSLError as error:
        # What answers with an alert speaks TLS, too, if not with us.
        return "ALERT" in str(error)


def _speaks_http(plain: socket.socket) -> bool:
    plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = plain.recv(16)
    # Servers that speak TLS answer so to what is none.
    return answer.startswith(b"HTTP/") and b" 400" not in answer
