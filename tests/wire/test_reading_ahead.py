"""The next days are read while those before are written, and nothing else changes by it."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Sequence
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
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.windowplan import WindowRead
from tests.support.command import SECRET, tandem_source
from tests.support.virtual_home import sparse
from tests.support.world import FIRST, World, at

PATIENCE = 120.0
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
    with tandem_source(sparse(live(FIRST, 30))) as cloud, SmallNightscout(SECRET) as site:
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
                if len(fetched) % 10 == 1:
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
    assert 0 < max(entries[-2:]) < 2 * max(entries[:2])


class OtherReader(Reader):
    """Reads nothing."""

    def __init__(self) -> None:
        self.skipped, self.remarks = Counter(), []
        self.is_released = False

    def release(self) -> None:
        self.is_released = True

    def basals(self) -> list[Basal]:
        return []

    def boluses(self) -> list[Bolus | CarbEntry]:
        return []


class SlowReading:
    """Reads until it is let go."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.asked: list[tuple[str, TimeRange, Sequence[str]]] = []
        self.done: list[WindowRead] = []

    def __call__(self, window: TimeRange, features: Sequence[str]) -> WindowRead:
        self.asked.append((PERSON.get(), window, features))
        assert self.go_on.wait(PATIENCE)
        read = WindowRead(window, features, OtherReader(), [], [], Outcome())
        self.done.append(read)
        return read


@pytest.fixture
def slow() -> Iterable[SlowReading]:
    reading = SlowReading()
    yield reading
    reading.go_on.set()


def test_who_asks_waits_and_what_is_read_is_about_the_same_person(slow: SlowReading) -> None:
    ahead = Ahead(slow)
    with about("Robin"):
        ahead.begin(DAYS, ["BASAL"])
    slow.go_on.set()
    assert ahead.read(DAYS, ["BASAL"]) is slow.done[0]
    assert slow.asked == [("Robin", DAYS, ["BASAL"])]


@pytest.mark.parametrize("other", [(LATER, ["BASAL"]), (DAYS, ["BOLUS"])])
def test_what_was_read_of_other_days_or_for_other_features_is_not_used(
    slow: SlowReading, other: tuple[TimeRange, Sequence[str]]
) -> None:
    ahead = Ahead(slow)
    ahead.begin(DAYS, ["BASAL"])
    slow.go_on.set()
    read = ahead.read(*other)
    assert (read.range, read.features) == other
    first, second = slow.done
    assert (first.range, second) == (DAYS, read)
    assert isinstance(first.reader, OtherReader)
    assert first.reader.is_released


def test_a_run_that_fails_leaves_no_request_on_the_way(slow: SlowReading) -> None:
    ahead = Ahead(slow)

    def fail() -> None:
        with ahead.reading():
            ahead.begin(DAYS, [])
            slow.go_on.set()
            raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        fail()
    assert slow.done


def test_a_run_that_is_stopped_does_not_wait_for_the_cloud(slow: SlowReading) -> None:
    ahead = Ahead(slow)

    def stop() -> None:
        with ahead.reading():
            ahead.begin(DAYS, [])
            raise Stopped

    with pytest.raises(Stopped):
        stop()
    assert not slow.done


@pytest.mark.parametrize("fault", [ValueError, Stopped])
def test_a_fault_shows_where_the_window_is_read_again(
    fault: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    def read(window: TimeRange, features: Sequence[str]) -> WindowRead:
        raise fault

    ahead = Ahead(read)
    ahead.begin(DAYS, [])
    with pytest.raises(fault):
        ahead.read(DAYS, [])
    assert capsys.readouterr().err == ""
