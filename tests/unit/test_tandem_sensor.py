"""Readings, sensor sessions and alerts out of the log of a pump on Tandem Source."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from tconnectsync.domain.events import PumpEvent, PumpEventKind, ReadingKind
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.log.names import CGM_ALERTS
from tconnectsync.sources.tandemsource.sensor import cgm_alerts, readings, sensor_sessions
from tests.support.event_builders import NEW_YORK

WALL = datetime(2026, 3, 2, 8, 0, 0)
EPOCH = datetime(2008, 1, 1)
UNIX = datetime(1970, 1, 1)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

G6, G7, LIBRE_2, LIBRE_3 = 256, 399, 372, 480
JOIN_G7 = 394


def entry(code: int, wall: datetime = WALL, sequence: int = 7, **values: Any) -> Entry:
    """Return an entry at a time of the pump's clock, whose zone is right."""
    return Entry(NEW_YORK.instant(wall), code, sequence, wall, values)


def log(*entries: Entry) -> Log:
    return {
        code: [each for each in entries if each.code == code] for code in {e.code for e in entries}
    }


def seconds(wall: datetime, epoch: datetime = EPOCH) -> int:
    return (wall - epoch) // SECOND


def reading(code: int = G7, status: Any = 0, value: Any = 120, **others: Any) -> Entry:
    """Return a sensor's reading taken three seconds before its entry."""
    values = {
        "glucosevaluestatus": status,
        "currentglucosedisplayvalue": value,
        "egvtimestamp": seconds(WALL - 3 * SECOND),
        "cgmdatatype": 1,
        **others,
    }
    return entry(code, **{name: value for name, value in values.items() if value is not None})


def only_reading(*entries: Entry) -> tuple[datetime, int]:
    skipped: Counter[str] = Counter()
    (found,) = readings(log(*entries), skipped)
    assert not skipped
    return found.at, found.glucose


@pytest.mark.parametrize("code", [G6, G7, LIBRE_2, LIBRE_3])
def test_every_sensor_is_read_as_of_when_it_measured(code: int) -> None:
    (found,) = readings(log(reading(code)), Counter())
    assert found.at == NEW_YORK.instant(WALL - 3 * SECOND)
    assert (found.glucose, found.kind, found.log_ids) == (120, ReadingKind.SENSOR, (7,))
    assert found.key == reading(code).key


def test_a_back_filled_reading_counts_as_of_when_it_was_taken() -> None:
    late = reading(egvtimestamp=seconds(WALL - 5 * HOUR), cgmdatatype=2)
    assert only_reading(late)[0] == NEW_YORK.instant(WALL - 5 * HOUR)


def test_a_pump_clock_that_is_wrong_shifts_no_reading() -> None:
    abroad = reading()._replace(at=NEW_YORK.instant(WALL + 6 * HOUR))
    assert only_reading(abroad)[0] == abroad.at - 3 * SECOND


def test_seconds_counted_from_1970_are_understood_too() -> None:
    libre = reading(LIBRE_3, egvtimestamp=seconds(WALL - MINUTE, UNIX))
    assert only_reading(libre)[0] == NEW_YORK.instant(WALL - MINUTE)


NO_TIME = [None, 0, 2**32 - 1, 10**300, seconds(WALL - 25 * HOUR), seconds(WALL + HOUR)]


@pytest.mark.parametrize("stamp", NO_TIME)
def test_a_live_reading_without_a_time_was_taken_when_it_was_noted(stamp: object) -> None:
    assert only_reading(reading(egvtimestamp=stamp))[0] == NEW_YORK.instant(WALL)


@pytest.mark.parametrize("stamp", NO_TIME)
def test_a_back_filled_reading_without_a_time_is_counted_and_left_out(stamp: object) -> None:
    skipped: Counter[str] = Counter()
    assert readings(log(reading(egvtimestamp=stamp, cgmdatatype=2)), skipped) == []
    assert skipped == {"unreadable glucose reading": 1}


