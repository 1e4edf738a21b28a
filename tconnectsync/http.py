"""The one place that talks HTTP: time limits, retries with back-off, proxy, TLS, connection reuse.

Nothing here knows what is being asked for. An answer with any status is returned to the caller. An
error is raised only without a usable answer: none came, it was far too big, or it redirected to
another host, to which nothing of ours may be sent. URLs never appear in texts, because paths and
queries can hold a person's identifiers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from urllib3 import Timeout
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from tconnectsync.clock import Clock
from tconnectsync.errors import NetworkError, Side, UnreachableError
from tconnectsync.exchange import Answer, Session
from tconnectsync.unreachable import DEFAULT_PORTS, Cause, cause_of, other_scheme

log = logging.getLogger(__name__)

_KINDS = {
    *("treatments", "entries", "profile", "devicestatus", "activity", "status", "verifyauth"),
    *("login", "authorize", "jwks", "token", "pumper", "pumpers", "pump-logs"),
    *("getlasteventuploaded", "patient_info", "therapythresholds", "userprofile", "summary"),
    *("therapytimeline", "therapytimeline2csv", "therapyevents", "pumpfeatures", "myaccount"),
    *("basalsuspension", "basaliqtech"),
}
"""The words of addresses that the log may show: those that say what is asked for."""
CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""

MAX_RETRY_AFTER = 120.0
"""Longest ``Retry-After`` (seconds) waited for; a longer one is left to the next run."""

MOST_BYTES = 50_000_000
"""The biggest answer that is taken, unpacked."""

LONGEST_ANSWER = 600.0
"""Seconds in which an answer must be complete, however steadily it trickles in."""

MAX_REDIRECTS = 10

_PART = 65_536
_PACKINGS = ("", "identity", "gzip", "deflate")


class _UnwantedError(Exception):
    """What came is no answer that we take; the text says why."""

    def __init__(self, why: str, *, can_retry: bool = False) -> None:
        self.cause = Cause(why, can_retry)
        super().__init__(why)


class Retries(NamedTuple):
    """Seconds to wait before each further try, by what went wrong; an empty tuple means no retry.

    ``Retry-After`` of the server replaces the wait for ``busy``.
    """

    network: tuple[float, ...] = (1.0, 5.0)
    """Time-outs, refused and cut connections."""

    busy: tuple[float, ...] = (2.0, 10.0)
    """HTTP 429, 502, 503 and 504."""

    server_error: tuple[float, ...] = (1.0,)
    """HTTP 500."""

    def waits_for(self, status: int) -> tuple[float, ...]:
        """Return the waits for an answer with this HTTP status."""
        if status == 500:
            return self.server_error
        return self.busy if status in (429, 502, 503, 504) else ()


USUAL_RETRIES = Retries()
NO_RETRIES = Retries(network=(), busy=(), server_error=())


class HttpClient:
    """A session with one service: keeps its connections and cookies, retries what may pass.

    Args:
        service: what the service is called in sentences for the user.
        clock: measures, and waits between tries.
        read_timeout: seconds of silence after which an answer is given up.
        retries: what is tried again, and when.
        proxy: the address of a proxy for all requests; without one, the environment may name one,
            which is not asked for addresses of this computer.
        verify: whether the server has to prove by a certificate who it is.
        permit: is asked before every request is sent, and may raise an error instead.
        inspect: sees every answer before anything else is done with it, and may raise an error
            that is then not retried.
        writing: makes the block within which every request that may change something is sent.
        side: whose service it is.
        given_in: the variable in which a person has given the address. Until something has answered
            there, an address that may be wrong is an error at once, without retries.
    """

    def __init__(
        self,
        service: str,
        clock: Clock,
        *,
        read_timeout: float = 30.0,
        retries: Retries = USUAL_RETRIES,
        proxy: str = "",
        verify: bool = True,
        permit: Callable[[], None] = lambda: None,
        inspect: Callable[[Answer], None] | None = None,
        writing: Callable[[], AbstractContextManager[None]] = nullcontext,
        side: Side = Side.TANDEM,
        given_in: str = "",
    ) -> None:
        self.service = service
        self._side = side
        self.most_bytes = MOST_BYTES
        self.clock = clock
        self.retries = retries
        self._timeout = Timeout(connect=CONNECT_TIMEOUT, read=read_timeout)
        self._permit = permit
        self._inspect = inspect
        self._writing = writing
        self._given_in = given_in
        self._has_answered = False
        self._proxy_is_set_in = "REQUESTS_PROXY" if proxy else "HTTPS_PROXY and HTTP_PROXY"
        self.session = Session(proxy, verify=verify)

    def get(self, url: str, **options: Any) -> Answer:
        """GET ``url``; see :meth:`request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Answer:
        """POST to ``url``; see :meth:`request`."""
        return self.request("POST", url, **options)

    def request(self, method: str, url: str, *, repeatable: bool = True, **options: Any) -> Answer:
        """Send a request and return the answer, whatever its status, body fully read.

        ``options`` are those of :meth:`Session.send`. Failures that may pass are tried
        again as ``retries`` says; the last answer is returned even if it is an error. A request
        that is not ``repeatable`` is sent once, because sending it twice could do harm. Redirects
        are followed, unless ``allow_redirects`` is false, but only as :func:`same_origin` allows.

        Raises:
            NetworkError: no usable answer came, also not after the retries.
            UnreachableError: the address that a person has given may be wrong.
        """
        retries = self.retries if repeatable else NO_RETRIES
        failures = 0
        while True:
            asked_wait = 0.0
            self._permit()
            try:
                answer = self._send(method, url, options)
            except NetworkError as error:
                waits, problem = retries.network, str(error)
                if failures >= len(waits) or not error.can_retry or error.fatal:
                    raise
            else:
                if self._inspect:
                    self._inspect(answer)
                waits, asked_wait = retries.waits_for(answer.status_code), self._asked_wait(answer)
                problem = f"{self.service} answered HTTP {answer.status_code}."
                if failures >= len(waits) or asked_wait > MAX_RETRY_AFTER:
                    return answer
            wait = asked_wait or waits[failures] * (1 + 0.25 * self.clock.jitter())
            failures += 1
            log.info("%s Trying again in %.0f s.", problem, wait)
            self.clock.sleep(wait)

    def _asked_wait(self, answer: Answer) -> float:
        """Return the seconds the server asks us to wait (RFC 9110 §10.2.3), 0 if it does not."""
        value = answer.headers.get("Retry-After", "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            until = parsedate_to_datetime(value).astimezone(UTC)
        except (ValueError, OverflowError):
            return 0.0
        return max(0.0, (until - self.clock.now()).total_seconds())

    def _send(self, method: str, url: str, options: Mapping[str, Any]) -> Answer:
        began = self.clock.monotonic()
        try:
            with nullcontext() if method == "GET" else self._writing():
                answer = self._follow(method, url, **options)
            log.debug(
                "%s %s %s: HTTP %d, %d bytes after %.2f s.",
                method,
                self.service,
                kind_of(url),
                answer.status_code,
                len(answer.content),
                self.clock.monotonic() - began,
            )
            self._has_answered = True
            return answer
        except _UnwantedError as error:
            cause = error.cause
        except (OSError, HTTPError, ValueError) as error:
            cause = cause_of(error, url, self._proxy_is_set_in)
        # Raised outside the handler: the library's own error names the whole URL.
        raise self._no_answer(url, cause)

    def _no_answer(self, url: str, cause: Cause) -> NetworkError:
        is_new = bool(self._given_in) and not self._has_answered
        if is_new and cause.can_retry and not cause.is_address:
            cause = other_scheme(url) or cause
        what = f"{self.service} ({urlsplit(url).hostname}): {cause.text}"
        if is_new and cause.is_address:
            return UnreachableError(f"{what} Check {self._given_in}.", side=self._side)
        return NetworkError(what, can_retry=cause.can_retry, side=self._side)

    def _follow(
        self, method: str, url: str, *, allow_redirects: bool = True, **options: Any
    ) -> Answer:
        """Send a request, and send it again to where it is redirected."""
        for _ in range(MAX_REDIRECTS):
            self.clock.go_on()
            answer = self.session.send(
                method, url, timeout=self._timeout, read=self._read, **options
            )
            if not allow_redirects or not answer.is_redirect:
                return answer
            # Its bytes are UTF-8, and were read as Latin-1 as all headers are.
            target = urljoin(answer.url, answer.headers["Location"].encode("latin-1").decode())
            if not same_origin(url, target):
                raise _UnwantedError(
                    "it sends us to another address, to which the login must not go. Something "
                    "may be between this computer and it, such as the login page of a hotel's "
                    "network. Or it has moved; in that case a newer tconnectsync is needed."
                )
            if answer.status_code == 303 or (method == "POST" and answer.status_code in (301, 302)):
                method = "GET"
                options = {k: v for k, v in options.items() if k not in ("data", "json")}
            options = {name: value for name, value in options.items() if name != "params"}
            url = target
        raise _UnwantedError("it redirects in circles.", can_retry=True)

    def _read(self, raw: BaseHTTPResponse) -> bytes:
        """Read the body of an answer, up to a sensible size.

        Raises:
            _UnwantedError: it is too big, too slow, or packed in a way that was not asked for.
        """
        body = bytearray()
        until = self.clock.monotonic() + LONGEST_ANSWER
        if raw.headers.get("Content-Encoding", "").strip().lower() not in _PACKINGS:
            raise _UnwantedError("its answer is compressed in an unexpected way.")
        announced = getattr(raw, "length_remaining", None) or 0
        # Parts as they come: a whole one might be waited for without end.
        while max(announced, len(body)) <= self.most_bytes:
            part = raw.read1(_PART, decode_content=True)
            if not part:
                break
            body += part
            if self.clock.monotonic() > until:
                raise _UnwantedError("it did not answer in time.", can_retry=True)
        if max(announced, len(body)) > self.most_bytes:
            raise _UnwantedError(
                f"its answer is bigger than {self.most_bytes // 10**6} MB, far more than "
                "expected, and was not read to its end."
            )
        return bytes(body)


def kind_of(url: str) -> str:
    """Return what a request to an address is for, without anything personal that stands there."""
    words = (each.partition(".")[0].lower() for each in urlsplit(url).path.split("/"))
    return next((word for word in reversed(list(words)) if word in _KINDS), "other")


def endpoint(base_url: str, path: str) -> str:
    """Join a base address, which may end in a slash, and a path that does not begin with one."""
    return f"{base_url.rstrip('/')}/{path}"


def same_origin(one: str, other: str) -> bool:
    """Return whether two addresses have the same scheme, host and port.

    Only then may what is sent to one of them, logins above all, go to the other as well.
    """
    try:
        return _origin(one) == _origin(other)
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    if not parts.hostname or not port:
        raise ValueError("no web address")
    return parts.scheme, parts.hostname, port
