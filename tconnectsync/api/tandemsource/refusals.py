"""Why a login to Tandem Source failed, in words: four causes, each with its sentence."""

from __future__ import annotations

import json
import re
from typing import Any

from tconnectsync.api.answers import text_of
from tconnectsync.api.locked import LOCKED, locked_for
from tconnectsync.api.tandemsource.regions import other_region
from tconnectsync.errors import LoginError, PasswordRefusedError
from tconnectsync.exchange import Answer

_MAINTENANCE = r"maintenance|(service|temporarily) (is )?unavailable|out of service|be right back"
_ASKS_FOR_MORE = "mfa|factor|captcha|challenge|verif"
_CODE = r"[a-z][a-z0-9_/-]{0,59}"
_UNKNOWN_CLIENT = {"invalid_client", "unauthorized_client"}


def wrong_credentials(region: str, answer: Answer) -> LoginError:
    """E-mail address and password are not known in this region; trying again is harmful.

    An answer that names no such reason, such as a page that wants something else of the person, is
    not taken for a refusal of the password.
    """
    code = error_code(json_object(answer))
    reason = f" It says: {code}." if code not in ("", "account/invalid_credentials") else ""
    text = (
        f"Tandem's {region} cloud does not accept the e-mail address and password.{reason} Check "
        "TCONNECT_EMAIL and TCONNECT_PASSWORD, best by logging in at Tandem Source with a browser. "
        "Check the region too, because Tandem's EU and US clouds know different accounts: "
        "TCONNECT_REGION or --region is US for the United States, Canada and Mexico, EU for all "
        "other countries"
    )
    if not code or re.search(_ASKS_FOR_MORE, code):
        return LoginError(text, answer.status_code, can_retry=False)
    return PasswordRefusedError(text, answer.status_code, locked_for=locked_for(answer))


def says_locked(answer: Answer) -> bool:
    """Return whether an answer with another status than 401 says that the account is locked."""
    code = error_code(json_object(answer))
    return answer.status_code in (400, 403, 423) and LOCKED.search(code) is not None


def wrong_region(region: str) -> LoginError:
    """The service that answered is that of another region; trying again cannot help."""
    return LoginError(
        f"The login service that answered does not belong to the {region} region, or the account "
        "belongs to the other region. If the account was opened in the other region, set "
        f"TCONNECT_REGION or --region to {other_region(region)}. If TANDEM_ACCOUNTS_URL is set, "
        "check it."
    )


def action_required() -> LoginError:
    """The credentials are right, but the service asks something of the person first."""
    return LoginError(
        "Tandem accepts the e-mail address and password, but asks for something more before it "
        "gives access. Log in at Tandem Source with a browser and do what it asks there, such "
        "as accepting new terms. If it asks for nothing, a newer tconnectsync is needed."
    )


def unknown_person() -> LoginError:
    """The login is accepted, but nothing names the person whose pumps are to be read."""
    return LoginError(
        "Tandem accepted the login, but this account has no pump data of its own (no pumper "
        "id). Log in at Tandem Source with a browser: if no pump shows there either, it is the "
        "wrong account; if one does, a newer tconnectsync is needed."
    )


def unexpected(step: str, status: int | None = None) -> LoginError:
    """An answer came that is not part of the known login; ``step`` names the request.

    It may pass: a notice can replace any page.
    """
    return LoginError(
        f"Tandem's login service answered {step} in a way that tconnectsync does not know. It "
        "may show another page for a while, or it has changed. Try again later; if it lasts, a "
        "newer tconnectsync is needed",
        status,
        can_retry=True,
        changed=True,
    )


def raise_if_out(answer: Answer) -> None:
    """Recognise a login service out of order, at any HTTP status (tandem-source-api §6).

    Raises:
        LoginError: it is; it can be tried again.
    """
    status = answer.status_code
    is_page = json_object(answer) is None
    if (
        status == 429
        or status >= 500
        or (is_page and re.search(_MAINTENANCE, text_of(answer), re.IGNORECASE))
    ):
        raise LoginError(
            "Tandem's login service is out of order or under maintenance. The account is not the "
            "problem; it may work again later",
            None if status == 200 else status,
            can_retry=True,
        )


def raise_if_client_unknown(region: str, error: str) -> None:
    """Recognise a login service at which our web app of this region is not registered.

    Raises:
        LoginError: it is so.
    """
    if error in _UNKNOWN_CLIENT:
        raise wrong_region(region)


def payload_of(answer: Answer, region: str, step: str) -> dict[str, Any]:
    """Return the JSON object that a step of the login brought.

    Raises:
        LoginError: out of order, wrong region, or something unexpected.
    """
    raise_if_out(answer)
    payload = json_object(answer)
    raise_if_client_unknown(region, error_code(payload))
    if answer.status_code != 200 or payload is None:
        raise unexpected(step, None if answer.status_code == 200 else answer.status_code)
    return payload


def json_object(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON object that is the body of an answer; ``None`` if it is something else."""
    try:
        payload = json.loads(text_of(answer))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def error_code(payload: dict[str, Any] | None) -> str:
    """Return the short name of an error in a payload; free text is left out, it may be personal."""
    code = payload.get("error") if payload else None
    return code if isinstance(code, str) and re.fullmatch(_CODE, code) else ""
