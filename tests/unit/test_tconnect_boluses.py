"""Boluses of TherapyEvents and of the CSV export."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tconnectsync.domain.events import Bolus
from tconnectsync.nightscout.provenance import Document
from tconnectsync.sources.tconnect.boluses import csv_boluses, therapy_boluses
from tests.support.event_builders import NEW_YORK, wanted


def event(**changes: Any) -> dict[str, Any]:
    """Return a finished bolus of 4 U for 40 g, as TherapyEvents reports it."""
    return {
        "type": "Bolus",
        "description": "Standard",
        "bolusRequestOptions": "Standard",
        "requestDateTime": "2024-03-05T12:00:00",
        "eventDateTime": "2024-03-05T12:00:00",
        "carbSize": 40,
        "userOverride": 0,
        "actualTotalBolusRequested": 4,
        "standardPercent": 100,
        "duration": 0,
        "standard": {
            "insulinDelivered": {"value": 4, "completionDateTime": "2024-03-05T12:03:00"},
            "insulinRequested": 4,
            "completionStatusDesc": "Completed",
            "bolusIsComplete": 1,
            "bolusRequestId": 77.0,
        },
        **changes,
    }


def standard(**changes: Any) -> dict[str, Any]:
    return {**event()["standard"], **changes}


def extended(**bolex: Any) -> dict[str, Any]:
    return event(
        description="Extended 50.00%/2.00",
        bolusRequestOptions="Extended",
        standardPercent=50,
        duration=120,
        standard=standard(
            insulinDelivered={"value": 2, "completionDateTime": "2024-03-05T12:03:00"},
            insulinRequested=2,
        ),
        bolex={"size": 2, "bolexStartDateTime": "2024-03-05T12:03:00", **bolex},
    )


DONE = {
    "insulinDelivered": {"value": 2, "completionDateTime": "2024-03-05T14:03:00"},
    "completionStatusDesc": "Completed",
    "insulinRequested": 2,
}


def read(*events: dict[str, Any]) -> list[Bolus]:
    return therapy_boluses({"event": list(events)}, NEW_YORK, Counter())


def shown(*events: dict[str, Any]) -> list[Document]:
    return [want.body for want in wanted(*read(*events))]


def test_a_finished_bolus_stands_at_its_completion() -> None:
    (document,) = shown(event())
    assert document["created_at"] == "2024-03-05T12:03:00-05:00"
    assert (document["insulin"], document["carbs"], document["notes"]) == (4, 40, "Standard")


def test_an_override_is_noted() -> None:
    assert shown(event(userOverride=1))[0]["notes"] == "Standard (Override)"


def test_an_extended_bolus_shows_both_parts() -> None:
    now, later = shown(extended(**DONE))
    assert (now["insulin"], later["insulin"]) == (2, 2)
    assert (now["enteredinsulin"], now["splitNow"], now["splitExt"]) == (4, 50, 50)
    assert now["duration"] == 120
    assert now["notes"] == "Extended 50.00%/2.00 (Extended)"
    assert later["created_at"] == "2024-03-05T14:03:00-05:00"
    assert later["notes"] == "Extended 50.00%/2.00 (Extended part)"
    assert "relative" not in now


def test_while_the_slow_part_runs_only_the_immediate_part_shows() -> None:
    (document,) = shown(extended())
    assert document["insulin"] == 2
    assert document["notes"] == "Extended 50.00%/2.00 (Extended)"
    assert document["checksum"] == shown(extended(**DONE))[0]["checksum"]


def test_a_slow_part_stopped_by_the_person_shows_what_was_delivered() -> None:
    stopped = {**DONE, "completionStatusDesc": "User Aborted"}
    stopped["insulinDelivered"] = {"value": 0.7, "completionDateTime": "2024-03-05T13:00:00"}
    later = shown(extended(**stopped))[1]
    assert later["insulin"] == 0.7
    assert (
        later["notes"] == "Extended 50.00%/2.00 (User Aborted: requested 2 units) (Extended part)"
    )


def test_an_extended_bolus_with_nothing_up_front_keeps_its_carbs() -> None:
    payload = {**extended(**DONE), "standardPercent": 0, "standard": None}
    now, later = shown(payload)
    assert "insulin" not in now
    assert (now["carbs"], now["splitNow"], now["splitExt"]) == (40, 0, 100)
    assert (now["created_at"], later["insulin"]) == ("2024-03-05T12:03:00-05:00", 2)


@pytest.mark.parametrize(
    "part", [None, {}, {"insulinDelivered": None}, {"insulinDelivered": {"value": 0}}]
)
def test_a_bolus_that_has_just_begun_waits_and_stops_nothing(part: Any) -> None:
    assert shown(event(standard=part)) == []
    assert len(shown(event(standard=part), event())) == 1


def test_a_bolus_in_progress_shows_what_has_been_delivered() -> None:
    part = standard(insulinDelivered={"value": 1.5}, completionStatusDesc=None)
    (document,) = shown(event(standard=part))
    assert document["created_at"] == "2024-03-05T12:00:00-05:00"
    assert document["insulin"] == 1.5
    assert document["notes"] == "Standard (in progress: requested 4 units)"


def test_a_bolus_in_progress_and_its_completion_are_the_same_event() -> None:
    part = standard(insulinDelivered={"value": 1.5}, completionStatusDesc=None)
    assert read(event(standard=part))[0].key == read(event())[0].key


@pytest.mark.parametrize("status", ["User Aborted", "Terminated by Alarm"])
def test_an_aborted_bolus_shows_what_was_delivered_and_what_was_requested(status: str) -> None:
    part = standard(
        insulinDelivered={"value": 1.82, "completionDateTime": "2024-03-05T12:01:00"},
        insulinRequested=2.63,
        completionStatusDesc=status,
    )
    (document,) = shown(event(standard=part))
    assert document["insulin"] == 1.82
    assert document["notes"] == f"Standard ({status}: requested 2.63 units)"


def test_a_bolus_aborted_before_any_insulin_is_no_bolus() -> None:
    part = standard(
        insulinDelivered={"value": 0, "completionDateTime": "2024-03-05T12:00:05"},
        completionStatusDesc="User Aborted",
    )
    assert shown(event(standard=part)) == []


def test_carbs_with_decimals_and_missing_numbers_are_no_trouble() -> None:
    assert shown(event(carbSize=12.5))[0]["carbs"] == 12.5
    assert "carbs" not in shown(event(carbSize=None))[0]
    bare = event(userOverride=None, actualTotalBolusRequested=None)
    bare["standard"].pop("insulinRequested")
    assert shown(bare)[0]["insulin"] == 4


def test_the_last_day_of_the_calendar_is_no_time() -> None:
    part = standard(insulinDelivered={"value": 4, "completionDateTime": "9999-12-31T23:59:59"})
    (document,) = shown(event(standard=part))
    assert (document["insulin"], document["created_at"]) == (4, "2024-03-05T12:00:00-05:00")


def test_a_bolus_over_the_repeated_hour_ends_after_its_request() -> None:
    part = standard(insulinDelivered={"value": 4, "completionDateTime": "2021-11-07T01:01:10"})
    (document,) = shown(event(requestDateTime="2021-11-07T01:58:30", standard=part))
    assert document["created_at"] == "2021-11-07T01:01:10-05:00"


def test_readings_calibrations_and_basal_events_are_no_boluses() -> None:
    skipped: Counter[str] = Counter()
    events = [{"type": kind} for kind in ("CGM", "BG", "Basal")]
    assert therapy_boluses({"event": events}, NEW_YORK, skipped) == []
    assert skipped == {}


def test_unknown_therapy_events_are_counted_and_skipped() -> None:
    skipped: Counter[str] = Counter()
    events = [{"type": "Dance"}, event(), {"type": "Dance"}]
    assert len(therapy_boluses({"event": events}, NEW_YORK, skipped)) == 1
    assert skipped == {"therapy event of unknown type 'Dance'": 2}


def test_a_broken_bolus_is_counted_and_the_others_stay() -> None:
    skipped: Counter[str] = Counter()
    broken: list[Any] = [event(requestDateTime="soon"), event(standard="no"), "text", None]
    assert len(therapy_boluses({"event": [*broken, event()]}, NEW_YORK, skipped)) == 1
    assert skipped == {"unreadable bolus": 4}


def test_boluses_come_in_the_order_of_their_requests() -> None:
    late = event(requestDateTime="2024-03-05T18:00:00")
    assert [b.requested_at.hour for b in read(late, extended(**DONE))] == [12, 12, 18]


def row(**changes: str) -> dict[str, str]:
    """Return the bolus of :func:`event` as a row of the CSV export."""
    return {
        "Type": "Bolus",
        "Description": "Standard",
        "BolusRequestID": "77.000",
        "CompletionDateTime": "2024-03-05T12:03:00",
        "InsulinDelivered": "4.00",
        "CompletionStatusDesc": "Completed",
        "BolusIsComplete": "1",
        "BolexSize": "",
        "BolexStartDateTime": "",
        "BolexCompletionDateTime": "",
        "BolexInsulinDelivered": "",
        "BolexCompletionStatusDesc": "",
        "EventDateTime": "2024-03-05T12:00:00",
        "RequestDateTime": "2024-03-05T12:00:00",
        "StandardPercent": "100.00",
        "Duration": "0",
        "CarbSize": "40",
        "UserOverride": "0",
        "ActualTotalBolusRequested": "4.00",
        **changes,
    }


def extended_row(**changes: str) -> dict[str, str]:
    return row(
        **{
            "Description": "Extended 50.00%/2.00",
            "InsulinDelivered": "2.00",
            "StandardPercent": "50.00",
            "Duration": "120",
            "BolexSize": "2.00",
            "BolexStartDateTime": "2024-03-05T12:03:00",
            "BolexCompletionDateTime": "2024-03-05T14:03:00",
            "BolexInsulinDelivered": "2.00",
            "BolexCompletionStatusDesc": "Completed",
            **changes,
        }
    )


def shown_from_csv(*rows: dict[str, str]) -> list[Document]:
    return [want.body for want in wanted(*csv_boluses(rows, NEW_YORK, Counter()))]


def test_the_csv_export_gives_the_same_documents_as_therapy_events() -> None:
    assert shown_from_csv(row()) == shown(event())
    assert shown_from_csv(extended_row()) == shown(extended(**DONE))


def test_a_csv_bolus_whose_slow_part_runs_shows_the_immediate_part() -> None:
    running = extended_row(
        BolexCompletionDateTime="", BolexInsulinDelivered="", BolexCompletionStatusDesc=""
    )
    assert shown_from_csv(running) == shown(extended())


def test_an_extended_csv_bolus_without_any_slow_part_is_kept() -> None:
    documents = shown_from_csv(
        extended_row(BolexStartDateTime="", CompletionStatusDesc="User Aborted")
    )
    assert [d["insulin"] for d in documents] == [2]


def test_a_csv_bolus_without_any_time_is_counted() -> None:
    skipped: Counter[str] = Counter()
    assert csv_boluses([row(RequestDateTime="", EventDateTime="")], NEW_YORK, skipped) == []
    assert skipped == {"unreadable bolus row": 1}
