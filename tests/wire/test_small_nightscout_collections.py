"""The small Nightscout's collections besides treatments: what sets its two kinds apart.

What the oldest kind has in common with a real Nightscout is asked in
`tests/e2e/test_small_nightscout_collections_are_like_the_real_ones.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from tconnectsync.simulators.nightscout.site import SmallNightscout

Document = dict[str, Any]

SECRET = "a secret of good length"
NOON = "2024-01-15T12:00:00.000Z"
NOON_MS = 1705320000000
NOW = datetime(2024, 1, 20, 12, tzinfo=UTC)
NOW_TEXT = "2024-01-20T12:00:00.000Z"
UNKNOWN_ID = "0123456789abcdef01234567"
ANY_ENTRY = {"find[date][$gte]": "0"}
ANY_ACTIVITY = {"find[created_at][$gte]": "1970-01-01"}


def request(site: SmallNightscout, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"api-secret": hashlib.sha1(SECRET.encode()).hexdigest()}
    url = f"{site.url}/api/v1/{path}"
    return requests.request(method, url, **{"headers": headers, "timeout": 10, **options})


def ask(site: SmallNightscout, method: str, path: str, **options: Any) -> Any:
    answer = request(site, method, path, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def reading(**fields: Any) -> Document:
    return {"type": "sgv", "date": NOON_MS, "dateString": NOON, "sgv": 100} | fields


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def keyed_by_identifier(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def site(keyed_by_identifier: bool) -> Iterator[SmallNightscout]:
    with SmallNightscout(
        SECRET, keyed_by_identifier=keyed_by_identifier, now=lambda: NOW
    ) as either:
        yield either


@pytest.fixture
def new_site() -> Iterator[SmallNightscout]:
    with SmallNightscout(SECRET, now=lambda: NOW) as newest:
        yield newest


@pytest.fixture
def old_site() -> Iterator[SmallNightscout]:
    with SmallNightscout(SECRET, keyed_by_identifier=False, now=lambda: NOW) as oldest:
        yield oldest


# Both kinds


def test_a_site_says_the_units_it_is_set_to(keyed_by_identifier: bool) -> None:
    for units in ("mg/dl", "mmol"):
        with SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier, units=units) as site:
            status = ask(site, "GET", "status.json")

        assert status["settings"]["units"] == units
        assert status["careportalEnabled"] is True
        assert "careportal" in status["settings"]["enable"]


def test_every_collection_is_closed_without_the_secret(site: SmallNightscout) -> None:
    for name in ("entries", "activity", "profile", "profile/current", "devicestatus"):
        for method in ("GET", "POST"):
            assert request(site, method, name, headers={}, json={}).status_code == 401


def test_any_collection_can_be_filled_with_what_another_program_left(site: SmallNightscout) -> None:
    newest_first: dict[str, list[Document]] = {
        "entries": [reading(date=NOON_MS + 1, sgv="100"), reading(dateString="x")],
        "activity": [{"created_at": "2024-01-15 09:00"}, {"created_at": "2024-01-15 08:00"}],
        "profile": [{"startDate": "2030", "_id": "a"}, {"startDate": None}],
        "devicestatus": [{"created_at": "2024-01-15 09:00"}, {"created_at": None}],
    }

    for collection, documents in newest_first.items():
        site.insert(documents, collection)

    for collection, stored in (
        ("entries", site.entries),
        ("activity", site.activity),
        ("profile", site.profiles),
        ("devicestatus", site.device_statuses),
    ):
        pairs = zip(reversed(newest_first[collection]), stored, strict=True)
        assert [document | {"_id": s["_id"]} for document, s in pairs] == stored
    assert site.profiles[1]["_id"] == "a"
    assert site.treatments == []
    assert site.writes == 0


def test_what_is_shown_of_a_collection_are_copies(site: SmallNightscout) -> None:
    site.insert([{"startDate": NOON, "store": {"A": {}}}], "profile")

    site.profiles[0]["store"]["A"]["dia"] = 9

    assert site.profiles[0]["store"] == {"A": {}}


def test_writes_counts_documents_of_all_collections(site: SmallNightscout) -> None:
    ask(site, "POST", "entries.json", json=[reading(), reading(type="mbg")])
    [activity] = ask(site, "POST", "activity.json", json={"created_at": NOW_TEXT})
    [profile] = ask(site, "POST", "profile.json", json={"startDate": NOON})
    assert site.writes == 4
    ask(site, "POST", "entries.json", json=reading())
    ask(site, "PUT", "activity.json", json=activity)
    ask(site, "PUT", "profile.json", json=profile)
    assert site.writes == 7
    ask(site, "DELETE", f"activity/{UNKNOWN_ID}")
    ask(site, "GET", "profile/current")
    assert site.writes == 7
    ask(site, "DELETE", f"activity/{activity['_id']}")
    ask(site, "DELETE", f"profile/{profile['_id']}")
    ask(site, "DELETE", "entries.json", params=ANY_ENTRY)
    assert site.writes == 11
    ask(site, "POST", "devicestatus.json", json={"created_at": NOW_TEXT})
    ask(site, "DELETE", "devicestatus.json", params=ANY_ACTIVITY)
    assert site.writes == 13


def test_the_default_window_goes_by_the_clock_of_the_site(site: SmallNightscout) -> None:
    day = 86_400_000
    now = round(NOW.timestamp() * 1000)
    site.insert([reading(date=now - 4 * day), reading(date=now - 4 * day - 1)], "entries")
    times = ("2024-01-16T12:00:00.000Z", "2024-01-16T11:59:59.999Z")
    site.insert([{"created_at": time} for time in times], "activity")

    assert [e["date"] for e in ask(site, "GET", "entries.json")] == [now - 4 * day]
    site.insert([{"created_at": time} for time in times], "devicestatus")

    for name in ("activity.json", "devicestatus.json"):
        assert [found["created_at"] for found in ask(site, "GET", name)] == [times[0]]


# The newest kind


def test_the_newest_kind_merges_an_entry_into_the_one_it_is_recognised_as(
    new_site: SmallNightscout,
) -> None:
    [first] = ask(new_site, "POST", "entries.json", json=reading(device="pump", sgv=1))

    [second] = ask(new_site, "POST", "entries.json", json=reading(sgv=2, identifier="a"))

    assert "_id" not in second
    assert new_site.entries == [first | {"sgv": 2, "identifier": "a"}]


def test_the_newest_kind_takes_the_number_for_the_time_of_an_entry_without_text(
    new_site: SmallNightscout,
) -> None:
    entry = {"type": "sgv", "date": NOON_MS, "sgv": 1}
    for _ in range(2):
        ask(new_site, "POST", "entries.json", json=[entry])

    [stored] = new_site.entries
    assert stored == entry | {"_id": stored["_id"], "sysTime": NOON, "utcOffset": 0}


def test_the_newest_kind_answers_a_post_of_no_entries(new_site: SmallNightscout) -> None:
    nothings: list[Any] = [[], {}, {"type": "sgv"}]
    for nothing in nothings:
        assert ask(new_site, "POST", "entries.json", json=nothing) == []


def test_the_newest_kind_stops_at_an_entry_it_cannot_store(new_site: SmallNightscout) -> None:
    batch = [reading(type="mbg"), reading(_id=UNKNOWN_ID), reading(type="cal")]
    ask(new_site, "POST", "entries.json", json=reading())

    assert request(new_site, "POST", "entries.json", json=batch).status_code == 500

    assert {entry["type"] for entry in new_site.entries} == {"sgv", "mbg"}


def test_a_post_of_the_newest_kind_is_answered_in_json_but_a_list_only_if_asked_for(
    new_site: SmallNightscout,
) -> None:
    assert ask(new_site, "POST", "entries", json=reading())[0]["sgv"] == 100
    answer = request(new_site, "GET", "entries", params=ANY_ENTRY)
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_the_newest_kind_fails_on_a_bad_time_for_entries_and_says_null_for_activity(
    new_site: SmallNightscout,
) -> None:
    bad = {"find[date][$gte]": "yesterday"}
    assert request(new_site, "GET", "entries.json", params=bad).status_code == 500
    for bad in ({"find[created_at][$gte]": "yesterday"}, {"find[created_at]": NOON}):
        assert ask(new_site, "GET", "activity.json", params=bad) is None
    assert ask(new_site, "GET", "profiles.json", params={"find[startDate]": NOON}) is None


def test_the_newest_kind_adds_only_activity_that_differs(new_site: SmallNightscout) -> None:
    record = {"created_at": "2024-01-15T14:00:00+02:00", "n": 1, "notes": "a < b"}
    ask(new_site, "POST", "activity.json", json=[record, record])
    assert [stored["created_at"] for stored in new_site.activity] == [record["created_at"]]
    assert new_site.activity[0]["notes"] == "a < b"

    ask(new_site, "POST", "activity.json", json=[record | {"n": 2}, {"n": 3}])

    assert [(a["n"], a["created_at"]) for a in new_site.activity[1:]] == [
        (2, record["created_at"]),
        (3, NOW_TEXT),
    ]
    assert ask(new_site, "POST", "activity.json", json=[]) == []


def test_the_newest_kind_recognises_activity_by_its_posted_id_and_time(
    new_site: SmallNightscout,
) -> None:
    record = {"_id": UNKNOWN_ID, "created_at": NOON}
    ask(new_site, "POST", "activity.json", json=record | {"n": 1})
    ask(new_site, "POST", "activity.json", json=record | {"n": 2})
    assert new_site.activity == [record | {"n": 2}]

    moved = record | {"created_at": NOW_TEXT}

    assert request(new_site, "POST", "activity.json", json=moved).status_code == 500
    ask(new_site, "DELETE", f"activity/{UNKNOWN_ID}")
    assert len(new_site.activity) == 1


def test_a_change_of_activity_keeps_its_time_on_the_newest_kind_only(site: SmallNightscout) -> None:
    newest = ask(site, "GET", "status.json")["version"] == "15.0.7"
    [stored] = ask(site, "POST", "activity.json", json={"created_at": NOON, "n": 1})

    ask(site, "PUT", "activity.json", json={"_id": stored["_id"], "created_at": NOON, "n": 2})

    [changed] = site.activity
    assert (changed["_id"], changed["n"]) == (stored["_id"], 2)
    assert changed["created_at"] == (NOON if newest else NOW_TEXT)


def test_the_newest_kind_lists_ten_profiles_and_searches_the_last_four_days(
    new_site: SmallNightscout,
) -> None:
    starts = [f"2024-01-{day:02}T00:00:00.000Z" for day in range(7, 19)]
    ask(new_site, "POST", "profile.json", json=[{"startDate": start} for start in starts])

    def listed(path: str, **query: str) -> list[str]:
        return [p["startDate"] for p in ask(new_site, "GET", path, params=query)]

    assert listed("profile.json") == starts[:1:-1]
    assert listed("profile.json", count="1") == starts[-1:]
    assert listed("profile.json", count="0") == starts[::-1]
    assert listed("profiles.json") == starts[:-3:-1]
    assert listed("profiles.json", **{"find[startDate][$gte]": "2024"}) == starts[:1:-1]
    assert listed("profiles.json", **{"find[startDate][$lt]": "2024-01-08"}) == starts[:1]


def test_of_two_profiles_with_one_start_the_greater_id_is_current_on_the_newest_kind(
    new_site: SmallNightscout,
) -> None:
    new_site.insert(
        [
            {"_id": "f" * 24, "startDate": "2100"},
            {"_id": "1" * 24, "startDate": "2100"},
            {"startDate": NOON},
        ],
        "profile",
    )

    assert ask(new_site, "GET", "profile/current")["_id"] == "f" * 24


def test_the_newest_kind_makes_posted_profiles_safe_and_keeps_their_time(
    new_site: SmallNightscout,
) -> None:
    profile = {"startDate": NOON, "created_at": NOON, "notes": "a < b"}
    [stored] = ask(new_site, "POST", "profile.json", json=profile)
    assert stored == profile | {"_id": stored["_id"], "notes": "a &lt; b"}

    ask(new_site, "PUT", "profile.json", json=stored | {"notes": "a < b"})

    assert new_site.profiles == [stored | {"notes": "a < b"}]


def test_the_newest_kind_reads_the_times_of_all_device_statuses_and_makes_them_safe(
    new_site: SmallNightscout,
) -> None:
    status = {"created_at": "2024-01-15T14:00:00+02:00", "device": "a < b"}

    answer = ask(new_site, "POST", "devicestatus.json", json=[status, status, {}])

    assert answer[0] == {
        "created_at": NOON,
        "utcOffset": 120,
        "device": "a &lt; b",
        "_id": answer[0]["_id"],
    }
    assert [stored["created_at"] for stored in new_site.device_statuses] == [NOON, NOON, NOW_TEXT]
    assert ask(new_site, "POST", "devicestatus.json", json=[]) == []
    bad = {"find[created_at]": NOON}
    assert ask(new_site, "GET", "devicestatus.json", params=bad) is None


def test_the_newest_kind_keeps_a_posted_id_of_a_device_status(new_site: SmallNightscout) -> None:
    ask(new_site, "POST", "devicestatus.json", json={"_id": UNKNOWN_ID})

    for id_, status in ((UNKNOWN_ID, 500), ("abc", 400)):
        answer = request(new_site, "POST", "devicestatus.json", json=[{"_id": id_}])
        assert answer.status_code == status
    assert len(new_site.device_statuses) == 1


def test_the_newest_kind_says_that_an_id_is_none(new_site: SmallNightscout) -> None:
    for name in ("profile", "activity"):
        for method, path in (("PUT", f"{name}.json"), ("DELETE", f"{name}/abc")):
            assert request(new_site, method, path, json={"_id": "abc"}).status_code == 400
    assert new_site.writes == 0


def test_the_newest_kind_refuses_bodies_that_are_too_long(site: SmallNightscout) -> None:
    newest = ask(site, "GET", "status.json")["version"] == "15.0.7"
    for name, kibibytes in (("activity", 100), ("profile", 1024), ("devicestatus", 1024)):
        for extra, fits in ((-1, True), (1, not newest)):
            document = {"text": "x" * (kibibytes + extra) * 1024}
            answer = request(site, "POST", f"{name}.json", json=document)
            assert answer.status_code == (200 if fits else 413)


# The oldest kind


def test_a_taken_id_of_a_profile_ends_the_oldest_kind_without_an_answer(
    old_site: SmallNightscout,
) -> None:
    profile = {"_id": UNKNOWN_ID, "startDate": NOON}
    ask(old_site, "POST", "profile.json", json=profile)

    with pytest.raises(requests.ConnectionError):
        request(old_site, "POST", "profile.json", json=profile)
    with pytest.raises(requests.ConnectionError):
        request(old_site, "GET", "profile.json")

    old_site.reopen()
    assert old_site.crashes == 1
    assert len(ask(old_site, "GET", "profile.json")) == 1
