"""Whole cycles over real HTTP: Tandem's recorded answers in, Nightscout's treatments out.

The older program takes whatever it is served; ours drops what lies outside the range asked for. So
the range is not the one recorded but one that covers the times in the payloads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tconnectsync.app import assemble
from tconnectsync.clock import Clock
from tconnectsync.config.settings import load as settings_from
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sources.tconnect.values import PACIFIC
from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import date_range
from tests.acceptance.cases import JOINED, comparable, exception, files, load, text
from tests.acceptance.exceptions import both_parts
from tests.wire.fake_tconnect import FakeTConnect, ok

SECRET = "a secret that is long enough"
ENDPOINTS = {
    "therapy_timeline": ("/tconnect/controliq/api/therapytimeline/", "therapy_timeline_empty.json"),
    "therapy_events": ("/tconnect/therapyevents/", "therapy_events_empty.json"),
    "ws2_timeline": ("/therapytimeline2csv/", "ws2_timeline_empty.csv"),
    "basalsuspension": ("/basalsuspension/", "basalsuspension_empty.json"),
}
"""Where each payload is served, and the one that is when a case names none."""


def payloads(case: dict[str, Any]) -> dict[str, str]:
    """Return the file that each endpoint serves."""
    named = {**case["tconnect_responses"], **case.get("served_but_must_not_affect_result", {})}
    return {name: named.get(name, empty) for name, (_, empty) in ENDPOINTS.items()}


def tandem(case: dict[str, Any]) -> LoopbackServer:
    """Serve a case's payloads, whatever days are asked for."""
    fake = FakeTConnect()
    fake.cookies["accessTokenExpiresAt"] = "2099-01-01T00:00:00.000Z"
    served = {ENDPOINTS[name][0]: answer(file) for name, file in payloads(case).items()}

    def handle(request: Request) -> Response:
        found = (body for path, body in served.items() if request.path.startswith(path))
        return next(found, None) or fake.handle(request)

    return LoopbackServer(handle)


def answer(file: str) -> Response:
    if file.endswith(".csv"):
        return Response(text(file).encode(), content_type="text/csv")
    if file.startswith("basalsuspension"):
        return Response(f"cb({text(file)})".encode(), content_type="text/javascript")
    return ok(load(file))


def days(case: dict[str, Any]) -> Iterator[date]:
    """Yield the days that a case and its payloads speak of."""
    yield date.fromisoformat(case["time_start"][:10])
    for file in payloads(case).values():
        for part in JOINED.get(file, (file,)):
            for iso in re.findall(r"20\d\d-\d\d-\d\d(?=T)", text(part)):
                yield date.fromisoformat(iso)
            for seconds in re.findall(r'(?:"x": |/Date\()(\d{10})', text(part)):
                yield datetime.fromtimestamp(int(seconds), PACIFIC).date()


def features(case: dict[str, Any]) -> list[str]:
    """Return those of a case's features that exist already."""
    known = [name for name in case["features"] if name in FEATURES]
    assert known
    return known


def sync(case: dict[str, Any], cloud: LoopbackServer, site: SmallNightscout) -> Outcome:
    settings = settings_from(
        {
            "TCONNECT_SOURCE": "tconnect",
            "TCONNECT_EMAIL": "someone@example.org",
            "TCONNECT_PASSWORD": "correct horse",
            "PUMP_SERIAL_NUMBER": "10000001",
            "NS_URL": site.url,
            "NS_SECRET": SECRET,
            "TCONNECT_WEB_URL": cloud.url,
            "TCONNECT_SERVICES_URL": cloud.url,
            "TCONNECT_WS2_URL": cloud.url,
            **case["environment"],
        },
        {},
    )
    cycle = assemble(settings, features(case), Clock())
    wanted = date_range(min(days(case)), max(days(case)), cycle.clock, datetime.now(UTC))
    outcome = cycle.run(wanted)
    assert outcome.failures == []
    assert not outcome.skipped
    return outcome


def treatments(case: dict[str, Any], result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the treatments that Nightscout holds after a case, as recorded."""
    written = [d for kind in ("uploaded", "put") for d in result[kind].get("treatments", [])]
    gone = {path.rpartition("/")[2] for path in result["deleted"]}
    gone |= {document.get("_id") for document in written}
    return [d for d in looked_up(case) if d.get("_id") not in gone] + written


def looked_up(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the treatments that a case finds in Nightscout."""
    asked = [each for each in case["nightscout_lookups"] if each["query"] == "last_uploaded_entry"]
    return [each["returns"] for each in asked if each["returns"]]


def check(case: dict[str, Any], wanted: list[dict[str, Any]], keyed_by_identifier: bool) -> None:
    """Run a case twice: first Nightscout shows what is wanted, then nothing changes any more."""
    with (
        tandem(case) as cloud,
        SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier) as site,
    ):
        site.insert(looked_up(case))
        first = sync(case, cloud, site)
        assert comparable(site.treatments) == comparable(wanted)
        assert first.created + first.updated + len(first.others) == site.writes
        second = sync(case, cloud, site)
        assert (second.created, second.updated) == (0, 0)
        assert second.others == []
        assert comparable(site.treatments) == comparable(wanted)
        assert {entry.request.method for entry in site.log} <= {"GET", "POST", "PUT"}


@pytest.mark.parametrize("keyed_by_identifier", [True, False], ids=["15.0.7", "0.12.8"])
@pytest.mark.parametrize("name", [n for n in files("process/*.case.json") if "_profile_" not in n])
def test_a_cycle_leaves_the_treatments_recorded(name: str, keyed_by_identifier: bool) -> None:
    case = load(name)
    wanted = treatments(case, load(case["expected_file"]))
    check(case, wanted, keyed_by_identifier)


def test_a_cycle_shows_both_parts_of_an_extended_bolus() -> None:
    case = exception("process/new_ciq_bolus_data_from_ciq_therapy_events.case.json")
    *others, immediate = treatments(case, load(case["expected_file"]))
    check(case, [*others, *both_parts(immediate)], keyed_by_identifier=True)


def test_pump_events_include_the_basal_suspensions_and_leave_out_what_is_none() -> None:
    case = exception("process/skipped_ws2_activity_events.case.json")
    check(case, [], keyed_by_identifier=True)
    with tandem(case) as cloud, SmallNightscout(SECRET) as site:
        sync(case, cloud, site)
        assert any(entry.request.path.startswith("/basalsuspension/") for entry in cloud.log)
