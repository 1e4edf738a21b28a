"""Profiles and insulin on board between the simulated t:connect and the small Nightscout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from tconnectsync.app import assemble
from tconnectsync.clock import Clock
from tconnectsync.nightscout.keys import safe_key
from tconnectsync.nightscout.provenance import ENTERED_BY
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sync.run.window import date_range
from tests.support.command import SECRET, SERIAL, cloud
from tests.support.world import FIRST, TConnectWorld

LIFE = live(FIRST, 2)


class World(TConnectWorld):
    """A world of two days whose profiles change."""

    def change_first_rate(self, rate: float) -> None:
        """Set another basal rate at midnight in the pump's active profile."""
        pages = self.tandem.account_pages
        profiles = list(pages.settings.profiles)
        index = next(i for i, profile in enumerate(profiles) if profile.active)
        first, *others = profiles[index].segments
        segments = (replace(first, basal_rate=rate), *others)
        profiles[index] = replace(profiles[index], segments=segments)
        settings = replace(pages.settings, profiles=tuple(profiles))
        self.tandem.account_pages = replace(pages, settings=settings)

    def rename_active(self, name: str) -> None:
        """Call the pump's active profile so."""
        pages = self.tandem.account_pages
        profiles = tuple(
            replace(profile, name=name) if profile.active else profile
            for profile in pages.settings.profiles
        )
        settings = replace(pages.settings, profiles=profiles)
        self.tandem.account_pages = replace(pages, settings=settings)

    @property
    def record(self) -> dict[str, Any]:
        """The profile record in force."""
        return self.site.profiles[-1]

    def first_rate(self) -> float:
        """The basal rate at midnight that Nightscout shows."""
        entry = self.record["store"][self.record["defaultProfile"]]
        return float(entry["basal"][0]["value"])


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    keyed = request.param
    with cloud(LIFE) as tconnect, SmallNightscout(SECRET, keyed_by_identifier=keyed) as site:
        yield World(tconnect, site)


def test_a_site_without_any_profile_gets_the_pump_s(world: World) -> None:
    outcome = world.sync(0, 1, "PROFILES")
    assert not outcome.failures
    settings = world.tandem.account_pages.settings
    assert set(world.record["store"]) == {safe_key(profile.name) for profile in settings.profiles}
    assert [p.name for p in settings.profiles if p.active] == [world.record["defaultProfile"]]
    assert outcome.others[0].startswith("Profile record added")
    assert world.record["startDate"] <= datetime.now(UTC).isoformat()


