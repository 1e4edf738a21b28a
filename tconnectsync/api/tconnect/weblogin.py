"""The form login of the t:connect web site, which gives the cookies, the user GUID and a token.

Follows docs/protocol/tconnect-api.md §1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urljoin

from bs4 import BeautifulSoup

from tconnectsync.api.answers import text_of
from tconnectsync.api.locked import locked_for
from tconnectsync.api.session import Token, parse_expiry
from tconnectsync.api.tconnect.markup import parsed_page
from tconnectsync.config.settings import TandemSettings
from tconnectsync.errors import LoginError, PasswordRefusedError
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient, Retries, endpoint, same_origin
from tconnectsync.redact import Redactor

RETRIES = Retries(server_error=())
"""A form that got HTTP 500 is not sent again: too many tries lock the account."""

_LOGIN_PATH = "login.aspx?ReturnUrl=%2f"
_CONTROL = "ctl00$ContentBody$LoginControl$"
_FAILED = "Error logging in to t:connect"
_NO_REFUSAL = re.compile("maintenance|unavailable|out of (order|service)", re.I)


@dataclass(frozen=True)
class WebLogin:
    """A completed login to the web site."""

    user_guid: str = field(repr=False)
    """Names the user in the paths of controliq and ws2."""

    token: Token
    """For controliq."""

    software_version: str | None
    """What the login page calls its version, such as ``t:connect 7.17.2.3``."""

    http: HttpClient = field(repr=False)
    """The session with the login's cookies, for the pages of the web site."""


def log_in(account: TandemSettings, http: HttpClient, app_token: Callable[[], Token]) -> WebLogin:
    """Log in with the form of the web site.

    Args:
        account: whose login.
        http: a new client without cookies; it stays part of the login.
        app_token: logs in with the app's API, for the days when the site sets no token cookies
            (docs/protocol/tconnect-api.md §1.6).

    Raises:
        LoginError: the credentials are wrong, or the login could not be completed.
        ApiError: the site did not accept the cookies it had set.
        FirewallError: this address is blocked for a while.
        NetworkError: no answer.
    """
    url = endpoint(account.web_url, _LOGIN_PATH)
    page = http.get(url)
    if page.status_code != 200:
        # No credentials have been sent yet.
        raise LoginError(_FAILED, page.status_code, can_retry=True)
    soup = _soup(page)
    answer = http.post(
        url, data=_form(account, soup), headers={"Referer": url}, allow_redirects=False
    )
    _require_accepted(answer, account)
    user_guid = answer.cookies.get("UserGUID")
    if not user_guid:
        raise LoginError(
            f"{_FAILED}: the site accepted the login but did not say which user it is (no UserGUID "
            "cookie). If this lasts, the site has changed and a newer tconnectsync is needed.",
            changed=True,
        )
    _confirm_cookies(http, url, answer)
    value, expiry = (answer.cookies.get(it) for it in ("accessToken", "accessTokenExpiresAt"))
    version = soup.find(id="footer_version")
    return WebLogin(
        user_guid=user_guid,
        token=Token(value, parse_expiry(expiry)) if value and expiry else app_token(),
        software_version=(version.get_text(strip=True) or None) if version else None,
        http=http,
    )


def _form(account: TandemSettings, page: BeautifulSoup) -> dict[str, str]:
    return {
        "__LASTFOCUS": "",
        "__EVENTTARGET": f"{_CONTROL}linkLogin",
        "__EVENTARGUMENT": "",
        "__VIEWSTATE": _hidden(page, "__VIEWSTATE"),
        "__VIEWSTATEGENERATOR": _hidden(page, "__VIEWSTATEGENERATOR"),
        "__EVENTVALIDATION": _hidden(page, "__EVENTVALIDATION"),
        f"{_CONTROL}txtLoginEmailAddress": account.email,
        "txtLoginEmailAddress_ClientState": _client_state(account.email),
        f"{_CONTROL}txtLoginPassword": account.password,
        "txtLoginPassword_ClientState": _client_state(account.password),
    }


def _hidden(page: BeautifulSoup, name: str) -> str:
    element = page.find(id=name)
    if element is None:
        raise LoginError(
            f"{_FAILED}: the login page lacks the field {name}. Either the site shows another "
            "page, for example during maintenance, or it has changed. Try again later; if it "
            "lasts, a newer tconnectsync is needed.",
            can_retry=True,
            changed=True,
        )
    return str(element.get("value") or "")


def _client_state(text: str) -> str:
    state = {
        "enabled": True,
        "emptyMessage": "",
        "validationText": text,
        "valueAsString": text,
        "lastSetTextBoxValue": text,
    }
    return json.dumps(state, ensure_ascii=False, separators=(",", ":"))


def _require_accepted(answer: Answer, account: TandemSettings) -> None:
    if answer.status_code == 302:
        return
    if answer.status_code != 200:
        raise LoginError(_FAILED, answer.status_code)
    notice = _soup(answer).find(class_="notice_error")
    # The site may repeat what it does not accept. But "password" is a word of its sentence.
    password = "" if account.password.lower() == "password" else account.password
    redact = Redactor({"e-mail address": account.email, "password": password})
    message = redact(" ".join(notice.get_text().split())) if notice else ""
    text = f"{_FAILED}: {message or 'Check your login credentials.'}"
    if not message or _NO_REFUSAL.search(message):
        # Perhaps another page: nothing says that the password is wrong.
        raise LoginError(text)
    raise PasswordRefusedError(text, locked_for=locked_for(answer))


def _confirm_cookies(http: HttpClient, url: str, accepted: Answer) -> None:
    """Follow the redirects after the login; only then do the site's pages accept the cookies."""
    location = accepted.headers.get("Location")
    if not location:
        raise LoginError(
            f"{_FAILED}: the site accepted the login but did not say which page comes next.",
            changed=True,
        )
    target = urljoin(url, location)
    if not same_origin(url, target):
        # Its cookies may be valid for other hosts too, or for a connection that others can read.
        raise LoginError(
            f"{_FAILED}: after the login, the site sends us to another address. It may have "
            "moved, or something between this computer and the site changes its answers. Try "
            "again later; if it lasts, a newer tconnectsync is needed.",
            can_retry=True,
        )
    answer = http.post(target)
    if answer.status_code != 200:
        raise LoginError(
            "The login cookies could not be retrieved from t:connect",
            answer.status_code,
            can_retry=True,
        )


def _soup(answer: Answer) -> BeautifulSoup:
    # One that cannot be read is as good as empty: it lacks what is looked for in it.
    return parsed_page(text_of(answer)) or BeautifulSoup("", "html.parser")
