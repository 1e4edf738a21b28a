"""Which days a pump's clock showed in a range of real time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.sources.tandemsource.clock.changes import ClockChange
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.clock.walldays import merged, without
from tconnectsync.sources.tandemsource.clock.zonerules import zone_rules
from tests.support.clock_history import ZONES, Life, Setting, right, summer_time

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEW_YORK = ZoneInfo("America/New_York")
HOME = -4 * HOUR
START = datetime(2025, 6, 1, 12)


def life_with(*set_to: Setting, until: datetime = START + 40 * DAY) -> Life:
    return Life(NEW_YORK, START, until, list(set_to), every=HOUR)


def shown(life: Life, first: datetime, last: datetime) -> set[date]:
    """Return the days that the clock showed from one instant (naive UTC) to another."""
    found = life.clock().wall_days(TimeRange(first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)))
    return {start + n * DAY for start, end in found for n in range((end - start).days + 1)}


def the_day(year: int, month: int, day: int) -> tuple[datetime, datetime]:
    """Return a day of the home zone, from midnight to midnight, in UTC."""
    begin = datetime(year, month, day) - HOME
    return begin, begin + DAY


def test_a_clock_that_was_always_right_showed_the_days_themselves() -> None:
    assert shown(life_with(), *the_day(2025, 6, 20)) == {date(2025, 6, 20)}


def test_no_other_day_is_named_for_a_journey_or_summer_time() -> None:
    away = Setting(datetime(2025, 6, 15, 3), 9 * HOUR), Setting(datetime(2025, 6, 19, 3), HOME)
    for day in (14, 17, 20):
        found = shown(life_with(*away), *the_day(2025, 6, day))
        assert found <= {date(2025, 6, day + n) for n in (-1, 0, 1)}


@pytest.mark.parametrize("wrong", [-3, 3, -30, 31, -365, -6370], ids=str)
@pytest.mark.parametrize("on_record", [True, False])
def test_a_wrong_date_names_the_days_that_it_showed(wrong: int, on_record: bool) -> None:
    lost = Setting(datetime(2025, 6, 20, 16), HOME + wrong * DAY, on_record)
    life = life_with(lost, Setting(datetime(2025, 6, 20, 20), HOME))
    day = date(2025, 6, 20)
    assert shown(life, *the_day(2025, 6, 20)) >= {day, day + wrong * DAY}
    assert shown(life, *the_day(2025, 6, 22)) == {date(2025, 6, 22)}
    if on_record:
        assert shown(life, *the_day(2025, 6, 18)) == {date(2025, 6, 18)}


def test_the_days_before_a_new_pump_was_set_up_are_those_of_its_factory() -> None:
    change = ClockChange((0, 95), datetime(2020, 1, 12, 9), datetime(2025, 7, 20, 9))
    newest, uploaded = datetime(2025, 7, 22), datetime(2025, 7, 22, 4, 1, tzinfo=UTC)
    clock = LogClock(PumpClock(NEW_YORK), [change], newest=newest, uploaded=uploaded)

    def days(day: int) -> list[tuple[date, date]]:
        begin, end = the_day(2025, 7, day)
        return clock.wall_days(TimeRange(begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)))

    assert days(21) == [(date(2025, 7, 21), date(2025, 7, 21))]
    assert days(20)[0][1] == date(2020, 1, 12)
    assert days(20)[-1][1] == date(2025, 7, 20)
    assert clock.instants([((0, 3), datetime(2020, 1, 12, 7))]) == [
        datetime(2025, 7, 20, 11, tzinfo=UTC)
    ]


def test_no_day_is_asked_for_that_no_clock_shows() -> None:
    lost = Setting(datetime(2025, 6, 20, 16), datetime(2008, 1, 1, 1) - datetime(2025, 6, 20, 16))
    life = life_with(lost, Setting(datetime(2025, 6, 20, 20), HOME))
    assert min(shown(life, *the_day(2025, 6, 19))) >= date(2008, 1, 1)


@st.composite
def lives_with_wrong_dates(draw: st.DrawFn) -> Life:
    """Draw a life in which the date goes wrong now and then, on record, and is put right."""
    zone = draw(st.sampled_from(ZONES))
    start = datetime(2024, 1, 10)
    end = start + draw(st.integers(200, 500)) * DAY
    set_to = summer_time(zone, start, end, draw(st.integers(0, 300)) * HOUR / 10)
    rules = zone_rules(zone)
    moments = sorted(draw(st.sets(st.integers(1, 60), max_size=4)))
    for number in moments:
        at = start + number * 7 * DAY + draw(st.integers(0, 6 * 24 * 60)) * MINUTE
        back = at + draw(st.integers(20, 5 * 24 * 60)) * MINUTE
        if back >= end or any(at - DAY < each.at < back + DAY for each in set_to):
            continue
        days = draw(st.one_of(st.integers(2, 40), st.integers(41, 5000)))
        wrong = rules.at(at) + draw(st.sampled_from([-1, 1])) * days * DAY
        set_to += [Setting(at, wrong), Setting(back, rules.at(back))]
    return Life(zone, start, end, set_to, every=5 * HOUR)


@settings(max_examples=120, deadline=None)
@given(lives_with_wrong_dates(), st.data())
def test_every_entry_of_a_range_stands_under_a_day_that_is_named(
    life: Life, data: st.DataObject
) -> None:
    assert right(life)
    for _ in range(6):
        first = life.start + data.draw(st.integers(0, 480 * 24)) * HOUR
        last = first + data.draw(st.integers(1, 9 * 24)) * HOUR
        days = shown(life, first, last)
        pairs = zip(life.entries, life.truth, strict=True)
        missed = [wall for (_, wall), at in pairs if first <= at < last and wall.date() not in days]
        assert missed == []


spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 9)).map(
        lambda each: (date(2024, 1, 1) + each[0] * DAY, date(2024, 1, 1) + sum(each) * DAY)
    ),
    max_size=6,
)


def each_day(pairs: list[tuple[date, date]]) -> set[date]:
    return {first + n * DAY for first, last in pairs for n in range((last - first).days + 1)}


@given(spans, spans)
def test_days_are_put_together_and_taken_away_day_by_day(
    days: list[tuple[date, date]], known: list[tuple[date, date]]
) -> None:
    assert each_day(merged(days)) == each_day(days)
    assert each_day(without(days, known)) == each_day(days) - each_day(known)
    together = merged(days)
    pairs = pairwise(together)
    assert all(one[1] + DAY < other[0] for one, other in pairs)
