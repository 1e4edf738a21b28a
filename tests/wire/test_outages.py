"""Whatever was down or silent for hours or days: what comes next brings all that is missing.

The command lives through it on a clock of its own (`lived`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.person import live
from tests.support.command import CLOUDS
from tests.support.command import days as dates
from tests.support.event_builders import NEW_YORK as CLOCK
from tests.support.virtual_home import DAY, MINUTE, Home, Make, at, check, sparse
from tests.support.world import FIRST

Answer = Callable[[Request], Response | Fault | None]


def between(home: Home, start: float, end: float, answer: Response | Fault | Answer) -> Answer:
    """Return a fault that answers so from one day until another."""

    def fault(request: Request) -> Response | Fault | None:
        if not at(start) <= home.now < at(end):
            return None
        return answer(request) if callable(answer) else answer

    return fault


def refused(what: str) -> Answer:
    """Return a fault that refuses requests, by a part of ``METHOD path``."""
    return lambda r: Response(b"", 403) if what in f"{r.method} {r.path}" else None


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return sparse(live(FIRST, 16, seed=2))


def begin(home: Home) -> None:
    """Sync the first day and a half."""
    home.go_to(1.5)
    assert home.run(*dates(FIRST, FIRST + DAY)).code == 0


DOWN = Response(b"<html>Down for maintenance</html>", 503, "text/html")


def tandem_is_down(home: Home) -> float:
    home.tandem.fault = between(home, 1.5, 1.75, DOWN)
    return 1.75


def tandem_cuts_every_connection(home: Home) -> float:
    home.tandem.fault = between(home, 1.5, 1.75, Fault.DROP)
    return 1.75


def nightscout_is_down(home: Home) -> float:
    home.site.fault = between(home, 1.5, 4.5, DOWN)
    return 4.5


def nightscout_cannot_be_written(home: Home) -> float:
    def no_writes(request: Request) -> Response | None:
        return Response(b"", 500) if request.method != "GET" else None

    home.site.fault = between(home, 1.5, 2.5, no_writes)
    return 2.5


def the_phone_is_silent(home: Home) -> float:
    home.phone_off = at(1.5), at(6.5)
    return 6.5


Outage = Callable[[Home], float]
OUTAGES: dict[str, Outage] = {
    outage.__name__.replace("_", " "): outage
    for outage in (
        tandem_is_down,
        tandem_cuts_every_connection,
        nightscout_is_down,
        nightscout_cannot_be_written,
        the_phone_is_silent,
    )
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
@pytest.mark.parametrize("source", CLOUDS)
def test_the_first_run_after_an_outage_brings_everything(
    make_home: Make, life: PumpHistory, source: str, outage: Outage
) -> None:
    home = make_home(source, life)
    begin(home)
    over = outage(home)
    for part in (0.2, 0.9):
        home.go_to(1.5 + part * (over - 1.5))
        ran = home.run()
        assert ran.code == (0 if outage is the_phone_is_silent else 1)
        assert "Traceback" not in ran.errors
    home.go_to(over + 1.2 / 24)
    home.requests()
    assert home.run().code == 0
    assert home.requests() < 60
    check(home)


@pytest.mark.parametrize("source", CLOUDS)
def test_a_host_that_has_slept_for_a_week_catches_up(
    make_home: Make, life: PumpHistory, source: str
) -> None:
    home = make_home(source, life)
    begin(home)
    home.go_to(8.5)
    ran = home.run()
    assert ran.code == 0
    assert "Going back to 2024-06-03" in ran.errors
    check(home)


# --auto-update


@pytest.mark.slow
@pytest.mark.parametrize("outage", [tandem_is_down, nightscout_is_down, the_phone_is_silent])
@pytest.mark.parametrize("source", CLOUDS)
def test_auto_update_brings_everything_as_soon_as_an_outage_is_over(
    make_home: Make, life: PumpHistory, source: str, outage: Outage
) -> None:
    home = make_home(source, life)
    begin(home)
    over = outage(home)
    home.requests()
    home.last_upload = at(over + 1 / 24)
    ran = home.auto_update(over + 10 / 24)
    assert ran.code == 0
    assert "Traceback" not in ran.errors
    assert home.requests() < 2000
    check(home)


@pytest.mark.slow
@pytest.mark.parametrize("source", CLOUDS)
def test_auto_update_on_a_host_that_slept_for_a_week_catches_up(
    make_home: Make, life: PumpHistory, source: str
) -> None:
    home = make_home(source, life)
    begin(home)

    def asleep(request: Request) -> None:
        """Put the computer to sleep during a poll."""
        if at(1.6) < home.now < at(2):
            home.now = at(8.5)

    home.tandem.fault = asleep
    home.last_upload = at(8.5)
    assert home.auto_update(8.9).code == 0
    check(home)


# One feature


@pytest.mark.parametrize(
    ("source", "where", "part", "features"),
    [
        ("tconnect", "tandem", "therapytimeline/", {"BASAL", "PUMP_EVENTS"}),
        ("tconnect", "tandem", "basalsuspension", {"PUMP_EVENTS"}),
        ("tconnect", "tandem", "2csv", {"IOB"}),
        ("tconnect", "tandem", "myaccount", {"PROFILES"}),
        ("tconnect", "site", "POST /api/v1/entries", {"CGM"}),
        ("tconnect", "site", "entries", {"CGM"}),
        ("tandem-source", "site", "POST /api/v1/entries", {"CGM"}),
        ("tandem-source", "site", "devicestatus", {"DEVICE_STATUS"}),
    ],
)
def test_what_failed_for_days_while_others_went_on_is_caught_up(
    make_home: Make, life: PumpHistory, source: str, where: str, part: str, features: set[str]
) -> None:
    home = make_home(source, life)
    begin(home)
    server = home.tandem if where == "tandem" else home.site
    server.fault = between(home, 1.5, 3.8, refused(part))
    home.go_to(3.7)
    ran = home.run()
    assert ran.code == 1
    failed = re.findall(r"((?:[A-Z_]{3,} )+)from \S+ to \S+ failed\. ", ran.errors)
    assert {name for names in failed for name in names.split()} == features
    home.go_to(3.9)
    assert home.run().code == 0
    check(home, like="failed for days")


# The limit


@pytest.mark.parametrize("source", CLOUDS)
def test_catching_up_ends_at_the_limit_and_says_how_to_get_the_rest(
    make_home: Make, life: PumpHistory, source: str
) -> None:
    home = make_home(source, life)
    begin(home)
    home.go_to(6.5)
    home.changes["CATCH_UP_DAYS"] = "3"
    ran = home.run()
    assert ran.code == 1
    assert "older than CATCH_UP_DAYS" in ran.errors
    shown = {document["created_at"][:10] for document in home.site.treatments}
    assert "2024-06-05" not in shown
    assert {"2024-06-07", "2024-06-08", "2024-06-09"} <= shown
    again = home.run("--pretend")
    assert again.code == 1
    assert "older than CATCH_UP_DAYS" in again.errors
    said = re.search(r"run: tconnectsync (--start-date \S+ --end-date [-0-9]+)", again.errors)
    assert said
    assert home.run(*said[1].split()).code == 0
    check(home)


def test_days_that_the_cloud_does_not_give_are_named_without_a_command_that_cannot_help(
    make_home: Make, life: PumpHistory
) -> None:
    home = make_home("tandem-source", life)
    home.features = ("BOLUS",)
    home.changes["CATCH_UP_DAYS"] = "1"
    begin(home)
    home.go_to(2.5)
    gone = Response(b"", 404)
    home.tandem.fault = lambda request: gone if "pump-logs" in request.path else None
    assert home.run().code == 1
    home.tandem.fault = None
    home.go_to(6)
    for _ in range(2):
        ran = home.run()
        assert ran.code == 1
        assert "2024-06-05 are not in Nightscout. The cloud did not give them" in ran.errors
    # Once it gives them, they come, and nothing is said any more.
    assert home.run(*dates(FIRST, FIRST + 6 * DAY)).code == 0
    assert "are not in Nightscout" not in home.run().errors
    check(home)


def test_where_nothing_can_be_kept_no_run_says_that_the_next_one_continues(
    make_home: Make, life: PumpHistory
) -> None:
    home = make_home("tandem-source", life)
    home.features = ("BASAL",)
    home.go_to(1.5)
    said = {}
    for place in (home.folder, None):
        home.folder = place  # type: ignore[assignment]
        home.site.fault = lambda request: Response(b"", 503) if request.method == "POST" else None
        home.until = home.now + MINUTE / 60
        ran = home.run()
        assert ran.code == 1
        said[place is None] = ran.errors
    assert "the next run continues from here" in said[False]
    assert "the next run continues from here" not in said[True]
    assert "To sync the rest, run:\ntconnectsync --start-date" in said[True]


@pytest.mark.slow
def test_two_weeks_are_caught_up_unless_it_is_set(make_home: Make, life: PumpHistory) -> None:
    home = make_home("tandem-source", life)
    begin(home)
    home.go_to(15.4)
    ran = home.run()
    assert ran.code == 0
    assert "CATCH_UP_DAYS" not in ran.errors
    check(home)


@pytest.mark.slow
def test_what_auto_update_could_not_do_for_longer_than_the_limit_is_caught_up_to_it(
    make_home: Make, life: PumpHistory
) -> None:
    home = make_home("tandem-source", life)
    home.features = ("BOLUS", "CGM")
    home.changes["CATCH_UP_DAYS"] = "2"
    begin(home)
    home.site.fault = between(home, 1.5, 4.5, refused("POST /api/v1/entries"))
    home.auto_update(4.8)
    days = [CLOCK.day(datetime.fromtimestamp(e["date"] / 1000, UTC)) for e in home.site.entries]
    assert days.count(FIRST + 3 * DAY) == 48
