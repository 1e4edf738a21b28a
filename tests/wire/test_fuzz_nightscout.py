"""Whatever a Nightscout answers: a sync goes on, or ends with an error in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tconnectsync.errors import TconnectsyncError
from tconnectsync.http import NO_RETRIES, HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.profiles import revised_record
from tconnectsync.nightscout.provenance import Document
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tests.support.clocks import NO_WAITING
from tests.support.document_limits import require_a_plausible_profile, require_plausible
from tests.support.mutations import DEEP, each_spoiled, fuzz, hostile, mutated, mutated_text, nested
from tests.support.offline_clouds import NOW, STYLE, sync, tandem_payloads, tandem_source

WAYS = ("treatments", "entries.json", "activity", "devicestatus", "profile", "status.json")
MOST_REQUESTS = 60


@cache
def stored() -> dict[str, Any]:
    """Return what a Nightscout would answer if an earlier run had been there, by path."""
    notebook, _ = sync(tandem_source(tandem_payloads()))
    others = notebook.others_written
    return {
        "treatments": _named(notebook.treatments_written),
        "entries.json": _named(notebook.entries_written),
        "activity": _named(each for each in others if "activityType" in each),
        "devicestatus": _named(each for each in others if "pump" in each),
        "profile": _named(each for each in others if "store" in each)[0],
        "status.json": {"status": "ok", "version": "15.0.7", "settings": {"units": "mg/dl"}},
        "verifyauth": {"status": 200, "message": {"canRead": True, "canWrite": True}},
    }


def _named(documents: Any) -> list[Document]:
    return [{**each, "_id": f"{number:024x}"} for number, each in enumerate(documents)]


class Site:
    """A Nightscout that says of each collection what it is given."""

    def __init__(self) -> None:
        self.says: dict[str, bytes] = {}
        self.added: list[Document] = []
        self.requests = 0
        self.server = LoopbackServer(self._answer)

    def _answer(self, request: Request) -> Response:
        self.requests += request.method != "DELETE"  # One for each record that is too many.
        name = request.path.removeprefix("/api/v1/")
        if request.method == "POST":
            found = json.loads(request.body)
            self.added += found if isinstance(found, list) else [found]
        if request.method != "GET" or self.requests > MOST_REQUESTS:
            return Response(b"[]")
        return Response(self.says.get(name.split("/")[0], b"[]"))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    with site.server:
        yield site


def run(site: Site, **says: bytes) -> None:
    """Sync, and ask everything else, with a Nightscout that says these things."""
    site.says = {name: json.dumps(payload).encode() for name, payload in stored().items()} | says
    site.requests = 0
    site.added.clear()
    http = HttpClient("Nightscout", NO_WAITING, retries=NO_RETRIES)
    nightscout = NightscoutApi(site.server.url, "a secret of some length", http)
    sync(tandem_source(tandem_payloads()), nightscout=nightscout)
    for ask in (
        nightscout.rights,
        nightscout.status,
        lambda: nightscout.newest("Combo Bolus"),
        lambda: nightscout.newest("sgv"),
        lambda: nightscout.treatments(NOW - timedelta(days=1), NOW),
    ):
        with suppress(TconnectsyncError):
            ask()
    assert site.requests <= MOST_REQUESTS
    for document in site.added:
        if "store" not in document:
            require_plausible(document)
        else:  # Profiles of other programs stay in a record as they are.
            for name in stored()["profile"]["store"]:
                require_a_plausible_profile(document["store"][name])


def test_a_nightscout_that_knows_it_all_gets_nothing_new(site: Site) -> None:
    """Otherwise the other tests would prove nothing."""
    run(site)
    assert not site.added
    run(site, treatments=b"[]", activity=b"[]")
    assert len(site.added) >= 15


@pytest.mark.parametrize("name", [*WAYS, "verifyauth"])
@given(data=st.data())
@fuzz(25)
def test_nightscout_s_documents_may_say_anything(
    site: Site, name: str, data: st.DataObject
) -> None:
    run(site, **{name: json.dumps(data.draw(mutated(stored()[name]))).encode()})


def test_each_field_of_a_stored_profile_may_say_anything() -> None:
    settings = tandem_source(tandem_payloads()).pump_settings()
    known = stored()["profile"]
    for spoiled in each_spoiled(known):
        if isinstance(spoiled, dict) and (record := revised_record(spoiled, settings, STYLE)):
            for name, entry in known["store"].items():
                assert {key: record["store"][name][key] for key in entry} == entry


@given(name=st.sampled_from(WAYS), data=st.data())
@fuzz(30)
def test_nightscout_s_answers_may_be_damaged(site: Site, name: str, data: st.DataObject) -> None:
    text = json.dumps(stored()[name])
    run(site, **{name: data.draw(mutated_text(text)).encode(errors="replace")})


@given(name=st.sampled_from(WAYS), payload=hostile)
@example(name="treatments", payload=[{"_id": ["not", "a", "name"]}])
@example(name="treatments", payload=[{"_id": str(n)} for n in range(1000)])
@example(name="profile", payload={"_id": "x", "store": {"Every day": nested(DEEP)}})
@fuzz(30)
def test_nightscout_may_answer_with_anything(site: Site, name: str, payload: Any) -> None:
    run(site, **{name: json.dumps(payload).encode()})


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Application error</body></html>",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b"9" * 100_000,
        b"NaN",
        b"null",
        b"[null]",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_answer_at_all_is_an_error_in_words(site: Site, name: str, body: bytes) -> None:
    run(site, **{name: body})


TIMES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01", "x", "", None)


@pytest.mark.parametrize("time", TIMES)
def test_stored_times_at_the_ends_of_the_calendar_do_no_harm(site: Site, time: str | None) -> None:
    for name in ("treatments", "activity", "devicestatus"):
        documents = [{**each, "created_at": time} for each in stored()[name]]
        run(site, **{name: json.dumps(documents).encode()})


@pytest.mark.parametrize("date", [0, -1, 1e300, -1e300, 10**400, 253402300799999, "1", None, True])
def test_stored_dates_at_the_ends_of_the_calendar_do_no_harm(site: Site, date: object) -> None:
    documents = [{**each, "date": date} for each in stored()["entries.json"]]
    run(site, **{"entries.json": json.dumps(documents * 3).encode()})
