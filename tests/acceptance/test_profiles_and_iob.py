"""Profile records and insulin on board as recorded, compared by what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tconnectsync.domain.events import InsulinOnBoard
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.profiles import ProfileStyle, revised_record, same
from tconnectsync.nightscout.provenance import instant
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sync.run.sync_iob import sync_iob
from tconnectsync.sync.run.sync_profiles import store_profiles
from tests.acceptance.cases import cases, files, load
from tests.acceptance.profiles import profile
from tests.support.clocks import NO_WAITING

BUILT = "nightscout_documents.cases.json"
SECRET = "a secret of some length"
NOW = datetime(2024, 6, 3, 12, 0, tzinfo=UTC)
OLDER = ProfileStyle("America/New_York", mmol=False, targets="alerts", carbs_hr="20", delay="20")
"""The cases show the alert limits as targets, as the older program did."""


def pump(profiles: list[dict[str, Any]], settings: dict[str, Any]) -> PumpSettings:
    return PumpSettings(
        tuple(map(profile, profiles)), settings["low_bg_threshold"], settings["high_bg_threshold"]
    )


@pytest.fixture
def site() -> Iterator[SmallNightscout]:
    with SmallNightscout(SECRET) as server:
        yield server


def api(site: SmallNightscout) -> NightscoutApi:
    return NightscoutApi(site.url, SECRET, HttpClient("Nightscout", NO_WAITING))


@pytest.mark.parametrize("case", cases("profile_compare.cases.json"))
def test_a_profile_record_follows_the_pump(case: dict[str, Any]) -> None:
    settings = pump(case["pump_profiles"], case["pump_settings"])
    revised = revised_record(case["nightscout_profile"], settings, OLDER)
    assert (revised is not None) is case["expected_changed"]
    result = revised or case["nightscout_profile"]
    assert same(result, case["expected_profile"])
    again = revised_record(result, settings, OLDER)
    assert (again is not None) is case["expected_changed_when_run_again_on_result"]


@pytest.mark.parametrize("case", cases("profile_identical.cases.json"))
def test_numbers_and_texts_are_compared_by_what_they_mean(case: dict[str, Any]) -> None:
    assert same(case["configured"], case["translated"]) is case["expected_identical"]


@pytest.mark.parametrize("case", cases(BUILT, document="profile_store"))
def test_a_profile_is_written_down_as_recorded(case: dict[str, Any]) -> None:
    active = {**case["input"]["profile"], "active": True}
    revised = revised_record(None, pump([active], case["input"]["device_settings"]), OLDER)
    assert revised
    assert same(revised["store"]["A"], case["expected"])


@pytest.mark.parametrize("case", cases(BUILT, document="iob"))
def test_insulin_on_board_is_written_down_as_recorded(
    case: dict[str, Any], site: SmallNightscout
) -> None:
    at = instant(case["input"])
    assert at
    sync_iob([InsulinOnBoard(at, case["input"]["iob"])], api(site), pretend=False)
    (stored,) = site.activity
    assert instant(stored) == at
    assert {name: stored[name] for name in ("activityType", "iob", "enteredBy")} == {
        "activityType": "tconnect_iob",
        "iob": case["expected"]["iob"],
        "enteredBy": case["expected"]["enteredBy"],
    }


@pytest.mark.parametrize("name", files("process/pump_profile_*.case.json"))
def test_a_cycle_leaves_the_profile_record_as_recorded(name: str, site: SmallNightscout) -> None:
    case = load(name)
    parsed = load(case["tconnect_responses"]["device_settings"])
    profiles, settings = parsed["profiles"], parsed["settings"]
    (looked_up,) = case["nightscout_lookups"]
    site.insert([looked_up["returns"]], "profile")
    done = [
        store_profiles(
            pump(profiles, settings), api(site), OLDER, mode="add", now=NOW, pretend=False
        )
        for _ in range(2)
    ]
    result = load(case["expected_file"])
    assert (len(done[0]), len(done[1])) == (result["count"], 0)
    added = site.profiles[1:]
    for stored, wanted in zip(added, result["uploaded"].get("profile", []), strict=True):
        times = ("startDate", "created_at")
        assert {stored.pop(name) for name in times} == {"2024-06-03T12:00:00.000Z"}
        assert same(
            {k: v for k, v in stored.items() if k != "_id"},
            {k: v for k, v in wanted.items() if k not in times},
        )
