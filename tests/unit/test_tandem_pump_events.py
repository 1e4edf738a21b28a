"""Suspensions, alarms and fills out of the log of a pump on Tandem Source."""

from __future__ import annotations

from typing import Any

import pytest

from tconnectsync.nightscout.provenance import created_at
from tconnectsync.sources.tandemsource.log.logentries import Entry
from tconnectsync.sources.tandemsource.pumpevents import (
    alarms,
    alerts,
    fills,
    resumptions,
    suspensions,
)
from tests.support.event_builders import at, wanted
from tests.support.log_builders import FIRST, entry, log, resumed, suspended

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
    assert filled(entry(0, code, primesize=prime, completionstatus=3)) == [(kind, text)]


def test_a_cartridge_and_its_tubing_filled_in_one_second_do_not_overwrite_each_other() -> None:
    found = wanted(*fills(log(entry(0, CARTRIDGE), entry(0, TUBING), entry(9, CANNULA))))
    slots = {(want.body["eventType"], want.body["created_at"]) for want in found}
    assert len(slots) == len({want.identifier for want in found}) == 3
    assert [want.body["pump_event_id"] for want in found] == [str(FIRST + it) for it in range(3)]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (0, "Suspended (User)"),
        (1, "Suspended (Alarm)"),
        (2, "Suspended (Malfunction)"),
        (6, "Suspended (Low glucose)"),
        (3, "Suspended (reason 3)"),
        (None, "Suspended"),
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
        entry(4, 6, malfid=9),
        entry(5, 5, alarmid=2),
        entry(7, 5, alarmid=41),
        entry(8, 5, alarmid=77),
        entry(9, 5),
    )
    assert [
        (want.at, want.body["eventType"], want.body["notes"]) for want in wanted(*alarms(story))
    ] == [
        (at(0), "Alarm", "Cartridge empty"),
        (at(3), "Alarm", "Malfunction 99"),
        (at(4), "Alarm", "Malfunction (motor)"),
        (at(5), "Alarm", "Occlusion"),
        (at(7), "Alarm", "Alarm 41"),
        (at(8), "Alarm", "Alarm 77"),
        (at(9), "Alarm", "Alarm"),
    ]


@pytest.mark.parametrize(("number", "of"), [(18, None), (23, None), (23, 18)])
def test_a_reminder_to_resume_is_no_alarm(number: int, of: int | None) -> None:
    assert alarms(log(entry(0, 5, alarmid=number, param1=of))) == []


def test_a_reminder_of_another_alarm_is_never_left_out() -> None:
    (found,) = alarms(log(entry(0, 5, alarmid=23, param1=8)))
    assert found.text == "Cartridge empty (reminder)"


def alert(minutes: float, number: int | None, code: int = 4) -> Entry:
    return entry(minutes, code, alertid=number)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "Insulin low"),
        (2, "Battery low"),
        (11, "Bolus not completed"),
        (59, "Automation switched off"),
        (60, "Connection lost"),
        (64, "Alert 64"),
        (None, "Alert"),
    ],
)
def test_an_alert_that_matters_is_an_alarm_by_the_pump_itself(
    number: int | None, text: str
) -> None:
    (want,) = wanted(*alerts(log(alert(0, number))))
    assert (want.body["eventType"], want.body["notes"], want.automatic) == ("Alarm", text, True)


def test_alerts_for_those_who_repair_pumps_are_not_shown() -> None:
    assert alerts(log(alert(0, 30), alert(1, 36), alert(2, 53))) == []


def test_an_alert_that_is_noted_again_before_it_is_over_is_one() -> None:
    day = 24 * 60
    story = [alert(0, 0), alert(60, 0), alert(60 + day, 0), alert(70 + day, 2)]
    story += [alert(80 + day, 0, 26), alert(90 + day, 0), alert(91 + 2 * day, 0)]
    found = alerts(log(*story))
    assert [(it.at, it.text) for it in found] == [
        (at(0), "Insulin low"),
        (at(70 + day), "Battery low"),
        (at(90 + day), "Insulin low"),
        (at(91 + 2 * day), "Insulin low"),
    ]


@pytest.mark.parametrize(("code", "what"), [(CANNULA, "Cannula"), (TUBING, "Tubing")])
@pytest.mark.parametrize(
    ("status", "end"),
    [(0, "stopped by user"), (1, "stopped by an alarm"), (2, "stopped by a malfunction")],
)
def test_a_fill_that_was_broken_off_says_so_and_resets_no_age(
    code: int, what: str, status: int, end: str
) -> None:
    found = filled(entry(0, code, primesize=0, completionstatus=status))
    assert found == [("Note", f"{what} Fill Aborted ({end})")]


def test_a_cartridge_that_is_put_in_again_is_no_new_insulin() -> None:
    def stopped(minutes: float, left: int) -> Entry:
        return entry(minutes, 11, suspendreason=0, insulinamount=left)

    def loaded(minutes: float, units: int) -> Entry:
        return entry(minutes, CARTRIDGE, insulinvolume=units)

    story = [stopped(0, 120), loaded(5, 105), entry(6, 12, insulinamount=105)]
    assert filled(*story) == [("Note", "Cartridge Loaded Again (105u left)")]
    assert filled(stopped(0, 55), loaded(5, 180))[0][0] == "Insulin Change"
    assert filled(stopped(-25 * 60, 120), loaded(5, 105))[0][0] == "Insulin Change"
    assert [kind for kind, _ in filled(stopped(0, 20), loaded(5, 180), loaded(9, 175))] == [
        "Insulin Change",
        "Note",
    ]


def test_only_the_person_s_own_suspensions_and_fills_are_not_automatic() -> None:
    story = log(suspended(0), suspended(1, 1), suspended(2, 6), entry(3, CARTRIDGE), resumed(4))
    found = [*suspensions(story), *fills(story), *resumptions(story)]
    assert [it.automatic for it in found] == [False, True, True, False, True]
