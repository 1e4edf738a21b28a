"""The fleet: 20 people over six simulated hours with faults, after which all is as it should be."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.app import assemble
from tconnectsync.simulators.loopback import Fault, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sync.run.window import last_days
from tests.support.clocks import NO_WAITING
from tests.support.command import NEW_YORK
from tests.support.expected import Fact, shown
from tests.support.fast_process import soon
from tests.support.fleet import MINUTE, Fleet, Watched, fleet_of
from tests.support.people import Somebody
from tests.support.postgres import Postgres
from tests.support.settings import host

WRONG, KILLED = "p10", "p11"
NO_TANDEM = "p00", "p01", "p02", "p03", "p04"
NO_NIGHTSCOUT = "p05", "p06", "p07", "p08", "p09"
LOGIN = "/accounts/api/login"
HOUR = timedelta(hours=1)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def fleet(postgres: Postgres, tmp_path: Path) -> Iterator[Fleet]:
    """Give a fleet with 20 accounts and two workers, of whom one person's password is wrong."""
    names = [f"p{number:02}" for number in range(20)]
    with fleet_of(postgres, tmp_path, *names) as fleet:
        fleet.add(*names, **{WRONG: {"TCONNECT_PASSWORD": "a wrong one"}})
        for _ in range(2):
            fleet.start_worker()
        yield fleet


def kill_in_a_step(fleet: Fleet, site: Watched) -> None:
    """Kill a worker while it writes; its step begins anew, and not before it is dead."""
    site.held = go_on = threading.Event()
    while not site.holds.is_set():
        fleet.show(fleet.now + MINUTE)
        soon(lambda: site.holds.is_set() or fleet.is_settled())
    (step,) = fleet.doing(KILLED)
    fleet.age()
    fleet.sweep()
    assert fleet.doing(KILLED) == [step]
    killed = fleet.workers[int(step.application_name.split()[1])]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    go_on.set()
    soon(lambda: not fleet.doing(KILLED))
    soon(fleet.sweep)
    fleet.start_worker()


def restart_in_a_step(fleet: Fleet) -> None:
    """Restart the database while steps are taken; what they were is found and done again."""
    fleet.show(fleet.now + 20 * MINUTE)
    soon(lambda: fleet.ask("SELECT id FROM procrastinate_jobs WHERE status = 'doing'"))
    fleet.postgres.restart()
    fleet.connection = None
    fleet.age()
    soon(fleet.sweep)


def shown_since(start: datetime, treatments: list[Any]) -> list[Fact]:
    return [fact for fact in shown(treatments) if fact.at >= start]


def at_once(fleet: Fleet, somebody: Somebody) -> list[Any]:
    """Return what a site holds after a single sync of all."""
    with SmallNightscout(somebody.secret, now=lambda: fleet.now) as site:
        changes = {"NS_URL": site.url, "TIMEZONE_NAME": NEW_YORK}
        here = host(variables={**somebody.variables, **changes})
        here = replace(here, clock=replace(NO_WAITING, now=lambda: fleet.now))
        settings = here.configuration().settings()
        outcome = assemble(settings, settings.sync.features, here).run(last_days(2, fleet.now))
        assert outcome.is_complete
        return site.treatments


def secrets_in(fleet: Fleet) -> list[str]:
    """Return what the database or the log holds of anybody that must not be read there."""
    places = {"database": fleet.postgres.run("pg_dump").lower(), "log": fleet.log.lower()}
    places["jobs"] = str(fleet.ask("SELECT args FROM procrastinate_jobs"))
    return [
        f"{what} of {name} in the {place}"
        for name, each in fleet.people.items()
        for what, value in {**each.personal, "key": fleet.key}.items()
        for place, text in places.items()
        if value.lower() in text
    ]


def test_six_hours_with_faults_leave_every_site_exact(fleet: Fleet) -> None:
    people = fleet.people
    sites = {name: Watched(each.site) for name, each in people.items()}
    clouds = {name: Watched(each.tandem) for name, each in people.items()}
    start = fleet.now

    def until(hours: float) -> None:
        fleet.until(start + hours * HOUR)

    until(1)
    for name in NO_TANDEM:
        clouds[name].answer = Response(b"{}", 503)
    until(2)
    said = json.loads(fleet.run("status", "--json", code=1))["people"]
    states = {each["person"]: each["state"] for each in said if not each["ok"]}
    assert states == {WRONG: "login-refused", **dict.fromkeys(NO_TANDEM, "tandem-unreachable")}
    assert len([it for it in people[WRONG].tandem.log if it.request.path == LOGIN]) == 1
    fleet.run("change", WRONG, "--env-file", fleet.settings(WRONG))
    for name in NO_TANDEM:
        clouds[name].answer = None
    for name in NO_NIGHTSCOUT:
        sites[name].answer = Fault.DROP
    until(3)
    for name in NO_NIGHTSCOUT:
        sites[name].answer = None
    kill_in_a_step(fleet, sites[KILLED])
    until(4)
    restart_in_a_step(fleet)
    until(5.25)
    fleet.uploads = False
    until(6)
    for each in people.values():
        assert shown_since(start, each.site.treatments) == shown_since(start, at_once(fleet, each))
    assert {name: it.most for name, it in sites.items()} == dict.fromkeys(people, 1)
    steps = fleet.ask("SELECT status FROM procrastinate_jobs WHERE task_name = 'step'")
    assert [step.status for step in steps] == ["todo"] * len(people)
    assert fleet.run("status") == "20 of 20 accounts are well.\n"
    assert secrets_in(fleet) == []
