"""The web site of t:connect: the pages that have no API, as HTML (tconnect-api §5)."""

from __future__ import annotations

from urllib.parse import quote

from tconnectsync.api.answers import require_ok, text_of
from tconnectsync.api.session import LoginKeeper
from tconnectsync.api.tconnect.weblogin import WebLogin
from tconnectsync.config.settings import TandemSettings
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient, endpoint


class WebUiApi:
    """Reads pages of the web site; logs in at the first call and again when the session is over.

    Every method raises ``ApiError``, ``LoginError``, ``FirewallError`` or ``NetworkError``.

    Args:
        account: where the site is.
        http: the client for its pages.
        logins: keeps the login to the web site.
    """

    def __init__(
        self, account: TandemSettings, http: HttpClient, logins: LoginKeeper[WebLogin]
    ) -> None:
        self._account = account
        self._http = http
        self._logins = logins

    def my_devices(self) -> str:
        """Return the page that lists the person's pumps and meters (tconnect-api §5.1)."""
        return self._get("my_devices.aspx", "list of devices")

    def device_settings(self, guid: str) -> str:
        """Return the page with a pump's profiles and settings as last uploaded (tconnect-api §5.2).

        Args:
            guid: names the pump on the web site; it is not the serial number.
        """
        return self._get(f"DeviceSettings.aspx?guid={quote(guid, safe='')}", "pump settings")

    def _get(self, page: str, what: str) -> str:
        def send(login: WebLogin) -> Answer:
            # Only the cookies are the login's: its own client never repeats an HTTP 500.
            self._http.session.cookies = login.http.session.cookies
            return self._http.get(endpoint(self._account.web_url, f"myaccount/{page}"))

        answer = self._logins.ask(send)
        require_ok(answer, what)
        return text_of(answer)
