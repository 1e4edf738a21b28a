"""What comes late, in another order, twice or otherwise ends as one run over everything would.

On servers that know a treatment by its identifier, and on older ones.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import (
    BasalSegment,
    BolusRecord,
    CgmReading,
    ExtendedPart,
    PumpHistory,
    Record,
    SuspensionRecord,
    midnight,
)
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tandemsource.log import PumpLog
from tests.support.command import CLOUDS, EMAIL, NEW_YORK, PASSWORD, Finished
from tests.support.command import days as dates
from tests.support.virtual_home import DAY, MINUTE, Home, check, held, homes, undisturbed
from tests.support.world import FIRST

HOUR = timedelta(hours=1)
START = midnight(FIRST)
WHOLE = dates(FIRST, FIRST + 5 * DAY)
Make = Callable[[PumpHistory], Home]


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def keyed_by_identifier(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=CLOUDS)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_home(
    source: str,
    keyed_by_identifier: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Make]:
    with homes(tmp_path, capsys) as make:
        yield lambda history: make(source, history, keyed_by_identifier=keyed_by_identifier)


def a_day(hours: float = 20) -> PumpHistory:
    """Return a day of a person's life up to some hour."""
    life = live(FIRST, 1)
    end = START + hours * HOUR
    cut: dict[str, Any] = {
        name: [record for record in getattr(life, name) if record.began < end] for name in SEQUENCES
    }
    return replace(life, **cut)


SEQUENCES = (
    *("basal", "boluses", "suspensions", "activities"),
    *("site_changes", "readings", "finger_sticks"),
)


def records(life: PumpHistory, start: float, end: float) -> set[Record]:
    """Return all that began between two hours of the first day."""
    times = START + start * HOUR, START + end * HOUR
    return {
        record
        for name in SEQUENCES
        for record in getattr(life, name)
        if times[0] <= record.began < times[1]
    }


def at(hours: float) -> datetime:
    return START + hours * HOUR


def overlapping_boluses() -> PumpHistory:
    """Return an extended bolus, another one in its midst, and one aborted while both go on."""
    part = ExtendedPart(at(8.1), at(12), 3.0, 3.0, duration_minutes=234, immediate_percent=40)
    return PumpHistory(
        FIRST,
        2,
        control_iq=True,
        basal=[BasalSegment(at(hour), 3600, 0.8, "algorithm") for hour in range(14)],
        boluses=[
            BolusRecord(1, at(8), at(8.1), 2.0, 2.0, kind="extended", carbs=40, extended=part),
            BolusRecord(2, at(9), at(9.05), 1.5, 1.5, carbs=12),
            BolusRecord(3, at(10), at(10.02), 0.4, 2.5, status="user aborted"),
        ],
        readings=[CgmReading(at(index / 12), 100 + index % 40) for index in range(14 * 12)],
    )


def test_a_bolus_that_finishes_after_later_ones_ends_as_if_it_had_come_at_once(
    make_home: Make,
) -> None:
    home = make_home(overlapping_boluses())
    for hours in (8.05, 8.5, 9.02, 9.5, 10.01, 11, 13):
        home.go_to(hours / 24)
        home.tandem.uploaded_until = at(hours)
        assert home.run().code == 0
    home.go_to(1)
    assert home.run().code == 0
    check(home)
    boluses = [d for d in home.site.treatments if d["eventType"] == "Combo Bolus"]
    pieces = [d["insulin"] for d in boluses if "(part " in d["notes"]]
    assert sum(pieces) == pytest.approx(3.0 if pieces else 0.0)
    rest = sorted(d["insulin"] for d in boluses if "(part " not in d["notes"])
    assert rest == [0.4, 1.5, 2.0, *([] if pieces else [3.0])]


@pytest.mark.parametrize("later", [0.02, 3], ids=["soon", "days later"])
def test_a_hole_in_a_day_is_filled_when_tandem_has_it(make_home: Make, later: float) -> None:
    life = a_day()
    home = make_home(life)
    # Days later there is no insulin on board any more.
    home.features = tuple(name for name in home.features if name != "IOB")
    home.tandem.hidden = records(life, 9, 13)
    home.go_to(20 / 24)
    assert home.run(*WHOLE).code == 0
    before = len(home.site.treatments)
    home.go_to(20 / 24 + later)
    home.tandem.hidden = set()
    assert home.run(*(WHOLE if later > 1 else ())).code == 0
    assert len(home.site.treatments) > before
    check(home)


def test_readings_that_come_after_newer_ones_are_added(make_home: Make) -> None:
    life = a_day()
    home = make_home(life)
    home.tandem.hidden = {*life.readings[20:30], *life.readings[100:140:2]}
    home.go_to(20 / 24)
    assert home.run().code == 0
    home.tandem.hidden = set()
    assert home.run().counts[:2] == (30, 0)
    check(home)


def test_what_disappears_from_the_cloud_stays(make_home: Make) -> None:
    life = a_day()
    home = make_home(life)
    home.go_to(20 / 24)
    assert home.run(*WHOLE).code == 0
    before = held(home.site)
    home.tandem.hidden = records(life, 9, 13)
    assert home.run(*WHOLE).counts[:2] == (0, 0)
    assert held(home.site) == before


