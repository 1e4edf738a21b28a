"""Checks on answers of Tandem's cloud before their payload is used.

Everything else becomes an error in words: another status, a web page, an empty answer, or the
firewall.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from tconnectsync.errors import ApiError, FirewallError
from tconnectsync.exchange import Answer

_FIREWALL_MARKS = ("Web Page Blocked!", "Attack ID:", "The request is blocked")


Shape = TypeVar("Shape", dict[str, Any], list[Any])


def raise_if_blocked(answer: Answer) -> None:
    """Recognise the page of Tandem's firewall, whatever its status (tconnect-api §1.5).

    Tandem Source has another firewall with a page of its own (tandem-source-api §4).

    Raises:
        FirewallError: this address is blocked for a while.
    """
    declared = answer.headers.get("Content-Type", "").lower()
    is_markup = answer.content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    if not ("html" in declared or is_markup):
        return
    page = text_of(answer)
    if "__VIEWSTATE" not in page and any(mark in page for mark in _FIREWALL_MARKS):
        raise FirewallError(
            "Tandem's firewall blocks this address for a while, usually after too many logins or "
            "requests. The account is not the problem. Wait half an hour before trying again, "
            "because every further try prolongs the block."
        )


def require_ok(answer: Answer, what: str, *, divisible: bool = True) -> None:
    """Accept only HTTP 200.

    Args:
        answer: what came.
        what: names the data asked for.
        divisible: whether it may help to ask for a shorter range.

    Raises:
        ApiError: with any other status.
    """
    status = answer.status_code
    if status == 200:
        return
    if status == 404:
        text = f"Tandem's cloud has no {what} for this pump or these days"
    elif status == 429 or status >= 500:
        text = f"Tandem's cloud could not give the {what}; it may work again later"
    else:
        text = f"Tandem's cloud refused to give the {what}"
    raise ApiError(text, status, divisible=divisible)


def json_of(answer: Answer, what: str, shape: type[Shape]) -> Shape:
    """Return the JSON payload of an answer; ``shape`` is what its outermost value must be.

    Raises:
        ApiError: another status than 200, no JSON, or JSON of another shape.
    """
    require_ok(answer, what)
    try:
        payload = payload_of(answer)
    except (ValueError, RecursionError):
        raise unusable(text_of(answer), what) from None
    return shaped(payload, what, shape)


def payload_of(answer: Answer) -> Any:
    """Return the JSON of an answer, which is read only once: a long log takes long.

    Raises:
        ValueError: it is something else.
        RecursionError: it is too deep.
    """
    if answer not in _payloads:
        _payloads[answer] = json.loads(text_of(answer))
    return _payloads[answer]


_payloads: WeakKeyDictionary[Answer, Any] = WeakKeyDictionary()


def parse_json(text: str, what: str) -> Any:
    """Read JSON.

    Raises:
        ApiError: it is something else; the text says what.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise unusable(text, what) from None


def shaped(payload: Any, what: str, shape: type[Shape]) -> Shape:
    """Return the payload if its outermost value is a ``shape``.

    Raises:
        ApiError: it is not.
    """
    if isinstance(payload, shape):
        return payload
    raise ApiError(
        f"Tandem's cloud answered the request for the {what} in an unknown form. It may have "
        "changed; if this lasts, a newer tconnectsync is needed.",
        changed=True,
    )


def unusable(text: str, what: str, *, divisible: bool = True) -> ApiError:
    """Return an error that says what came instead of the data; see :class:`ApiError`."""
    start = text.lstrip()[:1]
    if not start:
        came = "an empty answer"
    elif start == "<":
        came = "a web page"
    else:
        came = "an error report, or a text that is damaged or cut short,"
    return ApiError(
        f"Tandem's cloud sent {came} instead of the {what}. It may work again later; the next "
        "run asks again.",
        can_retry=True,
        divisible=divisible,
    )


def text_of(answer: Answer) -> str:
    """Return the body as text: UTF-8 with or without mark, whatever the header claims."""
    return answer.content.decode("utf-8-sig", errors="replace")
