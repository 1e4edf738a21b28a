"""Readings and the glucose of boluses on a real Nightscout, with the command as a user runs it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.clock import Clock
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import NEW_YORK, SECRET, Computer, Finished, cloud, computer, days
from tests.support.expected import OURS, began_between
from tests.support.real_nightscout import Document, NightscoutSite, RealNightscout

FIRST = date(2024, 5, 6)
NOON, EVENING = datetime(2024, 5, 6, 10), datetime(2024, 5, 6, 20)
EVERYTHING = {"find[date][$gte]": "0", "count": "10000"}
ALLOWED = {"ENABLE_TESTING_MODES": "true"}


@pytest.fixture
def site(nightscout: NightscoutSite) -> NightscoutSite:
    """Give a Nightscout without entries."""
    if not isinstance(nightscout, RealNightscout):
        pytest.skip("A site that is given loses its treatments only; these tests need more.")
    return nightscout


def most_of_a_day() -> PumpHistory:
    return replace(began_between(live(FIRST, 1), NOON, EVENING), first_day=FIRST)


def epoch(wall: datetime) -> int:
    """Return milliseconds since 1970 for the pump's wall clock."""
    return int(wall.replace(tzinfo=ZoneInfo(NEW_YORK)).timestamp()) * 1000


def expected(life: PumpHistory) -> list[tuple[str, int, int]]:
    found = [("sgv", epoch(r.at), r.mgdl) for r in life.readings]
    return sorted(found + [("mbg", epoch(s.at), s.mgdl) for s in life.finger_sticks])


def stored(site: NightscoutSite) -> list[Document]:
    answer = site.request("GET", "entries.json", params=EVERYTHING)
    answer.raise_for_status()
    found: list[Document] = answer.json()
    return found


def shown(entries: list[Document]) -> list[tuple[str, int, int]]:
    return sorted((e["type"], e["date"], e[e["type"]]) for e in entries if e["device"] == OURS)


def run(home: Computer, *features: str, **variables: str) -> Finished:
    return home.run(*days(FIRST, FIRST), "--features", *features, **{**ALLOWED, **variables})


def test_readings_arrive_once_beside_those_of_another_uploader(
    site: NightscoutSite, tmp_path: Path
) -> None:
    life = most_of_a_day()
    taken = life.readings[7]
    moment = datetime.fromtimestamp(epoch(taken.at) / 1000, UTC)
    theirs = {"date": epoch(taken.at), "dateString": moment.isoformat(), "device": "share2"}
    site.insert("entries", [{"type": "sgv", "sgv": 77, **theirs}])
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, site.url, site.secret)
        pretended = run(home, "BOLUS", "CGM", "--pretend")
        assert shown(stored(site)) == []
        first = run(home, "BOLUS", "CGM")
        arrived = stored(site)
        second = run(home, "BOLUS", "CGM")
        after = stored(site)

        api = NightscoutApi(site.url, site.secret, HttpClient("Nightscout", Clock()))
        newest = api.newest("sgv")

    assert [pretended.code, first.code, second.code] == [0, 0, 0], first.errors
    assert re.search(r" sensor readings[,.]", first.errors)
    assert newest == datetime.fromtimestamp(epoch(life.readings[-1].at) / 1000, UTC)
    assert shown(arrived) == [e for e in expected(life) if e[:2] != ("sgv", epoch(taken.at))]
    assert [e["sgv"] for e in arrived if e["device"] == "share2"] == [77]
    ours = [e for e in arrived if e["device"] == OURS and e["type"] == "sgv"]
    assert len([e for e in ours if "direction" in e]) == len(ours) - 1
    assert all(
        datetime.fromisoformat(e["dateString"]).timestamp() * 1000 == e["date"] for e in arrived
    )
    boluses = len(site.treatments(eventType="Combo Bolus"))
    assert pretended.counts == first.counts == (len(expected(life)) - 1 + boluses, 0, 1)
    assert second.counts == (0, 0, len(expected(life)) + boluses)
    assert repr(after) == repr(arrived)


def glucose(site: NightscoutSite) -> list[tuple[Any, ...]]:
    names = ("glucose", "glucoseType", "units")
    boluses = sorted(site.treatments(), key=lambda treatment: treatment["created_at"])
    return [tuple(bolus.get(name) for name in names) for bolus in boluses if bolus.get("glucose")]


def test_the_glucose_of_boluses_can_be_switched_on_later_and_off_again(
    site: NightscoutSite, tmp_path: Path
) -> None:
    life = most_of_a_day()
    known = [bolus.glucose for bolus in life.boluses if bolus.glucose is not None]
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, site.url, site.secret)
        everything = run(home, "BOLUS").counts.created
        assert glucose(site) == []
        switched_on = run(home, "BOLUS", "BOLUS_BG")
        after = site.treatments()
        others = [run(home, "BOLUS"), run(home, "BOLUS", "BOLUS_BG"), run(home, "BOLUS")]

    assert switched_on.counts == (0, len(known), everything - len(known))
    assert [value for value, _, _ in glucose(site)] == known
    assert {kind for _, kind, _ in glucose(site)} == {"Sensor", "Finger"}
    assert {units for _, _, units in glucose(site)} == {"mg/dl"}
    assert [other.counts for other in others] == [(0, 0, everything)] * 3
    assert repr(site.treatments()) == repr(after)


@pytest.mark.parametrize("feature", ["CGM", "BOLUS_BG"])
def test_a_testing_feature_must_be_allowed(tmp_path: Path, feature: str) -> None:
    with cloud(most_of_a_day()) as tconnect, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tconnect, site.url, SECRET)
        refused = run(home, "BASAL", feature, ENABLE_TESTING_MODES="false")
        assert (refused.code, refused.output) == (2, "")
        assert f"Still being tested: {feature}." in refused.errors
        assert "ENABLE_TESTING_MODES=true" in refused.errors
        assert "Traceback" not in refused.errors
        assert site.log + tconnect.log == []
        assert run(home, "BASAL", feature).code == 0


def test_a_run_without_dates_reaches_back_to_the_newest_reading(tmp_path: Path) -> None:
    now = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None, microsecond=0)
    life = live(now.date() - timedelta(days=4), 5)
    with cloud(life) as tconnect, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tconnect, site.url, SECRET)
        tconnect.uploaded_until = now - timedelta(days=3)
        home.run("--days", "4", "--features", "CGM", **ALLOWED)
        before = len(site.entries)
        tconnect.uploaded_until = now - timedelta(minutes=5)
        home.run("--features", "CGM", **ALLOWED)
        arrived = shown(site.entries)

    since = [r for r in life.readings if now - timedelta(days=3) < r.at <= now - timedelta(hours=1)]
    assert before > 200
    assert {("sgv", epoch(r.at), r.mgdl) for r in since} <= set(arrived)
