"""The CSV export: tables in any order, rows under the right names, rates with the right length."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from tconnectsync.api.tconnect.ws2csv import UNLABELLED, parse_timeline
from tconnectsync.clouds import TCONNECT
from tconnectsync.nightscout.provenance import instant
from tconnectsync.nightscout.treatments import treatments_of
from tconnectsync.sources.tconnect.basals import csv_basals
from tests.acceptance.cases import exception, expected, files, load, text
from tests.support.event_builders import NEW_YORK

NEVER = datetime.min.replace(tzinfo=UTC)


def unshifted(timeline: dict[str, Any]) -> dict[str, Any]:
    """Name the value without a name, and move the values after it back by one column."""
    return {**timeline, "bolusData": [_unshifted(row) for row in timeline["bolusData"]]}


def _unshifted(row: dict[str, str]) -> dict[str, str]:
    names = list(row)
    names.insert(names.index("IsQuickBolus") + 1, UNLABELLED)
    return dict(zip(names, [*row.values(), ""], strict=True))


def test_every_table_of_an_export_is_read() -> None:
    payload = exception("ws2_timeline_full.csv")
    assert parse_timeline(payload) == unshifted(load("ws2_timeline_full.expected.json"))


@pytest.mark.parametrize("last_line_end", ["\n", ""])
def test_the_tables_may_come_in_any_order(last_line_end: str) -> None:
    tables = [text(name).strip("\n") for name in files("ws2_timeline_full.section_*.csv")]
    assert len(tables) == 4
    wanted = unshifted(load("ws2_timeline_full.expected.json"))
    for order in permutations(tables):
        assert parse_timeline("\n\n".join(order) + last_line_end) == wanted


def test_an_export_of_several_windows_is_put_together_in_their_order() -> None:
    one, split = load("ws2_timeline_full.expected.json"), load("ws2_timeline_split.expected.json")
    assert split == {name: 4 * rows for name, rows in one.items()}


@pytest.mark.parametrize("name", files("ws2_timeline_empty.csv"))
def test_an_empty_export_is_no_data(name: str) -> None:
    assert parse_timeline(text(name)) == expected(name)


def test_a_table_of_a_single_row_is_read() -> None:
    name = "synthetic/ws2_timeline_single_row_sections.csv"
    assert parse_timeline(exception(name)) == unshifted(expected(name)["result_correct"])


def test_a_rate_of_the_export_lasts_until_the_next_row() -> None:
    name = "synthetic/ws2_timeline_basal.csv"
    rows = parse_timeline(exception(name))["basalData"]
    assert rows == expected(name)["parsed_rows"]
    *wanted, last = [
        (datetime.fromisoformat(e["time"]), e["duration_mins"], float(e["basal_rate"]))
        for e in expected(name)["basal_events_duration_belongs_to_earlier_row"]
    ]
    assert shown(rows, NEVER) == wanted
    begins, _, rate = last
    assert shown(rows, begins + timedelta(minutes=30)) == [*wanted, (begins, 30, rate)]


def shown(rows: list[dict[str, str]], known_until: datetime) -> list[tuple[datetime, float, float]]:
    found = csv_basals(rows, NEW_YORK, known_until, Counter())
    bodies = [want.body for basal in found for want in treatments_of(basal, TCONNECT.name)]
    assert {body["reason"] for body in bodies} == {"Unknown"}
    return [(instant(body) or NEVER, body["duration"], body["rate"]) for body in bodies]


def test_readings_and_insulin_on_board_are_read_as_rows() -> None:
    for name in ("ws2_timeline_readings.csv", "ws2_timeline_iob.csv"):
        rows = [row for table in parse_timeline(text(name)).values() for row in table]
        events = expected(name).get("parsed_readings") or expected(name)["iob_events"]
        assert [row["EventDateTime"] for row in rows] == [
            event["time"][:19].replace(" ", "T") for event in events
        ]
