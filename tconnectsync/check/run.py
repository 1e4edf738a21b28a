"""``--check-login``: tries what a sync needs, step by step, and says what is wrong and what to do.

It reads with the adapters that a sync uses, and keeps what came for the report. It writes nothing
to Nightscout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tconnectsync.api.clients import TConnectApi
from tconnectsync.api.tandemsource.tokens import TokenCache
from tconnectsync.check.anycloud import steps as steps_of_any_cloud
from tconnectsync.check.checkoutput import FILE_NAME, report
from tconnectsync.check.clocks import pumps_clock, this_computers_clock
from tconnectsync.check.nightscout import NightscoutSteps
from tconnectsync.check.results import (
    CheckRequest,
    Findings,
    NotTriedError,
    Result,
    State,
    Step,
    carry_out,
)
from tconnectsync.clock import Clock
from tconnectsync.clouds import cloud_named
from tconnectsync.config.settings import (
    Configuration,
    NightscoutSettings,
    SourceSettings,
    TandemSettings,
)
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.words import number_of
from tconnectsync.errors import ConfigError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.redact import Redactor
from tconnectsync.state.files import own_file, write_atomically

__all__ = ["Check", "Result", "State"]


class Check:
    """A check of everything that the configuration names.

    Args:
        configuration: what the user has set.
        features: names of what is to be synced.
        clock: gives the time.
        tandem: makes Tandem's clients.
        nightscout: makes the client of Nightscout.
    """

    def __init__(
        self,
        configuration: Configuration,
        features: Sequence[str],
        clock: Clock,
        *,
        tandem: Callable[[TandemSettings], TConnectApi],
        nightscout: Callable[[NightscoutSettings], NightscoutApi],
    ) -> None:
        self.started = clock.now()
        """The instant that everything is judged by."""
        self._computer = clock
        self._features = features
        self._configuration = configuration
        self._tandem = tandem
        self._nightscout = nightscout
        self.redactor = Redactor(configuration.secrets)
        """Knows what must not be shown; it learns more while the check runs."""
        if configuration.site_address:
            self.redactor.learn_address("NS_URL", configuration.site_address)
        self.clock = PumpClock(configuration.zone)
        """The pump's clock."""
        self._findings = Findings(self.redactor)
        self._results: list[Result] = []

    def run(self, time_range: TimeRange) -> Iterator[Result]:
        """Carry out the steps for a range; yield what comes of each when it is through."""
        findings = self._findings
        groups = (
            self._tandem_steps(time_range),
            self._nightscout_steps(),
            [
                ("This computer's clock", lambda: this_computers_clock(findings)),
                ("Pump's clock and zone", lambda: self._pumps_clock(time_range)),
            ],
        )
        yield self._shown(self._settings())
        for steps in groups:
            yield from map(self._shown, carry_out(steps, findings))

    def _shown(self, result: Result) -> Result:
        """Return what may be shown of a result, and keep it for the report."""
        clean = self.redactor.sentence
        details = tuple(map(clean, result.details))
        shown = replace(result, text=clean(result.text), details=details)
        self._results.append(shown)
        return shown

    def save_report(self, time_range: TimeRange, folder: Path, person: str = "") -> Path:
        """Write what came of :meth:`run` to a file without anything personal; return its path.

        Of several people, each has a file named after the ``person``.
        Only its owner can read it. An older one is replaced, not written to: it may have been
        readable by others.

        Raises:
            OSError: it cannot be written.
        """
        path = own_file(folder / FILE_NAME, person)
        settings = self._configuration.shown()
        text = report(self._results, self._findings, settings, time_range, self.started)
        write_atomically(path, self._configuration.without_folders(text))
        return path

    @property
    def owner_known(self) -> bool:
        """Whether the names of the account's owner were learned, so that they are hidden."""
        return self._findings.owner_known

    def _settings(self) -> Result:
        configuration = self._configuration
        try:
            settings = configuration.settings()
        except ConfigError as error:
            text = f"{number_of(len(error.problems), 'problem')}:"
            below = (*error.problems, *error.advice, *configuration.information())
            return Result("Settings", State.FAILED, text, error.exit_code, below)
        text = (
            f"All there; the source is {settings.source.name}, the pump's zone is "
            f"{settings.tandem.zone.key}. {configuration.origin}"
        )
        said = (*configuration.notices(), *configuration.information())
        return Result("Settings", State.OK, text, details=said)

    def _tandem_steps(self, time_range: TimeRange) -> list[Step]:
        try:
            account = self._configuration.group(TandemSettings)
            cloud = cloud_named(self._configuration.group(SourceSettings).name)
        except ConfigError:
            return [("Tandem", _settings_are_wrong)]
        # A saved login would prove nothing about the password.
        api = self._tandem(replace(account, cache_credentials=False))
        asked = CheckRequest(
            api,
            TokenCache(api.cache, account) if api.cache and account.cache_credentials else None,
            self._configuration.completed(with_pump=False),
            self.clock,
            replace(self._computer, now=lambda: self.started),
            time_range,
            self._features,
            self._findings,
        )
        return (cloud.check_steps or steps_of_any_cloud)(asked)

    def _nightscout_steps(self) -> list[Step]:
        try:
            site = self._nightscout(self._configuration.group(NightscoutSettings))
        except ConfigError:
            return [("Nightscout", _settings_are_wrong)]
        return NightscoutSteps(site, self._computer.now, self._findings, self._features).steps()

    def _pumps_clock(self, time_range: TimeRange) -> str:
        if not self._findings.asked_for_events:
            raise NotTriedError("It needs the pump's newest data, which could not be read.")
        if time_range.end < self.started:
            raise NotTriedError(
                "It needs the pump's newest data: leave out --start-date and --end-date."
            )
        return pumps_clock(self._findings, self.started, self.clock.zone)


def _settings_are_wrong() -> str:
    raise NotTriedError("Correct its settings first.")
