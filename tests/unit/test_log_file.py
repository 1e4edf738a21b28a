"""A pump log that was saved to a file, in all its forms, and what is none."""

from __future__ import annotations

import base64
import gzip
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.errors import LogFileError
from tconnectsync.sources.tandemsource.log.logfileformats import read_log
from tconnectsync.sources.tandemsource.log.records import Record
from tests.support.log_forms import JSON, ODD_EVENTS, basal, event

RECORDS = b"".join(basal(sequence, 560_000_000 + 300 * sequence) for sequence in range(1, 9))
BASE64 = base64.b64encode(RECORDS)
CLOCK_CHANGE = event(5, 13, eventProperties={"timePrior": 1, "timeAfter": 2})
ANSWER = {"events": [event(7), event(6)], "clockChanges": [CLOCK_CHANGE]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pump.log"


def sequences(path: Path, data: bytes | object) -> list[int]:
    return [record.sequence for record in read(path, data)]


def read(path: Path, data: bytes | object) -> list[Record]:
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    skipped: Counter[str] = Counter()
    records = read_log(path, skipped)
    assert not skipped
    return records


def test_a_saved_answer_is_read_with_its_changes_of_the_clock(path: Path) -> None:
    records = read(path, ANSWER)
    assert [(record.code, record.sequence) for record in records] == [(13, 5), (279, 6), (279, 7)]
    assert records[0].values == {"timeprior": 1, "timeafter": 2}


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"events": [event(1)]}, [1]),
        ({"clockChanges": [CLOCK_CHANGE], "events": None}, [5]),
        ({"events": [], "clockChanges": []}, []),
        ([event(2), event(1)], [1, 2]),
        ([ANSWER, {"events": [event(7), event(8)]}], [5, 6, 7, 8]),
        ([], []),
        ("", []),
        (BASE64.decode(), [*range(1, 9)]),
    ],
)
def test_json_is_read_in_every_shape_it_is_saved_in(
    path: Path, content: object, wanted: list[int]
) -> None:
    assert sequences(path, content) == wanted


@pytest.mark.parametrize(
    "data",
    [
        RECORDS,
        BASE64,
        b"\xef\xbb\xbf" + BASE64 + b"\r\n",
        base64.encodebytes(RECORDS),
        base64.encodebytes(RECORDS).replace(b"\n", b"\r\n"),
        json.dumps(base64.encodebytes(RECORDS).decode()).encode(),
        b"\xef\xbb\xbf" + json.dumps(BASE64.decode()).encode(),
        BASE64.decode().encode("utf-16"),
    ],
)
def test_the_old_records_are_read_whatever_they_are_wrapped_in(path: Path, data: bytes) -> None:
    assert sequences(path, data) == [*range(1, 9)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_json_is_read_with_a_mark_at_its_beginning(path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    assert sequences(path, (mark + json.dumps(ANSWER)).encode(encoding)) == [5, 6, 7]


def test_unusable_entries_of_a_file_are_counted(path: Path) -> None:
    unknown = event(2, 999, eventProperties={})
    path.write_text(json.dumps({"events": [event(1), unknown, "x"]}))
    skipped: Counter[str] = Counter()
    assert [record.sequence for record in read_log(path, skipped)] == [1, 2]
    assert skipped == {
        "unknown pump log event 999, without insulin, carbs or glucose": 1,
        "pump log entry that is not an object": 1,
    }


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"<!DOCTYPE html><html></html>", "seems to be a web page"),
        (b"Date,Basal\n2026-05-14,0.8\n", "seems to be some other text"),
        (b"abc", "seems to be some other text"),
        (b"====", "seems to be some other text"),
        (b"These are words of four more", "seems to be some other text"),
        ("Größe".encode(), "seems to be some other text"),
        (gzip.compress(RECORDS, mtime=0), "seems to be a compressed file; unpack it first"),
        (b"\x89PNG\r\n\x1a\n" + bytes(18), "seems to be of another kind, or damaged"),
        (bytes(260), "seems to be of another kind, or damaged"),
        (json.dumps(ANSWER).encode()[:-1], "damaged, cut short, or more than one"),
        (json.dumps(ANSWER).encode() * 2, "damaged, cut short, or more than one"),
        (b"[" * 100_000, "damaged, cut short, or more than one"),
        (b'{"events": [' + b"9" * 5000 + b"]}", "damaged, cut short, or more than one"),
        (b'"' + BASE64, "damaged, cut short, or more than one"),
        (b'{"message": "Unauthorized"}', "seems to be JSON without events of a pump"),
        (b'{"events": "none"}', "seems to be JSON without events of a pump"),
        (b"[1, 2]", "seems to be JSON without events of a pump"),
        (b'"hello"', "seems to be some other text"),
        (RECORDS[:-1], "ends with 25 of the 26 bytes"),
        (RECORDS + b"\n", "ends with 1 of the 26 bytes"),
        (base64.b64encode(RECORDS[:-1]), "ends with 25 of the 26 bytes"),
        (BASE64[:-5], "base64 that is cut short"),
    ],
)
def test_anything_else_is_an_error_that_says_what_it_is(
    path: Path, data: bytes, problem: str
) -> None:
    path.write_bytes(data)
    with pytest.raises(LogFileError, match=problem) as raised:
        read_log(path, Counter())
    assert "\n" not in str(raised.value)


def test_what_would_do_is_said_along_with_what_does_not(path: Path) -> None:
    path.write_bytes(b"<html></html>")
    with pytest.raises(LogFileError, match="A pump log is needed: a saved pump-logs answer"):
        read_log(path, Counter())


def test_a_file_that_is_not_there_cannot_be_read(path: Path) -> None:
    with pytest.raises(LogFileError, match="cannot be read: No such file"):
        read_log(path, Counter())
    with pytest.raises(LogFileError, match="cannot be read: its name"):
        read_log(Path("pump\0log"), Counter())


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match="seems to be a folder"):
        read_log(tmp_path, Counter())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="This system has no such files.")
def test_a_pipe_that_stays_silent_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(LogFileError, match="seems to be a device"):
        read_log(path, Counter())


def test_a_file_too_big_for_a_log_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(500_000_001)
    with pytest.raises(LogFileError, match="bigger than 500 MB"):
        read_log(path, Counter())


def read_or_refuse(data: bytes) -> list[Record] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pump.log")
        path.write_bytes(data)
        try:
            return read_log(path, Counter())
        except LogFileError:
            return None


@given(st.binary(max_size=120) | st.binary(max_size=60).map(lambda rest: RECORDS + rest))
def test_any_bytes_are_a_log_or_an_error(data: bytes) -> None:
    records = read_or_refuse(data)
    assert records is None or len(records) <= len(data) // 26


@given(JSON | st.lists(ODD_EVENTS) | st.fixed_dictionaries({"events": st.lists(ODD_EVENTS) | JSON}))
def test_any_json_is_a_log_or_an_error(content: Any) -> None:
    records = read_or_refuse(json.dumps(content).encode())
    assert records is None or all(isinstance(record, Record) for record in records)


@given(st.integers(0, len(RECORDS) - 1))
def test_a_log_that_was_cut_anywhere_but_between_records_is_refused(length: int) -> None:
    assert (read_or_refuse(RECORDS[:length]) is None) == (length == 0 or length % 26 != 0)
