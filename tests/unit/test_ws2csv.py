"""The text of the CSV export."""

from __future__ import annotations

import logging
from itertools import permutations

import pytest

from tconnectsync.api.tconnect.ws2csv import parse_timeline
from tconnectsync.errors import ApiError

HEAD = (
    "Tandem Diabetes Care Inc.\nt:connect Therapy Timeline Data Export\n"
    "Patient Name, Some One\nPatient DOB, 1/1/1990\nReport Generated On, 4/24/2021 7:50:04 PM\n"
)
READINGS = (
    "DeviceType,SerialNumber,Description,EventDateTime,Readings (CGM / BGM)\n"
    '"t:slim X2 Insulin Pump","123","EGV","2021-04-01T00:01:33","235",\n'
    '"t:slim X2 Insulin Pump","123","EGV","2021-04-01T00:06:33","230",\n'
)
IOB = 'Type,EventID,EventDateTime,IOB\n"IOB","81","2021-04-01T00:00:19","13.24"\n'
BASAL = 'Type,EventDateTime,BasalRate\n"Basal","2021-04-01T00:00:00","0.800"\n'
# The real table has 41 columns; these are the ones that matter here, in its order.
BOLUS_HEADER = (
    "Type,Description,EventDateTime,IsQuickBolus,EventHistoryReportEventDesc,"
    "EventHistoryReportDetails,NoteID,IndexID,Note\n"
)
BOLUS_ROW = (
    '"Bolus","Standard","2021-04-01T12:53:36","0","1","Food Bolus","CF 1:30","0","77","lunch",\n'
)
BOLUS = BOLUS_HEADER + BOLUS_ROW
WHOLE = "\n".join([HEAD, READINGS, IOB, BASAL, BOLUS])


def test_every_table_is_read_whatever_the_order() -> None:
    expected = parse_timeline(WHOLE)
    assert {name: len(rows) for name, rows in expected.items()} == {
        "readingData": 2,
        "iobData": 1,
        "basalData": 1,
        "bolusData": 1,
    }
    for order in permutations([HEAD, READINGS, IOB, BASAL, BOLUS]):
        assert parse_timeline("\n\n".join(order)) == expected
        assert parse_timeline("\n".join(order).replace("\n", "\r\n")) == expected
        assert parse_timeline("\n".join(order).rstrip("\n")) == expected


@pytest.mark.parametrize("text", ["", "\n\n", HEAD])
def test_an_export_without_tables_is_a_day_without_data(text: str) -> None:
    assert not any(parse_timeline(text).values())


def test_values_are_kept_as_they_came_under_the_names_of_the_header() -> None:
    assert parse_timeline(READINGS)["readingData"][0] == {
        "DeviceType": "t:slim X2 Insulin Pump",
        "SerialNumber": "123",
        "Description": "EGV",
        "EventDateTime": "2021-04-01T00:01:33",
        "Readings (CGM / BGM)": "235",
    }


def test_a_table_with_a_single_row_is_not_discarded() -> None:
    assert parse_timeline(IOB)["iobData"] == [
        {"Type": "IOB", "EventID": "81", "EventDateTime": "2021-04-01T00:00:19", "IOB": "13.24"}
    ]


def test_readings_of_any_device_are_readings() -> None:
    mobi = READINGS.replace("t:slim X2 Insulin Pump", "Tandem Mobi")
    assert len(parse_timeline(mobi)["readingData"]) == 2


def test_a_note_with_line_breaks_and_commas_stays_one_row() -> None:
    noted = BOLUS.replace('"lunch"', '"pizza, two\n\nand ""cake"""')
    rows = parse_timeline(noted + "\n" + IOB)
    assert [row["Note"] for row in rows["bolusData"]] == ['pizza, two\n\nand "cake"']
    assert len(rows["iobData"]) == 1


