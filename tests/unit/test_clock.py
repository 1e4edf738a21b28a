"""From the pump's wall clock to instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.sources.tconnect.values import pacific_wall_time
from tests.support.event_builders import NEW_YORK


def test_the_two_halves_of_the_repeated_hour_are_an_hour_apart() -> None:
    first = datetime(2021, 11, 7, 1, 30)
    instants = NEW_YORK.instant(first), NEW_YORK.instant(first.replace(fold=1))
    assert [i.isoformat() for i in instants] == [
        "2021-11-07T01:30:00-04:00",
        "2021-11-07T01:30:00-05:00",
    ]
    assert instants[1] - instants[0] == timedelta(hours=1)


def test_a_duration_across_the_spring_night_is_measured_in_real_time() -> None:
    evening = NEW_YORK.instant(datetime(2024, 3, 9, 23, 0))
    morning = NEW_YORK.instant(datetime(2024, 3, 10, 7, 0))
    assert morning - evening == timedelta(hours=7)


def test_a_time_that_the_spring_night_leaves_out_is_not_yet_set_forward() -> None:
    skipped = NEW_YORK.instant(datetime(2024, 3, 10, 2, 30))
    assert skipped.astimezone(UTC) == datetime(2024, 3, 10, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("America/New_York", "2021-07-16T00:00:00-04:00"),
        ("America/Los_Angeles", "2021-07-16T00:00:00-07:00"),
        ("Europe/Berlin", "2021-07-16T00:00:00+02:00"),
        ("Asia/Kolkata", "2021-07-16T00:00:00+05:30"),
    ],
)
def test_an_encoded_midnight_is_midnight_in_every_zone(zone: str, shown: str) -> None:
    encoded = int(datetime(2021, 7, 16, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp())
    clock = PumpClock(ZoneInfo(zone))
    assert clock.instant(pacific_wall_time(encoded)).isoformat() == shown


def test_the_repeated_hour_survives_the_encoding() -> None:
    los_angeles = ZoneInfo("America/Los_Angeles")
    for fold in (0, 1):
        encoded = datetime(2021, 11, 7, 1, 30, fold=fold, tzinfo=los_angeles).timestamp()
        assert pacific_wall_time(encoded).fold == fold


@pytest.mark.parametrize("value", [None, "soon", True, -1, 10**20, float("nan")])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="time is"):
        pacific_wall_time(value)


def test_a_range_includes_its_start_and_excludes_its_end() -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    span = TimeRange(noon, noon + timedelta(hours=1))
    assert span.overlaps(noon - timedelta(hours=1), noon)
    assert span.overlaps(noon, noon)
    assert not span.overlaps(span.end, span.end + timedelta(hours=1))
    assert not span.overlaps(noon - timedelta(hours=2), noon - timedelta(seconds=1))
