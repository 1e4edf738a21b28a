"""A pump whose date was wrong: everything at its true time, or said that it is not there yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tandemsource.log import pump_log
from tests.support.binary_log import binary_log
from tests.support.command import ALL_FEATURES, EMAIL, NEW_YORK, PASSWORD, SECRET, computer, days
from tests.support.expected import delivered, insulin_shown, logged, shown
from tests.support.virtual_home import Home, Make, boluses_of, check, homes, sparse, wall
from tests.support.world import FIRST as LIVED

FIRST = date(2024, 5, 6)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
START = midnight(FIRST)
FACTORY = datetime(2020, 1, 12, 9, 13)

Changes = Sequence[tuple[datetime, datetime]]


def wrong_for(start: datetime, shown_then: datetime, long: timedelta) -> Changes:
    """Return how a clock goes wrong at ``start``, by its own time, and is put right later."""
    return (start, shown_then), (shown_then + long, start + long)


LOST = datetime(2008, 1, 1)
NOON = START + 2 * DAY + 12 * HOUR
CASES: dict[str, tuple[Changes, tuple[int, ...]]] = {
    "flat battery, 2008": (wrong_for(NOON, LOST, 6 * HOUR), (0,)),
    "2008, on record": (wrong_for(NOON, LOST, 6 * HOUR), ()),
    "2008 over midnight": (wrong_for(NOON + 9 * HOUR, LOST, 6 * HOUR), (0,)),
    "three days behind": (wrong_for(NOON, NOON - 3 * DAY, 2 * DAY), ()),
    "three days behind, no record": (wrong_for(NOON, NOON - 3 * DAY, 2 * DAY), (0,)),
    "a day behind": (wrong_for(NOON, NOON - DAY, 2 * DAY), ()),
    "three days ahead": (wrong_for(NOON, NOON + 3 * DAY, 30 * HOUR), ()),
    "last month": (wrong_for(NOON, NOON - 30 * DAY, 2 * DAY), ()),
    "next month": (wrong_for(NOON, NOON + 31 * DAY, 2 * DAY), ()),
    "another year": (wrong_for(NOON, NOON.replace(year=2023), 2 * DAY), ()),
    "noon for midnight, a day behind": (wrong_for(NOON, NOON - 36 * HOUR, DAY), ()),
    "two resets": (
        (
            *wrong_for(NOON, LOST, 2 * HOUR),
            *wrong_for(NOON + 7 * HOUR, LOST, 3 * HOUR),
        ),
        (0, 2),
    ),
    "at the edge of a window": (wrong_for(START + 4 * DAY - HOUR, LOST, 2 * HOUR), (0,)),
    "from the factory": (((START, FACTORY), (FACTORY + 5 * HOUR, START + 5 * HOUR)), (0,)),
}


def cloud(
    life: PumpHistory,
    changes: Changes,
    unrecorded: Sequence[int] = (),
    until: datetime | None = None,
) -> SimulatedTandemSource:
    return SimulatedTandemSource(
        life,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(NEW_YORK),
        clock_changes=changes,
        unrecorded=unrecorded,
        uploaded_until=until,
    )


@pytest.mark.parametrize(("changes", "unrecorded"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("by_days", [False, True], ids=["in one run", "day by day"])
def test_what_was_written_under_a_wrong_date_stands_at_its_true_time(
    tmp_path: Path, changes: Changes, unrecorded: Sequence[int], by_days: bool
) -> None:
    life = sparse(live(FIRST, 7))
    last = FIRST + 7 * DAY
    with cloud(life, changes, unrecorded) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        ranges = [days(FIRST, last)]
        if by_days:
            ranges = [days(FIRST + n * DAY, FIRST + n * DAY) for n in range(8)]
        for each in ranges:
            home.sync(*each)
        facts = shown(site.treatments)
        insulin = insulin_shown(site.treatments)
        second = home.sync(*days(FIRST, last))
        everything = logged(life, tandem.clocks)

    assert insulin == pytest.approx(delivered(life), abs=0.005)
    assert facts == everything
    assert (second.created, second.updated) == (0, 0)


def test_readings_and_sessions_are_those_of_a_pump_with_the_right_date(tmp_path: Path) -> None:
    life = live(FIRST, 6)
    features = ("--features", "CGM", "PUMP_EVENTS", "CGM_ALERTS")
    wrong = ("2008 over midnight", "three days behind", "next month")
    found = []
    for changes, unrecorded in (((), ()), *(CASES[name] for name in wrong)):
        with cloud(life, changes, unrecorded) as tandem, SmallNightscout(SECRET) as site:
            home = computer(tmp_path, tandem, site.url, SECRET)
            assert home.run(*days(FIRST, FIRST + 6 * DAY), *features).code == 0
            readings = sorted((each["date"], each["type"]) for each in site.entries)
            found.append((readings, shown(site.treatments)))
    right, *others = found
    assert len(right[0]) > 1000
    for name, other in zip(wrong, others, strict=True):
        assert other == right, name


# A date that is wrong now


@pytest.fixture
def make_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Make]:
    with homes(tmp_path, capsys) as make:
        yield make


def lived(make: Make, changes: Changes, unrecorded: Sequence[int] = ()) -> Home:
    """Return a home whose pump's clock is set so; its life begins on another day than ours."""
    home = make("tandem-source", sparse(live(LIVED, 7)))
    home.features = ("BASAL", "BOLUS")
    tandem = cast(SimulatedTandemSource, home.tandem)
    tandem.clocks = tandem.pump.clocks = Clocks(
        midnight(LIVED), ZoneInfo(NEW_YORK), changes, unrecorded
    )
    tandem.log_of_pump = pump_log(tandem.history, tandem.clocks)
    return home


