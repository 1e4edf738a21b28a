"""Who logs in to Tandem, and where its services are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """The credentials of one user and the base addresses of t:connect and of Tandem Source.

    The addresses may end in a slash or not; they differ from the defaults only for a simulated
    cloud. Nothing personal shows in the ``repr``; a proxy's address can hold a password too.
    """

    email: str = field(repr=False)
    password: str = field(repr=False)
    web_url: str = "https://tconnect.tandemdiabetes.com"
    services_url: str = "https://tdcservices.tandemdiabetes.com"
    ws2_url: str = "https://tconnectws2.tandemdiabetes.com"
    proxy: str = field(default="", repr=False)
    region: str = "US"
    """Which of Tandem Source's clouds knows the user: ``US`` or ``EU``."""
    sso_url: str = ""
    """The page that logs in to Tandem Source; empty, like the next two: the region's own."""
    accounts_url: str = ""
    """The login service behind it, with ``/accounts/api``; also the issuer of its tokens."""
    source_url: str = ""
    """Where the data of Tandem Source are."""
    token_cache: Path | None = field(default=None, repr=False)
    """The folder in which the login to Tandem Source is kept; ``None``: it is not."""
    zone: tzinfo | None = None
    """That of the pump's clock, in which t:connect's days are; ``None``: this computer's."""


def endpoint(base_url: str, path: str) -> str:
    """Join a base address, with or without trailing slash, and a path without leading slash."""
    return f"{base_url.rstrip('/')}/{path}"
