"""The simulated pump's event log: what it says adds up to what the person's history holds."""

from __future__ import annotations

import json
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from operator import attrgetter
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import (
    BolusRecord,
    CgmReading,
    PumpHistory,
    basal_insulin,
    bolus_insulin,
    midnight,
)
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.entries import EPOCH, LogEntry
from tconnectsync.simulators.tandemsource.log import PumpLog, pump_log
from tconnectsync.simulators.tandemsource.pumps import SimulatedPump
from tconnectsync.simulators.tandemsource.query import LogQuery
from tests.support.binary_log import binary_log

FIRST = date(2024, 10, 25)
START = midnight(FIRST)
LIFE = live(FIRST, 16)
ZONE = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
AUTUMN = (datetime(2024, 11, 3, 2), datetime(2024, 11, 3, 1))


def log_of(history: PumpHistory, *changes: tuple[datetime, datetime]) -> PumpLog:
    return pump_log(history, Clocks(midnight(history.first_day), ZONE, changes))


LOG = log_of(LIFE)


def entries_of(code: int, log: PumpLog = LOG) -> list[LogEntry]:
    return [entry for entry in log.entries if entry.code == code]


def values(entries: Iterable[LogEntry], name: str) -> list[float]:
    return [entry.properties[name] for entry in entries]


def after(entry: LogEntry, code: int) -> LogEntry:
    """Return the next entry of a code."""
    return next(e for e in entries_of(code) if e.number > entry.number)


def messages(bolus: BolusRecord) -> list[LogEntry]:
    return [entry for entry in LOG.entries if entry.record == bolus]


def codes(entries: Iterable[LogEntry]) -> list[int]:
    """Return the codes in order, repeated ones once."""
    return [code for code, _ in groupby(entry.code for entry in entries)]


def taken(reading: LogEntry) -> datetime:
    return EPOCH + timedelta(seconds=reading.properties["egvTimeStamp"])


# -- the whole log ---------------------------------------------------------------------------------


@pytest.mark.parametrize("control_iq", [True, False])
@pytest.mark.parametrize("days", [1, 3, 7, 10])
def test_the_log_of_a_longer_life_begins_with_that_of_the_shorter(
    days: int, control_iq: bool
) -> None:
    short = live(FIRST, days, control_iq=control_iq)
    early, late = log_of(short, AUTUMN), log_of(live(FIRST, 16, control_iq=control_iq), AUTUMN)
    count = bisect_left(early.entries, short.end, key=attrgetter("at"))
    assert count > 300 * days
    assert early.entries[:count] == late.entries[:count]


def test_a_history_gives_the_same_log_again_and_another_with_another_clock() -> None:
    again, late = replace(LIFE), log_of(LIFE, AUTUMN)
    assert log_of(again).entries == LOG.entries != late.entries == log_of(again, AUTUMN).entries
    assert log_of(LIFE) is log_of(LIFE) is not log_of(again)


def test_what_is_served_is_the_same_however_often_it_is_asked_for() -> None:
    pump, other = (SimulatedPump(LIFE, zone=ZONE, serial=serial) for serial in ("1", "2"))
    assert pump.log_of_pump is other.log_of_pump
    for codes in (None, frozenset({279, 20}), None):
        for days in (1, 2):
            query = LogQuery(START + days * DAY, START + 4 * DAY, codes)
            for each in (pump, other):
                served = each.log_of_range(query)
                assert json.loads(each.text_of_range(query)) == served
                assert {it["deviceAssignmentId"] for it in served["events"]} == {each.assignment_id}


def test_numbers_grow_with_time_and_leave_gaps() -> None:
    assert [e.at for e in LOG.entries] == sorted(e.at for e in LOG.entries)
    steps = Counter(b.number - a.number for a, b in pairwise(LOG.entries))
    assert min(steps) == 1
    assert max(steps) > 1
    assert steps[1] > len(LOG.entries) / 3


def test_until_it_is_set_the_pump_shows_the_persons_own_clock() -> None:
    assert all(entry.wall == entry.at for entry in LOG.entries)


