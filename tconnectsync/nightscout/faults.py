"""Answers that do not come from Nightscout: their origin and advice, in words.

See nightscout-api §1.1 and §7.14. Everything that stands between us and the site may answer in
its place: its host, a proxy, Cloudflare, or another web server altogether.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tconnectsync.errors import (
    NightscoutAddressError,
    NightscoutError,
    ProxyLoginError,
    SiteDownError,
)
from tconnectsync.exchange import Answer
from tconnectsync.nightscout.provenance import unescaped

LONGEST = 200
"""How many letters of the site's own text are repeated."""
_LOOKED_AT = 8_000
"""How many letters of an answer are read: the message of a page is at its beginning."""

_CHALLENGE = (
    r"just a moment|attention required|challenge-platform|cf-(chl|error|challenge)|"
    r"you have been blocked|error (code:? ?)?10\d\d\b|to restrict access"
)
_STOPPED = (
    r"no such app|nothing here, yet|application error|herokucdn|web app (is|- )(stopped|disabled)|"
    r"web app is stopped|site (is )?(disabled|stopped)|(service|site|account|app)( has been| is)? "
    r"suspended|application (not found|failed to respond)|app is (sleeping|not running)"
)
_FULL = (
    r"space quota|over (your|the|its)? ?quota|quota (was |is |has been )?exceeded|"
    r"no space left|out ?of ?disk ?space|storage limit|disk( is)? full"
)
_WANTS_HTTPS = r"(plain )?HTTP (request )?.{0,40}(HTTPS (port|server)|SSL-enabled)"
_HIDDEN = r"<!--.*?-->|<(script|style|noscript)\b.*?</\1\s*>|<[^<>]*>"
ADDRESS = (
    "Set NS_URL to the address that your browser shows when the site is open, without the name of "
    "a page behind it"
)
_WAIT = "Start it where it is hosted, or wait: the next run tries again"
_ROBOT = (
    "Cloudflare, which stands in front of the site, takes tconnectsync for a robot and lets "
    "nothing through. In Cloudflare's settings, let it skip its checks for addresses that begin "
    "with /api/, or for the address of this computer."
)


def is_json(answer: Answer) -> bool:
    """Return whether an answer is what a program, not a page, would say."""
    try:
        answer.json()
    except (ValueError, RecursionError):
        return False
    return True


def is_page(answer: Answer) -> bool:
    """Return whether an answer is a page for people, or is called one."""
    kind = answer.headers.get("Content-Type", "").lower()
    return "html" in kind or _text(answer).lstrip()[:1] == "<"


def is_nightscout(status: Answer) -> bool:
    """Return whether the answer to a request for ``status.json`` is a Nightscout's.

    One that does not know us says so in JSON, too. Other servers also name a version or a time.
    """
    try:
        said = status.json()
    except (ValueError, RecursionError):
        return False
    if not isinstance(said, dict):
        return False
    if status.status_code == 401:
        return "message" in said or "status" in said
    is_named = str(said.get("name")).lower() == "nightscout"
    has_ours = "apiEnabled" in said or "careportalEnabled" in said
    has_settings = isinstance(said.get("settings"), dict) and "version" in said
    return status.status_code == 200 and (is_named or has_ours or has_settings)


def fault_of(
    answer: Answer, login: object, words: Callable[[Answer], str]
) -> NightscoutError | None:
    """Return the error for an answer of another server; ``None`` for the site's own answer.

    Args:
        answer: any answer.
        login: the user and password of NS_URL, if it has some.
        words: returns what an answer says, as :func:`own_words` does.
    """
    status = answer.status_code
    if status < 400:
        return None
    text = _text(answer)
    if status == 401:
        return _of_proxy(answer, login) if is_page(answer) or _asks_for_login(answer) else None
    if _is_cloudflare(answer, text):
        return SiteDownError(f"{_ROBOT}{words(answer)}", status)
    if 520 <= status <= 530:
        return SiteDownError(
            "Cloudflare, which stands in front of the site, cannot reach it: the site is "
            f"stopped or cut off. {_WAIT}.{words(answer)}",
            status,
        )
    if (
        status == 400
        and answer.url.startswith("http:")
        and re.search(_WANTS_HTTPS, text, re.IGNORECASE)
    ):
        return NightscoutAddressError(
            "What answers at NS_URL speaks https there. Write https:// instead of http://", status
        )
    if re.search(_FULL, text, re.IGNORECASE) and status in (413, 500, 507):
        return NightscoutError(
            "The database of Nightscout is full. Delete old data (in Nightscout's menu, under "
            "Admin Tools) or take a bigger database; the next run tries again."
            f"{words(answer)}",
            status,
        )
    # Nightscout itself never sends a page with such a status.
    is_hosts_page = status in (502, 503, 504) and text.lstrip()[:1] == "<"
    if is_hosts_page or (
        status in (403, 404, 502, 503, 504) and re.search(_STOPPED, text, re.IGNORECASE)
    ):
        return SiteDownError(
            "The site is stopped, just starting, or gone: its host answers in its place. "
            f"{_WAIT}.{words(answer)}",
            status,
        )
    return None


