"""The treatments that payloads become, and what becomes of treatments already stored."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tconnectsync.api.tconnect.ws2csv import parse_timeline
from tconnectsync.domain.events import Basal, Bolus, Event, PumpEvent, UserMode
from tconnectsync.nightscout.provenance import Document
from tconnectsync.sources.tconnect.basals import timeline_basals
from tconnectsync.sources.tconnect.boluses import csv_boluses, therapy_boluses
from tconnectsync.sources.tconnect.periods import (
    MODES,
    SUSPENSIONS,
    basal_suspensions,
    timeline_modes,
)
from tests.acceptance.cases import cases, comparable, exception, expected, files, load, text
from tests.acceptance.exceptions import both_parts
from tests.support.event_builders import NEW_YORK, Site, planned, wanted

BUILT = "nightscout_documents.cases.json"
WRITES = "pump_events_write.cases.json"
BOLUSES = "bolus_processing.cases.json"
NEVER = datetime.min.replace(tzinfo=UTC)
PAYLOADS = files(
    "therapy_timeline_*.json",
    "synthetic/therapy_timeline_*.json",
    "therapy_events_*.json",
    "source_samples/therapy_events_*.json",
    "basalsuspension_*.json",
    "ws2_timeline_bolus_*.csv",
)


def events(name: str, skipped: Counter[str]) -> list[Event]:
    if name.endswith(".csv"):
        return [*csv_boluses(parse_timeline(text(name))["bolusData"], NEW_YORK, skipped)]
    payload = load(name)
    return [
        *timeline_basals(payload, NEW_YORK, lambda: NEVER, skipped),
        *timeline_modes(payload, NEW_YORK, skipped),
        *therapy_boluses(payload, NEW_YORK, skipped),
        *basal_suspensions(payload, NEW_YORK, skipped),
    ]


def shown(name: str) -> list[Document]:
    skipped: Counter[str] = Counter()
    bodies = [want.body for want in wanted(*events(name, skipped))]
    assert not skipped
    return bodies


def given(name: str) -> list[Document]:
    """Return the documents that are expected in a Nightscout without any."""
    documents: list[Document] = expected(name).get("nightscout_treatments", [])
    return documents


WITHOUT_OTHERS = [n for n in PAYLOADS if "nightscout_treatments_given_existing" not in expected(n)]


@pytest.mark.parametrize("name", WITHOUT_OTHERS)
def test_a_payload_becomes_the_treatments_recorded(name: str) -> None:
    documents = shown(name)
    assert comparable(documents) == comparable(given(name))
    assert all(value is not None for document in documents for value in document.values())


def test_a_stopped_bolus_says_how_it_ended_and_what_was_requested() -> None:
    assert [d["notes"] for d in shown("ws2_timeline_bolus_four.csv")][-1] == (
        "Standard/Correction (Terminated by Alarm: requested 2.63 units)"
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("therapy_timeline_activity_unknown_type.json", "activity of unknown type 5"),
        ("basalsuspension_unknown_reason.json", "suspension for unknown reason 'unknown'"),
    ],
)
def test_an_unknown_kind_is_counted_and_shows_nothing(name: str, kind: str) -> None:
    assert exception(name)
    skipped: Counter[str] = Counter()
    assert events(name, skipped) == []
    assert skipped == {kind: 1}


def test_of_the_four_kinds_of_therapy_events_the_bolus_alone_is_shown() -> None:
    name = "source_samples/therapy_events_all_four_types.json"
    assert len(exception(name)["event"]) == 4
    bolus = given("therapy_events_bolus_standard.json")
    assert len(bolus) == expected(name)["correct"]["bolus"]
    assert comparable(shown(name)) == comparable(bolus)


def test_an_extended_bolus_shows_both_parts_and_how_it_was_divided() -> None:
    name = "therapy_events_bolus_extended_complete.json"
    assert exception(name)
    (first,) = given(name)
    documents = shown(name)
    assert comparable(documents) == comparable(both_parts(first))
    assert sum(d["insulin"] for d in documents) == documents[0]["enteredinsulin"]


def test_while_the_extended_part_runs_the_immediate_part_is_shown_as_it_stays() -> None:
    name = "therapy_events_bolus_extended_incomplete.json"
    assert exception(name)
    (first,) = given("therapy_events_bolus_extended_complete.json")
    assert comparable(shown(name)) == comparable(both_parts(first)[:1])


def test_an_unfinished_note_of_an_older_program_is_put_right_once_the_bolus_is_done() -> None:
    older = expected("therapy_events_bolus_extended_incomplete.json")
    site = Site(*older["nightscout_treatments_as_1.0.0_writes_them"])
    finished = "therapy_events_bolus_extended_complete.json"
    sync(site, events(finished, Counter()))
    (first,) = given(finished)
    assert comparable(site.stored) == comparable(both_parts(first))


@pytest.mark.parametrize("case", cases(BOLUSES))
def test_boluses_of_the_export_are_kept_named_and_ordered_as_recorded(case: dict[str, Any]) -> None:
    found = csv_boluses(case["bolus_rows"], NEW_YORK, Counter())
    assert comparable(want.body for want in wanted(*found)) == comparable(
        {
            "eventType": "Combo Bolus",
            "created_at": record["completion_time"],
            "carbs": float(record["carbs"]),
            "insulin": float(record["insulin"]),
            "notes": record["description"] + " (Override)" * (record["user_override"] == "1"),
            "enteredBy": "Pump (tconnectsync)",
        }
        for record in case["expected"]
    )


def test_an_extended_bolus_of_the_export_shows_both_parts() -> None:
    case = exception(BOLUSES, "process_bolus_events_ciq_extended_bolus")
    found = csv_boluses(case["bolus_rows"], NEW_YORK, Counter())
    (first,) = given("therapy_events_bolus_extended_complete.json")
    assert comparable(want.body for want in wanted(*found)) == comparable(both_parts(first))


def sync(site: Site, found: list[Event]) -> tuple[int, int]:
    """Bring a site up to date; return how many documents were created and updated."""
    plan = planned(wanted(*found), site.stored)
    site.carry_out(plan)
    assert planned(wanted(*found), site.stored).create == []
    return len(plan.create), len(plan.update)


def test_a_sleep_that_has_grown_is_prolonged_where_it_stands() -> None:
    name = "therapy_timeline_activity_sleep_70min.json"
    assert exception(name)
    (grown,) = expected(name)["nightscout_treatments_given_existing_60min_sleep"]
    exercise = next(d for d in shown(name) if d["eventType"] == "Exercise")
    site = Site({**grown, "duration": 60.0}, exercise)
    assert sync(site, events(name, Counter())) == (0, 1)
    assert comparable(site.stored) == comparable([grown, exercise])


@pytest.mark.parametrize("name", [n for n in PAYLOADS if n not in WITHOUT_OTHERS])
def test_what_an_older_program_has_stored_is_not_stored_again(name: str) -> None:
    stored = given("basalsuspension_sitecart_alarm_manual.json")
    new = expected(name)["nightscout_treatments_given_existing"]
    site = Site(*stored)
    assert sync(site, events(name, Counter())) == (len(new), 0)
    assert comparable(site.stored) == comparable([*stored, *new])


def written(event: dict[str, Any]) -> Event:
    at = datetime.fromisoformat(event["time"])
    name = event["event_type"]
    for kind, shown, automatic in SUSPENSIONS.values():
        if shown == name:
            return PumpEvent(f"{name} {at}", at, kind, shown, automatic)
    (mode,) = (kind for kind, _, shown in MODES.values() if shown == name)
    duration = timedelta(minutes=event["duration_mins"])
    return UserMode(f"{name} {at}", mode, at, duration, name, automatic=True)


def write(case: dict[str, Any]) -> tuple[int, int]:
    """Sync a case; return how many documents were created and updated."""
    stored = [document for document in case["last_uploaded"].values() if document]
    site = Site(*({k: v for k, v in document.items() if k != "_id"} for document in stored))
    done = sync(site, [written(event) for event in case["events"]])
    assert comparable(site.stored) == comparable(case["expected"]["uploaded_treatments"])
    return done


@pytest.mark.parametrize("case", cases(WRITES))
def test_pump_events_are_written_as_recorded(case: dict[str, Any]) -> None:
    assert write(case) == (case["expected"]["count"], 0)


@pytest.mark.parametrize("name", ["write_exercise_events", "write_sleep_events"])
def test_an_activity_that_has_grown_is_prolonged_where_it_stands(name: str) -> None:
    assert exception(WRITES, name)
    new, grown = (case for case in load(WRITES) if case["case"] == name)
    assert write(new) == (1, 0)
    assert write(grown) == (0, 1)


@pytest.mark.parametrize("case", cases(BUILT, document="bolus"))
def test_a_bolus_is_written_down_as_recorded(case: dict[str, Any]) -> None:
    given, at = case["input"], datetime.fromisoformat(case["input"]["created_at"])
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
    )
    assert comparable(want.body for want in wanted(bolus)) == comparable([case["expected"]])


def built(case: dict[str, Any]) -> Event:
    given = case["input"]
    at = datetime.fromisoformat(given["created_at"])
    if case["document"] == "basal":
        duration = timedelta(minutes=given["duration_mins"])
        return Basal("basal", at, duration, given["value"], "profileDelivery")
    reasons = {"basalsuspension": "manual", "sitechange": "site-cart"}
    return PumpEvent("suspension", at, *SUSPENSIONS[reasons[case["document"]]])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("basal", {"reason": "profileDelivery"}),
        ("basalsuspension", {"reason": "User Suspended", "notes": "User Suspended"}),
        ("sitechange", {"reason": "Site/Cartridge Change", "notes": "Site/Cartridge Change"}),
    ],
)
def test_except_for_the_pump_s_own_reason_a_treatment_is_as_recorded(
    name: str, reason: Document
) -> None:
    assert exception(BUILT, name)
    for case in (each for each in load(BUILT) if each["case"] == name):
        documents = [want.body for want in wanted(built(case))]
        assert comparable(documents) == comparable([{**case["expected"], **reason}])