@pytest.mark.parametrize(
    ("status", "value", "shown"),
    [
        (0, 40, 40),
        (0, 400, 400),
        (0, 39, 39),
        (0, 20, 39),
        (0, 401, 401),
        (0, 500, 401),
        (1, 0, 401),
        (1, None, 401),
        (2, 0, 39),
        (2, 500, 39),
        (3, 20, 20),
        (3, 500, 500),
    ],
)
def test_a_sensor_out_of_its_range_shows_as_39_or_401(
    status: int, value: int | None, shown: int
) -> None:
    assert only_reading(reading(status=status, value=value))[1] == shown


@pytest.mark.parametrize(
    ("status", "value"),
    [(0, 0), (0, 19), (0, 501), (3, 19), (3, 501), (0, None), (None, 120), (0, "high")],
)
def test_a_value_that_cannot_be_true_is_counted_and_the_others_arrive(
    status: object, value: object
) -> None:
    skipped: Counter[str] = Counter()
    found = readings(log(reading(status=status, value=value), reading(value=99)), skipped)
    assert [it.glucose for it in found] == [99]
    assert skipped == {"unreadable glucose reading": 1}


def test_what_the_pump_does_not_show_is_no_reading() -> None:
    skipped: Counter[str] = Counter()
    assert readings(log(reading(status=6, value=120)), skipped) == []
    assert not skipped


@pytest.mark.parametrize("calibration", [0, 1])
def test_a_value_that_a_person_typed_in_is_a_finger_stick(calibration: int) -> None:
    typed = entry(16, bg=151, bgentrytype=0, cgmcalibration=calibration)
    (found,) = readings(log(typed), Counter())
    assert (found.glucose, found.kind) == (151, ReadingKind.FINGER)
    assert (found.at, found.key, found.log_ids) == (typed.at, typed.key, (7,))


def test_a_value_that_the_pump_took_from_the_sensor_is_not_shown_twice() -> None:
    skipped: Counter[str] = Counter()
    assert readings(log(entry(16, bg=164, bgentrytype=1)), skipped) == []
    assert not skipped


@pytest.mark.parametrize(
    "values",
    [{"bg": 19, "bgentrytype": 0}, {"bgentrytype": 0}, {"bg": 601, "bgentrytype": 0}, {"bg": 99}],
)
def test_an_unclear_entry_of_a_person_is_counted_and_left_out(values: dict[str, Any]) -> None:
    skipped: Counter[str] = Counter()
    assert readings(log(entry(16, **values)), skipped) == []
    assert skipped == {"unreadable glucose reading": 1}


def test_joining_a_running_session_does_not_reset_the_age_of_the_sensor() -> None:
    join = entry(JOIN_G7, cgmtimestamp=3 * 86_400)
    (found,) = sensor_sessions(log(join))
    assert found.at == NEW_YORK.instant(WALL - 3 * DAY)
    assert (found.noted_at, found.ends) == (join.at, join.at)
    assert (found.kind, found.text) == (PumpEventKind.SENSOR_START, "CGM Session Joined")
    assert found.log_ids == (7,)


@pytest.mark.parametrize(
    "values",
    [
        {"currenttransmittertime": 200_000, "sessionstarttime": 200_000 - 7_200},
        {"sessionstarttime": seconds(WALL - 2 * HOUR)},
        {"sessionstarttime": seconds(WALL - 2 * HOUR, UNIX)},
        {"sessionstarttime": 600, "sessionjointime": 7_800},
        {"sessionstarttime": seconds(WALL - 2 * HOUR, UNIX), "sessionjointime": 0},
    ],
)
@pytest.mark.parametrize("code", [212, 213, 404, 406, 477])
def test_a_session_began_when_its_entry_says(code: int, values: dict[str, Any]) -> None:
    (found,) = sensor_sessions(log(entry(code, **values)))
    assert found.at == NEW_YORK.instant(WALL - 2 * HOUR)


IMPOSSIBLE: list[dict[str, Any]] = [
    {},
    {"currenttransmittertime": 5_000, "sessionstarttime": 2**32 - 1},
    {"currenttransmittertime": 5_000, "sessionstarttime": 6_000},
    {"currenttransmittertime": 5_000, "sessionstarttime": 0},
    {"currenttransmittertime": 17 * 86_400, "sessionstarttime": 60},
    {"currenttransmittertime": 10**300, "sessionstarttime": 60},
    {"sessionstarttime": seconds(WALL - 17 * DAY)},
    {"sessionstarttime": seconds(WALL + HOUR)},
    {"cgmtimestamp": 17 * 86_400},
]


