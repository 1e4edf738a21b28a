"""Whatever the clouds' data say: no crash, and nothing in Nightscout that cannot be true."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.cli.options import Options
from tconnectsync.cli.say import say_what_was_done
from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.domain.events import Bolus, Event, Reading, ReadingKind, Split
from tconnectsync.errors import ClockContradictionError, TconnectsyncError
from tconnectsync.nightscout.profiles import revised_record
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.treatments import treatments_of
from tconnectsync.sources.base import Source
from tconnectsync.sources.tandemsource.log.records import unknown_event
from tconnectsync.sync.plan.validate import validate
from tconnectsync.sync.run.outcome import Outcome
from tests.support.document_limits import LONGEST_TEXT, MINUTES_A_MONTH, require_plausible
from tests.support.event_builders import NEW_YORK, NOON, basal, bolus, both_parts, sleep, suspension
from tests.support.mutations import (
    each_spoiled,
    fields_of,
    fuzz,
    hostile,
    mutated,
    mutated_text,
    with_value,
)
from tests.support.offline_clouds import (
    STYLE,
    sync,
    tandem_payloads,
    tandem_source,
    tconnect_payloads,
    tconnect_source,
)


def require_a_plausible_cycle(source: Source, *, profiles: bool = True) -> None:
    """Fail if a cycle breaks off unexpectedly, or would write what cannot be."""
    try:
        notebook, outcome = sync(source, profiles=profiles)
    except ClockContradictionError:
        return  # Nothing is written then.
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
        assert set(outcome.skipped) <= {unknown_event(999, [])}
        kinds = Counter(each["eventType"] for each in notebook.treatments_written)
        assert kinds.keys() >= {"Temp Basal", "Combo Bolus", "Sleep"}
        assert kinds["Combo Bolus"] >= 4
        assert len(notebook.entries_written) >= 4
        assert len(notebook.others_written) >= 2
        require_a_plausible_cycle(source)


@pytest.mark.parametrize("part", ["timeline", "events", "suspensions", "counter"])
@given(data=st.data())
@fuzz(30)
def test_tconnect_s_json_may_say_anything(part: str, data: st.DataObject) -> None:
    payloads = tconnect_payloads()
    payloads = {**payloads, part: data.draw(mutated(payloads[part]))}
    require_a_plausible_cycle(tconnect_source(payloads), profiles=False)


@pytest.mark.parametrize("part", ["csv", "devices", "settings"])
@given(data=st.data())
@fuzz(30)
def test_tconnect_s_export_and_pages_may_say_anything(part: str, data: st.DataObject) -> None:
    payloads = tconnect_payloads(control_iq=False)
    payloads = {**payloads, "timeline": {"basal": {}}, "events": {"event": []}}
    payloads[part] = data.draw(mutated_text(payloads[part]))
    require_a_plausible_cycle(tconnect_source(payloads))


@pytest.mark.parametrize("part", ["log", "pumper", "account"])
@given(data=st.data())
@fuzz(30)
def test_tandem_source_may_say_anything(part: str, data: st.DataObject) -> None:
    payloads = tandem_payloads()
    if part == "account":
        payloads = {**payloads, "pumper": {"pumps": []}}
    payloads = {**payloads, part: data.draw(mutated(payloads[part]))}
    require_a_plausible_cycle(tandem_source(payloads))


@pytest.mark.parametrize("part", ["timeline", "events", "suspensions"])
def test_each_field_of_tconnect_may_say_anything(part: str) -> None:
    payloads = tconnect_payloads()
    for spoiled in each_spoiled(payloads[part]):
        require_a_plausible_cycle(tconnect_source({**payloads, part: spoiled}), profiles=False)


@pytest.mark.parametrize("part", ["log", "pumper"])
def test_each_field_of_tandem_source_may_say_anything(part: str) -> None:
    payloads = tandem_payloads()
    for spoiled in each_spoiled(payloads[part]):
        source = tandem_source({**payloads, part: spoiled})
        # Profiles are made of the list of pumps alone.
        require_a_plausible_cycle(source, profiles=part == "pumper")


@pytest.mark.parametrize("word", ["9" * 400, "-5", "1000", "0", "&#55296;"])
@pytest.mark.parametrize("page", ["settings", "devices"])
def test_each_number_of_a_page_may_be_any(page: str, word: str) -> None:
    payloads = tconnect_payloads()
    for number in re.finditer(r"(?<=[ >:])[\d.]+(?=[ <:])", payloads[page]):
        text = payloads[page][: number.start()] + word + payloads[page][number.end() :]
        source = tconnect_source({**payloads, page: text})
        with suppress(TconnectsyncError):
            settings = source.pump_settings()
            record = revised_record(None, settings, STYLE)
            # Where the profile in use is broken, no other may take its place.
            assert bool(record) is any(profile.active for profile in settings.profiles)
            require_plausible(record or {})


@pytest.mark.parametrize("word", ["1e400", "-5", "1000", "x" * 500, ""])
def test_each_column_of_the_export_may_say_anything(word: str) -> None:
    payloads = tconnect_payloads(control_iq=False)
    payloads = {**payloads, "timeline": {"basal": {}}, "events": {"event": []}}
    tables = [table.split("\n") for table in payloads["csv"].split("\n\n")]
    for number, lines in enumerate(tables):
        rows = [place for place, line in enumerate(lines) if line.startswith('"')]
        columns = max([0, *(lines[place].count(",") + 1 for place in rows)])
        # Wherever it occurs, or once, as each_spoiled() does it.
        for column, places in product(range(columns), (rows, rows[:1])):
            spoiled = [
                _with_cell(line, column, word) if place in places else line
                for place, line in enumerate(lines)
            ]
            changed = [*tables[:number], spoiled, *tables[number + 1 :]]
            text = "\n\n".join("\n".join(table) for table in changed)
            require_a_plausible_cycle(tconnect_source({**payloads, "csv": text}), profiles=False)


def _with_cell(row: str, column: int, word: str) -> str:
    cells = row.split(",")
    cells[column] = f'"{word}"'
    return ",".join(cells)


def _details() -> Any:
    return tandem_payloads()["pumper"]["pumps"][0]["settings"]["details"]


@given(details=mutated(_details()))
@fuzz(50)
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
@fuzz(30)
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


def _pumps_with_nothing_but_basal() -> Iterator[Source]:
    payloads = tconnect_payloads()
    page = re.sub(r"1u:[\d.]+ ", "1u:0 ", payloads["settings"])
    page = re.sub(r">\d+ mg/dL<", ">0 mg/dL<", page)
    yield tconnect_source({**payloads, "settings": page})
    payloads = tandem_payloads()
    pumper = payloads["pumper"]
    for name in ("carbRatio", "isf", "targetBg"):
        (places,) = [each for each in fields_of(pumper) if each[0][-1:] == (name,)]
        pumper = with_value(pumper, places, 0)
    yield tandem_source({**payloads, "pumper": pumper})


def test_what_is_not_set_on_a_pump_is_left_out_of_its_profiles_and_the_rest_is_synced() -> None:
    complete: list[Source] = [
        tconnect_source(tconnect_payloads()),
        tandem_source(tandem_payloads()),
    ]
    for source, bare in zip(complete, _pumps_with_nothing_but_basal(), strict=True):
        (wanted, _), (found, outcome) = sync(source), sync(bare)
        assert not outcome.failures
        assert found.treatments_written == wanted.treatments_written
        (whole,) = [each["store"] for each in wanted.others_written if "store" in each]
        (store,) = [each["store"] for each in found.others_written if "store" in each]
        assert store.keys() == whole.keys()
        for name, entry in store.items():
            unset = {"sens", "carbratio", "target_low", "target_high"}
            assert entry == {key: whole[name][key] for key in whole[name].keys() - unset}


NAMES = {"carbs": ("carbSize",), "insulin": ("standard", "insulinDelivered", "value")}
"""Where TherapyEvents has something of a bolus."""
UNREADABLE = (10**400, "1e400", "many", [40], True)


def with_each(name: str, bad: Any) -> tuple[list[Document], list[Document], Outcome]:
    """Return t:connect's treatments; and those, and how it went, with something bad of boluses."""
    # Without the export, which has the boluses as well.
    payloads = {**tconnect_payloads(), "csv": ""}
    (places,) = [each for each in fields_of(payloads["events"]) if each[0][2:] == NAMES[name]]
    spoiled = {**payloads, "events": with_value(payloads["events"], places, bad)}
    before, _ = sync(tconnect_source(payloads), profiles=False)
    after, outcome = sync(tconnect_source(spoiled), profiles=False)
    return before.treatments_written, after.treatments_written, outcome