# -- basal insulin and stops -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_rates_in_the_log_add_up_to_the_basal_insulin(seed: int) -> None:
    history = live(FIRST, 16, seed=seed)
    log = log_of(history)
    turns = [entry for entry in log.entries if entry.code in (279, 11)]
    given = sum(
        entry.properties["commandedRate"] / 1000 * (end.at - entry.at).total_seconds() / 3600
        for entry, end in pairwise(turns)
        if entry.code == 279
    )
    assert given == pytest.approx(basal_insulin(history, START, history.end + DAY), abs=0.005)
    assert turns[-1].properties["commandedRate"] == 0


@pytest.mark.parametrize("seed", range(1, 5))
def test_without_control_iq_the_changes_of_the_rate_add_up_to_the_basal_insulin(seed: int) -> None:
    history = live(FIRST, 16, seed=seed, control_iq=False)
    log = log_of(history)
    assert not entries_of(279, log)
    assert {b.number - a.number for a, b in pairwise(log.entries)} == {1}
    changes = entries_of(3, log)
    given = sum(
        entry.properties["commandedBasalRate"] * (end.at - entry.at).total_seconds() / 3600
        for entry, end in pairwise(changes)
    )
    last = changes[-1]
    rest = last.properties["commandedBasalRate"] * (history.end - last.at).total_seconds() / 3600
    assert given + rest == pytest.approx(basal_insulin(history, START, history.end), abs=0.005)
    starts, ends = entries_of(2, log), entries_of(15, log)
    assert len(starts) - len(ends) in (0, 1)
    assert starts


def test_a_rate_is_logged_every_five_minutes_and_at_each_change() -> None:
    history = live(FIRST, 16)
    rates = entries_of(279, log_of(history))
    assert max(b.at - a.at for a, b in pairwise(rates)) <= timedelta(minutes=5, seconds=42)
    moments = {entry.at: entry.properties["commandedRate"] for entry in rates}
    assert all(moments[s.start] == round(s.rate * 1000) for s in history.basal)


def test_the_source_of_a_rate_says_who_chose_it() -> None:
    for entry in entries_of(279):
        found = entry.properties
        rate, source = found["commandedRate"], found["commandedRateSource"]
        assert (source == 2) == (found["tempRate"] == rate)
        assert (source == 3) == (found["algorithmRate"] == rate)
        assert source or rate == 0
    by_source = Counter(entry.properties["commandedRateSource"] for entry in entries_of(279))
    assert set(by_source) == {0, 1, 2, 3}
    suspended = [s.start for s in LIFE.basal if s.suspended]
    rates = {e.at: e.properties["commandedRateSource"] for e in entries_of(279)}
    assert {rates[start] for start in suspended} == {3}


def test_a_stopped_pump_reports_a_rate_of_zero_within_a_minute_and_every_five() -> None:
    for stop in entries_of(11):
        resume = after(stop, 12)
        meanwhile = [e for e in entries_of(279) if stop.at <= e.at < resume.at]
        assert timedelta(0) < meanwhile[0].at - stop.at < MINUTE
        assert {b.at - a.at for a, b in pairwise(meanwhile)} <= {5 * MINUTE}
        assert {e.properties["commandedRateSource"] for e in meanwhile} == {0}
        assert after(resume, 279).at == resume.at


def test_a_stop_by_hand_ends_with_its_resumption_and_asks_for_it_meanwhile() -> None:
    by_hand = [s for s in LIFE.suspensions if s.reason == "manual"]
    stops = {entry.at: entry for entry in entries_of(11)}
    for suspension in by_hand:
        stop = stops[suspension.start]
        assert stop.properties["suspendReason"] == 0
        assert after(stop, 12).at == suspension.end
        asked = [e for e in entries_of(5) if e.at == suspension.start + 15 * MINUTE]
        assert values(asked, "alarmId") == [18, 23]
        cleared = [e for e in entries_of(28) if e.at == suspension.end]
        assert values(cleared, "alarmId") == [23, 18]


