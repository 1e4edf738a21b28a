"""The fleet: workers as processes, a real PostgreSQL, and simulated hours that take seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tconnectsync.app import assemble
from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sync.run.window import last_days
from tests.support.clocks import NO_WAITING
from tests.support.command import NEW_YORK
from tests.support.expected import Fact, shown
from tests.support.fast_process import soon
from tests.support.forked_command import CHECKOUT
from tests.support.people import Somebody, household, write_settings
from tests.support.postgres import Postgres, serving
from tests.support.provision import UnavailableError
from tests.support.settings import host

WORKER = """
import dataclasses, datetime, pathlib, sys, time
from tconnectsync.app import this_computer
from tconnectsync.clock import Clock
from tconnectsync.fleet.start import main
moment = pathlib.Path(sys.argv.pop(1))
clock = Clock(
    now=lambda: datetime.datetime.fromisoformat(moment.read_text()),
    sleep=lambda seconds: time.sleep(seconds / 100),
)
here = dataclasses.replace(this_computer(), clock=clock)
for command in " ".join(sys.argv[1:]).split(" then "):
    code = main(command.split(" "), here)
sys.exit(code)
"""
"""Commands, one after the other, whose clock shows what stands in a file."""
SIMULATED_NOW = """
CREATE SCHEMA sim;
CREATE TABLE sim.moment (at timestamptz);
INSERT INTO sim.moment VALUES (now());
CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM sim.moment';
ALTER FUNCTION procrastinate_fetch_job_v2 SET search_path = sim, public, pg_catalog;
"""
"""Lets what is due depend on a clock of ours. All else, such as heartbeats, has the usual one."""
WRONG, KILLED = "p10", "p11"
NO_TANDEM = "p00", "p01", "p02", "p03", "p04"
NO_NIGHTSCOUT = "p05", "p06", "p07", "p08", "p09"
LOGIN = "/accounts/api/login"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ZONE = ZoneInfo(NEW_YORK)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Give a PostgreSQL; skip where there is none, but fail there in CI."""
    try:
        with serving() as server:
            yield server
    except UnavailableError as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@dataclass
class Fleet:
    """The commands and workers of a fleet, its people, and the simulated clock."""

    postgres: Postgres
    folder: Path
    now: datetime
    people: dict[str, Somebody] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    key: str = ""
    uploads: bool = True
    connection: psycopg.Connection[Any] | None = None

    @property
    def variables(self) -> dict[str, str]:
        given = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "FLEET_KEY": self.key}
        return {**given, **self.postgres.variables, "PYTHONPATH": str(CHECKOUT)}

    @property
    def moment(self) -> Path:
        return self.folder / "moment"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command with the simulated clock; insist on its exit code."""
        run = subprocess.run(
            [sys.executable, "-c", WORKER, str(self.moment), *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == code, run.stdout + run.stderr
        return run.stdout + run.stderr

    def start_worker(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            options = ["worker", "--queue", "home", "--concurrency", "3"]
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(self.moment), *options],
                cwd=self.folder,
                env={**self.variables, "PGAPPNAME": f"worker {len(self.workers)}"},
                stdout=log,
                stderr=log,
            )
        self.workers.append(process)
        return process

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Ask the database, also after a restart."""
        if self.connection is None or self.connection.broken:
            given = self.postgres.variables
            where = f"host={given['PGHOST']} user={given['PGUSER']} dbname={given['PGDATABASE']}"
            self.connection = psycopg.connect(where, autocommit=True, row_factory=namedtuple_row)
        cursor = self.connection.execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def settings(self, name: str, **changes: str) -> str:
        """Write a person's file of settings; return its name."""
        shared = {
            "TIMEZONE_NAME": NEW_YORK,
            "TCONNECT_SOURCE": TANDEM_SOURCE.name,
            "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "900",
            "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "600",
        }
        write_settings(
            self.folder / "settings" / f"{name}.env",
            {**shared, **self.people[name].variables, **changes},
        )
        return f"settings/{name}.env"

    def upload(self) -> None:
        """Let the pumps upload that do so by now: each every hour, at a minute of its own."""
        for number, each in enumerate(self.people.values() if self.uploads else ()):
            own = 3 * number * MINUTE
            wall = self.now.astimezone(ZONE).replace(tzinfo=None) - own
            each.tandem.uploaded_until = wall.replace(minute=0, second=0) + own

    def show(self, now: datetime) -> None:
        """Let all clocks show a time, let the pumps upload, and wake the workers."""
        self.now = now
        self.upload()
        new = self.moment.with_suffix(".new")
        new.write_text(now.isoformat())
        new.replace(self.moment)
        self.ask("UPDATE sim.moment SET at = %s", now)
        self.ask(
            "SELECT pg_notify('procrastinate_queue_v1#home', "
            """'{"type": "job_inserted", "job_id": 0}')"""
        )

    def is_settled(self) -> bool:
        """Return whether no step is due or being taken."""
        query = (
            "SELECT id FROM procrastinate_jobs WHERE task_name = 'step' "
            "AND (status = 'doing' OR status = 'todo' AND scheduled_at <= %s) LIMIT 1"
        )
        return not self.ask(query, self.now)

    def next_due(self) -> datetime:
        query = "SELECT min(scheduled_at) AS at FROM procrastinate_jobs WHERE task_name = 'step'"
        found: datetime = self.ask(query)[0].at
        return found

    def sweep(self) -> bool:
        """Let a worker sweep now instead of at the next minute; return whether all is settled."""
        self.ask(
            "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('fleet', 'sweep', 1, NULL, NULL, "
            """'{"timestamp": 0}', NULL)::procrastinate_job_to_defer_v1])"""
        )
        soon(lambda: not self.ask("SELECT id FROM procrastinate_jobs WHERE task_name = 'sweep'"))
        return self.is_settled()

    def doing(self, name: str) -> list[Any]:
        """Return the step that is being taken for somebody, and the worker that takes it."""
        return self.ask(
            "SELECT job.id, worker_id, application_name FROM procrastinate_jobs AS job "
            "JOIN fleet_account AS account ON job.lock = 'account-' || account.id "
            "JOIN pg_locks ON locktype = 'advisory' AND objid = account.id "
            "JOIN pg_stat_activity USING (pid) WHERE status = 'doing' AND account.name = %s",
            name,
        )


