"""A world in this process: a simulated cloud, a small Nightscout, and the program between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from tconnectsync.app import Host, assemble, open_check
from tconnectsync.check.run import State
from tconnectsync.clock import Clock
from tconnectsync.config.settings import Configuration
from tconnectsync.domain.clock import TimeRange
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tconnectsync.sources.base import Reader
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import date_range
from tests.support.clocks import NO_WAITING
from tests.support.command import SECRET, Cloud, computer
from tests.support.settings import host

FIRST = date(2024, 6, 3)
EVERYTHING = ("BASAL", "BOLUS", "PUMP_EVENTS")
LONGEST_WAIT = 60.0
"""Seconds that a check may wait in all."""

Answer = Response | Fault | None
AtTheEnd = Mapping[str, Callable[[Reader], list[str]]]
AnyCloud = TypeVar("AnyCloud", bound=Cloud)


def at(day: int, hours: float) -> datetime:
    """Return a moment of the pump's wall clock; day 0 is :data:`FIRST`."""
    return datetime.combine(FIRST, time()) + timedelta(days=day, hours=hours)


@dataclass
class World(Generic[AnyCloud]):
    """The two services and a computer that is set up for them, on which waiting takes no time."""

    tandem: AnyCloud
    site: SmallNightscout
    folder: Path | None = None
    """Where files are kept; nowhere if it is not set."""
    features: tuple[str, ...] = ()
    now: datetime | None = None
    """When all takes place, if not now."""
    changes: dict[str, str | None] = field(default_factory=dict)
    """Variables that are set otherwise than usual, or not at all."""

    @property
    def variables(self) -> dict[str, str]:
        """All variables that are set."""
        usual = computer(self.folder or Path(), self.tandem, self.site.url, SECRET).variables
        return {k: v for k, v in {**usual, **self.changes}.items() if v is not None}

    @property
    def clock(self) -> Clock:
        """The clock of the computer."""
        now = self.now
        return replace(NO_WAITING, now=lambda: now) if now else NO_WAITING

    @property
    def host(self) -> Host:
        """The computer."""
        return host(self.folder, self.clock, self.variables)

    def cycle(
        self,
        *features: str,
        pretend: bool = False,
        now: datetime | None = None,
        at_the_end: AtTheEnd | None = None,
        **changes: str,
    ) -> Cycle:
        """Return a cycle; ``changes`` are variables set otherwise this time."""
        here = replace(self, now=now or self.now, changes={**self.changes, **changes}).host
        settings = here.configuration().settings()
        cycle = assemble(settings, features or self.features or EVERYTHING, here, pretend=pretend)
        if at_the_end is None:
            return cycle
        return replace(cycle, features=(*cycle.features, *at_the_end), at_the_end=at_the_end)

    def sync(
        self,
        first: int,
        last: int,
        *features: str,
        pretend: bool = False,
        in_order: bool = False,
        now: datetime | None = None,
        at_the_end: AtTheEnd | None = None,
        **changes: str,
    ) -> Outcome:
        """Sync from day ``first`` to the end of day ``last``; the rest is as for :meth:`cycle`."""
        cycle = self.cycle(*features, pretend=pretend, now=now, at_the_end=at_the_end, **changes)
        begin, end = (FIRST + timedelta(days=day) for day in (first, last))
        return cycle.run(date_range(begin, end, cycle.clock, cycle.now()), in_order=in_order)

    def check(self, days: int = 1, until: datetime | None = None) -> dict[str, tuple[State, str]]:
        """Run a check; return by step what came of it."""
        waits: list[float] = []
        here = replace(self.host, clock=replace(self.clock, sleep=waits.append))
        if isinstance(self.tandem, SimulatedTandemSource):
            self.tandem.login.now = here.clock.now
        check = open_check(Configuration(here.environment, {}), self.features, here)
        end = until or check.started
        results = list(check.run(TimeRange(end - timedelta(days=days), end)))
        said = {each: [each.text, *each.details] for each in results}
        assert all("\n" not in text for texts in said.values() for text in texts)
        assert sum(waits) < LONGEST_WAIT
        return {each.step: (each.state, " ".join(texts)) for each, texts in said.items()}

    def fail(self, path: str, answer: Answer, method: str = "") -> None:
        """Let all requests to Tandem whose path begins so be answered in this way."""
        self.tandem.fault = _fault(path, answer, method)

    def fail_nightscout(self, path: str, answer: Answer, method: str = "") -> None:
        """Let all requests to Nightscout whose path begins so be answered in this way."""
        self.site.fault = _fault(f"/api/v1/{path}", answer, method)

    def asked(self, part: str) -> int:
        """Return how often Tandem was asked for something with ``part`` in its path."""
        return sum(part in entry.request.path for entry in self.tandem.log)

    def requests(self) -> int:
        """Return how many requests there have been since the last call."""
        number = len(self.tandem.log) + len(self.site.log)
        self.tandem.log.clear()
        self.site.log.clear()
        return number

    def kinds(self) -> set[str]:
        """Return the kinds of treatments that have arrived."""
        return {document["eventType"] for document in self.site.treatments}


TConnectWorld = World[SimulatedTConnect]
TandemWorld = World[SimulatedTandemSource]


def _fault(path: str, answer: Answer, method: str) -> Callable[[Request], Answer]:
    def fault(request: Request) -> Answer:
        fits = request.path.startswith(path) and method in ("", request.method)
        return answer if fits else None

    return fault


def broken(part: str, answer: Response | Fault) -> Callable[[Request], Response | Fault | None]:
    """Return a fault that answers so wherever ``part`` is in the path."""
    return lambda request: answer if part in request.path else None
