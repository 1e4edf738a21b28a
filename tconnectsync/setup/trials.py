"""Tries the answers at the services, with the steps of `--check-login`, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tconnectsync.api.tandemsource.tokens import TokenCache
from tconnectsync.check.anycloud import steps as steps_of_any_cloud
from tconnectsync.check.clocks import pumps_clock, this_computers_clock
from tconnectsync.check.nightscout import NightscoutSteps
from tconnectsync.check.results import CheckRequest, Findings, Result, Step, carry_out
from tconnectsync.clock import Clock
from tconnectsync.clouds import cloud_named
from tconnectsync.config.settings import (
    Configuration,
    NightscoutSettings,
    TandemSettings,
)
from tconnectsync.domain.clock import PumpClock
from tconnectsync.errors import LoginError, PasswordRefusedError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.site import STATUS
from tconnectsync.redact import Redactor
from tconnectsync.setup.uploaders import Seen, look
from tconnectsync.sync.run.window import last_days

if TYPE_CHECKING:
    from tconnectsync.api.clients import TConnectApi

PUMPS = ("Account and pumps", "Pump's serial number")
"""The steps that find the pumps."""
DATA = ("Pump's log", "Basals and activities", "Boluses and readings", "Pump's data")
"""The steps that read the newest data, by which the pump's clock is judged."""


class Trials:
    """Asks the services; what they said is kept for later questions.

    Args:
        clock: gives the time.
        tandem: makes Tandem's clients.
        nightscout: makes the client of Nightscout.
    """

    def __init__(
        self,
        clock: Clock,
        tandem: Callable[[TandemSettings], TConnectApi],
        nightscout: Callable[[NightscoutSettings], NightscoutApi],
    ) -> None:
        self.redactor = Redactor()
        """Knows what must not be logged."""
        self._clock = clock
        self._tandem = tandem
        self._nightscout = nightscout
        self._findings = Findings(self.redactor)
        self._api: TConnectApi
        """That of the last login, by :meth:`log_in`, which comes before all else of Tandem."""

    def log_in(self, configuration: Configuration) -> Result:
        """Try the login to Tandem, once."""
        account = configuration.group(TandemSettings)
        # Nothing is saved before all questions are answered; and a saved login would prove nothing.
        self._api = self._tandem(replace(account, cache_credentials=False))
        return next(self._run(self._steps(configuration)[:1]))

    def pumps(self, configuration: Configuration) -> list[Result]:
        """Look for the pumps of the account."""
        steps = self._steps(configuration)
        return list(self._run([step for step in steps if step[0] in PUMPS]))

    def known_pumps(self, configuration: Configuration) -> dict[str, str]:
        """Return the serial numbers of the account's pumps, by what people call the pump."""
        cloud = cloud_named(configuration.values["TCONNECT_SOURCE"])
        if cloud.list_pumps is None:
            return {}
        found: dict[str, str] = cloud.list_pumps(self._request(configuration))
        return found

    def clocks(self, configuration: Configuration) -> Iterator[Result]:
        """Judge the pump's clock and zone, and this computer's clock, by the newest data."""
        findings = self._findings = replace(
            self._findings, newest=None, uploaded=None, disagreement="", shows_wrong_date=False
        )
        steps = self._steps(configuration)
        read = list(self._run([step for step in steps if step[0] in (*PUMPS, *DATA)]))
        yield from (result for result in read if result.step in DATA)
        zone = configuration.zone
        judgements: list[Step] = [
            ("Pump's clock and zone", lambda: pumps_clock(findings, self._clock.now(), zone)),
        ]
        if findings.host_ahead_seconds is not None:
            judgements.append(("This computer's clock", lambda: this_computers_clock(findings)))
        if findings.asked_for_events:
            yield from self._run(judgements)

    def site(self, url: str, *, skip_tls_verify: bool) -> tuple[str, str]:
        """Ask for a site without any secret.

        Returns:
            Its own address, and a notice about the one that was given; empty if it was right.

        Raises:
            NightscoutError: what answers is not Nightscout.
            NetworkError: nothing answers.
        """
        site = self._nightscout(NightscoutSettings(url, "", skip_tls_verify)).site
        site.request("GET", STATUS, {"Accept": "application/json"})
        return site.url, site.remark

    def rights(self, configuration: Configuration, features: Collection[str]) -> Iterator[Result]:
        """Try the secret of the site, once, and what it may do."""
        settings = configuration.group(NightscoutSettings)
        site = self._nightscout(settings)
        steps = NightscoutSteps(site, self._clock.now, self._findings, features).steps()
        yield from self._run(steps)

    def seen(self, configuration: Configuration) -> Seen:
        """Return what is on the site; raises as :func:`tconnectsync.setup.uploaders.look`."""
        site = self._nightscout(configuration.group(NightscoutSettings))
        return look(site, self._clock.now())

    def keep_login(self, configuration: Configuration) -> None:
        """Save the login to Tandem Source that was made, so that the first run needs none."""
        account = configuration.group(TandemSettings)
        api = self._api
        if api.cache and account.cache_credentials and "tandemsource" in vars(api):
            TokenCache(api.cache, account).save(api.tandemsource.logins.current())

    def _request(self, configuration: Configuration) -> CheckRequest:
        settings = configuration.completed(with_pump=False)
        now = self._clock.now()
        return CheckRequest(
            api=self._api,
            tokens=None,
            settings=settings,
            pump_clock=PumpClock(settings.tandem.zone),
            clock=replace(self._clock, now=lambda: now),
            time_range=last_days(1, now),
            features=(),
            findings=self._findings,
        )

    def _steps(self, configuration: Configuration) -> list[Step]:
        request = self._request(configuration)
        cloud = cloud_named(request.settings.source.name)
        steps: list[Step] = (cloud.check_steps or steps_of_any_cloud)(request)
        return steps

    def _run(self, steps: Sequence[Step]) -> Iterator[Result]:
        for result in carry_out(steps, self._findings):
            yield replace(result, text=self.redactor(result.text))


def is_refusal(result: Result) -> bool:
    """Return whether a login failed for what was sent, so that sending it again does harm."""
    error = result.error and (result.error.__cause__ or result.error)
    is_unnamed = isinstance(error, LoginError) and error.status == 401 and not error.can_retry
    return is_unnamed or isinstance(error, PasswordRefusedError)
