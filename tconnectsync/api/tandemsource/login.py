"""The login to Tandem Source: an OIDC code flow with PKCE, as its web app does it.

See docs/protocol/tandem-source-api.md §2 and §2b.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from tconnectsync.api.session import Token
from tconnectsync.api.tandemsource import refusals
from tconnectsync.api.tandemsource.identity import identify, ids_of
from tconnectsync.api.tandemsource.regions import CLOUDS, Cloud, cloud_of, origin, other_region
from tconnectsync.api.tandemsource.tokens import TandemLogin
from tconnectsync.config.settings import TandemSettings
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient, Retries, endpoint

RETRIES = Retries(server_error=())
"""A request that got HTTP 500 is not sent again: too many logins lock the account."""

_SCOPE = "openid profile email"
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_EXCHANGE = "the exchange of the login code"
_MAX_REDIRECTS = 10


@dataclass(frozen=True)
class _Tokens:
    access: Token
    id_token: str = field(repr=False)


def log_in(account: TandemSettings, http: HttpClient, now: Callable[[], datetime]) -> TandemLogin:
    """Exchange e-mail and password for a token.

    Args:
        account: whose login.
        http: a new client without cookies, which looks like a browser.
        now: returns the current instant, aware.

    Raises:
        LoginError: the credentials or the region are wrong, the service is out of order, or it
            answered something unexpected; see :mod:`tconnectsync.api.tandemsource.refusals`.
        ConfigError: there is no such region.
        FirewallError: this address is blocked for a while.
        NetworkError: no answer.
    """
    cloud = cloud_of(account)
    _walk(http, cloud, f"{cloud.sso_url}/", {})  # For its cookies, whatever it shows.
    _send_credentials(account, http, cloud)
    tokens = _fetch_tokens(http, cloud, now)
    url = endpoint(cloud.accounts_url, ".well-known/openid-configuration/jwks")
    answer = http.get(url, allow_redirects=False)
    keys = refusals.payload_of(answer, cloud.region, "the request for its keys").get("keys")
    identity = identify(tokens.id_token, keys, cloud, now())
    pumper_id = identity.pumper_id or _tried_out(
        (*identity.candidates, *ids_of(tokens.access.value)), tokens.access, http, cloud
    )
    return TandemLogin(tokens.access, pumper_id, identity.account_id)


def _tried_out(candidates: Iterable[str], token: Token, http: HttpClient, cloud: Cloud) -> str:
    """Return the first candidate that Tandem Source confirms to be the pumper id.

    Raises:
        LoginError: there is none, or the service is out of order.
    """
    site = origin(cloud.source_url)
    for candidate in dict.fromkeys(candidates):
        answer = http.get(
            endpoint(cloud.source_url, f"api/pumpers/pumpers/{candidate}"),
            headers={
                "Accept": "application/json",
                "Origin": site,
                "Referer": f"{site}/",
                **token.header,
            },
            allow_redirects=False,
        )
        refusals.raise_if_out(answer)
        account = refusals.json_object(answer) if answer.status_code == 200 else None
        if account and str(account.get("id")).lower() == candidate.lower():
            return candidate
    raise refusals.unknown_person()


def _send_credentials(account: TandemSettings, http: HttpClient, cloud: Cloud) -> None:
    answer = http.post(
        endpoint(cloud.accounts_url, "login"),
        json={"username": account.email, "password": account.password},
        headers=_from_login_page(cloud),
        allow_redirects=False,
    )
    if answer.status_code == 401 or refusals.says_locked(answer):
        raise refusals.wrong_credentials(cloud.region, answer)
    payload = refusals.payload_of(answer, cloud.region, "the e-mail address and password")
    if payload.get("status") != "SUCCESS":
        raise refusals.action_required()


def _fetch_tokens(http: HttpClient, cloud: Cloud, now: Callable[[], datetime]) -> _Tokens:
    from authlib.oauth2.client import OAuth2Client

    def post(url: str, *, auth: object, **options: Any) -> Answer:
        # A code can be exchanged once, so that is not repeated; nor does it go anywhere else.
        return http.post(url, repeatable=False, allow_redirects=False, **options)

    client = OAuth2Client(
        SimpleNamespace(post=post),
        client_id=cloud.client_id,
        scope=_SCOPE,
        redirect_uri=cloud.redirect_uri,
        code_challenge_method="S256",
    )
    client.register_compliance_hook("access_token_response", partial(_require_tokens, cloud))
    verifier = secrets.token_urlsafe(64)
    # The web app sends no state: the code comes back in the answer to this very request.
    url, _ = client.create_authorization_url(
        endpoint(cloud.accounts_url, "connect/authorize"), state="", code_verifier=verifier
    )
    code = _fetch_code(http, cloud, url)
    try:
        payload = client.fetch_token(
            endpoint(cloud.accounts_url, "connect/token"),
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            headers=_FORM,
            client_id=cloud.client_id,
            auth=(),  # There is no other than the code.
        )
        life = payload.get("expires_in")
        expiry = None if life is None else now() + timedelta(seconds=int(life))
        return _Tokens(Token(payload["access_token"], expiry), payload["id_token"])
    except (ValueError, TypeError, OverflowError):
        raise refusals.unexpected(_EXCHANGE) from None


def _fetch_code(http: HttpClient, cloud: Cloud, url: str) -> str:
    step = "the request for a login code"
    answer, target = _walk(http, cloud, url, _from_login_page(cloud))
    refusals.raise_if_out(answer)
    error = refusals.error_code(refusals.json_object(answer))
    query = parse_qs(urlsplit(target).query) if _is_callback(target, cloud) else {}
    refusals.raise_if_client_unknown(cloud.region, query.get("error", [error])[0])
    if "code" in query:
        return query["code"][0]
    own, other = CLOUDS[cloud.region], CLOUDS[other_region(cloud.region)]
    if origin(target) in other.origins - own.origins - cloud.origins:
        raise refusals.wrong_region(cloud.region)
    raise refusals.unexpected(step)


def _walk(http: HttpClient, cloud: Cloud, url: str, headers: dict[str, str]) -> tuple[Answer, str]:
    """Follow redirects of the login service, but not to the redirect URI or to other hosts.

    Returns:
        The last answer, and where it points to; empty if it points nowhere.
    """
    ours = (origin(cloud.sso_url), origin(cloud.accounts_url))
    for _ in range(_MAX_REDIRECTS):
        answer = http.get(url, headers=headers, allow_redirects=False)
        target = urljoin(url, answer.headers["Location"]) if answer.is_redirect else ""
        if origin(target) not in ours or _is_callback(target, cloud):
            break
        url = target
    return answer, target


def _is_callback(target: str, cloud: Cloud) -> bool:
    return target.partition("?")[0] == cloud.redirect_uri


def _require_tokens(cloud: Cloud, answer: Answer) -> Answer:
    payload = refusals.payload_of(answer, cloud.region, _EXCHANGE)
    tokens = (payload.get("access_token"), payload.get("id_token"))
    if "error" in payload or not all(isinstance(token, str) and token for token in tokens):
        raise refusals.unexpected(_EXCHANGE)
    return answer


def _from_login_page(cloud: Cloud) -> dict[str, str]:
    return {"Referer": f"{cloud.sso_url}/"}
