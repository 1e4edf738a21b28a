"""Recorded logs and settings of Tandem Source: readings, sensor sessions, alerts, state, profiles.

What is expected is what an older program wrote. Where docs/protocol wants something else, the test
that says so is named after it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tconnectsync.domain.events import PumpEvent, Reading, ReadingKind
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.nightscout.profiles import ProfileStyle, revised_record, same
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.log.records import known_only, plainly_named
from tconnectsync.sources.tandemsource.pumpevents import alarms
from tconnectsync.sources.tandemsource.pumps.pumps import configured, newest_first, read_pumps
from tconnectsync.sources.tandemsource.sensor import cgm_alerts, readings, sensor_sessions
from tconnectsync.sources.tandemsource.settings import pump_settings
from tconnectsync.sources.tandemsource.status.onboard import noted
from tconnectsync.sources.tandemsource.status.status import device_status
from tests.acceptance.cases import FOLDER
from tests.support.event_builders import NEW_YORK

CASES = FOLDER.parent / "tandem-source"
if not CASES.is_dir():
    pytest.skip("The acceptance cases are not beside this checkout.", allow_module_level=True)

STYLE = ProfileStyle("America/New_York", mmol=False, targets="alerts", carbs_hr="20", delay="20")


def load(name: str) -> Any:
    return json.loads((CASES / name).read_text("utf-8"))


def log_of(events: Iterable[Any]) -> Log:
    """Return recorded events as a log of a pump whose clock was never changed."""
    log: dict[int, list[Entry]] = defaultdict(list)
    for event in sorted(events, key=lambda event: int(event["sequenceNumber"])):
        wall = datetime.fromisoformat(event["pumpDateTime"])
        code, values = event["eventCode"], known_only(plainly_named(event["eventProperties"]))
        at = NEW_YORK.instant(wall)
        log[code].append(Entry(at, code, event["sequenceNumber"], wall, values))
    return log


def recorded(case: str) -> Log:
    return log_of(load(f"pump-logs/cases/{case}.pump-logs.json")["events"])


def every(code: int) -> Log:
    """Return all events of one kind that were captured."""
    (path,) = (CASES / "pump-logs/by-event").glob(f"{code:03}-*.json")
    return log_of(item["event"] for item in json.loads(path.read_text("utf-8")))


def expected(case: str) -> list[Any]:
    return [write["document"] for write in load(f"pump-logs/cases/{case}.expected.json")["writes"]]


def found_readings(case: str) -> list[Reading]:
    skipped: Counter[str] = Counter()
    found = readings(recorded(case), skipped)
    assert not skipped
    return found


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def as_written(events: Iterable[PumpEvent]) -> list[tuple[datetime, str, str]]:
    return [(it.at, it.text, ",".join(map(str, it.log_ids))) for it in events]


@pytest.mark.parametrize("case", ["cgm-g6", "cgm-g7", "cgm-g7-backfill"])
def test_readings_have_the_times_and_values_recorded(case: str) -> None:
    found = found_readings(case)
    assert [(int(it.at.timestamp()) * 1000, it.glucose, str(it.log_ids[0])) for it in found] == [
        (entry["date"], entry["sgv"], entry["pump_event_id"]) for entry in expected(case)
    ]
    assert {it.kind for it in found} == {ReadingKind.SENSOR}


def test_a_reading_that_the_pump_does_not_show_is_not_sent_as_0() -> None:
    assert [entry["sgv"] for entry in expected("cgm-g7-do-not-show")] == [0]
    assert found_readings("cgm-g7-do-not-show") == []


@pytest.mark.parametrize("code", [256, 399])
def test_every_captured_reading_is_understood(code: int) -> None:
    skipped: Counter[str] = Counter()
    log = every(code)
    assert len(readings(log, skipped)) == len(log[code])
    assert not skipped


def test_of_the_captured_values_of_persons_the_typed_one_counts() -> None:
    skipped: Counter[str] = Counter()
    (found,) = readings(every(16), skipped)
    assert (found.glucose, found.kind) == (151, ReadingKind.FINGER)
    assert not skipped


def test_alerts_are_as_recorded() -> None:
    found = {(at, number) for at, _, number in as_written(cgm_alerts(recorded("cgm-alerts")))}
    assert found > {
        (instant(document["created_at"]), document["pump_event_id"])
        for document in expected("cgm-alerts")
    }


def test_sessions_are_as_recorded_but_a_joined_one_began_when_its_sensor_did() -> None:
    found = sensor_sessions(recorded("cgm-sessions-g7"))
    assert [(it.noted_at or it.at, it.text, str(it.log_ids[0])) for it in found] == [
        (instant(document["created_at"]), document["notes"], document["pump_event_id"])
        for document in expected("cgm-sessions-g7")
    ]
    ages = [it.noted_at - it.at for it in found if it.noted_at]
    assert ages == [timedelta(seconds=3042), timedelta(seconds=51767)]


def test_a_captured_libre_3_session_began_seconds_before_the_pump_joined_it() -> None:
    (record,) = [it for it in load("binary/samples.json") if it["header"]["id"] == 477]
    wall = instant(record["header"]["wallClock"])
    values = plainly_named(record["fields"])
    entry = Entry(NEW_YORK.instant(wall), 477, record["header"]["seqNum"], wall, values)
    (found,) = sensor_sessions({477: [entry]})
    assert found.at == NEW_YORK.instant(datetime(2026, 3, 9, 17, 39, 13))


@pytest.mark.parametrize("case", ["alarms", "alarm-unknown-id"])
def test_the_alarms_recorded_are_shown(case: str) -> None:
    found = [(at, number) for at, _, number in as_written(alarms(recorded(case)))]
    assert found == [
        (instant(document["created_at"]), document["pump_event_id"]) for document in expected(case)
    ]


def test_the_battery_is_read_in_both_spellings() -> None:
    recorded = load("pump-logs/synthetic-daily-basal.json")
    wanted = recorded["expected_devicestatus_fields"]
    for variant in recorded["variants"]:
        found = device_status(log_of([variant["event"]]))
        assert found
        assert (found.battery_volts, found.battery_percent) == (
            wanted["voltage"],
            wanted["percent"],
        )
        assert found.iob == variant["event"]["eventProperties"]["iob"]


@pytest.mark.parametrize("code", [16, 20, 21, 55, 59, 64])
def test_every_captured_value_of_insulin_on_board_is_understood(code: int) -> None:
    log = every(code)
    assert [(it.at, units) for it, units in noted(log)] == sorted(
        (entry.at, entry.values["iob"]) for entry in log[code]
    )


def test_a_pump_is_suspended_and_resumed_as_captured() -> None:
    for code, suspended in ((11, True), (12, False)):
        log = every(code)
        found = device_status(log)
        assert found
        assert (found.suspended, found.at) == (suspended, log[code][-1].at)
        assert found.reservoir == log[code][-1].values["insulinamount"]


def settings(name: str) -> PumpSettings:
    return pump_settings(load(f"settings/{name}.details.json"))


def same_entry(ours: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Return whether two profiles are alike; numbers may be texts."""
    return ours.keys() == recorded.keys() and all(same(ours[k], recorded[k]) for k in recorded)


