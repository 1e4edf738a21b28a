"""A write counts when it is proven: by its answer, or by what is found when one looks again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tconnectsync.errors import NightscoutError, UnprovenWriteError
from tconnectsync.nightscout.wire import ENTRIES
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import days
from tests.support.nightscout_client import NOON, Waits, client, create, treatment
from tests.support.virtual_home import (
    DAY,
    Make,
    at,
    check,
    held,
    sparse,
    undisturbed,
)
from tests.support.world import FIRST

Spoil = Callable[[SmallNightscout, Request], Response | Fault]
HTML = Response(b"<html><h1>Please log in</h1></html>", 200, "text/html")


def real_answer(site: SmallNightscout, request: Request) -> list[Any]:
    answer: list[Any] = json.loads(site.carry_out(request).body)
    return answer


def half(request: Request) -> Request:
    """Return a request for the first half of its documents."""
    documents = json.loads(request.body)
    return replace(request, body=json.dumps(documents[: max(1, len(documents) // 2)]).encode())


def only_half(site: SmallNightscout, request: Request) -> Response:
    return site.carry_out(half(request))


def error_after_half(site: SmallNightscout, request: Request) -> Response:
    if len(json.loads(request.body)) > 1:
        site.carry_out(half(request))
    return Response(b'{"status": 500, "message": "Mongo Error"}', 500)


def stored_but(answer: Response | Fault) -> Spoil:
    def spoil(site: SmallNightscout, request: Request) -> Response | Fault:
        site.carry_out(request)
        return answer

    return spoil


LIES: dict[str, Spoil] = {
    "200 []": lambda site, request: Response(b"[]"),
    "200 null": lambda site, request: Response(b"null"),
    "200 {}": lambda site, request: Response(b"{}"),
    "200 with fewer": only_half,
    "204": lambda site, request: Response(b"", 204),
    "200 HTML": lambda site, request: HTML,
    "500 after half": error_after_half,
    "redirect": lambda site, request: Response(b"", 302, headers=[("Location", "https://x/")]),
}
"""What is answered although not all was stored."""
SILENCE: dict[str, Spoil] = {
    "200 []": stored_but(Response(b"[]")),
    "201": stored_but(Response(b"", 201)),
    "204": stored_but(Response(b"", 204)),
    "object": stored_but(Response(b'{"ok": true}')),
    "HTML": stored_but(HTML),
    "500": stored_but(Response(b"{}", 500)),
}
"""What is answered although all was stored."""


def spoil_writes(site: SmallNightscout, spoil: Spoil, *paths: str, method: str = "POST") -> None:
    def fault(request: Request) -> Response | Fault | None:
        name = request.path.removeprefix("/api/v1/").removesuffix(".json")
        meant = request.method == method and name in (paths or (name,))
        return spoil(site, request) if meant else None

    site.fault = fault


# The client


@pytest.mark.parametrize("how", sorted(set(LIES) - {"redirect", "500 after half"}))
def test_what_is_not_stored_is_named_whatever_the_answer(site: SmallNightscout, how: str) -> None:
    spoil_writes(site, LIES[how])
    sent = [treatment(minute) for minute in range(100)]
    with pytest.raises(UnprovenWriteError, match=r"has stored \d+ Temp Basal") as caught:
        client(site).create(sent)
    stored = {document["identifier"] for document in site.treatments}
    everything = {document["identifier"] for document in sent}
    assert {d["identifier"] for d in caught.value.missing} == everything - stored
    assert caught.value.can_retry
    looks = [e.request.lists for e in site.log if e.request.method == "GET"]
    assert [len(values) for each in looks for values in each.values()] in ([40, 40, 20], [40, 10])


@pytest.mark.parametrize("how", SILENCE)
def test_what_is_stored_and_not_shown_is_found(site: SmallNightscout, how: str) -> None:
    spoil_writes(site, SILENCE[how])
    create(client(site), [treatment(minute) for minute in range(150)])
    assert len(site.treatments) == 150


def test_an_error_in_the_middle_of_a_batch_leaves_only_the_rest_to_do(
    site: SmallNightscout,
) -> None:
    spoil_writes(site, error_after_half)
    with pytest.raises(UnprovenWriteError, match=r"5 Temp Basal \(of 10") as caught:
        client(site).create([treatment(minute) for minute in range(10)])
    assert caught.value.status == 500
    assert len(site.treatments) == 5


def test_where_looking_fails_too_nothing_is_taken_for_stored(site: SmallNightscout) -> None:
    site.fault = lambda request: HTML
    with pytest.raises(UnprovenWriteError) as caught:
        client(site).create([treatment(0), treatment(1)])
    assert len(caught.value.missing) == 2


def test_a_proven_write_is_one_request(site: SmallNightscout) -> None:
    api = client(site)
    api.create([treatment(0)])
    (stored,) = site.treatments
    api.replace({**stored, "duration": 5})
    assert [entry.request.method for entry in site.log] == ["POST", "PUT"]


@pytest.mark.parametrize("how", ["200 []", "200 null", "204", "200 HTML"])
def test_an_update_that_is_not_shown_counts_only_if_it_is_found(
    site: SmallNightscout, how: str
) -> None:
    api = client(site)
    api.create([treatment(0, duration=5)])
    (stored,) = site.treatments
    spoil_writes(site, LIES[how], method="PUT")
    with pytest.raises(UnprovenWriteError, match="1 Temp Basal"):
        api.replace({**stored, "duration": 65})
    spoil_writes(site, stored_but(LIES[how](site, site.log[0].request)), method="PUT")
    api.replace({**stored, "duration": 65, "notes": "a & b"})
    assert [document["duration"] for document in site.treatments] == [65]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"n": 1, "nModified": 1, "ok": 1}',
        b'{"acknowledged": true, "matchedCount": 1, "modifiedCount": 0}',
        b'{"n": 1, "nModified": 0, "ok": 1, "upserted": [{"_id": "x"}]}',
    ],
)
def test_what_a_database_says_of_an_update_is_proof(site: SmallNightscout, answer: bytes) -> None:
    site.fault = lambda request: Response(answer)
    client(site).replace(treatment(0, _id="1" * 24))
    site.fault = lambda request: Response(answer.replace(b": 1", b": 0"))
    with pytest.raises(UnprovenWriteError):
        client(site).replace(treatment(0, _id="1" * 24))


def reading(minute: int) -> dict[str, Any]:
    at = NOON + timedelta(minutes=minute)
    date = round(at.timestamp() * 1000)
    return {"type": "sgv", "sgv": 100, "date": date, "dateString": at.isoformat()}


@pytest.mark.parametrize("how", sorted(set(SILENCE) - {"500"}))
def test_entries_are_proven_by_their_number_or_by_reading_them(
    site: SmallNightscout, how: str
) -> None:
    sent = [reading(minute) for minute in range(130)]
    spoil_writes(site, SILENCE[how])
    create(client(site), sent, ENTRIES)
    assert len(site.entries) == 130
    more = [reading(minute) for minute in range(200, 330)]
    spoil_writes(site, LIES["200 []"])
    with pytest.raises(UnprovenWriteError, match="100 sgv"):
        create(client(site), more, ENTRIES)


@pytest.mark.parametrize("nothing", [{}, [{}], [treatment(0), {}]])
def test_an_empty_document_is_never_sent(site: SmallNightscout, nothing: Any) -> None:
    api = client(site)
    with pytest.raises(ValueError, match="empty"):
        api.replace(nothing) if isinstance(nothing, dict) else api.create(nothing)
    assert site.log == []


def test_treatments_are_found_by_many_identifiers(site: SmallNightscout) -> None:
    site.insert(treatment(minute) for minute in range(120))
    names = [f"id-{minute}" for minute in range(0, 120, 2)] + ["unknown"]
    found = client(site).by_identifier(names, NOON, NOON + timedelta(minutes=99))
    assert sorted(d["identifier"] for d in found) == sorted(names[:50])
    assert client(site).by_identifier([], NOON, NOON) == []


def test_a_redirect_of_a_write_is_refused_in_words(site: SmallNightscout) -> None:
    spoil_writes(site, LIES["redirect"])
    with pytest.raises(NightscoutError, match="sends us to another address"):
        client(site, sleep=Waits()).create([treatment(0)])


# Whole runs


LIFE = sparse(live(FIRST, 12, seed=3))


@pytest.mark.parametrize("keyed", [True, False], ids=["15.0.7", "0.12.8"])
@pytest.mark.parametrize("how", LIES)
def test_what_is_lost_during_a_catch_up_is_there_after_the_next_run(
    make_home: Make, how: str, keyed: bool
) -> None:
    """Eight days in two windows; one of the writes in the first one lies."""
    home = make_home("tandem-source", LIFE, keyed_by_identifier=keyed)
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS", "CGM")
    home.go_to(1)
    assert home.run(*days(FIRST, FIRST)).code == 0
    home.go_to(8.7)
    seen: list[Request] = []

    def third(site: SmallNightscout, request: Request) -> Response | Fault:
        seen.append(request)
        if len(seen) in (3, 4):  # 4 is what tries again after a 500
            return LIES[how](site, request)
        return site.carry_out(request)

    spoil_writes(home.site, third)
    broken = home.run()
    assert broken.code == 1
    assert len(re.findall(r"from \S+ to \S+ failed\. ", broken.errors)) == 1
    home.site.fault = None
    home.go_to(8.8)
    assert home.run().code == 0
    check(home, like="lost during a catch-up")


@pytest.mark.parametrize("how", SILENCE)
def test_what_is_stored_without_proof_fails_nothing_and_is_written_once(
    make_home: Make, how: str
) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 3, seed=3)))
    home.go_to(1.5)
    if how != "500":
        spoil_writes(home.site, SILENCE[how])
    else:
        spoil_writes(home.site, SILENCE[how], "treatments")
    assert home.run(*days(FIRST, FIRST + DAY)).code == 0
    home.site.fault = None
    check(home, like="a day and a half")


def added(site: SmallNightscout, collection: str) -> int:
    held = {
        "profile": site.profiles,
        "activity": site.activity,
        "devicestatus": site.device_statuses,
    }
    return len(held[collection])


@pytest.mark.parametrize("how", ["200 []", "204", "200 HTML", "200 null"])
@pytest.mark.parametrize("collection", ["profile", "activity", "devicestatus"])
def test_what_is_only_ever_added_is_read_before_it_is_written_again(
    make_home: Make, collection: str, how: str
) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 3, seed=3)))
    home.go_to(1.5)
    spoil_writes(home.site, LIES[how], collection)
    ran = home.run(*days(FIRST, FIRST + DAY))
    assert (ran.code, added(home.site, collection)) == (1, 0)
    assert "does not show that it has stored 1 " in ran.errors
    posts = [e for e in home.site.log if e.request.method == "POST"]
    assert sum(e.request.path.endswith(collection) for e in posts) == 1
    home.site.fault = None
    assert home.run(*days(FIRST, FIRST + DAY)).code == 0
    assert added(home.site, collection) == 1
    check(home, like="a day and a half")


def test_a_site_that_answers_every_write_with_nothing_is_complete_as_soon_as_it_does_not(
    make_home: Make,
) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 12, seed=4)))
    home.go_to(1)
    assert home.run(*days(FIRST, FIRST)).code == 0
    spoil_writes(home.site, LIES["200 []"])
    for day in (3.5, 6.5, 9.5):
        home.go_to(day)
        assert home.run().code == 1
    home.site.fault = None
    home.go_to(9.6)
    assert home.run().code == 0
    assert held(home.site) == undisturbed(home)
    assert home.now == at(9.6)