def twins() -> PumpHistory:
    """Return two boluses that end in one second, and two more of the same size."""
    ends = [(1, at(9.05), 1.5), (2, at(9.05), 2.5), (3, at(11.05), 1.0), (4, at(11.05), 1.0)]
    return replace(
        overlapping_boluses(),
        boluses=[
            BolusRecord(number, end - (1 + number) * MINUTE, end, units, units)
            for number, end, units in sorted(ends, key=lambda it: it[1] - it[0] * MINUTE)
        ],
        suspensions=[SuspensionRecord(at(14), at(14.5), "alarm")],
    )


@pytest.mark.parametrize("late", [None, 0, 3])
def test_two_boluses_of_one_second_are_both_there(make_home: Make, late: int | None) -> None:
    life = twins()
    home = make_home(life)
    home.go_to(16 / 24)
    home.tandem.hidden = set() if late is None else {life.boluses[late]}
    assert home.run().code == 0
    home.tandem.hidden = set()
    assert home.run().counts[:2] == (int(late is not None), 0)
    boluses = [d for d in home.site.treatments if d["eventType"] == "Combo Bolus"]
    assert sorted(d["insulin"] for d in boluses) == [1.0, 1.0, 1.5, 2.5]
    written = home.site.writes
    assert home.run().counts[:2] == (0, 0)
    assert home.site.writes == written
    if late is None:
        check(home)


def test_a_corrected_time_zone_moves_every_treatment(make_home: Make) -> None:
    # Without a sensor: a reading is never moved, nor is what the pump reckons of its sensor.
    home = make_home(replace(a_day(), readings=()))
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    home.changes["TIMEZONE_NAME"] = "America/Chicago"
    home.go_to(1)
    assert home.run(*dates(FIRST - DAY, FIRST)).code == 0
    before = len(home.site.treatments)
    home.changes["TIMEZONE_NAME"] = NEW_YORK
    assert home.run(*dates(FIRST - DAY, FIRST)).counts[:2] == (0, before)
    check(home)


# The pump's clock


AUTUMN = date(2024, 11, 2)


def clock_home(
    stack: ExitStack, home: Home, changes: Sequence[tuple[datetime, datetime]]
) -> SimulatedTandemSource:
    """Let the home's pump have its clock set."""
    tandem = SimulatedTandemSource(
        home.tandem.history,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(NEW_YORK),
        clock_changes=changes,
    )
    home.tandem = stack.enter_context(tandem)
    home.changes |= {
        "TANDEM_SSO_URL": tandem.sso_url,
        "TANDEM_ACCOUNTS_URL": tandem.accounts_url,
        "TANDEM_SOURCE_URL": tandem.source_url,
    }
    return tandem


def without_record(tandem: SimulatedTandemSource) -> Callable[[Request], Response | Fault | None]:
    """Return a fault that keeps quiet about how the pump's clock was set."""

    def fault(request: Request) -> Response | Fault | None:
        if "pump-logs" not in request.path:
            return None
        tandem.fault = None
        answer = tandem.answer(request)
        tandem.fault = fault
        assert isinstance(answer, Response)
        log = json.loads(answer.body)
        events = [event for event in log["events"] if event["eventCode"] not in (13, 14)]
        return Response(json.dumps({"events": events, "clockChanges": []}).encode())

    return fault


@pytest.mark.parametrize("source", ["tandem-source"], indirect=True)
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
def test_a_clock_that_is_set_back_between_uploads_loses_and_doubles_nothing(
    make_home: Make, recorded: bool
) -> None:
    home = make_home(a_day())
    with ExitStack() as stack:
        tandem = clock_home(stack, home, [(at(11), at(10))])
        tandem.fault = None if recorded else without_record(tandem)
        for hours in (9, 10.5, 11.5, 13, 20):
            home.go_to(hours / 24)
            tandem.uploaded_until = at(hours)
            assert home.run().code == 0
        if recorded:
            check(home)
            return
        # The two hours from 10 to 11 look the same then; but insulin is not in doubt.
        found = held(home.site)
        # Soon after such an upload, a run that brings the first treatments to a site waits.
        home.go_to(3)
        tandem.uploaded_until = at(20)
        wanted = undisturbed(home)
        doubtful = [json.loads(each)[1] for each in (found - wanted) + (wanted - found)]
        assert {each.get("eventType") or each["type"] for each in doubtful} == {"Temp Basal", "sgv"}
        times = [each.get("created_at") or each["dateString"] for each in doubtful]
        assert {time[:13] for time in times} == {"2024-06-03T14"}
        assert home.run().counts[:2] == (0, 0)


def test_uploads_in_the_night_that_repeats_an_hour_end_as_one_at_its_end(
    make_home: Make,
) -> None:
    night = midnight(AUTUMN) + DAY
    home = make_home(live(AUTUMN, 2))
    for hours in (0.5, 1.4, 1.9, 2.5, 8):
        home.now = datetime(2024, 11, 4, 12, tzinfo=UTC)
        home.tandem.uploaded_until = night + hours * HOUR
        assert home.run(*dates(AUTUMN, AUTUMN + 2 * DAY)).code == 0
    assert held(home.site) == undisturbed(home, AUTUMN)


