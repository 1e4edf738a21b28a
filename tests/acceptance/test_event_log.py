"""The pump's event log: Tandem's table of events, captured JSON, and the old binary records."""

from __future__ import annotations

import csv
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.errors import LogFileError
from tconnectsync.sources.tandemsource.log.binarylog import decode
from tconnectsync.sources.tandemsource.log.codes import WEB_APP_CODES
from tconnectsync.sources.tandemsource.log.fields import KNOWN_CODES, LAYOUTS
from tconnectsync.sources.tandemsource.log.logfileformats import read_log
from tconnectsync.sources.tandemsource.log.records import Record, records_of, unknown_event

FOLDER = Path(__file__).parents[3] / "shared" / "cases" / "tandem-source"
if not FOLDER.is_dir():
    pytest.skip("The acceptance cases are not beside this checkout.", allow_module_level=True)

TYPES = {"uint8": "B", "int8": "b", "uint16": "H", "int16": "h", "uint32": "I", "float32": "f"}
CORRECTED = 81
"""The published table splits its last bytes wrongly (docs/protocol/tandem-event-log.md §5.1)."""
ADDED = {
    61: {"infusionsettype"},
    66: {"queued"},
    212: {"sessionstartreason"},
    313: {"weightunit", "currenttdipop", "weight"},
    477: {"sessiondurationsecs"},
}
"""Fields that the newest table has and the published one lacks (tandem-event-log)."""
MOVED = {(code, name) for code in (477, 486) for name in ("sessionduration",)} | {
    (477, "sessionjoinreason"),
    (486, "sessionstopreason"),
}
"""Fields that the published table has at the wrong places (same list)."""
LIBRE_3 = {"sessionjoinreason": 9, "sessionduration": 15, "sessiondurationsecs": 1_296_000}
"""What the only sample of a Libre 3's session says at the right places: 15 days."""
NEW = {2, 15, 558, 559, 562, 563, 564, 565, 566}
"""Layouts known since, by the newest table or by the pump's Bluetooth log (§10.1, §13)."""
BATTERY = {9, 34, 35}
"""Codes that were seen in the cloud since (§10.2)."""
LISTED_AS_BITS = {(90, "featuresbitmask"), (90, "featurebitmaskindex")}
"""Masks according to what was captured, not to the table (docs/protocol/tandem-event-log.md §4)."""
CAPTURED = sorted(path.name for path in (FOLDER / "pump-logs" / "by-event").glob("*.json"))
ANSWERS = sorted(path.name for path in (FOLDER / "pump-logs" / "cases").glob("*.pump-logs.json"))


@cache
def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def table(name: str) -> list[dict[str, str]]:
    with (FOLDER / "tables" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def published() -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield the events of Tandem's table and of the additions to it."""
    for name in ("events.v3.json", "events.v3.custom.json"):
        for code, each in load(f"tables/{name}")["events"].items():
            yield int(code), each["name"], each["data"]


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"".join(filter(str.isalnum, name)).lower(): it for name, it in values.items()}


