"""Profiles and insulin on board between the simulated t:connect and the small Nightscout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from tconnectsync import config
from tconnectsync.app import assemble
from tconnectsync.clock import Clock
from tconnectsync.nightscout.keys import safe_key
from tconnectsync.nightscout.provenance import ENTERED_BY
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import date_range
from tests.support.command import EMAIL, PASSWORD, SECRET, SERIAL, cloud
from tests.support.settings import host

FIRST = date(2024, 6, 3)
LIFE = live(FIRST, 2)


@dataclass
class World:
    """The two servers and the ordinary program between them."""

    tconnect: SimulatedTConnect
    nightscout: SmallNightscout

    def sync(self, *features: str, pretend: bool = False, **variables: str) -> Outcome:
        """Sync two days."""
        url = self.tconnect.url
        given = {
            "TCONNECT_SOURCE": "tconnect",
            "TCONNECT_EMAIL": EMAIL,
            "TCONNECT_PASSWORD": PASSWORD,
            "PUMP_SERIAL_NUMBER": SERIAL,
            "NS_URL": self.nightscout.url,
            "NS_SECRET": SECRET,
            "TIMEZONE_NAME": "America/New_York",
            "TCONNECT_WEB_URL": url,
            "TCONNECT_SERVICES_URL": url,
            "TCONNECT_WS2_URL": url,
        }
        settings = config.load(given | variables, {})
        cycle = assemble(settings, features, host(clock=Clock()), pretend=pretend)
        last = FIRST + timedelta(days=1)
        return cycle.run(date_range(FIRST, last, cycle.clock, cycle.now()))

    def change_first_rate(self, rate: float) -> None:
        """Set another basal rate at midnight in the pump's active profile."""
        pages = self.tconnect.account_pages
        profiles = list(pages.settings.profiles)
        index = next(i for i, profile in enumerate(profiles) if profile.active)
        first, *others = profiles[index].segments
        segments = (replace(first, basal_rate=rate), *others)
        profiles[index] = replace(profiles[index], segments=segments)
        settings = replace(pages.settings, profiles=tuple(profiles))
        self.tconnect.account_pages = replace(pages, settings=settings)

    def rename_active(self, name: str) -> None:
        """Call the pump's active profile so."""
        pages = self.tconnect.account_pages
        profiles = tuple(
            replace(profile, name=name) if profile.active else profile
            for profile in pages.settings.profiles
        )
        settings = replace(pages.settings, profiles=profiles)
        self.tconnect.account_pages = replace(pages, settings=settings)

    @property
    def record(self) -> dict[str, Any]:
        """The profile record in force."""
        return self.nightscout.profiles[-1]

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
    outcome = world.sync("PROFILES")
    assert not outcome.failures
    settings = world.tconnect.account_pages.settings
    assert set(world.record["store"]) == {safe_key(profile.name) for profile in settings.profiles}
    assert [p.name for p in settings.profiles if p.active] == [world.record["defaultProfile"]]
    assert outcome.others[0].startswith("Profile record added")
    assert world.record["startDate"] <= datetime.now(UTC).isoformat()


