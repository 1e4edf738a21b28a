"""Boluses out of the log of a pump on Tandem Source."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.events import Bolus
from tconnectsync.nightscout.provenance import Document, created_at
from tconnectsync.sources.tandemsource.boluses.boluses import boluses
from tconnectsync.sources.tandemsource.boluses.glucosekind import with_kind
from tconnectsync.sources.tandemsource.log.logentries import Entry
from tests.support.event_builders import at, wanted
from tests.support.log_builders import (
    ABORTED,
    FIRST,
    REJECTED,
    delivered,
    entry,
    log,
    request,
    slowly_delivered,
)

DAY = 1440
QUICK, AUTOMATIC, BLE_STANDARD, BLE_EXTENDED, LATE = 2, 3, 4, 5, 7


def read(*entries: Entry) -> list[Bolus]:
    skipped: Counter[str] = Counter()
    found = boluses(log(*entries), skipped)
    assert not skipped
    return found


def shown(*entries: Entry) -> list[Document]:
    return [want.body for want in wanted(*read(*entries))]


def only(*entries: Entry) -> Document:
    (document,) = shown(*entries)
    return document


def test_a_bolus_shows_what_was_delivered_and_what_it_was_requested_with() -> None:
    document = only(*request(0, 7, 3.14, carbs=15, glucose=131, options=4), delivered(2, 7, 3.14))
    assert document["created_at"] == created_at(at(2))
    assert (document["eventType"], document["insulin"], document["carbs"]) == (
        "Combo Bolus",
        3.14,
        15,
    )
    assert document["notes"] == "BLE Standard Bolus"
    assert document["pump_event_id"] == f"{FIRST + 3},{FIRST},{FIRST + 1},{FIRST + 2}"


@pytest.mark.parametrize(
    ("options", "label"),
    [
        (0, "Standard Bolus"),
        (1, "Extended Bolus"),
        (2, "Quick Bolus"),
        (3, "Automatic Bolus"),
        (4, "BLE Standard Bolus"),
        (5, "BLE Extended Bolus"),
        (6, "Eating Soon Automatic Bolus"),
        (7, "Late Bolus"),
        (8, "Phone Bolus (Recommended)"),
    ],
)
def test_the_notes_name_the_kind_of_bolus(options: int, label: str) -> None:
    assert only(*request(0, 7, 1, options=options), delivered(2, 7, 1))["notes"] == label


@pytest.mark.parametrize("options", [9, None, "Standard"])
def test_a_bolus_of_an_unknown_kind_is_shown_without_notes(options: Any) -> None:
    document = only(*request(0, 7, 1, options=options), delivered(2, 7, 1))
    assert not document.get("notes")
    assert document["insulin"] == 1


@pytest.mark.parametrize(
    ("override", "declined", "notes"),
    [
        (1, 0, "Standard Bolus (Override)"),
        (0, 1, "Standard Bolus (Declined Correction)"),
        (1, 1, "Standard Bolus (Override) (Declined Correction)"),
    ],
)
def test_the_notes_say_what_the_person_decided(override: int, declined: int, notes: str) -> None:
    asked = request(0, 7, 1, override=override, declined=declined)
    assert only(*asked, delivered(2, 7, 1))["notes"] == notes


@pytest.mark.parametrize(
    ("status", "notes"),
    [
        (0, "Standard Bolus (User Aborted: requested 5 units)"),
        (1, "Standard Bolus (Terminated by Alarm: requested 5 units)"),
        (2, "Standard Bolus (Terminated by Malfunction: requested 5 units)"),
        (3, "Standard Bolus"),
        (5, "Standard Bolus (Bolus rejected: requested 5 units)"),
        (6, "Standard Bolus (Aborted by PLGS: requested 5 units)"),
        (7, "Standard Bolus (Incomplete: requested 5 units)"),
        (None, "Standard Bolus (Incomplete: requested 5 units)"),
    ],
)
def test_an_incomplete_bolus_says_why_and_what_was_requested(status: Any, notes: str) -> None:
    document = only(*request(0, 7, 5), delivered(2, 7, 1.25, 5, status))
    assert (document["insulin"], document["notes"]) == (1.25, notes)


def test_a_bolus_without_a_known_end_is_complete_if_all_was_delivered() -> None:
    assert only(*request(0, 7, 5), delivered(2, 7, 4.9999, 5, None))["notes"] == "Standard Bolus"


@pytest.mark.parametrize("status", [ABORTED, REJECTED])
def test_a_bolus_that_gave_no_insulin_is_not_shown(status: int) -> None:
    assert shown(*request(0, 7, 5, carbs=30), delivered(2, 7, 0, 5, status)) == []


def test_carbs_without_insulin_are_shown_without_insulin() -> None:
    document = only(*request(0, 7, 0, carbs=30), delivered(2, 7, 0))
    assert document["carbs"] == 30
    assert "insulin" not in document


def test_floats_of_the_pump_become_milliunits() -> None:
    assert [document["insulin"] for document in shown(delivered(0, 1, 2.0829997))] == [2.083]
    assert [document["insulin"] for document in shown(delivered(0, 1, 0.04657))] == [0.047]


@pytest.mark.parametrize("units", [-0.1, 80.1, None, "3", True])
def test_an_amount_that_cannot_be_is_counted_and_left_out(units: Any) -> None:
    skipped: Counter[str] = Counter()
    found = boluses(log(delivered(0, 1, 1), delivered(5, 2, units, 1)), skipped)
    assert [it.insulin for it in found] == [1]
    assert skipped == {"bolus without a plausible amount of insulin": 1}


@pytest.mark.parametrize(("carbs", "glucose"), [(0, 0), (None, None)])
def test_carbs_and_glucose_that_were_not_entered_are_unknown(carbs: Any, glucose: Any) -> None:
    (found,) = read(*request(0, 7, 1, carbs=carbs, glucose=glucose), delivered(2, 7, 1))
    assert (found.carbs, found.glucose) == (0, None)
    assert "carbs" not in only(*request(0, 7, 1, carbs=carbs), delivered(2, 7, 1))


def test_glucose_is_shown_once_it_is_known_where_it_comes_from() -> None:
    story = [*request(0, 7, 1, glucose=131), delivered(2, 7, 1)]
    assert "glucose" not in only(*story)
    sensor = entry(-3, 256, glucosevaluestatus=0, currentglucosedisplayvalue=131)
    (want,) = wanted(*with_kind(read(*story), log(sensor, *story)))
    assert (want.body["glucose"], want.body["glucoseType"]) == (131, "Sensor")


def test_a_bolus_begins_with_its_request() -> None:
    (found,) = read(*request(0, 7, 1), delivered(2, 7, 1))
    assert (found.requested_at, found.completed) == (at(0), at(2))


def test_without_a_request_a_bolus_still_counts() -> None:
    document = only(delivered(2, 7, 1.5))
    assert (document["insulin"], document["pump_event_id"]) == (1.5, str(FIRST))
    assert not document.get("notes")
    assert not {"carbs", "glucose"} & document.keys()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_one_lost_message_of_a_request_takes_only_its_own_with_it(lost: int) -> None:
    asked = request(0, 7, 1, carbs=15, glucose=131, options=1, now_percent=40, duration=60)
    del asked[lost]
    (found,) = read(*asked, delivered(2, 7, 1))
    assert len(found.log_ids) == 3
    assert (found.carbs, found.glucose) == ((0, None) if lost == 0 else (15, 131))
    assert found.description == ("" if lost == 1 else "Extended Bolus")
    assert bool(found.planned) == (lost != 1)


def test_a_bolus_id_of_0_is_an_id() -> None:
    assert only(*request(0, 0, 1, carbs=15), delivered(2, 0, 1))["carbs"] == 15


def test_a_bolus_without_an_id_belongs_to_no_request() -> None:
    nobodys = request(0, 7, 1, carbs=15)
    nobodys[0].values.pop("bolusid")
    assert "carbs" not in only(*nobodys, delivered(2, None, 1))


def test_an_id_that_comes_again_finds_its_own_request() -> None:
    story = [
        *request(0, 7, 1, carbs=10),
        delivered(2, 7, 1),
        *request(600, 7, 2, carbs=20),
        delivered(602, 7, 2),
    ]
    assert [it["carbs"] for it in shown(*story)] == [10, 20]


def test_a_request_of_more_than_a_day_ago_was_another_bolus() -> None:
    assert "carbs" in only(*request(0, 7, 1, carbs=10), delivered(DAY, 7, 1))
    assert "carbs" not in only(*request(0, 7, 1, carbs=10), delivered(DAY + 1, 7, 1))


def test_a_request_after_the_end_was_another_bolus() -> None:
    assert "carbs" not in only(delivered(2, 7, 1), *request(3, 7, 1, carbs=10))


def test_a_bolus_that_ends_after_a_later_one_is_not_lost() -> None:
    story = [
        *request(0, 7, 5, carbs=40),
        *request(3, 8, 1, options=AUTOMATIC),
        delivered(4, 8, 1),
        delivered(6, 7, 5),
    ]
    assert [(it["insulin"], it["notes"]) for it in shown(*story)] == [
        (1, "Automatic Bolus"),
        (5, "Standard Bolus"),
    ]


def extended(
    *, options: int = BLE_EXTENDED, now_percent: int = 25, duration: int = 180
) -> list[Entry]:
    return request(
        0, 7, 8.33, carbs=50, options=options, now_percent=now_percent, duration=duration
    )


def test_the_two_parts_of_an_extended_bolus_are_shown_when_they_end() -> None:
    now, later = shown(*extended(), delivered(2, 7, 2.083), slowly_delivered(182, 7, 6.247))
    assert (now["insulin"], now["carbs"], now["notes"]) == (2.083, 50, "BLE Extended Bolus")
    assert (now["splitNow"], now["splitExt"], now["enteredinsulin"], now["duration"]) == (
        25,
        75,
        8.33,
        180,
    )
    assert (later["insulin"], later["notes"]) == (6.247, "Extended Bolus")
    assert later["created_at"] == created_at(at(182))
    assert later["pump_event_id"] == str(FIRST + 4)
    assert not {"carbs", "splitNow", "duration", "glucose"} & later.keys()


def test_as_long_as_the_extended_part_runs_there_is_one_bolus() -> None:
    assert only(*extended(), delivered(2, 7, 2.083))["insulin"] == 2.083


def test_an_extended_part_that_was_stopped_says_so() -> None:
    _, later = shown(
        *extended(), delivered(2, 7, 2.083), slowly_delivered(130, 7, 4.685, 6.247, ABORTED)
    )
    assert later["insulin"] == 4.685
    assert later["notes"] == "Extended Bolus (User Aborted: requested 6.247 units)"


def test_an_extended_part_reaches_back_to_its_request() -> None:
    now, later = read(*extended(), delivered(2, 7, 2), slowly_delivered(182, 7, 6))
    assert now.begins == later.begins == at(0)
    assert later.ends == at(182)


def test_an_extended_bolus_of_which_all_comes_later_keeps_its_carbs() -> None:
    now, later = shown(*extended(now_percent=0), delivered(2, 7, 0), slowly_delivered(182, 7, 8.33))
    assert (now["carbs"], now["splitNow"], now["splitExt"]) == (50, 0, 100)
    assert "insulin" not in now
    assert later["insulin"] == 8.33


def test_an_impossible_share_is_no_plan() -> None:
    assert "splitNow" not in only(*extended(now_percent=101), delivered(2, 7, 8.33))
    assert "duration" not in only(*extended(duration=0), delivered(2, 7, 8.33))


def test_a_plan_belongs_to_extended_boluses_alone() -> None:
    assert "splitNow" not in only(*extended(options=QUICK, now_percent=100), delivered(2, 7, 8))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.floats(0, 25, width=32),
            st.sampled_from([0, 1, 3, 5]),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_what_is_shown_adds_up_to_what_was_delivered(
    story: list[tuple[int, float, int, bool]],
) -> None:
    entries: list[Entry] = []
    for minute, (bolus, units, status, slow) in enumerate(story):
        entries += request(minute, bolus, units, options=LATE)
        end = slowly_delivered if slow else delivered
        entries.append(end(minute + 0.5, bolus, units, status=status))
    total = sum(document.get("insulin", 0.0) for document in shown(*entries))
    assert total == pytest.approx(sum(units for _, units, _, _ in story), abs=0.0006 * 20)
    assert all(document.get("insulin", 1) > 0 for document in shown(*entries))
