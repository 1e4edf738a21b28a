"""A check of both services in this process, without its waiting, and what its tests ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from tconnectsync.api.clients import TConnectApi, tandem_api
from tconnectsync.check.run import Check, State
from tconnectsync.clock import Clock
from tconnectsync.domain.clock import TimeRange
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import NEW_YORK, SECRET, Cloud, computer, days

FIRST = date(2024, 6, 3)
WALL_NOW = datetime.combine(FIRST, time(15, 0)) + timedelta(days=1)
NOW = WALL_NOW.replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)

NIGHTSCOUT = (
    "Nightscout",
    "Nightscout careportal",
    "Nightscout secret",
    "Nightscout treatments",
)
CLOCKS = ("This computer's clock", "Pump's clock and zone")
CHECK_FIRST_DAY = ("--check-login", *days(FIRST, FIRST))

Answer = Response | Fault | None
AnyCloud = TypeVar("AnyCloud", bound=Cloud)


@dataclass
class Bench(Generic[AnyCloud]):
    """The two services, and a check of them that need not wait."""

    tandem: AnyCloud
    site: SmallNightscout
    changes: dict[str, str | None] = field(default_factory=dict)
    now: datetime = NOW
    features: tuple[str, ...] = ()
    cache: Path | None = None
    """Where logins are kept; nowhere if it is not set."""

    @property
    def environment(self) -> dict[str, str]:
        """All variables that are set."""
        usual = computer(Path(), self.tandem, self.site.url, SECRET).variables
        return {k: v for k, v in {**usual, **self.changes}.items() if v is not None}

    def check(self, days: int = 1, until: datetime | None = None) -> dict[str, tuple[State, str]]:
        """Run a check; return by step what came of it."""
        waits: list[float] = []
        if isinstance(self.tandem, SimulatedTandemSource):
            self.tandem.login.now = lambda: self.now
        check = Check(
            self.environment,
            {},
            Clock(now=lambda: self.now, sleep=waits.append),
            features=self.features,
            tandem=partial(_tandem, cache=self.cache),
            nightscout=_nightscout,
        )
        end = until or check.started
        results = list(check.run(TimeRange(end - timedelta(days=days), end)))
        assert all("\n" not in str(result) for result in results)
        assert sum(waits) < 60
        return {result.step: (result.state, result.text) for result in results}

    def fail(self, path: str, answer: Answer, method: str = "") -> None:
        """Let all requests to Tandem whose path begins so be answered in this way."""
        self.tandem.fault = _fault(path, answer, method)

    def fail_nightscout(self, path: str, answer: Answer, method: str = "") -> None:
        """Let all requests to Nightscout whose path begins so be answered in this way."""
        self.site.fault = _fault(f"/api/v1/{path}", answer, method)


def _fault(path: str, answer: Answer, method: str) -> Callable[[Request], Answer]:
    def fault(request: Request) -> Answer:
        fits = request.path.startswith(path) and method in ("", request.method)
        return answer if fits else None

    return fault


def _tandem(values: Mapping[str, Any], clock: Clock, cache: Path | None) -> TConnectApi:
    account = tandem_api(values, clock).account
    account = replace(account, token_cache=cache if values["cache_credentials"] else None)
    return TConnectApi(account, clock)


def _nightscout(values: Mapping[str, Any], clock: Clock) -> NightscoutApi:
    http = HttpClient("Nightscout", clock, given_in="NS_URL")
    return NightscoutApi(values["ns_url"], values["ns_secret"], http)


def only_failed(results: dict[str, tuple[State, str]], *steps: str) -> str:
    """Insist that exactly these steps failed; return what is said about the first."""
    assert [name for name, (state, _) in results.items() if state is State.FAILED] == list(steps)
    return results[steps[0]][1]


def not_tried(results: dict[str, tuple[State, str]]) -> list[str]:
    """Return the steps that were left out."""
    return [name for name, (state, _) in results.items() if state is State.NOT_TRIED]