def test_an_empty_cartridge_stops_the_pump_until_the_new_one_is_in() -> None:
    (alarm,) = [entry for entry in entries_of(5) if entry.properties["alarmId"] == 8]
    stop = after(alarm, 11)
    assert stop.at == alarm.at
    assert stop.properties["suspendReason"] == 1
    assert stop.properties["insulinAmount"] == 0
    cleared, filled, primed = after(stop, 28), after(stop, 33), after(stop, 61)
    assert stop.at < cleared.at == filled.at < primed.at
    assert after(stop, 12).at == primed.at


def test_what_is_left_in_the_cartridge_falls_until_it_is_filled() -> None:
    amounts = [
        (entry.code, entry.properties["insulinVolume" if entry.code == 33 else "insulinAmount"])
        for entry in LOG.entries
        if entry.code in (11, 12, 33)
    ]
    for (_, before), (code, now) in pairwise(amounts):
        assert code == 33 or now <= before
    assert all(0 <= amount <= 180 for _, amount in amounts)


# -- boluses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_ends_of_boluses_add_up_to_the_bolus_insulin(seed: int) -> None:
    history = live(FIRST, 16, seed=seed)
    log = log_of(history)
    given = [e.properties["insulinDelivered"] for e in (*entries_of(20, log), *entries_of(21, log))]
    assert sum(given) == pytest.approx(bolus_insulin(history, START, history.end + DAY), abs=0.005)
    assert len(entries_of(20, log)) == len(history.boluses)


def test_a_bolus_is_requested_started_and_completed_in_this_order() -> None:
    for bolus in LIFE.boluses:
        found = messages(bolus)
        assert {entry.properties["bolusId"] for entry in found} == {bolus.request_id}
        if bolus.extended:
            assert codes(found) == [64, 65, 66, 55, 280, 20, 59, 280, 21, 280]
        else:
            assert [e.code for e in found] == [64, 65, 66, 55, 280, 280, 20]
            assert found[-1].at == bolus.completed
        assert found[0].at == found[2].at == bolus.requested


def test_an_extended_part_reports_its_progress_every_five_minutes() -> None:
    bolus = next(bolus for bolus in LIFE.boluses if bolus.extended)
    assert bolus.extended
    progress = [entry for entry in messages(bolus) if entry.code == 280]
    totals = values(progress, "deliveredTotal")
    assert totals == sorted(totals)
    assert totals[:2] == [0, round(bolus.insulin * 1000)]
    assert totals[-1] == round(bolus.delivered * 1000)
    assert values(progress, "bolusDeliveryStatus") == [1] * (len(progress) - 1) + [0]
    first, second, third, *later, last = [entry.at - progress[1].at for entry in progress[1:]]
    assert (first, second, third) == (timedelta(0), timedelta(0), timedelta(seconds=142))
    assert {b - a for a, b in pairwise([third, *later])} == {5 * MINUTE}
    assert timedelta(0) < last - later[-1] <= 5 * MINUTE
    assert progress[-1].at == bolus.extended.end


def test_the_request_says_what_kind_of_bolus_it_is() -> None:
    kinds: Counter[tuple[str, int, int]] = Counter()
    for bolus in LIFE.boluses:
        first, second, third = (entry.properties for entry in messages(bolus)[:3])
        kinds[bolus.kind, first["bolusType"], second["options"]] += 1
        assert (first["bg"], first["carbAmount"]) == (bolus.glucose or 0, bolus.carbs)
        assert second["userOverride"] == bolus.override
        assert second["duration"] == (120 if bolus.extended else 0)
        asked = bolus.requested_insulin
        asked += bolus.extended.requested_insulin if bolus.extended else 0
        assert third["totalBolusSize"] == pytest.approx(asked)
    assert set(kinds) == {
        ("standard", 0, 0),
        ("standard", 1, 0),
        ("standard", 3, 4),
        ("automatic", 2, 3),
        ("extended", 1, 1),
        ("extended", 3, 5),
    }


def test_a_bolus_stopped_by_the_person_says_so() -> None:
    aborted = [bolus for bolus in LIFE.boluses if bolus.status == "user aborted"]
    assert aborted
    for end in entries_of(20):
        found = end.properties
        assert found["completionStatus"] == (0 if end.record in aborted else 3)
        assert (found["insulinDelivered"] < found["insulinRequested"]) == (end.record in aborted)