@pytest.mark.parametrize("values", IMPOSSIBLE)
@pytest.mark.parametrize("code", [212, 404])
def test_a_start_of_unknown_age_begins_when_it_was_noted(code: int, values: dict[str, Any]) -> None:
    (found,) = sensor_sessions(log(entry(code, **values)))
    assert (found.at, found.text) == (NEW_YORK.instant(WALL), "CGM Session Started")


@pytest.mark.parametrize("values", IMPOSSIBLE)
@pytest.mark.parametrize("code", [213, JOIN_G7, 406, 477])
def test_a_join_of_unknown_age_says_nothing_about_the_sensor(
    code: int, values: dict[str, Any]
) -> None:
    assert sensor_sessions(log(entry(code, **values))) == []


def joins(*moments: tuple[timedelta, timedelta]) -> list[PumpEvent]:
    """Return what becomes of joins, each given by its time since WALL and the session's age."""
    entries = [
        entry(JOIN_G7, WALL + since, sequence, cgmtimestamp=age // SECOND)
        for sequence, (since, age) in enumerate(moments)
    ]
    return sensor_sessions(log(*entries))


def test_joining_a_session_again_is_nothing_new() -> None:
    (found,) = joins((HOUR, HOUR), (5 * HOUR, 5 * HOUR - 8 * SECOND), (9 * HOUR, 9 * HOUR))
    assert (found.at, found.log_ids) == (NEW_YORK.instant(WALL), (0,))


def test_another_sensor_is_another_session() -> None:
    first, second = joins((HOUR, HOUR), (HOUR, 29 * MINUTE))
    assert second.at - first.at == 31 * MINUTE
    assert first.key != second.key


def test_a_later_run_that_sees_only_a_later_join_knows_the_session_again() -> None:
    (first,) = joins((HOUR, HOUR))
    (later,) = joins((30 * HOUR, 30 * HOUR + 9 * SECOND))
    assert later.key == first.key
    assert later.log_ids == first.log_ids


def test_joining_a_session_that_was_just_started_is_nothing_new() -> None:
    start = entry(212, currenttransmittertime=500, sessionstarttime=500)
    join = entry(213, WALL + 5 * MINUTE, 8, currenttransmittertime=800, sessionstarttime=500)
    (found,) = sensor_sessions(log(start, join))
    assert found.text == "CGM Session Started"


def test_a_start_that_failed_and_its_repetition_are_two() -> None:
    found = sensor_sessions(log(entry(212), entry(212, WALL + 10 * MINUTE, 8)))
    assert [it.at for it in found] == [NEW_YORK.instant(WALL + m * MINUTE) for m in (0, 10)]
    assert len({it.key for it in found}) == 2


@pytest.mark.parametrize("code", [214, 447, 405, 486])
def test_a_session_that_ends_is_shown(code: int) -> None:
    stop = entry(code, sessionstarttime=73, sessionstoptime=0)
    assert sensor_sessions(log(stop)) == [
        PumpEvent(stop.key, stop.at, PumpEventKind.SENSOR_STOP, "CGM Session Stopped", True, (7,))
    ]


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        (171, 1, "CGM Alert (Urgent low glucose)"),
        (171, 14, "CGM Alert (Out of range)"),
        (369, 14, "Dexcom CGM Alert (Out of range)"),
        (369, 24, "Dexcom CGM Alert (Urgent low glucose soon)"),
        (369, 31, "Dexcom CGM Alert (Grace period started)"),
        (460, 40, "Libre CGM Alert (Alert 40)"),
        (460, 42, "Libre CGM Alert (Alert 42)"),
        (460, None, "Libre CGM Alert"),
    ],
)
def test_an_alert_is_named_and_never_left_out(code: int, number: int | None, text: str) -> None:
    alert = entry(code) if number is None else entry(code, dalertid=number)
    assert cgm_alerts(log(alert)) == [
        PumpEvent(alert.key, alert.at, PumpEventKind.CGM_ALERT, text, True, (7,))
    ]


def test_all_alerts_of_tandem_but_the_unused_have_a_name() -> None:
    unused = {0, 15, 21, 23, 30}
    assert CGM_ALERTS.keys() == set(range(33)) - unused
