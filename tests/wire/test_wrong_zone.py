"""A zone that the pump's own data contradict moves no insulin and brings none to a new site."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import midnight
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.state.record import State
from tests.support.command import EMAIL, NEW_YORK, PASSWORD
from tests.support.virtual_home import Home, Make, at, sparse

FEATURES = ("BASAL", "BOLUS", "PUMP_EVENTS")
FIRST = date(2024, 6, 3)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
UPLOADED = 1.5 + 20 / 60 / 24
"""Ten minutes after the upload of the second day's noon; two thirds of an hour before the next."""


@pytest.fixture
def home(make_home: Make) -> Home:
    """Give a home with an empty site, at noon of the second day of a pump in New York."""
    return home_of(make_home, "tandem-source")


def home_of(make_home: Make, source: str, first: date = FIRST) -> Home:
    home = make_home(source, sparse(live(first, 4)))
    home.features = FEATURES
    home.go_to(UPLOADED)
    return home


def silent_about_uploads(home: Home) -> Callable[[Request], Response | None]:
    """Return a fault that leaves out when the pump has uploaded, so that nothing shows the zone."""

    def fault(request: Request) -> Response | None:
        if "bff/pumper" not in request.path:
            return None
        home.tandem.fault = None
        answer = home.tandem.answer(request)
        home.tandem.fault = fault
        assert isinstance(answer, Response)
        payload = json.loads(answer.body)
        for pump in payload["pumps"]:
            pump["lastUploadDate"] = None
        return Response(json.dumps(payload).encode())

    return fault


def fill(home: Home, zone: str) -> list[dict[str, Any]]:
    """Fill the site in a zone, whether it is right or not; return what stands there."""
    home.tandem.fault = silent_about_uploads(home)
    assert home.run("--days", "2", TIMEZONE_NAME=zone).code == 0
    home.tandem.fault = None
    assert len(home.site.treatments) > 100
    return home.site.treatments


def stopped(home: Home, zone: str, *arguments: str) -> str:
    """Run in a zone; insist that nothing is written and return what is said."""
    before, writes = home.site.treatments, home.site.writes
    run = home.run(*arguments, TIMEZONE_NAME=zone)
    assert run.code == 2, run
    assert home.site.writes == writes
    assert home.site.treatments == before
    assert f"With TIMEZONE_NAME ({zone}) " in run.errors
    assert "To repeat" not in run.errors
    return run.errors


# A site that is filled


@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
def test_a_zone_that_was_right_and_becomes_utc_moves_nothing(make_home: Make, source: str) -> None:
    home = home_of(make_home, source)
    assert home.run("--days", "2").code == 0
    said = stopped(home, "Etc/UTC")
    assert "UTC-4 would fit, for example America/New_York" in said
    assert "treatments in Nightscout would move by 4 hours" in said
    assert "Nothing was written" in said
    for arguments in (
        ("--pretend",),
        ("--days", "2"),
        ("--start-date", "2024-06-03", "--end-date", "2024-06-04"),
    ):
        stopped(home, "Etc/UTC", *arguments)
    (file,) = (home.folder / ".cache" / "tconnectsync").glob("record-*.json")
    assert json.loads(file.read_text())["state"] == State.PUMP_OR_CLOCK
    assert home.run().counts[:2] == (0, 0)


@pytest.mark.parametrize("zone", ["America/Chicago", "Etc/UTC"])
def test_a_wrong_zone_adds_nothing_before_the_days_that_it_would_move(
    make_home: Make, zone: str
) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 16)))
    home.features = FEATURES
    home.go_to(14.5 + 20 / 60 / 24)
    assert home.run().code == 0
    said = stopped(home, zone, "--days", "14")
    assert "would move" in said
    stopped(home, zone, "--start-date", "2024-06-04", "--end-date", "2024-06-17")
    assert home.run("--days", "14").code == 0


@pytest.mark.parametrize(
    ("zone", "would_fit"),
    [
        ("America/Chicago", "UTC-4"),
        ("America/Halifax", "UTC-4"),
        ("America/Los_Angeles", "UTC-4"),
        ("Europe/Berlin", "UTC-4"),
        ("Asia/Tokyo", "UTC-4"),
    ],
)
def test_other_zones_do_neither(home: Home, zone: str, would_fit: str) -> None:
    assert home.run("--days", "2").code == 0
    assert f"{would_fit} would fit" in stopped(home, zone)


