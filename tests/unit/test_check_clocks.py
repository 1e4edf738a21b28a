"""What the newest data say about the pump's clock and zone, and how clocks are compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.check.clocks import pumps_clock, this_computers_clock
from tconnectsync.check.results import Findings, NotTriedError
from tconnectsync.errors import TconnectsyncError
from tconnectsync.redact import Redactor

NOW = datetime(2024, 7, 10, 16, 0, tzinfo=UTC)


def findings(
    wall: str | None = None,
    zone: str = "UTC",
    *,
    gapless: bool = True,
    ahead: float | None = None,
    uploaded: timedelta | None = None,
) -> Findings:
    """Return what was found: the newest data at a wall time that is understood in a zone.

    ``uploaded`` is how long ago the upload was that brought them.
    """
    found = Findings(Redactor(), gapless=gapless, host_ahead_seconds=ahead)
    if uploaded is not None:
        found.uploaded = NOW - uploaded
    if wall:
        found.newest = datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return found


def judged(wall: str, zone: str, **more: Any) -> str:
    """Return the judgement at 16:00 UTC, noon in New York, after insisting that it is bad."""
    with pytest.raises(TconnectsyncError) as caught:
        pumps_clock(findings(wall, zone, **more), NOW, ZoneInfo(zone))
    return str(caught.value)


def test_data_as_old_as_an_upload_explains_are_all_right() -> None:
    found = findings("2024-07-10 11:10", "America/New_York")
    text = pumps_clock(found, NOW, ZoneInfo("America/New_York"))
    assert text == "With America/New_York the newest data are 50 minutes old."


@pytest.mark.parametrize(
    ("wall", "zone", "sentence"),
    [
        ("2024-07-10 11:45", "America/Los_Angeles", "UTC-4 would fit, for example America/New"),
        ("2024-07-10 21:15", "America/New_York", "UTC+6 would fit."),
        ("2024-07-10 17:50", "Europe/London", "UTC+2 would fit, for example Europe/Berlin"),
    ],
)
def test_a_zone_too_far_west_puts_data_into_the_future(wall: str, zone: str, sentence: str) -> None:
    text = judged(wall, zone)
    assert sentence in text
    assert "in the future. TIMEZONE_NAME" in text


def test_a_zone_too_far_east_makes_data_look_old() -> None:
    text = judged("2024-07-10 11:45", "Europe/Berlin")
    assert text.startswith("The newest data are 6 hours and 15 minutes old. Either the pump has")
    assert "UTC-4 would fit, for example America/New_York" in text


def test_a_fast_pump_clock_is_named_in_minutes() -> None:
    text = judged("2024-07-10 12:07", "America/New_York")
    assert "7 minutes in the future" in text
    assert "the pump's clock is wrong by that much or more" in text


def test_silence_of_a_pump_that_reports_only_boluses_means_nothing() -> None:
    found = findings("2024-07-10 03:00", "America/New_York", gapless=False)
    assert "9 hours old" in pumps_clock(found, NOW, ZoneInfo("America/New_York"))


def test_data_weeks_old_suggest_no_zone() -> None:
    text = judged("2024-06-20 12:00", "America/New_York")
    assert "20 days old" in text
    assert "would fit" not in text


def test_without_any_data_the_phone_is_to_be_looked_at() -> None:
    with pytest.raises(TconnectsyncError, match="Open Tandem's app on the phone"):
        pumps_clock(findings(), NOW, ZoneInfo("America/New_York"))


def test_a_computer_with_a_wrong_clock_does_not_blame_the_pump() -> None:
    found = findings("2024-07-10 11:50", "America/New_York", ahead=5 * 3600.0)
    late = NOW + timedelta(hours=5)
    assert "10 minutes old" in pumps_clock(found, late, ZoneInfo("America/New_York"))


TWO_HOURS = timedelta(hours=2)


def test_data_are_compared_with_the_upload_that_brought_them() -> None:
    found = findings("2024-07-10 09:56", "America/New_York", uploaded=TWO_HOURS)
    text = pumps_clock(found, NOW, ZoneInfo("America/New_York"))
    assert text == (
        "With America/New_York the newest data were 4 minutes old when they were uploaded, "
        "2 hours ago."
    )


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [
        ("America/Chicago", "lie 56 minutes after their own upload. TIMEZONE_NAME (America/Ch"),
        ("America/Halifax", "were 64 minutes old already when they were uploaded. Either the ph"),
        ("Europe/Berlin", "were 6 hours and 4 minutes old already when they were uploaded."),
    ],
)
def test_an_upload_betrays_a_zone_that_is_wrong_by_an_hour(zone: str, sentence: str) -> None:
    text = judged("2024-07-10 09:56", zone, uploaded=TWO_HOURS)
    assert sentence in text
    assert "UTC-4 would fit, for example America/New_York" in text


def test_a_phone_that_was_away_from_the_pump_for_a_while_is_no_failure() -> None:
    found = findings("2024-07-10 09:26", "America/New_York", uploaded=TWO_HOURS)
    assert "34 minutes old when" in pumps_clock(found, NOW, ZoneInfo("America/New_York"))


def test_a_long_silence_after_a_good_upload_is_not_blamed_on_the_zone() -> None:
    text = judged("2024-07-10 05:56", "America/New_York", uploaded=timedelta(hours=6))
    assert text.startswith("The pump last uploaded 6 hours ago. Open Tandem's app on the phone")


def test_the_pump_s_own_record_decides_on_the_newest_data_only() -> None:
    zone = ZoneInfo("America/New_York")
    found = findings("2024-07-10 11:56", zone.key, uploaded=timedelta())
    found.disagreement = "Three years ago, a change was not recorded."
    assert "4 minutes old" in pumps_clock(with_offset(found, hours=-4), NOW, zone)
    with pytest.raises(TconnectsyncError, match=r"not recorded\.$"):
        pumps_clock(with_offset(found, hours=-5), NOW, zone)


def with_offset(found: Findings, hours: int) -> Findings:
    """Return what was found with the newest data as a clock with another offset shows them."""
    assert found.newest
    found.newest = found.newest.astimezone(timezone(timedelta(hours=hours)))
    return found


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [(420.0, "It is 7 minutes ahead of Nightscout's"), (-7260.0, "2 hours and 1 minute behind")],
)
def test_a_clock_off_by_minutes_is_named(ahead: float, sentence: str) -> None:
    with pytest.raises(TconnectsyncError, match=sentence):
        this_computers_clock(findings(ahead=ahead))


def test_a_clock_off_by_seconds_is_all_right() -> None:
    assert this_computers_clock(findings(ahead=-90.0)) == "It agrees with Nightscout's."


def test_without_nightscout_s_time_the_clock_is_not_judged() -> None:
    with pytest.raises(NotTriedError):
        this_computers_clock(findings())
