"""Accounts with several pumps from end to end: everything of one person, nothing of a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedPump, SimulatedTandemSource
from tconnectsync.simulators.tandemsource.pumps import OTHER_SERIAL, PumpChange, change_pumps
from tests.support.accounts import truth, wall
from tests.support.command import (
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    SERIAL,
    Computer,
    computer,
    days,
)
from tests.support.expected import insulin_shown
from tests.support.real_nightscout import NightscoutSite

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)
ZONE = ZoneInfo(NEW_YORK)
LIFE = live(FIRST, 4, seed=3)
CHANGE = PumpChange(wall(1, hours=11, minutes=7))
WHOLE = days(FIRST, FIRST + 4 * DAY)


@contextmanager
def account(*pumps: SimulatedPump) -> Iterator[SimulatedTandemSource]:
    with SimulatedTandemSource(pumps[0], email=EMAIL, password=PASSWORD, zone=ZONE) as tandem:
        tandem.pumps = [*pumps[1:]]
        yield tandem


def at_home(folder: Path, tandem: SimulatedTandemSource, url: str, secret: str) -> Computer:
    home = computer(folder, tandem, url, secret)
    return replace(home, variables={**home.variables, "PUMP_SERIAL_NUMBER": ""})


def bolus_given(*pumps: SimulatedPump) -> float:
    return sum(bolus.delivered for pump in pumps for bolus in pump.history.boluses)


def test_all_insulin_of_a_person_who_changes_the_pump_within_a_day_arrives_once(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    old, new = change_pumps(LIFE, CHANGE, zone=ZONE)
    with account(new, old) as tandem:
        home = at_home(tmp_path, tandem, nightscout.url, nightscout.secret)
        first = home.run(*WHOLE)
        shown = insulin_shown(nightscout.treatments())
        second = home.run(*WHOLE)
        one_day = home.run(*days(FIRST + DAY, FIRST + DAY))
    assert (first.code, second.code, one_day.code) == (0, 0, 0), first.errors
    assert shown.bolus == pytest.approx(bolus_given(old, new), abs=0.005)
    assert shown.basal == pytest.approx(truth([old, new], [CHANGE]), abs=0.005)
    assert second.counts[:2] == one_day.counts[:2] == (0, 0)
    for run in (first, second):
        assert run.errors.count("Pump: ") == 1
        assert "Pump: t:slim X2 Insulin Pump …1717, t:slim X2 Insulin Pump …0042." in run.errors


def test_the_old_pump_s_tail_that_is_uploaded_two_days_later_arrives(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    old, new = change_pumps(LIFE, CHANGE, zone=ZONE)
    old.uploaded_until = wall(1, hours=6)
    with account(old, new) as tandem:
        home = at_home(tmp_path, tandem, nightscout.url, nightscout.secret)
        assert home.run(*WHOLE).code == 0
        before = insulin_shown(nightscout.treatments())
        old.uploaded_until = wall(3, hours=11)
        late = home.run(*days(FIRST + DAY, FIRST + 3 * DAY))
        after = insulin_shown(nightscout.treatments())
        again = home.run(*WHOLE)
    assert late.code == 0, late.errors
    assert after.basal > before.basal + 3
    assert after.bolus == pytest.approx(bolus_given(old, new), abs=0.005)
    assert after.basal == pytest.approx(truth([old, new], [CHANGE]), abs=0.005)
    assert again.counts[:2] == (0, 0)


def test_basals_that_the_new_pump_claims_with_its_late_upload_are_taken_back(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    old, new = change_pumps(LIFE, replace(CHANGE, left_running=True), zone=ZONE)
    with account(old) as tandem:
        home = at_home(tmp_path, tandem, nightscout.url, nightscout.secret)
        assert home.run(*WHOLE).code == 0
        before = nightscout.treatments()
        tandem.pumps = [new]
        pretended = home.run(*WHOLE, "--pretend")
        taken_back = home.run(*WHOLE)
        after = insulin_shown(nightscout.treatments())
        again = home.run(*WHOLE)
    removed = pretended.output.count("removed, because another pump was in use")
    assert removed > 10
    assert pretended.counts == taken_back.counts
    assert len(nightscout.treatments()) == len(before) + taken_back.counts.created - removed
    assert after.basal == pytest.approx(truth([old, new], [CHANGE]), abs=0.005)
    assert again.counts[:2] == (0, 0)


def two_people(life: PumpHistory) -> tuple[SimulatedPump, SimulatedPump]:
    return (
        SimulatedPump(LIFE, zone=ZONE, serial=SERIAL),
        SimulatedPump(life, zone=ZONE, serial=OTHER_SERIAL),
    )


def test_two_people_in_one_account_are_named_before_anything_is_written(tmp_path: Path) -> None:
    with (
        account(*two_people(live(FIRST, 4, seed=9))) as tandem,
        SmallNightscout(SECRET) as site,
    ):
        home = at_home(tmp_path, tandem, site.url, SECRET)
        run = home.run(*WHOLE)
        asked = len(tandem.log)
        again = home.run(*WHOLE)
        repeated = len(tandem.log) - asked
        check = home.run("--check-login", *WHOLE)
        assert site.writes == 0
        named = home.run(*WHOLE, PUMP_SERIAL_NUMBER=SERIAL)
        shown = insulin_shown(site.treatments)
    assert (run.code, again.code, check.code, named.code) == (2, 2, 2, 0)
    assert repeated == 1
    sentence = next(line for line in run.errors.splitlines() if "two people" in line)
    assert "…0042" in sentence
    assert "…1717" in sentence
    assert sentence.removeprefix("tconnectsync: ") in check.output
    assert SERIAL not in run.errors + check.output
    assert shown.bolus == pytest.approx(sum(b.delivered for b in LIFE.boluses), abs=0.005)


def test_a_guardian_of_several_pumps_has_to_name_one_in_a_sync_as_in_a_check(
    tmp_path: Path,
) -> None:
    with (
        account(*two_people(live(FIRST, 4, seed=9))) as tandem,
        SmallNightscout(SECRET) as site,
    ):
        tandem.guardian = True
        home = at_home(tmp_path, tandem, site.url, SECRET)
        run, check = home.run(*WHOLE), home.run("--check-login")
        assert site.writes == 0
    sentence = "Set PUMP_SERIAL_NUMBER to one of these: …0042, …1717."
    assert (run.code, check.code) == (2, 2)
    assert sentence in run.errors
    assert sentence in check.output


def test_the_loop_ends_where_a_person_has_to_name_the_pump(tmp_path: Path) -> None:
    now = datetime.now(ZONE).replace(tzinfo=None)
    lives = [live(now.date() - 6 * DAY, 7, seed=seed) for seed in (3, 9)]
    pumps = [
        SimulatedPump(life, zone=ZONE, serial=serial, uploaded_until=now)
        for life, serial in zip(lives, (SERIAL, OTHER_SERIAL), strict=True)
    ]
    with account(*pumps) as tandem, SmallNightscout(SECRET) as site:
        home = at_home(tmp_path, tandem, site.url, SECRET)
        unknown = home.run("--auto-update", PUMP_SERIAL_NUMBER="12345678")
        shared = home.run("--auto-update")
        assert site.writes == 0
    assert (unknown.code, shared.code) == (2, 2)
    assert "The pumps that it has end in: …0042, …1717." in unknown.errors
    assert "two people" in shared.errors


def test_a_check_reads_all_pumps_of_a_person(tmp_path: Path) -> None:
    old, new = change_pumps(LIFE, CHANGE, zone=ZONE)
    old.uploaded_until = wall(1, hours=17)
    with account(old, new) as tandem, SmallNightscout(SECRET) as site:
        home = at_home(tmp_path, tandem, site.url, SECRET)
        both = home.run("--check-login", *WHOLE)
        last = home.run("--check-login", *days(FIRST + 3 * DAY, FIRST + 3 * DAY))
    assert "All of these pumps are read: t:slim X2 Insulin Pump …0042, t:slim" in both.output
    assert both.output.count(" by the pump's clock: ") == 2
    assert "It is t:slim X2 Insulin Pump …1717, the one in use" in last.output
    assert "the account also has …0042" in last.output
