"""The tconnectws2 API: the CSV export, basal suspensions, Basal-IQ (tconnect-api §4).

It needs no authorization, only the user's GUID, and is slow and often out of order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from tconnectsync.api.answers import parse_json, require_ok, shaped, text_of
from tconnectsync.api.tconnect.dates import Day, day_range, on_wire
from tconnectsync.api.tconnect.ws2csv import LISTS, Timeline, parse_timeline
from tconnectsync.config.settings import TandemSettings
from tconnectsync.http import HttpClient, Retries, endpoint

TIMEOUT = 10.0
"""Seconds to wait for an answer."""

CSV_RETRIES = Retries(server_error=(60.0, 120.0))
"""The export often recovers from HTTP 500 within minutes, but not at once (tconnect-api §4.1)."""


class Ws2Api:
    """Reads from tconnectws2 for one user.

    Days are calendar days of the pump, both ends inclusive; see
    :data:`tconnectsync.api.tconnect.dates.Day` for what may be passed. Every method raises
    ``ApiError``, ``FirewallError``, ``NetworkError``, and ``ValueError`` for a day that is none.

    Args:
        account: where the service is.
        http: the client for everything but the export.
        csv_http: the patient client for the export, which retries as ``CSV_RETRIES`` says.
        user_guid: whose data.
        today: returns the pump's calendar day.
    """

    def __init__(
        self,
        account: TandemSettings,
        http: HttpClient,
        csv_http: HttpClient,
        user_guid: str,
        today: Callable[[], date],
    ) -> None:
        self._account = account
        self._http = http
        self._csv_http = csv_http
        self._user = quote(user_guid, safe="")
        self._today = today

    def therapy_timeline_csv(
        self, start: Day = None, end: Day = None, *, patient: bool = True
    ) -> Timeline:
        """Return the rows of the CSV export, by list; long ranges are asked for in pieces.

        With ``patient``, a failing export is retried for as long as it often needs.
        """
        timeline: Timeline = {name: [] for name in LISTS}
        http = self._csv_http if patient else self._http
        for first, last in export_windows(*day_range(start, end, self._today())):
            answer = http.get(self._url("therapytimeline2csv", first, last, "?format=csv"))
            require_ok(answer, "CSV export", divisible=False)
            for name, rows in parse_timeline(text_of(answer)).items():
                timeline[name] += rows
        return timeline

    def basal_suspension(
        self, start: Day = None, end: Day = None, *, site_changes_only: bool = False
    ) -> dict[str, Any]:
        """Return the basal suspensions, or only those by site and cartridge changes."""
        rest = "/filterbasal/1?callback=cb" if site_changes_only else "/?callback=cb"
        payload = self._jsonp("basalsuspension", start, end, rest)
        return shaped(payload, "basal suspensions", dict)

    def basaliqtech(self, start: Day = None, end: Day = None) -> Any:
        """Return the Basal-IQ data; its form is not known, so any JSON is passed on."""
        return self._jsonp("basaliqtech", start, end, "?callback=cb")

    def _jsonp(self, name: str, start: Day, end: Day, rest: str) -> Any:
        first, last = day_range(start, end, self._today())
        answer = self._http.get(self._url(name, first, last, rest))
        require_ok(answer, f"{name} data")
        text = text_of(answer)
        call = text.strip().removesuffix(";").rstrip()
        if call.startswith("cb(") and call.endswith(")"):
            text = call[3:-1]
        return parse_json(text, f"{name} data")

    def _url(self, name: str, first: date, last: date, rest: str) -> str:
        path = f"{name}/{self._user}/{on_wire(first)}/{on_wire(last)}{rest}"
        return endpoint(self._account.ws2_url, path)


def export_windows(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Cut a range for the CSV export (docs/protocol/tconnect-api.md §4.1).

    Up to 3 calendar days stay whole; a longer range becomes windows of 2 calendar days, the last
    of which may be a single day. All ends are inclusive.
    """
    if last - first <= timedelta(days=2):
        yield first, last
        return
    while first <= last:
        yield first, min(first + timedelta(days=1), last)
        first += timedelta(days=2)
