"""What many people cost in one process whose pumps upload every hour: memory, and processor.

``--auto-update --accounts`` runs as a process of its own against simulated clouds and sites in
another one. For both, an hour takes a minute; the processor's time is real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.bench.program import CHECKOUT
from tests.support.command import NEW_YORK
from tests.support.people import PEOPLE, write_settings

HASTE = 60.0
"""How many times as fast as ours the clocks run."""
SETTLING = timedelta(minutes=100)
"""Until everybody has logged in, at the pace that Tandem's firewall is thought to bear."""
MEASURED = timedelta(hours=2)
HOUR = timedelta(hours=1)
ZONE = ZoneInfo(NEW_YORK)
PATIENCE = 300.0

PROGRAM = """
import dataclasses, datetime, sys, threading, time
from resource import RUSAGE_SELF, getrusage
from tconnectsync.app import this_computer
from tconnectsync.cli import main
from tconnectsync.clock import Clock
began, haste, usage = float(sys.argv.pop(1)), float(sys.argv.pop(1)), sys.argv.pop(1)
start = datetime.datetime.fromisoformat(sys.argv.pop(1))
def passed():
    return (time.monotonic() - began) * haste
def watch():
    while True:
        used = getrusage(RUSAGE_SELF)
        with open(usage, "a") as file:
            file.write(f"{passed()} {used.ru_utime + used.ru_stime} {used.ru_maxrss}\\n")
        time.sleep(1)
threading.Thread(target=watch, daemon=True).start()
clock = Clock(
    now=lambda: start + datetime.timedelta(seconds=passed()),
    sleep=lambda seconds: time.sleep(seconds / haste),
    monotonic=passed,
)
sys.exit(main(host=dataclasses.replace(this_computer(), clock=clock)))
"""


@dataclass(frozen=True)
class PeopleCost:
    """What it took, and whether all of it arrived."""

    people: int
    megabytes: float
    """At the peak, MB (10⁶)."""
    seconds_an_hour: float
    """Seconds of processor in an hour of hourly uploads, for all of them together."""
    synced: int
    """For how many everything is in Nightscout but the last upload."""


def measure(people: int) -> PeopleCost:
    """Let the program work for some hours, and return what the last two took."""
    start, began = datetime.now(UTC), time.monotonic()
    with (
        tempfile.TemporaryDirectory() as home,
        _serving(people, start, began) as servers,
    ):
        for number, variables in enumerate(servers.variables):
            write_settings(Path(home, PEOPLE, f"person-{number:03}.env"), variables)
        write_settings(Path(home, PEOPLE, ".env"), {"TIMEZONE_NAME": NEW_YORK})
        usage = Path(home, "usage")
        with Path(home, "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", PROGRAM, str(began), str(HASTE), str(usage)),
                    *(start.isoformat(), "--auto-update", "--accounts", PEOPLE),
                ],
                cwd=home,
                env={"HOME": home, "PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            end = (SETTLING + MEASURED).total_seconds() / HASTE
            process.wait(max(began + end - time.monotonic(), 0))
            raise RuntimeError(f"The program ended:\n{Path(home, 'log').read_text()[-3000:]}")
        except subprocess.TimeoutExpired:
            synced = servers.synced()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        return _cost(people, usage.read_text(), synced)


def _cost(people: int, usage: str, synced: int) -> PeopleCost:
    lines = [[float(each) for each in line.split()] for line in usage.splitlines()]
    settled = next(line for line in lines if line[0] >= SETTLING.total_seconds())
    hours = (lines[-1][0] - settled[0]) / HOUR.total_seconds()
    unit = 1 if sys.platform == "darwin" else 1024
    return PeopleCost(
        people, lines[-1][2] * unit / 1e6, (lines[-1][1] - settled[1]) / hours, synced
    )


class _Servers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.variables: list[dict[str, str]] = self._receive()

    def synced(self) -> int:
        """Return for how many people all is in Nightscout but what the last hour brought."""
        self._connection.send("synced")
        return int(self._receive())

    def _receive(self) -> Any:
        if not self._connection.poll(PATIENCE):
            raise TimeoutError("The bench's servers do not answer.")
        return self._connection.recv()


@contextmanager
def _serving(people: int, start: datetime, began: float) -> Iterator[_Servers]:
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(
        target=_serve, args=(there, people, start, began), daemon=True
    )
    process.start()
    there.close()
    try:
        yield _Servers(here)
    finally:
        process.terminate()
        process.join(PATIENCE)


def _serve(connection: Connection, people: int, start: datetime, began: float) -> None:
    def now() -> datetime:
        return start + timedelta(seconds=(time.monotonic() - began) * HASTE)

    first = start.astimezone(ZONE).date() - timedelta(days=1)
    lives = [live(first, 3, seed=seed) for seed in range(min(people, 10))]
    with ExitStack() as serving:
        clouds: list[SimulatedTandemSource] = []
        sites: list[SmallNightscout] = []
        variables = []
        for number in range(people):
            email, password = f"p{number}@example.org", f"password {number}"
            secret = f"the secret of {number}"
            cloud = SimulatedTandemSource(
                lives[number % len(lives)], email=email, password=password, zone=ZONE
            )
            site = SmallNightscout(secret, now=now)
            cloud.login.now = now
            cloud.uploaded_until = _uploaded(now(), number, people)
            clouds.append(serving.enter_context(cloud))
            sites.append(serving.enter_context(site))
            account = {"TCONNECT_EMAIL": email, "TCONNECT_PASSWORD": password}
            variables.append(
                {**account, "NS_URL": site.url, "NS_SECRET": secret, **cloud.variables}
            )
        connection.send(variables)
        while not connection.poll(0.5):
            for number, cloud in enumerate(clouds):
                cloud.uploaded_until = _uploaded(now(), number, people)
                cloud.log.clear()
                sites[number].log.clear()
        connection.send(sum(map(_has_all, sites, clouds)))
        connection.recv()


def _uploaded(now: datetime, number: int, people: int) -> datetime:
    """Return when a person's pump uploaded last: every hour, each at another minute."""
    minute = timedelta(minutes=60 * number / people)
    wall = now.astimezone(ZONE).replace(tzinfo=None) - minute
    return wall.replace(minute=0, second=0, microsecond=0) + minute


def _has_all(site: SmallNightscout, cloud: SimulatedTandemSource) -> bool:
    """Return whether treatments up to the last upload but one have arrived."""
    times = [datetime.fromisoformat(each["created_at"]) for each in site.treatments]
    known = (cloud.uploaded_until or datetime.max) - HOUR
    # A rate comes every few minutes, except while the pump is suspended.
    return max(times, default=datetime.min.replace(tzinfo=UTC)) >= (known - HOUR / 2).replace(
        tzinfo=ZONE
    )
