"""Odd names of profiles between the simulated t:connect and both kinds of the small Nightscout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tconnectsync.domain.profiles import Segment
from tconnectsync.nightscout.keys import safe_key
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sync.run.outcome import Outcome
from tests.support.command import SECRET, cloud
from tests.support.world import FIRST, TConnectWorld

LIFE = live(FIRST, 1)
LONG_AGO = "2024-01-01T00:00:00.000Z"
ODD = ["A.B", "$Gym", "a<b", "a < b & c", "R&D > 1"]
MODES = pytest.mark.parametrize("mode", ["add", "replace"])


class ProfileWorld(TConnectWorld):
    """A world of which only the profiles count."""

    def sync_profiles(self, mode: str = "add") -> Outcome:
        """Sync the profiles, and insist that the site is still there."""
        outcome = self.sync(0, 0, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode)
        assert self.site.crashes == 0
        return outcome

    def set_up(self, *names: str, active: int = 0, **changes: Any) -> None:
        """Give the pump profiles of these names; ``changes`` are those of the active one."""
        pages = self.tandem.account_pages
        profile = next(each for each in pages.settings.profiles if each.active)
        profiles = tuple(
            replace(profile, name=name, active=is_active, **(changes if is_active else {}))
            for name, is_active in ((name, place == active) for place, name in enumerate(names))
        )
        settings = replace(pages.settings, profiles=profiles)
        self.tandem.account_pages = replace(pages, settings=settings)

    def entry(self) -> dict[str, Any]:
        """Return what a profile of the pump looks like in Nightscout."""
        self.set_up("Plain")
        self.sync_profiles()
        entry: dict[str, Any] = self.record["store"]["Plain"]
        return entry

    def plant(self, record: dict[str, Any]) -> None:
        """Put a record in the place of all, past everything that the site would refuse."""
        stored = self.site._stored["profile"]
        stored.remove([*stored.oldest_first()])
        self.site.insert([record], "profile")

    @property
    def record(self) -> dict[str, Any]:
        """The profile record in force."""
        return self.site.profiles[-1]

    def require_in_force(self, name: str) -> None:
        """Insist that Nightscout finds the profile in force, and that a second run is quiet."""
        assert self.record["defaultProfile"] == name
        assert self.record["store"][name]["basal"]
        writes = self.site.writes
        for mode in ("add", "replace"):
            outcome = self.sync_profiles(mode)
            assert (outcome.failures, outcome.others) == ([], [])
        assert self.site.writes == writes


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def world(request: pytest.FixtureRequest) -> Iterator[ProfileWorld]:
    keyed = request.param
    with cloud(LIFE) as tconnect, SmallNightscout(SECRET, keyed_by_identifier=keyed) as site:
        yield ProfileWorld(tconnect, site)


@pytest.mark.parametrize("active", [0, 1], ids=["in use", "not in use"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_neither_ends_the_site_nor_hides_the_profile(
    world: ProfileWorld, name: str, active: int
) -> None:
    world.set_up(name, "Plain", active=active)
    assert not world.sync_profiles().failures
    assert set(world.record["store"]) == {safe_key(name), "Plain"}
    world.require_in_force("Plain" if active else safe_key(name))


@MODES
@pytest.mark.parametrize("name", ODD[:4])
def test_a_raw_name_of_ours_becomes_safe_in_its_record(
    world: ProfileWorld, name: str, mode: str
) -> None:
    entry = world.entry()
    store = {name: entry, "Plain": {**entry, "mine": 1}}
    world.plant({"startDate": LONG_AGO, "store": store, "defaultProfile": name})
    before = world.record
    world.set_up(name, "Plain")
    (done,) = world.sync_profiles(mode).others
    assert done.startswith("Profile record replaced")
    (changed,) = world.site.profiles
    assert (changed["_id"], changed["startDate"]) == (before["_id"], LONG_AGO)
    assert changed["store"] == {safe_key(name): entry, "Plain": {**entry, "mine": 1}}
    world.require_in_force(safe_key(name))


@MODES
def test_a_raw_name_becomes_safe_also_where_its_values_change(
    world: ProfileWorld, mode: str
) -> None:
    entry = world.entry()
    world.plant({"startDate": LONG_AGO, "store": {"A.B": entry}, "defaultProfile": "A.B"})
    world.set_up("A.B", insulin_duration=timedelta(hours=3))
    world.sync_profiles(mode)
    assert set(world.record["store"]) == {"A．B"}
    assert world.record["store"]["A．B"]["dia"] == "3"
    world.require_in_force("A．B")


def test_what_others_have_stored_does_not_end_an_old_site_and_stays_on_a_new_one(
    world: ProfileWorld,
) -> None:
    theirs = {"Loop v1.2": {"dia": 4, "x.y": {"$z": 1}}}
    stored = {"startDate": LONG_AGO, "store": theirs, "defaultProfile": "Loop v1.2", "a.b": 1}
    world.site.insert([stored], "profile")
    world.set_up("Plain")
    assert not world.sync_profiles().failures
    is_new = world.site._keyed_by_identifier
    safe = {"Loop v1．2": {"dia": 4, "x．y": {"＄z": 1}}}
    expected = theirs if is_new else safe
    assert {name: world.record["store"].get(name) for name in expected} == expected
    assert ("a.b" in world.record) is is_new
    world.require_in_force("Plain")


@pytest.mark.parametrize("version", [None, "", "1.0-clone", "15.0.6", "15.0.7-dev"])
def test_a_site_of_unknown_version_is_treated_as_an_old_one(version: str | None) -> None:
    with cloud(LIFE) as tconnect, SmallNightscout(SECRET) as site:
        world = ProfileWorld(tconnect, site)
        stored = {"startDate": LONG_AGO, "store": {"v1.2": {}}, "defaultProfile": "v1.2"}
        site.insert([stored], "profile")
        world.set_up("Plain")
        said = {"status": "ok", "version": version, "settings": {"units": "mg/dl"}}

        def status(request: Request) -> Response | None:
            asked = request.path.endswith("status.json")
            return Response(json.dumps(said).encode()) if asked else None

        site.fault = status
        assert not world.sync_profiles().failures
        assert set(world.record["store"]) == {"v1．2", "Plain"}


def test_a_site_that_shows_the_profiles_is_asked_for_nothing_but_its_record(
    world: ProfileWorld,
) -> None:
    world.sync_profiles()
    seen = len(world.site.log)
    world.sync_profiles()
    asked = [entry.request.path for entry in world.site.log[seen:]]
    assert asked == ["/api/v1/profile/current"]


def test_a_name_that_the_site_loses_is_named_each_time_and_sent_once(
    world: ProfileWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "tconnectsync")
    world.set_up("Plain", "__proto__", "@@@@@ mine")
    for run in (1, 2):
        outcome = world.sync_profiles()
        assert (len(outcome.others), outcome.failures) == (run == 1, [])
        assert "“@@@@@ mine” is left out: Nightscout cannot store" in caplog.text
        is_named = "“__proto__” is left out" in caplog.text
        assert is_named is not world.site._keyed_by_identifier
        caplog.clear()
    world.require_in_force("Plain")


@pytest.mark.parametrize("active", [True, False], ids=["in use", "not in use"])
def test_a_broken_profile_is_named_and_the_others_go_on(
    world: ProfileWorld, caplog: pytest.LogCaptureFixture, active: bool
) -> None:
    world.set_up("Plain", "Work", active=int(active))
    assert not world.sync_profiles().failures
    before = world.record
    pages = world.tandem.account_pages
    plain, work = pages.settings.profiles
    broken = replace(work, segments=(Segment(plain.segments[0].start, 99, 30, 6, 110),))
    changed = replace(plain, insulin_duration=timedelta(hours=3))
    settings = replace(pages.settings, profiles=(changed, broken))
    world.tandem.account_pages = replace(pages, settings=settings)
    caplog.set_level("WARNING", "tconnectsync")
    outcome = world.sync_profiles()
    assert "The profile “Work” is left out: a basal rate cannot be true" in caplog.text
    assert world.record["store"]["Plain"]["dia"] == "3"
    assert world.record["store"]["Work"] == before["store"]["Work"]
    assert world.record["defaultProfile"] == before["defaultProfile"]
    assert [failure.features for failure in outcome.failures] == [("PROFILES",)] * active
    if active:
        assert "does not show the profile that the pump follows" in str(outcome.failures[0].error)
    records = len(world.site.profiles)
    world.sync_profiles()
    assert len(world.site.profiles) == records


def test_a_site_without_a_record_gets_none_while_the_profile_in_use_is_broken(
    world: ProfileWorld,
) -> None:
    world.set_up("Plain", "Work", active=1)
    pages = world.tandem.account_pages
    plain, work = pages.settings.profiles
    broken = replace(work, segments=(Segment(plain.segments[0].start, 99, 30, 6, 110),))
    settings = replace(pages.settings, profiles=(plain, broken))
    world.tandem.account_pages = replace(pages, settings=settings)
    assert len(world.sync_profiles().failures) == 1
    assert world.site.profiles == []
