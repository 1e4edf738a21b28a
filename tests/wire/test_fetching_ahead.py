"""The next days are fetched while those before are written, and nothing else changes by it."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Basal, Bolus, CarbEntry
from tconnectsync.person import PERSON, about
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.sources.base import Reader
from tconnectsync.sources.tandemsource.log.logentries import Entry
from tconnectsync.stop import Stopped
from tconnectsync.sync.run.ahead import Ahead
from tests.support.command import SECRET, tandem_source
from tests.support.world import FIRST, World, at

PATIENCE = 10.0
"""Seconds until what should have happened counts as not happening."""
DAYS = TimeRange(datetime(2024, 6, 3, tzinfo=UTC), datetime(2024, 6, 4, tzinfo=UTC))
LATER = TimeRange(DAYS.end, DAYS.end + timedelta(days=1))


def days_asked_for(cloud: SimulatedTandemSource) -> list[str]:
    return [
        entry.request.query["startDate"]
        for entry in cloud.log
        if "startDate" in entry.request.query
    ]


def entries_in_memory() -> int:
    return sum(isinstance(each, Entry) for each in gc.get_objects())


def test_the_next_week_is_fetched_while_one_is_written_and_none_stays_in_memory() -> None:
    with tandem_source(live(FIRST, 30)) as cloud, SmallNightscout(SECRET) as site:
        fetched: list[int] = []
        entries: list[int] = []

        def writing(request: Request) -> Response | None:
            if request.method == "POST":
                # The first of four weeks is being written until the second is there.
                for _ in range(1000):
                    if fetched or len(days_asked_for(cloud)) > 1:
                        break
                    waiting.wait(PATIENCE / 1000)
                fetched.append(len(days_asked_for(cloud)))
                entries.append(entries_in_memory())
            return None

        waiting = Event()
        site.fault = writing
        cloud.uploaded_until = at(29, 0)
        gc.disable()
        try:
            outcome = World(cloud, site).sync(1, 28)
        finally:
            gc.enable()
    assert outcome.is_complete
    assert fetched[0] == 2
    assert fetched[-1] == len(days_asked_for(cloud)) == 4
    assert days_asked_for(cloud) == sorted(set(days_asked_for(cloud)))
    assert 0 < max(entries[-20:]) < 2 * max(entries[:20])


class SlowReader(Reader):
    """Fetches until it is let go."""

    def __init__(self) -> None:
        self.skipped, self.remarks = Counter(), []
        self.go_on = Event()
        self.asked: list[tuple[str, list[str]]] = []
        self.is_done = False

    def fetch(self, parts: Iterable[str]) -> None:
        self.asked.append((PERSON.get(), list(parts)))
        assert self.go_on.wait(PATIENCE)
        self.is_done = True

    def basals(self) -> list[Basal]:
        return []

    def boluses(self) -> list[Bolus | CarbEntry]:
        return []


@pytest.fixture
def slow() -> Iterable[SlowReader]:
    reader = SlowReader()
    yield reader
    reader.go_on.set()


def test_who_asks_waits_and_what_is_fetched_is_about_the_same_person(slow: SlowReader) -> None:
    ahead = Ahead(lambda window: slow)
    with about("Robin"):
        ahead.fetch(DAYS, ["basals"])
    slow.go_on.set()
    assert ahead.reader(DAYS) is slow
    assert slow.is_done
    assert slow.asked == [("Robin", ["basals"])]


def test_a_reader_of_other_days_is_another_one(slow: SlowReader) -> None:
    readers: dict[TimeRange, Reader] = {DAYS: slow, LATER: SlowReader()}
    ahead = Ahead(readers.__getitem__)
    ahead.fetch(DAYS, [])
    slow.go_on.set()
    assert ahead.reader(LATER) is readers[LATER]
    assert slow.is_done


def test_a_run_that_fails_leaves_no_request_on_the_way(slow: SlowReader) -> None:
    ahead = Ahead(lambda window: slow)

    def fail() -> None:
        with ahead.fetching():
            ahead.fetch(DAYS, [])
            slow.go_on.set()
            raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        fail()
    assert slow.is_done


def test_a_run_that_is_stopped_does_not_wait_for_the_cloud(slow: SlowReader) -> None:
    ahead = Ahead(lambda window: slow)

    def stop() -> None:
        with ahead.fetching():
            ahead.fetch(DAYS, [])
            raise Stopped

    with pytest.raises(Stopped):
        stop()
    assert not slow.is_done


@pytest.mark.parametrize("fault", [ValueError, Stopped])
def test_a_fault_shows_where_the_reader_is_asked(
    fault: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(SlowReader):
        def fetch(self, parts: Iterable[str]) -> None:
            raise fault

    ahead = Ahead(lambda window: Broken())
    ahead.fetch(DAYS, [])
    assert isinstance(ahead.reader(DAYS), Broken)
    assert capsys.readouterr().err == ""