def test_a_bolus_that_never_ends_has_no_end_in_the_log() -> None:
    running = BolusRecord(1, START, None, 1.0, 4.0, status="running")
    log = log_of(PumpHistory(FIRST, 1, True, boluses=[running]))
    assert [e.code for e in log.entries if e.record == running] == [64, 65, 66, 55, 280]


def test_insulin_on_board_rises_with_a_bolus() -> None:
    for bolus in LIFE.boluses:
        found = [e.properties["iob"] for e in messages(bolus) if e.code in (55, 20)]
        assert found[1] > found[0] >= 0


# -- fills, modes and days -------------------------------------------------------------------------


def test_cartridge_and_tubing_are_filled_in_the_same_second_and_the_cannula_later() -> None:
    fills = {
        part: [change.at for change in LIFE.site_changes if change.part == part]
        for part in ("cartridge", "site")
    }
    assert [e.at for e in entries_of(33)] == [e.at for e in entries_of(63)] == fills["cartridge"]
    assert [e.at for e in entries_of(61)] == fills["site"]


def test_every_mode_that_starts_is_ended_sometimes_by_ending_all() -> None:
    by_start: dict[float, set[float]] = {1: set(), 3: set()}
    for activity in LIFE.activities:
        start, end = (e for e in entries_of(229) if e.record == activity)
        assert (start.at, end.at) == (activity.start, activity.end)
        by_start[start.properties["requestedAction"]].add(end.properties["requestedAction"])
        assert end.properties["currentUserMode"] == 0
    assert {2, 5} <= by_start[1] <= {2, 5}
    assert 4 in by_start[3]
    scheduled = [e for e in entries_of(229) if e.properties["activeSleepSchedule"]]
    assert scheduled
    assert not any(values(scheduled, "sleepStartedByGui"))


def test_each_day_has_its_entries_and_its_last_battery_sums_up_the_basal_insulin() -> None:
    for number in range(LIFE.days):
        day = START + number * DAY
        today = Counter(e.code for e in LOG.entries if day <= e.at < day + DAY)
        assert (today[90], today[313], today[27], today[999]) == (1, 1, 1, 1)
    finals = [e for e in entries_of(81) if e.properties["finalEventForDay"]]
    assert [e.at for e in finals] == [START + n * DAY for n in range(1, LIFE.days + 1)]
    for final in finals:
        expected = basal_insulin(LIFE, final.at - DAY, final.at)
        assert final.properties["dailyTotalBasal"] == pytest.approx(expected, abs=0.0001)
    percents = values(entries_of(81), "batteryChargePercent")
    assert 0 < min(percents) < max(percents) <= 100


# -- the sensor ------------------------------------------------------------------------------------


def test_every_reading_is_in_the_log_with_its_own_time() -> None:
    shown = [e for e in entries_of(399) if e.properties["glucoseValueStatus"] == 0]
    found = sorted((taken(e), e.properties["currentGlucoseDisplayValue"]) for e in shown)
    assert found == [(reading.at, reading.mgdl) for reading in LIFE.readings]


def test_readings_come_at_once_but_for_a_batch_that_comes_later() -> None:
    late = [e for e in entries_of(399) if e.properties["cgmDataType"] == [1]]
    at_once = [e for e in entries_of(399) if e not in late]
    assert {e.at - taken(e) for e in at_once} == {timedelta(seconds=3)}
    batches = [list(batch) for _, batch in groupby(late, lambda e: e.at.date())]
    assert [batch[0].at.date() for batch in batches] == [FIRST + n * DAY for n in (1, 8, 15)]
    for batch in batches:
        assert len(batch) == 7
        assert batch[-1].at - batch[0].at < MINUTE
        assert timedelta(0) < batch[-1].at - taken(batch[-1]) < 6 * MINUTE
        assert batch[0].at - taken(batch[0]) > 30 * MINUTE


def test_values_beyond_what_the_sensor_measures_are_special() -> None:
    readings = [CgmReading(START + n * 5 * MINUTE, value) for n, value in enumerate((38, 40, 401))]
    log = log_of(PumpHistory(FIRST, 1, True, readings=readings))
    assert values(entries_of(399, log), "glucoseValueStatus") == [2, 0, 1]