AT = wall(2.5)
BATTERY, BY_DAYS = "empty battery", "The pump's clock is"
NOW_WRONG: dict[str, tuple[Changes, tuple[int, ...], float, str]] = {
    "flat battery, 2008": (wrong_for(AT, LOST, 30 * HOUR), (0,), 2.6, BATTERY),
    "2008, on record": (wrong_for(AT, LOST, 30 * HOUR), (), 2.6, BY_DAYS),
    "three days behind": (wrong_for(AT, AT - 3 * DAY, 2 * DAY), (), 2.6, BY_DAYS),
    "three days behind, no record": (wrong_for(AT, AT - 3 * DAY, 2 * DAY), (0,), 4, BATTERY),
    "three days ahead": (wrong_for(AT, AT + 3 * DAY, 2 * DAY), (), 2.6, BY_DAYS),
    "three days ahead, no record": (wrong_for(AT, AT + 3 * DAY, 2 * DAY), (0,), 2.6, BY_DAYS),
    "last month": (wrong_for(AT, AT - 30 * DAY, 2 * DAY), (), 2.6, BY_DAYS),
}


@pytest.mark.parametrize(
    ("changes", "unrecorded", "seen", "words"), NOW_WRONG.values(), ids=NOW_WRONG
)
def test_a_wrong_date_is_said_by_every_run_until_it_is_put_right_and_then_all_is_there(
    make_home: Make,
    changes: Changes,
    unrecorded: Sequence[int],
    seen: float,
    words: str,
) -> None:
    home = lived(make_home, changes, unrecorded)
    put_right = (changes[-1][1] - wall(0)) / DAY
    # The days before are the same for all: one run brings them.
    home.go_to(2)
    assert home.run(*days(LIVED, LIVED + DAY)).code == 0
    # Every two hours; when all is well again, every six.
    about = int(put_right * 12) + 7
    for step in (*range(25, about), *range(about, 12 * 6, 3)):
        day = step / 12 + 0.01
        home.go_to(day)
        run = home.run()
        is_wrong = seen <= day < put_right + 0.001
        if seen <= day or day < 2.5:
            assert run.code == int(is_wrong), (day, run.errors)
            assert (words in run.errors) == is_wrong, (day, run.errors)
            assert run.errors.count(" Set the date and the time on the pump") == int(is_wrong)
    check(home)


