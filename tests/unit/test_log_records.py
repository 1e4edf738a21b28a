"""Entries of the pump's log, read from the JSON of pump-logs."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.sources.tandemsource.log.fields import KNOWN_CODES
from tconnectsync.sources.tandemsource.log.records import (
    EVERY_CODE,
    Record,
    flag,
    mask,
    number,
    records_of,
    whole,
)
from tests.support.log_forms import JSON, NOON, ODD_EVENTS, event


def read(*events: object) -> tuple[list[Record], Counter[str]]:
    skipped: Counter[str] = Counter()
    return records_of(events, KNOWN_CODES, skipped), skipped


def values(code: int = 279, **properties: Any) -> dict[str, Any]:
    [record], skipped = read(event(code=code, eventProperties=properties))
    assert not skipped
    return record.values


def test_an_entry_is_read() -> None:
    assert read(event(7)) == (
        [Record(279, 0, 7, datetime(2026, 5, 14, 12), {"commandedrate": 800})],
        Counter(),
    )


def test_entries_come_in_the_order_of_the_log_whatever_their_times() -> None:
    late, early = event(3, pumpDateTime="2026-05-14T11:00:00"), event(2)
    records, _ = read(event(1, sequenceGroup=1), late, early)
    assert [(record.group, record.sequence) for record in records] == [(0, 2), (0, 3), (1, 1)]


def test_of_repeats_the_first_is_kept() -> None:
    records, skipped = read(
        event(1, eventProperties={"commandedRate": 1}),
        event(1, eventProperties={"commandedRate": 2}),
        event(1, sequenceGroup=1, eventProperties={"commandedRate": 3}),
    )
    assert [record.values["commandedrate"] for record in records] == [1, 3]
    assert not skipped


def test_a_broken_entry_does_not_stand_in_the_way_of_its_repeat() -> None:
    records, _ = read(event(1, pumpDateTime=None), event(1))
    assert [record.sequence for record in records] == [1]


def test_only_what_is_wanted_is_read_and_only_the_unknown_is_counted() -> None:
    skipped: Counter[str] = Counter()
    events = [event(1, 279), event(2, 399), event(3, 999), event(4, 99999), event(5, 0)]
    records = records_of(events, {279}, skipped)
    assert [record.code for record in records] == [279]
    assert skipped == {
        "possibly insulin, carbs or glucose in unknown pump log event 999 (commandedrate)": 1,
        "possibly insulin, carbs or glucose in unknown pump log event 99999 (commandedrate)": 1,
    }


@pytest.mark.parametrize(
    ("code", "properties", "text"),
    [
        (999, {}, "unknown pump log event 999, without insulin, carbs or glucose"),
        (999, {"spareA3": 7}, "unknown pump log event 999, without insulin, carbs or glucose"),
        (999, None, "unknown pump log event 999"),
        (
            600,
            {"syncDoseSize": 1, "idp": 0, "carbAmount": 4},
            "possibly insulin, carbs or glucose in unknown pump log event 600 "
            "(carbamount, syncdosesize)",
        ),
        (
            231,
            {"insulinDelivered": 44.5},
            "unknown pump log event 231, without insulin, carbs or glucose",
        ),
    ],
)
def test_of_an_unknown_entry_is_said_whether_it_may_be_about_insulin(
    code: int, properties: Any, text: str
) -> None:
    skipped: Counter[str] = Counter()
    (record,) = records_of([event(1, code, eventProperties=properties)], EVERY_CODE, skipped)
    assert record.code == code
    assert skipped == {text: 1}


@pytest.mark.parametrize(
    ("broken", "counted"),
    [
        ("text", "pump log entry that is not an object"),
        (None, "pump log entry that is not an object"),
        ([event()], "pump log entry that is not an object"),
        ({}, "pump log entry without an event number"),
        (event(code=None), "pump log entry without an event number"),
        (event(code=True), "pump log entry without an event number"),
        (event(code="279"), "pump log entry without an event number"),
        (event(code=279.5), "pump log entry without an event number"),
        (event(code=-1), "pump log entry without an event number"),
        (event(code=2**32), "pump log entry without an event number"),
        (event(code=[279]), "pump log entry without an event number"),
        (event(None), "pump log entry without a sequence number"),
        (event(-1), "pump log entry without a sequence number"),
        (event(True), "pump log entry without a sequence number"),
        (event(10**400), "pump log entry without a sequence number"),
        (event(math.nan), "pump log entry without a sequence number"),
        (event(sequenceGroup="0"), "pump log entry without a sequence number"),
        (event(pumpDateTime=None), "pump log entry without a time"),
        (event(pumpDateTime=1778760000), "pump log entry without a time"),
        (event(pumpDateTime="noon"), "pump log entry without a time"),
        (event(pumpDateTime="2026-05-14"), "pump log entry without a time"),
        (event(pumpDateTime="2026-02-30T12:00:00"), "pump log entry without a time"),
        (event(pumpDateTime="2007-12-31T23:59:59"), "pump log entry with an impossible time"),
        (event(pumpDateTime="2101-01-01T00:00:00"), "pump log entry with an impossible time"),
    ],
)
def test_an_unusable_entry_is_counted_and_left_out(broken: object, counted: str) -> None:
    records, skipped = read(event(1), broken, event(3))
    assert [record.sequence for record in records] == [1, 3]
    assert skipped == {counted: 1}


def test_numbers_may_come_as_floats() -> None:
    [record], _ = read(event(7.0, 279.0, sequenceGroup=1.0))
    assert record[:3] == (279, 1, 7)
    assert {type(part) for part in record[:3]} == {int}


@pytest.mark.parametrize("spelling", ["eventcode", "EventCode", "event_code", "Event Code"])
def test_names_match_whatever_their_spelling(spelling: str) -> None:
    odd = {
        spelling: 279,
        "SEQUENCE_NUMBER": 7,
        "pump-date-time": NOON,
        "EventProperties": {"A b": 1},
    }
    [record], skipped = read(odd)
    assert record == (279, 0, 7, datetime(2026, 5, 14, 12), {"ab": 1})
    assert not skipped


def test_an_entry_without_a_group_belongs_to_the_first_one() -> None:
    ungrouped = event(7)
    del ungrouped["sequenceGroup"]
    records, _ = read(ungrouped, event(8, sequenceGroup=None))
    assert [(record.group, record.sequence) for record in records] == [(0, 7), (0, 8)]


@pytest.mark.parametrize("text", [NOON + "Z", NOON + "+05:00", NOON + ".750", "2026-05-14 12:00"])
def test_the_digits_of_the_pumps_clock_are_taken_as_they_are(text: str) -> None:
    [record], _ = read(event(pumpDateTime=text))
    assert record.wall == datetime(2026, 5, 14, 12)
    assert record.wall.tzinfo is None


def test_without_the_pumps_own_time_there_is_none() -> None:
    timeless = event()
    del timeless["pumpDateTime"]
    assert read(timeless) == ([], Counter({"pump log entry without a time": 1}))


@pytest.mark.parametrize("properties", [None, [], "text", 7, {}])
def test_an_entry_without_properties_has_happened_all_the_same(properties: object) -> None:
    [record], skipped = read(event(eventProperties=properties))
    assert record.values == {}
    assert not skipped


def test_bit_masks_become_ints_however_they_come() -> None:
    assert values(399, cgmDataType=[0, 5], egvInfoBitmask=[]) == {
        "cgmdatatype": 0b100001,
        "egvinfobitmask": 0,
    }
    assert values(399, cgmDataType=33) == {"cgmdatatype": 33}
    assert values(90, featuresBitmask=[31, 31]) == {"featuresbitmask": 1 << 31}
    assert values(5, aListNobodyKnows=[1]) == {"alistnobodyknows": 2}


@pytest.mark.parametrize(
    "bits", [[-1], [64], ["1"], [None], [True], [0.5], [[1]], [{}], [math.nan], [0] * 100_000]
)
def test_a_list_that_is_no_bit_mask_is_unknown(bits: list[Any]) -> None:
    assert values(399, cgmDataType=[1], egvInfoBitmask=bits, rate=1) == {
        "cgmdatatype": 2,
        "rate": 1,
    }


@pytest.mark.parametrize(
    "value", [None, "800", {}, math.nan, math.inf, -math.inf, 10**400, {"a": 1}]
)
def test_a_value_that_is_no_number_is_missing(value: object) -> None:
    assert values(iob=value, bg=120, on=True, rate=-0.5) == {"bg": 120, "on": True, "rate": -0.5}


def test_two_infinities_do_not_hide_each_other() -> None:
    assert values(a=math.inf, b=-math.inf, c=1e308, d=1e308) == {"c": 1e308, "d": 1e308}


def test_a_number_is_found_under_either_name() -> None:
    assert number({"abc": 55}, "batterychargepercent", "abc") == 55
    assert whole({"batterychargepercent": None, "abc": 55.0}, "batterychargepercent", "abc") == 55
    assert mask({"a": 3, "b": 5}, "b", "a") == 5
    assert flag({"b": 0}, "a", "b") is False


@pytest.mark.parametrize("value", [None, True, False, "1", [], {}, math.nan, math.inf, 10**400])
def test_what_is_no_number_is_read_as_unknown(value: object) -> None:
    assert number({"a": value}, "a") is None
    assert whole({"a": value}, "a") is None
    assert mask({"a": value}, "a") is None


def test_numbers_are_read_as_what_is_asked_for() -> None:
    assert repr(number({"a": 3}, "a")) == "3.0"
    assert repr(whole({"a": 3.0}, "a")) == "3"
    assert whole({"a": 3.5}, "a") is None
    assert whole({"a": -1}, "a") == -1
    assert mask({"a": -1}, "a") is None
    assert number({}, "a") is None


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(1, True), (0, False), (True, True), (1.0, True), (2, None), ("1", None), (None, None)],
)
def test_a_flag_is_yes_no_or_unknown(value: object, meaning: bool | None) -> None:
    assert flag({"a": value}, "a") is meaning


@given(st.lists(ODD_EVENTS | JSON, max_size=8))
def test_no_json_whatever_makes_it_stumble(events: list[Any]) -> None:
    records, skipped = read(*events)
    assert len(records) + skipped.total() <= len(events)
    places = [(record.group, record.sequence) for record in records]
    assert places == sorted(set(places))
    for record in records:
        assert record.code in KNOWN_CODES
        assert 2008 <= record.wall.year <= 2100
        assert record.wall.tzinfo is None
        assert all(name == "".join(filter(str.isalnum, name)) for name in record.values)
        assert all(math.isfinite(value) for value in record.values.values())


@given(st.sets(st.integers(0, 63)))
def test_any_set_of_bits_becomes_its_mask(bits: set[int]) -> None:
    assert values(399, cgmDataType=list(bits))["cgmdatatype"] == sum(2**bit for bit in bits)