def test_a_session_is_joined_while_it_runs_ends_and_is_followed_by_a_new_one() -> None:
    sessions = [e for e in LOG.entries if e.code in (394, 447)]
    assert [e.code for e in sessions] == [394, 447, 394, 394, 447, 394, 394]
    ages = [timedelta(seconds=e.properties["cgmTimestamp"]) for e in entries_of(394)]
    assert [age > DAY for age in ages] == [True, False, True, False, True]
    begun = [e.at - age for e, age in zip(entries_of(394), ages, strict=True)]
    assert begun[1] == begun[2]
    signatures = values(entries_of(394), "sessionSignature")
    assert signatures[0] != signatures[1] == signatures[2] != signatures[3] == signatures[4]
    hidden = [e for e in entries_of(399) if e.properties["glucoseValueStatus"] == 6]
    assert [e.at for e in hidden] == [entries_of(394)[n].at + 2 * MINUTE for n in (1, 3)]


def test_alerts_are_cleared_before_they_come_again() -> None:
    alerts = [e for e in LOG.entries if e.code in (369, 370)]
    assert {e.properties["dalertId"] for e in alerts} >= {2, 3, 14}
    by_number = attrgetter("number")
    for alert in {e.properties["dalertId"] for e in alerts}:
        found = sorted((e for e in alerts if e.properties["dalertId"] == alert), key=by_number)
        assert [e.code for e in found] == [(369, 370)[n % 2] for n in range(len(found))]


def test_without_a_sensor_there_is_nothing_of_it_in_the_log() -> None:
    log = log_of(replace(LIFE, readings=()))
    assert not {e.code for e in log.entries} & {369, 370, 394, 399, 447}


def test_finger_sticks_are_logged() -> None:
    typed_in = [e for e in entries_of(16) if e.properties["bgEntryType"] == 0]
    found = [(e.at, e.properties["bg"]) for e in typed_in]
    assert found == [(stick.at, stick.mgdl) for stick in LIFE.finger_sticks]


def test_the_glucose_of_a_bolus_is_noted_just_before_it_if_it_came_from_the_sensor() -> None:
    taken_over = [e for e in entries_of(16) if e.properties["bgEntryType"] == 1]
    asked = {e.at: e.properties["bg"] for e in entries_of(64)}
    assert len(taken_over) > len(LIFE.boluses) / 10
    for entry in taken_over:
        assert asked[entry.at + timedelta(seconds=4)] == entry.properties["bg"]


# -- clocks ----------------------------------------------------------------------------------------


def test_the_autumn_hour_comes_twice_with_growing_numbers() -> None:
    log = log_of(LIFE, AUTUMN)
    repeated = [e for e in log.entries if e.wall.date() == AUTUMN[0].date() and e.wall.hour == 1]
    # The date is noted down while the clock still shows the old time.
    (set_at,) = entries_of(13, log)
    first = [e for e in repeated if e.number < set_at.number]
    second = [e for e in repeated if e.number >= set_at.number]
    assert len(first) > 20
    assert len(second) > 20
    assert {e.at - e.wall for e in first} == {timedelta(0)}
    assert {e.at - e.wall for e in second} == {timedelta(hours=1)}
    same = [[e.properties for e in entries_of(279, each)] for each in (LOG, log)]
    assert same[0] == same[1]


def test_a_clock_that_is_set_is_noted_down_date_before_time() -> None:
    log = log_of(LIFE, AUTUMN)
    change, time = log.clock_changes
    assert (change.code, change.wall) == (14, AUTUMN[0])
    assert change.properties["datePrior"] == change.properties["dateAfter"] == 6151
    assert (time.code, time.wall) == (13, AUTUMN[1])
    assert time.properties["timePrior"] == 2 * 3_600_000
    assert time.properties["timeAfter"] == 3_600_000


