"""Both sides of the program for the bench, in a process of their own.

So they take nothing of the program's memory, and of its processor only where there is but one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from tconnectsync.demo.nightscout import SmallNightscout
from tconnectsync.demo.person import live
from tconnectsync.demo.tconnect import SimulatedTConnect

FIRST_DAY = date(2024, 4, 1)
"""The clocks do not change in the 90 days from here on, and nothing of them is still going on."""

EMAIL, PASSWORD, SECRET = "someone@example.org", "a password", "a secret of the site"
PATIENCE = 60.0
"""Seconds until the servers count as broken."""


@dataclass(frozen=True)
class Counts:
    """What the servers saw since they were last asked, and what is stored by now."""

    tconnect_requests: int
    nightscout_requests: int
    writes: int
    documents: int


class Servers:
    """A simulated t:connect and a small Nightscout that run elsewhere."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tconnect_url: str
        self.nightscout_url: str
        self.tconnect_url, self.nightscout_url = self._receive()

    def counts(self) -> Counts:
        """Return what happened since the last call."""
        self._connection.send("counts")
        counts: Counts = self._receive()
        return counts

    def _receive(self) -> Any:
        if not self._connection.poll(PATIENCE):
            raise TimeoutError("The bench's servers do not answer.")
        return self._connection.recv()


@contextmanager
def serving(days: int, latency: float) -> Iterator[Servers]:
    """Serve some days of data and an empty Nightscout; every answer comes ``latency`` s later."""
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(there, days, latency), daemon=True)
    process.start()
    there.close()
    try:
        yield Servers(here)
    finally:
        process.terminate()
        process.join(PATIENCE)


def _serve(connection: Connection, days: int, latency: float) -> None:
    # A pump that was in use before, as nearly all are: else the first days need the CSV export.
    history = live(FIRST_DAY - timedelta(days=1), days + 1)
    with (
        SimulatedTConnect(history, email=EMAIL, password=PASSWORD, latency=latency) as tconnect,
        SmallNightscout(SECRET, latency=latency) as nightscout,
    ):
        connection.send((tconnect.url, nightscout.url))
        while connection.recv():
            connection.send(
                Counts(
                    tconnect_requests=len(tconnect.log),
                    nightscout_requests=len(nightscout.log),
                    writes=nightscout.writes,
                    documents=len(nightscout.treatments),
                )
            )
            nightscout.writes = 0
            for server in (tconnect, nightscout):
                server.log.clear()
