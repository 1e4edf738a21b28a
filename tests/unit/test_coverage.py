"""Which days the pumps of an account cover, and how far late uploads reach back."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tconnectsync.domain.clock import TimeRange
from tconnectsync.sources.base import PumpSpan
from tconnectsync.sync.run.coverage import (
    coverage,
    empty_days,
    empty_log,
    late_since,
    newest_entries,
)
from tests.support.event_builders import NEW_YORK

FIRST = date(2024, 6, 3)
DAY = timedelta(days=1)


def day(number: float) -> TimeRange:
    start = NEW_YORK.midnight(FIRST) + number * DAY
    return TimeRange(start, start + DAY)


def days(first: float, last: float) -> TimeRange:
    """Return a range by days of June 2024 after the 3rd, the end excluded."""
    return TimeRange(day(first).start, day(last).start)


def span(
    first: float | None,
    last: float | None,
    *,
    name: str = "…0042",
    read: bool = True,
    use: bool = True,
) -> PumpSpan:
    return PumpSpan(
        name,
        f"mark of {name}",
        None if first is None else day(first).start,
        None if last is None else day(last).start,
        is_read=read,
        in_use=use,
    )


def said(*spans: PumpSpan, wanted: TimeRange) -> list[tuple[bool, str]]:
    return [(it.missing, it.text) for it in coverage(spans, wanted, NEW_YORK)]


def test_nothing_is_said_of_days_that_are_covered_or_not_uploaded_yet() -> None:
    assert said(span(0, 5), wanted=days(0, 9)) == []
    assert said(wanted=days(0, 9)) == []
    assert said(span(None, 5), wanted=days(-9, 9)) == []
    assert said(span(0, None), span(0, 3), wanted=days(-9, 9))[0][0] is False


def test_a_pump_changed_within_a_day_leaves_no_day_uncovered() -> None:
    assert said(span(0, 5.2), span(5.9, 9, name="…1122"), wanted=days(0, 9)) == []


def test_the_hours_of_a_replaced_pump_that_is_left_out_are_named() -> None:
    old, new = span(0, 5.4, name="…1122", read=False), span(5.5, 9)
    (found,) = said(old, new, wanted=days(5, 9))
    assert found[0] is False
    assert "For 2024-06-08 00:00 to 09:36 only another pump" in found[1]
    assert "(…1122)" in found[1]
    (found,) = said(old, new, wanted=days(4, 9))
    assert "For 2024-06-07, 2024-06-08 00:00 to 09:36 only" in found[1]
    assert said(old, new, wanted=days(6, 9)) == []
    # The one that is read is the replaced one.
    (found,) = said(span(0, 5.5), span(5.5, 9, name="…1122", read=False), wanted=days(5, 7))
    assert "For 2024-06-08 12:00 to midnight, 2024-06-09 only" in found[1]


def test_a_pump_that_has_only_not_uploaded_yet_is_no_replaced_one() -> None:
    assert said(span(0, 5.5), span(0, 5.9, name="…1122", read=False), wanted=days(5, 6)) == []
    assert said(span(0, 9), span(0, 9, name="…1122", read=False), wanted=days(0, 9)) == []


def test_days_between_two_pumps_are_missing() -> None:
    (found,) = said(span(0, 5.5), span(8.5, 12, name="…1122"), wanted=days(0, 12))
    assert found[0] is True
    assert "2024-06-08 to 2024-06-11," in found[1]


def test_a_day_and_a_night_without_a_pump_are_missing_wherever_midnight_lies() -> None:
    (found,) = said(span(0, 5.5), span(6.6, 12, name="…1122"), wanted=days(0, 12))
    assert found[0] is True
    assert "2024-06-08 to 2024-06-09," in found[1]
    assert said(span(0, 5.5), span(6.6, 12, name="…1122"), wanted=days(7, 12)) == []


def test_a_window_inside_the_history_that_no_pump_covers_is_missing() -> None:
    (found,) = said(span(0, 2), span(20, 30, name="…1122"), wanted=days(8, 10))
    assert found[0] is True


def test_days_before_the_first_pump_are_one_line_and_no_failure() -> None:
    (found,) = said(span(5.5, 9), wanted=days(0, 9))
    assert found[0] is False
    assert "2024-06-03 to 2024-06-07:" in found[1]


def test_days_of_a_pump_that_the_serial_number_leaves_out_are_named() -> None:
    other = span(0, 5, name="Mobi …1122", read=False, use=False)
    (found,) = said(other, span(5.5, 9), wanted=days(3, 9))
    assert found[0] is False
    assert "Mobi …1122" in found[1]
    assert "2024-06-06 to 2024-06-07 " in found[1]


def test_many_stretches_are_counted() -> None:
    spans = [span(5 * number, 5 * number + 2.5, name=f"…{number:04}") for number in range(9)]
    (found,) = said(*spans, wanted=days(0, 42.5))
    assert "and 3 further ranges" in found[1]


OLD = span(0, 5, name="…1122", use=False)
NEW = span(4, 9)
KNOWN = {OLD.mark: day(3).start, NEW.mark: day(9).start}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({OLD.mark: day(3).start}, 3),
        ({OLD.mark: day(5).start}, 8),
        ({}, 1),
        ({OLD.mark: day(0.5).start}, 1),
    ],
    ids=["grown", "as before", "seen for the first time", "longer ago than the limit"],
)
def test_what_a_replaced_pump_uploads_late_is_reached_back_for(
    known: dict[str, object], expected: float
) -> None:
    since = late_since([OLD, NEW], known, days(8, 9), day(1).start)  # type: ignore[arg-type]
    assert since == day(expected).start


def test_a_replaced_pump_whose_date_was_ahead_is_reached_back_for_as_well() -> None:
    """By its newest date it seems to be the one in use."""
    seems_in_use = span(0, 8.5, name="…1122", use=True)
    late = late_since([seems_in_use, span(4, 9, use=False)], KNOWN, days(8, 9), day(1).start)
    assert late == day(3).start
    unknown = late_since([seems_in_use, span(4, 9)], {}, days(8, 9), day(1).start)
    assert unknown == day(8).start


def test_one_pump_alone_reaches_back_for_nothing() -> None:
    assert late_since([NEW], {}, days(8, 9), day(1).start) == day(8).start
    assert late_since([], {}, days(8, 9), day(1).start) == day(8).start


def test_a_pump_that_is_left_out_or_ended_long_ago_reaches_back_for_nothing() -> None:
    left_out = span(0, 5, name="…1122", read=False, use=False)
    long_ago = span(-90, -30, name="…1122", use=False)
    for other in (left_out, long_ago):
        assert late_since([other, NEW], {}, days(8, 9), day(1).start) == day(8).start


def test_only_pumps_that_are_read_are_remembered() -> None:
    left_out = span(0, 5, name="…1122", read=False, use=False)
    assert newest_entries([left_out, NEW]) == {NEW.mark: NEW.last}


@pytest.mark.parametrize(
    ("pump", "is_said"),
    [
        (span(0, 8.9), True),
        (span(None, 8.9), True),
        (span(0, 8.2), False),
        (span(8.8, 8.9), False),
        (span(0, 20), False),  # Perhaps it was not worn on these days.
        (span(0, 7), False),
        (span(0, None), False),
        (span(0, 8.9, read=False), False),
        (span(0, 8.9, use=False), False),
    ],
)
def test_a_log_that_should_end_here_and_is_empty_is_said(pump: PumpSpan, is_said: bool) -> None:
    found = empty_log([pump], days(8, 9), NEW_YORK)
    assert [(it.missing, it.changed, it.heals) for it in found] == [(True, True, True)] * is_said


@pytest.mark.parametrize("every_day", [True, False])
def test_days_of_which_a_cloud_that_names_no_pumps_has_nothing_are_missing(every_day: bool) -> None:
    known, now = {FIRST + 2 * DAY, FIRST + 4 * DAY}, day(7).start + DAY / 2
    before, after = empty_days(known, days(0, 8), NEW_YORK, now, every_day=every_day)
    assert before.text == "There are no data of the pump for 2024-06-03 to 2024-06-04."
    assert after.text == "There are no data of the pump for 2024-06-06, 2024-06-08 to 2024-06-09."
    assert (before.missing, after.missing) == (every_day, True)
    assert empty_days(known, days(4, 5), NEW_YORK, now, every_day=every_day) == []
