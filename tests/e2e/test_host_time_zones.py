"""The zone of the computer makes no difference, least of all in the nights of daylight saving.

The pump is in New York. The program runs in the morning after such a night, as a process whose
clock stands still then, on computers in three zones at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tandemsource.oidc import LoginService
from tests.support.command import (
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    Cloud,
    Computer,
    Finished,
    cloud,
    computer,
    days,
)
from tests.support.expected import Fact, as_of, began_between, expected, logged, shown

pytestmark = pytest.mark.slow

HOST_ZONES = ("UTC", "Pacific/Auckland", "America/Los_Angeles")
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
QUARTER = 15 * MINUTE


@dataclass(frozen=True)
class Night:
    """A night in which clocks are set, and the morning after it (both on the pump's clock)."""

    set_from: datetime
    set_to: datetime
    morning: datetime

    @property
    def now(self) -> datetime:
        return self.morning.replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)

    def life(self, source: str) -> PumpHistory:
        """Return a person who was there, on t:connect without the hour that the pump left out."""
        life = live(self.morning.date() - DAY, 2)
        if source != "tconnect" or self.set_to < self.set_from:
            return life
        before = began_between(life, datetime.min, self.set_from)
        after = began_between(life, self.set_to, datetime.max)
        records: dict[str, Any] = {
            field.name: (*getattr(before, field.name), *getattr(after, field.name))
            for field in fields(life)
            if isinstance(getattr(life, field.name), tuple)
        }
        return replace(life, **records)


NIGHTS = {
    "spring": Night(
        datetime(2024, 3, 10, 2), datetime(2024, 3, 10, 3), datetime(2024, 3, 10, 9, 30)
    ),
    "autumn": Night(
        datetime(2024, 11, 3, 2), datetime(2024, 11, 3, 1), datetime(2024, 11, 3, 9, 30)
    ),
}
FEATURES = ("--features", "BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB", "CGM")
ONLY_TANDEM_SOURCE = ("CGM_ALERTS", "DEVICE_STATUS")


@contextmanager
def simulated(source: str, night: Night) -> Iterator[Cloud]:
    """Give a cloud to which the pump uploaded a quarter of an hour before."""
    life, zone = night.life(source), ZoneInfo(NEW_YORK)
    uploaded = night.now - QUARTER
    if source == "tconnect":
        server: Cloud = cloud(life)
        server.uploaded_until = uploaded.astimezone(zone).replace(tzinfo=None)
    else:
        server = SimulatedTandemSource(
            life,
            email=EMAIL,
            password=PASSWORD,
            zone=zone,
            clock_changes=[(night.set_from, night.set_to)],
        )
        server.login = LoginService(EMAIL, PASSWORD, now=lambda: night.now)
        # By the person's own clock, which is not set.
        server.uploaded_until = night.morning - QUARTER - (night.set_to - night.set_from)
    with server:
        yield server


def everything(tandem: Cloud, night: Night) -> list[Fact]:
    """Return what is to be shown, as far as it was over some minutes before the upload."""
    life = tandem.history
    if isinstance(tandem, SimulatedTandemSource):
        facts = logged(life, tandem.clocks)
    else:
        assert tandem.uploaded_until
        facts = expected(as_of(life, tandem.uploaded_until), NEW_YORK)
    return over(facts, night)


def over(facts: list[Fact], night: Night) -> list[Fact]:
    return [f for f in facts if f.at + f.minutes * MINUTE <= night.now - QUARTER - 6 * MINUTE]


@dataclass(frozen=True)
class Stay:
    """A computer in one zone with a Nightscout of its own, in the morning after a night."""

    home: Computer
    site: SmallNightscout
    night: Night

    def run(self, *options: str, zone: str | None = None) -> Finished:
        """Run the command; in another zone, if one is given, as if the computer had moved."""
        return self.home.run(*options, **({"TZ": zone} if zone else {}))

    def contents(self) -> str:
        """Return all that the site holds, without the names that the database gave."""
        site = self.site
        held = [site.treatments, site.entries, site.profiles, site.activity, site.device_statuses]
        named = {"_id": None}
        return json.dumps([[d | named for d in documents] for documents in held], sort_keys=True)


@pytest.mark.parametrize("night", NIGHTS.values(), ids=NIGHTS)
@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
def test_the_zone_of_the_computer_makes_no_difference(
    tmp_path: Path, source: str, night: Night
) -> None:
    features = (*FEATURES, *(ONLY_TANDEM_SOURCE if source == "tandem-source" else ()))
    weekend = days(night.morning.date() - DAY, night.morning.date())
    with simulated(source, night) as tandem, ExitStack() as sites, ThreadPoolExecutor(2) as pool:
        stays = []
        for number, zone in enumerate(HOST_ZONES):
            site = sites.enter_context(SmallNightscout(SECRET, now=lambda: night.now))
            (tmp_path / str(number)).mkdir()
            home = computer(tmp_path / str(number), tandem, site.url, SECRET)
            more = {"TZ": zone, "ENABLE_TESTING_MODES": "true"}
            home = replace(home, variables={**home.variables, **more}, moment=night.now)
            stays.append(Stay(home, site, night))

        planning = [pool.submit(stay.run, "--pretend", *weekend, *features) for stay in stays[1:]]
        plans = [run.result() for run in planning]
        firsts = list(pool.map(lambda stay: stay.run("--days", "2", *features), stays))
        contents = [stay.contents() for stay in stays]
        moved = pool.submit(stays[0].run, "--days", "2", *features, zone=HOST_ZONES[1])
        check = pool.submit(stays[2].run, "--check-login").result().output
        second = moved.result()
        wanted = everything(tandem, night)

    assert {run.code for run in (*plans, *firsts, second)} == {0}, second.errors
    assert len(wanted) > 200
    facts = over(shown(stays[0].site.treatments), night)
    assert [fact for fact in facts if fact.kind != "CGM Alert"] == wanted
    assert contents[1:] == contents[:1] * 2
    assert [stay.contents() for stay in stays] == contents
    assert second.counts[:2] == (0, 0)
    saturday = night.morning.date() - DAY
    assert f"From {saturday} 00:00 to " in plans[0].output
    assert plans[0].output == plans[1].output
    assert re.search(r"^Pump's clock and zone: +ok\.", check, re.MULTILINE), check
    assert re.search(r"^This computer's clock: +ok\.", check, re.MULTILINE), check
