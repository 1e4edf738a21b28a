"""One request and its answer: connections that are kept, cookies, proxies and certificates.

Nothing is tried again here, and no redirect is followed. urllib3 does the work; the library
``requests``, which is built on it, takes longer to load than most runs take for all else.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from http.cookiejar import CookieJar
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit
from urllib.request import Request, getproxies, proxy_bypass

import certifi
from urllib3 import PoolManager, ProxyManager, Timeout
from urllib3.response import BaseHTTPResponse
from urllib3.util.ssl_ import create_urllib3_context

from tconnectsync import __version__

CONNECTIONS = 10
"""How many connections to a service are kept."""
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_REDIRECTS = (301, 302, 303, 307, 308)


class SocksMissingError(OSError):
    """A proxy speaks SOCKS, for which a package is missing."""


class CertificatesError(OSError):
    """The certificates that are to be trusted cannot be read."""


class Answer:
    """What a service has answered, with any status.

    Args:
        url: where it came from.
        sent: the headers that asked for it.
        raw: the answer as the library gives it.
        content: its body, unpacked.
        cookies: those that came with it.
    """

    def __init__(
        self,
        url: str,
        sent: Mapping[str, str],
        raw: BaseHTTPResponse,
        content: bytes,
        cookies: Mapping[str, str],
    ) -> None:
        self.url = url
        self.sent = sent
        self.status_code = raw.status
        self.headers = raw.headers
        self.content = content
        self.cookies = cookies

    @property
    def is_redirect(self) -> bool:
        """Whether it sends us to another address."""
        return self.status_code in _REDIRECTS and "Location" in self.headers

    def json(self) -> Any:
        """Return what its JSON says.

        Raises:
            ValueError: it is something else.
            RecursionError: it is too deep.
        """
        encoding = json.detect_encoding(self.content)
        return json.loads(self.content.decode(encoding, errors="replace"))


class Session:
    """Sends requests to one service, and keeps its connections and cookies.

    Args:
        proxy: the address of a proxy for all requests; without one, the environment may name one.
        verify: whether the server has to prove by a certificate who it is.
    """

    def __init__(self, proxy: str, *, verify: bool) -> None:
        self.verify = verify
        self.cookies = CookieJar()
        self.headers = {
            "User-Agent": f"tconnectsync/{__version__}",
            # Without the packings that other libraries may add: theirs can unpack without measure.
            "Accept-Encoding": "gzip, deflate",
            "Accept": "*/*",
            "Connection": "keep-alive",
        }
        self._proxy = proxy
        self._managers: dict[tuple[str, SSLContext | None], PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        *,
        timeout: Timeout,
        read: Callable[[BaseHTTPResponse], bytes],
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | bytes | None = None,
        json: object = None,
    ) -> Answer:
        """Send a request and return its answer.

        Args:
            method: GET and the like.
            url: where to.
            timeout: of the connection, and of every wait for data.
            read: reads the body of the answer.
            headers: in addition to those of the session.
            params: for the query of the address; a list stands for several.
            data: the fields of a form, or the body as it is.
            json: the body, before it is made JSON.
        """
        url = _address(url, params or {})
        body, kind = _body_of(data, json)
        about = Request(url)  # noqa: S310 - it is never opened: the cookies ask it where it goes.
        self.cookies.add_cookie_header(about)
        sent = {**self.headers, **(headers or {}), **about.unredirected_hdrs}
        if body or method != "GET":
            sent["Content-Length"] = str(len(body))
        if kind:
            sent.setdefault("Content-Type", kind)
        raw = self._manager(url).urlopen(
            method,
            url,
            body=body or None,
            headers=sent,
            timeout=timeout,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            content = read(raw)
        except BaseException:
            # What is left of it would be taken for the next answer.
            raw.close()
            raise
        return Answer(url, sent, raw, content, self._kept_cookies(raw, about))

    def _kept_cookies(self, raw: BaseHTTPResponse, about: Request) -> dict[str, str]:
        """Keep the cookies that came with an answer, and return them."""
        came = CookieJar()
        for jar in (self.cookies, came):
            jar.extract_cookies(raw, about)  # type: ignore[arg-type]
        # Where a name comes for several paths, the first counts.
        return {cookie.name: cookie.value or "" for cookie in reversed([*came])}

    def close(self) -> None:
        """Close the connections."""
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, url: str) -> PoolManager:
        """Return what keeps the connections of the way to an address."""
        proxy = self._proxy or proxy_of_environment(url)
        if proxy and "://" not in proxy:
            proxy = f"http://{proxy}"
        is_secure = any(each.lower().startswith("https:") for each in (url, proxy))
        way = proxy, _verifying() if self.verify and is_secure else None
        if way not in self._managers:
            self._managers[way] = self._new_manager(*way)
        return self._managers[way]

    def _new_manager(self, proxy: str, context: SSLContext | None) -> PoolManager:
        options: dict[str, Any] = {"maxsize": CONNECTIONS, "ssl_context": context}
        if not self.verify:
            options["cert_reqs"] = "CERT_NONE"
        if not proxy:
            return PoolManager(**options)
        parts = urlsplit(proxy)
        user, password = (it and unquote(it) for it in (parts.username, parts.password))
        if parts.scheme.startswith("socks"):
            if not find_spec("socks"):
                raise SocksMissingError
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(proxy, username=user, password=password, **options)
        if user:
            login = b64encode(f"{user}:{password or ''}".encode()).decode()
            options["proxy_headers"] = {"Proxy-Authorization": f"Basic {login}"}
        return ProxyManager(proxy, proxy_ssl_context=context, **options)


def _address(url: str, params: Mapping[str, Any]) -> str:
    """Return an address as it may be sent, also to a proxy: with a path, and without a login."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(params, doseq=True))))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path or "/", query, ""))


