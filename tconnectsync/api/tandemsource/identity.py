"""Who has logged in to Tandem Source: the id_token, its signature and its claims.

See tandem-source-api §2 and §2b. The library that verifies them is imported at the first login
only, because it takes long to load.
"""

from __future__ import annotations

import json
import logging
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tconnectsync.api.tandemsource import refusals
from tconnectsync.api.tandemsource.regions import CLOUDS, Cloud, other_region
from tconnectsync.errors import LoginError

if TYPE_CHECKING:
    from joserfc.jwk import GuestProtocol, RSAKey

log = logging.getLogger(__name__)

LEEWAY = 60
"""Seconds that the clocks of Tandem and of this computer may differ."""

ID_CLAIMS = ("tandem_pumper_id", "pumperId", "pumper_id")
"""Where clients of Tandem Source have found the pumper id."""

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_TIMES = ("exp", "nbf", "iat")


@dataclass(frozen=True)
class Identity:
    """Who has logged in."""

    pumper_id: str = field(repr=False)
    """Names the user in the paths of Tandem Source; empty if the proof does not say."""
    account_id: str = field(repr=False)
    """The account's id; empty if the login did not say."""
    candidates: tuple[str, ...] = field(default=(), repr=False)
    """What may be the pumper id, to be tried out, where the proof does not say."""


def identify(id_token: str, keys: object, cloud: Cloud, now: datetime) -> Identity:
    """Verify an id_token and return whom it names.

    One made for another program (audience) by the right service is used with a warning: the id of
    the web app has changed before, and the token came straight from the service.

    Args:
        id_token: as the login service sent it.
        keys: the service's keys: what stands under ``keys`` in its JWKS.
        cloud: whose token it must be.
        now: the current instant, aware.

    Raises:
        LoginError: it cannot be verified, comes from another region, or is not valid at this time.
    """
    claims = _verified(id_token, keys)
    _validate(claims, cloud, now)
    pumper_id, account_id = claims.get("pumperId"), claims.get("accountId")
    return Identity(
        pumper_id if isinstance(pumper_id, str) else "",
        account_id if isinstance(account_id, str) else "",
        _ids_in(claims),
    )


def ids_of(access_token: str) -> tuple[str, ...]:
    """Return possible pumper ids from an access token, which has not been verified."""
    try:
        part = access_token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, LookupError, RecursionError):
        return ()
    return _ids_in(claims)


def _ids_in(claims: object) -> tuple[str, ...]:
    found = [claims.get(name) for name in ID_CLAIMS] if isinstance(claims, dict) else []
    return tuple(each for each in found if isinstance(each, str) and _ID.fullmatch(each))


def _verified(id_token: str, keys: object) -> dict[str, Any]:
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    def key_of(token: GuestProtocol) -> RSAKey:
        name = token.headers().get("kid")
        for key in keys if isinstance(keys, list) else ():
            if isinstance(key, dict) and key.get("kid") == name:
                return RSAKey.import_key(key)
        raise LookupError

    try:
        return jwt.decode(id_token, key_of, algorithms=["RS256"]).claims
    except (JoseError, ValueError, TypeError, LookupError):
        raise _unverifiable("its signature does not fit the keys of the login service") from None


def _validate(claims: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    from joserfc.errors import ClaimError
    from joserfc.jwt import JWTClaimsRegistry

    if claims.get("iss") == CLOUDS[other_region(cloud.region)].accounts_url != cloud.accounts_url:
        raise refusals.wrong_region(cloud.region)
    registry = JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": cloud.accounts_url},
        aud={"essential": True},
        exp={"essential": True},
    )
    try:
        registry.validate(claims)
    except ClaimError as error:
        if error.claim in _TIMES and error.claim in claims:
            raise LoginError(
                "The new login is not valid yet, or not any more. Check the clock of this "
                "computer: it must be right to the minute.",
                can_retry=True,
            ) from None
        raise _unverifiable(f"its claim {error.claim!r} is missing or wrong") from None
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not all(isinstance(each, str) for each in audience):
        raise _unverifiable("its claim 'aud' is missing or wrong")
    if cloud.client_id not in audience:
        log.warning(
            "Tandem's login sent a proof of identity that was made for another program of "
            "Tandem. It is genuine and is used; a newer tconnectsync may be needed soon."
        )


def _unverifiable(why: str) -> LoginError:
    return LoginError(
        f"The proof of identity that came with Tandem's login cannot be trusted: {why}. Something "
        "between this computer and Tandem may change the answers, or the login service has "
        "changed; in that case a newer tconnectsync is needed.",
        changed=True,
    )
