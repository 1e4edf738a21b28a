"""The API of Tandem's Android app: login, upload counter, account data (tconnect-api §3)."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tconnectsync.api.answers import json_of, text_of
from tconnectsync.api.locked import locked_for
from tconnectsync.api.session import LoginKeeper, Token, parse_expiry
from tconnectsync.config.settings import TandemSettings
from tconnectsync.errors import ApiError, LoginError, PasswordRefusedError
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient, endpoint

# The app's own credentials, the same in every copy of it.
_CLIENT_ID = "QzIzMzFDRDYtRDQ1MC00OTVFLTlDMTktNjcyMTUyMzBDODVD"
_CLIENT_SECRET = "dHo0MzNLVzVRREM5VjdmIXo2QF4ybyZZNlNHR1lo"  # noqa: S105

_SCOPE = "cloud.account cloud.upload cloud.accepttcpp cloud.email cloud.password"
_HEADERS = {
    "User-Agent": "Dalvik/2.1.0 (Linux; U; Android 12; Pixel 4a Build/SP2A.220305.012)",
    "Content-Type": "application/json",
}


@dataclass(frozen=True)
class AndroidLogin:
    """A completed login of the app."""

    token: Token
    user_id: str | None = field(repr=False)
    """The account's id, if the answer says it."""


def log_in(account: TandemSettings, http: HttpClient) -> AndroidLogin:
    """Exchange e-mail and password for a token (docs/protocol/tconnect-api.md §3.1).

    Raises:
        LoginError: refused, or the answer holds no token.
        FirewallError: this address is blocked for a while.
        NetworkError: no answer.
    """
    client = ":".join(b64decode(each).decode() for each in (_CLIENT_ID, _CLIENT_SECRET))
    answer = http.post(
        endpoint(account.services_url, "cloud/oauth2/token"),
        data={
            "username": account.email,
            "password": account.password,
            "grant_type": "password",
            "scope": _SCOPE,
        },
        headers={
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "Authorization": f"Basic {b64encode(client.encode()).decode()}",
        },
    )
    if answer.status_code != 200:
        text = "The login of the t:connect app failed"
        if answer.status_code in (400, 401, 403):
            text = "The login of the t:connect app was refused. Check TCONNECT_EMAIL and "
            text += "TCONNECT_PASSWORD"
        if _refuses_password(answer):
            raise PasswordRefusedError(text, answer.status_code, locked_for=locked_for(answer))
        raise LoginError(text, answer.status_code)
    try:
        payload = json_of(answer, "login of the t:connect app", dict)
    except ApiError as error:
        raise LoginError(str(error), can_retry=error.can_retry, changed=error.changed) from None
    return _login_from(payload)


def _refuses_password(answer: Answer) -> bool:
    """Return whether an answer is about the e-mail address and password, not about the request."""
    if answer.status_code == 401:
        return True
    try:
        payload = json.loads(text_of(answer))
    except (ValueError, RecursionError):
        return False
    return (
        answer.status_code == 400
        and isinstance(payload, dict)
        and payload.get("error") == "invalid_grant"
    )


def _login_from(payload: dict[str, Any]) -> AndroidLogin:
    value, user = payload.get("accessToken"), payload.get("user")
    if not isinstance(value, str) or not value:
        raise LoginError(
            "The login of the t:connect app was accepted, but the answer holds no token. If this "
            "lasts, the service has changed and a newer tconnectsync is needed.",
            changed=True,
        )
    user_id = user.get("id") if isinstance(user, dict) else None
    return AndroidLogin(
        token=Token(value, parse_expiry(str(payload.get("accessTokenExpiresAt")))),
        user_id=str(user_id) if user_id else None,
    )


class AndroidApi:
    """Reads from the app's API; logs in at the first call and again when the token runs out.

    Every method raises ``ApiError``, ``LoginError``, ``FirewallError`` or ``NetworkError``.
    """

    def __init__(
        self, account: TandemSettings, http: HttpClient, logins: LoginKeeper[AndroidLogin]
    ) -> None:
        self.logins = logins
        self._account = account
        self._http = http

    def last_event_uploaded(self, serial: int | str) -> dict[str, Any]:
        """Return the upload counter of a pump: ``maxPumpEventIndex`` and ``processingStatus``."""
        path = f"cloud/upload/getlasteventuploaded?sn={quote(str(serial), safe='')}"
        return self._get(path, "upload counter")

    def patient_info(self) -> dict[str, Any]:
        """Return name, birth date and e-mail of the account's owner."""
        return self._get("cloud/account/patient_info", "patient info")

    def therapy_thresholds(self) -> dict[str, Any]:
        """Return the glucose targets (mg/dL) and change reminders set in t:connect."""
        path = "cloud/usersettings/api/therapythresholds?userId="
        return self._get(path, "thresholds", add_user=True)

    def user_profile(self) -> dict[str, Any]:
        """Return the owner's profile: names, age, targets (mg/dL), what the pump can do."""
        path = "cloud/usersettings/api/UserProfile?userId="
        return self._get(path, "user profile", add_user=True)

    def _get(self, path: str, what: str, *, add_user: bool = False) -> dict[str, Any]:
        def send(login: AndroidLogin) -> Answer:
            url = endpoint(self._account.services_url, path)
            if add_user and login.user_id is None:
                raise ApiError(
                    f"Tandem's login did not say which user it is, so the {what} cannot be asked "
                    "for. Nothing that is synced depends on it."
                )
            if add_user:
                url += quote(str(login.user_id), safe="")
            return self._http.get(url, headers=_HEADERS | login.token.header)

        return json_of(self.logins.ask(send), what, dict)
