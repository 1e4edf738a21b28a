"""Which range a run covers and how it is cut."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.errors import UsageError
from tconnectsync.sync.run.catchup import caught_up
from tconnectsync.sync.run.window import date_range, halves, last_days, windows
from tests.support.event_builders import NEW_YORK

NOW = datetime(2024, 3, 12, 15, 0, tzinfo=UTC)
AUCKLAND = PumpClock(ZoneInfo("Pacific/Auckland"))


def test_the_last_days_end_now() -> None:
    assert last_days(2, NOW) == TimeRange(NOW - timedelta(hours=48), NOW)


def test_an_end_date_is_included_to_its_last_second_in_the_pump_s_zone() -> None:
    found = date_range(date(2024, 3, 4), date(2024, 3, 5), NEW_YORK, NOW)
    assert found.start.isoformat() == "2024-03-04T00:00:00-05:00"
    assert found.end.isoformat() == "2024-03-06T00:00:00-05:00"


def test_days_are_the_pump_s_not_the_host_s() -> None:
    # In Auckland it is already the 13th.
    today = date(2024, 3, 13)
    assert AUCKLAND.day(NOW) == today
    assert date_range(today, today, AUCKLAND, NOW).end == NOW


def test_a_range_over_the_spring_night_is_an_hour_shorter() -> None:
    found = date_range(date(2024, 3, 10), date(2024, 3, 10), NEW_YORK, NOW)
    assert found.end - found.start == timedelta(hours=23)


def test_a_range_never_reaches_into_the_future() -> None:
    assert date_range(date(2024, 3, 1), date(2024, 4, 1), NEW_YORK, NOW).end == NOW


@pytest.mark.parametrize("clock", [NEW_YORK, AUCKLAND], ids=["west", "east"])
def test_an_end_date_may_be_as_late_as_one_can_write(clock: PumpClock) -> None:
    found = date_range(date(2024, 3, 1), date.max, clock, NOW)
    assert found == date_range(date(2024, 3, 1), clock.day(NOW), clock, NOW)


@pytest.mark.parametrize("clock", [NEW_YORK, AUCKLAND], ids=["west", "east"])
@pytest.mark.parametrize(
    ("first", "sentence"),
    [
        (date.min, "0001-01-01 lies before there were pumps: try 2008-01-01"),
        (date(2007, 12, 31), "2007-12-31 lies before there were pumps"),
        (date.max, "9999-12-31 lies in the future"),
    ],
)
def test_a_start_date_when_there_can_be_nothing_is_refused(
    first: date, sentence: str, clock: PumpClock
) -> None:
    with pytest.raises(UsageError, match=sentence):
        date_range(first, date.max, clock, NOW)


def test_a_range_may_begin_with_the_first_day_there_can_be() -> None:
    found = date_range(PUMP_EPOCH.date(), PUMP_EPOCH.date(), NEW_YORK, NOW)
    assert found.end - found.start == timedelta(days=1)


def test_a_range_in_the_future_is_refused() -> None:
    with pytest.raises(UsageError, match=r"lies in the future: it is 2024-03-12 on the pump"):
        date_range(date(2024, 3, 13), date(2024, 3, 14), NEW_YORK, NOW)


def test_windows_of_a_week_end_at_midnight_and_leave_nothing_out() -> None:
    whole = date_range(date(2024, 3, 1), date(2024, 3, 12), NEW_YORK, NOW)
    parts = list(windows(whole, 7, NEW_YORK))
    assert [NEW_YORK.here(part.start).isoformat() for part in parts] == [
        "2024-03-01T00:00:00-05:00",
        "2024-03-08T00:00:00-05:00",
    ]
    assert parts[-1].end == NOW


@given(st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1)), st.integers(1, 24 * 90))
def test_windows_follow_one_another_and_cover_the_range(start: datetime, hours: int) -> None:
    begin = start.replace(tzinfo=UTC)
    whole = TimeRange(begin, begin + timedelta(hours=hours))
    parts = list(windows(whole, 7, NEW_YORK))
    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all(part.end - part.start <= timedelta(days=7, hours=1) for part in parts)


@pytest.mark.parametrize(("days", "lengths"), [(1, [1]), (2, [1, 1]), (3, [2, 1]), (7, [4, 3])])
def test_a_window_is_halved_into_whole_days(days: int, lengths: list[int]) -> None:
    first = date(2024, 3, 1)
    window = date_range(first, first + timedelta(days=days - 1), NEW_YORK, NOW)
    assert [(p.end - p.start).days for p in halves(window, NEW_YORK)] == lengths


def test_a_run_after_an_outage_reaches_back_to_where_the_last_one_ended() -> None:
    wanted = last_days(1, NOW)
    left_off = NOW - timedelta(days=3)
    assert caught_up(wanted, [left_off, NOW, None], 14) == (TimeRange(left_off, NOW), False)


def test_catching_up_has_a_limit() -> None:
    wanted = last_days(1, NOW)
    extended, cut_off = caught_up(wanted, [NOW - timedelta(days=60)], 14)
    assert (extended.start, cut_off) == (NOW - timedelta(days=14), True)


@pytest.mark.parametrize("newest", [[], [None], [NOW], [NOW - timedelta(hours=2)]])
def test_without_an_outage_the_range_stays(newest: list[datetime | None]) -> None:
    assert caught_up(last_days(1, NOW), newest, 14) == (last_days(1, NOW), False)


def test_what_has_been_quiet_for_long_while_others_went_on_does_not_count() -> None:
    newest = [NOW - timedelta(days=30), NOW - timedelta(days=2)]
    extended, cut_off = caught_up(last_days(1, NOW), newest, 14)
    assert (extended.start, cut_off) == (NOW - timedelta(days=2), False)


def test_catching_up_can_be_switched_off() -> None:
    extended, cut_off = caught_up(last_days(1, NOW), [NOW - timedelta(days=5)], 0)
    assert (extended, cut_off) == (last_days(1, NOW), True)
