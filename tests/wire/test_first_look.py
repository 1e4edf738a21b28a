"""What the first run on a site looks for once: the ages, and features that earlier runs had on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha1
from typing import Any

import pytest
import requests

from tconnectsync.nightscout.provenance import ENTERED_BY, created_at, instant
from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.person import live
from tests.support.command import CLOUDS, SECRET
from tests.support.command import days as dates
from tests.support.virtual_home import DAY, EVERY_FEATURE, Home, Make, at, check, sparse
from tests.support.world import FIRST

AGES = ("Site Change", "Insulin Change", "Sensor Start")


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return sparse(live(FIRST, 16))


def newest(home: Home) -> dict[str, dict[str, Any]]:
    """Return the newest treatment of each type that shows an age."""
    ordered = sorted(home.site.treatments, key=lambda document: str(document["created_at"]))
    return {d["eventType"]: d for d in ordered if d["eventType"] in AGES}


def before(document: dict[str, Any], day: float) -> bool:
    moment = instant(document)
    return moment is not None and moment < at(day)


def asked(home: Home, part: str) -> int:
    """Return how many requests so far went to an address with this part."""
    return sum(part in exchange.request.path for exchange in [*home.tandem.log, *home.site.log])


def moved_on(home: Home, day: float, *features: str) -> Home:
    home.go_to(day)
    home.features = features or ("BASAL", "BOLUS", "PUMP_EVENTS")
    return home


@pytest.mark.parametrize("source", CLOUDS)
def test_ages_are_right_from_the_first_day(make_home: Make, life: PumpHistory, source: str) -> None:
    home = moved_on(make_home(source, life), 9.9)
    assert home.run().code == 0
    ages = newest(home)
    written = home.site.writes
    assert home.run().counts[:2] == (0, 0)
    assert home.site.writes == written
    # All of it, on another day, finds nothing newer before that day.
    assert home.run(*dates(FIRST, FIRST + 9 * DAY)).code == 0
    assert {kind: d["_id"] for kind, d in newest(home).items()} == {
        kind: d["_id"] for kind, d in ages.items()
    }
    assert "Site Change" in ages
    assert source == "tconnect" or set(ages) == set(AGES)


@pytest.mark.parametrize("day", [9.9, 0.4, 1.9, 6.9, 12.9])
def test_pretending_shows_what_the_first_run_brings_and_remembers_nothing(
    make_home: Make, life: PumpHistory, day: float
) -> None:
    home = moved_on(make_home("tandem-source", life), day)
    pretended = home.run("--pretend")
    real = home.run()
    assert pretended.counts == real.counts
    assert newest(home)


@pytest.mark.parametrize("day", [8, 10, 14])
def test_no_age_is_lost_where_two_searches_meet(
    make_home: Make, life: PumpHistory, day: int
) -> None:
    home = moved_on(make_home("tandem-source", life), day + 0.5)
    assert home.run().code == 0
    assert set(newest(home)) == set(AGES)


def test_what_anybody_has_entered_is_not_looked_for(make_home: Make, life: PumpHistory) -> None:
    home = moved_on(make_home("tandem-source", life), 9.9)
    others = [
        {"eventType": kind, "created_at": created_at(at(2)), "enteredBy": "A parent"}
        for kind in ("Site Change", "Insulin Change", "Sensor Change")
    ]
    home.site.insert(others)
    assert home.run().code == 0
    early = [d for d in home.site.treatments if d["eventType"] in (*AGES, "Sensor Change")]
    assert {d["enteredBy"] for d in early if before(d, 8.8)} == {"A parent"}


def test_a_pump_without_a_sensor_is_searched_once(make_home: Make, life: PumpHistory) -> None:
    home = moved_on(make_home("tandem-source", replace(life, readings=())), 9.9)
    assert home.run().code == 0
    first = asked(home, "pump-logs")
    assert home.run().code == 0
    assert asked(home, "pump-logs") == first + 1
    assert "Sensor Start" not in newest(home)


def test_what_could_not_be_looked_for_is_by_the_next_run(
    make_home: Make, life: PumpHistory
) -> None:
    home = moved_on(make_home("tandem-source", life), 9.9)
    home.site.fault = lambda r: (
        Response(b"", 500) if r.query.get("find[eventType]") == "Insulin Change" else None
    )
    assert home.run().code == 0
    home.site.fault = None
    assert home.run().counts.created > 0
    assert set(newest(home)) == set(AGES)


def test_features_that_an_older_version_had_on_are_named_once(
    make_home: Make, life: PumpHistory
) -> None:
    home = moved_on(make_home("tandem-source", life), 9.9, "BASAL", "BOLUS")
    older = {"eventType": "Site Change", "enteredBy": ENTERED_BY, "pump_event_id": "77"}
    home.site.insert([{**older, "created_at": created_at(at(8))}])
    ran = home.run()
    assert ran.code == 0
    assert "PUMP_EVENTS" in ran.errors
    assert "--features BASAL BOLUS PUMP_EVENTS" in ran.errors
    assert "--features" not in home.run().errors


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """What was started in the background of a script ignores Ctrl-C otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_a_range_that_is_broken_off_is_remembered(make_home: Make, life: PumpHistory) -> None:
    home = moved_on(make_home("tandem-source", life), 12.5, "BASAL", "BOLUS")
    writes: list[Request] = []

    def fault(request: Request) -> None:
        """Let the person press Ctrl-C at the second write."""
        if request.method == "POST":
            writes.append(request)
            if len(writes) == 2:
                os.kill(os.getpid(), signal.SIGINT)

    home.site.fault = fault
    assert home.run(*dates(FIRST, FIRST + 12 * DAY)).code == 1
    home.site.fault = None
    assert home.run().code == 0
    days = {str(document["created_at"])[:10] for document in home.site.treatments}
    assert {str(FIRST + number * DAY) for number in range(13)} <= days


