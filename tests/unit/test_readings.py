"""Glucose readings: read from t:connect, shown as entries and beside boluses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.cli.planview import lines
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Bolus, Reading, ReadingKind, newest_reading
from tconnectsync.nightscout.entries import entries, entry_time, slot
from tconnectsync.nightscout.provenance import ENTERED_BY, Document
from tconnectsync.sources.tconnect.boluses import csv_boluses, therapy_boluses
from tconnectsync.sources.tconnect.glucose import (
    IN_FORCE,
    csv_readings,
    therapy_readings,
    with_glucose_kind,
)
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.plan.glucose import with_entries
from tests.support.event_builders import (
    NEW_YORK,
    NOON,
    Site,
    at,
    bolus,
    both_parts,
    planned,
    wanted,
)

ALL_DAY = TimeRange(at(-720), at(720))
SENSOR, FINGER = ReadingKind.SENSOR, ReadingKind.FINGER


def reading(minutes: float, glucose: int, kind: ReadingKind = SENSOR) -> Reading:
    """Return a reading some minutes after noon."""
    return Reading(f"reading {kind.name} {minutes}", at(minutes), glucose, kind)


def finger(minutes: float, glucose: int) -> Reading:
    return reading(minutes, glucose, FINGER)


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDateTime": "2024-03-05T07:00:08", **fields}


def cgm(value: object, **fields: Any) -> dict[str, Any]:
    return event("CGM", egv={"estimatedGlucoseValue": value}, **fields)


def row(description: str, value: str) -> dict[str, str]:
    return {
        "DeviceType": "t:slim X2 Insulin Pump",
        "Description": description,
        "EventDateTime": "2024-03-05T07:00:08",
        "Readings (CGM / BGM)": value,
    }


def test_therapy_events_separate_the_sensor_s_readings_from_finger_sticks() -> None:
    skipped: Counter[str] = Counter()
    payload = {
        "event": [cgm(174), event("BG", bg=160, cgmCalibration=1), event("Basal"), event("Bolus")]
    }
    found = therapy_readings(payload, NEW_YORK, skipped)
    assert [(r.at, r.glucose, r.kind) for r in found] == [
        (NOON + timedelta(seconds=8), 174, SENSOR),
        (NOON + timedelta(seconds=8), 160, FINGER),
    ]
    assert not skipped


def test_the_export_separates_the_sensor_s_readings_from_all_others() -> None:
    rows = [row("EGV", "135"), row("BG", "140"), row("Something New", "150")]
    found = csv_readings(rows, NEW_YORK, Counter())
    assert [(r.glucose, r.kind) for r in found] == [(135, SENSOR), (140, FINGER), (150, FINGER)]


def test_a_reading_has_one_key_in_both_sources() -> None:
    of_json = therapy_readings({"event": [cgm(135)]}, NEW_YORK, Counter())
    assert of_json == csv_readings([row("EGV", "135")], NEW_YORK, Counter())


@pytest.mark.parametrize("value", [0, 19, 601, -5, None, "", "high", "nan", True, [100]])
def test_a_value_that_cannot_be_true_is_counted_and_the_others_arrive(value: object) -> None:
    skipped: Counter[str] = Counter()
    found = therapy_readings({"event": [cgm(value), cgm(20), cgm(600)]}, NEW_YORK, skipped)
    assert [r.glucose for r in found] == [20, 600]
    assert skipped == {"unreadable glucose reading": 1}


@pytest.mark.parametrize(
    "broken", [cgm(100, eventDateTime="yesterday"), cgm(100, eventDateTime=None), event("CGM")]
)
def test_a_reading_without_time_or_value_is_counted_and_skipped(broken: dict[str, Any]) -> None:
    skipped: Counter[str] = Counter()
    assert therapy_readings({"event": [broken]}, NEW_YORK, skipped) == []
    assert skipped == {"unreadable glucose reading": 1}


def bolus_event(**fields: Any) -> dict[str, Any]:
    done = {"value": 2.0, "completionDateTime": "2024-03-05T07:02:00"}
    standard = {"insulinDelivered": done, "bolusRequestId": 7, "completionStatusDesc": "Completed"}
    return event("Bolus", requestDateTime="2024-03-05T07:00:00", standard=standard, **fields)


@pytest.mark.parametrize(
    ("fields", "glucose"),
    [({"bg": 141}, 141), ({"bg": "141"}, 141), ({"bg": 0}, None), ({}, None), ({"bg": "?"}, None)],
)
def test_a_bolus_keeps_the_glucose_it_was_calculated_with(
    fields: dict[str, Any], glucose: int | None
) -> None:
    (found,) = therapy_boluses({"event": [bolus_event(**fields)]}, NEW_YORK, Counter())
    assert (found.glucose, found.glucose_kind) == (glucose, None)


def test_a_bolus_of_the_export_keeps_its_glucose() -> None:
    rows = [
        {
            "Description": "Standard",
            "BG": "141",
            "RequestDateTime": "2024-03-05T07:00:00",
            "CompletionDateTime": "2024-03-05T07:02:00",
            "InsulinDelivered": "2.00",
            "BolexStartDateTime": "",
        }
    ]
    (found,) = csv_boluses(rows, NEW_YORK, Counter())
    assert found.glucose == 141


def test_an_entry_says_what_nightscout_needs_and_no_more() -> None:
    local = replace(reading(0, 135), at=NEW_YORK.here(at(0)))
    assert entries([local, finger(5, 140)], ALL_DAY) == [
        {
            "type": "sgv",
            "sgv": 135,
            "date": 1709640000000,
            "dateString": "2024-03-05T07:00:00-05:00",
            "device": ENTERED_BY,
        },
        {
            "type": "mbg",
            "mbg": 140,
            "date": 1709640300000,
            "dateString": "2024-03-05T12:05:00+00:00",
            "device": ENTERED_BY,
        },
    ]


def directions(*readings: Reading) -> list[str | None]:
    return [entry.get("direction") for entry in entries(readings, ALL_DAY)]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (0, "Flat"),
        (5, "Flat"),
        (-5, "Flat"),
        (6, "FortyFiveUp"),
        (10, "FortyFiveUp"),
        (11, "SingleUp"),
        (15, "SingleUp"),
        (16, "DoubleUp"),
        (-6, "FortyFiveDown"),
        (-10, "FortyFiveDown"),
        (-11, "SingleDown"),
        (-15, "SingleDown"),
        (-16, "DoubleDown"),
    ],
)
def test_the_direction_is_the_change_in_five_minutes(change: int, name: str) -> None:
    assert directions(reading(0, 120), reading(5, 120 + change)) == [None, name]


def test_over_a_gap_the_direction_is_the_change_per_minute() -> None:
    assert directions(reading(0, 100), reading(15, 130)) == [None, "FortyFiveUp"]


def test_after_more_than_a_quarter_of_an_hour_the_direction_is_unknown() -> None:
    assert directions(reading(0, 100), reading(15.1, 130)) == [None, None]


def test_a_finger_stick_neither_has_nor_makes_a_direction() -> None:
    assert directions(reading(0, 100), finger(4, 300), reading(5, 100)) == [None, None, "Flat"]


def test_two_readings_close_together_make_no_direction_of_their_own() -> None:
    assert directions(reading(0, 100), reading(5, 104), reading(5.5, 108)) == [
        None,
        "Flat",
        "FortyFiveUp",
    ]


def test_two_readings_of_one_second_are_one_entry() -> None:
    found = entries([reading(0, 110), reading(0, 100), finger(0, 105)], ALL_DAY)
    assert [(d["type"], d.get("sgv")) for d in found] == [("sgv", 100), ("mbg", None)]


def test_only_readings_in_the_range_become_entries_and_those_before_give_directions() -> None:
    found = entries([reading(-5, 100), reading(0, 112), reading(5, 112)], TimeRange(at(0), at(5)))
    assert [(d["sgv"], d["direction"]) for d in found] == [(112, "SingleUp")]


READINGS = st.lists(
    st.builds(
        reading, st.integers(0, 300), st.integers(20, 600), st.sampled_from([SENSOR, FINGER])
    ),
    max_size=20,
)


@given(READINGS.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_the_order_in_which_readings_are_reported_does_not_matter(
    orders: tuple[list[Reading], list[Reading]],
) -> None:
    one, other = orders
    found = entries(one, ALL_DAY)
    assert found == entries(other, ALL_DAY)
    slots = [slot(entry) for entry in found]
    assert len(set(slots)) == len(slots) == len({(r.kind, r.at) for r in one})


@given(READINGS, READINGS)
def test_running_again_with_more_readings_only_adds(
    first: list[Reading], late: list[Reading]
) -> None:
    stored = with_entries(Plan(), entries(first, ALL_DAY), []).entries
    plan = with_entries(Plan(), entries(first + late, ALL_DAY), stored)
    slots = [slot(entry) for entry in stored + plan.entries]
    assert len(set(slots)) == len(slots)
    assert plan.kept == len(stored)
    again = with_entries(Plan(), entries(first + late, ALL_DAY), stored + plan.entries)
    assert again.entries == []


def from_another_uploader(minutes: float, **fields: Any) -> Document:
    moment = at(minutes)
    stamp = {"date": moment.timestamp() * 1000, "dateString": moment.isoformat()}
    return {"_id": str(minutes), "type": "sgv", "sgv": 99, **stamp, "device": "xDrip", **fields}


@pytest.mark.parametrize("late", [0, 0.99 / 60])
def test_another_uploader_s_entry_of_the_same_second_is_not_doubled(late: float) -> None:
    plan = with_entries(Plan(), entries([reading(0, 100)], ALL_DAY), [from_another_uploader(late)])
    assert plan == Plan(kept=1)


@pytest.mark.parametrize(
    "other",
    [
        from_another_uploader(1 / 60),
        from_another_uploader(0, type="mbg"),
        from_another_uploader(0, date=None),
        from_another_uploader(0, date=1e300),
        from_another_uploader(0, type=None),
    ],
)
def test_an_entry_of_another_second_or_type_takes_no_place(other: Document) -> None:
    plan = with_entries(Plan(), entries([reading(0, 100)], ALL_DAY), [other])
    assert [entry["sgv"] for entry in plan.entries] == [100]


def test_entries_join_what_else_is_planned() -> None:
    treatments = planned(wanted(bolus(0, 2)), [])
    plan = with_entries(replace(treatments, kept=3), entries([reading(0, 100)], ALL_DAY), [])
    assert (plan.create, len(plan.entries), plan.kept) == (treatments.create, 1, 3)


def test_without_gap_filling_only_entries_newer_than_ours_are_created() -> None:
    (ours,) = entries([reading(5, 100)], ALL_DAY)
    stored = [ours, from_another_uploader(30)]
    readings = [reading(0, 90), reading(5, 100), reading(10, 110), finger(0, 95)]
    plan = with_entries(Plan(), entries(readings, ALL_DAY), stored, fill_gaps=False)
    assert {d.get("sgv", d.get("mbg")) for d in plan.entries} == {95, 110}
    assert plan.kept == 1


def test_a_plan_shows_its_entries() -> None:
    plan = with_entries(Plan(), entries([reading(0, 100), reading(5, 107)], ALL_DAY), [])
    shown = list(lines(plan, NEW_YORK, verbose=True))
    assert shown[0] == "New: 2 sensor readings."
    assert shown[-2] == "  07:05  sensor reading 107 mg/dL"
    assert "direction: FortyFiveUp" in shown[-1]


def test_the_time_of_an_entry_is_its_date() -> None:
    assert entry_time({"date": 1709640000000}) == NOON
    assert [entry_time({"date": date}) for date in (None, "1709640000000", True)] == [None] * 3


def test_a_reading_is_in_force_for_a_quarter_of_an_hour() -> None:
    sensor = [reading(0, 100), reading(5, 110)]
    moments = (-0.1, 0, 4.9, 5, 20, 20.1)
    shown = (newest_reading(sensor, at(m), IN_FORCE) for m in moments)
    values = [found and found.glucose for found in shown]
    assert values == [None, 100, 100, 110, 110, None]
    assert newest_reading([], at(0), IN_FORCE) is None


def with_glucose(glucose: float | None, *readings: Reading, **fields: Any) -> Bolus:
    given = replace(bolus(10, 2, **fields), glucose=glucose)
    (known,) = with_glucose_kind([given], readings)
    assert isinstance(known, Bolus)
    return known


@pytest.mark.parametrize(
    ("readings", "kind"),
    [
        ([reading(8, 141)], SENSOR),
        ([reading(8, 141), reading(3, 130)], SENSOR),
        ([reading(10, 141)], SENSOR),
        ([reading(8, 140)], FINGER),
        ([reading(3, 141), reading(8, 140)], FINGER),
        ([reading(11, 141)], FINGER),
        ([reading(-6, 141)], FINGER),
        ([finger(8, 141)], FINGER),
        ([reading(8, 141), finger(9, 141)], SENSOR),
        ([], FINGER),
    ],
)
def test_glucose_that_the_sensor_showed_at_the_request_came_from_it(
    readings: list[Reading], kind: ReadingKind
) -> None:
    assert with_glucose(141, *readings).glucose_kind is kind


def test_a_bolus_without_glucose_is_left_alone() -> None:
    assert with_glucose(None, reading(8, 141)) == bolus(10, 2)


def shown(*boluses: Bolus) -> list[tuple[Any, ...]]:
    names = ("glucose", "glucoseType", "units")
    return [tuple(want.body.get(name) for name in names) for want in wanted(*boluses)]


def test_a_bolus_shows_its_glucose_with_where_it_came_from_and_its_unit() -> None:
    assert shown(with_glucose(141, reading(8, 141))) == [(141, "Sensor", "mg/dl")]
    assert shown(with_glucose(200.5)) == [(200.5, "Finger", "mg/dl")]


def test_glucose_of_unknown_origin_is_not_shown() -> None:
    assert shown(replace(bolus(0, 2), glucose=141)) == [(None, None, None)]


def test_of_an_extended_bolus_the_immediate_part_shows_the_glucose() -> None:
    known = both_parts(with_glucose(141, extended=True), 120, 1)
    assert shown(*known) == [(141, "Finger", "mg/dl"), (None, None, None)]


PLAIN, KNOWN = bolus(10, 2), with_glucose(141, reading(8, 141))


def site_with(*boluses: Bolus) -> Site:
    site = Site()
    site.carry_out(planned(wanted(*boluses), []))
    return site


def test_switching_the_glucose_of_boluses_on_updates_what_is_stored_once() -> None:
    site = site_with(PLAIN)
    first = planned(wanted(KNOWN), site.stored)
    assert [update.after.body["glucose"] for update in first.update] == [141]
    site.carry_out(first)
    assert planned(wanted(KNOWN), site.stored) == Plan(kept=1)


def test_switching_it_off_again_touches_nothing() -> None:
    site = site_with(KNOWN)
    assert planned(wanted(PLAIN), site.stored) == Plan(kept=1)
    assert planned(wanted(KNOWN), site.stored) == Plan(kept=1)


def test_a_bolus_that_finishes_after_it_was_switched_off_keeps_its_glucose() -> None:
    begun = with_glucose(141, reading(8, 141), running=True, requested=3)
    site = site_with(begun)
    site.carry_out(planned(wanted(bolus(10, 3)), site.stored))
    (document,) = site.stored
    assert (document["insulin"], document["glucose"]) == (3, 141)
    finished = with_glucose(141, reading(8, 141))
    grown = replace(finished, insulin=3.5, requested=3.5)
    assert [u.after.body["insulin"] for u in planned(wanted(grown), site.stored).update] == [3.5]


def test_glucose_follows_readings_that_arrive_late() -> None:
    site = site_with(with_glucose(141))
    site.carry_out(planned(wanted(KNOWN), site.stored))
    assert site.stored[0]["glucoseType"] == "Sensor"


@pytest.mark.parametrize(
    "change", [{"glucose": 99}, {"glucoseType": "Finger"}, {"glucose": None}, {"insulin": 9.9}]
)
def test_what_a_person_made_of_the_glucose_is_never_written_again(change: Document) -> None:
    site = site_with(KNOWN)
    for document in site.documents.values():
        document.update(change)
    grown = replace(KNOWN, insulin=2.5)
    assert planned(wanted(grown), site.stored) == Plan(kept=1)


def test_glucose_that_a_person_added_is_never_overwritten() -> None:
    site = site_with(PLAIN)
    for document in site.documents.values():
        document.update(glucose=99, glucoseType="Finger", units="mg/dl")
    assert planned(wanted(KNOWN), site.stored) == Plan(kept=1)


def test_a_bolus_of_an_older_version_is_left_without_glucose() -> None:
    ours = ("identifier", "syncIdentifier", "checksum")
    (want,) = wanted(PLAIN)
    old = {name: value for name, value in want.body.items() if name not in ours} | {"_id": "a"}
    assert planned(wanted(KNOWN), [old]) == Plan(kept=1)


def test_readings_of_an_hour_that_the_clock_repeats_do_no_harm() -> None:
    night = cgm(100, eventDateTime="2024-11-03T01:30:00")
    found = therapy_readings({"event": [night, night]}, NEW_YORK, Counter())
    (entry,) = entries(found, TimeRange(at(0), at(0) + timedelta(days=365)))
    assert entry_time(entry) == datetime(2024, 11, 3, 5, 30, tzinfo=UTC)
