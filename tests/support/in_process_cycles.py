"""The simulated t:connect, the small Nightscout, and cycles of the program between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType

from tconnectsync.api.clients import Account, TConnectApi
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tconnectsync.sources.base import Reader
from tconnectsync.sources.tconnect.source import TConnectSource
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import date_range
from tests.support.clocks import NO_WAITING
from tests.support.command import EMAIL, PASSWORD, SECRET, SERIAL
from tests.support.event_builders import NEW_YORK

FIRST = date(2024, 6, 3)
EVERYTHING = ("BASAL", "BOLUS", "PUMP_EVENTS")


def at(day: int, hours: float) -> datetime:
    """Return a moment of the pump's wall clock; day 0 is :data:`FIRST`."""
    return datetime.combine(FIRST, time()) + timedelta(days=day, hours=hours)


@dataclass
class World:
    """The two servers and the ordinary program between them, without its waiting."""

    tconnect: SimulatedTConnect
    nightscout: SmallNightscout

    def sync(
        self,
        first: int,
        last: int,
        *features: str,
        now: datetime | None = None,
        secret: str = SECRET,
        password: str = PASSWORD,
        pretend: bool = False,
        in_order: bool = False,
        at_the_end: Mapping[str, Callable[[Reader], list[str]]] = MappingProxyType({}),
    ) -> Outcome:
        """Sync from day ``first`` to the end of day ``last``."""
        url = self.tconnect.url
        account = Account(EMAIL, password, web_url=url, services_url=url, ws2_url=url)
        api = TConnectApi(account, NO_WAITING)
        http = HttpClient("Nightscout", NO_WAITING)
        cycle = Cycle(
            source=TConnectSource(api, NEW_YORK, SERIAL),
            nightscout=NightscoutApi(self.nightscout.url, secret, http),
            clock=NEW_YORK,
            features=(*(features or EVERYTHING), *at_the_end),
            now=lambda: now or datetime(2025, 1, 1, tzinfo=UTC),
            pretend=pretend,
            fill_gaps=True,
            on_plan=lambda window, plan: None,
            at_the_end=at_the_end,
        )
        days = [FIRST + timedelta(days=day) for day in (first, last)]
        wanted = date_range(days[0], days[1], NEW_YORK, cycle.now())
        return cycle.run(wanted, in_order=in_order)

    def asked(self, part: str) -> int:
        """Return how often t:connect was asked for something with ``part`` in its path."""
        return sum(part in entry.request.path for entry in self.tconnect.log)

    def kinds(self) -> set[str]:
        """Return the kinds of treatments that have arrived."""
        return {document["eventType"] for document in self.nightscout.treatments}


def broken(part: str, answer: Response | Fault) -> Callable[[Request], Response | Fault | None]:
    """Return a fault that answers so wherever ``part`` is in the path."""
    return lambda request: answer if part in request.path else None
