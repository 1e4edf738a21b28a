"""The first run brings everything, the second one nothing; and `--pretend` only shows it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.nightscout.eventtypes import NOUNS
from tconnectsync.simulators.history import midnight
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import ALL_FEATURES, NEW_YORK, SECRET, Computer, cloud, computer, days
from tests.support.expected import Fact, as_of, began_between, delivered, expected, shown
from tests.support.real_nightscout import NightscoutSite

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)
AFTERNOON, MIDNIGHT = datetime(2024, 5, 6, 13), datetime(2024, 5, 7)


def insulin(facts: list[Fact]) -> tuple[float, float]:
    """Return the U of basals and of boluses."""
    return sum(f.rate * f.minutes / 60 for f in facts), sum(f.insulin for f in facts)


def test_a_first_run_brings_everything_and_a_second_one_changes_nothing(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST, 3)
    everything = expected(life, NEW_YORK)
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        first = home.sync(*days(FIRST, FIRST + 2 * DAY))
        arrived = nightscout.treatments()
        second = home.sync(*days(FIRST, FIRST + 2 * DAY))
        after = nightscout.treatments()

    facts = shown(arrived)
    assert first == (len(everything), 0, 0)
    assert len(arrived) == len(everything)
    assert Counter(f.kind for f in facts) == Counter(f.kind for f in everything)
    assert insulin(facts) == pytest.approx(delivered(life), abs=0.005)
    assert (facts[0].at, facts[-1].at) == (everything[0].at, everything[-1].at)
    assert facts == everything

    assert second == (0, 0, len(everything))
    assert repr(after) == repr(arrived)


def test_a_second_run_leaves_the_database_byte_for_byte_as_it_is(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = replace(began_between(live(FIRST - DAY, 2), AFTERNOON, MIDNIGHT), first_day=FIRST)
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        home.sync(*days(FIRST, FIRST))
        before = nightscout.dump()
        home.sync(*days(FIRST, FIRST))
        after = nightscout.dump()

    assert len(before) == len(expected(life, NEW_YORK))
    assert repr(after) == repr(before)


def test_without_control_iq_everything_comes_from_the_export(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST, 3, control_iq=False)
    last_reading = life.readings[-1].at
    known = as_of(life, last_reading)
    everything = expected(known, NEW_YORK)
    with cloud(life) as tconnect:
        tconnect.uploaded_until = last_reading
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        first = home.sync(*days(FIRST, FIRST + 2 * DAY))
        arrived = nightscout.treatments()
        second = home.sync(*days(FIRST, FIRST + 2 * DAY))
        after = nightscout.treatments()

    facts = shown(arrived)
    assert first == (len(everything), 0, 0)
    assert insulin(facts) == pytest.approx(delivered(known), abs=0.005)
    assert facts == everything
    assert second == (0, 0, len(everything))
    assert repr(after) == repr(arrived)


def test_without_control_iq_the_last_basal_of_days_long_past_is_whole(tmp_path: Path) -> None:
    life = live(FIRST, 3, control_iq=False)
    with cloud(life) as tconnect, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tconnect, site.url, SECRET)
        home.sync(*days(FIRST, FIRST + DAY))
        facts = shown(site.treatments)

    two_days = began_between(life, midnight(FIRST), midnight(FIRST + 2 * DAY))
    assert insulin(facts) == pytest.approx(delivered(two_days), abs=0.005)


def in_los_angeles(home: Computer) -> Computer:
    """Return the same computer with its own clock set to Los Angeles."""
    return replace(home, variables={**home.variables, "TZ": "America/Los_Angeles"})


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Asia/Kolkata"])
def test_times_are_those_of_the_pump_wherever_the_program_runs(
    nightscout: NightscoutSite, tmp_path: Path, zone: str
) -> None:
    life = began_between(live(FIRST, 2), midnight(FIRST), datetime(2024, 5, 6, 8))
    with cloud(life) as tconnect:
        home = in_los_angeles(computer(tmp_path, tconnect, nightscout.url, nightscout.secret, zone))
        home.sync(*days(FIRST, FIRST))
        stored = nightscout.treatments()

    assert shown(stored) == expected(life, zone)
    basals = [t for t in stored if t["eventType"] == "Temp Basal"]
    first = min(basals, key=lambda basal: basal["created_at"])
    at = datetime.fromisoformat(first["created_at"]).astimezone(ZoneInfo(zone))
    assert at.replace(tzinfo=None) == midnight(FIRST)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Asia/Kolkata", "Pacific/Honolulu"])
def test_a_run_without_dates_finds_the_newest_hours_of_the_pump(tmp_path: Path, zone: str) -> None:
    now = datetime.now(ZoneInfo(zone)).replace(tzinfo=None, microsecond=0)
    life = live(now.date() - 2 * DAY, 3)
    uploaded = now - timedelta(minutes=5)
    with cloud(life) as tconnect, SmallNightscout(SECRET) as site:
        tconnect.uploaded_until = uploaded
        home = in_los_angeles(computer(tmp_path, tconnect, site.url, SECRET, zone))
        home = replace(home, variables={**home.variables, "ALARM_SAFE_MINUTES": "0"})
        home.sync("--days", "1")
        facts = shown(site.treatments)
        home.sync("--days", "1")  # It may go back to where a suspension of that day began.
        again = home.sync("--days", "1")

    newest = began_between(as_of(life, uploaded), uploaded - timedelta(hours=3), uploaded)
    assert newest.basal
    assert set(expected(newest, zone)) <= set(facts)
    # What was going on a day ago began at most two hours before.
    begin = datetime.now(UTC) - DAY - timedelta(hours=2)
    assert min(fact.at for fact in facts if fact.kind == "Temp Basal") > begin
    assert (again.created, again.updated) == (0, 0)


def test_pretending_shows_what_would_be_written_and_writes_nothing(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST, 1)
    everything = expected(life, NEW_YORK)
    options = (*days(FIRST, FIRST), *ALL_FEATURES)
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)

        looked = home.run(*options, "--pretend")
        assert nightscout.dump() == []
        assert (looked.code, looked.counts) == (0, (len(everything), 0, 0))
        kinds = Counter(NOUNS[fact.kind] for fact in everything)
        new = re.findall(r"^  \d\d:\d\d  (.+)$", looked.output, re.MULTILINE)
        assert {kind: sum(line.startswith(kind) for line in new) for kind in kinds} == kinds
        assert len(new) == len(everything)
        assert "\nMon 6 May 2024\n  00:00  basal 0." in looked.output
        insulin_given = re.search(r"\d+ basals \((.+) U\), \d+ boluses \((.+) U\)", looked.output)
        assert insulin_given
        assert tuple(map(float, insulin_given.groups())) == pytest.approx(
            insulin(everything), abs=0.005
        )

        tconnect.uploaded_until = datetime(2024, 5, 6, 12, 2)
        home.sync(*days(FIRST, FIRST))
        tconnect.uploaded_until = None
        half = repr(nightscout.dump())
        looked = home.run(*options, "--pretend")
        assert repr(nightscout.dump()) == half
        assert looked.code == 0
        new = re.findall(r"^  \d\d:\d\d  ", looked.output, re.MULTILINE)
        assert len(new) == looked.counts.created
        (changed,) = re.findall(r"^~ \d\d:\d\d  (.+)$", looked.output, re.MULTILINE)
        assert looked.counts.updated == 1
        assert re.fullmatch(r"basal for [\d.]+ min -> for [\d.]+ min", changed)

        assert home.sync(*days(FIRST, FIRST)) == looked.counts
    assert shown(nightscout.treatments()) == everything