@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
@pytest.mark.parametrize("zone", ["America/Chicago", "America/Los_Angeles", "Etc/UTC"])
def test_the_correction_of_a_wrong_zone_goes_through(
    make_home: Make, source: str, zone: str
) -> None:
    home = home_of(make_home, source)
    if source == "tandem-source":
        wrong = fill(home, zone)
    else:
        # Days that are over say nothing about the zone.
        days = ("--start-date", "2024-06-03", "--end-date", "2024-06-03")
        assert home.run(*days, TIMEZONE_NAME=zone).code == 0
        wrong = home.site.treatments
    ran = home.run("--days", "2", TIMEZONE_NAME=NEW_YORK)
    assert ran.code == 0
    assert ran.counts.updated >= len(wrong) - 5
    assert home.run("--days", "2").counts[:2] == (0, 0)


@pytest.mark.parametrize("age", [56, 65, 75])
def test_a_correction_does_not_depend_on_how_soon_t_connect_expects_an_upload(
    make_home: Make, age: int
) -> None:
    home = home_of(make_home, "tconnect")
    days = ("--start-date", "2024-06-03", "--end-date", "2024-06-03")
    assert home.run(*days, TIMEZONE_NAME="America/Chicago").code == 0
    home.now = at(1.5) + (age - 5) * MINUTE
    assert home.run("--days", "2", TIMEZONE_NAME=NEW_YORK).code == 0


def test_where_only_the_next_upload_can_decide_the_loop_waits_for_it(make_home: Make) -> None:
    home = home_of(make_home, "tconnect")
    days = ("--start-date", "2024-06-03", "--end-date", "2024-06-03")
    assert home.run(*days, TIMEZONE_NAME="America/Chicago").code == 0
    wrong = home.site.treatments
    home.now = at(1.5) + 110 * MINUTE
    assert "wait for its next upload" in stopped(home, NEW_YORK, "--days", "2")
    home.go_to(UPLOADED + 2 / 24)
    ran = home.run("--days", "3")
    assert ran.code == 0
    assert ran.counts.updated >= len(wrong) - 5


def test_a_correction_that_is_still_wrong_is_stopped(home: Home) -> None:
    fill(home, "America/Los_Angeles")
    assert "UTC-4 would fit" in stopped(home, "America/Chicago")


def test_a_mistake_is_also_seen_while_the_phone_was_away(home: Home) -> None:
    assert home.run("--days", "2").code == 0
    home.phone_off = (at(1.55), at(3))
    home.go_to(1.75)
    # What it uploads without the pump is old, whatever the zone.
    said = stopped_while_away(home)
    assert "wait for its next upload" in said


def stopped_while_away(home: Home) -> str:
    assert isinstance(home.tandem, SimulatedTandemSource)
    home.tandem.fault = uploads_at(home, home.now)
    return stopped(home, "Etc/UTC")


def uploads_at(home: Home, moment: datetime) -> Callable[[Request], Response | None]:
    """Return a fault that says that the pump last uploaded then, although nothing newer came."""

    def fault(request: Request) -> Response | None:
        if "bff/pumper" not in request.path:
            return None
        home.tandem.fault = None
        answer = home.tandem.answer(request)
        home.tandem.fault = fault
        assert isinstance(answer, Response)
        payload = json.loads(answer.body)
        for pump in payload["pumps"]:
            pump["lastUploadDate"] = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return Response(json.dumps(payload).encode())

    return fault


# A site that is empty


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu"])
def test_a_wrong_zone_of_half_hours_brings_nothing_to_an_empty_site(home: Home, zone: str) -> None:
    assert "UTC-4 would fit" in stopped(home, zone)


def test_a_zone_that_should_be_one_of_half_hours_brings_nothing_to_an_empty_site(
    make_home: Make,
) -> None:
    pump = SimulatedTandemSource(
        live(FIRST, 4), email=EMAIL, password=PASSWORD, zone=ZoneInfo("Asia/Kolkata")
    )
    home = home_of(make_home, "tandem-source")
    with pump:
        home.tandem = pump
        home.changes |= pump.variables
        pump.uploaded_until = midnight(FIRST) + timedelta(days=1.5)
        home.now = datetime(2024, 6, 4, 6, 40, tzinfo=UTC)
        assert "UTC+5:30 would fit" in stopped(home, "Asia/Singapore")
        assert home.run(TIMEZONE_NAME="Asia/Kolkata").code == 0


@pytest.mark.parametrize(
    "zone", ["America/Chicago", "America/Halifax", "America/Los_Angeles", "Etc/UTC"]
)
def test_a_wrong_zone_brings_nothing_to_an_empty_site(home: Home, zone: str) -> None:
    said = stopped(home, zone)
    assert "UTC-4 would fit, for example America/New_York" in said
    assert "the first treatments in this Nightscout would have wrong times" in said
    assert home.run().code == 0