def test_while_the_record_says_how_the_date_is_wrong_boluses_are_placed_at_once(
    make_home: Make,
) -> None:
    home = lived(make_home, wrong_for(AT, AT - 3 * DAY, 2 * DAY))
    tandem = cast(SimulatedTandemSource, home.tandem)
    ended = [at for each in tandem.history.boluses if (at := each.completed)]
    for day in (2.4, 2.6, 3.5, 4.3):
        home.go_to(day)
        assert home.run("--days", "3").code == int(day > 2.5)
        until = midnight(LIVED) + day * DAY - 90 * MINUTE
        expected = {tandem.clocks.instant(at) for at in ended if at < until}
        assert len(expected) > 10
        assert expected <= set(boluses_of(home))


def test_while_the_date_is_right_no_run_says_anything_of_it(make_home: Make) -> None:
    home = lived(make_home, ())
    for step in range(1, 25, 3):
        home.go_to(step / 12 + 0.01)
        run = home.run()
        assert (run.code, run.errors.count("Set the date")) == (0, 0), run.errors
    check(home)


def test_one_look_around_the_clock_is_enough_where_all_is_well(make_home: Make) -> None:
    home = lived(make_home, ())
    home.go_to(1)
    home.run()
    home.tandem.log.clear()
    home.go_to(1.25)
    home.run()
    asked = [entry.request.path for entry in home.tandem.log]
    assert [path for path in asked if "pump-logs" in path] == asked[-1:]
    assert len(asked) == 2


def test_the_check_says_that_the_date_is_wrong(tmp_path: Path) -> None:
    """By the clock of this computer: the history ends a moment ago."""
    today = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None, microsecond=0)
    life = live(today.date() - 3 * DAY, 4)
    for changes in (
        [(today - 30 * HOUR, LOST)],
        [(today - 5 * HOUR, today - 5 * HOUR - 3 * DAY)],
        [(today - 5 * HOUR, today - 5 * HOUR + 40 * DAY)],
    ):
        with cloud(life, changes, (), today) as tandem, SmallNightscout(SECRET) as site:
            home = computer(tmp_path, tandem, site.url, SECRET)
            checked = home.run("--check-login")
        assert checked.code == 1
        assert "Pump's log:              failed" in checked.output
        assert "Set the date and the time on the pump" in checked.output
        assert "as said above" in checked.output


# A saved log


@pytest.mark.parametrize(("changes", "unrecorded"), CASES.values(), ids=CASES)
def test_a_saved_log_with_a_wrong_date_is_placed_as_well(
    tmp_path: Path, changes: Changes, unrecorded: Sequence[int]
) -> None:
    life = sparse(live(FIRST, 7))
    file = tmp_path / "pump.bin"
    with cloud(life, changes, unrecorded) as tandem, SmallNightscout(SECRET) as site:
        file.write_bytes(binary_log(tandem.log_of_pump.entries))
        home = computer(tmp_path, tandem, site.url, SECRET)
        first = home.run("--import-log", str(file), *ALL_FEATURES)
        facts = shown(site.treatments)
        second = home.run("--import-log", str(file), *ALL_FEATURES)
        everything = logged(life, tandem.clocks)
    assert (first.code, second.code) == (0, 0), first.errors
    assert facts == everything
    assert second.counts[:2] == (0, 0)


ENDS_WRONG: dict[str, tuple[Changes, tuple[int, ...], str]] = {
    "lost": (((NOON, LOST),), (0,), "The pump lost its date"),
    "set wrong": (((NOON, NOON - 3 * DAY),), (), "The pump's clock is 3 days behind"),
}


@pytest.mark.parametrize(("changes", "unrecorded", "words"), ENDS_WRONG.values(), ids=ENDS_WRONG)
def test_a_saved_log_that_ends_with_a_wrong_date_is_said(
    tmp_path: Path, changes: Changes, unrecorded: Sequence[int], words: str
) -> None:
    life = live(FIRST, 4)
    file = tmp_path / "pump.bin"
    with cloud(life, changes, unrecorded) as tandem, SmallNightscout(SECRET) as site:
        file.write_bytes(binary_log(tandem.log_of_pump.entries))
        home = computer(tmp_path, tandem, site.url, SECRET)
        run = home.run("--import-log", str(file), *ALL_FEATURES)
        facts = shown(site.treatments)
        everything = logged(life, tandem.clocks)
    assert run.code == 1
    assert words in run.errors
    assert {fact.at.year for fact in facts} == {2024}
    if not unrecorded:
        assert facts == everything
