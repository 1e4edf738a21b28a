"""Profiles and insulin on board on a real Nightscout."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.nightscout.keys import safe_key
from tconnectsync.simulators.person import live
from tests.support.command import cloud, computer, days
from tests.support.real_nightscout import NightscoutSite

FIRST = date(2024, 6, 3)
RANGE = days(FIRST, FIRST)


def records(nightscout: NightscoutSite) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = nightscout.request("GET", "profile.json?count=100").json()
    return found


@pytest.mark.parametrize(("mode", "further"), [("add", 1), ("replace", 0)])
def test_profiles_arrive_change_and_are_left_alone(
    nightscout: NightscoutSite, tmp_path: Path, mode: str, further: int
) -> None:
    with cloud(live(FIRST, 1)) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        before = len(records(nightscout))
        run = (*RANGE, "--features", "PROFILES")
        setting = {"NIGHTSCOUT_PROFILE_UPLOAD_MODE": mode}
        first = home.run(*run, **setting)
        assert first.code == 0, first.errors
        assert "Profile record" in first.errors
        stored = records(nightscout)

        second = home.run(*run, **setting)
        assert "Profile record" not in second.errors
        assert records(nightscout) == stored

        pages = tconnect.account_pages
        settings = pages.settings
        switched = tuple(replace(p, active=not p.active) for p in settings.profiles)
        tconnect.account_pages = replace(pages, settings=replace(settings, profiles=switched))
        third = home.run(*run, **setting)
        assert third.code == 0, third.errors
        assert len(records(nightscout)) == len(stored) + further
        active = safe_key(next(profile.name for profile in switched if profile.active))
        current = nightscout.request("GET", "profile/current").json()
        assert current["defaultProfile"] == active
        assert before <= len(stored)


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_odd_names_of_profiles_leave_an_old_nightscout_alive(
    nightscout: NightscoutSite, tmp_path: Path, mode: str
) -> None:
    run = (*RANGE, "--features", "PROFILES")
    setting = {"NIGHTSCOUT_PROFILE_UPLOAD_MODE": mode}
    with cloud(live(FIRST, 1)) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        pages = tconnect.account_pages
        plain = pages.settings.profiles[0]
        names = ("A.B", "$Gym", "a<b", "A．B")
        for active in names:
            profiles = tuple(replace(plain, name=name, active=name == active) for name in names)
            settings = replace(pages.settings, profiles=profiles)
            tconnect.account_pages = replace(pages, settings=settings)
            first = home.run(*run, **setting)
            assert first.code == 0, first.errors
            assert "Profile record" in first.errors
            current = nightscout.request("GET", "profile/current").json()
            assert {"A．B", "＄Gym", "a‹b", "A．B (2)"} <= set(current["store"])
            assert current["store"][current["defaultProfile"]]["basal"]
            stored = records(nightscout)
            assert "Profile record" not in home.run(*run, **setting).errors
            assert records(nightscout) == stored


def test_the_newest_insulin_on_board_is_the_one_record(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    query = "activity?find[activityType]=tconnect_iob&find[created_at][$gte]=2008-01-01"
    with cloud(live(FIRST, 3)) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        seen = []
        for last in (FIRST, FIRST + timedelta(days=2), FIRST):
            run = home.run(*days(FIRST, last), "--features", "IOB")
            assert run.code == 0, run.errors
            (record,) = nightscout.request("GET", query).json()
            seen.append(record["created_at"])
    assert seen[0] < seen[1] == seen[2]