def test_a_second_run_adds_no_record(world: World) -> None:
    world.sync("PROFILES")
    for mode in ("add", "replace"):
        assert world.sync("PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []
    assert len(world.nightscout.profiles) == 1


@pytest.mark.parametrize(("mode", "records"), [("add", 2), ("replace", 1)])
def test_a_change_on_the_pump_arrives(world: World, mode: str, records: int) -> None:
    world.sync("PROFILES")
    world.change_first_rate(1.55)
    outcome = world.sync("PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode)
    assert len(outcome.others) == 1
    assert len(world.nightscout.profiles) == records
    assert world.first_rate() == 1.55
    assert world.sync("PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []


def test_a_person_s_own_profile_survives(world: World) -> None:
    own = {"store": {"Holiday": {"dia": 4}}, "defaultProfile": "Holiday", "mine": True}
    world.nightscout.insert([own | {"startDate": "2024-01-01T00:00:00.000Z"}], "profile")
    world.sync("PROFILES")
    assert world.record["store"]["Holiday"] == {"dia": 4}
    assert world.record["mine"] is True
    assert world.record["defaultProfile"] != "Holiday"


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_a_name_that_nightscout_escapes_is_put_right_at_once(world: World, mode: str) -> None:
    world.rename_active("Work & gym")
    assert len(world.sync("PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others) == 1
    assert world.record["defaultProfile"] == "Work & gym"
    assert world.first_rate() > 0
    assert world.sync("PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []
    assert len(world.nightscout.profiles) == 1


def test_a_record_that_another_program_adds_meanwhile_is_not_put_right(world: World) -> None:
    other = {"startDate": "2998-01-01T00:00:00.000Z", "defaultProfile": "Theirs", "store": {}}

    def add(request: Request) -> Response | None:
        if request.method == "POST":
            world.nightscout.insert([other], "profile")
        return None

    world.nightscout.fault = add
    world.sync("PROFILES")
    assert {name: world.record[name] for name in other} == other


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_a_record_from_the_future_which_would_hide_ours_is_replaced(
    world: World, mode: str
) -> None:
    later = {"store": {"Holiday": {"dia": 4}}, "defaultProfile": "Holiday"}
    world.nightscout.insert([later | {"startDate": "2998-01-01T00:00:00.000Z"}], "profile")
    outcome = world.sync("PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode)
    assert outcome.others[0].startswith("Profile record replaced")
    (record,) = world.nightscout.profiles
    assert record["startDate"] <= datetime.now(UTC).isoformat()
    assert record["store"]["Holiday"] == {"dia": 4}
    assert record["defaultProfile"] != "Holiday"
    assert world.sync("PROFILES", NIGHTSCOUT_PROFILE_UPLOAD_MODE=mode).others == []


def test_a_record_without_a_date_is_not_one_from_the_future(world: World) -> None:
    undated = {"store": {"Holiday": {"dia": 4}}, "defaultProfile": "Holiday"}
    world.nightscout.insert([undated], "profile")
    assert world.sync("PROFILES").others[0].startswith("Profile record added")
    assert len(world.nightscout.profiles) == 2


@pytest.mark.parametrize("failure", [Fault.DROP, Response(b"", 503)], ids=["cut", "503"])
@pytest.mark.parametrize(("feature", "collection"), [("PROFILES", "profiles"), ("IOB", "activity")])
def test_what_is_stored_though_its_answer_is_lost_is_not_sent_again(
    world: World, feature: str, collection: str, failure: Response | Fault
) -> None:
    site = world.nightscout
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
    assert len(world.sync(feature).failures) == 1
    assert len(sent) == len(getattr(site, collection)) == 1
    again = world.sync(feature)
    assert (again.failures, again.others) == ([], [])
    assert len(sent) == len(getattr(site, collection)) == 1


def test_a_record_that_is_listed_twice_is_not_removed_as_one_too_many(world: World) -> None:
    world.sync("IOB")
    site = world.nightscout
    (record,) = site.activity

    def stutter(request: Request) -> Response | None:
        listing = request.method == "GET" and "activity" in request.path
        return Response(json.dumps([record, record]).encode()) if listing else None

    site.fault = stutter
    assert not world.sync("IOB").failures
    assert site.activity == [record]


def test_a_pump_that_the_account_does_not_have_is_reported_and_nothing_written(
    world: World,
) -> None:
    outcome = world.sync("PROFILES", "BOLUS", PUMP_SERIAL_NUMBER="00777777")
    (failure,) = outcome.failures
    assert failure.features == ("PROFILES",)
    assert "042" in str(failure.error)
    assert SERIAL not in str(failure.error)
    assert world.nightscout.profiles == []
    assert outcome.created > 0


def test_pretending_shows_a_profile_change_and_writes_nothing(world: World) -> None:
    assert len(world.sync("PROFILES", "IOB", pretend=True).others) == 2
    assert world.nightscout.profiles == []
    assert world.nightscout.activity == []


def test_a_failed_read_of_the_profile_never_means_that_there_is_none(world: World) -> None:
    world.nightscout.fault = lambda request: (
        Response(b"") if request.path.endswith("profile/current") else None
    )
    assert len(world.sync("PROFILES").failures) == 1
    assert world.nightscout.profiles == []


def test_a_site_in_mmol_gets_mmol() -> None:
    with cloud(LIFE) as tconnect, SmallNightscout(SECRET, units="mmol") as site:
        world = World(tconnect, site)
        world.sync("PROFILES")
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
    world.nightscout.insert([iob(1), iob(2), others], "activity")
    world.sync("IOB")
    ours = [a for a in world.nightscout.activity if a["enteredBy"] == ENTERED_BY]
    assert len(ours) == 1
    assert ours[0]["created_at"] > iob(23)["created_at"]
    assert len(world.nightscout.activity) == 2
    assert world.sync("IOB").others == []


def test_the_older_value_goes_only_after_the_new_one_is_stored(world: World) -> None:
    world.nightscout.insert([iob(1)], "activity")

    def refuse(method: str) -> Any:
        return lambda request: Response(b"", 403) if request.method == method else None

    world.nightscout.fault = refuse("POST")
    assert len(world.sync("IOB").failures) == 1
    assert len(world.nightscout.activity) == 1
    world.nightscout.fault = refuse("DELETE")
    assert len(world.sync("IOB").failures) == 1
    assert len(world.nightscout.activity) == 2
    world.nightscout.fault = None
    assert not world.sync("IOB").failures
    assert len(world.nightscout.activity) == 1


def test_when_ws2_is_down_the_value_stays(world: World) -> None:
    world.nightscout.insert([iob(1)], "activity")

    def down(request: Request) -> Response | None:
        return Response(b"", 403) if "therapytimeline2csv" in request.path else None

    world.tconnect.fault = down
    assert len(world.sync("IOB").failures) == 1
    assert len(world.nightscout.activity) == 1