def test_a_journey_over_the_date_line_changes_date_and_time() -> None:
    before, later = datetime(2024, 10, 28, 22, 10, 5), datetime(2024, 10, 29, 14, 9, 50)
    back = datetime(2024, 11, 5, 9, 0), datetime(2024, 11, 4, 17, 0)
    log = log_of(LIFE, (before, later), back)
    first, _, second, last = log.clock_changes
    assert first.properties["datePrior"] + 1 == first.properties["dateAfter"]
    assert first.wall == datetime(2024, 10, 29, 22, 10, 5)
    assert second.wall == datetime(2024, 11, 4, 9, 0)
    assert second.properties["datePrior"] - 1 == second.properties["dateAfter"]
    assert last.wall == back[1]
    assert log.entries[-1].at - log.entries[-1].wall == timedelta(seconds=15)


def test_setting_only_the_date_leaves_the_time_alone() -> None:
    log = log_of(LIFE, (datetime(2024, 10, 28, 8), datetime(2024, 10, 29, 8)))
    assert [e.code for e in log.clock_changes] == [14]
    assert log.clock_changes[0].wall == datetime(2024, 10, 29, 8)


def test_readings_carry_the_clock_that_the_pump_shows() -> None:
    log = log_of(LIFE, AUTUMN)
    at_once = [e for e in entries_of(399, log) if e.properties["cgmDataType"] == [0]]
    assert {e.wall - taken(e) for e in at_once} == {timedelta(seconds=3)}


def test_true_instants_do_not_depend_on_the_pumps_clock() -> None:
    clocks = Clocks(START, ZONE, [AUTUMN])
    assert clocks.instant(START) == datetime(2024, 10, 25, 4, tzinfo=UTC)
    two_o_clock = AUTUMN[0]
    shown = clocks.wall(two_o_clock).replace(tzinfo=ZONE, fold=1)
    assert clocks.instant(two_o_clock) == datetime(2024, 11, 3, 6, tzinfo=UTC)
    assert shown.astimezone(UTC) == clocks.instant(two_o_clock)


@pytest.mark.parametrize("changes", [(), (AUTUMN,)])
def test_a_range_is_cut_by_the_pumps_clock_ends_included(
    changes: Sequence[tuple[datetime, datetime]],
) -> None:
    log = log_of(LIFE, *changes)
    count = log.uploaded(START + 11 * DAY)
    for first, last in (
        (START, START + DAY),
        (AUTUMN[1], AUTUMN[0]),
        (log.entries[900].wall, log.entries[900].wall),
        (START + 10 * DAY, START + 20 * DAY),
    ):
        expected = [e for e in log.entries[:count] if first <= e.wall <= last]
        assert log.between(first, last, count) == expected
        assert expected


# -- old records -----------------------------------------------------------------------------------


def records(entries: Iterable[LogEntry]) -> list[tuple[int, int, int, bytes]]:
    return list(struct.iter_unpack(">HII16s", binary_log(entries)))


def test_a_record_has_the_code_the_pumps_time_the_number_and_a_payload() -> None:
    log = log_of(LIFE, AUTUMN)
    for (code, seconds, number, _), entry in zip(records(log.entries), log.entries, strict=True):
        assert (code, number) == (entry.code, entry.number)
        assert EPOCH + timedelta(seconds=seconds) == entry.wall


def test_a_payload_holds_the_properties_at_the_places_of_the_protocol() -> None:
    stop = entries_of(11)[0]
    (_, _, _, payload) = records([stop])[0]
    assert payload[4:6] == bytes([15, stop.properties["suspendReason"]])
    reading = entries_of(399)[0]
    (_, _, _, payload) = records([reading])[0]
    value, seconds, bits = struct.unpack_from(">4xHxxI2xH", payload)
    assert value == reading.properties["currentGlucoseDisplayValue"]
    assert seconds == reading.properties["egvTimeStamp"]
    assert [bit for bit in range(16) if bits >> bit & 1] == reading.properties["egvInfoBitmask"]
    battery = entries_of(81)[0]
    (_, _, _, payload) = records([battery])[0]
    assert struct.unpack_from(">HBB", payload, 12) == (
        battery.properties["batteryLipoMilliVolts"],
        battery.properties["batteryChargePercent"],
        0,
    )


def test_an_unknown_code_has_an_empty_payload() -> None:
    assert {payload for _, _, _, payload in records(entries_of(999))} == {bytes(16)}
