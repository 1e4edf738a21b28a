"""``--check-login``: tries what a sync needs, step by step, and says what is wrong and what to do.

It asks the clients of both sides directly, because it wants to see what came, not what becomes of
it. It writes nothing to Nightscout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync import config
from tconnectsync.api import TConnectApi
from tconnectsync.check.clocks import pumps_clock, this_computers_clock
from tconnectsync.check.nightscout import NightscoutSteps
from tconnectsync.check.report import report, save
from tconnectsync.check.results import (
    Findings,
    NotTriedError,
    Result,
    State,
    Step,
    carry_out,
)
from tconnectsync.check.tconnect import TConnectSteps
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import ConfigError, TconnectsyncError
from tconnectsync.nightscout.api import NightscoutApi, open_nightscout
from tconnectsync.redact import Redactor
from tconnectsync.sources import tconnect_api

__all__ = ["Check", "Result", "State"]

FOR_TANDEM = ("TCONNECT_", "PUMP_SERIAL_NUMBER", "TIMEZONE_NAME", "REQUESTS_PROXY")
FOR_NIGHTSCOUT = ("NS_",)


def _now() -> datetime:
    return datetime.now(UTC)


class Check:
    """A check of everything that the configuration names.

    Args:
        environment: variables that are set.
        files: variables that a ``.env`` file sets.
        now: returns the current instant.
        tandem: makes the clients of t:connect for settings by field name.
        nightscout: makes the client of Nightscout for them.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        files: Mapping[str, str],
        *,
        now: Callable[[], datetime] = _now,
        tandem: Callable[[Mapping[str, Any]], TConnectApi] = tconnect_api,
        nightscout: Callable[[Mapping[str, Any]], NightscoutApi] = open_nightscout,
    ) -> None:
        self.started = now()
        """The instant that everything is judged by."""
        self._now = now
        self._values, self._problems = _readable(environment, files)
        self._notices = config.notices(environment, files)
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
                shown = Result(result.step, result.state, self.redactor(result.text))
                self._results.append(shown)
                yield shown

    def save_report(self, wanted: TimeRange, folder: Path) -> Path:
        """Write what came of :meth:`run` to a file without anything personal; return its path.

        Raises:
            OSError: it cannot be written.
        """
        values = self._values
        return save(report(self._results, self._findings, values, wanted, self.started), folder)

    @property
    def owner_known(self) -> bool:
        """Whether the names of the account's owner were learned, so that they are hidden."""
        return self._findings.owner_known

    def _settings(self) -> str:
        if self._problems:
            raise TconnectsyncError(" ".join(self._problems))
        zone = self._values["timezone_name"].key
        return " ".join([f"All there; the pump's zone is {zone}.", *self._notices])

    def _tandem_steps(self, wanted: TimeRange) -> list[Step]:
        if not self._are_set(FOR_TANDEM):
            return [("Tandem", _settings_are_wrong)]
        return TConnectSteps(
            self._tandem(self._values),
            self.clock,
            self._values["pump_serial_number"],
            wanted,
            self.started,
            self._findings,
        ).steps()

    def _nightscout_steps(self) -> list[Step]:
        if not self._are_set(FOR_NIGHTSCOUT):
            return [("Nightscout", _settings_are_wrong)]
        return NightscoutSteps(self._nightscout(self._values), self._now, self._findings).steps()

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


def _readable(
    environment: Mapping[str, str], files: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that can be used, by field name, and what is wrong with the others."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable in config.VARIABLES:
        try:
            values |= config.read([variable], environment, files)
        except ConfigError as error:
            problems += error.problems
    return values, problems


def _redactor(values: Mapping[str, Any]) -> Redactor:
    secrets = [v for v in config.VARIABLES if v.secret and v.field in values]
    redactor = Redactor({variable.name: values[variable.field] for variable in secrets})
    # Tandem knows it as a number.
    redactor.learn("PUMP_SERIAL_NUMBER", values.get("pump_serial_number", "").lstrip("0"))
    if address := values.get("ns_url"):
        redactor.learn_address("NS_URL", address)
    return redactor