def no_nightscout(answer: Answer, words: str) -> NightscoutError:
    """Return the error for an answer that surely comes from another web server."""
    status = answer.status_code
    if status == 404:
        # Its words are no more than the path that was asked for.
        return NightscoutAddressError(f"There is no Nightscout at NS_URL. {ADDRESS}", 404)
    return NightscoutAddressError(
        "What answers at NS_URL is not Nightscout but another web server. "
        # What is no page may quote what was sent.
        f"{ADDRESS}.{words if is_page(answer) else ''}",
        None if status == 200 else status,
    )


def own_words(answer: Answer, redact: Callable[[str], str]) -> str:
    """Return what an answer says as a sentence that follows others, or nothing.

    It is short, without HTML and without what ``redact`` knows to be secret.
    """
    text = _text(answer)
    try:
        said = " ".join(_texts(json.loads(text)))
    except (ValueError, RecursionError):
        said = unescaped(re.sub(_HIDDEN, " ", text, flags=re.IGNORECASE | re.DOTALL))
        said = re.sub(r"[<>]", " ", said)
    plain = "".join(letter if letter.isprintable() else " " for letter in said)
    shown = " ".join(redact(" ".join(plain.split())).split()).strip(" .")
    if len(shown) > LONGEST:
        shown = f"{shown[: LONGEST - 1].rstrip()}…"
    return f" It says: “{shown}”" if shown else ""


def _texts(payload: Any) -> list[str]:
    """Return the texts of an error in JSON, the least informative first."""
    if isinstance(payload, str):
        return [payload]
    if not isinstance(payload, dict):
        return []
    found = [payload.get(name) for name in ("message", "error", "description", "errmsg", "detail")]
    return list(dict.fromkeys(text for each in found for text in _texts(each)))


def _text(answer: Answer) -> str:
    return answer.content[: 4 * _LOOKED_AT].decode("utf-8", "replace")[:_LOOKED_AT]


def _asks_for_login(answer: Answer) -> bool:
    return bool(answer.headers.get("WWW-Authenticate", "").strip())


def _of_proxy(answer: Answer, login: object) -> ProxyLoginError:
    if login:
        return ProxyLoginError(
            "The server in front of Nightscout does not accept the user and password in NS_URL. "
            "This says nothing about NS_SECRET. Write special letters as in %40 for @",
            401,
        )
    if _asks_for_login(answer):
        return ProxyLoginError(
            "Not Nightscout but a proxy in front of it asks for a user and password. This says "
            "nothing about NS_SECRET. Write them into NS_URL before the site's name: the user, a "
            "colon, the password and an @; special letters in them as in %40 for @",
            401,
        )
    return ProxyLoginError(
        "Not Nightscout but something in front of it asks for a login, on a page of its own. This "
        "says nothing about NS_SECRET. Let addresses that begin with /api/ pass without that login",
        401,
    )


def _is_cloudflare(answer: Answer, text: str) -> bool:
    """Return whether Cloudflare asks whether a person is there, or refuses us."""
    if answer.headers.get("cf-mitigated"):
        return True
    is_its = "cf-ray" in answer.headers or "cloudflare" in answer.headers.get("Server", "").lower()
    is_named = is_its or "cloudflare" in text.lower()
    return (
        answer.status_code in (403, 429, 503)
        and is_named
        and bool(re.search(_CHALLENGE, text, re.IGNORECASE))
    )
