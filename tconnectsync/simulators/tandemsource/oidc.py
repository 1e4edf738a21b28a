"""The simulated login service of Tandem Source: an OIDC code flow with PKCE for one person.

It refuses what the real service would refuse or what it was never seen to accept
(docs/protocol/tandem-source-api.md §2).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid4, uuid5

from tconnectsync.simulators.loopback import Request, Response

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

_SSO_SITE = "https://sso.tandemdiabetes.com"
_API = "/accounts/api"
_SESSION = "accounts.session"
_MAKING = Lock()


@dataclass(frozen=True)
class _Client:
    """How the web app of a region is registered with the login service (tandem-source-api §1)."""

    client_id: str
    site: str
    callback: str


_CLIENTS = {
    "US": _Client("0oa4wnbvtladeyVZX4h7", _SSO_SITE, "/auth/callback"),
    "EU": _Client(
        "1519e414-eeec-492e-8c5e-97bea4815a10",
        "https://source.eu.tandemdiabetes.com",
        "/authorize/callback",
    ),
}


@dataclass(frozen=True)
class _Grant:
    """What a code was given for."""

    challenge: str
    form: dict[str, str]
    """What must come with the code when it is exchanged, besides the verifier."""


class LoginService:
    """Logs one person in and gives out tokens; knows only the accounts of its own region.

    Args:
        email: the account's e-mail address.
        password: the account's password.
        region: ``US`` or ``EU``.
        now: returns the current instant, aware; it dates the tokens.
    """

    def __init__(
        self,
        email: str,
        password: str,
        *,
        region: str = "US",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.tokens: set[str] = set()
        """The access tokens that are accepted; clear it to make them all expire."""
        self.logins = 0
        """How many logins were completed, that is, how many tokens were given out."""
        self.token_life = timedelta(hours=8)
        """How long a token is said to last."""
        self.claims: dict[str, Any] = {}
        """Claims that replace those of the next id_tokens; ``None`` leaves one out."""
        self.access_claims: dict[str, Any] = {}
        """What the next access tokens say; if it is nothing, they have no form."""
        self.pumper_id = str(uuid5(NAMESPACE_URL, f"pumper:{email.lower()}"))
        self.account_id = str(uuid5(NAMESPACE_URL, f"account:{email.lower()}"))
        self._email = email
        self._password = password
        self._client = _CLIENTS[region]
        self.now = now
        self._sessions: set[str] = set()
        self._grants: dict[str, _Grant] = {}

    def accept(self, password: str) -> None:
        """Make another password that of the account."""
        self._password = password

    def respond(self, request: Request, base_url: str) -> Response | None:
        """Answer a request; ``None`` if the path is not one of the login service's.

        ``base_url`` is the address (no slash at its end) that the service is reached at.
        """
        match request.method, request.path:
            case "GET", "/":
                return self._welcome()
            case "GET", self._client.callback:
                return _html("<html><body>One moment, please.</body></html>")
            case "POST", "/accounts/api/login":
                return self._log_in(request, base_url)
            case "GET", "/accounts/api/connect/authorize":
                return self._authorize(request, base_url)
            case "POST", "/accounts/api/connect/token":
                return self._give_token(request, base_url)
            case "GET", "/accounts/api/.well-known/openid-configuration/jwks":
                return _json({"keys": [_key().as_dict(private=False)]})
        return None

    def _welcome(self) -> Response:
        page = _html("<html><body>Sign in</body></html>")
        return _with_cookie(page, "sso.visitor", uuid4().hex, "/")

    def _log_in(self, request: Request, base_url: str) -> Response:
        if not _is_from_sso(request, base_url):
            return _blocked()
        credentials = _read_json(request.body)
        if not isinstance(credentials, dict) or set(credentials) != {"username", "password"}:
            return _error("account/invalid_request", 400)
        address, password = credentials["username"], credentials["password"]
        if str(address).lower() != self._email.lower() or password != self._password:
            return _error("account/invalid_credentials", 401)
        welcome = _json({"redirectUrl": "/", "status": "SUCCESS"})
        session = uuid4().hex
        self._sessions.add(session)
        return _with_cookie(welcome, _SESSION, session, _API)

    def _authorize(self, request: Request, base_url: str) -> Response:
        if not _is_from_sso(request, base_url):
            return _blocked()
        query = dict(request.query)
        if query.get("client_id") != self._client.client_id:
            return _error("unauthorized_client", 400)
        redirect_uri, challenge = query.pop("redirect_uri", ""), query.pop("code_challenge", "")
        expected = {
            "client_id": self._client.client_id,
            "response_type": "code",
            "scope": "openid profile email",
            "code_challenge_method": "S256",
        }
        sites = (self._client.site, base_url)
        is_known = redirect_uri in [f"{site}{self._client.callback}" for site in sites]
        if query != expected or not is_known or len(challenge) != 43:
            return _html("<html><body>Sorry, there was an error</body></html>", 400)
        if request.cookies.get(_SESSION) not in self._sessions:
            return _redirect(f"{base_url}/")
        code = uuid4().hex
        form = {"client_id": self._client.client_id, "redirect_uri": redirect_uri}
        self._grants[code] = _Grant(challenge, {"grant_type": "authorization_code"} | form)
        return _redirect(f"{redirect_uri}?{urlencode({'code': code})}")

    def _give_token(self, request: Request, base_url: str) -> Response:
        content_type = request.headers.get("content-type", "")
        if not content_type.startswith("application/x-www-form-urlencoded"):
            return _error("invalid_request", 400)
        form = request.form
        grant = self._grants.pop(form.pop("code", ""), None)
        challenge = _challenge(form.pop("code_verifier", ""))
        if grant is None or challenge != grant.challenge or form != grant.form:
            return _error("invalid_grant", 400)
        token = self._access_token()
        self.tokens.add(token)
        self.logins += 1
        return _json(
            {
                "access_token": token,
                "id_token": self._id_token(f"{base_url}{_API}"),
                "expires_in": int(self.token_life.total_seconds()),
                "token_type": "Bearer",
                "scope": "openid profile email",
            }
        )

    def _access_token(self) -> str:
        if not self.access_claims:
            return f"tandem-{uuid4().hex}"
        from joserfc import jwt

        return jwt.encode({"alg": "RS256", "kid": _key().kid}, dict(self.access_claims), _key())

    def _id_token(self, issuer: str) -> str:
        from joserfc import jwt

        issued = int(self.now().timestamp())
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": self._client.client_id,
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(self.token_life.total_seconds()),
            "sub": self.account_id,
            "email": self._email,
            "pumperId": self.pumper_id,
            "accountId": self.account_id,
        }
        claims = {
            name: value for name, value in (claims | self.claims).items() if value is not None
        }
        return jwt.encode({"alg": "RS256", "kid": _key().kid}, claims, _key())


def _key() -> RSAKey:
    """Return the key that signs; making one takes a moment, so there is one per process.

    Two threads that need the first one must not get one each.
    """
    with _MAKING:
        return _made()


@cache
def _made() -> RSAKey:
    from joserfc.jwk import RSAKey

    return RSAKey.generate_key(2048, {"kid": uuid4().hex, "use": "sig", "alg": "RS256"})


def _is_from_sso(request: Request, base_url: str) -> bool:
    """Return whether a browser sends this from the login page, by its real address or by ours."""
    pages = (f"{_SSO_SITE}/", f"{base_url}/")
    is_browser = request.headers.get("user-agent", "").startswith("Mozilla/")
    return is_browser and request.headers.get("referer") in pages


def _challenge(verifier: str) -> str:
    digest = sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _with_cookie(answer: Response, name: str, value: str, path: str) -> Response:
    answer.headers.append(("Set-Cookie", f"{name}={value}; Path={path}; HttpOnly"))
    return answer


def _json(payload: Any, status: int = 200) -> Response:
    return Response(json.dumps(payload, separators=(",", ":")).encode(), status)


def _error(name: str, status: int) -> Response:
    return _json({"error": name}, status)


def _html(page: str, status: int = 200) -> Response:
    return Response(page.encode(), status, "text/html; charset=utf-8")


def _blocked() -> Response:
    return _html("<html><body><h2>The request is blocked.</h2></body></html>", 403)


def _redirect(location: str) -> Response:
    return Response(b"", 302, "text/html", [("Location", location)])