def test_the_last_columns_of_a_bolus_stand_under_their_right_names() -> None:
    row = parse_timeline(BOLUS)["bolusData"][0]
    assert row["IsQuickBolus"] == "0"
    assert row["DeclinedCorrection"] == "1"
    assert row["EventHistoryReportEventDesc"] == "Food Bolus"
    assert row["EventHistoryReportDetails"] == "CF 1:30"
    assert (row["NoteID"], row["IndexID"], row["Note"]) == ("0", "77", "lunch")


def test_a_bolus_row_without_the_unlabelled_value_is_not_shifted() -> None:
    row = parse_timeline(BOLUS_HEADER + BOLUS_ROW.replace('"0","1",', '"0",'))["bolusData"][0]
    assert "DeclinedCorrection" not in row
    assert (row["EventHistoryReportEventDesc"], row["Note"]) == ("Food Bolus", "lunch")


def test_surplus_columns_are_dropped() -> None:
    wide = IOB.replace('"13.24"', '"13.24","x",,"y"')
    assert parse_timeline(wide) == parse_timeline(IOB)


def test_an_unknown_table_is_ignored() -> None:
    unknown = 'Type,EventDateTime,What\n"Moon","2021-04-01T00:00:00","full"\n'
    assert parse_timeline(WHOLE + "\n" + unknown) == parse_timeline(WHOLE)


@pytest.mark.parametrize("damaged", ['"IOB","82"\n', '"IOB","82","x"y","1"\n'])
def test_one_damaged_row_does_not_cost_the_others(
    damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    header, row = IOB.splitlines(keepends=True)
    with caplog.at_level(logging.INFO):
        rows = parse_timeline(header + row + damaged + row)["iobData"]
    assert len(rows) == 2
    assert [(each.levelname, each.message) for each in caplog.records] == [
        (
            "INFO",
            "Left out: damaged rows of t:connect's CSV export (1). No insulin is missing because "
            "of that.",
        )
    ]


def test_a_damaged_row_that_may_hide_insulin_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    header, *rows = BOLUS.splitlines(keepends=True)
    with caplog.at_level(logging.INFO):
        parse_timeline("".join([header, *rows, '"Bolus","82"\n', *rows]))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "(1). Insulin may be missing in Nightscout because of that" in record.message


@pytest.mark.parametrize("part", [HEAD, READINGS, IOB, BASAL, BOLUS])
def test_an_export_cut_anywhere_but_between_rows_is_never_taken_for_a_whole_one(part: str) -> None:
    text = part if part is HEAD else HEAD + "\n" + part
    ends_of_lines = {i for i, letter in enumerate(text) if letter == "\n"}
    start = 1 if part is HEAD else len(HEAD) + 2
    for end in range(start, len(text)):
        if not {end, end - 1} & ends_of_lines:
            with pytest.raises(ApiError, match="cut short"):
                parse_timeline(text[:end])


def test_an_export_that_ends_within_its_head_is_cut() -> None:
    for lines in range(1, 5):
        with pytest.raises(ApiError, match="cut short"):
            parse_timeline("".join(HEAD.splitlines(keepends=True)[:lines]))


def test_an_export_that_ends_with_a_short_row_is_cut() -> None:
    with pytest.raises(ApiError, match="cut short"):
        parse_timeline(IOB + '"IOB","9"\n')


def test_a_table_without_times_is_refused() -> None:
    with pytest.raises(ApiError):
        parse_timeline(HEAD + "\n" + IOB.replace("EventDateTime", "When"))


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("<!DOCTYPE html>\n<html>\n<body>Sorry</body></html>\n", "a web page"),
        ("Options,Error,Output,ResponseStatus\n,,,ErrorCode\n", "an error report"),
        ('{"messages":["An error occurred. Try it again."]}', "an error report"),
    ],
)
def test_anything_else_than_the_export_is_an_error_that_says_what_came(
    text: str, came: str
) -> None:
    with pytest.raises(ApiError, match=came) as raised:
        parse_timeline(text)
    assert raised.value.status is None