def test_what_waited_behind_days_that_failed_is_brought_or_said(
    make_home: Make, life: PumpHistory
) -> None:
    home = moved_on(make_home("tandem-source", life), 15.5, "BASAL", "BOLUS")
    home.changes["CATCH_UP_DAYS"] = "3"

    def fault(request: Request) -> Response | None:
        is_early = request.query.get("startDate", "")[:10] < str(FIRST + 9 * DAY)
        return Response(b"", 500) if "pump-logs" in request.path and is_early else None

    home.tandem.fault = fault
    failed = home.run("--days", "15")
    assert failed.code == 1
    (command,) = failed.repeats
    assert command[:4] == list(dates(FIRST, FIRST + 15 * DAY))
    home.tandem.fault = None
    later = home.run()
    assert later.code == 1
    assert f"Some data of BASAL BOLUS from {FIRST} to {FIRST + 12 * DAY} are not in" in later.errors
    assert home.run(*dates(FIRST, FIRST + 12 * DAY)).code == 0
    assert home.run().code == 0
    days = {str(document["created_at"])[:10] for document in home.site.treatments}
    assert {str(FIRST + number * DAY) for number in range(16)} <= days


def test_a_quiet_run_asks_little(make_home: Make, life: PumpHistory) -> None:
    for features, most in ((("BASAL", "BOLUS"), (1, 2)), (EVERY_FEATURE["tandem-source"], (4, 3))):
        home = moved_on(make_home("tandem-source", life), 9.9, *features)
        assert home.run().code == 0
        assert home.run().code == 0
        home.requests()
        assert home.run().counts[:2] == (0, 0)
        assert (len(home.site.log), len(home.tandem.log)) <= most
        assert len(home.tandem.log) <= most[1]


def leave(home: Home, *treatments: dict[str, Any]) -> None:
    """Put an older backup of the treatments in the place of those that the site holds."""
    everything = {"find[created_at][$gte]": "2000-01-01"}
    login = {"api-secret": sha1(SECRET.encode()).hexdigest()}
    requests.delete(f"{home.site.url}/api/v1/treatments", params=everything, headers=login)
    home.site.insert(treatments)


def test_a_site_that_has_lost_what_it_held_gets_it_back(make_home: Make, life: PumpHistory) -> None:
    home = moved_on(make_home("tandem-source", life), 9.9, "BASAL", "BOLUS")
    assert home.run(*dates(FIRST + 6 * DAY, FIRST + 9 * DAY)).code == 0
    assert home.run().code == 0
    whole = len(home.site.treatments)
    leave(home, *(d for d in home.site.treatments if before(d, 7.5)))
    pretended = home.run("--pretend")
    ran = home.run()
    assert ran.code == 0
    assert ran.counts == pretended.counts
    assert len(home.site.treatments) == whole


@pytest.mark.parametrize("source", CLOUDS)
def test_a_sleep_that_a_backup_holds_does_not_hide_what_has_been_lost_since(
    make_home: Make, life: PumpHistory, source: str
) -> None:
    home = moved_on(make_home(source, life), 2.04)
    assert home.run(*dates(FIRST, FIRST + 2 * DAY)).code == 0
    backup = home.site.treatments
    assert any(d["eventType"] == "Sleep" and not before(d, 1.8) for d in backup)
    for day in (2.5, 3.1, 3.2):
        home.go_to(day)
        if day == 3.2:
            leave(home, *backup)
        assert home.run().code == 0
    check(home)


def test_a_site_with_another_database_is_searched_for_the_ages_again(
    make_home: Make, life: PumpHistory
) -> None:
    home = moved_on(make_home("tandem-source", life), 9.9)
    assert home.run().code == 0
    ages = newest(home).keys()
    leave(home)
    assert home.run().code == 0
    assert newest(home).keys() == ages == set(AGES)