def _body_of(data: Mapping[str, Any] | bytes | None, content: object) -> tuple[bytes, str]:
    """Return the body of a request, and its type if that is known."""
    if content is not None:
        return json.dumps(content, allow_nan=False).encode(), "application/json"
    if isinstance(data, Mapping):
        return urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"
    return data or b"", ""


def _verifying() -> SSLContext:
    """Return what verifies certificates of servers, by those that the environment may name.

    Raises:
        CertificatesError: these cannot be read.
    """
    named = (os.environ.get(name) for name in _BUNDLES)
    path = Path(next((each for each in named if each), certifi.where()))
    try:
        return _verifying_by(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise CertificatesError from error


@lru_cache(maxsize=4)
def _verifying_by(path: Path, changed: int) -> SSLContext:
    """Load certificates once for all connections: it takes longer than a sync without news."""
    context = create_urllib3_context()
    if path.is_dir():
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(cafile=path)
    return context


def proxy_of_environment(url: str) -> str:
    """Return the proxy that the environment names for an address; empty if it names none.

    Where the system has settings of its own for proxies, they may change meanwhile.
    """
    proxies = getproxies()
    parts = urlsplit(url)
    if not proxies or _needs_no_proxy(parts.hostname or "", parts.port, proxies.get("no", "")):
        return ""
    return proxies.get(parts.scheme) or proxies.get("all", "")


def _needs_no_proxy(host: str, port: int | None, excepted: str) -> bool:
    """Return whether a proxy is not asked for a host: NO_PROXY names it, a domain or a network."""
    # macOS compares its patterns with all that it is asked for, so both are asked for.
    if proxy_bypass(host) or (port and proxy_bypass(f"{host}:{port}")):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        # A proxy for all addresses cannot reach those of this computer.
        return host == "localhost"
    return address.is_loopback or any(_holds(it.strip(), address) for it in excepted.split(","))


def _holds(network: str, address: IPv4Address | IPv6Address) -> bool:
    """Return whether a network, such as 192.168.1.0/24, holds an address."""
    with suppress(ValueError):
        return address in ip_network(network, strict=False)
    return False
