"""A check of both services in this process, without its waiting, and what its tests ask of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from tconnectsync.app import Host, open_check
from tconnectsync.check.run import State
from tconnectsync.clock import Clock
from tconnectsync.config.settings import Configuration
from tconnectsync.domain.clock import TimeRange
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
        changes = {} if self.cache else {"CACHE_CREDENTIALS": "false"}
        here = Host(
            Clock(now=lambda: self.now, sleep=waits.append),
            self.environment | changes,
            home=Path(),
            folder=Path(),
            caches=[self.cache] if self.cache else [],
        )
        configuration = Configuration(here.environment, {})
        check = open_check(configuration, self.features, here)
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


def only_failed(results: dict[str, tuple[State, str]], *steps: str) -> str:
    """Insist that exactly these steps failed; return what is said about the first."""
    assert [name for name, (state, _) in results.items() if state is State.FAILED] == list(steps)
    return results[steps[0]][1]


def not_tried(results: dict[str, tuple[State, str]]) -> list[str]:
    """Return the steps that were left out."""
    return [name for name, (state, _) in results.items() if state is State.NOT_TRIED]
