"""``PING_URL``: a monitor is called after every run, and notices if no call comes.

The address is called as it is when all is well, with ``/fail`` otherwise and with ``/start`` at the
beginning, as healthchecks.io has it; one with ``/api/push/`` gets its ``status``, as Uptime Kuma
has it. The call for the beginning is made beside the run, which neither waits for it nor fails by
it; only the call for the result waits for it, so that the monitor gets the two in order.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from tconnectsync.clock import Clock
from tconnectsync.errors import NetworkError
from tconnectsync.state.record import RunRecord, State
from tconnectsync.watch.limited import LIMIT, Limited
from tconnectsync.watch.words import meaning

PUSH = "/api/push/"
"""Stands in the addresses of Uptime Kuma."""
WHAT = "The call to the monitor (PING_URL)"


class Pings:
    """The calls to one monitor.

    Args:
        url: its address.
        clock: measures.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._start: Limited | None = None

    def start(self) -> None:
        """Call it for the beginning of a run, in the background."""
        if PUSH not in self._url:
            self._start = Limited(lambda: self._call(with_end(self._url, "start")), WHAT)

    def result(self, record: RunRecord) -> str:
        """Call it for what a record says; return what has gone wrong, nothing if it has worked."""
        if self._start:
            self._start.result()
            self._start = None
        url = address_for(self._url, record.state)
        return Limited(lambda: self._call(url), WHAT).result()

    def _call(self, url: str) -> str:
        from tconnectsync.http import NO_RETRIES, HttpClient

        http = HttpClient("The monitor", self._clock, read_timeout=LIMIT, retries=NO_RETRIES)
        try:
            status = http.get(url).status_code
        except NetworkError:
            return f"{WHAT} has failed: it cannot be reached, or leads to another address."
        finally:
            http.session.close()
        if status >= 300:
            return f"{WHAT} has failed: it answers HTTP {status}."
        return ""


def address_for(url: str, state: State) -> str:
    """Return the address to call for a state."""
    if PUSH in url:
        kept = [(name, value) for name, value in _query(url) if name not in ("status", "msg")]
        status = "up" if state is State.OK else "down"
        asked = urlencode([*kept, ("status", status), ("msg", meaning(state))])
        return urlsplit(url)._replace(query=asked, fragment="").geturl()
    return url if state is State.OK else with_end(url, "fail")


def with_end(url: str, end: str) -> str:
    """Return an address with another part at the end of its path."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{end}").geturl()


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)
