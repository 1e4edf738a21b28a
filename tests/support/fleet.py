"""A fleet for tests: workers as processes, a real PostgreSQL, and hours that take seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from cryptography.fernet import Fernet
from psycopg.rows import namedtuple_row

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tests.support.command import NEW_YORK
from tests.support.fast_process import soon
from tests.support.forked_command import CHECKOUT, run_forked
from tests.support.people import Somebody, household, write_settings
from tests.support.postgres import Postgres

PROGRAM = """
import dataclasses, datetime, pathlib, sys, time
from tconnectsync.app import this_computer
from tconnectsync.clock import Clock
from tconnectsync.fleet.start import main
moment, wrong = pathlib.Path(sys.argv.pop(1)), float(sys.argv.pop(1))
clock = Clock(
    now=lambda: datetime.datetime.fromisoformat(moment.read_text())
    + datetime.timedelta(seconds=wrong),
    sleep=lambda seconds: time.sleep(seconds / 100),
)
sys.exit(main(sys.argv[1:], dataclasses.replace(this_computer(), clock=clock)))
"""
"""A command whose clock shows what stands in a file, or is wrong by some seconds."""
COMMAND = """
import dataclasses, sys
from tconnectsync.app import this_computer
from tconnectsync.fleet.start import main
sys.exit(main({}, dataclasses.replace(this_computer(), clock=clock)))
"""
"""The same for one that does not last long, with the arguments, as a forked process runs it."""
SIMULATED_NOW = """
CREATE SCHEMA sim;
CREATE TABLE sim.moment (at timestamptz);
INSERT INTO sim.moment VALUES (now());
CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM sim.moment';
ALTER DATABASE fleet SET search_path = sim, public, pg_catalog;
ALTER FUNCTION procrastinate_update_heartbeat_v1 SET search_path = public;
ALTER FUNCTION procrastinate_prune_stalled_workers_v1 SET search_path = public;
"""
"""Lets what is due depend on a clock of ours. Heartbeats have the usual one."""
MINUTE = timedelta(minutes=1)
ZONE = ZoneInfo(NEW_YORK)


@dataclass
class Fleet:
    """The commands and workers of a fleet, its people, and the simulated clock."""

    postgres: Postgres
    folder: Path
    now: datetime
    people: dict[str, Somebody] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    key: str = field(default_factory=lambda: Fernet.generate_key().decode())
    uploads: bool = True
    ahead: timedelta = timedelta(0)
    """By how much the database's clock is ahead of the right time."""
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
        command = COMMAND.format(list(arguments))
        found, output, errors = run_forked(
            self.folder, self.variables, [], moment=self.now, patch=command
        )
        assert found == code, output + errors
        return output + errors

    def start(self, *arguments: str, wrong: float = 0.0) -> subprocess.Popen[bytes]:
        """Start a command that lasts, whose clock may be ``wrong`` by some seconds."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.moment), str(wrong), *arguments],
                cwd=self.folder,
                env={**self.variables, "PGAPPNAME": f"worker {len(self.workers)}"},
                stdout=log,
                stderr=log,
            )
        self.workers.append(process)
        return process

    def start_worker(self, *, wrong: float = 0.0) -> subprocess.Popen[bytes]:
        return self.start("worker", "--queue", "home", "--concurrency", "3", wrong=wrong)

    def add(self, *names: str, **changes: dict[str, str]) -> None:
        """Add accounts, some with other settings."""
        for name in names:
            file = self.settings(name, **changes.get(name, {}))
            self.run("add", name, "--env-file", file, "--queue", "home")

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
        self.ask("UPDATE sim.moment SET at = %s", now + self.ahead)
        self.ask(
            "SELECT pg_notify('procrastinate_queue_v1#home', "
            """'{"type": "job_inserted", "job_id": 0}')"""
        )

    def until(self, end: datetime) -> None:
        """Let time pass, and all steps be taken that become due."""
        while self.now < end:
            self.show(min(self.now + 4 * MINUTE, end))
            soon(self.is_settled)

    def is_settled(self) -> bool:
        """Return whether no step is due or being taken."""
        query = (
            "SELECT id FROM procrastinate_jobs WHERE task_name = 'step' "
            "AND (status = 'doing' OR status = 'todo' AND scheduled_at <= %s) LIMIT 1"
        )
        return not self.ask(query, self.now + self.ahead)

    def age(self) -> None:
        """Let all steps that are being taken have begun an hour ago."""
        self.ask("UPDATE procrastinate_events SET at = at - interval '1 hour'")

    def sweep(self) -> bool:
        """Let a worker sweep now instead of at the next minute; return whether all is settled."""
        self.ask(
            "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('*sweeper', 'sweep', 1, NULL, NULL, "
            """'{"timestamp": 0}', NULL)::procrastinate_job_to_defer_v1])"""
        )
        soon(lambda: not self.ask("SELECT id FROM procrastinate_jobs WHERE task_name = 'sweep'"))
        return self.is_settled()

    def doing(self, name: str) -> list[Any]:
        """Return the step that is being taken for somebody, and the worker that takes it."""
        return self.ask(
            "SELECT job.id, application_name FROM procrastinate_jobs AS job "
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


@contextmanager
def fleet_of(postgres: Postgres, folder: Path, *names: str) -> Iterator[Fleet]:
    """Give a fleet without accounts and workers, in a new database, for some people."""
    start = datetime.now(UTC).replace(microsecond=0)
    fleet = Fleet(postgres, folder, start)
    fleet.moment.write_text(start.isoformat())
    first = start.astimezone(ZONE).date() - timedelta(days=1)
    with household(folder, first, 3, *names, now=lambda: fleet.now) as fleet.people:
        postgres.new_database()
        fleet.run("migrate")
        fleet.ask(SIMULATED_NOW)
        fleet.connection = None
        fleet.show(start)
        try:
            yield fleet
        finally:
            for process in fleet.workers:
                process.kill()
                process.wait()
