"""Which treatments show what the pump did by itself, and so wait until they silence no alarm."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tconnectsync.config.settings import Configuration, SyncSettings
from tconnectsync.domain.events import Event
from tconnectsync.errors import ConfigError
from tconnectsync.sources.tandemsource.log.logentries import Entry
from tconnectsync.sources.tconnect.boluses import csv_boluses, therapy_boluses
from tconnectsync.sources.tconnect.periods import timeline_modes
from tests.support.event_builders import NEW_YORK, at, bolus, both_parts, suspension, wanted
from tests.support.log_builders import (
    ALGORITHM,
    EXERCISING,
    NORMAL,
    SLEEPING,
    START_EXERCISE,
    START_SLEEP,
    TEMP,
    delivered,
    entry,
    log,
    mode,
    nothing_new,
    rate,
    reader,
    request,
    resumed,
    slowly_delivered,
    suspended,
    wanted_of,
)

STANDARD, EXTENDED, QUICK, AUTOMATIC, BLE_STANDARD, BLE_EXTENDED, EATING_SOON, LATE, RECOMMENDED = (
    range(9)
)
BY_THE_PERSON, BY_AN_ALARM, BY_A_MALFUNCTION, BY_PREDICTION = 0, 1, 2, 6
BY_THE_SCHEDULE = {"activesleepschedule": 1}


def automatic(*entries: Entry) -> set[bool]:
    """Return what is said of the treatments of a log that goes on for a while."""
    return {want.automatic for want in wanted_of(log(*entries, nothing_new(500)))}


def asked_for(options: int | None, **values: Any) -> list[Entry]:
    return [*request(0, 7, 1.0, options=options, **values), delivered(2, 7, 1.0)]


# On Tandem Source


@pytest.mark.parametrize(
    "options", [STANDARD, EXTENDED, QUICK, BLE_STANDARD, BLE_EXTENDED, LATE, RECOMMENDED]
)
def test_a_bolus_that_a_person_asked_for_goes_at_once(options: int) -> None:
    assert automatic(*asked_for(options, now_percent=50, duration=60)) == {False}


@pytest.mark.parametrize("options", [AUTOMATIC, EATING_SOON])
def test_an_automatic_bolus_waits(options: int) -> None:
    assert automatic(*asked_for(options)) == {True}


@pytest.mark.parametrize("options", [None, 99])
def test_a_bolus_of_unknown_kind_waits(options: int | None) -> None:
    assert automatic(*asked_for(options)) == {True}
    assert automatic(delivered(2, 7, 1.0)) == {True}


def test_the_extended_part_of_a_bolus_ends_by_itself() -> None:
    begun = asked_for(EXTENDED, now_percent=50, duration=60)
    found = wanted_of(log(*begun, slowly_delivered(62, 7, 1.0)))
    assert [(want.at, want.automatic) for want in found] == [(at(2), False), (at(62), True)]


@pytest.mark.parametrize("source", [ALGORITHM, TEMP])
def test_a_basal_waits(source: int) -> None:
    assert automatic(rate(0, 800, source), rate(5, 300, source)) == {True}


@pytest.mark.parametrize(
    ("reason", "waits"),
    [
        (BY_THE_PERSON, False),
        (BY_AN_ALARM, True),
        (BY_A_MALFUNCTION, True),
        (BY_PREDICTION, True),
        (None, True),
    ],
)
def test_only_a_suspension_by_the_person_goes_at_once(reason: int | None, waits: bool) -> None:
    found = wanted_of(log(suspended(0, reason), resumed(20)))
    (notice,) = (want for want in found if want.body["eventType"] == "Basal Suspension")
    assert notice.automatic is waits


def test_a_resumption_waits_since_it_is_not_known_whose_it_was() -> None:
    found = wanted_of(log(suspended(0), resumed(20)))
    (notice,) = (want for want in found if want.body["eventType"] == "Basal Resume")
    assert notice.automatic


@pytest.mark.parametrize("code", [33, 61, 63], ids=["cartridge", "cannula", "tubing"])
def test_fills_go_at_once(code: int) -> None:
    assert automatic(entry(0, code)) == {False}


@pytest.mark.parametrize("code", [5, 6], ids=["alarm", "malfunction"])
def test_an_alarm_of_the_pump_waits(code: int) -> None:
    assert automatic(entry(0, code, alarmid=2)) == {True}


@pytest.mark.parametrize("code", [212, 394, 404, 406, 477, 214, 447, 405, 486])
def test_sensor_sessions_wait(code: int) -> None:
    times = {"sessionstarttime": 100, "sessionjointime": 200, "cgmtimestamp": 200}
    assert automatic(entry(0, code, **times)) == {True}


@pytest.mark.parametrize("code", [171, 369, 460])
def test_alerts_about_glucose_wait(code: int) -> None:
    story = reader(log(entry(0, code, dalertid=2)))
    assert [want.automatic for want in wanted(*story.cgm_alerts())] == [True]


def test_exercise_goes_at_once() -> None:
    assert automatic(mode(0, START_EXERCISE, NORMAL, EXERCISING)) == {False}


@pytest.mark.parametrize(
    ("values", "waits"),
    [({"sleepstartedbygui": 1, **BY_THE_SCHEDULE}, False), (BY_THE_SCHEDULE, True), ({}, True)],
    ids=["by hand", "by the schedule", "not told"],
)
def test_sleep_goes_at_once_if_somebody_began_it(values: dict[str, Any], waits: bool) -> None:
    assert automatic(mode(0, START_SLEEP, NORMAL, SLEEPING, **values)) == {waits}


# On t:connect


@pytest.mark.parametrize(
    ("description", "waits"),
    [
        ("Standard", False),
        ("Standard/Correction", False),
        ("Quick", False),
        ("Automatic Bolus/Correction", True),
        ("", True),
    ],
)
def test_what_t_connect_calls_automatic_or_nothing_waits(description: str, waits: bool) -> None:
    noon = "2024-03-05T12:00:00"
    event = {
        "type": "Bolus",
        "description": description,
        "requestDateTime": noon,
        "standard": {
            "insulinDelivered": {"value": 1, "completionDateTime": "2024-03-05T12:02:00"},
            "bolusRequestId": 77.0,
        },
    }
    row = {
        "Description": description,
        "RequestDateTime": noon,
        "CompletionDateTime": "2024-03-05T12:02:00",
        "InsulinDelivered": "1",
        "BolusRequestID": "77",
        "BolexStartDateTime": "",
    }
    skipped: Counter[str] = Counter()
    found = [
        *therapy_boluses({"event": [event]}, NEW_YORK, skipped),
        *csv_boluses([row], NEW_YORK, skipped),
    ]
    assert not skipped
    assert [want.automatic for want in wanted(*found)] == [waits, waits]


def test_of_an_extended_bolus_the_second_document_waits() -> None:
    both = wanted(*both_parts(bolus(0, 2.0, extended=True), 90, 2.0))
    assert [want.automatic for want in both] == [False, True]


@pytest.mark.parametrize(
    ("event", "waits"),
    [
        (suspension(0, "manual"), False),
        (suspension(0, "site-cart"), False),
        (suspension(0, "alarm"), True),
    ],
    ids=str,
)
def test_what_t_connect_does_not_say_to_be_the_person_s_waits(event: Event, waits: bool) -> None:
    assert [want.automatic for want in wanted(event)] == [waits]


@pytest.mark.parametrize(("kind", "waits"), [(1, True), (2, False), (3, True), (4, True)])
def test_of_the_modes_on_t_connect_exercise_alone_goes_at_once(kind: int, waits: bool) -> None:
    entry = {"eventType": kind, "x": 1_700_000_000, "duration": 3600}
    found = timeline_modes({"events": [entry]}, NEW_YORK, Counter())
    assert [want.automatic for want in wanted(*found)] == [waits]


# The setting


@pytest.mark.parametrize(("given", "minutes"), [({}, 10), ({"ALARM_SAFE_MINUTES": "0"}, 0)])
def test_ten_minutes_are_the_default_and_none_are_possible(
    given: dict[str, str], minutes: float
) -> None:
    assert Configuration(given, {}).group(SyncSettings).alarm_safe_minutes == minutes


@pytest.mark.parametrize("value", ["-1", "61", "ten", "nan"])
def test_a_time_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="ALARM_SAFE_MINUTES is not usable"):
        Configuration({"ALARM_SAFE_MINUTES": value}, {}).group(SyncSettings)