def as_read_now(code: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a binary sample; the one of a Libre 3 was read from the wrong places."""
    return plain(values) | (LIBRE_3 if code == 477 else {})


def folded(value: Any) -> Any:
    return sum(1 << bit for bit in value) if isinstance(value, list) else value


def is_mask(description: Mapping[str, Any]) -> bool:
    return any(kind == "bitmask" for kind, _ in description.get("transform", ()))


def record_of(hexadecimal: str) -> Record:
    skipped: Counter[str] = Counter()
    [record] = decode(bytes.fromhex(hexadecimal), skipped)
    assert not skipped
    return record


def test_the_layouts_are_those_of_tandems_table() -> None:
    events = list(published())
    assert LAYOUTS.keys() == {code for code, _, _ in events} | NEW
    for code, name, data in events:
        assert LAYOUTS[code].name == name
        fields = {
            (field, each["offset"], TYPES[each["type"]], is_mask(each))
            for field, each in plain(data).items()
            if (code, field) not in MOVED
        }
        ours = {
            field._replace(is_mask=field.is_mask and (code, field.name) not in LISTED_AS_BITS)
            for field in LAYOUTS[code].fields
            if field.name not in ADDED.get(code, ()) and (code, field.name) not in MOVED
        }
        assert code == CORRECTED or ours == fields


def test_the_layouts_are_those_of_the_flat_table() -> None:
    fields = {
        (int(row["event_id"]), row["field"].lower(), int(row["payload_offset"]), TYPES[row["type"]])
        for row in table("events.fields.csv")
        if int(row["event_id"]) != CORRECTED
        and (int(row["event_id"]), row["field"].lower()) not in MOVED
    }
    assert fields == {
        (code, field.name, field.offset, field.type)
        for code, layout in LAYOUTS.items()
        for field in layout.fields
        if code not in {CORRECTED, *NEW}
        and field.name not in ADDED.get(code, ())
        and (code, field.name) not in MOVED
    }


def test_the_session_of_a_libre_3_has_its_last_fields_in_the_right_order() -> None:
    places = {
        (code, field.name): field.offset for code in (477, 486) for field in LAYOUTS[code].fields
    }
    assert {places[477, "sessionjoinreason"], places[486, "sessionstopreason"]} == {10}
    assert {places[477, "sessionduration"], places[486, "sessionduration"]} == {11}


def test_every_event_that_anybody_knows_is_known() -> None:
    assert {int(row["event_id"]) for row in table("known-event-ids.csv")} | BATTERY == (KNOWN_CODES)


def test_what_is_asked_for_is_what_the_web_app_asks_for() -> None:
    codes = load("tables/event-codes.json")
    assert list(WEB_APP_CODES) == codes["requested_3_0_3"]
    synced = {code for each in codes["synced_by_class"].values() for code in each}
    battery = 81
    assert synced - {*WEB_APP_CODES} == {battery}


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_events_are_read_with_all_their_values(name: str) -> None:
    events = [each["event"] for each in load(f"pump-logs/by-event/{name}")]
    assert events
    for event in events:
        skipped: Counter[str] = Counter()
        [record] = records_of([event], KNOWN_CODES, skipped)
        assert not skipped
        assert record == (
            event["eventCode"],
            event["sequenceGroup"],
            event["sequenceNumber"],
            datetime.fromisoformat(event["pumpDateTime"]),
            {field: folded(it) for field, it in plain(event["eventProperties"]).items()},
        )


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_events_have_the_fields_of_their_layout(name: str) -> None:
    for each in load(f"pump-logs/by-event/{name}"):
        layout = LAYOUTS[each["event"]["eventCode"]]
        properties = plain(each["event"]["eventProperties"])
        fields = [field for field in layout.fields if field.name != "queued"]
        assert {field.name for field in fields} <= properties.keys()
        for field in fields:
            assert field.is_mask == isinstance(properties[field.name], list)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_saved_answer_is_read_whole(name: str) -> None:
    answer = load(f"pump-logs/cases/{name}")
    events = [*answer["events"], *answer["clockChanges"]]
    unknown = [event for event in events if event["eventCode"] not in KNOWN_CODES]
    skipped: Counter[str] = Counter()
    records = read_log(FOLDER / "pump-logs" / "cases" / name, skipped)
    assert skipped.total() == len(unknown)
    assert set(skipped) <= {unknown_event(99999, [])}
    assert [(record.group, record.sequence) for record in records] == sorted(
        {(event["sequenceGroup"], event["sequenceNumber"]) for event in events}
    )


def test_both_spellings_of_the_battery_are_read() -> None:
    variants = load("pump-logs/synthetic-daily-basal.json")["variants"]
    first, second = (records_of([it["event"]], {81}, Counter())[0].values for it in variants)
    assert (first["abc"], first["lipomv"]) == (55, 3830)
    assert (second["batterychargepercent"], second["batterylipomillivolts"]) == (55, 3830)


@pytest.mark.parametrize("sample", load("binary/samples.json"), ids=lambda it: it["name"])
def test_binary_samples_are_read(sample: dict[str, Any]) -> None:
    header = sample["header"]
    assert record_of(sample["hex"]) == (
        header["id"],
        0,
        header["seqNum"],
        datetime.fromisoformat(header["wallClock"]),
        as_read_now(header["id"], sample["fields"]),
    )


@pytest.mark.parametrize(
    "sample", load("binary/daily-basal-battery.json"), ids=lambda it: it["hex"]
)
def test_the_battery_is_read_from_the_right_bytes(sample: dict[str, Any]) -> None:
    values = record_of(sample["hex"]).values
    for name in ("batteryLipoMilliVolts", "batteryChargePercent", "finalEventForDay"):
        assert values[name.lower()] == sample[name]


@pytest.mark.parametrize("name", ["stream-all.b64", "stream-all.legacy-response.json"])
def test_a_binary_log_is_read_from_what_the_old_endpoint_answered(name: str) -> None:
    assert_is_the_stream(read_log(FOLDER / "binary" / name, Counter()))


def test_a_binary_log_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pump.log"
    path.write_bytes(b64decode((FOLDER / "binary" / "stream-all.b64").read_text()))
    assert_is_the_stream(read_log(path, Counter()))


def assert_is_the_stream(records: list[Record]) -> None:
    """Compare with what was expected; of the same number and time the first one counts."""
    wanted: dict[tuple[int, datetime], Any] = {}
    for each in load("binary/stream-all.expected.json"):
        wanted.setdefault((each["seqNum"], datetime.fromisoformat(each["wallClock"])), each)
    assert [(record.sequence, record.wall) for record in records] == sorted(wanted)
    for record in records:
        each = wanted[record.sequence, record.wall]
        assert (record.code, record.values) == (each["id"], as_read_now(each["id"], each["fields"]))


def test_of_an_unknown_event_the_head_is_read() -> None:
    unknown = load("binary/synthetic.json")["unknown_id_with_source_bits"]
    skipped: Counter[str] = Counter()
    [record] = decode(bytes.fromhex(unknown["hex"]), skipped)
    assert (record.code, record.sequence, record.values) == (unknown["id"], unknown["seqNum"], {})
    assert skipped == {"unknown pump log event 4094": 1}


def test_a_log_cut_within_a_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pump.log"
    path.write_bytes(bytes.fromhex(load("binary/synthetic.json")["truncated_stream_hex"]))
    with pytest.raises(LogFileError, match="cut short"):
        read_log(path, Counter())
