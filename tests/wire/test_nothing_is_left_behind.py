"""What one run could not bring a later one does, whatever newer has been written meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from tconnectsync.simulators.history import BasalSegment, BolusRecord, ExtendedPart, PumpHistory
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.binary_log import binary_log
from tests.support.command import CLOUDS
from tests.support.command import days as dates
from tests.support.virtual_home import (
    DAY,
    MINUTE,
    Home,
    Make,
    boluses_of,
    check,
    sparse,
    wall,
    with_few_readings,
)
from tests.support.world import FIRST

BOTH = pytest.mark.parametrize("source", CLOUDS)
HOUR = timedelta(hours=1)
FEW = ("BASAL", "BOLUS")


def bolus(
    number: int, at: datetime, kind: Literal["standard", "automatic"] = "standard"
) -> BolusRecord:
    return BolusRecord(number, at, at + 2 * MINUTE, 1.0, 1.0, kind=kind)


def across_midnight() -> list[BolusRecord]:
    """Return boluses around the end of the first week, over which an extended one goes on."""
    begins, ends = wall(7) - 9 * MINUTE, wall(7) + 4 * HOUR
    part = ExtendedPart(begins, ends, 3.0, 3.0, duration_minutes=249, immediate_percent=40)
    at = begins - 3 * MINUTE
    return [
        bolus(1, wall(6.5)),
        BolusRecord(2, at, begins, 2.0, 2.0, kind="extended", carbs=40, extended=part),
        bolus(3, wall(7) + 2 * HOUR),
        bolus(4, wall(7.5)),
    ]


LATER = {"tconnect": 1, "tandem-source": 12}
"""In how many treatments a source shows the extended part: the pump's log has it in pieces."""


def pump(boluses: list[BolusRecord], days: int) -> PumpHistory:
    basal = [BasalSegment(wall(day), 86_400, 0.8 + day / 100, "algorithm") for day in range(days)]
    return PumpHistory(FIRST, days, control_iq=True, basal=basal, boluses=boluses)


@BOTH
@pytest.mark.parametrize(("status", "methods"), [(403, ["POST"]), (401, ["GET", "POST"])])
def test_refused_readings_hold_back_no_insulin(
    make_home: Make, source: str, status: int, methods: list[str]
) -> None:
    home = make_home(source, sparse(live(FIRST, 11, seed=2)))
    home.features = (*FEW, "CGM")
    home.go_to(1.5)
    assert home.run(*dates(FIRST, FIRST + DAY)).code == 0
    refused = Response(b"", status)
    home.site.fault = lambda r: refused if "entries" in r.path and r.method in methods else None
    for day in (4.5, 9.5, 10.5):
        home.go_to(day)
        assert home.run().code == 1
        assert home.now - boluses_of(home)[-1] < 12 * HOUR
    home.site.fault = None
    assert home.run().code == 0
    check(home, like="refused readings")


@BOTH
@pytest.mark.parametrize("gaps", ["true", "false"])
def test_a_bolus_that_ends_in_the_next_window_hides_none_before_it(
    make_home: Make, source: str, gaps: str
) -> None:
    home = make_home(source, pump(across_midnight(), 10))
    home.features = FEW
    home.changes["SYNC_GAPS"] = gaps
    home.go_to(9)
    assert home.run(*dates(FIRST, FIRST + 8 * DAY)).code == 0
    assert len(boluses_of(home)) == 4 + LATER[source]


@BOTH
def test_nor_where_the_next_window_fails(make_home: Make, source: str) -> None:
    home = make_home(source, pump([bolus(9, wall(0) + HOUR), *across_midnight()], 12))
    home.features = ("BOLUS",)
    home.go_to(0.5)
    assert home.run().code == 0
    home.go_to(8)
    asked: list[str] = []

    def cut(request: Request) -> Fault | None:
        if any(part in request.path for part in ("pump-logs", "TherapyEvents", "2csv")):
            asked.append(request.path)
        return Fault.DROP if len(asked) > 1 else None

    home.tandem.fault = cut
    assert home.run().code == 1
    forget(home)
    home.tandem.fault = None
    home.go_to(10.5)
    assert home.run().code == 0
    assert len(boluses_of(home)) == 5 + LATER[source]


def forget(home: Home) -> None:
    """Let a run know no more than Nightscout does, as in a container without a disk."""
    (file,) = home.folder.rglob("*.unfinished")
    file.unlink()