SPRING = date(2024, 3, 9)
"""The day before the night in which New York's clocks are put forward."""
AWARE = datetime(2024, 3, 14, 9, tzinfo=UTC)
"""When a person in New York notices that the pump's clock was not."""


def set_late(stack: ExitStack, make_home: Make, days: int = 7) -> Home:
    """Return the home of a person who puts the pump's clock forward days after the night."""
    home = make_home(replace(live(SPRING, days), readings=()))
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    # The person's own clock, which runs on evenly, shows winter time.
    noticed = AWARE.replace(tzinfo=None) - 5 * HOUR
    clock_home(stack, home, [(noticed, noticed + HOUR)])
    return home


def upload_and_run(home: Home, at: datetime) -> Finished:
    home.now = at
    home.tandem.uploaded_until = at.replace(tzinfo=None) - 5 * HOUR
    return home.run()


@pytest.mark.parametrize("source", ["tandem-source"], indirect=True)
def test_a_clock_put_forward_days_late_moves_all_that_it_concerns(make_home: Make) -> None:
    with ExitStack() as stack:
        home = set_late(stack, make_home)
        start = datetime(2024, 3, 9, 12, tzinfo=UTC)
        runs = [upload_and_run(home, start + hours * HOUR) for hours in range(0, 140, 5)]
        assert {ran.code for ran in runs} == {0}
        back = [ran for ran in runs if "because treatments are stored at times" in ran.errors]
        assert len(back) == 1
        found, wanted = held(home.site), undisturbed(home, SPRING)
        assert (wanted - found, found - wanted) == ({}, {})
        quiet = upload_and_run(home, home.now)
        assert quiet.counts[:2] == (0, 0)
        assert "eaching back" not in quiet.errors


@pytest.mark.parametrize("source", ["tandem-source"], indirect=True)
def test_a_run_broken_off_while_it_moves_treatments_is_made_good_by_the_next(
    make_home: Make,
) -> None:
    with ExitStack() as stack:
        home = set_late(stack, make_home)
        for hours in (0, 20, 44, 68, 92, 110):
            upload_and_run(home, datetime(2024, 3, 9, 12, tzinfo=UTC) + hours * HOUR)
        writes: list[Request] = []

        def fault(request: Request) -> Response | None:
            """Refuse everything after the first changes of a later run."""
            if request.method in ("PUT", "POST"):
                writes.append(request)
            return Response(b"", 503) if len(writes) > 40 else None

        home.site.fault = fault
        assert upload_and_run(home, AWARE + 2 * HOUR).code == 1
        home.site.fault = None
        assert upload_and_run(home, AWARE + 3 * HOUR).code == 0
        # Some were set apart by a millisecond from what was still to move.
        sites = held(home.site), undisturbed(home, SPRING)
        found, wanted = (Counter(re.sub(r"\.00\dZ", "Z", each) for each in site) for site in sites)
        assert (wanted - found, found - wanted) == ({}, {})


@pytest.mark.parametrize("source", ["tandem-source"], indirect=True)
def test_what_lies_beyond_the_limit_of_a_clock_put_right_is_said_with_the_command(
    make_home: Make,
) -> None:
    with ExitStack() as stack:
        home = set_late(stack, make_home)
        home.changes["CATCH_UP_DAYS"] = "2"
        for hours in (0, 20, 44, 68, 92, 110):
            upload_and_run(home, datetime(2024, 3, 9, 12, tzinfo=UTC) + hours * HOUR)
        ran = upload_and_run(home, AWARE + 2 * HOUR)
        assert ran.code == 1
        said = re.search(r"To move them, run: tconnectsync (.+)", ran.errors)
        assert said
        assert upload_and_run(home, AWARE + 3 * HOUR).code == 1
        assert home.run(*said[1].split()).code == 0
        assert upload_and_run(home, AWARE + 4 * HOUR).code == 0
        found, wanted = held(home.site), undisturbed(home, SPRING)
        assert (wanted - found, found - wanted) == ({}, {})


# What a log can hold


@pytest.mark.parametrize("source", ["tandem-source"], indirect=True)
def test_two_alarms_of_one_second_are_both_there(make_home: Make) -> None:
    home = make_home(twins())
    tandem = home.tandem
    assert isinstance(tandem, SimulatedTandemSource)
    entries = [replace(entry, number=10 * entry.number) for entry in tandem.log_of_pump.entries]
    (alarm,) = [entry for entry in entries if entry.code == 5]
    place = entries.index(alarm)
    properties: dict[str, Any] = {**alarm.properties, "alarmId": 2}
    twin = replace(alarm, number=alarm.number + 1, properties=properties)
    tandem.log_of_pump = PumpLog([*entries[: place + 1], twin, *entries[place + 1 :]])
    home.go_to(16 / 24)
    assert home.run().code == 0
    alarms = [d for d in home.site.treatments if d["eventType"] == "Alarm"]
    assert len({d["reason"] for d in alarms}) == len(alarms) == 2
    check(home)
