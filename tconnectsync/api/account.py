"""Who logs in to Tandem, and where its services are."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Account:
    """The credentials of one t:connect user and the base addresses of the services.

    The addresses may end in a slash or not; they differ from the defaults only for a simulated
    cloud. Nothing personal shows in the ``repr``; a proxy's address can hold a password too.
    """

    email: str = field(repr=False)
    password: str = field(repr=False)
    web_url: str = "https://tconnect.tandemdiabetes.com"
    services_url: str = "https://tdcservices.tandemdiabetes.com"
    ws2_url: str = "https://tconnectws2.tandemdiabetes.com"
    proxy: str = field(default="", repr=False)


def endpoint(base_url: str, path: str) -> str:
    """Join a base address, with or without trailing slash, and a path without leading slash."""
    return f"{base_url.rstrip('/')}/{path}"
