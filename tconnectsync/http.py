"""The one place that talks HTTP: time limits, retries with back-off, proxy, TLS, connection reuse.

Nothing here knows what is being asked for. An answer with any status is returned to the caller;
only the absence of an answer becomes an error of ours. URLs never appear in texts, because paths
and queries can hold a person's identifiers.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from tconnectsync.errors import NetworkError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""

MAX_RETRY_AFTER = 120.0
"""Longest ``Retry-After`` (seconds) waited for; a longer one is left to the next run."""


@dataclass(frozen=True)
class Retries:
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


NO_RETRIES = Retries(network=(), busy=(), server_error=())


class HttpClient:
    """A session with one service: keeps its connections and cookies, retries what may pass.

    ``service`` is what the service is called in sentences for the user. ``inspect`` sees every
    answer before anything else is done with it, and may raise an error that is then not retried.
    ``sleep`` and ``jitter`` (a number in 0..1) are passed in so that tests need not wait. Every
    request that writes is sent within a ``writing`` block.
    """

    def __init__(
        self,
        service: str,
        *,
        read_timeout: float = 30.0,
        retries: Retries | None = None,
        proxy: str = "",
        verify: bool = True,
        headers: Mapping[str, str] | None = None,
        inspect: Callable[[requests.Response], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        writing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.service = service
        self.retries = retries or Retries()
        self._timeout = (CONNECT_TIMEOUT, read_timeout)
        self._inspect = inspect
        self._sleep = sleep
        self._jitter = jitter
        self._writing = writing
        self.session = requests.Session()
        self.session.verify = verify
        self.session.headers.update(headers or {})
        # Without one, requests looks for a login in ~/.netrc and puts it in the place of ours.
        self.session.auth = lambda request: request
        if proxy:
            self.session.proxies = {"http": proxy, "https": proxy}
            self.session.trust_env = False

    def get(self, url: str, **options: Any) -> requests.Response:
        """GET ``url``; see :meth:`request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """POST to ``url``; see :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> requests.Response:
        """PUT to ``url``; see :meth:`request`."""
        return self.request("PUT", url, **options)

    def request(
        self, method: str, url: str, *, repeatable: bool = True, **options: Any
    ) -> requests.Response:
        """Send a request and return the answer, whatever its status, body fully read.

        ``options`` are those of :meth:`requests.Session.request`. Failures that may pass are
        tried again as ``retries`` says; the last answer is returned even if it is an error. What is
        not ``repeatable``, because twice would be once too often, is sent once.

        Raises:
            NetworkError: no complete answer came, also not after the retries.
        """
        retries = self.retries if repeatable else NO_RETRIES
        failures = 0
        while True:
            asked_wait = 0.0
            try:
                answer = self._send(method, url, options)
            except NetworkError as error:
                waits, problem = retries.network, str(error)
                if failures >= len(waits) or not error.can_retry:
                    raise
            else:
                if self._inspect:
                    self._inspect(answer)
                waits, asked_wait = retries.waits_for(answer.status_code), _retry_after(answer)
                problem = f"{self.service} answered HTTP {answer.status_code}."
                if failures >= len(waits) or asked_wait > MAX_RETRY_AFTER:
                    return answer
            wait = asked_wait or waits[failures] * (1 + 0.25 * self._jitter())
            failures += 1
            log.info("%s Trying again in %.0f s.", problem, wait)
            self._sleep(wait)

    def _send(self, method: str, url: str, options: Mapping[str, Any]) -> requests.Response:
        try:
            with nullcontext() if method == "GET" else self._writing():
                answer = self.session.request(method, url, timeout=self._timeout, **options)
            log.debug(
                "%s %s: HTTP %d, %d bytes after %.2f s.",
                method,
                self.service,
                answer.status_code,
                len(answer.content),
                answer.elapsed.total_seconds(),
            )
            return answer
        except (requests.exceptions.RequestException, HTTPError, ValueError) as error:
            what, can_retry = _explain(error)
            host = urlsplit(url).hostname
        # Raised outside the handler: the library's own error names the whole URL.
        problem = NetworkError(f"{self.service} ({host}): {what}")
        problem.can_retry = can_retry
        raise problem


def _explain(error: Exception) -> tuple[str, bool]:
    """Say in words what happened, and whether it may pass by itself."""
    match error:
        case requests.exceptions.SSLError():
            return "its TLS certificate cannot be verified.", False
        case requests.exceptions.ProxyError():
            return "the proxy cannot be used. Check REQUESTS_PROXY.", False
        case requests.exceptions.ConnectTimeout():
            return "it could not be reached in time.", True
        case requests.exceptions.Timeout():
            return "it did not answer in time.", True
        case requests.exceptions.ConnectionError() | requests.exceptions.ChunkedEncodingError():
            return "the connection failed or was cut.", True
        case requests.exceptions.ContentDecodingError():
            return "its answer was damaged.", True
        case _:
            return f"the request could not be completed ({type(error).__name__}).", False


def _retry_after(answer: requests.Response) -> float:
    """Return the seconds the server asks us to wait (RFC 9110 §10.2.3), 0 when it does not."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
