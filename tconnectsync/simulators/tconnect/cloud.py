"""A simulated t:connect cloud: logins and APIs of a person's pump data over HTTP, on loopback.

It serves what its neighbours ``payloads``, ``export`` and ``account`` make of a history, and what
``pages`` shows of the pump's settings; it refuses requests that the real services would refuse
(docs/protocol/tconnect-api.md §1–5). All four services share one address.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5
from zoneinfo import ZoneInfo

from tconnectsync.simulators.history import PumpHistory, Record
from tconnectsync.simulators.loopback import Request, Response, SimulatedCloud
from tconnectsync.simulators.pump import SERIAL_NUMBER
from tconnectsync.simulators.tconnect.account import (
    THRESHOLDS,
    patient_info,
    pump_features,
    user_profile,
)
from tconnectsync.simulators.tconnect.export import timeline_csv
from tconnectsync.simulators.tconnect.pages import AccountPages
from tconnectsync.simulators.tconnect.payloads import (
    basal_suspensions,
    summary,
    therapy_events,
    therapy_timeline,
)
from tconnectsync.simulators.tconnect.view import View

_WEB_SITE = "https://tconnect.tandemdiabetes.com"
_LOGIN_PATH = "/login.aspx?ReturnUrl=%2f"
_CONTROL = "ctl00$ContentBody$LoginControl$"
_SCOPE = "cloud.account cloud.upload cloud.accepttcpp cloud.email cloud.password"
_APP_CLIENT = (
    "QzIzMzFDRDYtRDQ1MC00OTVFLTlDMTktNjcyMTUyMzBDODVD",
    "dHo0MzNLVzVRREM5VjdmIXo2QF4ybyZZNlNHR1lo",
)
_TOKEN_LIFE = timedelta(hours=8)


def simulate(
    history: PumpHistory, *, email: str, password: str, zone: ZoneInfo
) -> SimulatedTConnect:
    """Return a simulated t:connect; all its times are the pump's, so the zone does not matter."""
    return SimulatedTConnect(history, email=email, password=password)


