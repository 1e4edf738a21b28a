"""Who has logged in to Tandem Source: the id_token, its signature and its claims (contract §2.5).

What verifies them is imported at the first login only, because it takes long to load.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tconnectsync.api.tandemsource import refusals
from tconnectsync.api.tandemsource.regions import CLOUDS, Cloud, other_region
from tconnectsync.errors import LoginError

if TYPE_CHECKING:
    from joserfc.jwk import GuestProtocol, RSAKey

LEEWAY = 60
"""Seconds that the clocks of Tandem and of this computer may differ."""

_TIMES = ("exp", "nbf", "iat")


@dataclass(frozen=True)
class Identity:
    """Who has logged in."""

    pumper_id: str = field(repr=False)
    """Names the user in the paths of Tandem Source."""
    account_id: str = field(repr=False)
    """The account's id; empty if the login did not tell it."""


def identify(id_token: str, keys: object, cloud: Cloud, now: datetime) -> Identity:
    """Verify an id_token and return whom it names.

    A token made for another program (audience) is refused like any other that is not ours.

    Args:
        id_token: as the login service sent it.
        keys: the service's keys: what stands under ``keys`` in its JWKS.
        cloud: whose token it must be.
        now: the current instant, aware.

    Raises:
        LoginError: it cannot be verified, comes from another region, is not valid at this time, or
            names nobody.
    """
    claims = _verified(id_token, keys, cloud)
    _validate(claims, cloud, now)
    pumper_id, account_id = claims.get("pumperId"), claims.get("accountId")
    if not isinstance(pumper_id, str) or not pumper_id:
        raise LoginError(
            "Tandem's login was accepted, but this account has no pump data of its own (no pumper "
            "id). Log in at Tandem Source with a browser: if no pump shows there either, it is the "
            "wrong account; if one does, a newer tconnectsync is needed."
        )
    return Identity(pumper_id, account_id if isinstance(account_id, str) else "")


def _verified(id_token: str, keys: object, cloud: Cloud) -> dict[str, Any]:
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    def key_of(token: GuestProtocol) -> RSAKey:
        return RSAKey.import_key(_named(keys, token.headers().get("kid")))

    try:
        return jwt.decode(id_token, key_of, algorithms=["RS256"]).claims
    except (JoseError, ValueError, TypeError, LookupError):
        raise _unverifiable("its signature does not fit the keys of the login service") from None


def _named(keys: object, name: object) -> dict[str, Any]:
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict) and key.get("kid") == name:
            return key
    raise LookupError


def _validate(claims: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    from joserfc.errors import ClaimError
    from joserfc.jwt import JWTClaimsRegistry

    if claims.get("iss") == CLOUDS[other_region(cloud.region)].accounts_url != cloud.accounts_url:
        raise refusals.wrong_region(cloud.region)
    registry = JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": cloud.accounts_url},
        aud={"essential": True, "value": cloud.client_id},
        exp={"essential": True},
    )
    try:
        registry.validate(claims)
    except ClaimError as error:
        if error.claim in _TIMES and error.claim in claims:
            raise _wrong_clock() from None
        raise _unverifiable(f"its claim {error.claim!r} is missing or another") from None


def _wrong_clock() -> LoginError:
    return LoginError(
        "Tandem has just made a login that is not valid at this time. Check the clock of this "
        "computer: it has to be right to the minute.",
        can_retry=True,
    )


def _unverifiable(why: str) -> LoginError:
    return LoginError(
        f"The proof of identity that came with Tandem's login cannot be trusted: {why}. Something "
        "between this computer and Tandem may change the answers, or the login service has "
        "changed; in that case a newer tconnectsync is needed."
    )
