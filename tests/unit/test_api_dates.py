"""Calendar days in requests."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.api.tconnect.dates import calendar_day, day_range, on_wire
from tconnectsync.api.tconnect.ws2 import export_windows

TODAY = date(2021, 4, 10)


@pytest.mark.parametrize(
    "given",
    [
        date(2021, 4, 1),
        datetime(2021, 4, 1, 23, 59),
        datetime(2021, 4, 1, 23, 59, tzinfo=ZoneInfo("America/Los_Angeles")),
        "2021-04-01",
        "04-01-2021",
    ],
)
def test_a_day_may_be_written_in_any_of_the_usual_ways(given: Any) -> None:
    assert calendar_day(given, TODAY) == date(2021, 4, 1)


def test_a_missing_day_means_today() -> None:
    assert day_range(None, None, TODAY) == (TODAY, TODAY)
    assert day_range("2021-04-01", None, TODAY) == (date(2021, 4, 1), TODAY)


@pytest.mark.parametrize(
    "given", ["", "today", "2021-4-1", "04/01/2021", "2021-02-30", "13-01-2021", 20210401, 1.5]
)
def test_something_that_is_no_day_is_refused_with_an_example_of_one(given: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a calendar day\. Write it like 2021-04-30"):
        calendar_day(given, TODAY)


def test_a_range_that_ends_before_it_starts_is_refused_instead_of_being_empty() -> None:
    with pytest.raises(ValueError, match=r"ends \(2021-04-01\) before it starts \(2021-04-02\)"):
        day_range("2021-04-02", "2021-04-01", TODAY)


def test_days_go_over_the_wire_zero_padded_month_first() -> None:
    assert on_wire(date(2021, 4, 1)) == "04-01-2021"


def cut(first: str, last: str) -> list[tuple[str, str]]:
    pieces = export_windows(date.fromisoformat(first), date.fromisoformat(last))
    return [(start.isoformat(), end.isoformat()) for start, end in pieces]


@pytest.mark.parametrize("last", ["2021-04-01", "2021-04-02", "2021-04-03"])
def test_up_to_three_days_are_asked_for_at_once(last: str) -> None:
    assert cut("2021-04-01", last) == [("2021-04-01", last)]


def test_four_days_are_two_windows_of_two_days() -> None:
    assert cut("2021-04-01", "2021-04-04") == [
        ("2021-04-01", "2021-04-02"),
        ("2021-04-03", "2021-04-04"),
    ]


def test_an_odd_number_of_days_ends_with_a_window_of_one_day() -> None:
    assert cut("2020-02-26", "2020-03-01") == [
        ("2020-02-26", "2020-02-27"),
        ("2020-02-28", "2020-02-29"),
        ("2020-03-01", "2020-03-01"),
    ]
