"""Suspensions, alarms and fills out of the log of a pump on Tandem Source."""

from __future__ import annotations

from typing import Any

import pytest

from tconnectsync.nightscout.marks import created_at
from tconnectsync.sources.tandemsource.entries import Entry
from tconnectsync.sources.tandemsource.notices import alarms, fills, resumptions, suspensions
from tests.support.log_story import FIRST, entry, log, resumed, suspended
from tests.support.story import at, wanted

CARTRIDGE, CANNULA, TUBING = 33, 61, 63


def filled(*entries: Entry) -> list[tuple[str, str]]:
    """Return types and texts of what is shown of some fills."""
    documents = [want.body for want in wanted(*fills(log(*entries)))]
    assert all(document["reason"] == document["notes"] for document in documents)
    return [(document["eventType"], document["notes"]) for document in documents]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"insulinvolume": 180, "v2volume": 0}, "Cartridge Filled (180u filled)"),
        ({"insulinvolume": 0, "v2volume": 149.6}, "Cartridge Filled (150u filled)"),
        ({"insulinvolume": 180, "v2volume": 120.0}, "Cartridge Filled (180u filled)"),
        ({"v2volume": 120.0}, "Cartridge Filled (120u filled)"),
        ({"insulinvolume": 0, "v2volume": 0}, "Cartridge Filled"),
        ({}, "Cartridge Filled"),
    ],
)
def test_a_new_cartridge_is_a_change_of_insulin(values: dict[str, Any], text: str) -> None:
    assert filled(entry(0, CARTRIDGE, **values)) == [("Insulin Change", text)]


@pytest.mark.parametrize(
    ("code", "kind", "prime", "text"),
    [
        (CANNULA, "Site Change", 0.3, "Cannula Filled (0.3u primed)"),
        (CANNULA, "Site Change", 0.7000001, "Cannula Filled (0.7u primed)"),
        (CANNULA, "Site Change", 0, "Cannula Filled"),
        (CANNULA, "Site Change", None, "Cannula Filled"),
        (TUBING, "Note", 14.8, "Tubing Filled (15u primed)"),
        (TUBING, "Note", -1, "Tubing Filled"),
        (TUBING, "Note", None, "Tubing Filled"),
    ],
)
def test_a_new_cannula_is_a_change_of_site_and_filled_tubing_is_noted(
    code: int, kind: str, prime: float | None, text: str
) -> None:
    assert filled(entry(0, code, primesize=prime, completionstatus=0)) == [(kind, text)]


def test_a_cartridge_and_its_tubing_filled_in_one_second_do_not_overwrite_each_other() -> None:
    found = wanted(*fills(log(entry(0, CARTRIDGE), entry(0, TUBING), entry(9, CANNULA))))
    slots = {(want.body["eventType"], want.body["created_at"]) for want in found}
    assert len(slots) == len({want.identifier for want in found}) == 3
    assert [want.body["pump_event_id"] for want in found] == [str(FIRST + it) for it in range(3)]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (0, "UserAborted"),
        (1, "TerminatedByAlarm"),
        (2, "TerminatedByMalfunction"),
        (6, "AutoSuspendByPlgs"),
        (3, ""),
        (None, ""),
    ],
)
def test_a_suspension_says_why(reason: int | None, text: str) -> None:
    (want,) = wanted(*suspensions(log(resumed(0), suspended(5, reason))))
    assert want.body["eventType"] == "Basal Suspension"
    assert want.body["created_at"] == created_at(at(5))
    assert want.body["reason"] == want.body["notes"] == text
    assert "duration" not in want.body


def test_that_delivery_goes_on_is_said() -> None:
    (want,) = wanted(*resumptions(log(suspended(0), resumed(5))))
    assert (want.body["eventType"], want.body["notes"], want.body["pump_event_id"]) == (
        "Basal Resume",
        "Basal resumed",
        str(FIRST + 1),
    )


def test_alarms_and_malfunctions_are_shown_in_time_order() -> None:
    story = log(
        entry(0, 5, alarmid=8),
        entry(3, 6, malfid=99),
        entry(5, 5, alarmid=2),
        entry(7, 5, alarmid=41),
        entry(8, 5, alarmid=77),
        entry(9, 5),
    )
    assert [
        (want.at, want.body["eventType"], want.body["notes"]) for want in wanted(*alarms(story))
    ] == [
        (at(0), "Alarm", "EmptyCartridgeAlarm"),
        (at(3), "Alarm", "Malfunction"),
        (at(5), "Alarm", "OcclusionAlarm"),
        (at(7), "Alarm", "DefaultAlarm41"),
        (at(8), "Alarm", "Alarm77"),
        (at(9), "Alarm", "Alarm"),
    ]


@pytest.mark.parametrize("number", [18, 23])
def test_a_reminder_to_resume_is_no_alarm(number: int) -> None:
    assert alarms(log(entry(0, 5, alarmid=number))) == []
