"""The small Nightscout on its own: what sets its two kinds apart, and what tests get from it.

What both kinds have in common with a real Nightscout is asked in
`tests/e2e/test_small_nightscout_is_like_the_real_one.py`.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tconnectsync.simulators.nightscout.site import SmallNightscout

Document = dict[str, Any]

SECRET = "a secret of good length"
NOON = "2024-01-15T12:00:00.000Z"
EVER = {"find[created_at][$gte]": "1970-01-01"}
TREATMENTS = "treatments.json"


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def request(site: SmallNightscout, method: str, path: str, **options: Any) -> requests.Response:
    options = {"headers": {"api-secret": sha1(SECRET)}, "timeout": 10, **options}
    return requests.request(method, f"{site.url}/api/v1/{path}", **options)


def post(site: SmallNightscout, *documents: Document) -> list[Document]:
    answer = request(site, "POST", TREATMENTS, json=list(documents))
    assert answer.status_code == 200, answer.text
    stored: list[Document] = answer.json()
    return stored


def bolus(created_at: str = NOON, **fields: Any) -> Document:
    return {"eventType": "Bolus", "created_at": created_at, "insulin": 1.5} | fields


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def keyed_by_identifier(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# Both kinds


def test_each_kind_says_its_version(keyed_by_identifier: bool) -> None:
    with SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier) as site:
        version = request(site, "GET", "status.json").json()["version"]

    assert version == ("15.0.7" if keyed_by_identifier else "0.12.8")


def test_the_site_has_the_clock_it_is_given(keyed_by_identifier: bool) -> None:
    now = datetime(2024, 1, 20, 12, tzinfo=UTC)

    with SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier, now=lambda: now) as site:
        post(site, bolus("2024-01-16T12:00:00Z"), bolus("2024-01-16T11:59:59Z"), {"insulin": 1})
        status = request(site, "GET", "status.json").json()
        listed = request(site, "GET", TREATMENTS).json()

    assert status["serverTime"] == "2024-01-20T12:00:00.000Z"
    assert status["serverTimeEpoch"] == now.timestamp() * 1000
    assert [treatment["created_at"] for treatment in listed] == [
        "2024-01-20T12:00:00.000Z",
        "2024-01-16T12:00:00.000Z",
    ]


def test_neither_a_secret_nor_a_token_in_the_url_opens_the_site() -> None:
    with SmallNightscout(SECRET, token="uploader-0123456789abcdef") as site:
        for parameter in ("secret", "token"):
            for value in (SECRET, "uploader-0123456789abcdef"):
                for text in (value, sha1(value)):
                    query = {parameter: text}
                    answer = request(site, "GET", "status.json", params=query, headers={})
                    assert answer.status_code == 401


def test_an_access_token_opens_only_the_newest_kind(keyed_by_identifier: bool) -> None:
    token = "uploader-0123456789abcdef"
    with SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier, token=token) as site:
        answers = [
            request(site, "GET", "status.json", headers={"api-secret": text}).status_code
            for text in (token, sha1(token), "uploader-fedcba9876543210")
        ]

    assert answers == ([200, 200, 401] if keyed_by_identifier else [401, 401, 401])


def test_what_is_inserted_stays_as_it_is(keyed_by_identifier: bool) -> None:
    old = {"created_at": "2024-01-15 07:00:00+02:00", "eventType": "Bolus", "insulin": "0"}
    with SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier) as site:
        site.insert([old, old])
        first, second = site.treatments

    assert first == old | {"_id": first["_id"]}
    assert len(first["_id"]) == 24
    assert first["_id"] != second["_id"]
    assert "_id" not in old


def test_the_treatments_are_copies_oldest_first() -> None:
    with SmallNightscout(SECRET) as site:
        post(site, bolus("2024-01-15T12:00:01Z"), bolus(boluscalc={"carbs": 3}))
        site.treatments[0]["boluscalc"]["carbs"] = 4
        treatments = site.treatments

    assert [t["created_at"] for t in treatments] == [NOON, "2024-01-15T12:00:01.000Z"]
    assert treatments[0]["boluscalc"] == {"carbs": 3}


def test_writes_counts_what_requests_create_change_and_delete(keyed_by_identifier: bool) -> None:
    with SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier) as site:
        site.insert([bolus("2024-01-15 07:00:00")])
        request(site, "GET", TREATMENTS, params=EVER)
        assert site.writes == 0
        [stored, _] = post(site, bolus(), bolus("2024-01-15T13:00:00Z"))
        assert site.writes == 2
        post(site, bolus())
        request(site, "PUT", TREATMENTS, json=bolus(_id=stored["_id"], insulin=2))
        assert site.writes == 4
        request(site, "DELETE", TREATMENTS, params=EVER)

    assert site.writes == 7
    assert site.treatments == []


def test_a_refused_item_stops_the_rest_of_its_array_only() -> None:
    with SmallNightscout(SECRET, keyed_by_identifier=False) as site:
        [stored] = post(site, bolus())
        batch = [bolus("2024-01-15T11:00:00Z"), stored, bolus("2024-01-15T13:00:00Z")]
        answer = request(site, "POST", TREATMENTS, json=batch)

    assert answer.status_code == 500
    assert [t["created_at"] for t in site.treatments] == ["2024-01-15T11:00:00.000Z", NOON]
    assert site.writes == 2


def test_several_clients_can_write_at_once(keyed_by_identifier: bool) -> None:
    def upload(client: int) -> None:
        for second in range(20):
            post(site, bolus(f"2024-01-15T{client:02}:00:{second:02}Z"), bolus())

    with (
        SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier) as site,
        ThreadPoolExecutor(8) as clients,
    ):
        list(clients.map(upload, range(8)))

    assert len(site.treatments) == 8 * 20 + 1
    assert site.writes == 8 * 20 * 2


def test_searching_by_a_pattern_is_what_two_slashes_mean() -> None:
    with SmallNightscout(SECRET) as site:
        post(site, bolus(enteredBy="Pump (tconnectsync)"), {"enteredBy": "a/b/c"})
        found = {
            text: len(
                request(site, "GET", TREATMENTS, params=EVER | {"find[enteredBy]": text}).json()
                or []
            )
            for text in ("/TCONNECT/i", "/TCONNECT/", "/^Pump/", "a/b/c")
        }

    assert found == {"/TCONNECT/i": 1, "/TCONNECT/": 0, "/^Pump/": 1, "a/b/c": 0}


def test_three_months_are_written_and_read_whole(keyed_by_identifier: bool) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=5.2 * i) for i in range(25_000)]

    with (
        SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier) as site,
        requests.Session() as http,
    ):
        http.headers["api-secret"] = sha1(SECRET)
        url = f"{site.url}/api/v1/{TREATMENTS}"
        for i in range(0, len(times), 100):
            batch = [bolus(t.isoformat(), identifier=str(t)) for t in times[i : i + 100]]
            http.post(url, json=batch, timeout=300)
        read = 0
        for week in range(13):
            since, until = (start + timedelta(weeks=w) for w in (week, week + 1))
            bounds = {"$gte": since.isoformat(), "$lt": until.isoformat()}
            query = {f"find[created_at][{name}]": value for name, value in bounds.items()}
            read += len(http.get(url, params=query | {"count": "10000"}, timeout=300).json())

    assert read == 25_000


# The newest kind


def test_the_newest_kind_recognises_a_treatment_by_its_identifier() -> None:
    with SmallNightscout(SECRET) as site:
        [first] = post(site, bolus(identifier="a", notes="x"))
        [moved] = post(site, bolus("2024-01-15T13:00:00Z", identifier="a"))

    assert moved["_id"] == first["_id"]
    assert site.treatments == [moved]
    assert "notes" not in moved


def test_with_identifiers_two_treatments_can_have_one_time_and_type() -> None:
    with SmallNightscout(SECRET) as site:
        post(site, bolus(identifier="a"), bolus(identifier="b"))

    assert [treatment["identifier"] for treatment in site.treatments] == ["a", "b"]


def test_an_identifier_does_not_recognise_a_treatment_stored_without_one() -> None:
    with SmallNightscout(SECRET) as site:
        post(site, bolus())
        post(site, bolus(identifier="a"))

    assert len(site.treatments) == 2


def test_a_change_that_names_an_identifier_does_not_go_by_the_id() -> None:
    with SmallNightscout(SECRET) as site:
        [stored] = post(site, bolus())
        changed = stored | {"insulin": 2}
        request(site, "PUT", TREATMENTS, json=changed | {"identifier": "a"})
        assert len(site.treatments) == 2
        answer = request(site, "PUT", TREATMENTS, json=changed).json()

    assert answer == changed
    assert [treatment["insulin"] for treatment in site.treatments] == [2, 2]


def test_the_newest_kind_recognises_a_posted_id() -> None:
    with SmallNightscout(SECRET) as site:
        [stored] = post(site, bolus())
        post(site, {**stored, "created_at": "2024-01-15T13:00:00Z"})

    assert [t["created_at"] for t in site.treatments] == ["2024-01-15T13:00:00.000Z"]


def test_an_id_that_is_none_of_the_database_becomes_the_identifier() -> None:
    uuid = "0f2d7a40-0000-5000-8000-000000000000"
    with SmallNightscout(SECRET) as site:
        [stored] = post(site, bolus(_id=uuid))
        found = request(site, "GET", TREATMENTS, params={"find[_id]": uuid}).json()
        deleted = request(site, "DELETE", f"treatments/{uuid}").json()

    assert stored["identifier"] == uuid
    assert stored["_id"] != uuid
    assert [treatment["_id"] for treatment in found] == [stored["_id"]]
    assert deleted == {"acknowledged": True, "deletedCount": 1}


def test_the_newest_kind_makes_posted_text_safe_but_not_put_text() -> None:
    with SmallNightscout(SECRET) as site:
        [stored] = post(site, bolus(notes="a < b & c", nested=["x > y", 1]))
        again = post(site, stored)
        request(site, "PUT", TREATMENTS, json=stored | {"notes": "a < b & c"})

    assert (stored["notes"], stored["nested"]) == ("a &lt; b &amp; c", ["x > y", 1])
    assert again == [stored]
    assert [treatment["notes"] for treatment in site.treatments] == ["a < b & c"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("a & b", "a & b"),
        ("R&D > 5", "R&D > 5"),
        ("x &amp; y", "x &amp; y"),
        ("a < b", "a &lt; b"),
        ("<3 u", "&lt;3 u"),
        ("5 <- 3", "5 &lt;- 3"),
        ("& <", "&amp; &lt;"),
        ("a<b", "a"),
        ("a<b>c", "a<b>c</b>"),
        ("a <i>b</i> c", "a <i>b</i> c"),
        ("<script>x</script>y", "y"),
    ],
)
def test_what_the_newest_kind_makes_of_a_posted_text_is_as_measured(sent: str, stored: str) -> None:
    with SmallNightscout(SECRET) as site:
        [document] = post(site, bolus(notes=sent, **{"k<e>y": "1"}))
    assert document["notes"] == stored
    assert "k<e>y" in document


def test_the_newest_kind_lists_a_hundred_or_with_a_find_a_thousand() -> None:
    start = datetime(2024, 1, 15, tzinfo=UTC)
    with SmallNightscout(SECRET, now=lambda: start + timedelta(days=1)) as site:
        for hour in range(12):
            since = start + timedelta(hours=hour)
            post(site, *(bolus((since + timedelta(seconds=i)).isoformat()) for i in range(100)))
        numbers = [
            len(request(site, "GET", TREATMENTS, params=query).json())
            for query in ({}, {"find[eventType]": "Bolus"}, {"count": "0"}, {"count": "1100"})
        ]

    assert numbers == [100, 1000, 1200, 1100]


def test_the_newest_kind_answers_null_to_a_time_it_cannot_read() -> None:
    with SmallNightscout(SECRET) as site:
        post(site, bolus())
        for query in (
            {"find[created_at]": NOON},
            {"find[created_at][$gte]": "2024-01-15 12:00:00"},
        ):
            answer = request(site, "GET", TREATMENTS, params=query)
            assert (answer.status_code, answer.json()) == (200, None)
            assert request(site, "DELETE", TREATMENTS, params=query).status_code == 500

    assert len(site.treatments) == 1
