"""Days that Tandem Source cannot serve, and accounts about which it says little.

The command lives through it on a clock of its own (`lived`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from tconnectsync.nightscout.provenance import instant
from tconnectsync.simulators.history import (
    ActivityRecord,
    BasalSegment,
    BolusRecord,
    PumpHistory,
    SuspensionRecord,
)
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.person import live
from tconnectsync.sources.tandemsource.settings import NOT_FOR_GUARDIANS
from tests.support.command import days as dates
from tests.support.virtual_home import DAY, Home, Make, boluses_of, check, sparse, wall
from tests.support.world import FIRST

HOUR = timedelta(hours=1)
CANNOT = "cannot be read"


def asked_for(request: Request) -> tuple[date, date] | None:
    """Return the first and the last day of the log that is asked for."""
    if "pump-logs" not in request.path:
        return None
    first, last = (date.fromisoformat(request.query[f"{end}Date"][:10]) for end in ("start", "end"))
    return first, last


def without_day(home: Home, day: int) -> None:
    """Let the cloud fail for every range with this day in it."""

    def fault(request: Request) -> Response | None:
        asked = asked_for(request)
        is_in = asked is not None and asked[0] <= FIRST + day * DAY <= asked[1]
        return Response(b"", 500) if is_in else None

    home.tandem.fault = fault


def spans_before(home: Home, day: int) -> list[int]:
    """Return of how many days the log was asked for that ends before a day."""
    asked = [asked_for(entry.request) for entry in home.tandem.log]
    return [(each[1] - each[0]).days + 1 for each in asked if each and each[1] < FIRST + day * DAY]


def delivering(
    days: int,
    suspensions: Sequence[SuspensionRecord] = (),
    activities: Sequence[ActivityRecord] = (),
) -> PumpHistory:
    """Return a life with insulin in every hour in which the pump is not suspended."""

    def is_off(at: datetime) -> bool:
        return any(each.start <= at and (not each.end or at < each.end) for each in suspensions)

    hours = [wall(hour / 24) for hour in range(24 * days)]
    on = [hour for hour in hours if not is_off(hour)]
    return PumpHistory(
        FIRST,
        days,
        control_iq=True,
        basal=[BasalSegment(hour, 3600, 0.8 + hour.hour / 100, "algorithm") for hour in on],
        boluses=[
            BolusRecord(number, hour + HOUR / 4, hour + HOUR / 3, 1.5, 1.5, carbs=12)
            for number, hour in enumerate(on, 1)
            if hour.hour % 6 == 0
        ],
        suspensions=suspensions,
        activities=activities,
    )


# One day


def test_a_day_that_cannot_be_had_stops_no_insulin_of_later_days(make_home: Make) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 9, seed=2)))
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    home.go_to(2.5)
    assert home.run(*dates(FIRST, FIRST + 2 * DAY)).code == 0
    without_day(home, 3)
    for day in (6.5, 8.5):
        home.go_to(day)
        assert CANNOT not in home.run().errors
        assert home.now - boluses_of(home)[-1] < 8 * HOUR
    home.tandem.fault = None
    assert home.run(*dates(FIRST, FIRST + 8 * DAY)).code == 0
    check(home)


SLEEP = [ActivityRecord(wall(day + 22.5 / 24), 9 * 3600, "sleep") for day in range(5)]


def test_a_person_who_sleeps_at_midnight_costs_no_request(make_home: Make) -> None:
    home = make_home("tandem-source", delivering(6, activities=SLEEP))
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    home.go_to(4.5)
    home.run(*dates(FIRST + 3 * DAY, FIRST + 4 * DAY))
    assert [asked for entry in home.tandem.log if (asked := asked_for(entry.request))] == [
        (FIRST + 2 * DAY, FIRST + 5 * DAY)
    ]


# What lasts for days


def off(start: float, end: float | None) -> SuspensionRecord:
    return SuspensionRecord(wall(start), None if end is None else wall(end), "manual")


@pytest.mark.parametrize(("start", "spans"), [(7.5, [1]), (5.5, [1, 2]), (1.5, [1, 2, 4])])
def test_the_beginning_of_what_lasts_is_looked_for_in_growing_steps(
    make_home: Make, start: float, spans: list[int]
) -> None:
    home = make_home("tandem-source", delivering(11, [off(start, 9.75)]))
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    home.go_to(10)
    home.run(*dates(FIRST + 9 * DAY, FIRST + 9 * DAY))
    assert spans_before(home, 8) == spans
    (shown,) = (t for t in home.site.treatments if t.get("rate") == 0)
    assert instant(shown) == home.now + (start - 10) * DAY
    assert shown["duration"] == pytest.approx((9.75 - start) * 24 * 60, abs=1)


def test_what_lasts_for_longer_than_two_weeks_ends_the_search(make_home: Make) -> None:
    home = make_home("tandem-source", delivering(20, [off(1.5, None)]))
    home.features = ("BASAL",)
    home.go_to(18.5)
    assert home.run(*dates(FIRST + 18 * DAY, FIRST + 18 * DAY)).code == 0
    assert spans_before(home, 17) == [1, 2, 4, 7]
    assert {each["rate"] for each in home.site.treatments} == {0}


@pytest.mark.parametrize("bad", [2, 3, 4])
def test_a_suspension_is_found_although_a_day_before_it_cannot_be_had(
    make_home: Make, bad: int
) -> None:
    home = make_home("tandem-source", delivering(11, [off(5.5, 9.75)]))
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    home.go_to(10)
    without_day(home, bad)
    ran = home.run(*dates(FIRST + 9 * DAY, FIRST + 9 * DAY))
    assert (ran.code, CANNOT in ran.errors) == (0, False)
    assert [t["duration"] > 4 * 1440 for t in home.site.treatments if t.get("rate") == 0] == [True]


@pytest.mark.parametrize("began", ["before", "after"])
def test_a_suspension_whose_beginning_cannot_be_had_is_added_whole_when_it_can(
    make_home: Make, began: str
) -> None:
    """It began before the bad day, or on it; it ended in the range that is synced."""
    home = make_home("tandem-source", delivering(9, [off(3.25 if began == "after" else 2.25, 7.5)]))
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    home.go_to(1.5)
    assert home.run(*dates(FIRST, FIRST + DAY)).code == 0
    without_day(home, 3)
    home.go_to(8.4)
    ran = home.run()
    assert ran.errors.count(CANNOT) == 1
    assert "--start-date 2024-06-06" in ran.errors
    assert home.now - boluses_of(home)[-1] < 10 * HOUR
    resumed = home.now - 0.9 * DAY
    rates = [t for t in home.site.treatments if "rate" in t]
    assert len([t for t in rates if (at := instant(t)) and at >= resumed]) > 200
    assert not [t for t in rates if t["rate"] == 0 and instant(t) != home.now + (2.25 - 8.4) * DAY]
    assert home.run(*dates(FIRST + 8 * DAY, FIRST + 8 * DAY)).code == 0
    home.tandem.fault = None
    assert home.run(*dates(FIRST + DAY, FIRST + 7 * DAY)).code == 0
    check(home)


def test_what_goes_on_is_added_by_the_first_run_that_can_see_its_beginning(
    make_home: Make,
) -> None:
    life = delivering(9, [off(2.5, None)])
    home = make_home("tandem-source", life)
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS", "DEVICE_STATUS")
    home.go_to(2.4)
    assert home.run(*dates(FIRST, FIRST + 2 * DAY)).code == 0
    without_day(home, 3)
    home.go_to(6.5)
    ran = home.run(*dates(FIRST + 5 * DAY, FIRST + 6 * DAY))
    assert (ran.code, ran.errors.count(CANNOT)) == (1, 1)
    assert "left in the reservoir is unknown" in ran.errors
    assert home.site.device_statuses[-1]["pump"]["status"]["suspended"] is True
    assert [t for t in home.site.treatments if t.get("rate") == 0] == []
    home.tandem.fault = None
    home.go_to(7.5)
    assert home.run().code == 0
    check(home)


def test_an_exercise_that_lasts_for_days_is_added_when_its_beginning_can_be_had(
    make_home: Make,
) -> None:
    forgotten = ActivityRecord(wall(3.5), 4 * 86400, "exercise")
    home = make_home("tandem-source", delivering(9, activities=[forgotten]))
    home.features = ("PUMP_EVENTS", "BOLUS")
    home.go_to(8.4)
    without_day(home, 3)
    ran = home.run(*dates(FIRST + 7 * DAY, FIRST + 8 * DAY))
    assert (ran.code, ran.errors.count(CANNOT)) == (0, 1)
    assert {t["eventType"] for t in home.site.treatments} == {"Combo Bolus"}
    home.tandem.fault = None
    assert home.run(*dates(FIRST + 7 * DAY, FIRST + 8 * DAY)).counts[:2] == (1, 0)


def test_a_login_that_is_refused_meanwhile_ends_the_run(make_home: Make) -> None:
    home = make_home("tandem-source", delivering(11, [off(5.5, 9.75)]))
    home.features = ("BASAL",)
    home.go_to(10)

    def fault(request: Request) -> Response | None:
        asked = asked_for(request)
        blocked = b"<html><body><h2>The request is blocked.</h2></body></html>"
        is_before = asked is not None and asked[1] < FIRST + 8 * DAY
        return Response(blocked, 403, "text/html") if is_before else None

    home.tandem.fault = fault
    ran = home.run(*dates(FIRST + 9 * DAY, FIRST + 9 * DAY))
    assert ran.code == 1
    assert CANNOT not in ran.errors
    assert home.site.treatments == []


# Guardians


def test_auto_update_goes_on_syncing_the_account_of_a_guardian(make_home: Make) -> None:
    home = make_home("tandem-source", replace(live(FIRST, 4, seed=2), readings=()))
    home.features = ("BASAL", "BOLUS")
    home.tandem.guardian = True  # type: ignore[union-attr]
    home.go_to(1.5)
    assert home.auto_update(3).code == 0
    assert home.now - boluses_of(home)[-1] < 8 * HOUR


def test_a_guardian_reads_why_there_are_no_profiles_and_the_rest_is_synced(
    make_home: Make,
) -> None:
    home = make_home("tandem-source", replace(live(FIRST, 2, seed=2), readings=()))
    home.features = ("BOLUS", "PROFILES")
    home.tandem.guardian = True  # type: ignore[union-attr]
    home.go_to(1.5)
    ran = home.run()
    assert ran.code == 1
    assert NOT_FOR_GUARDIANS in ran.errors
    assert boluses_of(home)


def test_auto_update_goes_on_where_the_uploads_of_a_pump_are_said_only_at_times(
    make_home: Make,
) -> None:
    home = make_home("tandem-source", replace(live(FIRST, 4, seed=2), readings=()))
    home.features = ("BASAL", "BOLUS")
    home.go_to(1.5)

    def at_times(request: Request) -> None:
        home.tandem.guardian = home.now.hour in (0, 4, 12)  # type: ignore[union-attr]

    home.tandem.fault = at_times
    ran = home.auto_update(3)
    assert ran.code == 0
    assert "AutoupdateFailure" not in ran.errors
    assert home.now - boluses_of(home)[-1] < 8 * HOUR
