"""Single entries of Tandem's payloads: what we understand them to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.clouds import TCONNECT
from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import Basal, Bolus, PumpEvent, ReadingKind, UserMode
from tconnectsync.nightscout.treatments import treatments_of
from tconnectsync.sources.tconnect.basals import read_suspensions, timeline_basals
from tconnectsync.sources.tconnect.boluses import csv_boluses, therapy_boluses
from tconnectsync.sources.tconnect.glucose import csv_insulin_on_board, csv_readings
from tconnectsync.sources.tconnect.periods import basal_suspensions, timeline_modes
from tconnectsync.sources.tconnect.values import PACIFIC, json_date_seconds, pacific_wall_time
from tests.acceptance.cases import cases, exception, expected, files, load
from tests.support.event_builders import NEW_YORK

ENTRIES = "parser_entries.cases.json"
NEVER = datetime.min.replace(tzinfo=UTC)
SEGMENT_LISTS = {
    "": "profileDeliveryEvents",
    "tempDelivery": "tempDeliveryEvents",
    "algorithmDelivery": "algorithmDeliveryEvents",
    "profileDelivery": "profileDeliveryEvents",
}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def minutes(duration: timedelta) -> Any:
    return pytest.approx(duration / timedelta(minutes=1), abs=1e-6)


def show_basal(basal: Basal) -> dict[str, Any]:
    (want,) = treatments_of(basal, TCONNECT.name)
    return {
        "time": basal.start,
        "delivery_type": want.body["reason"],
        "duration_mins": minutes(basal.duration),
        "basal_rate": basal.rate,
    }


def segment(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any] | None:
    kind = case.get("options", {}).get("delivery_type", "")
    timeline = {"basal": {SEGMENT_LISTS[kind]: [case["input"]]}}
    (basal,) = timeline_basals(timeline, NEW_YORK, lambda: NEVER, skipped)
    # A delivery without a kind exists in the recordings only.
    return show_basal(basal) if kind else {**show_basal(basal), "delivery_type": ""}


def halt(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any] | None:
    (found,) = read_suspensions({"suspensionDeliveryEvents": [case["input"]]}, NEW_YORK, skipped)
    continuation = "previous" if found.carried_over else None
    return {"time": found.at, "continuation": continuation, "suspendReason": found.by}


def manual_suspension(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any] | None:
    wall = instant(case["input"]["time"]).replace(tzinfo=PACIFIC)
    begins = int(wall.timestamp())
    flows_again = {"x": begins + case["options"]["seconds"], "duration": 300, "y": 0.8}
    timeline = {
        "basal": {"algorithmDeliveryEvents": [flows_again]},
        "suspensionDeliveryEvents": [{**case["input"], "x": begins}],
    }
    suspended, _ = timeline_basals(timeline, NEW_YORK, lambda: NEVER, skipped)
    return show_basal(suspended)


def activity(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any] | None:
    found = timeline_modes({"events": [case["input"]]}, NEW_YORK, skipped)
    return show_activity(*found) if found else None


def show_activity(mode: UserMode) -> dict[str, Any]:
    return {
        "time": mode.start,
        "duration_mins": minutes(mode.duration),
        "event_type": mode.text,
    }


def suspension(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any] | None:
    found = basal_suspensions({"BasalSuspension": [case["input"]]}, NEW_YORK, skipped)
    return show_suspension(*found) if found else None


def show_suspension(suspension: PumpEvent) -> dict[str, Any]:
    return {"time": suspension.at, "event_type": suspension.text}


def csv_bolus(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any] | None:
    return show_bolus(*csv_boluses([case["input"]], NEW_YORK, skipped))


def show_bolus(now: Bolus, later: Bolus | None = None) -> dict[str, Any]:
    is_extended = now.planned is not None
    ended = later if is_extended else now
    return {
        "description": now.description,
        "completion": (ended.incomplete or "Completed") if ended else "",
        "request_time": now.requested_at,
        "completion_time": now.completed,
        "insulin": now.insulin,
        "requested_insulin": now.requested,
        "carbs": now.carbs,
        "user_override": now.override,
        "extended_bolus": is_extended,
        "bolex_completion_time": later.completed if later else None,
        "bg": now.glucose,
    }


def as_values(record: dict[str, Any]) -> dict[str, Any]:
    """Turn the texts of a recorded bolus into values."""
    times = ("request_time", "completion_time", "bolex_completion_time")
    return {
        "description": record["description"],
        "completion": record["completion"],
        **{name: instant(record[name]) if record[name] else None for name in times},
        **{name: float(record[name]) for name in ("insulin", "requested_insulin", "carbs")},
        **{name: record[name] == "1" for name in ("user_override", "extended_bolus")},
        "bg": float(record["bg"]) if record["bg"] else None,
    }


def insulin_on_board(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any]:
    (value,) = csv_insulin_on_board([case["input"]], NEW_YORK, skipped)
    # Which kind of event it came with, we do not keep.
    kind = case["expected"]["event_id"]
    return {"time": value.at, "iob": f"{value.units:.2f}", "event_id": kind}


def csv_reading(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any]:
    (reading,) = csv_readings([case["input"]], NEW_YORK, skipped)
    kind = "EGV" if reading.kind is ReadingKind.SENSOR else "?"
    return {"time": reading.at, "bg": str(reading.glucose), "type": kind}


def csv_reading_variant(case: dict[str, Any], skipped: Counter[str]) -> dict[str, Any]:
    found = csv_reading(case, skipped)
    return {"time": found["time"], "reading": found["bg"], "reading_type": found["type"]}


READ: dict[str, Callable[[dict[str, Any], Counter[str]], dict[str, Any] | None]] = {
    "controliq_basal": segment,
    "controliq_suspension": halt,
    "manual_suspension": manual_suspension,
    "controliq_activity": activity,
    "ws2_basalsuspension": suspension,
    "csv_bolus": csv_bolus,
    "csv_iob": insulin_on_board,
    "csv_reading": csv_reading,
    "csv_reading_variant": csv_reading_variant,
}


@pytest.mark.parametrize("case", cases(ENTRIES))
def test_an_entry_means_what_is_recorded(case: dict[str, Any]) -> None:
    skipped: Counter[str] = Counter()
    wanted = case["expected"]
    if case["operation"] == "csv_bolus":
        wanted = as_values(wanted)
    elif wanted:
        wanted = {**wanted, "time": instant(wanted["time"])}
    assert READ[case["operation"]](case, skipped) == wanted
    assert not skipped


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("parse_ciq_activity_event_unknown_id", "activity of unknown type 5"),
        (
            "parse_basalsuspension_event_unknown_suspendreason",
            "suspension for unknown reason 'unknown'",
        ),
    ],
)
def test_an_unknown_kind_is_named_and_skipped(name: str, kind: str) -> None:
    skipped: Counter[str] = Counter()
    case = exception(ENTRIES, name)
    assert READ[case["operation"]](case, skipped) is None
    assert skipped == {kind: 1}


def test_a_rate_set_to_zero_is_no_interruption() -> None:
    skipped: Counter[str] = Counter()
    case = exception(ENTRIES, "parse_basalsuspension_event_tempprofile")
    assert suspension(case, skipped) is None
    assert not skipped


def test_both_parts_of_an_extended_bolus_keep_their_times_and_what_was_requested() -> None:
    case = exception(ENTRIES, "parse_bolus_entry_extended_complete")
    now, later = csv_boluses([case["input"]], NEW_YORK, Counter())
    assert now.requested_at == later.requested_at == instant("2022-08-09T23:19:15-04:00")
    assert now.completed == instant(case["expected"]["bolex_start_time"])
    assert later.completed == instant(case["expected"]["bolex_completion_time"])
    assert (now.requested, later.requested) == (0.2, 0.2)
    assert now.planned
    assert now.planned.total == float(case["expected"]["requested_insulin"])


@pytest.mark.parametrize(
    "name",
    [
        *files("therapy_events_bolus_standard.json"),
        *files("therapy_events_bolus_automatic_correction.json"),
        "therapy_events_bolus_extended_complete.json",
        "therapy_events_bolus_extended_incomplete.json",
    ],
)
def test_a_bolus_of_therapy_events_is_read_in_all_its_parts(name: str) -> None:
    assert show_bolus(*therapy_boluses(load(name), NEW_YORK, Counter())) == as_values(
        expected(name)["parsed_bolus"]
    )


@pytest.mark.parametrize("name", files("therapy_timeline_basal_*.json"))
def test_a_timeline_is_read_in_all_its_segments(name: str) -> None:
    basals = timeline_basals(load(name), NEW_YORK, lambda: NEVER, Counter())
    wanted = expected(name)["basal_events"]
    assert list(map(show_basal, basals)) == [{**e, "time": instant(e["time"])} for e in wanted]


TIMES = load("synthetic/epoch_decode.cases.json")


@pytest.mark.parametrize("zone", sorted({zone for case in TIMES for zone in case["decoded"]}))
@pytest.mark.parametrize("case", TIMES, ids=lambda case: case["label"])
def test_an_encoded_time_is_the_pump_s_wall_clock_in_every_zone(
    case: dict[str, Any], zone: str
) -> None:
    encoded = case["encoded"]
    seconds = json_date_seconds(f"/Date({encoded}-0000)/") if encoded > 10**11 else encoded
    wall = pacific_wall_time(seconds)
    assert (str(wall), wall.fold) == (case["wall_clock"], case["fold"])
    assert str(PumpClock(ZoneInfo(zone)).instant(wall)) == case["decoded"][zone]
