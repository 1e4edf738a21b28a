"""The shapes of Tandem's answers: what changes is said once, and no value or name gets out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.api.shapes import FILE_NAME
from tconnectsync.cli.shape_report import FILE_NAME as REPORT
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import CLOUDS, SECRET, SERIAL, Cloud, Computer, computer
from tests.support.command import days as dates
from tests.support.world import FIRST, World

LIFE = live(FIRST, 2)
DAY = dates(FIRST, FIRST)
PUMPER = "/api/reports/bff/pumper/"
LOGS = "/api/reports/bff/pump-logs/"
SAID = "has a form that this version does not know"


@contextmanager
def world(folder: Path, source: str) -> Iterator[tuple[World[Cloud], Computer]]:
    with CLOUDS[source](LIFE) as tandem, SmallNightscout(SECRET) as site:
        yield World(tandem, site, folder), computer(folder, tandem, site.url, SECRET)


@pytest.fixture
def tandem_source(tmp_path: Path) -> Iterator[tuple[World[Cloud], Computer]]:
    with world(tmp_path, "tandem-source") as served:
        yield served


def change(place: World[Cloud], path: str, alter: Callable[[Any], object]) -> None:
    """Let the cloud answer requests for a path as before, but altered."""

    def fault(request: Request) -> Response | None:
        if not request.path.startswith(path):
            return None
        answer = place.tandem.carry_out(request)
        assert isinstance(answer, Response)
        payload = json.loads(answer.body)
        alter(payload)
        return Response(json.dumps(payload).encode(), answer.status)

    place.tandem.fault = fault


def records(log: Any, code: int) -> list[Any]:
    return [event for event in log["events"] if event["eventCode"] == code]


def as_code(code: int, events: list[Any]) -> list[Any]:
    """Return copies of events as further ones with another code."""
    return [
        {**each, "eventCode": code, "sequenceNumber": 10**7 + each["sequenceNumber"]}
        for each in events
    ]


@pytest.mark.parametrize("source", sorted(CLOUDS))
def test_a_cloud_of_today_has_nothing_that_is_new(tmp_path: Path, source: str) -> None:
    with world(tmp_path, source) as (_, here):
        run = here.run(*DAY, "--features", "BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES")
        report = here.run("--shape-report", *DAY)
    assert run.code == 0
    assert SAID not in run.errors
    assert (report.code, "Nothing differs" in report.output) == (0, True)
    assert not list(tmp_path.rglob(FILE_NAME))


def test_a_new_key_is_said_once_and_nothing_is_lost(
    tandem_source: tuple[World[Cloud], Computer], tmp_path: Path
) -> None:
    place, here = tandem_source
    change(place, PUMPER, lambda it: it["pumps"][0].update(modelGeneration=4))
    first, second = here.run(*DAY), here.run(*DAY)
    assert (first.code, second.code) == (0, 0)
    assert (first.errors.count(SAID), second.errors.count(SAID)) == (1, 0)
    report = here.run("--shape-report", *DAY)
    assert "list of pumps: pumps[].modelGeneration: new, number" in report.output
    text = (tmp_path / REPORT).read_text("utf-8")
    assert "modelGeneration" in text
    assert (tmp_path / REPORT).stat().st_mode & 0o077 == 0


def test_other_types_and_missing_keys_are_named(
    tandem_source: tuple[World[Cloud], Computer],
) -> None:
    place, here = tandem_source

    def alter(payload: Any) -> None:
        payload["lowGlucoseThreshold"] = "70"
        del payload["pumps"][0]["assignmentId"]

    change(place, PUMPER, alter)
    output = here.run("--shape-report", *DAY).output
    assert "list of pumps: lowGlucoseThreshold: text instead of number" in output
    assert "list of pumps: pumps[].assignmentId: missing" in output


def test_unknown_events_and_their_properties_are_counted(
    tandem_source: tuple[World[Cloud], Computer],
) -> None:
    place, here = tandem_source

    def alter(payload: Any) -> None:
        boluses = records(payload, 280)
        for each in boluses:
            each["eventProperties"]["bolusSpeed"] = 3
        payload["events"] += as_code(7777, boluses)

    change(place, LOGS, alter)
    here.run(*DAY)  # So that something is asked for.
    lines = here.run("--shape-report", *DAY).output.splitlines()
    unknown = next(line for line in lines if "unknown event 7777" in line)
    assert unknown.startswith("pump log: events[]: unknown event 7777 (")
    assert any("eventProperties(280).bolus?????: new" in line for line in lines)


def test_the_report_is_safe_whatever_stands_in_an_answer(
    tandem_source: tuple[World[Cloud], Computer], tmp_path: Path
) -> None:
    """Values never get in; nor do names of keys that could be somebody's."""
    place, here = tandem_source
    private = ["Rosalind", "rosalind@example.net", "90210042", "2019-04-01", "Oakwood Lane"]
    private += ["Max", "2019", "141", "day0401", "serial9021"]

    def alter(payload: Any) -> None:
        for name in private:
            payload[name] = name
            payload["pumps"][0][name] = {name: [name]}
        payload["people"] = dict.fromkeys(private, 1)

    def with_numbers(payload: Any) -> None:
        if "pumps" in payload:
            alter(payload)
        else:
            payload["events"] += as_code(int(SERIAL), payload["events"][:1])

    change(place, "/api/reports/bff/", with_numbers)
    ran = here.run("--shape-report", *DAY)
    shown = ran.output + ran.errors + (tmp_path / REPORT).read_text("utf-8")
    shown += "".join(path.read_text("utf-8") for path in tmp_path.rglob(FILE_NAME))
    assert [name for name in private if name in shown] == []
    assert SERIAL not in shown
    assert "(a name of 8 characters): new, text" in shown


def test_an_answer_in_another_form_asks_for_a_newer_version(
    tandem_source: tuple[World[Cloud], Computer], tmp_path: Path
) -> None:
    place, here = tandem_source
    change(place, LOGS, lambda it: it.update(events={"1": "one"}))
    ran = here.run(*DAY)
    assert ran.code == 1
    (record,) = tmp_path.rglob("record-*.json")
    assert json.loads(record.read_text("utf-8"))["state"] == "tandem-changed"


def test_an_unknown_event_that_may_be_insulin_is_no_success(
    tandem_source: tuple[World[Cloud], Computer], tmp_path: Path
) -> None:
    place, here = tandem_source

    def alter(payload: Any) -> None:
        payload["events"] += as_code(7777, records(payload, 280))

    change(place, LOGS, alter)
    ran = here.run(*DAY)
    assert ran.code == 1
    assert "may be about insulin" in ran.errors
    (record,) = tmp_path.rglob("record-*.json")
    assert json.loads(record.read_text("utf-8"))["state"] == "tandem-changed"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"pumps": 7}', b"[" * 100_000])
def test_no_answer_breaks_the_comparison(
    tandem_source: tuple[World[Cloud], Computer], body: bytes
) -> None:
    place, here = tandem_source
    place.fail(PUMPER, Response(body))
    ran = here.run("--shape-report", *DAY)
    assert ran.code == 0
    assert "Traceback" not in ran.errors
