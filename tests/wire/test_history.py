"""The pump's story over all windows of a range: each event once, and all of the insulin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tconnectsync.app import open_file, open_history
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Basal, Bolus, Event, Reading, UserMode
from tconnectsync.history import History, Window
from tconnectsync.simulators.history import (
    ActivityRecord,
    PumpHistory,
    SuspensionRecord,
    basal_insulin,
    bolus_insulin,
)
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.person import live, scheduled_rate
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tandemsource.query import LogQuery
from tests.support.accounts import history_of, units
from tests.support.clocks import NO_WAITING
from tests.support.command import CLOUDS, EMAIL, NEW_YORK, PASSWORD, Cloud
from tests.support.event_builders import NEW_YORK as CLOCK
from tests.support.random_weeks import Kinds, week
from tests.support.settings import host
from tests.support.world import FIRST, at

LIFE = live(FIRST, 3)
END = at(3, 0)
A_NEW_PUMP = Kinds(3, switch=False, journey=False, wrong_dates=0, edits=False, faults=False)
HOUR = timedelta(hours=1)


def opened(cloud: Cloud, days: int = 7, **changes: Any) -> History:
    """Return the history of our account, with windows of so many days."""
    history = history_of(cloud, **changes)
    history.source.window_days = days
    return history


def between(start: datetime, end: datetime) -> TimeRange:
    return TimeRange(CLOCK.instant(start), CLOCK.instant(end))


def told(windows: list[Window]) -> tuple[list[Event], list[Reading]]:
    """Return all events and readings, in order; insist that nothing is there twice."""
    events = [event for window in windows for event in window.events]
    readings = [reading for window in windows for reading in window.readings]
    for window in windows:
        begins = [event.begins for event in window.events]
        assert begins == sorted(begins)
        assert all(begin < window.range.end for begin in begins)
    assert len({(type(each), each.key) for each in (*events, *readings)}) == len(events + readings)
    return sorted(events, key=lambda event: (event.begins, event.key)), readings


def basal_of(events: list[Event], span: TimeRange) -> float:
    return units([event for event in events if isinstance(event, Basal)], span)


def bolus_of(events: list[Event], span: TimeRange) -> float:
    """Return the U of boluses, of those under way at an end of the span the share within it."""
    total = 0.0
    for event in events:
        if isinstance(event, Bolus) and event.ends > event.begins:
            within = min(event.ends, span.end) - max(event.begins, span.start)
            share = within / (event.ends - event.begins)
            total += event.insulin * min(1.0, max(0.0, share))
        elif isinstance(event, Bolus) and span.start <= event.begins < span.end:
            total += event.insulin
    return total


def uncertain(life: PumpHistory, *cuts: datetime) -> float:
    """Return the U of the boluses that were being delivered at some moments."""
    return sum(
        bolus.delivered
        for bolus in life.boluses
        for cut in cuts
        for end in [bolus.extended.end if bolus.extended else bolus.completed]
        if end and bolus.requested <= cut <= end
    )


@pytest.mark.parametrize("source", CLOUDS)
def test_wherever_a_range_is_cut_the_insulin_is_all_there_and_events_do_not_depend_on_windows(
    source: str,
) -> None:
    chance = Random(source)
    with CLOUDS[source](LIFE) as cloud:
        for days in (7, 1, 2, 1):
            cuts = sorted(at(0, 0) + chance.uniform(0, 3) * 24 * HOUR for _ in range(2))
            start, end = (cut.replace(microsecond=0) for cut in cuts)
            span = between(start, end)
            history = opened(cloud, days)
            events, readings = told(list(history.windows(span)))
            assert basal_of(events, span) == pytest.approx(basal_insulin(LIFE, start, end))
            bolus = bolus_insulin(LIFE, start, end)
            assert abs(bolus_of(events, span) - bolus) <= 0.001 + uncertain(LIFE, start, end)
            assert len(readings) == sum(start <= it.at < end for it in LIFE.readings) + sum(
                start <= it.at < end for it in LIFE.finger_sticks
            )
            assert (events, readings) == told(list(opened(cloud, 7).windows(span)))
            assert history.outcome.is_complete
            assert not history.outcome.skipped


def test_a_stop_and_a_mode_that_last_for_many_windows_stand_once_and_whole() -> None:
    begin, end = at(1, 9), at(5, 11)
    stop = SuspensionRecord(begin, end, "manual")
    life = live(FIRST, 6)
    life = replace(
        life,
        basal=[it for it in life.basal if it.end <= begin or it.start >= end],
        boluses=[it for it in life.boluses if not begin <= it.requested < end],
        suspensions=[stop],
        site_changes=(),
        activities=[ActivityRecord(at(1, 10), 3 * 24 * 3600, "exercise")],
    )
    with CLOUDS["tandem-source"](life) as cloud:
        span = between(at(0, 0), at(6, 0))
        events, _ = told(list(opened(cloud, 1).windows(span)))
        (still,) = (it for it in events if isinstance(it, Basal) and it.ends - it.start > HOUR)
        assert (still.begins, still.ends) == (CLOCK.instant(begin), CLOCK.instant(end))
        assert not still.running
        assert still.profile_rate == scheduled_rate(begin)
        (mode,) = (it for it in events if isinstance(it, UserMode))
        assert mode.duration == timedelta(days=3)
        # From the middle on, it reaches into the first window.
        later, _ = told(list(opened(cloud, 1).windows(between(at(3, 0), at(6, 0)))))
        assert {still, mode} <= set(later)
        # What is cut off goes on, as far as is known.
        cut, _ = told(list(opened(cloud, 1).windows(between(at(0, 0), at(2, 0)))))
        assert [it.begins for it in cut if isinstance(it, Basal) and it.running] == [still.begins]


def test_of_several_pumps_each_event_says_which_and_basal_is_of_the_one_worn() -> None:
    life = week(20, A_NEW_PUMP)
    life.upload_last()
    with SimulatedTandemSource(
        life.pumps[0], email=EMAIL, password=PASSWORD, zone=life.zone
    ) as cloud:
        cloud.pumps = [*life.pumps[1:]]
        history = opened(cloud, 3, TIMEZONE_NAME=str(life.zone), PUMP_SERIAL_NUMBER="")
        span = TimeRange(life.instant(life.begin), life.instant(life.end) + HOUR)
        names = {pump.name for pump in history.pumps(span)}
        windows = list(history.windows(span))
    events, readings = told(windows)
    given = life.given()
    assert sum(
        it.rate * (it.duration / HOUR) for it in events if isinstance(it, Basal)
    ) == pytest.approx(given.basal, abs=0.01)
    assert sum(it.insulin for it in events if isinstance(it, Bolus)) == pytest.approx(given.bolus)
    assert len(names) == len(life.pumps) > 1
    statuses = [status for window in windows for status in window.statuses]
    for kind in (Basal, Bolus):
        assert {event.pump for event in events if isinstance(event, kind)} == names
    assert {it.pump for it in (*events, *readings, *statuses)} == names
    assert history.outcome.is_complete


@contextmanager
def failing(cloud: Cloud, days_at_once: int, day: str = "") -> Iterator[None]:
    """Let the cloud give out only ranges of so many days, and of one day nothing at all."""

    def fault(request: Request) -> Response | None:
        if "pump-logs" not in request.path:
            return None
        first, last = (
            datetime.fromisoformat(request.query[name]) for name in ("startDate", "endDate")
        )
        is_long = (last - first) > timedelta(days=days_at_once)
        is_bad = day and f"{first.date()}" <= day <= f"{last.date()}"
        return Response(b"", 500) if is_long or is_bad else None

    cloud.fault = fault
    yield
    cloud.fault = None


def test_what_has_to_be_read_in_shorter_ranges_is_the_same_and_what_fails_is_said() -> None:
    life = live(FIRST, 6)
    with CLOUDS["tandem-source"](life) as cloud:
        span = between(at(0, 0), at(6, 0))
        whole = told(list(opened(cloud).windows(span)))
        with failing(cloud, 4):
            history = opened(cloud)
            assert told(list(history.windows(span))) == whole
            assert history.outcome.is_complete
        with failing(cloud, 9, "2024-06-05"):
            history = opened(cloud, 1)
            windows = list(history.windows(span))
        events, _ = told(windows)
        failed = {failure.window.start for failure in history.outcome.failures}
        assert failed == {CLOCK.instant(at(day, 0)) for day in range(4)}
        assert not history.outcome.is_complete
        missing = set(whole[0]) - set(events)
        gap = between(at(0, 0), at(4, 0))
        assert all(gap.start <= event.begins < gap.end for event in missing)
        # What began in the gap and goes on after it is not lost with it.
        rest = between(at(4, 0), at(6, 0))
        assert basal_of(events, rest) == pytest.approx(basal_insulin(life, at(4, 0), at(6, 0)))


def test_the_state_is_said_as_the_pump_noted_it_once_and_within_the_range() -> None:
    with CLOUDS["tandem-source"](LIFE) as cloud:
        span = between(at(0, 6), at(2, 18))
        whole = [it for window in opened(cloud, 7).windows(span) for it in window.statuses]
        by_day = [it for window in opened(cloud, 1).windows(span) for it in window.statuses]
    assert whole == by_day
    assert len({status.log_ids for status in whole}) == len(whole) > 20
    assert all(span.start <= status.at < span.end for status in whole)
    assert any(status.battery_percent is not None for status in whole)
    assert any(status.iob is not None for status in whole)
    assert any(status.reservoir is not None for status in whole)


@pytest.mark.parametrize("source", CLOUDS)
def test_a_basal_says_what_the_profile_gave(source: str) -> None:
    with CLOUDS[source](LIFE) as cloud:
        events, _ = told(list(opened(cloud).windows(between(at(0, 0), END))))
    basals = [event for event in events if isinstance(event, Basal)]
    known = [basal for basal in basals if basal.profile_rate is not None]
    assert all(
        basal.profile_rate == basal.rate
        for basal in known
        if basal.reason in ("Profile", "profileDelivery")
    )
    if source == "tandem-source":
        assert known == basals
        assert any(basal.profile_rate != basal.rate for basal in basals)


def test_a_saved_log_says_only_what_it_covers(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    with CLOUDS["tandem-source"](LIFE) as cloud:
        assert isinstance(cloud, SimulatedTandemSource)
        from_cloud = told(list(opened(cloud).windows(between(at(0, 12), at(2, 12)))))
        query = LogQuery(at(0, 0), at(4, 0), None)
        path.write_text(json.dumps(cloud.pump.log_of_range(query)))
    here = host(clock=NO_WAITING, variables={"TIMEZONE_NAME": NEW_YORK})
    settings = here.configuration().completed(with_account=False)
    history = open_history(settings, here, file=open_file(path, settings, here))
    assert told(list(history.windows(between(at(0, 12), at(2, 12))))) == from_cloud
    assert history.outcome.is_complete
    assert not history.outcome.remarks
    assert history.covered
    events, _ = told(list(history.windows(between(at(-30, 0), at(30, 0)))))
    assert sum(it.insulin for it in events if isinstance(it, Bolus)) == pytest.approx(
        bolus_insulin(LIFE, at(0, 0), END)
    )
    assert "The saved log is about 2024-06-03 to" in history.outcome.remarks[0].text
    assert not history.outcome.is_complete
    assert {event.pump for event in events} == {""}
    assert list(history.pumps(history.covered)) == []
    assert list(history.windows(between(at(40, 0), at(50, 0)))) == []
    assert history.settings() is None
