"""What the pump's log says about changes of its clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tconnectsync.sources.tandemsource.clock.changes import ClockChange, clock_changes
from tconnectsync.sources.tandemsource.log.records import Record

HOUR_MS = 3_600_000


def time_changed(sequence: int, wall: datetime, prior: Any, after: Any, group: int = 0) -> Record:
    return Record(13, group, sequence, wall, {"timeprior": prior, "timeafter": after})


def date_changed(sequence: int, wall: datetime, prior: Any, after: Any, group: int = 0) -> Record:
    return Record(14, group, sequence, wall, {"dateprior": prior, "dateafter": after})


def milliseconds(hour: int, minute: int = 0, second: int = 0, thousandth: int = 0) -> int:
    return ((hour * 60 + minute) * 60 + second) * 1000 + thousandth


def test_an_hour_put_back_is_read_with_the_time_before_and_after() -> None:
    wall = datetime(2025, 11, 2, 15, 27, 37)
    (change,) = clock_changes([time_changed(364365, wall, 59278139, 55657000)])
    assert change == ClockChange(
        (0, 364365), datetime(2025, 11, 2, 16, 27, 58, 139000), datetime(2025, 11, 2, 15, 27, 37)
    )
    assert change.shift == timedelta(hours=-1)


def test_the_date_that_stays_as_it_was_is_no_change() -> None:
    wall = datetime(2025, 11, 2, 16, 27, 58)
    assert clock_changes([date_changed(364364, wall, 6515, 6515)]) == []


def test_date_and_time_set_in_one_go_are_one_change() -> None:
    found = clock_changes(
        [
            date_changed(418774, datetime(2025, 11, 18, 22, 55, 4), 6530, 6531),
            time_changed(
                418777,
                datetime(2025, 11, 18, 5, 55, 31),
                milliseconds(22, 55, 9),
                milliseconds(5, 55, 31),
            ),
        ]
    )
    assert [(change.position, change.after) for change in found] == [
        ((0, 418777), datetime(2025, 11, 18, 5, 55, 31))
    ]
    assert found[0].shift == timedelta(hours=7)


def test_the_first_set_up_is_a_change_of_years() -> None:
    (change,) = clock_changes([date_changed(95, datetime(2025, 7, 20, 4, 38, 28), 4394, 6410)])
    assert (change.before, change.after) == (
        datetime(2020, 1, 12, 4, 38, 28),
        datetime(2025, 7, 20, 4, 38, 28),
    )


def test_changes_an_hour_apart_stay_two() -> None:
    noon = datetime(2025, 11, 2, 12)
    found = clock_changes(
        [
            time_changed(1, noon, milliseconds(11), milliseconds(12)),
            time_changed(9, noon, milliseconds(13), milliseconds(12)),
        ]
    )
    assert [change.shift for change in found] == [timedelta(hours=1), timedelta(hours=-1)]


def test_what_was_set_and_taken_back_at_once_is_no_change() -> None:
    noon = datetime(2025, 11, 2, 12)
    forth = time_changed(1, noon, milliseconds(11), milliseconds(12))
    back = time_changed(2, noon.replace(hour=11), milliseconds(12), milliseconds(11))
    assert clock_changes([forth, back]) == []


def test_order_and_repeats_do_not_matter() -> None:
    spring = time_changed(5, datetime(2025, 3, 9, 8), milliseconds(7), milliseconds(8))
    autumn = time_changed(900, datetime(2025, 11, 2, 8), milliseconds(9), milliseconds(8))
    found = clock_changes([autumn, spring, autumn, spring])
    assert [change.position for change in found] == [(0, 5), (0, 900)]


def test_logs_of_two_groups_are_not_joined() -> None:
    noon = datetime(2025, 11, 2, 12)
    forth = time_changed(1, noon, milliseconds(11), milliseconds(12))
    back = time_changed(2, noon.replace(hour=11), milliseconds(12), milliseconds(11), group=1)
    assert len(clock_changes([forth, back])) == 2


@pytest.mark.parametrize(
    "record",
    [
        time_changed(1, datetime(2025, 1, 1), None, HOUR_MS),
        time_changed(1, datetime(2025, 1, 1), HOUR_MS, -1),
        time_changed(1, datetime(2025, 1, 1), HOUR_MS, 24 * HOUR_MS),
        time_changed(1, datetime(2025, 1, 1), 0.5, HOUR_MS),
        date_changed(1, datetime(2025, 1, 1), 0, 4_294_967_295),
        date_changed(1, datetime(2025, 1, 1), -5, 6000),
        Record(14, 0, 1, datetime(2025, 1, 1), {}),
        Record(13, 0, 1, datetime(2025, 1, 1), {"dateprior": 1, "dateafter": 2}),
        Record(90, 0, 1, datetime(2025, 1, 1), {"timeprior": 1, "timeafter": HOUR_MS}),
    ],
)
def test_what_makes_no_sense_is_left_out(record: Record) -> None:
    good = time_changed(7, datetime(2025, 3, 9, 8), milliseconds(7), milliseconds(8))
    assert [change.position for change in clock_changes([record, good])] == [(0, 7)]