def test_a_second_run_adds_no_record(world: World) -> None:
    world.sync(0, 1, "PROFILES")
    for mode in ("add", "replace"):
        assert world.sync(0, 1, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []
    assert len(world.site.profiles) == 1


@pytest.mark.parametrize(("mode", "records"), [("add", 2), ("replace", 1)])
def test_a_change_on_the_pump_arrives(world: World, mode: str, records: int) -> None:
    world.sync(0, 1, "PROFILES")
    world.change_first_rate(1.55)
    outcome = world.sync(0, 1, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode)
    assert len(outcome.others) == 1
    assert len(world.site.profiles) == records
    assert world.first_rate() == 1.55
    assert world.sync(0, 1, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []


def test_a_person_s_own_profile_survives(world: World) -> None:
    own = {"store": {"Holiday": {"dia": 4}}, "defaultProfile": "Holiday", "mine": True}
    world.site.insert([own | {"startDate": "2024-01-01T00:00:00.000Z"}], "profile")
    world.sync(0, 1, "PROFILES")
    assert world.record["store"]["Holiday"] == {"dia": 4}
    assert world.record["mine"] is True
    assert world.record["defaultProfile"] != "Holiday"


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_a_name_that_nightscout_escapes_is_put_right_at_once(world: World, mode: str) -> None:
    world.rename_active("Work & gym")
    assert len(world.sync(0, 1, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others) == 1
    assert world.record["defaultProfile"] == "Work & gym"
    assert world.first_rate() > 0
    assert world.sync(0, 1, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []
    assert len(world.site.profiles) == 1


def test_a_record_that_another_program_adds_meanwhile_is_not_put_right(world: World) -> None:
    other = {"startDate": "2998-01-01T00:00:00.000Z", "defaultProfile": "Theirs", "store": {}}

    def add(request: Request) -> Response | None:
        if request.method == "POST":
            world.site.insert([other], "profile")
        return None

    world.site.fault = add
    world.sync(0, 1, "PROFILES")
    assert {name: world.record[name] for name in other} == other


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_a_record_from_the_future_which_would_hide_ours_is_replaced(
    world: World, mode: str
) -> None:
    later = {"store": {"Holiday": {"dia": 4}}, "defaultProfile": "Holiday"}
    world.site.insert([later | {"startDate": "2998-01-01T00:00:00.000Z"}], "profile")
    outcome = world.sync(0, 1, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode)
    assert outcome.others[0].startswith("Profile record replaced")
    (record,) = world.site.profiles
    assert record["startDate"] <= datetime.now(UTC).isoformat()
    assert record["store"]["Holiday"] == {"dia": 4}
    assert record["defaultProfile"] != "Holiday"
    assert world.sync(0, 1, "PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []


def test_a_record_without_a_date_is_not_one_from_the_future(world: World) -> None:
    undated = {"store": {"Holiday": {"dia": 4}}, "defaultProfile": "Holiday"}
    world.site.insert([undated], "profile")
    assert world.sync(0, 1, "PROFILES").others[0].startswith("Profile record added")
    assert len(world.site.profiles) == 2


@pytest.mark.parametrize("failure", [Fault.DROP, Response(b"", 503)], ids=["cut", "503"])
@pytest.mark.parametrize(("feature", "collection"), [("PROFILES", "profiles"), ("IOB", "activity")])
def test_what_is_stored_though_its_answer_is_lost_is_not_sent_again(
    world: World, feature: str, collection: str, failure: Response | Fault
) -> None:
    site = world.site
    sent: list[Request] = []

    def lose_the_answer(request: Request) -> Response | Fault | None:
        if request.method != "POST":
            return None
        sent.append(request)
        site.fault = None
        site.answer(request)
        site.fault = lose_the_answer
        return failure

    site.fault = lose_the_answer
    assert len(world.sync(0, 1, feature).failures) == 1
    assert len(sent) == len(getattr(site, collection)) == 1
    again = world.sync(0, 1, feature)
    assert (again.failures, again.others) == ([], [])
    assert len(sent) == len(getattr(site, collection)) == 1


def test_a_record_that_is_listed_twice_is_not_removed_as_one_too_many(world: World) -> None:
    world.sync(0, 1, "IOB")
    site = world.site
    (record,) = site.activity

    def stutter(request: Request) -> Response | None:
        listing = request.method == "GET" and "activity" in request.path
        return Response(json.dumps([record, record]).encode()) if listing else None

    site.fault = stutter
    assert not world.sync(0, 1, "IOB").failures
    assert site.activity == [record]


def test_a_pump_that_the_account_does_not_have_is_reported_and_nothing_written(
    world: World,
) -> None:
    outcome = world.sync(0, 1, "PROFILES", "BOLUS", PUMP_SERIAL_NUMBER="00777777")
    (failure,) = outcome.failures
    assert failure.features == ("PROFILES",)
    assert "042" in str(failure.error)
    assert SERIAL not in str(failure.error)
    assert world.site.profiles == []
    assert outcome.created > 0


def test_pretending_shows_a_profile_change_and_writes_nothing(world: World) -> None:
    assert len(world.sync(0, 1, "PROFILES", "IOB", pretend=True).others) == 2
    assert world.site.profiles == []
    assert world.site.activity == []


def test_a_failed_read_of_the_profile_never_means_that_there_is_none(world: World) -> None:
    world.site.fault = lambda request: (
        Response(b"") if request.path.endswith("profile/current") else None
    )
    assert len(world.sync(0, 1, "PROFILES").failures) == 1
    assert world.site.profiles == []


def test_a_new_record_begins_when_it_is_written_however_often_the_site_failed_before(
    world: World,
) -> None:
    started = datetime(2024, 6, 5, 12, tzinfo=UTC)
    waits: list[float] = []

    def fail_once(request: Request) -> Response | None:
        fails = request.path.endswith("status.json") and not waits
        return Response(b"", 503) if fails else None

    clock = Clock(lambda: started + timedelta(seconds=sum(waits)), sleep=waits.append)
    here = replace(world.host, clock=clock)
    cycle = assemble(here.configuration().settings(), ["PROFILES"], here)
    world.site.fault = fail_once
    cycle.run(date_range(FIRST, FIRST, cycle.clock, started))
    assert sum(waits) >= 1
    begins = datetime.fromisoformat(world.record["startDate"])
    assert abs(begins - clock.now()) < timedelta(milliseconds=1)


def test_a_site_in_mmol_gets_mmol() -> None:
    with cloud(LIFE) as tconnect, SmallNightscout(SECRET, units="mmol") as site:
        world = World(tconnect, site)
        world.sync(0, 1, "PROFILES")
        entry = world.record["store"][world.record["defaultProfile"]]
        assert entry["units"] == "mmol"
        assert 2 < entry["target_low"][0]["value"] < 10


def iob(hour: int) -> dict[str, Any]:
    at = datetime.combine(FIRST, time(hour), UTC)
    return {
        "activityType": "tconnect_iob",
        "iob": 1.0,
        "created_at": f"{at:%Y-%m-%dT%H:%M:%S}.000Z",
        "enteredBy": ENTERED_BY,
    }


def test_only_the_newest_insulin_on_board_is_kept_however_old_the_others(world: World) -> None:
    others = {**iob(3), "enteredBy": "somebody else"}
    world.site.insert([iob(1), iob(2), others], "activity")
    world.sync(0, 1, "IOB")
    ours = [a for a in world.site.activity if a["enteredBy"] == ENTERED_BY]
    assert len(ours) == 1
    assert ours[0]["created_at"] > iob(23)["created_at"]
    assert len(world.site.activity) == 2
    assert world.sync(0, 1, "IOB").others == []


def test_the_older_value_goes_only_after_the_new_one_is_stored(world: World) -> None:
    world.site.insert([iob(1)], "activity")

    def refuse(method: str) -> Any:
        return lambda request: Response(b"", 403) if request.method == method else None

    world.site.fault = refuse("POST")
    assert len(world.sync(0, 1, "IOB").failures) == 1
    assert len(world.site.activity) == 1
    world.site.fault = refuse("DELETE")
    assert len(world.sync(0, 1, "IOB").failures) == 1
    assert len(world.site.activity) == 2
    world.site.fault = None
    assert not world.sync(0, 1, "IOB").failures
    assert len(world.site.activity) == 1


def test_when_ws2_is_down_the_value_stays(world: World) -> None:
    world.site.insert([iob(1)], "activity")

    def down(request: Request) -> Response | None:
        return Response(b"", 403) if "therapytimeline2csv" in request.path else None

    world.tandem.fault = down
    assert len(world.sync(0, 1, "IOB").failures) == 1
    assert len(world.site.activity) == 1
