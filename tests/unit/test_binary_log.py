"""The pump's log in its old binary form."""

from __future__ import annotations

import math
import struct
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.errors import LogFileError
from tconnectsync.sources.tandemsource.log.binarylog import decode, is_plausible
from tconnectsync.sources.tandemsource.log.fields import LAYOUTS, Field
from tconnectsync.sources.tandemsource.log.records import Record
from tests.support.log_forms import basal, encode

LAST_SECOND = (datetime(2101, 1, 1) - datetime(2008, 1, 1)) // timedelta(seconds=1) - 1


def read(*records: bytes) -> tuple[list[Record], Counter[str]]:
    skipped: Counter[str] = Counter()
    return decode(b"".join(records), skipped), skipped


def values_of(field: Field) -> st.SearchStrategy[float]:
    if field.type == "f":
        return st.floats(width=32, allow_nan=False, allow_infinity=False)
    bits = 8 * struct.calcsize(field.type)
    if field.type.islower():
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    return st.integers(0, (1 << bits) - 1)


@st.composite
def entries(draw: st.DrawFn) -> tuple[int, int, dict[str, Any]]:
    code = draw(st.sampled_from(sorted(LAYOUTS)))
    values = {field.name: draw(values_of(field)) for field in LAYOUTS[code].fields}
    return code, draw(st.integers(0, LAST_SECOND)), values


@given(st.lists(entries(), max_size=5), st.integers(0, 15))
def test_what_the_pump_writes_is_what_is_read(
    written: list[tuple[int, int, dict[str, Any]]], source: int
) -> None:
    data = [
        encode(code, seconds, sequence, values, source)
        for sequence, (code, seconds, values) in enumerate(written)
    ]
    wanted = [
        Record(code, 0, sequence, datetime(2008, 1, 1) + timedelta(seconds=seconds), values)
        for sequence, (code, seconds, values) in enumerate(written)
    ]
    assert read(*data) == (wanted, Counter())


@pytest.mark.parametrize("code", sorted(LAYOUTS))
def test_every_event_with_a_layout_can_be_read(code: int) -> None:
    ones = {field.name: 1 for field in LAYOUTS[code].fields}
    [record], skipped = read(encode(code, 0, 0, ones))
    assert record.values == ones
    assert not skipped


def test_fields_do_not_overlap_and_fit_the_payload() -> None:
    for layout in LAYOUTS.values():
        end = 0
        for field in layout.fields:
            assert field.offset >= end
            end = field.offset + struct.calcsize(f">{field.type}")
        assert 0 < end <= 16
        assert len({field.name for field in layout.fields}) == len(layout.fields)


def test_records_come_in_the_order_of_the_log() -> None:
    records, _ = read(basal(3, 100), basal(1, 300), basal(2, 200))
    assert [record.sequence for record in records] == [1, 2, 3]


def test_a_record_that_comes_twice_is_read_once() -> None:
    records, skipped = read(basal(1, rate=1), basal(2, rate=2), basal(1, rate=1))
    assert [record.values["commandedrate"] for record in records] == [1, 2]
    assert not skipped


def test_a_number_that_was_given_again_later_is_another_entry() -> None:
    records, _ = read(basal(1, 500, rate=2), basal(1, 100, rate=1))
    assert [record.values["commandedrate"] for record in records] == [1, 2]


def test_of_an_unknown_event_the_head_is_read_and_it_is_counted() -> None:
    records, skipped = read(encode(4094, 60, 42, {}, source=3), encode(57, 60, 43, {}))
    assert records == [
        Record(4094, 0, 42, datetime(2008, 1, 1, 0, 1), {}),
        Record(57, 0, 43, datetime(2008, 1, 1, 0, 1), {}),
    ]
    assert skipped == {"unknown pump log event 4094": 1}


def test_the_last_possible_time_is_the_end_of_the_century() -> None:
    records, skipped = read(basal(1, LAST_SECOND), basal(2, LAST_SECOND + 1), b"\xff" * 26)
    assert [record.wall for record in records] == [datetime(2100, 12, 31, 23, 59, 59)]
    assert skipped == {"pump log entry with an impossible time": 2}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_missing(value: float) -> None:
    fields = {"bolusid": 7, "completionstatus": 3, "iob": value}
    data = encode(20, 0, 0, {**fields, "insulindelivered": 1.5, "insulinrequested": 2.0})
    [record], _ = read(data)
    assert record.values == {
        "bolusid": 7,
        "completionstatus": 3,
        "insulindelivered": 1.5,
        "insulinrequested": 2.0,
    }


@pytest.mark.parametrize("length", [1, 25, 27, 51])
def test_a_log_that_ends_within_a_record_is_an_error(length: int) -> None:
    with pytest.raises(
        LogFileError, match=f"cut short: it ends with {length % 26} of the 26 bytes"
    ):
        decode((basal(1) + basal(2))[:length], Counter())


def test_no_records_are_no_entries() -> None:
    assert read() == ([], Counter())


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_cut_short(data: bytes) -> None:
    skipped: Counter[str] = Counter()
    try:
        records = decode(data, skipped)
    except LogFileError:
        assert len(data) % 26
    else:
        assert len(records) <= len(data) // 26
        assert all(math.isfinite(value) for record in records for value in record.values.values())


def test_a_log_is_distinguished_from_something_else() -> None:
    unknown = encode(4094, 0, 0, {})
    assert is_plausible(basal(1))
    assert is_plausible(basal(1) + unknown + b"rest")
    assert not is_plausible(unknown)
    assert not is_plausible(bytes(26))
    assert not is_plausible(b"")
    assert not is_plausible(basal(1)[:-1])
