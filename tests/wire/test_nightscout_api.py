"""The Nightscout client over real HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tconnectsync.errors import NetworkError, NightscoutError, NightscoutLoginError
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.run.apply import apply
from tests.support.clocks import NO_WAITING
from tests.support.command import SECRET
from tests.support.nightscout_client import NOON, Waits, client, create, treatment


def test_what_is_created_can_be_read_back(site: SmallNightscout) -> None:
    api = client(site)
    api.create([treatment(0), treatment(5)])
    found = api.treatments(NOON, NOON + timedelta(minutes=5))
    assert sorted(d["identifier"] for d in found) == ["id-0", "id-5"]


def test_creating_the_same_again_changes_nothing(site: SmallNightscout) -> None:
    api = client(site)
    api.create([treatment(0), treatment(5)])
    api.create([treatment(0), treatment(5)])
    assert len(site.treatments) == 2


def test_documents_travel_in_batches_of_a_hundred(site: SmallNightscout) -> None:
    create(client(site), [treatment(minute) for minute in range(250)])
    assert len(site.treatments) == 250
    assert [entry.request.method for entry in site.log] == ["POST"] * 3


def test_large_documents_travel_in_smaller_batches(site: SmallNightscout) -> None:
    create(client(site), [treatment(minute, notes="x" * 30_000) for minute in range(10)])
    sizes = [len(entry.request.body) for entry in site.log]
    assert len(site.treatments) == 10
    assert max(sizes) <= 100_100


def test_nothing_to_create_is_no_request(site: SmallNightscout) -> None:
    apply(Plan(), client(site))
    assert site.log == []


def test_long_ranges_are_read_page_by_page(site: SmallNightscout) -> None:
    site.insert(treatment(minute) for minute in range(2500))
    found = client(site).treatments(NOON, NOON + timedelta(days=3))
    assert sorted(d["identifier"] for d in found) == sorted(f"id-{m}" for m in range(2500))
    assert len(site.log) == 3


def test_a_server_that_gives_less_than_asked_for_is_read_to_the_end(site: SmallNightscout) -> None:
    site.insert(treatment(minute) for minute in range(700))

    def capped(request: Request) -> Response | None:
        if int(request.query["count"]) > 150:
            request.query["count"] = "150"
        return None

    site.fault = capped
    assert len(client(site).treatments(NOON, NOON + timedelta(days=1))) == 700


def test_many_documents_of_one_instant_are_read_to_the_end(site: SmallNightscout) -> None:
    site.insert(treatment(0, identifier=f"twin-{n}") for n in range(1200))
    assert len(client(site).treatments(NOON, NOON)) == 1200


def test_everybody_s_treatments_are_read(site: SmallNightscout) -> None:
    site.insert([treatment(0, enteredBy="Mum"), treatment(1)])
    assert len(client(site).treatments(NOON, NOON + timedelta(hours=1))) == 2


def test_the_newest_of_ours_of_a_kind_is_found_however_old(site: SmallNightscout) -> None:
    api = client(site)
    assert api.newest("Temp Basal") is None
    site.insert([treatment(0), treatment(9, enteredBy="Mum"), treatment(7, eventType="Sleep")])
    assert api.newest("Temp Basal") == NOON


def test_a_document_is_replaced_in_place(site: SmallNightscout) -> None:
    api = client(site)
    api.create([treatment(0, duration=5)])
    (stored,) = api.treatments(NOON, NOON)
    api.replace({**stored, "duration": 65})
    assert [(d["_id"], d["duration"]) for d in site.treatments] == [(stored["_id"], 65)]


def test_the_secret_travels_hashed_in_a_header_and_never_in_an_address(
    site: SmallNightscout,
) -> None:
    api = client(site)
    api.create([treatment(0)])
    api.treatments(NOON, NOON)
    for entry in site.log:
        request = entry.request
        assert request.headers["api-secret"] == hashlib.sha1(SECRET.encode()).hexdigest()
        sent = f"{request.path} {request.query} {request.headers} {request.body!r}"
        assert SECRET not in sent


def test_an_access_token_works_like_a_secret() -> None:
    with SmallNightscout(SECRET, token="sync-0123456789abcdef") as server:
        client(server, "sync-0123456789abcdef").create([treatment(0)])
        assert len(server.treatments) == 1


def test_a_wrong_secret_is_tried_once(site: SmallNightscout) -> None:
    with pytest.raises(NightscoutLoginError, match="does not accept NS_SECRET") as caught:
        client(site, "wrong").treatments(NOON, NOON)
    assert caught.value.fatal
    assert len(site.log) == 1


def test_a_refusal_says_in_words_what_was_asked_for(site: SmallNightscout) -> None:
    wrong = client(site, "wrong")
    asked: dict[str, Callable[[], object]] = {
        "treatments": lambda: wrong.treatments(NOON, NOON),
        "entries": lambda: wrong.entries(NOON, NOON),
        "profile": wrong.profile,
        "device status": wrong.device_status,
    }
    for name, ask in asked.items():
        with pytest.raises(NightscoutLoginError, match=rf"\(asked for: {name}\)"):
            ask()


@pytest.mark.parametrize("address", ["/path", "/path/", ""])
def test_the_address_may_have_a_path(address: str) -> None:
    asked: list[str] = []

    def handle(request: Request) -> Response:
        asked.append(request.path)
        return Response(b"[]")

    with LoopbackServer(handle) as server:
        http = HttpClient("Nightscout", NO_WAITING)
        NightscoutApi(server.url + address, SECRET, http).treatments(NOON, NOON)
    assert asked == [f"{address.rstrip('/')}/api/v1/treatments"]


@pytest.mark.parametrize(
    "body",
    [b"null", b"{}", b'"ok"', b"[1]", b'[{"created_at": "x"}]'],
)
def test_an_answer_that_is_no_list_of_treatments_never_means_none(body: bytes) -> None:
    with (
        LoopbackServer(lambda request: Response(body)) as server,
        pytest.raises(NightscoutError, match="did not answer with a list of treatments"),
    ):
        client(server).treatments(NOON, NOON)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "There is no Nightscout at NS_URL"),
        (307, "Set NS_URL to the address"),
        (403, "is not Nightscout but another web server"),
        (429, "refused a request"),
        (500, "in trouble"),
    ],
)
def test_refusals_are_explained(site: SmallNightscout, status: int, sentence: str) -> None:
    site.fault = lambda request: Response(b"<html></html>", status)
    with pytest.raises(NightscoutError, match=sentence) as caught:
        client(site).treatments(NOON, NOON)
    assert caught.value.status == status


def test_a_site_that_takes_no_treatments_is_recognised(site: SmallNightscout) -> None:
    site.fault = lambda request: Response(b"Cannot POST", 404)
    with pytest.raises(NightscoutError, match="Add careportal to its ENABLE"):
        client(site).create([treatment(0)])


def test_a_redirect_is_not_followed_with_the_secret(site: SmallNightscout) -> None:
    with LoopbackServer(lambda request: Response(b"[]")) as elsewhere:
        target = [("Location", elsewhere.url)]
        site.fault = lambda request: Response(status=302, headers=target)
        with pytest.raises(NightscoutError, match="sends us to another address"):
            client(site).treatments(NOON, NOON)
        assert elsewhere.log == []


def first_fails(site: SmallNightscout, *faults: Response | Fault) -> None:
    rest = list(faults)
    site.fault = lambda request: rest.pop(0) if rest else None


@pytest.mark.parametrize(
    "fault", [Fault.DROP, Fault.CUT, Response(status=502), Response(status=500)]
)
def test_what_may_pass_is_tried_again(site: SmallNightscout, fault: Response | Fault) -> None:
    first_fails(site, fault)
    client(site).create([treatment(0)])
    assert len(site.treatments) == 1


def test_retry_after_is_honoured(site: SmallNightscout) -> None:
    first_fails(site, Response(status=429, headers=[("Retry-After", "7")]))
    waits = Waits()
    client(site, sleep=waits).create([treatment(0)])
    assert waits == [7.0]


def test_a_long_retry_after_is_left_to_the_next_run(site: SmallNightscout) -> None:
    first_fails(site, Response(status=429, headers=[("Retry-After", "3600")]))
    waits = Waits()
    with pytest.raises(NightscoutError):
        client(site, sleep=waits).create([treatment(0)])
    assert waits == []


def test_a_server_that_does_not_answer_in_time_is_given_up(site: SmallNightscout) -> None:
    site.fault = lambda request: Response(b"[]", delay=1.0)
    with pytest.raises(NetworkError, match="did not answer in time"):
        client(site, read_timeout=0.1).treatments(NOON, NOON)


def test_a_site_that_cannot_be_reached_is_named_without_its_path() -> None:
    with SmallNightscout(SECRET) as server:
        url = server.url
    waits = Waits()
    http = HttpClient("Nightscout", replace(NO_WAITING, sleep=waits))
    with pytest.raises(NetworkError, match=r"Nightscout \(127\.0\.0\.1\)") as caught:
        NightscoutApi(f"{url}/private", SECRET, http).treatments(NOON, NOON)
    assert waits == [1.0, 5.0]
    assert "private" not in str(caught.value)
    assert caught.value.__cause__ is None
