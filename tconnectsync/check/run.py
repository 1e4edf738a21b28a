"""``--check-login``: tries what a sync needs, step by step, and says what is wrong and what to do.

It reads with the adapters that a sync uses, and keeps what came for the report. It writes nothing
to Nightscout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync import config
from tconnectsync.api.clients import TConnectApi, tandem_api
from tconnectsync.check.anycloud import steps as steps_of_any_cloud
from tconnectsync.check.clocks import pumps_clock, this_computers_clock
from tconnectsync.check.nightscout import NightscoutSteps
from tconnectsync.check.report import FILE_NAME, report
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
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.nightscout.api import NightscoutApi, open_nightscout
from tconnectsync.redact import Redactor
from tconnectsync.sources.registry import cloud_named
from tconnectsync.state.files import write_atomically

__all__ = ["Check", "Result", "State"]

FOR_TANDEM = (
    "TCONNECT_",
    "TANDEM_",
    "CACHE_CREDENTIALS",
    "FETCH_ALL_EVENT_TYPES",
    "PUMP_SERIAL_NUMBER",
    "TIMEZONE_NAME",
    "REQUESTS_PROXY",
)
FOR_NIGHTSCOUT = ("NS_",)


class Check:
    """A check of everything that the configuration names.

    Args:
        environment: variables that are set.
        from_file: variables that a ``.env`` file sets.
        clock: tells the time, and waits between tries.
        features: names of what is to be synced.
        tandem: makes Tandem's clients for settings by field name.
        nightscout: makes the client of Nightscout for them.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        from_file: Mapping[str, str],
        clock: Clock,
        *,
        features: Sequence[str] = (),
        tandem: Callable[[Mapping[str, Any], Clock], TConnectApi] = tandem_api,
        nightscout: Callable[[Mapping[str, Any], Clock], NightscoutApi] = open_nightscout,
    ) -> None:
        self.started = clock.now()
        """The instant that everything is judged by."""
        self._computer = clock
        self._features = features
        self._values, self._problems = config.readable(environment, from_file)
        self._notices = config.notices(environment, from_file)
        self._tandem = tandem
        self._nightscout = nightscout
        self.redactor = _redactor(self._values)
        """Knows what must not be shown; it learns more while the check runs."""
        self.clock = PumpClock(self._values.get("timezone_name", ZoneInfo("UTC")))
        """The pump's clock."""
        self._findings = Findings(self.redactor)
        self._results: list[Result] = []

    def run(self, wanted: TimeRange) -> Iterator[Result]:
        """Carry out the steps for a range; yield what comes of each when it is through."""
        findings = self._findings
        groups = (
            [("Settings", self._settings)],
            self._tandem_steps(wanted),
            self._nightscout_steps(),
            [
                ("This computer's clock", lambda: this_computers_clock(findings)),
                ("Pump's clock and zone", lambda: self._pumps_clock(wanted)),
            ],
        )
        for steps in groups:
            for result in carry_out(steps, findings):
                shown = replace(result, text=self.redactor(result.text))
                self._results.append(shown)
                yield shown

    def save_report(self, wanted: TimeRange, folder: Path) -> Path:
        """Write what came of :meth:`run` to a file without anything personal; return its path.

        Only its owner can read it. An older one is replaced, not written to: it may have been
        readable by others.

        Raises:
            OSError: it cannot be written.
        """
        path = folder / FILE_NAME
        write_atomically(
            path, report(self._results, self._findings, self._values, wanted, self.started)
        )
        return path

    @property
    def owner_known(self) -> bool:
        """Whether the names of the account's owner were learned, so that they are hidden."""
        return self._findings.owner_known

    def _settings(self) -> str:
        if self._problems:
            raise TconnectsyncError(" ".join(self._problems))
        source, zone = self._values["tconnect_source"], self._values["timezone_name"].key
        said = f"All there; the source is {source}, the pump's zone is {zone}."
        return " ".join([said, *self._notices])

    def _tandem_steps(self, wanted: TimeRange) -> list[Step]:
        values = self._values
        if not self._are_set(FOR_TANDEM):
            return [("Tandem", _settings_are_wrong)]
        cloud = cloud_named(values["tconnect_source"])
        if not all(values[name.lower()] for name in cloud.needs):
            return [("Tandem", _settings_are_wrong)]
        asked = CheckRequest(
            # A saved login would prove nothing about the password.
            self._tandem({**values, "cache_credentials": False}, self._computer),
            self._tandem(values, self._computer).account,
            _completed(values),
            self.clock,
            replace(self._computer, now=lambda: self.started),
            wanted,
            self._findings,
        )
        return (cloud.check_steps or steps_of_any_cloud)(asked)

    def _nightscout_steps(self) -> list[Step]:
        if not self._are_set(FOR_NIGHTSCOUT):
            return [("Nightscout", _settings_are_wrong)]
        site = self._nightscout(self._values, self._computer)
        return NightscoutSteps(site, self._computer.now, self._findings, self._features).steps()

    def _pumps_clock(self, wanted: TimeRange) -> str:
        if not self._findings.asked_for_events:
            raise NotTriedError("It is judged by the pump's newest data, which did not come.")
        if wanted.end < self.started:
            raise NotTriedError(
                "It is judged by the pump's newest data: leave out --start-date and --end-date."
            )
        return pumps_clock(self._findings, self.started, self.clock.zone)

    def _are_set(self, beginnings: tuple[str, ...]) -> bool:
        needed = [v for v in config.VARIABLES if v.name.startswith(beginnings)]
        return all(variable.field in self._values for variable in needed)


def _settings_are_wrong() -> str:
    raise NotTriedError("Its settings have to be put right first.")


def _completed(values: Mapping[str, Any]) -> Settings:
    """Return settings in which what cannot be read has its default, or is empty."""
    defaults = {it.field: it.parse(it.default) if it.default else "" for it in config.VARIABLES}
    return Settings(**{**defaults, **values})


def _redactor(values: Mapping[str, Any]) -> Redactor:
    redactor = Redactor(config.secrets(values))
    if address := values.get("ns_url"):
        redactor.learn_address("NS_URL", address)
    return redactor