@pytest.mark.parametrize("bad", UNREADABLE, ids=lambda bad: str(bad)[:10])
def test_a_bolus_with_carbs_that_are_no_number_keeps_its_insulin(bad: Any) -> None:
    before, after, outcome = with_each("carbs", bad)
    assert [each.get("insulin") for each in after] == [each.get("insulin") for each in before]
    assert any("carbs" in each for each in before)
    assert not any("carbs" in each for each in after)
    assert outcome.skipped.keys() == {"impossible value of a bolus: carbs"}


@pytest.mark.parametrize("bad", UNREADABLE, ids=lambda bad: str(bad)[:10])
def test_a_bolus_whose_insulin_is_no_number_is_not_written_as_one_without(bad: Any) -> None:
    before, after, outcome = with_each("insulin", bad)
    assert any("insulin" in each for each in before)
    assert not any("insulin" in each for each in after)
    assert outcome.skipped.keys() == {"unreadable bolus"}


def test_what_is_left_out_is_named_once_with_its_number(caplog: pytest.LogCaptureFixture) -> None:
    _, _, outcome = with_each("insulin", "many")
    caplog.clear()
    say_what_was_done(outcome, Options(features=()), NEW_YORK)
    # Whether the log also shows what is new depends on its level.
    warnings = [it.getMessage() for it in caplog.records if it.levelname == "WARNING"]
    assert warnings == [
        "Left out: unreadable bolus (12 times). Insulin may be missing in Nightscout because of "
        "that: compare the day with the pump's own history."
    ]


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
        (sleep(-MINUTES_A_MONTH, MINUTES_A_MONTH + 1), "user mode with an impossible duration"),
        (bolus(0, 80.01), "bolus with an impossible amount of insulin"),
        (bolus(0, -0.01), "bolus with an impossible amount of insulin"),
        (bolus(0, NAN), "bolus with an impossible amount of insulin"),
        (reading(19), "reading with an impossible value"),
        (reading(601), "reading with an impossible value"),
        (suspension(-60 * 24 * 366 * 17), "pump event with an impossible time"),
        (suspension(60 * 24 + 1), "pump event with an impossible time"),
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
    assert validate([event], NOON, skipped) == []
    assert skipped == {reason: 1}
    assert validate([*good[:3], event, *good[3:]], NOON, Counter()) == good


@pytest.mark.parametrize("insulin", [81, -1, NAN])
def test_a_later_part_that_cannot_be_is_left_out_alone(insulin: float) -> None:
    skipped: Counter[str] = Counter()
    now, later = both_parts(bolus(0, 3.5, extended=True), 60, insulin)
    assert validate([now, later], NOON + timedelta(hours=2), skipped) == [now]
    assert skipped == {"bolus with an impossible amount of insulin": 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"carbs": 1000}, "carbs"),
        ({"carbs": -1}, "carbs"),
        ({"requested": 81.0}, "requested"),
        ({"glucose": 601}, "glucose"),
        ({"glucose": 0}, "glucose"),
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
    (kept,) = validate([odd], NOON + timedelta(hours=2), skipped)
    assert isinstance(kept, Bolus)
    assert kept.insulin == 3.5
    assert skipped == {f"impossible value of a bolus: {reason}": 1}
    for want in treatments_of(kept, TANDEM_SOURCE.name):
        require_plausible(want.body)