@pytest.mark.parametrize("name", ["settings-one-profile", "settings-two-profiles"])
def test_profiles_have_the_values_recorded(name: str) -> None:
    wanted = load(f"settings/{name}.expected.json")["profile_document_before_add_mode_stamps"]
    record = revised_record(None, settings(name), STYLE)
    assert record
    assert record["defaultProfile"] == wanted["defaultProfile"]
    assert record["store"].keys() == wanted["store"].keys()
    for profile, entry in wanted["store"].items():
        assert same_entry(record["store"][profile], entry)


@pytest.mark.parametrize("name", ["merge-changed", "merge-numeric-equal"])
def test_profiles_change_a_site_only_as_recorded(name: str) -> None:
    case = load(f"settings/{name}.expected.json")
    pump = settings(case["settings"].removesuffix(".details.json"))
    record = revised_record(case["current_nightscout_profile"], pump, STYLE)
    assert (record is not None) == case["changed"]
    if record:
        wanted = case["profile_document_before_add_mode_stamps"]
        assert record["defaultProfile"] == wanted["defaultProfile"]
        assert record["store"].keys() == wanted["store"].keys()
        for profile, entry in wanted["store"].items():
            assert same_entry(record["store"][profile], entry)


@pytest.mark.parametrize(("name", "count"), [("bff-pumper", 2), ("bff-pumper.eu", 1)])
def test_the_pump_in_use_is_chosen_from_a_recorded_account(name: str, count: int) -> None:
    account = load(f"api/{name}.json")
    pumps = read_pumps(account, NEW_YORK)
    assert len(pumps) == count
    now = datetime.fromisoformat("2026-07-17T00:00:00Z")
    pump = newest_first(configured(pumps, ""), NEW_YORK, now)[0]
    first = account["pumps"][0]
    assert (pump.assignment_id, pump.serial) == (first["assignmentId"], first["serialNumber"])
    assert pump.newest == instant(first["maxDateOfEvents"])
    assert pump.uploaded == instant(first["lastUploadDate"])


@pytest.mark.parametrize("case", load("api/naive-local-to-utc.expected.json"))
def test_the_newest_event_is_the_instant_recorded(case: dict[str, Any]) -> None:
    item = {"assignmentId": "a", "serialNumber": "1", "maxDateOfEvents": case["in"]}
    (pump,) = read_pumps({"pumps": [item]}, NEW_YORK)
    at = NEW_YORK.instant(pump.newest) if pump.newest else None
    assert at == (instant(case["out"]) if case["out"] else None)
