"""Accounts of Tandem Source with several pumps, served in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

from tconnectsync.api.clients import TConnectApi
from tconnectsync.app import open_history
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Basal, Bolus, CarbEntry
from tconnectsync.errors import TconnectsyncError
from tconnectsync.history import History
from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.tandemsource.account import account, person
from tconnectsync.simulators.tandemsource.pumps import PumpChange, SimulatedPump
from tconnectsync.simulators.tandemsource.query import LogQuery
from tconnectsync.sources.tandemsource.source import TandemSource
from tests.support.command import EMAIL, PASSWORD, SERIAL, Cloud, addresses
from tests.support.event_builders import NEW_YORK
from tests.support.settings import host

ZONE = ZoneInfo("America/New_York")
FIRST = date(2024, 5, 6)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


class Account:
    """An account with some pumps, which counts what it is asked."""

    def __init__(self, *pumps: SimulatedPump, guardian: bool = False) -> None:
        self.pumps = pumps
        self.guardian = guardian
        self.asked: list[str] = []
        """What was asked for: ``pumper``, ``account``, or the end of a pump's serial number."""
        self.failing: dict[str, TconnectsyncError] = {}
        """What asking for the log of a pump raises, by its serial number."""
        self.wanted: list[tuple[date, date]] = []
        """The days of the logs asked for."""

    def pumper(self) -> dict[str, Any]:
        """Answer as ``bff/pumper``."""
        self.asked.append("pumper")
        return person([] if self.guardian else [pump.listed() for pump in self.pumps])

    def account(self) -> dict[str, Any]:
        """Answer as ``pumpers/pumpers``."""
        self.asked.append("account")
        return account([pump.listed() for pump in self.pumps], guardian=self.guardian)

    def pump_logs(
        self,
        assignment_id: str,
        first: date,
        last: date,
        codes: Iterable[int] | None = None,
        extra: Iterable[int] = (),
    ) -> dict[str, list[Any]]:
        """Answer as ``bff/pump-logs``."""
        pump = next(each for each in self.pumps if each.assignment_id == assignment_id)
        self.asked.append(pump.serial_number[-4:])
        self.wanted.append((first, last))
        if error := self.failing.get(pump.serial_number):
            raise error
        end = midnight(last + DAY) - timedelta(seconds=1)
        known = None if codes is None else frozenset((*codes, *extra))
        return pump.log_of_range(LogQuery(midnight(first), end, known))

    def source(
        self,
        now: datetime,
        *,
        serial: str = "",
        folder: Path | None = None,
        catch_up_days: float = 14,
        readings: bool = False,
    ) -> TandemSource:
        """Return the source that reads the account; ``now`` is by the wall clock in New York."""
        return TandemSource(
            cast(TConnectApi, SimpleNamespace(tandemsource=self)),
            NEW_YORK,
            serial,
            everything=False,
            readings=readings,
            ignore_zero_basals=False,
            now=lambda: NEW_YORK.instant(now),
            catch_up_days=catch_up_days,
            folder=folder,
        )


def history_of(cloud: Cloud, **changes: Any) -> History:
    """Return the history of the account that a cloud knows; ``changes`` are settings."""
    variables = {
        "TCONNECT_EMAIL": EMAIL,
        "TCONNECT_PASSWORD": PASSWORD,
        "PUMP_SERIAL_NUMBER": SERIAL,
        "TIMEZONE_NAME": NEW_YORK.zone.key,
        **addresses(cloud),
        **changes,
    }
    here = host(variables=variables)
    return open_history(here.configuration().completed(), here)


def wall(days: float, **more: float) -> datetime:
    """Return what the clock shows so many days after the first midnight."""
    return midnight(FIRST) + days * DAY + timedelta(**more)


def span(first: float, last: float) -> TimeRange:
    """Return the time from one day to another, counted from the first midnight."""
    return TimeRange(NEW_YORK.instant(wall(first)), NEW_YORK.instant(wall(last)))


def units(basals: Iterable[Basal], wanted: TimeRange) -> float:
    """Return the U that basals bring within a range."""
    total = 0.0
    for basal in basals:
        seconds = (min(basal.ends, wanted.end) - max(basal.start, wanted.start)).total_seconds()
        total += basal.rate * max(seconds, 0) / 3600
    return total


def bolus_units(boluses: Iterable[Bolus | CarbEntry]) -> float:
    """Return the U of boluses."""
    return sum(bolus.insulin for bolus in boluses if isinstance(bolus, Bolus))


def off(life: PumpHistory, begin: datetime, end: datetime) -> PumpHistory:
    """Return a life in which a pump does nothing from one moment to another but be switched on.

    A basal segment that touches that time is left out.
    """

    def kept(records: Iterable[Any]) -> list[Any]:
        return [it for it in records if getattr(it, "end", it.began) <= begin or it.began >= end]

    return replace(
        life,
        basal=kept(life.basal),
        boluses=[it for it in life.boluses if not begin <= it.requested < end],
        suspensions=[it for it in life.suspensions if not begin <= it.start < end],
        activities=kept(life.activities),
        site_changes=kept(life.site_changes),
        readings=kept(life.readings),
        finger_sticks=kept(life.finger_sticks),
    )


def truth(
    pumps: Iterable[SimulatedPump], changes: Iterable[PumpChange], until: datetime = datetime.max
) -> float:
    """Return the U of basal that the pumps of a person delivered while each was worn."""
    begins = [datetime.min, *(change.at + change.filled for change in changes)]
    total = 0.0
    for number, pump in enumerate(pumps):
        begin = begins[number]
        end = begins[number + 1] if number + 1 < len(begins) else until
        for segment in pump.history.basal:
            seconds = (min(segment.end, end) - max(segment.start, begin)).total_seconds()
            total += segment.rate * max(seconds, 0) / 3600
    return total
