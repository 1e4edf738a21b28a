"""What a fleet takes: one worker, a PostgreSQL, and many people on the usual clock.

All services run in another process, in which people share a few pumps. No step waits for the budget
of logins, which is left out here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from cryptography.fernet import Fernet

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.fleet import accounts
from tconnectsync.fleet.database import CONNECTED, first, migrate
from tconnectsync.fleet.vault import Vault
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedPump, SimulatedTandemSource
from tests.bench.program import CHECKOUT, Cost
from tests.bench.servers import Counts
from tests.support.command import NEW_YORK
from tests.support.postgres import serving

PUMPS = 12
"""So many are shared by all; in the end every fourth of them uploads."""
STEPS_IN_AN_HOUR = 4
"""Of a person whose pump uploads every hour, about."""
MEASURED = 120.0
"""Seconds for which steps are watched that are due one after the other."""
PATIENCE = 1200.0
ZONE = ZoneInfo(NEW_YORK)
WATCHED = """
CREATE FUNCTION no_budget() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.pace := ''{}''; RETURN NEW; END';
CREATE TRIGGER no_budget BEFORE INSERT OR UPDATE ON fleet_address
    FOR EACH ROW EXECUTE FUNCTION no_budget();
CREATE TABLE begun (late float);
CREATE FUNCTION step_begins() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
    INSERT INTO begun VALUES (extract(epoch FROM clock_timestamp() - NEW.scheduled_at));
    RETURN NULL; END';
CREATE TRIGGER step_begins AFTER UPDATE OF status ON procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status = 'doing' AND NEW.task_name = 'step')
    EXECUTE FUNCTION step_begins();
"""
DUE = "UPDATE procrastinate_jobs SET scheduled_at = {} WHERE task_name = 'step'"
UNDONE = """
SELECT count(*) AS number FROM procrastinate_jobs
WHERE task_name = 'step' AND (status = 'doing' OR scheduled_at <= now())
"""


@dataclass(frozen=True)
class FleetCost:
    """What it took."""

    counts: Counts
    """Of one sync after an upload, rounded."""
    cost: Cost
    """Of the same: of all syncs together, divided by their number; the peak is the worker's."""
    late: list[float]
    """Seconds by which steps began late that were due one after the other."""

    @property
    def median_late(self) -> float:
        """Seconds."""
        return median(self.late)

    @property
    def most_late(self) -> float:
        """Seconds, of 95 in 100 steps."""
        return quantiles(self.late, n=20)[-1]


def measure(people: int) -> FleetCost:
    """Sync for some people with one worker: all at once, and then in their own time.

    Raises:
        UnavailableError: there is no PostgreSQL here.
    """
    with serving() as postgres, tempfile.TemporaryDirectory() as home, _servers(people) as servers:
        postgres.new_database()
        given = {"FLEET_KEY": Fernet.generate_key().decode(), **postgres.variables}
        where = f"host={given['PGHOST']} user={given['PGUSER']} dbname={given['PGDATABASE']}"
        with psycopg.connect(where, **CONNECTED) as database:
            migrate(database)
            database.execute(WATCHED)
            vault = Vault(given)
            for number, values in enumerate(servers.recv()):
                name = f"person-{number}"
                accounts.add(database, name, vault.seal(name, values), "default")
            with _working({"HOME": home, **given}) as worker:
                return _measure(people, database, servers, worker.pid)


def _measure(
    people: int, database: psycopg.Connection[Any], servers: Connection, worker: int
) -> FleetCost:
    _sync(database, servers, 0)
    began, used = time.perf_counter(), _processor(worker)
    counts = _sync(database, servers, 1)
    counts = Counts(*(round(each / people) for each in astuple(counts)))
    seconds, used = time.perf_counter() - began, _processor(worker) - used
    database.execute("TRUNCATE begun")
    servers.send(2)
    servers.recv()
    database.execute(DUE.format(f"now() + random() * interval '1 hour' / {STEPS_IN_AN_HOUR}"))
    time.sleep(MEASURED)
    late = [row.late for row in database.execute("SELECT late FROM begun")]
    return FleetCost(counts, Cost(seconds / people, used / people, _peak(worker)), late)


def _sync(database: psycopg.Connection[Any], servers: Connection, part: int) -> Counts:
    """Let pumps upload and all steps be due; return what came to the servers until all are done."""
    servers.send(part)
    servers.recv()
    end = time.monotonic() + PATIENCE
    database.execute(DUE.format("now()"))
    while first(database, UNDONE).number:
        if time.monotonic() > end:
            raise TimeoutError("The worker does not do its steps.")
        time.sleep(0.1)
    servers.send("counts")
    counts: Counts = servers.recv()
    return counts


@contextmanager
def _working(variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    program = "import sys; from tconnectsync.fleet.start import main; sys.exit(main(['worker']))"
    with Path(variables["HOME"], "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=variables["HOME"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **variables},
            stdout=log,
            stderr=log,
        )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(PATIENCE)


def _processor(process: int) -> float:
    """Return the seconds of processor that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(process: int) -> float:
    """Return the most memory that it has had, MB (10⁶)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


@contextmanager
def _servers(people: int) -> Iterator[Connection]:
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(there, people), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        process.terminate()
        process.join(PATIENCE)


def _serve(connection: Connection, people: int) -> None:
    """Serve everybody; pumps upload when a number comes: two hours, one hour and nothing ago."""
    wall = datetime.now(UTC).astimezone(ZONE).replace(tzinfo=None)
    day = wall.date() - timedelta(days=1)
    pumps = [SimulatedPump(live(day, 3, seed=seed), zone=ZONE) for seed in range(PUMPS)]
    with ExitStack() as serving:
        clouds, sites, variables = [], [], []
        for number in range(people):
            email, password = f"p{number}@example.org", f"password {number}"
            secret, pump = f"the secret of {number}", pumps[number % PUMPS]
            cloud = SimulatedTandemSource(pump, email=email, password=password, zone=ZONE)
            site = SmallNightscout(secret)
            clouds.append(serving.enter_context(cloud))
            sites.append(serving.enter_context(site))
            variables.append(
                {
                    "TCONNECT_EMAIL": email,
                    "TCONNECT_PASSWORD": password,
                    "TCONNECT_SOURCE": TANDEM_SOURCE.name,
                    "TIMEZONE_NAME": NEW_YORK,
                    "NS_URL": site.url,
                    "NS_SECRET": secret,
                    **cloud.variables,
                }
            )
        connection.send(variables)
        while True:
            if (part := connection.recv()) != "counts":
                for pump in pumps if part < 2 else pumps[::4]:
                    pump.uploaded_until = wall - timedelta(hours=2 - part)
            connection.send(
                Counts(
                    tandem_requests=sum(len(each.log) for each in clouds),
                    nightscout_requests=sum(len(each.log) for each in sites),
                    writes=sum(each.writes for each in sites),
                    documents=sum(len(each.treatments) for each in sites),
                )
            )
            for server in (*clouds, *sites):
                server.log.clear()
            for site in sites:
                site.writes = 0