def test_a_zone_that_puts_the_data_of_t_connect_into_the_future_brings_nothing(
    make_home: Make,
) -> None:
    home = home_of(make_home, "tconnect")
    assert "after the present time" in stopped(home, "America/Los_Angeles")
    assert home.run().code == 0


@pytest.mark.parametrize("minutes", [90, 210, 570])
def test_a_pump_that_is_idle_for_hours_stops_nothing(home: Home, minutes: int) -> None:
    home.tandem.fault = uploads_at(home, home.now + timedelta(minutes=minutes))
    home.now += timedelta(minutes=minutes + 5)
    assert home.run().code == 0
    assert home.site.treatments


def test_an_old_pump_whose_last_upload_was_late_stops_nothing(home: Home) -> None:
    home.tandem.fault = uploads_at(home, home.now + 3 * HOUR)
    home.now += 3 * HOUR
    assert home.run().code == 2
    home.now += 25 * HOUR
    assert home.run("--days", "3").code == 0
    assert home.site.treatments


@pytest.mark.parametrize("hours", [2, 3])
def test_a_running_site_goes_on_whatever_the_uploads_say(home: Home, hours: int) -> None:
    assert home.run().code == 0
    home.go_to(UPLOADED + hours / 24)
    for away in (-3, 4):
        home.tandem.fault = uploads_at(home, home.now + away * HOUR)
        assert home.run().code == 0


# The pump's clock


def in_the_night(home: Home, day: float) -> None:
    """Go to a moment soon after an upload, so many days of a clock that is not set."""
    uploaded = midnight(home.tandem.history.first_day) + timedelta(days=day)
    home.tandem.uploaded_until = uploaded
    offset = midnight(home.tandem.history.first_day).replace(tzinfo=ZoneInfo(NEW_YORK)).utcoffset()
    assert offset is not None
    home.now = (uploaded - offset).replace(tzinfo=UTC) + timedelta(minutes=20)


@pytest.mark.parametrize("first", [date(2024, 3, 9), date(2024, 11, 2)], ids=["spring", "autumn"])
@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
def test_nights_of_daylight_saving_stop_nothing(make_home: Make, source: str, first: date) -> None:
    home = make_home(source, sparse(live(first, 3)))
    home.features = FEATURES
    for day in (0.9, 1.05, 1.1, 1.15, 1.5, 2.5):
        in_the_night(home, day)
        assert home.run().code == 0, day
        assert home.run("--days", "2").code == 0, day


def test_the_autumn_night_stops_nothing_on_an_empty_site_either(make_home: Make) -> None:
    for day in (1.05, 1.1, 1.15, 1.5):
        home = make_home("tandem-source", live(date(2024, 11, 2), 3))
        home.features = FEATURES
        in_the_night(home, day)
        assert home.run().code == 0, day


def test_a_clock_that_is_not_set_yet_in_spring_brings_nothing_to_an_empty_site(
    make_home: Make,
) -> None:
    home = make_home("tandem-source", live(date(2024, 3, 9), 3))
    home.features = FEATURES
    in_the_night(home, 1.5)
    said = stopped(home, NEW_YORK)
    assert "UTC-5 would fit" in said
    assert "the clock on the pump" in said


def test_a_journey_on_record_goes_through(make_home: Make) -> None:
    noon = midnight(FIRST) + timedelta(days=1, hours=9)
    pump = SimulatedTandemSource(
        live(FIRST, 4),
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(NEW_YORK),
        clock_changes=[(noon, noon - 3 * HOUR)],
    )
    home = home_of(make_home, "tandem-source")
    with pump:
        home.tandem = pump
        home.changes |= pump.variables
        pump.uploaded_until = midnight(FIRST) + timedelta(days=1.5)
        assert home.run().code == 0
        assert home.site.treatments


# The loop


def test_the_loop_ends_for_a_person_to_correct_it(home: Home) -> None:
    assert home.run("--days", "2").code == 0
    before = home.site.treatments
    ran = home.run("--auto-update", TIMEZONE_NAME="Etc/UTC")
    assert ran.code == 2
    assert "UTC-4 would fit" in ran.errors
    assert home.site.treatments == before


def test_a_correction_goes_through_where_the_last_upload_was_late_and_is_long_over(
    home: Home,
) -> None:
    wrong = fill(home, "America/Chicago")
    home.tandem.fault = uploads_at(home, home.now + 4 * HOUR)
    home.now += 30 * HOUR
    ran = home.run("--days", "4")
    assert ran.code == 0
    assert ran.counts.updated >= len(wrong) - 5