class Watched:
    """Lets a server fail, or stop in the middle of a write, and counts what comes to it at once."""

    def __init__(self, server: LoopbackServer) -> None:
        self.answer: Response | Fault | None = None
        """What it answers instead of the truth."""
        self.held: threading.Event | None = None
        """Until it is set, the next write is not answered, though it is stored."""
        self.holds = threading.Event()
        self.most = 0
        self._busy = 0
        self._lock = threading.Lock()
        self._server = server
        server.fault = self._take

    def _take(self, request: Request) -> Response | Fault:
        if self.answer:
            return self.answer
        with self._lock:
            self._busy += 1
            self.most = max(self.most, self._busy)
        try:
            answer = self._server.carry_out(request)
            if self.held and request.method != "GET":
                held, self.held = self.held, None
                self.holds.set()
                held.wait(60)
            return answer
        finally:
            with self._lock:
                self._busy -= 1


@pytest.fixture
def fleet(postgres: Postgres, tmp_path: Path) -> Iterator[Fleet]:
    """Give a fleet with 20 accounts and two workers, of whom one person's password is wrong."""
    start = datetime.now(UTC).replace(microsecond=0)
    fleet = Fleet(postgres, tmp_path, start)
    (tmp_path / "moment").write_text(start.isoformat())
    first = start.astimezone(ZONE).date() - timedelta(days=1)
    names = [f"p{number:02}" for number in range(20)]
    with household(tmp_path, first, 3, *names, now=lambda: fleet.now) as fleet.people:
        fleet.key = fleet.run("new-key").strip()
        fleet.run("migrate")
        fleet.ask(SIMULATED_NOW)
        changes = {WRONG: {"TCONNECT_PASSWORD": "a wrong one"}}
        files = {name: fleet.settings(name, **changes.get(name, {})) for name in names}
        fleet.run(
            " then ".join(f"add {n} --env-file {file} --queue home" for n, file in files.items())
        )
        for _ in range(2):
            fleet.start_worker()
        try:
            yield fleet
        finally:
            for process in fleet.workers:
                process.kill()
                process.wait()


def kill_in_a_step(fleet: Fleet, site: Watched) -> None:
    """Kill a worker while it writes; its step begins anew, and not before it is dead."""
    site.held = go_on = threading.Event()
    while not site.holds.is_set():
        fleet.show(fleet.now + MINUTE)
        soon(lambda: site.holds.is_set() or fleet.is_settled())
    (step,) = fleet.doing(KILLED)
    silent = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"
    fleet.ask(f"{silent} WHERE id = %s", step.worker_id)
    fleet.sweep()
    assert fleet.doing(KILLED) == [step]
    killed = fleet.workers[int(step.application_name.split()[1])]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    go_on.set()
    soon(lambda: not fleet.doing(KILLED))
    fleet.ask(f"{silent} WHERE id = %s", step.worker_id)
    soon(fleet.sweep)
    fleet.start_worker()


def restart_in_a_step(fleet: Fleet) -> None:
    """Restart the database while steps are taken; what they were is found and done again."""
    fleet.show(fleet.now + 20 * MINUTE)
    soon(lambda: fleet.ask("SELECT id FROM procrastinate_jobs WHERE status = 'doing'"))
    fleet.postgres.restart()
    fleet.connection = None
    # A worker that lives on has lost what it was doing; that is noticed after minutes.
    fleet.ask("UPDATE procrastinate_events SET at = at - interval '1 hour'")
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
        while fleet.now < start + hours * HOUR:
            fleet.show(max(fleet.now + MINUTE, min(fleet.next_due(), start + hours * HOUR)))
            soon(fleet.is_settled)

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
