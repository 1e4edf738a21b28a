"""Tandem's wire and nothing else: addresses, headers, logins; payloads come back untouched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconnectsync.api.guard import LoginGuard, open_guard
from tconnectsync.api.session import LoginKeeper, Token
from tconnectsync.api.shapes import Shapes
from tconnectsync.api.tandemsource.client import TandemSourceApi
from tconnectsync.api.tandemsource.extracodes import Refusals
from tconnectsync.api.tandemsource.regions import cloud_of
from tconnectsync.api.tandemsource.tokens import SavedLogins, TandemLogin, TokenCache
from tconnectsync.clock import Clock
from tconnectsync.config.settings import TandemSettings
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient

if TYPE_CHECKING:
    from tconnectsync.api.tconnect.android import AndroidApi
    from tconnectsync.api.tconnect.controliq import ControlIqApi
    from tconnectsync.api.tconnect.weblogin import WebLogin
    from tconnectsync.api.tconnect.webui import WebUiApi
    from tconnectsync.api.tconnect.ws2 import Ws2Api

USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/128.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:129.0) Gecko/20100101 Firefox/129.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.6 Safari/605.1.15",
)
"""Browsers that requests can look like; one is chosen per :class:`TConnectApi` and kept."""


class TConnectApi:
    """t:connect's APIs and Tandem Source for one account; each is made at first use and kept.

    Args:
        account: whose data, and where; its zone says which day is "today" for requests that name
            no day.
        clock: for the time, and to wait between tries.
        cache: the folder for what may be kept from run to run; ``None``: nothing is kept. A login
            to Tandem Source is kept there if the settings of the account allow it.
        guard: says which requests and logins may be sent; unless it is given, it knows of those of
            this object only.
        shapes: compares answers with what this version knows.
        read_timeout: seconds to wait for an answer; ws2 gets 10 s at most, Tandem Source, which is
            slow with long ranges, twice as much.
    """

    def __init__(
        self,
        account: TandemSettings,
        clock: Clock,
        cache: Path | None = None,
        guard: LoginGuard | None = None,
        *,
        shapes: Shapes | None = None,
        read_timeout: float = 30.0,
    ) -> None:
        self.account = account
        self.cache = cache
        may_keep = cache if account.cache_credentials else None
        self._token_cache = TokenCache(may_keep, account) if may_keep else None
        self._refusals = Refusals(may_keep, clock.now)
        self._read_timeout = read_timeout
        self._clock = clock
        self._guard = guard or open_guard(account, clock.now)
        self.shapes = shapes
        self._client = partial(
            HttpClient,
            clock=clock,
            proxy=account.proxy,
            permit=self._guard.before_request,
            inspect=self._inspect,
        )
        self._user_agent = USER_AGENTS[int(clock.jitter() * len(USER_AGENTS)) % len(USER_AGENTS)]

    @cached_property
    def controliq(self) -> ControlIqApi:
        """Basal rates, activity, boluses, readings; logs in at its first call."""
        from tconnectsync.api.tconnect.controliq import ControlIqApi

        http = self._browser("t:connect", read_timeout=self._read_timeout)
        return ControlIqApi(
            self.account, http, LoginKeeper(self._web_login, self._clock.now), self._today
        )

    @cached_property
    def android(self) -> AndroidApi:
        """The upload counter and account data; logs in at its first call."""
        from tconnectsync.api.tconnect import android

        http = self._client("t:connect app service", read_timeout=self._read_timeout)
        log_in = partial(android.log_in, self.account, http)
        guarded = partial(self._guard.log_in, *self._services["app"], log_in)
        return android.AndroidApi(self.account, http, LoginKeeper(guarded, self._clock.now))

    @cached_property
    def ws2(self) -> Ws2Api:
        """The CSV export and basal suspensions; logs in to controliq for the user's GUID."""
        from tconnectsync.api.tconnect.ws2 import CSV_RETRIES, TIMEOUT, Ws2Api

        user_guid = self.controliq.user_guid
        client = partial(
            self._browser, "tconnectws2", read_timeout=min(self._read_timeout, TIMEOUT)
        )
        return Ws2Api(self.account, client(), client(retries=CSV_RETRIES), user_guid, self._today)

    @cached_property
    def webui(self) -> WebUiApi:
        """The web site's pages; shares its login with controliq."""
        from tconnectsync.api.tconnect.webui import WebUiApi

        http = self._browser("t:connect", read_timeout=self._read_timeout)
        return WebUiApi(self.account, http, self.controliq.logins)

    @cached_property
    def tandemsource(self) -> TandemSourceApi:
        """Pumps and their logs from Tandem Source; takes a saved login, or logs in when called.

        Raises:
            ConfigError: the account's region does not exist.
        """
        http = self._tandem_client()
        log_in: Callable[[], TandemLogin] = self._tandem_login
        if self._token_cache:
            log_in = SavedLogins(self._token_cache, log_in, self._clock.now)
        logins = LoginKeeper(log_in, self._clock.now)
        return TandemSourceApi(self.account, http, logins, self._refusals)

    def forget_logins(self) -> None:
        """Make the next request of every API begin with a new login, new cookies and connections.

        A login that was saved is forgotten too.
        """
        for name, attribute in vars(type(self)).items():
            if isinstance(attribute, cached_property):
                self.__dict__.pop(name, None)
        if self._token_cache:
            self._token_cache.drop()

    def _inspect(self, answer: Answer) -> None:
        self._guard.after_answer(answer)
        if self.shapes:
            self.shapes.see(answer)

    def _browser(self, service: str, **options: Any) -> HttpClient:
        http = self._client(service, **options)
        http.session.headers["User-Agent"] = self._user_agent
        return http

    def _today(self) -> date:
        return self._clock.now().astimezone(self.account.zone).date()

    def _web_login(self) -> WebLogin:
        from tconnectsync.api.tconnect import weblogin

        http = self._browser("t:connect", read_timeout=self._read_timeout, retries=weblogin.RETRIES)
        log_in = partial(weblogin.log_in, self.account, http, self._app_token)
        return self._guard.log_in(*self._services["web"], log_in)

    @property
    def _services(self) -> dict[str, tuple[str, str]]:
        """The services that the password is sent to, each with its address."""
        return {
            "app": ("t:connect app", self.account.services_url),
            "web": ("t:connect", self.account.web_url),
            "source": ("Tandem Source", cloud_of(self.account).accounts_url),
        }

    def forget_refusals(self) -> int:
        """Let the account's password be sent again; return how many services had refused it."""
        return sum(self._guard.forget(*service) for service in self._services.values())

    def _tandem_client(self, **options: Any) -> HttpClient:
        return self._browser("Tandem Source", read_timeout=2 * self._read_timeout, **options)

    def _tandem_login(self) -> TandemLogin:
        from tconnectsync.api.tandemsource import login

        http = self._tandem_client(retries=login.RETRIES)
        log_in = partial(login.log_in, self.account, http, self._clock.now)
        return self._guard.log_in(*self._services["source"], log_in)

    def _app_token(self) -> Token:
        from tconnectsync.api.tconnect import android

        # Not the token that android holds: controliq may be logging in because that one is refused.
        http = self._client("t:connect app service", read_timeout=self._read_timeout)
        return android.log_in(self.account, http).token
