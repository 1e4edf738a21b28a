"""However a range is cut into windows, each event stands once and whole, one window in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from weakref import ref
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import Basal, Bolus, Event, Reading, ReadingKind
from tconnectsync.errors import ApiError
from tconnectsync.history import History
from tconnectsync.sources.base import Reader, Source

BEGIN = datetime(2024, 6, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = 24 * HOUR


class Knowing(Reader):
    """Knows a day more than its range; what goes on then is known to have lasted until then."""

    def __init__(self, story: Sequence[Basal], time_range: TimeRange, *, fails: bool) -> None:
        self.skipped = Counter()
        self.remarks = []
        self.known = TimeRange(time_range.start - DAY, time_range.end + DAY)
        self.story = story
        self.fails = fails

    def basals(self) -> list[Basal]:
        if self.fails:
            raise ApiError("No.", 403)
        return [as_known(it, self.known.end) for it in self.story if touches(it, self.known)]

    def boluses(self) -> list[Bolus]:
        return []

    def readings(self) -> list[Reading]:
        return [
            Reading(f"reading {at}", at, 100, ReadingKind.SENSOR)
            for hours in range(10 * 24)
            if self.known.start <= (at := BEGIN + hours * HOUR) < self.known.end
        ]

    def pump_of(self, event: Event | Reading) -> str:
        return "Pump …0042"


class Story(Source):
    """A cloud that knows some basals, but cannot say anything about a range that has failed."""

    name = "story"
    window_days = 7

    def __init__(self, story: Sequence[Basal], failing: datetime | None = None) -> None:
        self.story = story
        self.failing = failing
        self.readers: list[ref[Knowing]] = []

    def read(self, time_range: TimeRange) -> Knowing:
        fails = self.failing is not None and time_range.start <= self.failing < time_range.end
        reader = Knowing(self.story, time_range, fails=fails)
        self.readers.append(ref(reader))
        return reader


def as_known(basal: Basal, until: datetime) -> Basal:
    if basal.ends <= until:
        return basal
    return replace(basal, duration=until - basal.start, running=True)


def touches(basal: Basal, time_range: TimeRange) -> bool:
    return basal.begins < time_range.end and basal.ends > time_range.start


def history_of(source: Story, days: int) -> History:
    source.window_days = days
    return History(source, PumpClock(ZoneInfo("UTC")), lambda: BEGIN + 60 * DAY)


HOURS = st.integers(0, 10 * 24)
BASALS = st.lists(st.tuples(HOURS, st.integers(1, 12 * 24)), min_size=1, max_size=8).map(
    lambda spans: [
        Basal(f"basal {number}", BEGIN + hours * HOUR, lasts * HOUR, 0.0, "")
        for number, (hours, lasts) in enumerate(spans)
    ]
)


@given(BASALS, st.integers(1, 7), HOURS, st.integers(1, 200))
def test_each_event_that_touches_the_range_stands_once_as_far_as_it_is_known(
    story: list[Basal], days: int, start: int, lasts: int
) -> None:
    span = TimeRange(BEGIN + start * HOUR, BEGIN + (start + lasts) * HOUR)
    source = Story(story)
    found = [event for it in history_of(source, days).windows(span) for event in it.events]
    expected = [as_known(it, span.end + DAY) for it in story if touches(it, span)]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert {event.pump for event in found} <= {"Pump …0042"}


@given(BASALS, st.integers(1, 7), st.integers(0, 9 * 24))
def test_what_a_window_could_not_say_the_next_one_says(
    story: list[Basal], days: int, hours: int
) -> None:
    span = TimeRange(BEGIN, BEGIN + 10 * DAY)
    failing = BEGIN + hours * HOUR
    history = history_of(Story(story, failing), days)
    windows = list(history.windows(span))
    found = Counter(event.key for it in windows for event in it.events)
    (hole,) = (it.range for it in windows if it.range.start <= failing < it.range.end)
    unsaid = {
        it.key
        for it in story
        if hole.start <= it.begins and (it.ends <= hole.end or hole.end == span.end)
    }
    assert set(found) == {it.key for it in story if touches(it, span)} - unsaid
    assert set(found.values()) <= {1}
    assert [failure.window for failure in history.outcome.failures] == [hole]


def test_one_window_is_kept_in_memory_and_each_reading_stands_once() -> None:
    source = Story([Basal("long", BEGIN, 9 * DAY, 0.0, "")])
    readings = []
    for window in history_of(source, 1).windows(TimeRange(BEGIN, BEGIN + 10 * DAY)):
        assert sum(reader() is not None for reader in source.readers) <= 1
        readings += [reading.at for reading in window.readings]
    assert readings == [BEGIN + hours * HOUR for hours in range(10 * 24)]
    assert len(source.readers) == 10


def test_days_are_unknown_where_a_cloud_without_pumps_has_nothing_of_them() -> None:
    begin = BEGIN + 10 * DAY  # After the last reading.
    spans = {"short": (1, HOUR), "long": (3, 4 * DAY)}
    story = [Basal(key, begin + day * DAY, it, 0.0, "") for key, (day, it) in spans.items()]
    for days in (1, 2, 7):
        found = history_of(Story(story), days).windows(TimeRange(begin, begin + 9 * DAY))
        unknown = [part.start for window in found for part in window.unknown_days]
        assert unknown == [begin + number * DAY for number in (0, 2, 8)], days