@BOTH
def test_a_day_that_cannot_be_read_for_a_week_costs_that_day_only_and_comes_later(
    make_home: Make, source: str
) -> None:
    home = make_home(source, sparse(live(FIRST, 13, seed=2)))
    home.features = FEW
    home.go_to(2.5)
    assert home.run(*dates(FIRST, FIRST + 2 * DAY)).code == 0
    bad = FIRST + 4 * DAY

    def spoilt(request: Request) -> Response | None:
        asked = f"{request.path}?{request.query}"
        if not any(part in asked for part in ("pump-logs", "therapytimeline/", "TherapyEvents")):
            return None
        covered = [FIRST + day * DAY for day in range(-20, 20)]
        ends = [d for d in covered if f"{d}" in asked or f"{d:%m-%d-%Y}" in asked]
        return Response(b"", 500) if min(ends) <= bad <= max(ends) else None

    home.tandem.fault = spoilt
    for day in (6.5, 9.5, 12):
        home.go_to(day)
        assert home.run().code == 1
        assert home.now - boluses_of(home)[-1] < 12 * HOUR
    home.tandem.fault = None
    assert home.run().code == 0
    check(home)


def test_a_range_asked_for_after_an_outage_does_not_hide_what_lies_before_it(
    make_home: Make,
) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 7, seed=2)))
    home.features = FEW
    home.go_to(1.5)
    assert home.run(*dates(FIRST, FIRST + DAY)).code == 0
    home.go_to(6.5)
    assert home.run("--pretend", *dates(FIRST + 6 * DAY, FIRST + 6 * DAY)).code == 0
    assert home.run(*dates(FIRST + 6 * DAY, FIRST + 6 * DAY)).code == 0
    assert home.run().code == 0
    check(home)


def test_what_failed_in_a_range_asked_for_is_caught_up_too(make_home: Make) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 11, seed=2)))
    home.features = FEW
    home.go_to(10.5)
    windows: list[str] = []

    def first_window(request: Request) -> Response | None:
        if request.method == "POST":
            windows.append(request.path)
        return Response(b"", 403) if len(windows) == 1 and request.method == "POST" else None

    home.site.fault = first_window
    assert home.run(*dates(FIRST, FIRST + 10 * DAY)).code == 1
    assert home.site.treatments
    home.site.fault = None
    assert home.run().code == 0
    check(home)


def test_what_waited_comes_though_the_wait_was_made_shorter(make_home: Make) -> None:
    noon = wall(1.5)
    story = [bolus(1, noon - 2 * HOUR), bolus(2, noon - 30 * MINUTE, "automatic"), bolus(3, noon)]
    home = make_home("tandem-source", pump(story, 5))
    home.features = ("BOLUS",)
    home.changes["ALARM_SAFE_MINUTES"] = "60"
    home.go_to(1.5 + 5 / 1440)
    home.tandem.uploaded_until = noon + 5 * MINUTE
    assert home.run().code == 0
    assert len(boluses_of(home)) == 2
    home.changes["ALARM_SAFE_MINUTES"] = "0"
    home.go_to(3.5)
    assert home.run().code == 0
    assert len(boluses_of(home)) == 3


@pytest.mark.parametrize("limit", ["0", "1"])
def test_a_loop_whose_first_cycle_fails_on_an_empty_site_goes_on(
    make_home: Make, limit: str
) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 3, seed=2)))
    home.features = FEW
    home.changes["CATCH_UP_DAYS"] = limit
    home.go_to(1.5)
    until = home.now + 8 * HOUR

    def down(request: Request) -> Response | None:
        failing = request.method == "POST" and home.now < until
        return Response(b"", 500) if failing else None

    home.site.fault = down
    ran = home.auto_update(2.2)
    assert ran.code == 0
    assert "Traceback" not in ran.errors
    assert home.now - boluses_of(home)[-1] < 16 * HOUR


def test_a_week_of_a_saved_log_that_fails_costs_that_week_only(
    make_home: Make, tmp_path: Path
) -> None:
    home = make_home("tandem-source", with_few_readings(live(FIRST, 24, seed=2)))
    home.features = FEW
    home.go_to(24)
    home.tandem.uploaded_until = wall(24)
    assert isinstance(home.tandem, SimulatedTandemSource)
    file = tmp_path / "pump log"
    file.write_bytes(binary_log(home.tandem.log_of_pump.entries))
    asked: list[str] = []

    def third_read(request: Request) -> Response | None:
        if request.method == "GET" and "treatments" in request.path:
            asked.append(request.path)
        return Response(b"", 403) if len(asked) == 4 else None

    home.site.fault = third_read
    ran = home.run("--import-log", str(file))
    home.site.fault = None
    assert ran.code == 1
    assert home.now - boluses_of(home)[-1] < 12 * HOUR
    (repeat,) = ran.repeats
    assert repeat[-2:] == ["--import-log", str(file)]
    assert home.run(*repeat).code == 0
    check(home)
