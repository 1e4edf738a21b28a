"""Whatever the clouds' data say: no crash, and nothing in Nightscout that cannot be true."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.events import Bolus, Event, ExtendedPart, Reading, ReadingKind, Split
from tconnectsync.errors import TconnectsyncError
from tconnectsync.nightscout.documents import Document, documents
from tconnectsync.nightscout.entries import entry_time
from tconnectsync.sources import Source
from tconnectsync.sync.plausible import plausible
from tests.support.hostile_clouds import (
    NOW,
    sync,
    tandem_payloads,
    tandem_source,
    tconnect_payloads,
    tconnect_source,
)
from tests.support.mutations import fuzz, hostile, mutated, mutated_text
from tests.support.story import NOON, at, basal, bolus, extended_part, sleep, suspension

EARLIEST, TOMORROW = datetime(2008, 1, 1, tzinfo=UTC), NOW + timedelta(days=1)
MINUTES_A_MONTH = 31 * 24 * 60
LIMITS = {
    "insulin": (0, 80),
    "enteredinsulin": (0, 80),
    "absolute": (0, 15),
    "rate": (0, 15),
    "carbs": (0, 999),
    "duration": (0, MINUTES_A_MONTH),
    "glucose": (20, 600),
    "sgv": (20, 600),
    "mbg": (20, 600),
    "splitNow": (0, 100),
    "splitExt": (0, 100),
    "iob": (0, 100),
    "reservoir": (0, 400),
    "percent": (0, 100),
    "voltage": (1, 6),
    "timeAsSeconds": (0, 86_399),
}
"""What a number may be, by the name that it has anywhere in a document."""
PROFILE_LIMITS = {
    "basal": (0, 15),
    "sens": (1, 999),
    "carbratio": (0.001, 999),
    "target_low": (20, 600),
    "target_high": (20, 600),
}
LONGEST_TEXT = 300


def require_plausible(document: Document) -> None:
    """Fail if a document says what cannot be, or cannot be sent."""
    assert json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    for name in ("created_at", "dateString"):
        if name in document:
            assert EARLIEST <= datetime.fromisoformat(document[name]) <= TOMORROW
    if "date" in document:
        when = entry_time(document)
        assert when is not None
        assert EARLIEST <= when <= TOMORROW
    for entry in document.get("store", {}).values():
        for name, (low, high) in PROFILE_LIMITS.items():
            for item in entry.get(name, ()):
                assert low <= item["value"] <= high, name
        assert 0 < float(entry["dia"]) <= 24
    _require_limits(document)


def _require_limits(value: Any, name: str = "") -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            assert len(key) <= LONGEST_TEXT
            _require_limits(each, key)
    elif isinstance(value, list):
        for each in value:
            _require_limits(each, name)
    elif name in LIMITS:
        low, high = LIMITS[name]
        assert not isinstance(value, bool | str)
        assert low <= value <= high, name
    elif isinstance(value, str):
        assert len(value) <= LONGEST_TEXT


def require_a_plausible_cycle(source: Source, *, profiles: bool = True) -> None:
    """Fail if a cycle breaks off unexpectedly, or would write what cannot be."""
    notebook, outcome = sync(source, profiles=profiles)
    for document in (
        *notebook.treatments_written,
        *notebook.entries_written,
        *notebook.others_written,
    ):
        require_plausible(document)
    assert all(times > 0 and len(name) <= LONGEST_TEXT for name, times in outcome.skipped.items())
    assert len(outcome.skipped) <= 100
    try:
        counter = source.upload_counter()
    except TconnectsyncError:
        return
    assert counter is None or isinstance(counter, int)


def test_the_undamaged_payloads_make_a_full_cycle() -> None:
    """Otherwise the other tests would prove nothing."""
    for source in (tconnect_source(tconnect_payloads()), tandem_source(tandem_payloads())):
        notebook, outcome = sync(source)
        assert not outcome.failures
        assert set(outcome.skipped) <= {"unknown pump log event 999"}
        kinds = Counter(each["eventType"] for each in notebook.treatments_written)
        assert kinds.keys() >= {"Temp Basal", "Combo Bolus", "Sleep"}
        assert kinds["Combo Bolus"] >= 4
        assert len(notebook.entries_written) >= 4
        assert len(notebook.others_written) >= 2
        require_a_plausible_cycle(source)


@pytest.mark.parametrize("part", ["timeline", "events", "suspensions", "counter"])
@given(data=st.data())
@fuzz(60)
def test_tconnect_s_json_may_say_anything(part: str, data: st.DataObject) -> None:
    payloads = tconnect_payloads()
    payloads = {**payloads, part: data.draw(mutated(payloads[part]))}
    require_a_plausible_cycle(tconnect_source(payloads), profiles=False)


@pytest.mark.parametrize("part", ["csv", "devices", "settings"])
@given(data=st.data())
@fuzz(60)
def test_tconnect_s_export_and_pages_may_say_anything(part: str, data: st.DataObject) -> None:
    payloads = tconnect_payloads(control_iq=False)
    payloads = {**payloads, "timeline": {"basal": {}}, "events": {"event": []}}
    payloads[part] = data.draw(mutated_text(payloads[part]))
    require_a_plausible_cycle(tconnect_source(payloads))


@pytest.mark.parametrize("part", ["log", "pumper", "account"])
@given(data=st.data())
@fuzz(60)
def test_tandem_source_may_say_anything(part: str, data: st.DataObject) -> None:
    payloads = tandem_payloads()
    if part == "account":
        payloads = {**payloads, "pumper": {"pumps": []}}
    payloads = {**payloads, part: data.draw(mutated(payloads[part]))}
    require_a_plausible_cycle(tandem_source(payloads))


def _details() -> Any:
    return tandem_payloads()["pumper"]["pumps"][0]["settings"]["details"]


@given(details=mutated(_details()))
@fuzz(100)
def test_tandem_source_s_settings_may_say_anything(details: Any) -> None:
    pumper = json.loads(json.dumps(tandem_payloads()["pumper"]))
    pumper["pumps"][0]["settings"]["details"] = details
    log: dict[str, Any] = {"events": [], "clockChanges": []}
    require_a_plausible_cycle(tandem_source({"pumper": pumper, "account": {}, "log": log}))


ODD_EVENTS = (5, 11, 12, 13, 14, 16, 20, 21, 33, 61, 63, 64, 65, 66, 81, 229, 256, 279, 369, 399)


@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(ODD_EVENTS), st.integers(0, 3000), st.dictionaries(st.text(), hostile)
        ),
        max_size=40,
    ),
    name=st.sampled_from(("value", "bolusId", "insulinDelivered", "timePrior", "datePrior")),
)
@fuzz(60)
def test_events_that_the_pump_never_wrote_may_stand_in_its_log(
    changes: list[tuple[int, int, dict[str, Any]]], name: str
) -> None:
    payloads = tandem_payloads()
    events = list(payloads["log"]["events"])
    for code, place, values in changes:
        like = events[place % len(events)]
        events.append(
            {
                **like,
                "eventCode": code,
                "sequenceNumber": like["sequenceNumber"] + 1,
                "eventProperties": {**like["eventProperties"], name: 1, **values},
            }
        )
    log = {**payloads["log"], "events": events}
    require_a_plausible_cycle(tandem_source({**payloads, "log": log}))


# -- the last look -------------------------------------------------------------------------------


def reading(glucose: float) -> Reading:
    return Reading("r", NOON, glucose, ReadingKind.SENSOR)  # type: ignore[arg-type]


NAN = float("nan")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (basal(0, 5, 15.01), "basal with an impossible rate"),
        (basal(0, 5, -0.01), "basal with an impossible rate"),
        (basal(0, 5, NAN), "basal with an impossible rate"),
        (basal(0, -1), "basal with an impossible duration"),
        (basal(-MINUTES_A_MONTH, MINUTES_A_MONTH + 1), "basal with an impossible duration"),
        (sleep(-MINUTES_A_MONTH, MINUTES_A_MONTH + 1), "activity with an impossible duration"),
        (bolus(0, 80.01), "bolus with an impossible amount of insulin"),
        (bolus(0, -0.01), "bolus with an impossible amount of insulin"),
        (bolus(0, NAN), "bolus with an impossible amount of insulin"),
        (reading(19), "reading with an impossible value"),
        (reading(601), "reading with an impossible value"),
        (suspension(-60 * 24 * 366 * 17), "suspension with an impossible time"),
        (suspension(60 * 24 + 1), "suspension with an impossible time"),
    ],
)
def test_what_cannot_be_is_left_out_and_counted(event: Event | Reading, reason: str) -> None:
    skipped: Counter[str] = Counter()
    good: list[Event | Reading] = [
        basal(-MINUTES_A_MONTH, MINUTES_A_MONTH, 15),
        bolus(0, 80),
        reading(20),
        reading(600),
        suspension(-60 * 24 * 365 * 16),
        suspension(60 * 24),
        sleep(0, 600),
    ]
    assert plausible([event], NOON, skipped) == []
    assert skipped == {reason: 1}
    assert plausible([*good[:3], event, *good[3:]], NOON, Counter()) == good


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"carbs": 1000}, "carbs"),
        ({"carbs": -1}, "carbs"),
        ({"requested": 81.0}, "requested"),
        ({"glucose": 601}, "glucose"),
        ({"glucose": 0}, "glucose"),
        ({"extended": extended_part(60, 81)}, "extended"),
        ({"extended": ExtendedPart(at(60), 1.0, NAN, "Completed")}, "extended"),
        ({"planned": Split(81.0, 50, None)}, "planned"),
        ({"planned": Split(8.0, 101, None)}, "planned"),
        ({"planned": Split(8.0, 50, timedelta(days=400))}, "planned"),
        ({"planned": Split(8.0, 50, timedelta(-1))}, "planned"),
    ],
)
def test_a_bolus_keeps_its_insulin_when_something_else_about_it_cannot_be(
    changes: dict[str, Any], reason: str
) -> None:
    skipped: Counter[str] = Counter()
    odd = replace(bolus(0, 3.5, carbs=40), **changes)
    (kept,) = plausible([odd], NOON + timedelta(hours=2), skipped)
    assert isinstance(kept, Bolus)
    assert kept.insulin == 3.5
    assert skipped == {f"impossible value of a bolus: {reason}": 1}
    for want in documents(kept):
        require_plausible(want.body)
