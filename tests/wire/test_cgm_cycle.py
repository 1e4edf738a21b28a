"""Readings and the glucose of boluses, from the simulated t:connect to the small Nightscout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tconnectsync.errors import NightscoutError
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.provenance import ENTERED_BY, Document
from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.run.apply import apply
from tests.support.clocks import NO_WAITING
from tests.support.command import SECRET, cloud
from tests.support.event_builders import NEW_YORK
from tests.support.world import FIRST, TConnectWorld, World, at, broken

NOON = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
AT_MOST = timedelta(minutes=15)


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(FIRST, 4)


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def world(request: pytest.FixtureRequest, life: PumpHistory) -> Iterator[TConnectWorld]:
    keyed = request.param
    with cloud(life) as tconnect, SmallNightscout(SECRET, keyed_by_identifier=keyed) as nightscout:
        yield World(tconnect, nightscout)


def second(wall: datetime) -> int:
    return int(NEW_YORK.instant(wall).timestamp())


def expected(life: PumpHistory, days: int) -> list[tuple[str, int, int]]:
    """Return type, second and value of what the first days' readings become."""
    end = at(days, 0)
    found = [("sgv", second(r.at), r.mgdl) for r in life.readings if r.at < end]
    found += [("mbg", second(s.at), s.mgdl) for s in life.finger_sticks if s.at < end]
    return sorted(found)


