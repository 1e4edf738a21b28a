"""The pumps of an account on Tandem Source, and which of them is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tconnectsync.errors import ApiError, PumpChoiceError
from tconnectsync.sources.tandemsource.pumps.pumps import (
    AUTOMATIC,
    Pump,
    configured,
    may_be_in_use,
    newest_first,
    read_pumps,
    silence,
    upload_mark,
)
from tests.support.event_builders import NEW_YORK

WALL = datetime(2026, 3, 2, 8, 0, 0)
NOW = NEW_YORK.instant(WALL)
DAY = timedelta(days=1)


def item(**changes: Any) -> dict[str, Any]:
    return {
        "assignmentId": "log-1",
        "serialNumber": "00870042",
        "modelName": "t:slim X2",
        **changes,
    }


def pump(
    serial: str = "00870042",
    newest: datetime | None = WALL,
    uploaded: datetime | None = NOW,
) -> Pump:
    return Pump(f"log of {serial}", serial, newest, uploaded, None, "t:slim X2")


def chosen(*pumps: Pump, serial: str = "") -> Pump:
    meant = configured(pumps, serial)
    found = newest_first(meant, NEW_YORK, NOW)[0]
    if len(meant) < len(pumps):
        assert silence(found, pumps, NEW_YORK, NOW) == ""
    return found


def test_a_pump_is_read_with_its_last_upload() -> None:
    given = item(
        maxDateOfEvents="2026-03-02T07:55:00",
        lastUploadDate="2026-03-02T13:00:00Z",
        settings={"id": "x", "details": {"profiles": {}}},
        availableDataRange={"start": "2025-12-24T18:00:00", "end": "2026-03-02T07:55:00"},
    )
    assert read_pumps({"pumps": [given]}, NEW_YORK) == [
        Pump(
            assignment_id="log-1",
            serial="00870042",
            newest=datetime(2026, 3, 2, 7, 55),
            uploaded=datetime(2026, 3, 2, 13, tzinfo=UTC),
            settings={"profiles": {}},
            model="t:slim X2",
            oldest=datetime(2025, 12, 24, 18),
        )
    ]


def test_the_end_of_the_data_stands_for_the_newest_event_where_that_is_not_said() -> None:
    given = item(availableDataRange={"start": None, "end": "2026-03-02T07:55:00"})
    (found,) = read_pumps({"pumps": [given]}, NEW_YORK)
    assert (found.oldest, found.newest) == (None, datetime(2026, 3, 2, 7, 55))


def test_a_pump_that_never_uploaded_is_read_too() -> None:
    given = item(maxDateOfEvents=None, lastUploadDate=None, settings=None)
    (found,) = read_pumps({"pumps": [given]}, NEW_YORK)
    assert (found.newest, found.uploaded, found.settings) == (None, None, None)


def test_the_pumps_of_a_guardian_are_found() -> None:
    given = {"pumps": [], "devices": [item(modelName=None, modelNumber=1000354), item()]}
    assert [each.model for each in read_pumps(given, NEW_YORK)] == ["1000354", "t:slim X2"]


def test_what_names_no_pump_is_left_out_and_the_order_stays() -> None:
    broken = [None, "pump", {}, item(assignmentId=None), item(serialNumber="")]
    given = {"PUMPS": [item(SERIALNUMBER=5, serialNumber="5"), *broken, item(serialNumber="4")]}
    assert [each.serial for each in read_pumps(given, NEW_YORK)] == ["5", "4"]


@pytest.mark.parametrize("given", [None, [], "x", {}, {"pumps": None}, {"pumps": {}, "devices": 3}])
def test_an_answer_without_pumps_holds_none(given: object) -> None:
    assert read_pumps(given, NEW_YORK) == []


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("2026-03-02T07:55:00", datetime(2026, 3, 2, 7, 55)),
        ("2026-03-02T12:55:00Z", datetime(2026, 3, 2, 7, 55)),
        ("2026-03-02T13:55:00+01:00", datetime(2026, 3, 2, 7, 55)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("soon", None),
        (5, None),
    ],
)
def test_the_newest_event_is_by_the_pump_s_own_clock(text: object, wall: datetime | None) -> None:
    (found,) = read_pumps({"pumps": [item(maxDateOfEvents=text)]}, NEW_YORK)
    assert found.newest == wall


def test_a_pump_shows_neither_its_names_nor_its_settings() -> None:
    (found,) = read_pumps({"pumps": [item(settings={"details": {"name": "Work"}})]}, NEW_YORK)
    assert repr(found) == "Pump(newest=None, uploaded=None, model='t:slim X2', oldest=None)"


@pytest.mark.parametrize("serial", ["00870042", "870042", "000870042"])
def test_the_configured_pump_is_found_with_or_without_its_zeros(serial: str) -> None:
    assert chosen(pump("00990001"), pump("00870042"), serial=serial).serial == "00870042"


@pytest.mark.parametrize("serial", ["", AUTOMATIC])
def test_without_a_serial_number_the_pump_with_the_newest_event_is_read(serial: str) -> None:
    old, new, never = pump("1", WALL - DAY), pump("2", WALL), pump("3", None, None)
    assert chosen(never, old, new, serial=serial) is new


@pytest.mark.parametrize("newest", [WALL + 40 * DAY, datetime(2008, 1, 1, 5)])
def test_a_pump_with_a_wrong_date_that_alone_uploads_is_the_one_in_use(newest: datetime) -> None:
    worn = pump("1", newest)
    drawer = pump("2", WALL - 40 * DAY, NOW - 39 * DAY)
    assert chosen(drawer, worn) is worn
    assert chosen(worn, drawer) is worn


def test_a_pump_may_be_in_use_if_it_has_the_newest_event_or_a_wrong_date() -> None:
    worn, drawer = pump("1", WALL), pump("2", WALL - 5 * DAY)
    ahead, lost = pump("3", WALL + 300 * DAY), pump("4", datetime(2008, 1, 2))
    pumps = [drawer, ahead, worn, lost]
    found = [each for each in pumps if may_be_in_use(each, pumps, NEW_YORK, NOW)]
    assert found == [ahead, worn, lost]


def test_where_the_log_begins_is_read() -> None:
    given = item(availableDataRange={"start": "2008-01-01T00:00:03", "end": None})
    (found,) = read_pumps({"pumps": [given]}, NEW_YORK)
    assert found.oldest == datetime(2008, 1, 1, 0, 0, 3)


def test_a_date_in_the_future_does_not_make_a_pump_the_newest() -> None:
    wrong, right = pump("1", WALL + 2 * DAY), pump("2", WALL - 40 * DAY)
    assert chosen(wrong, right) is right


def test_a_clock_that_is_somewhat_ahead_is_no_placeholder() -> None:
    ahead, other = pump("1", WALL + DAY), pump("2", WALL)
    assert chosen(other, ahead) is ahead


def test_the_later_upload_decides_between_equals() -> None:
    first, second = pump("1", WALL, NOW - DAY), pump("2", WALL, NOW)
    assert chosen(first, second) is second
    assert chosen(pump("1", None, None), pump("2", None, None)).serial == "1"


def test_a_pump_that_was_assigned_anew_goes_on_in_its_new_log() -> None:
    before, now = pump(newest=WALL - 9 * DAY), pump(newest=WALL)
    assert chosen(now, before, serial="870042") is now


def test_an_unknown_serial_number_is_answered_with_the_ends_of_the_known_ones() -> None:
    with pytest.raises(PumpChoiceError, match="PUMP_SERIAL_NUMBER") as error:
        configured([pump("00870042"), pump("00990001")], "12345678")
    assert (error.value.exit_code, error.value.fatal) == (2, True)
    assert "…0042, …0001" in str(error.value)
    assert "870042" not in str(error.value)
    assert "12345678" not in str(error.value)


def test_for_an_account_without_pumps_is_said_what_to_check() -> None:
    with pytest.raises(ApiError, match=r"TCONNECT_EMAIL.*TCONNECT_REGION.*uploaded at least once"):
        configured([], "")


def test_a_silent_pump_is_warned_about_while_another_one_is_active() -> None:
    silent = pump("00870042", WALL - 4 * DAY)
    warning = silence(silent, [silent, pump("00990001")], NEW_YORK, NOW)
    assert "(…0042) has sent nothing since 2026-02-26" in warning
    assert "(…0001) is in use" in warning
    assert "870042" not in warning


def test_a_pump_that_never_sent_anything_is_warned_about_as_well() -> None:
    never = pump("42", None, None)
    warning = silence(never, [never, pump("43")], NEW_YORK, NOW)
    assert "has never sent anything" in warning


@pytest.mark.parametrize(
    ("configured", "other"),
    [
        (pump("42", WALL - 3 * DAY), pump("43")),
        (pump("42", WALL - 9 * DAY), pump("43", WALL - 4 * DAY)),
        (pump("42", WALL - 9 * DAY), pump("43", None, None)),
        (pump("42", WALL + 9 * DAY, NOW), pump("43")),
    ],
    ids=["it is not silent", "all are silent", "no other was ever used", "its clock is wrong"],
)
def test_no_warning_without_reason(configured: Pump, other: Pump) -> None:
    assert chosen(configured, other, serial="42") is configured


def test_the_mark_is_another_one_after_each_upload() -> None:
    stages = [
        pump(newest=WALL, uploaded=None),
        pump(newest=WALL, uploaded=NOW),
        pump(newest=WALL + DAY, uploaded=NOW),
        pump(newest=WALL, uploaded=NOW + DAY),
        pump(newest=WALL - 30 * DAY, uploaded=NOW + 2 * DAY),
    ]
    marks = [upload_mark(stage) for stage in stages]
    assert marks == sorted(filter(None, set(marks)))
    assert upload_mark(pump()) == upload_mark(pump())


def test_where_no_upload_is_named_there_is_no_mark() -> None:
    assert upload_mark(pump(newest=None, uploaded=None)) is None
    assert upload_mark(pump(newest=None, uploaded=NOW)) is not None
