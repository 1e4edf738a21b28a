"""Keeps a login: when to log in, when to log in again, and how often.

The one place with the rule for an expiring token and for HTTP 401, shared by all clients of
Tandem's clouds that log in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from tconnectsync.errors import LoginError, NetworkError
from tconnectsync.exchange import Answer

log = logging.getLogger(__name__)

RENEW_BEFORE = timedelta(minutes=5)
"""A token with this time left or less is not used any more (docs/protocol/tconnect-api.md §0)."""


@dataclass(frozen=True)
class Token:
    """A bearer token and the instant (aware) when it expires, if that is known."""

    value: str = field(repr=False)
    expires_at: datetime | None

    @property
    def header(self) -> dict[str, str]:
        """The header that authorizes a request."""
        return {"Authorization": f"Bearer {self.value}"}

    def is_fresh(self, now: datetime) -> bool:
        """Whether it can still be used; a token of unknown expiry can, until it is refused."""
        return self.expires_at is None or self.expires_at - now > RENEW_BEFORE


def parse_expiry(text: str) -> datetime | None:
    """Read an expiry such as ``2021-05-04T11:18:08.381Z`` (UTC); ``None`` if it is not a time."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


class Login(Protocol):
    """What a login must offer to be kept here."""

    @property
    def token(self) -> Token:
        """The token it brought."""


AnyLogin = TypeVar("AnyLogin", bound=Login)


class LoginKeeper(Generic[AnyLogin]):
    """The current login to one service, made at first use and renewed when needed.

    A token that seems expired when it is new shows that this computer's clock is wrong; it is used
    until it is refused.

    Args:
        log_in: makes a new login; what it raises passes through, and nothing is kept then. That its
            service cannot be reached becomes fatal, but may pass.
        now: returns the current instant, aware.
    """

    def __init__(self, log_in: Callable[[], AnyLogin], now: Callable[[], datetime]) -> None:
        self._log_in = log_in
        self._now = now
        self._login: AnyLogin | None = None
        self._trust_expiry = True

    def current(self) -> AnyLogin:
        """Return a login whose token can be used."""
        if self._login is None or (self._trust_expiry and not self._is_fresh(self._login)):
            return self._renew()
        return self._login

    def ask(self, send: Callable[[AnyLogin], Answer]) -> Answer:
        """Return the answer to a request made with the current login.

        If the service asks for a login all the same, log in again and repeat, once. Being
        redirected to the login page counts as HTTP 401.

        Raises:
            LoginError: status 401, the fresh login is not accepted either. It may be accepted
                later, but another request now would only log in again without success.
        """
        answer = send(self.current())
        if not _asks_for_login(answer):
            return answer
        log.info("Tandem's cloud asks for a new login.")
        answer = send(self._renew())
        if _asks_for_login(answer):
            raise LoginError(
                "Tandem's cloud refuses the login that it gave a moment ago. Either its login "
                "service has a fault, which will pass, or the account lacks the permission",
                401,
                can_retry=True,
            )
        return answer

    def _renew(self) -> AnyLogin:
        self._login = None
        try:
            self._login = self._log_in()
        except NetworkError as error:
            # Whatever else is asked for needs the login too, and would wait as long in vain.
            raise NetworkError(str(error), fatal=True) from error
        is_fresh = self._is_fresh(self._login)
        if self._trust_expiry and not is_fresh:
            log.warning(
                "The new token from Tandem's cloud seems to have expired already. It is used "
                "until Tandem refuses it. Check the clock of this computer."
            )
        self._trust_expiry = is_fresh
        return self._login

    def _is_fresh(self, login: AnyLogin) -> bool:
        return login.token.is_fresh(self._now())


def _asks_for_login(answer: Answer) -> bool:
    return answer.status_code == 401 or "login.aspx" in urlsplit(answer.url).path.lower()