class SimulatedTConnect(SimulatedCloud):
    """Serves one person's history; use it with ``with``.

    Args:
        history: what the pump did.
        email: the account's e-mail address.
        password: the account's password.
        uploaded_until: see the attribute.
        latency: seconds added before every answer.
        token_cookies: whether the web login sets token cookies, as it did until 2024-09.
    """

    def __init__(
        self,
        history: PumpHistory,
        *,
        email: str,
        password: str,
        uploaded_until: datetime | None = None,
        latency: float = 0.0,
        token_cookies: bool = False,
    ) -> None:
        super().__init__(self._respond, latency=latency)
        self.history = history
        self.uploaded_until = uploaded_until
        """When the pump last uploaded (its wall clock); ``None``: after all that happened.

        Nothing later is served; what was going on then is served as running.
        """
        self.hidden: set[Record] = set()
        """Records that are held back as if the upload had missed them."""
        self.account_pages = AccountPages()
        """What the web site shows of the person's devices and the pump's settings."""
        self.tokens: set[str] = set()
        """The bearer tokens that are accepted; clear it to make them all expire."""
        self.user_guid = str(uuid5(NAMESPACE_URL, email.lower()))
        self._email = email
        self._password = password
        self._token_cookies = token_cookies
        self._form_state = {
            name: uuid4().hex
            for name in ("__VIEWSTATE", "__VIEWSTATEGENERATOR", "__EVENTVALIDATION")
        }

    @property
    def variables(self) -> dict[str, str]:
        """The settings that lead to it instead of the real one."""
        names = ("TCONNECT_WEB_URL", "TCONNECT_SERVICES_URL", "TCONNECT_WS2_URL")
        return dict.fromkeys(names, self.url)

    @property
    def upload_counter(self) -> int:
        """The index of the last event uploaded; a pump logs about one every ten seconds.

        It grows with ``uploaded_until``, and when a hidden record is delivered later.
        """
        since_begin = self._until - datetime.combine(self.history.first_day, datetime.min.time())
        return max(0, int(since_begin.total_seconds()) // 10 - len(self.hidden))

    @property
    def _until(self) -> datetime:
        return self.uploaded_until or self.history.end + timedelta(days=1)

    def _respond(self, request: Request) -> Response:
        path = request.path.removeprefix("/").split("/")
        try:
            if request.method == "POST":
                return self._post(request, path)
            _require(request.method == "GET", _error(405))
            match path:
                case ["tconnect", *rest]:
                    return self._controliq(request, rest)
                case ["cloud", *rest]:
                    return self._android(request, rest)
                case ["therapytimeline2csv" | "basalsuspension" | "basaliqtech", *_]:
                    return self._ws2(request, path)
                case _:
                    return self._web(request, path)
        except _RefusedError as refused:
            return refused.response

    def _post(self, request: Request, path: list[str]) -> Response:
        match path:
            case ["login.aspx"]:
                return self._log_in(request)
            case ["CookieCheck.aspx"]:
                _require_browser(request)
                self._require_cookie(request)
                return _redirect("/")
            case ["cloud", "oauth2", "token"]:
                return self._app_login(request)
        return _error(404)

    # -- web site (docs/protocol/tconnect-api.md §1) -----------------------------------------------

    def _web(self, request: Request, path: list[str]) -> Response:
        _require_browser(request)
        match path:
            case ["login.aspx"]:
                return _html(_login_page(self._form_state))
            case [""]:
                self._require_cookie(request)
                return _html("<html><body>t:connect</body></html>")
            case ["myaccount", name]:
                self._require_cookie(request)
                page = self.account_pages.page(name, request.query.get("guid"))
                return _html(page) if page else _error(404)
        return _error(404)

    def _log_in(self, request: Request) -> Response:
        _require_browser(request)
        form = request.form
        address = form.get(f"{_CONTROL}txtLoginEmailAddress", "")
        password = form.get(f"{_CONTROL}txtLoginPassword", "")
        # Like a form of ASP.NET that was tampered with.
        _require(_is_page_of(self, request.headers.get("referer"), _LOGIN_PATH), _error(500))
        _require(_canonical(form) == self._expected_form(address, password), _error(500))
        if not self._knows(address, password):
            return _html(_REJECTION)
        cookies = {"UserGUID": self.user_guid}
        if self._token_cookies:
            token, expires = self._new_token("web")
            cookies |= {"accessToken": token, "accessTokenExpiresAt": expires}
        answer = _redirect("/CookieCheck.aspx?ReturnUrl=%2F")
        answer.headers.extend(("Set-Cookie", f"{k}={v}; Path=/") for k, v in cookies.items())
        return answer

    def _expected_form(self, address: str, password: str) -> dict[str, Any]:
        return {
            "__LASTFOCUS": "",
            "__EVENTTARGET": f"{_CONTROL}linkLogin",
            "__EVENTARGUMENT": "",
            **self._form_state,
            f"{_CONTROL}txtLoginEmailAddress": address,
            "txtLoginEmailAddress_ClientState": _client_state(address),
            f"{_CONTROL}txtLoginPassword": password,
            "txtLoginPassword_ClientState": _client_state(password),
        }

    def _knows(self, address: str, password: str) -> bool:
        return address.lower() == self._email.lower() and password == self._password

    def _new_token(self, origin: str) -> tuple[str, str]:
        """Return a token and when it expires; the app's service accepts only the app's tokens."""
        token = f"{origin}-{uuid4().hex}"
        self.tokens.add(token)
        return token, _expiry(_TOKEN_LIFE)

    def _require_cookie(self, request: Request) -> None:
        _require(request.cookies.get("UserGUID") == self.user_guid, _redirect(_LOGIN_PATH))

    # -- controliq (docs/protocol/tconnect-api.md §2) ----------------------------------------------

    def _controliq(self, request: Request, path: list[str]) -> Response:
        _require_browser(request)
        self._require_token(request)
        origin, referer = request.headers.get("origin"), request.headers.get("referer")
        _require(_is_page_of(self, origin, "") and _is_page_of(self, referer, "/"), _error(401))
        match path:
            case ["controliq", "api", "pumpfeatures", "users", guid]:
                self._require_user(guid)
                return _json(pump_features(self.history))
            case ["controliq", "api", "therapytimeline" | "summary" as what, "users", guid]:
                self._require_user(guid)
                _require(list(request.query) == ["startDate", "endDate"], _html(_BLOCKED, 403))
                _require(self.history.control_iq, _error(404))
                view = self._view(request.query["startDate"], request.query["endDate"])
                return _json((summary if what == "summary" else therapy_timeline)(view))
            case ["therapyevents", "api", "TherapyEvents", first, last, "false"]:
                self._require_user(request.query.get("userId"))
                return _json(therapy_events(self._view(first, last)))
        return _error(404)

    def _require_token(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        _require(scheme == "Bearer" and token in self.tokens, _error(401))
        return token

    def _require_user(self, guid: str | None) -> None:
        _require(guid == self.user_guid, _error(403))

    def _view(self, first: str, last: str) -> View:
        return View(self.history, _day(first), _day(last), self._until, frozenset(self.hidden))

    # -- android (docs/protocol/tconnect-api.md §3) ------------------------------------------------

    def _app_login(self, request: Request) -> Response:
        client = ":".join(b64decode(part).decode() for part in _APP_CLIENT)
        basic = f"Basic {b64encode(client.encode()).decode()}"
        _require(request.headers.get("authorization") == basic, _json({"error": "client"}, 401))
        form = request.form
        is_known = self._knows(form.pop("username", ""), form.pop("password", ""))
        is_complete = form == {"grant_type": "password", "scope": _SCOPE}
        _require(is_known and is_complete, _json({"error": "invalid_grant"}, 400))
        token, expires = self._new_token("app")
        return _json(
            {
                "accessToken": token,
                "accessTokenExpiresAt": expires,
                "refreshToken": uuid4().hex,
                "refreshTokenExpiresAt": _expiry(timedelta(days=14)),
                "user": {"id": self.user_guid},
            }
        )

    def _android(self, request: Request, path: list[str]) -> Response:
        _require(self._require_token(request).startswith("app-"), _error(401))
        _require(request.headers.get("user-agent", "").startswith("Dalvik/"), _error(403))
        _require(request.headers.get("content-type") == "application/json", _error(415))
        match path:
            case ["upload", "getlasteventuploaded"]:
                _require(request.query.get("sn") == str(SERIAL_NUMBER), _error(404))
                index = self.upload_counter
                return _json({"maxPumpEventIndex": index, "processingStatus": 1})
            case ["account", "patient_info"]:
                return _json(patient_info(self._email))
            case ["usersettings", "api", "therapythresholds"]:
                self._require_user(request.query.get("userId"))
                return _json(THRESHOLDS)
            case ["usersettings", "api", "UserProfile"]:
                self._require_user(request.query.get("userId"))
                return _json(user_profile(self.user_guid, self.history))
        return _error(404)

    # -- tconnectws2 (docs/protocol/tconnect-api.md §4) --------------------------------------------

    def _ws2(self, request: Request, path: list[str]) -> Response:
        _require_browser(request)
        self._require_user(path[1] if len(path) > 1 else None)
        match path:
            case ["therapytimeline2csv", _, first, last]:
                _require(request.query == {"format": "csv"}, _error(404))
                body = timeline_csv(self._view(first, last))
                return Response(body.encode(), content_type="text/csv")
            case ["basalsuspension", _, first, last, *rest] if rest in ([""], ["filterbasal", "1"]):
                view = self._view(first, last)
                return _jsonp(request, basal_suspensions(view, only_changes=rest != [""]))
            case ["basaliqtech", _, first, last]:
                self._view(first, last)
                return _jsonp(request, {"BasalIQ": []})
        return _error(404)


class _RefusedError(Exception):
    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__()


def _require(condition: bool, otherwise: Response) -> None:
    if not condition:
        raise _RefusedError(otherwise)


def _require_browser(request: Request) -> None:
    _require(request.headers.get("user-agent", "").startswith("Mozilla/"), _html(_BLOCKED, 403))


def _is_page_of(cloud: SimulatedTConnect, url: str | None, path: str) -> bool:
    """Return whether a header names a page of the web site: by its real address or by ours."""
    pages = (f"{_WEB_SITE}{path}".lower(), f"{cloud.url}{path}".lower())
    return url is not None and url.lower() in pages


def _day(text: str) -> date:
    """Read a calendar day of a request, ``MM-DD-YYYY``."""
    try:
        day = datetime.strptime(text, "%m-%d-%Y").date()
    except ValueError:
        raise _RefusedError(_error(400)) from None
    _require(f"{day:%m-%d-%Y}" == text, _error(400))
    return day


def _expiry(life: timedelta) -> str:
    moment = datetime.now(UTC) + life
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _client_state(text: str) -> dict[str, Any]:
    return {
        "enabled": True,
        "emptyMessage": "",
        "validationText": text,
        "valueAsString": text,
        "lastSetTextBoxValue": text,
    }


def _canonical(form: dict[str, str]) -> dict[str, Any]:
    """Return the form with its JSON texts read; a text that is none stays as it is."""
    fields: dict[str, Any] = dict(form)
    for name in ("txtLoginEmailAddress_ClientState", "txtLoginPassword_ClientState"):
        try:
            fields[name] = json.loads(form.get(name, ""))
        except ValueError:
            continue
    return fields


def _json(payload: Any, status: int = 200) -> Response:
    return Response(json.dumps(payload, separators=(",", ":")).encode(), status)


def _jsonp(request: Request, payload: Any) -> Response:
    _require(request.query == {"callback": "cb"}, _error(404))
    body = b"cb(" + _json(payload).body + b")"
    return Response(body, content_type="application/javascript")


def _html(page: str, status: int = 200) -> Response:
    return Response(page.encode(), status, "text/html; charset=utf-8")


def _redirect(location: str) -> Response:
    return Response(b"", 302, "text/html", [("Location", location)])


def _error(status: int) -> Response:
    return _json({"messages": [f"The request was refused ({status})."]}, status)


_BLOCKED = "<html><body><h1>The request was blocked.</h1></body></html>"
_REJECTION = (
    '<html><body><div class="notice_error" id="literalMessage">'
    "The simulated cloud does not know this e-mail address and password.</div></body></html>"
)


def _login_page(state: dict[str, str]) -> str:
    empty = {"__LASTFOCUS": "", "__EVENTTARGET": "", "__EVENTARGUMENT": ""}
    inputs = "".join(
        f'<input type="hidden" name="{name}" id="{name}" value="{value}" />'
        for name, value in (empty | state).items()
    )
    return (
        f'<html><body><form method="post" action=".{_LOGIN_PATH}" id="form1">{inputs}</form>'
        '<span id="footer_version">t:connect 7.17.2.3</span></body></html>'
    )