def arrived(world: TConnectWorld) -> list[tuple[str, int, int]]:
    return sorted(
        (entry["type"], entry["date"] // 1000, entry[entry["type"]])
        for entry in world.site.entries
        if entry["device"] == ENTERED_BY
    )


def edited_events(
    world: TConnectWorld, edit: Callable[[list[Any]], list[Any]]
) -> Callable[[Request], Response | None]:
    """Return a fault that changes the therapy events of an answer."""

    def fault(request: Request) -> Response | None:
        if "TherapyEvents" not in request.path:
            return None
        faults, world.tandem.fault = world.tandem.fault, None
        answer = world.tandem.answer(request)
        world.tandem.fault = faults
        assert isinstance(answer, Response)
        return Response(json.dumps({"event": edit(json.loads(answer.body)["event"])}).encode())

    return fault


def no_sensor(events: list[Any]) -> list[Any]:
    return [event for event in events if event["type"] != "CGM"]


def without_readings(world: TConnectWorld) -> Callable[[Request], Any]:
    """Return a fault with which boluses can be had and readings cannot."""
    events, export = edited_events(world, no_sensor), broken("2csv", Response(b"", 403))
    return lambda request: events(request) or export(request)


def test_readings_arrive_and_a_second_run_writes_nothing(
    world: TConnectWorld, life: PumpHistory
) -> None:
    first = world.sync(0, 1, "CGM")
    assert arrived(world) == expected(life, 2)
    assert (first.created, first.updated, first.kept) == (len(expected(life, 2)), 0, 0)
    assert world.asked("therapytimeline2csv") == 0
    written = world.site.writes
    second_run = world.sync(0, 1, "CGM")
    assert (second_run.created, second_run.updated, second_run.kept) == (0, 0, first.created)
    assert world.site.writes == written == first.created
    assert not first.failures + second_run.failures


def test_readings_show_where_they_are_heading_across_midnight_too(
    world: TConnectWorld,
) -> None:
    world.sync(1, 1, "CGM")
    sensor = [entry for entry in world.site.entries if entry["type"] == "sgv"]
    assert len(sensor) == 288
    assert all("direction" in entry for entry in sensor)
    assert not [d for d in world.site.entries if d["type"] == "mbg" and "direction" in d]


def test_readings_travel_in_batches(world: TConnectWorld) -> None:
    world.sync(0, 0, "CGM")
    writes = [e.request for e in world.site.log if e.request.method == "POST"]
    assert {request.path for request in writes} == {"/api/v1/entries.json"}
    assert len(writes) == 3
    assert max(len(json.loads(request.body)) for request in writes) == 100


def test_without_therapy_events_the_csv_export_brings_the_same_readings(
    world: TConnectWorld,
) -> None:
    world.tandem.fault = broken("TherapyEvents", Response(b"", 403))
    assert not world.sync(0, 1, "CGM").failures
    from_csv = world.site.entries
    assert len(from_csv) > 576
    world.tandem.fault = None
    assert world.sync(0, 1, "CGM").created == 0
    assert world.site.entries == from_csv


def test_where_therapy_events_have_no_sensor_readings_the_csv_export_does(
    world: TConnectWorld, life: PumpHistory
) -> None:
    world.tandem.fault = edited_events(world, no_sensor)
    assert not world.sync(0, 1, "CGM").failures
    assert arrived(world) == expected(life, 2)


def test_basal_events_are_not_taken_for_readings(world: TConnectWorld, life: PumpHistory) -> None:
    def basals_only(events: list[Any]) -> list[Any]:
        basal = {"type": "Basal", "eventDateTime": "2024-06-03T00:00:00", "description": "NDE"}
        return [basal, *(event for event in events if event["type"] == "Bolus")]

    world.tandem.fault = edited_events(world, basals_only)
    world.sync(0, 0, "CGM")
    assert arrived(world) == expected(life, 1)


def test_when_no_source_answers_only_the_readings_fail(world: TConnectWorld) -> None:
    world.tandem.fault = without_readings(world)
    outcome = world.sync(0, 0, "BASAL", "BOLUS", "CGM")
    assert [failure.features for failure in outcome.failures] == [("CGM",)]
    assert world.kinds() == {"Temp Basal", "Combo Bolus"}
    assert world.site.entries == []


def test_readings_and_boluses_together_both_arrive(world: TConnectWorld, life: PumpHistory) -> None:
    outcome = world.sync(0, 0, "BOLUS", "CGM")
    assert arrived(world) == expected(life, 1)
    assert world.kinds() == {"Combo Bolus"}
    assert outcome.created == len(world.site.treatments) + len(world.site.entries)
    assert world.asked("TherapyEvents") == 1


def test_another_uploader_s_entries_are_neither_doubled_nor_changed(
    world: TConnectWorld, life: PumpHistory
) -> None:
    last_of_the_day = life.readings[287]
    moment = NEW_YORK.instant(last_of_the_day.at).astimezone(UTC)
    theirs: Document = {
        "type": "sgv",
        "sgv": 77,
        "date": int(moment.timestamp()) * 1000 + 250,
        "dateString": moment.isoformat(),
        "sysTime": moment.isoformat(),
        "device": "share2",
    }
    world.site.insert([theirs], "entries")
    world.sync(0, 0, "CGM")
    assert arrived(world) == [e for e in expected(life, 1) if e[1] != theirs["date"] // 1000]
    (kept,) = [d for d in world.site.entries if d["device"] == "share2"]
    assert {name: kept[name] for name in theirs} == theirs


def test_a_reading_that_arrives_late_is_added_and_changes_no_other(
    world: TConnectWorld, life: PumpHistory
) -> None:
    world.tandem.hidden = {life.readings[50], life.readings[51]}
    world.sync(0, 0, "CGM")
    before = world.site.entries
    world.tandem.hidden = set()
    outcome = world.sync(0, 0, "CGM")
    assert (outcome.created, outcome.updated) == (2, 0)
    assert arrived(world) == expected(life, 1)
    assert [entry for entry in world.site.entries if entry in before] == before
    assert world.sync(0, 0, "CGM").created == 0


def test_readings_of_the_future_wait(world: TConnectWorld, life: PumpHistory) -> None:
    now = NEW_YORK.instant(at(0, 23.6))
    world.sync(0, 0, "CGM", now=now)
    assert arrived(world) == [e for e in expected(life, 1) if e[1] < now.timestamp()]
    world.sync(0, 0, "CGM")
    assert arrived(world) == expected(life, 1)


def test_a_secret_that_is_not_good_for_entries_is_tried_once_where_nothing_else_is_synced(
    world: TConnectWorld,
) -> None:
    world.site.fault = broken("entries", Response(b"", 401))
    outcome = world.sync(0, 3, "CGM")
    assert outcome.ended_by
    assert [entry.status for entry in world.site.log] == [401]


def test_pretending_counts_readings_and_writes_none(world: TConnectWorld) -> None:
    pretended = world.sync(0, 1, "CGM", "BOLUS", "BOLUS_BG", pretend=True)
    assert not [e for e in world.site.log if e.request.method != "GET"]
    real = world.sync(0, 1, "CGM", "BOLUS", "BOLUS_BG")
    assert (pretended.created, pretended.updated) == (real.created, real.updated)


def test_a_failed_read_of_entries_never_means_that_there_are_none(
    world: TConnectWorld,
) -> None:
    world.site.fault = lambda request: (
        Response(b"null") if "entries" in request.path and request.method == "GET" else None
    )
    outcome = world.sync(0, 0, "BOLUS", "CGM")
    assert [failure.features for failure in outcome.failures] == [("CGM",)]
    assert world.site.entries == []
    assert world.kinds() == {"Combo Bolus"}


def glucose(world: TConnectWorld) -> dict[int, tuple[Any, ...]]:
    """Return what the boluses of a site show of glucose, by the second of their completion."""
    return {
        int(datetime.fromisoformat(d["created_at"]).timestamp()): (d["glucose"], d["glucoseType"])
        for d in world.site.treatments
        if d.get("units") == "mg/dl"
    }


def sensor_or_finger(life: PumpHistory, days: int) -> dict[int, tuple[Any, ...]]:
    """Return what the boluses requested on the first days should show."""
    result = {}
    for bolus in life.boluses:
        if bolus.glucose is None or bolus.requested >= at(days, 0):
            continue
        shown = [r for r in life.readings if timedelta() <= bolus.requested - r.at <= AT_MOST]
        same = bool(shown) and shown[-1].mgdl == bolus.glucose
        kind = "Sensor" if same else "Finger"
        result[second(bolus.completed or bolus.requested)] = (bolus.glucose, kind)
    return result


def test_boluses_show_the_glucose_they_were_calculated_with(
    world: TConnectWorld, life: PumpHistory
) -> None:
    first = world.sync(0, 2, "BOLUS_BG")
    assert glucose(world) == sensor_or_finger(life, 3)
    assert {kind for _, kind in glucose(world).values()} == {"Sensor", "Finger"}
    assert first.created == len(world.site.treatments)
    again = world.sync(0, 2, "BOLUS", "BOLUS_BG")
    assert (again.created, again.updated) == (0, 0)
    assert world.site.entries == []


def test_glucose_can_be_switched_on_later_and_off_again(
    world: TConnectWorld, life: PumpHistory
) -> None:
    world.sync(0, 2, "BOLUS")
    assert glucose(world) == {}
    assert world.sync(0, 2, "BOLUS", "BOLUS_BG").updated == len(sensor_or_finger(life, 3))
    stored = world.site.treatments
    for features in (("BOLUS",), ("BOLUS", "BOLUS_BG"), ("BOLUS",)):
        outcome = world.sync(0, 2, *features)
        assert (outcome.created, outcome.updated) == (0, 0)
    assert world.site.treatments == stored
    assert glucose(world) == sensor_or_finger(life, 3)


def test_glucose_stays_when_the_readings_cannot_be_had(world: TConnectWorld) -> None:
    world.sync(0, 1, "BOLUS", "BOLUS_BG")
    stored = world.site.treatments
    world.tandem.fault = without_readings(world)
    outcome = world.sync(0, 1, "BOLUS", "BOLUS_BG")
    assert [failure.features for failure in outcome.failures] == [("BOLUS_BG",)]
    assert (outcome.created, outcome.updated) == (0, 0)
    assert world.site.treatments == stored


def test_what_two_features_need_fails_for_both(world: TConnectWorld) -> None:
    world.tandem.fault = lambda request: (
        Response(b"", 403) if request.path.startswith(("/tconnect/", "/therapy")) else None
    )
    outcome = world.sync(0, 0, "BOLUS_BG", "CGM")
    assert [f.features for f in outcome.failures] == [("BOLUS_BG",), ("BOLUS_BG", "CGM")]


def entry(number: int, **fields: Any) -> Document:
    moment = NOON + timedelta(minutes=5 * number)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"
    times = {"date": int(moment.timestamp() * 1000), "dateString": stamp, "sysTime": stamp}
    return {"type": "sgv", "sgv": 100, **times, "device": ENTERED_BY, **fields}


def client(site: SmallNightscout) -> NightscoutApi:
    return NightscoutApi(site.url, SECRET, HttpClient("Nightscout", NO_WAITING))


@pytest.mark.parametrize("limit", [1000, 150])
def test_entries_are_read_page_by_page_to_the_end(world: TConnectWorld, limit: int) -> None:
    site = world.site
    site.insert([entry(number) for number in range(2500)], "entries")

    def capped(request: Request) -> None:
        request.query["count"] = str(min(limit, int(request.query["count"])))

    site.fault = capped
    found = client(site).entries(NOON, NOON + timedelta(days=30))
    assert sorted(d["date"] for d in found) == [d["date"] for d in site.entries]


def test_many_entries_of_one_instant_are_read_to_the_end(world: TConnectWorld) -> None:
    world.site.insert([entry(0, type=f"kind {n}") for n in range(1200)], "entries")
    assert len(client(world.site).entries(NOON, NOON)) == 1200


def test_the_bounds_of_entries_are_included(world: TConnectWorld) -> None:
    world.site.insert([entry(number) for number in range(5)], "entries")
    found = client(world.site).entries(NOON + timedelta(minutes=5), NOON + timedelta(minutes=15))
    assert sorted(d["date"] for d in found) == [entry(n)["date"] for n in (1, 2, 3)]


def test_the_newest_entry_of_ours_is_found_however_old(world: TConnectWorld) -> None:
    api = client(world.site)
    assert api.newest("sgv") is None
    others = [entry(9, device="share2"), entry(8, type="mbg")]
    world.site.insert([entry(0), entry(3), *others], "entries")
    assert api.newest("sgv") == NOON + timedelta(minutes=15)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"[1]", b'"2024-06-03"\t1717387200000'])
def test_an_answer_that_is_no_list_of_entries_never_means_none(
    world: TConnectWorld, body: bytes
) -> None:
    world.site.fault = lambda request: Response(body)
    with pytest.raises(NightscoutError, match="did not answer with a list of entries"):
        client(world.site).entries(NOON, NOON)


def test_nothing_to_create_is_no_request(world: TConnectWorld) -> None:
    apply(Plan(), client(world.site))
    assert world.site.log == []
