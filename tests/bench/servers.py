"""Both sides of the program for the bench, in a process of their own.

So they take nothing of the program's memory, and of its processor only where there is but one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import CLOUDS, SECRET, addresses

FIRST_DAY = date(2024, 4, 1)
"""The clocks do not change in the 90 days from here on, and nothing of them is still going on."""

PATIENCE = 60.0
"""Seconds until the servers count as broken."""


@dataclass(frozen=True)
class Counts:
    """What the servers saw since they were last asked, and what is stored by now."""

    tandem_requests: int
    nightscout_requests: int
    writes: int
    documents: int


class Servers:
    """A simulated cloud of Tandem's and a small Nightscout that run elsewhere."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.addresses: dict[str, str]
        self.addresses = self._receive()
        """The settings that lead to them."""

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
def serving(source: str, days: int, latency: float) -> Iterator[Servers]:
    """Serve some days of data and an empty Nightscout; every answer comes ``latency`` s later."""
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(
        target=_serve, args=(there, source, days, latency), daemon=True
    )
    process.start()
    there.close()
    try:
        yield Servers(here)
    finally:
        process.terminate()
        process.join(PATIENCE)


def _serve(connection: Connection, source: str, days: int, latency: float) -> None:
    # A pump that was in use before, as nearly all are: else t:connect needs the CSV export.
    history = live(FIRST_DAY - timedelta(days=1), days + 1)
    tandem = CLOUDS[source](history)
    tandem.latency = latency
    # As the app does it: at once. An upload long after the data would let the zone be checked.
    tandem.uploaded_until = datetime.combine(FIRST_DAY + timedelta(days=days), time.min)
    with tandem, SmallNightscout(SECRET, latency=latency) as nightscout:
        connection.send({"NS_URL": nightscout.url, **addresses(tandem)})
        while connection.recv():
            connection.send(
                Counts(
                    tandem_requests=len(tandem.log),
                    nightscout_requests=len(nightscout.log),
                    writes=nightscout.writes,
                    documents=len(nightscout.treatments),
                )
            )
            nightscout.writes = 0
            for server in (tandem, nightscout):
                server.log.clear()
