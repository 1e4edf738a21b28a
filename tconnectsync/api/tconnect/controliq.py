"""The controliq API: basal rates, activity, boluses, readings, summary (tconnect-api §2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import quote

from tconnectsync.api.answers import Shape, json_of
from tconnectsync.api.session import LoginKeeper
from tconnectsync.api.tconnect.dates import Day, day_range, on_wire
from tconnectsync.api.tconnect.weblogin import WebLogin
from tconnectsync.config.settings import TandemSettings
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient, endpoint

_WEB_SITE = "https://tconnect.tandemdiabetes.com"


class ControlIqApi:
    """Reads from controliq; logs in at the first call and again when the token runs out.

    Days are calendar days of the pump, both ends inclusive; see
    :data:`tconnectsync.api.tconnect.dates.Day` for what may be passed. Every method raises
    ``ApiError`` (404: no Control-IQ pump or no data in the range), ``LoginError``,
    ``FirewallError``, ``NetworkError``, and ``ValueError`` for a day that is none.

    Args:
        account: whose data, and where.
        http: the client for controliq itself.
        logins: keeps the login to the web site.
        today: returns the pump's calendar day.
    """

    def __init__(
        self,
        account: TandemSettings,
        http: HttpClient,
        logins: LoginKeeper[WebLogin],
        today: Callable[[], date],
    ) -> None:
        self.logins = logins
        self._account = account
        self._http = http
        self._today = today

    @property
    def user_guid(self) -> str:
        """The user's GUID; logs in if need be."""
        return self.logins.current().user_guid

    @property
    def software_version(self) -> str | None:
        """The web site's version, if its login page shows one; logs in if need be."""
        return self.logins.current().software_version

    def therapy_timeline(self, start: Day = None, end: Day = None) -> dict[str, Any]:
        """Return basal rates, activity events and suspensions (tconnect-api §2.1)."""
        path = "tconnect/controliq/api/therapytimeline/users/{user}?" + self._range(start, end)
        return self._get(path, "therapy timeline", dict)

    def dashboard_summary(self, start: Day = None, end: Day = None) -> dict[str, Any]:
        """Return the averages and percentages of the dashboard (tconnect-api §2.2)."""
        path = "tconnect/controliq/api/summary/users/{user}?" + self._range(start, end)
        return self._get(path, "dashboard summary", dict)

    def pump_features(self) -> list[Any]:
        """Return the user's pumps and what they can do (docs/protocol/tconnect-api.md §2.3)."""
        path = "tconnect/controliq/api/pumpfeatures/users/{user}"
        return self._get(path, "pump features", list)

    def therapy_events(self, start: Day = None, end: Day = None) -> dict[str, Any]:
        """Return boluses, readings, calibrations and basal events (tconnect-api §2.4)."""
        first, last = day_range(start, end, self._today())
        path = f"tconnect/therapyevents/api/TherapyEvents/{on_wire(first)}/{on_wire(last)}/false"
        return self._get(path + "?userId={user}", "therapy events", dict)

    def _range(self, start: Day, end: Day) -> str:
        # Tandem's firewall refuses the request when the two come in another order.
        first, last = day_range(start, end, self._today())
        return f"startDate={on_wire(first)}&endDate={on_wire(last)}"

    def _get(self, path: str, what: str, shape: type[Shape]) -> Shape:
        def send(login: WebLogin) -> Answer:
            url = path.format(user=quote(login.user_guid, safe=""))
            headers = {"Origin": _WEB_SITE, "Referer": f"{_WEB_SITE}/", **login.token.header}
            return self._http.get(endpoint(self._account.services_url, url), headers=headers)

        return json_of(self.logins.ask(send), what, shape)
