"""Recorded glucose readings: the entries they become, and what they say about boluses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tconnectsync.api.tconnect.ws2csv import parse_timeline
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Bolus, Reading, ReadingKind, newest_reading
from tconnectsync.nightscout.entries import entries
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.treatments import GLUCOSE_TYPES
from tconnectsync.sources.tconnect.boluses import csv_boluses, therapy_boluses
from tconnectsync.sources.tconnect.glucose import (
    IN_FORCE,
    csv_readings,
    therapy_readings,
    with_glucose_kind,
)
from tests.acceptance.cases import cases, exception, expected, load
from tests.support.event_builders import NEW_YORK, wanted

BUILT = "nightscout_documents.cases.json"
BOLUSES = "bolus_processing.cases.json"
READING_AT_TIME = "reading_at_time.cases.json"
ALWAYS = TimeRange(datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def recorded(record: dict[str, Any]) -> Reading:
    assert record["type"] == "EGV"
    return Reading(record["time"], instant(record["time"]), int(record["bg"]), ReadingKind.SENSOR)


def comparable(documents: Iterable[Document]) -> list[Document]:
    """Return entries in time order; instants are compared, not their texts."""
    ours = [{**entry, "dateString": instant(entry["dateString"])} for entry in documents]
    return sorted(ours, key=lambda entry: entry["date"])


def test_readings_of_the_export_become_the_entries_recorded_and_show_their_direction() -> None:
    name = "ws2_timeline_readings.csv"
    readings = csv_readings(parse_timeline(exception(name))["readingData"], NEW_YORK, Counter())
    assert readings != []
    result = expected(name)
    assert [(r.at, r.glucose) for r in readings] == [
        (instant(r["time"]), int(r["bg"])) for r in result["parsed_readings"]
    ]
    found = entries(readings, ALWAYS)
    directions = [entry.pop("direction", None) for entry in found]
    assert comparable(found) == comparable(result["nightscout_entries"])
    assert directions == [None, None, "FortyFiveUp", "FortyFiveUp"]


@pytest.mark.parametrize("case", cases(BUILT, document="entry"))
def test_an_entry_is_written_down_as_recorded(case: dict[str, Any]) -> None:
    given = case["input"]
    reading = recorded({"time": given["created_at"], "bg": given["sgv"], "type": "EGV"})
    assert comparable(entries([reading], ALWAYS)) == comparable([case["expected"]])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("therapy_events_cgm_egv.json", ReadingKind.SENSOR),
        ("source_samples/therapy_events_bg_calibration.json", ReadingKind.FINGER),
    ],
)
def test_a_reading_of_therapy_events_means_what_is_recorded(name: str, kind: ReadingKind) -> None:
    (reading,) = therapy_readings(load(name), NEW_YORK, Counter())
    parsed = expected(name)["parsed"]
    wall = reading.at.replace(tzinfo=None)
    assert (wall, reading.glucose) == (instant(parsed["eventDateTime"]), parsed["egv"])
    assert reading.kind is kind


def test_of_the_four_kinds_of_therapy_events_two_are_readings() -> None:
    name = "source_samples/therapy_events_all_four_types.json"
    skipped: Counter[str] = Counter()
    kinds = Counter(r.kind for r in therapy_readings(exception(name), NEW_YORK, skipped))
    right = expected(name)["correct"]
    assert kinds == {ReadingKind.SENSOR: right["cgm"], ReadingKind.FINGER: right["bg"]}
    assert not skipped


def test_a_basal_event_is_no_reading() -> None:
    events = load("source_samples/therapy_events_basal.json")
    assert len(events["event"]) == 1
    assert therapy_readings(events, NEW_YORK, Counter()) == []


def test_the_reading_recorded_is_in_force_for_a_quarter_of_an_hour() -> None:
    table = exception(READING_AT_TIME)
    readings = [recorded(record) for record in table["readings"]]
    expired = []
    for case in table["cases"]:
        at = instant(case["at"])
        right = recorded(case["expected"]) if case["expected"] else None
        if right and at - right.at > timedelta(minutes=15):
            expired.append(case["case"])
            right = None
        assert newest_reading(readings, at, IN_FORCE) == right
    assert expired == ["find_event_at_large_gap", "find_event_at_most_recent"]


@pytest.mark.parametrize("case", cases(BOLUSES))
def test_the_glucose_of_a_bolus_is_as_recorded(case: dict[str, Any]) -> None:
    readings = [recorded(record) for record in case["readings"] or []]
    boluses = csv_boluses(case["bolus_rows"], NEW_YORK, Counter())
    known = with_glucose_kind(boluses, readings)
    shown = [(want.body.get("glucose"), want.body.get("glucoseType")) for want in wanted(*known)]
    default = None if case["readings"] else "Finger"
    assert shown == [
        (int(record["bg"]), record.get("bg_type", default)) if record["bg"] else (None, None)
        for record in case["expected"]
    ]


def test_an_automatic_bolus_of_therapy_events_has_its_glucose() -> None:
    name = "therapy_events_bolus_automatic_correction.json"
    (bolus,) = therapy_boluses(load(name), NEW_YORK, Counter())
    assert bolus.glucose == int(expected(name)["parsed_bolus"]["bg"])


def built(case: dict[str, Any]) -> Document:
    """Return the treatment for a bolus as a case describes it."""
    given = case["input"]
    kinds = {name: kind for kind, name in GLUCOSE_TYPES.items()}
    at = instant(given["created_at"])
    bolus = Bolus(
        key="bolus",
        requested_at=at,
        completed=at,
        insulin=given["bolus"],
        requested=None,
        carbs=given["carbs"],
        description="",
        incomplete="",
        override=False,
        glucose=float(given["bg"]),
    )
    (want,) = wanted(replace(bolus, glucose_kind=kinds.get(given.get("bg_type"))))
    return want.body


def cases_named(name: str) -> list[dict[str, Any]]:
    assert exception(BUILT, name)
    return [case for case in load(BUILT) if case["case"] == name]


def test_glucose_is_written_down_as_recorded_but_as_a_number_with_its_unit() -> None:
    for case in cases_named("bolus_with_bg"):
        document, right = built(case), case["expected"]
        assert document["glucose"] == float(right["glucose"])
        assert (document["glucoseType"], document["units"]) == (right["glucoseType"], "mg/dl")
        assert (document["insulin"], document["carbs"]) == (right["insulin"], right["carbs"])


def test_glucose_of_an_unknown_kind_is_not_shown() -> None:
    found = cases_named("bolus_with_bg_invalid_type")
    assert len(found) == 3
    for case in found:
        document = built(case)
        assert document["insulin"] == case["input"]["bolus"]
        assert not {"glucose", "glucoseType", "units"} & document.keys()
