"""Which part of an address given by a person is the address of the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit, urlunsplit

_PAGES = (
    *("admin", "bgclock", "clock", "clock-color", "colorclock", "food", "index", "profile"),
    *("report", "reports", "split", "translations"),
)
_PART = (
    rf"(api(/v[123](/.*)?)?|({'|'.join(_PAGES)})(\.html)?|clock/[\w-]+|api-?docs(/.*|\.html)?|"
    r"api3-docs(/.*)?|swagger-ui-dist(/.*)?)"
)
_OWN = rf"{_PART}(/{_PART})*"
"""The paths of Nightscout's own interface and pages."""


def shorter(url: str) -> Iterator[str]:
    """Yield the addresses at which the site of a page or an interface may be, longest first.

    Whether it is there has to be asked: a site may live under a path of any name.
    """
    parts = urlsplit(url)
    if not parts.path.strip("/"):
        return
    names = parts.path.strip("/").split("/")
    for number in range(len(names) - 1, -1, -1):
        if re.fullmatch(_OWN, "/".join(names[number:]), re.IGNORECASE):
            path = "".join(f"/{name}" for name in names[:number])
            yield urlunsplit((parts.scheme, parts.netloc, path.rstrip("/"), "", ""))


def split_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return an address without the user and password in it, and these, if there are any."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    bare = urlunsplit(parts._replace(netloc=place))
    if not login:
        return bare, None
    user, _, password = login.partition(":")
    return bare, (unquote(user), unquote(password))
