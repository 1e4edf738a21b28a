"""Recorded pump logs of Tandem Source against the documents that 3.0.3 makes of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import Event
from tconnectsync.nightscout.entries import entries
from tconnectsync.nightscout.provenance import ENTERED_BY, Document, instant
from tconnectsync.nightscout.treatments import Treatment, treatments_of
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES, clock_changes
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.log.binarylog import decode
from tconnectsync.sources.tandemsource.log.logentries import Log, by_code
from tconnectsync.sources.tandemsource.log.records import Record, records_of
from tconnectsync.sources.tandemsource.reader import USED, LogReader
from tconnectsync.sync.features import parts_of
from tests.acceptance.cases import FOLDER as TCONNECT
from tests.acceptance.tandem_exceptions import EXCEPTIONS, GLUCOSE, HUNDREDTHS, IN_GENERAL
from tests.support.event_builders import bodies, planned

FOLDER = TCONNECT.parent / "tandem-source" / "pump-logs" / "cases"
if not FOLDER.is_dir():
    pytest.skip("The acceptance cases are not beside this checkout.", allow_module_level=True)

BINARY = json.loads((FOLDER.parents[1] / "binary" / "cases.expected.json").read_text("utf-8"))
CASES = sorted(path.name.split(".")[0] for path in FOLDER.glob("*.expected.json"))
SYNTHETIC, NEW_DAY = 99999, 90
"""The first does not fit into a record; where it only closes a log, the second does, too."""
LONG_AGO, NOW = (datetime(year, 1, 1, tzinfo=UTC) for year in (2008, 2027))
ROUNDING = 0.0055
"""Half a hundredth, which they round to, and half a milliunit, which we round to; U and U/h."""


class Shown(NamedTuple):
    """What a document shows, in a form in which equal ones are equal."""

    kind: str
    at: datetime
    reason: str
    notes: str
    numbers: str
    carbs: float
    sgv: int | None


@cache
def load(case: str, what: str) -> Any:
    return json.loads((FOLDER / f"{case}.{what}.json").read_text("utf-8"))


def read(case: str) -> Log:
    answer = load(case, "pump-logs")
    events = [
        {**each, "eventCode": NEW_DAY} if each["eventCode"] == SYNTHETIC else each
        for each in answer["events"]
    ]
    skipped: Counter[str] = Counter()
    records = records_of(events, USED | {NEW_DAY}, skipped)
    changes = records_of(answer["clockChanges"], CLOCK_CODES, skipped)
    assert not skipped
    zone = PumpClock(ZoneInfo(load(case, "expected")["timezone"]))
    clock = LogClock(zone, clock_changes(changes), newest=None, uploaded=None)
    return by_code(records, clock, NOW)


def written(case: str) -> list[Document]:
    """Return what we create where Nightscout holds what it held in the case."""
    expected = load(case, "expected")
    reader = LogReader(lambda skipped: read(case))
    events = {part: getattr(reader, part)() for part in parts_of(expected["features"])}
    found = entries(events.pop("readings", []), TimeRange(LONG_AGO, NOW))
    wanted = [
        want
        for each in events.values()
        for event in each
        for want in treatments_of(event, TANDEM_SOURCE.name)
    ]
    stored = [
        {"eventType": kind, "enteredBy": ENTERED_BY, **document}
        for kind, document in expected["nightscout_last"]["treatments"].items()
    ]
    return bodies(planned(wanted, stored).create) + found


def expected(case: str) -> list[Document]:
    return [write["document"] for write in load(case, "expected")["writes"]]


def shown(found: Iterable[Document]) -> list[Shown]:
    return sorted(map(_shown, found))


def _shown(document: Document) -> Shown:
    at = instant(document) or datetime.fromtimestamp(document["date"] / 1000, UTC)
    return Shown(
        kind=document.get("eventType") or document["type"],
        at=at.astimezone(UTC),
        reason=document.get("reason") or "",
        notes=document.get("notes") or "",
        numbers=document["pump_event_id"],
        carbs=document.get("carbs") or 0,
        sgv=document.get("sgv"),
    )


def in_order(found: Iterable[Document]) -> list[Document]:
    return sorted(found, key=_shown)


def numbers_of(found: Iterable[Document], name: str) -> list[float]:
    return [document.get(name) or 0.0 for document in in_order(found)]


def assert_alike(ours: list[Document], theirs: list[Document]) -> None:
    assert shown(ours) == shown(theirs)
    for name in ("insulin", "absolute", "rate"):
        assert numbers_of(ours, name) == pytest.approx(numbers_of(theirs, name), abs=ROUNDING)
    if not any("splitNow" in document for document in ours):
        durations = numbers_of(theirs, "duration")
        assert numbers_of(ours, "duration") == pytest.approx(durations, abs=1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if case not in EXCEPTIONS])
def test_what_we_write_is_what_3_0_3_writes(case: str) -> None:
    assert_alike(written(case), expected(case))


def test_every_exception_is_a_case() -> None:
    assert EXCEPTIONS.keys() <= set(CASES)
    assert all([*EXCEPTIONS.values(), *IN_GENERAL])


@pytest.mark.parametrize("case", EXCEPTIONS)
def test_of_every_exception_3_0_3_writes_something_else(case: str) -> None:
    with pytest.raises(AssertionError):
        assert_alike(written(case), expected(case))


def binary_case(name: str) -> Any:
    """Return a case of the tests of 2.x, whose logs are binary."""
    return next(case for case in BINARY if case["id"].endswith(f".{name}"))


def wanted_of(case: Any, until: str = "") -> list[Treatment]:
    """Return what we want of the modes and alarms in a binary log that goes on ``until``."""
    skipped: Counter[str] = Counter()
    records = decode(bytes.fromhex("".join(case["records_hex"])), skipped)
    assert not skipped
    zone = PumpClock(ZoneInfo(case["timezone"]))
    if until:
        wall = datetime.fromisoformat(until).replace(tzinfo=None)
        records.append(Record(NEW_DAY, 0, records[-1].sequence + 1, wall, {}))
    clock = LogClock(zone, [], newest=None, uploaded=None)
    reader = LogReader(lambda skipped: by_code(records, clock, NOW))
    events: list[Event] = [*reader.user_modes(), *reader.pump_events()]
    return [want for event in events for want in treatments_of(event, TANDEM_SOURCE.name)]


@pytest.mark.parametrize(
    "name",
    [
        "test_resume_alarm_ignored",
        "test_single_stop_sleep_no_last_uploaded",
        "test_start_and_stop_sleep",
        "test_single_stop_exercise_no_last_uploaded",
        "test_start_and_stop_exercise",
    ],
)
def test_what_we_write_of_a_binary_log_is_what_2_x_writes(name: str) -> None:
    case = binary_case(name)
    ours = [want.body for want in wanted_of(case, case["time_end"] or "")]
    assert_alike(ours, [each["doc"] for each in case["expected"]])


@pytest.mark.parametrize("kind", ["sleep", "exercise"])
def test_what_goes_on_in_a_binary_log_is_sent_with_the_time_known_so_far(kind: str) -> None:
    case = binary_case(f"test_single_start_{kind}_active")
    (ours,) = (want.body for want in wanted_of(case, case["time_end"]))
    (theirs,) = (each["doc"] for each in case["expected"])
    assert theirs["notes"] == ours["notes"] + " - Not Ended"
    assert_alike([{**ours, "reason": theirs["reason"], "notes": theirs["notes"]}], [theirs])


@pytest.mark.parametrize("kind", ["sleep", "exercise"])
def test_what_2_x_left_open_is_ended_in_place_instead_of_deleted(kind: str) -> None:
    tests = f"TestProcessUserMode{kind.title()}"
    case = binary_case(f"{tests}.test_stop_with_partial_last_uploaded")
    (stored,) = case["last_uploaded"]["byEventType"].values()
    assert case["expected_deletes"] == [f"treatments/{stored['_id']}"]
    plan = planned(wanted_of(binary_case(f"test_start_and_stop_{kind}")), [stored])
    assert plan.create == []
    assert [update.after.body["_id"] for update in plan.update] == [stored["_id"]]
    theirs = [each["doc"] for each in case["expected"]]
    assert_alike([update.after.body for update in plan.update], theirs)


def test_a_basal_of_which_nothing_is_known_yet_is_not_sent() -> None:
    *known, last = expected("basal-run")
    assert last["duration"] is None
    assert_alike(written("basal-run"), known)


def test_a_basal_does_not_fill_a_gap_in_the_log() -> None:
    *known, last = expected("basal-sources")
    assert last["duration"] is None
    assert {document["duration"] > 100 for document in known} == {True}
    ours = written("basal-sources")
    assert shown(ours) == shown(known)
    assert numbers_of(ours, "duration") == [5, 5, 5]
    assert numbers_of(ours, "absolute") == numbers_of(known, "absolute")


def test_a_bolus_that_was_stopped_says_so() -> None:
    ours = in_order(written("bolus-cancelled"))
    stopped = ours[-1]
    assert stopped["notes"].endswith(" (User Aborted: requested 0.5 units) (Override)")
    stopped["notes"] = in_order(expected("bolus-cancelled"))[-1]["notes"]
    assert_alike(ours, expected("bolus-cancelled"))


def test_an_extended_part_is_shown_in_pieces() -> None:
    now, *pieces = in_order(written("bolus-extended"))
    theirs, whole = in_order(expected("bolus-extended"))
    assert_alike([now], [theirs])
    assert sum(piece["insulin"] for piece in pieces) == pytest.approx(4.685)
    assert all(piece["insulin"] <= 0.5 for piece in pieces)
    last, end = instant(pieces[-1]), instant(whole)
    assert last
    assert end
    assert timedelta(0) < end - last < timedelta(minutes=15)
    assert pieces[-1]["notes"].endswith(", the last) (User Aborted: requested 6.247 units)")


def test_of_an_extended_part_that_runs_the_same_pieces_are_shown() -> None:
    *so_far, _ = in_order(written("bolus-extended"))
    assert in_order(written("bolus-extended-in-progress")) == so_far


def test_at_no_time_is_more_than_0_3_u_missing_or_too_much() -> None:
    pieces = in_order(written("bolus-extended"))
    for entry in read("bolus-extended")[280]:
        shown_then = sum(
            piece["insulin"] for piece in pieces if (at := instant(piece)) and at <= entry.at
        )
        if shown_then:
            assert abs(shown_then - entry.values["deliveredtotal"] / 1000) <= 0.3


def test_an_extended_bolus_says_how_it_was_to_be_divided() -> None:
    for case in ("bolus-extended", "bolus-extended-in-progress"):
        first = in_order(written(case))[0]
        assert (first["splitNow"], first["splitExt"]) == (25, 75)
        assert (first["enteredinsulin"], first["duration"]) == (8.33, 180)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("suspend-resume", {"UserAborted": "Suspended (User)"}),
        (
            "alarms",
            {"EmptyCartridgeAlarm": "Cartridge empty", "Malfunction": "Malfunction (display)"},
        ),
        ("alarm-unknown-id", {}),
    ],
)
def test_suspensions_and_alarms_are_said_in_words_of_people(
    case: str, words: dict[str, str]
) -> None:
    ours, theirs = in_order(written(case)), in_order(expected(case))
    for one, other in zip(ours, theirs, strict=True):
        assert one["notes"] == one["reason"] == words.get(other["notes"], one["notes"])
        assert not one["notes"].endswith(("Alarm", "Aborted"))
        one |= {"notes": other["notes"], "reason": other["reason"]}
    assert_alike(ours, theirs)


def test_all_alerts_about_glucose_are_shown_by_name() -> None:
    ours, theirs = written("cgm-alerts"), expected("cgm-alerts")
    numbers = {document["pump_event_id"] for document in theirs}
    assert numbers < {document["pump_event_id"] for document in ours}
    shown_too = [each["notes"] for each in ours if each["pump_event_id"] not in numbers]
    assert shown_too
    assert set(shown_too) <= {
        "Dexcom CGM Alert (Out of range)",
        "Dexcom CGM Alert (Grace period started)",
    }


def test_each_kind_of_fill_has_its_own_type() -> None:
    ours = written("cartridge")
    assert {document["notes"]: document["eventType"] for document in ours} == {
        "Cartridge Filled (180u filled)": "Insulin Change",
        "Cannula Filled (0.3u primed)": "Site Change",
        "Tubing Filled": "Note",
    }
    alike = [{**document, "eventType": "Site Change"} for document in ours]
    assert_alike(alike, expected("cartridge"))


def test_a_reading_that_is_not_to_be_shown_is_not_written() -> None:
    assert [entry["sgv"] for entry in expected("cgm-g7-do-not-show")] == [0]
    assert written("cgm-g7-do-not-show") == []


def test_a_session_that_was_joined_late_began_when_it_began() -> None:
    ours, theirs = in_order(written("cgm-sessions-g7")), in_order(expected("cgm-sessions-g7"))
    moved = []
    for one, other in zip(ours, theirs, strict=True):
        assert one["pump_event_id"] == other["pump_event_id"]
        before, after = instant(one), instant(other)
        assert before
        assert after
        moved.append(after - before)
    assert moved == [timedelta(seconds=it) for it in (3042, 51767, 0, 0)]


def test_a_sleep_that_goes_on_needs_no_mark() -> None:
    (ours,), (theirs,) = written("user-mode-open"), expected("user-mode-open")
    assert theirs["notes"] == ours["notes"] + " - Not Ended"
    alike = {**ours, "reason": theirs["reason"], "notes": theirs["notes"]}
    assert_alike([alike], [theirs])


def test_glucose_is_shown_with_its_kind() -> None:
    assert GLUCOSE in IN_GENERAL
    (theirs,) = expected("bolus-standard")
    reader = LogReader(lambda skipped: read("bolus-standard"))
    boluses = reader.with_glucose_kind(reader.boluses(), [])
    (ours,) = (want.body for bolus in boluses for want in treatments_of(bolus, TANDEM_SOURCE.name))
    assert (theirs["glucose"], ours["glucose"]) == ("131", 131)
    # The case has no entry that says where the glucose came from.
    assert "glucoseType" not in ours
    assert ours["units"] == "mg/dl"


def test_insulin_is_kept_to_the_milliunit() -> None:
    assert HUNDREDTHS in IN_GENERAL
    assert numbers_of(expected("bolus-extended"), "insulin") == [2.08, 4.69]
    ours = numbers_of(written("bolus-extended"), "insulin")
    assert [ours[0], sum(ours)] == pytest.approx([2.083, 6.768])
    assert numbers_of(written("basal-run-closed"), "rate") == [1.279, 1.0, 0.994]
