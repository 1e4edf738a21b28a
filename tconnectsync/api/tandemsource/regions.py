"""Where Tandem Source is, by region, and how a web app is known there (tandem-source-api §1)."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from tconnectsync.config.settings import TandemSettings
from tconnectsync.errors import ConfigError


class Cloud(NamedTuple):
    """The services of one region; addresses have no slash at their end."""

    region: str
    client_id: str
    redirect_uri: str
    sso_url: str
    accounts_url: str
    """Also the issuer of the tokens."""
    source_url: str

    @property
    def origins(self) -> set[str]:
        """The origins of all its services."""
        return {origin(url) for url in (self.sso_url, self.accounts_url, self.source_url)}


_SSO_URL = "https://sso.tandemdiabetes.com"

CLOUDS = {
    "US": Cloud(
        region="US",
        client_id="0oa4wnbvtladeyVZX4h7",
        redirect_uri=f"{_SSO_URL}/auth/callback",
        sso_url=_SSO_URL,
        accounts_url="https://tdcservices.tandemdiabetes.com/accounts/api",
        source_url="https://source.tandemdiabetes.com",
    ),
    "EU": Cloud(
        region="EU",
        client_id="1519e414-eeec-492e-8c5e-97bea4815a10",
        redirect_uri="https://source.eu.tandemdiabetes.com/authorize/callback",
        sso_url=_SSO_URL,
        accounts_url="https://tdcservices.eu.tandemdiabetes.com/accounts/api",
        source_url="https://source.eu.tandemdiabetes.com",
    ),
}


def cloud_of(account: TandemSettings) -> Cloud:
    """Return the services that the account names, by its region and its own addresses.

    Client id and redirect URI are those of the region even if the addresses are others: the two
    are registered together and nothing is ever sent to the redirect URI.

    Raises:
        ConfigError: there is no such region.
    """
    region = account.region.strip().upper()
    if region not in CLOUDS:
        raise ConfigError([f"There is no region {account.region!r}: TCONNECT_REGION is US or EU."])
    own = CLOUDS[region]
    return Cloud(
        region=region,
        client_id=own.client_id,
        redirect_uri=own.redirect_uri,
        sso_url=(account.sso_url or own.sso_url).rstrip("/"),
        accounts_url=(account.accounts_url or own.accounts_url).rstrip("/"),
        source_url=(account.source_url or own.source_url).rstrip("/"),
    )


def other_region(region: str) -> str:
    """Return the region that is not this one."""
    return next(name for name in CLOUDS if name != region)


def origin(url: str) -> str:
    """Return scheme, host and port of an address, in the form of the header ``Origin``."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
