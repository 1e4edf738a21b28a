"""What an uploader relies on besides treatments, asked of the oldest generation.

Everything here must hold on the small Nightscout and on the real one alike, else tests that use
the small one prove nothing. A test asks much at once, because each starts a server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.real_nightscout import NightscoutSite, RealNightscout

Document = dict[str, Any]

SECRET = "a secret of good length"
NOON = "2024-01-15T12:00:00.000Z"
NOON_MS = 1705320000000
MINUTE_MS = 60_000
ANY_ENTRY = {"find[date][$gte]": "0", "count": "1000"}
ANY_ACTIVITY = {"find[created_at][$gte]": "1970-01-01"}
ANY_STATUS = {"find[created_at][$gte]": "1970-01-01", "count": "1000"}
NOBODYS_ID = "0123456789abcdef01234567"


class Site:
    """A Nightscout of the oldest generation and the requests of an uploader."""

    def __init__(self, behind: SmallNightscout | NightscoutSite, secret: str) -> None:
        self._url = f"{behind.url}/api/v1"
        self._headers = {"api-secret": hashlib.sha1(secret.encode()).hexdigest()}

    def request(
        self, method: str, path: str, *, timeout: float = 30, **options: Any
    ) -> requests.Response:
        url = f"{self._url}/{path}"
        return requests.request(method, url, headers=self._headers, timeout=timeout, **options)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self.request(method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, method: str, path: str, **options: Any) -> int:
        return self.request(method, path, **options).status_code

    def entries(self, query: Mapping[str, str] = ANY_ENTRY) -> list[Document]:
        found: list[Document] = self.ask("GET", "entries.json", params=query)
        return found

    def activity(self, query: Mapping[str, str] = ANY_ACTIVITY) -> list[Document]:
        found: list[Document] = self.ask("GET", "activity.json", params=query)
        return found

    def device_statuses(self, query: Mapping[str, str] = ANY_STATUS) -> list[Document]:
        found: list[Document] = self.ask("GET", "devicestatus.json", params=query)
        return found

    def profiles(self) -> list[Document]:
        found: list[Document] = self.ask("GET", "profile.json")
        return found


@pytest.fixture(params=["small", "real"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    if request.param == "small":
        with SmallNightscout(SECRET, keyed_by_identifier=False) as small:
            yield Site(small, SECRET)
    else:
        real: NightscoutSite = request.getfixturevalue("nightscout")
        if not isinstance(real, RealNightscout):
            pytest.skip("A site that is given loses its treatments only; these tests need more.")
        yield Site(real, real.secret)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def is_now(text: str) -> bool:
    return abs(datetime.now(UTC) - datetime.fromisoformat(text)) < timedelta(minutes=1)


def reading(minutes: float = 0, **fields: Any) -> Document:
    date = NOON_MS + round(minutes * MINUTE_MS)
    text = datetime.fromtimestamp(date / 1000, UTC).isoformat()
    return {"type": "sgv", "date": date, "dateString": text, "sgv": 100} | fields


# Entries


def test_an_entry_is_recognised_by_its_time_and_type_and_replaced(site: Site) -> None:
    def post(*documents: Document) -> list[Document]:
        answer: list[Document] = site.ask("POST", "entries.json", json=list(documents))
        return answer

    [answered] = post(reading(dateString="2024-01-15T14:00:00.000999+02:00", device="a < b"))
    assert answered == {
        "type": "sgv",
        "date": NOON_MS,
        "dateString": NOON,
        "sgv": 100,
        "device": "a < b",
        "utcOffset": 120,
        "sysTime": NOON,
    }
    [first] = site.entries()
    assert first == answered | {"_id": first["_id"]}

    # The date does not count, and what is not sent again is lost. No array here has one entry
    # twice: the oldest generation writes its items side by side, so either may win, or both.
    post(reading(date=NOON_MS + 1, sgv=2, noise=1))
    [again] = site.entries()
    assert (again["_id"], again["sgv"], again["date"]) == (first["_id"], 2, NOON_MS + 1)
    assert (again["noise"], again["utcOffset"], "device" in again) == (1, 0, False)

    # Another millisecond or type is another entry. The answer has the newest first.
    answer = post(reading(-1), reading(dateString="2024-01-15T12:00:00.001Z"), reading(type="mbg"))
    assert [entry["date"] for entry in answer] == [NOON_MS, NOON_MS, NOON_MS - MINUTE_MS]
    assert all("_id" not in entry for entry in answer)
    assert len(site.entries()) == 4

    # One object will do if it has a date.
    site.ask("POST", "entries.json", json=reading(1))
    assert len(site.entries()) == 5

    # The id cannot be changed; the rest of the array is stored all the same.
    batch = [reading(5), again | {"sgv": 9}, reading(10)]
    assert site.status("POST", "entries.json", json=batch) == 500
    assert [entry["sgv"] for entry in site.entries()] == [100, 100, 100, 2, 100, 100, 100]
    assert len(site.entries({"find[_id]": again["_id"]})) == 1

    # Neither of these is ever answered.
    nothings: list[Any] = [[], {}, {"type": "sgv", "dateString": NOON}]
    for nothing in nothings:
        with pytest.raises(requests.ReadTimeout):
            site.request("POST", "entries.json", json=nothing, timeout=0.5)
    assert len(site.entries()) == 7


def test_the_time_of_an_entry_comes_from_its_text_then_its_number_then_now(site: Site) -> None:
    expected: dict[str, tuple[Document, str | None]] = {
        "naive": ({"dateString": "2024-01-15T13:00:00"}, "2024-01-15T13:00:00.000Z"),
        "day": ({"dateString": "2024-01-16"}, "2024-01-16T00:00:00.000Z"),
        "space": ({"dateString": "2024-01-15 13:00:00+01:00"}, NOON),
        "none": ({"dateString": "nonsense"}, NOON),
        "empty": ({"dateString": ""}, NOON),
        "null": ({"dateString": None}, NOON),
        "neither": ({"dateString": "nonsense", "date": "nonsense"}, None),
    }
    documents = [reading(type=name, **fields) for name, (fields, _) in expected.items()]
    documents.append({"type": "absent", "date": NOON_MS})

    answer = site.ask("POST", "entries.json", json=documents)

    for entry in answer:
        _, time = expected.get(entry["type"], ({}, None))
        assert entry["sysTime"] == time if time else is_now(entry["sysTime"]), entry
        kept = {"empty": "", "null": None, "absent": None}
        assert entry.get("dateString") == kept.get(entry["type"], entry["sysTime"])

    # Without a type the whole document is what it is recognised by.
    typeless = {"date": NOON_MS, "dateString": NOON, "k": 1, "n": 1}
    part = {"date": NOON_MS, "dateString": NOON, "k": 2}
    for document in (typeless, typeless, typeless | {"k": 2}, part):
        site.ask("POST", "entries.json", json=[document])
    assert sorted((e["k"], e.get("n")) for e in site.entries() if "k" in e) == [(1, 1), (2, None)]


def test_entries_are_chosen_by_time_device_and_type(site: Site) -> None:
    site.ask("POST", "entries.json", json=[reading(i, sgv=100 + i) for i in range(12)])
    for time, device in ((ago(days=3.9), "a/b/c"), (ago(days=4.1), "p <q>")):
        entry = {"type": "mbg", "date": round(time.timestamp() * 1000), "sgv": 5, "device": device}
        site.ask("POST", "entries.json", json=[entry | {"dateString": time.isoformat()}])

    def sgvs(query: Mapping[str, str]) -> list[int]:
        return [entry["sgv"] for entry in site.entries(query)]

    def at(minutes: float) -> str:
        return str(round(NOON_MS + minutes * MINUTE_MS))

    assert sgvs({}) == [5]
    assert sgvs({"find[type]": "sgv"}) == []
    assert sgvs({"find[device]": "a/b/c"}) == [5]
    assert len(sgvs({"find[date][$gte]": "0"})) == 10
    for find, expected in [
        ({"[date][$gte]": at(9.5), "[type]": "sgv"}, [111, 110]),
        ({"[date][$gt]": at(10), "[type]": "sgv"}, [111]),
        ({"[date][$gte]": at(2), "[date][$lte]": at(4)}, [104, 103, 102]),
        ({"[date][$lt]": at(2)}, [101, 100]),
        ({"[date]": at(2)}, [102]),
        ({"[date][$gte]": at(0), "[date][$lt]": at(12), "[sgv][$gte]": "109.9"}, [111, 110, 109]),
        ({"[date][$gte]": "0", "[device]": "p <q>"}, [5]),
        ({"[date][$gte]": "0", "[device]": "/p/"}, []),
        ({"[date][$lt]": "2024-01-15"}, []),
        ({"[dateString][$gte]": "2024-01-15T12:10", "[type]": "sgv"}, [111, 110]),
        ({"[dateString][$lt]": "2024-01-15T14:01:00+02:00"}, list(range(111, 99, -1))),
        ({"[dateString]": NOON}, [100]),
    ]:
        query = {f"find{name}": value for name, value in find.items()}
        assert (find, sgvs(query | {"count": "0"})) == (find, expected)
    assert sgvs(ANY_ENTRY | {"find[type]": "sgv", "count": "2"}) == [111, 110]
    assert site.status("GET", "entries.json", params={"find[date][$gte]": "yesterday"}) == 500

    # Without a request for JSON there comes a table.
    answer = site.request("GET", "entries", params={"find[date]": at(2)})
    assert answer.text.split("\t")[1:3] == [at(2), "102"]
    answer = site.request("POST", "entries", json=reading(2))
    assert answer.headers["Content-Type"].startswith("text/plain")

    # There is no way to change an entry, but to delete some.
    [entry] = site.entries({"find[date]": at(3)})
    assert site.status("PUT", "entries.json", json=entry) == 404
    deletions: list[tuple[str, dict[str, str], int]] = [
        (f"entries/{entry['_id']}", {}, 1),
        (f"entries/{entry['_id']}", {}, 0),
        ("entries.json", {"find[type]": "sgv"}, 0),
        ("entries.json", {"find[date][$gte]": at(9.5), "find[type]": "sgv", "count": "1"}, 2),
        ("entries/cal", {}, 0),
        ("entries/mbg", {}, 1),
        ("entries/*", ANY_ENTRY, 10),
    ]
    for path, query, number in deletions:
        assert (path, site.ask("DELETE", path, params=query)["n"]) == (path, number)
    assert site.entries() == []


# Activity


def test_activity_is_always_added_but_one_can_be_changed_or_deleted(site: Site) -> None:
    assert site.activity({}) == []
    iob = {"activityType": "tconnect_iob", "enteredBy": "Pump (tconnectsync)", "iob": 1.5}
    local = iob | {"created_at": "2024-01-15T14:00:00+02:00", "notes": "a < b"}
    [first] = site.ask("POST", "activity.json", json=local)
    assert first == local | {"_id": first["_id"]}
    later = {"created_at": "2024-01-15T12:00:01.000Z", "enteredBy": "a/b/c", "n": 1}
    answer = site.ask("POST", "activity.json", json=[later, later, {"n": 2}])
    ids = [{"_id": record["_id"]} for record in answer]
    assert answer == [later | ids[0], later | ids[1], {"n": 2} | ids[2]]

    # Times are compared as the texts that were sent; a record without one is not found.
    assert [record["_id"] for record in site.activity()] == [
        first["_id"],
        answer[1]["_id"],
        answer[0]["_id"],
    ]
    for find, number in [
        ({"[created_at][$gte]": "2024-01-15T14:00:01+02:00"}, 3),
        ({"[created_at][$gt]": "2024-01-15T12:00:01Z"}, 1),
        ({"[created_at][$lte]": "2024-01-15T12:00:01Z"}, 2),
        ({"[created_at][$eq]": "2024-01-15T12:00:00Z"}, 0),
        ({"[created_at][$lt]": "2024-01-15"}, 0),
        ({"[created_at][$gte]": "1970", "[activityType]": "tconnect_iob"}, 1),
        ({"[created_at][$gte]": "1970", "[enteredBy]": "a/b/c"}, 2),
        ({"[created_at][$gte]": "1970", "[enteredBy]": "/tconnectsync/"}, 0),
        ({"[created_at][$gte]": "1970", "[n]": "1"}, 0),
        ({"[activityType]": "tconnect_iob"}, 0),
        ({"[_id]": first["_id"]}, 1),
    ]:
        query = {f"find{name}": value for name, value in find.items()}
        assert (find, len(site.activity(query))) == (find, number)
    assert len(site.activity(ANY_ACTIVITY | {"count": "2"})) == 2
    for wrong in ({"[created_at]": NOON}, {"[created_at][$gte]": "yesterday"}, {"[_id]": "abc"}):
        query = {f"find{name}": value for name, value in wrong.items()}
        assert site.status("GET", "activity.json", params=query) == 500

    # There is no default count, but a default window.
    young = {"created_at": ago(days=3.9).isoformat()}
    site.ask("POST", "activity.json", json=[young] * 110 + [{"created_at": "2020"}])
    assert len(site.activity({})) == 110

    # A change makes it one of this moment.
    answer = site.ask("PUT", "activity.json", json=iob | {"_id": first["_id"], "created_at": NOON})
    assert (answer["n"], answer["nModified"]) == (1, 1)
    newest = site.activity({})[0]
    assert newest == iob | {"_id": first["_id"], "created_at": newest["created_at"]}
    assert is_now(newest["created_at"])
    site.ask("PUT", "activity.json", json={"_id": NOBODYS_ID, "n": 3})
    site.ask("PUT", "activity.json", json={"n": 4})
    assert [record.get("n") for record in site.activity({})[:2]] == [4, 3]
    assert site.status("PUT", "activity.json", json={"_id": "abc"}) == 500

    # An id that is posted becomes a text, which no change and no deletion reaches.
    posted = {"_id": "f" * 24, "created_at": ago(days=1).isoformat()}
    site.ask("POST", "activity.json", json=[posted])
    site.ask("DELETE", f"activity/{posted['_id']}")
    before = len(site.activity({}))
    batch = [young | {"n": 5}, posted, young | {"n": 6}]
    assert site.status("POST", "activity.json", json=batch) == 500
    assert len(site.activity({})) == before + 1
    assert site.status("POST", "activity.json", json=[]) == 500

    # Only one at a time can be deleted.
    assert [site.ask("DELETE", f"activity/{first['_id']}") for _ in range(2)] == [{}, {}]
    assert len(site.activity({})) == before
    assert site.status("DELETE", "activity.json", params=ANY_ACTIVITY) == 404
    assert site.status("DELETE", "activity/*", params=ANY_ACTIVITY) == 500
    assert site.status("DELETE", "activity/abc") == 500


# Device statuses


def test_a_device_status_is_always_added_and_its_time_is_read_unless_it_is_in_an_array(
    site: Site,
) -> None:
    assert site.device_statuses({}) == []
    sent = {"device": "a < b", "created_at": "2024-01-15T14:00:00.000999+02:00", "pump": {"n": [1]}}
    answers = [site.ask("POST", "devicestatus.json", json=sent) for _ in range(2)]
    ids = [answer[0]["_id"] for answer in answers]
    stored = [sent | {"_id": i, "created_at": NOON, "utcOffset": 120} for i in ids]
    assert answers == [[status] for status in stored]
    assert sorted(site.device_statuses(), key=lambda it: ids.index(it["_id"])) == stored

    # What is in an array is stored as it comes, even without a time, and then it is not found.
    array = [sent | {"utcOffset": 7}, {"n": 1}]
    answer = site.ask("POST", "devicestatus.json", json=array)
    assert answer == [sent | {"utcOffset": 7, "_id": answer[0]["_id"]}, answer[1]]
    assert answer[1] == {"n": 1, "_id": answer[1]["_id"]}
    assert site.device_statuses()[0] == answer[0]
    assert len(site.device_statuses()) == 3
    assert site.status("POST", "devicestatus.json", json=[]) == 500

    expected: dict[str, tuple[Any, str | None]] = {
        "naive": ("2024-01-15T12:00:00", NOON),
        "day": ("2024-01-15", "2024-01-15T00:00:00.000Z"),
        "space": ("2024-01-15 14:00:00+02:00", NOON),
        "number": (NOON_MS, NOON),
        "digits": (str(NOON_MS), None),
        "none": ("nonsense", None),
        "empty": ("", None),
        "null": (None, None),
    }
    for device, (text, time) in expected.items():
        status = {"device": device, "created_at": text, "utcOffset": 33}
        [kept] = site.ask("POST", "devicestatus.json", json=status)
        assert kept["created_at"] == time if time else is_now(kept["created_at"]), kept
        assert kept["utcOffset"] == (120 if device == "space" else 0)
    [absent] = site.ask("POST", "devicestatus.json", json={})
    assert is_now(absent["created_at"])

    # An id that is posted becomes a text, which nothing but another one like it reaches.
    for wish in ("f" * 24, "abc"):
        [answered] = site.ask("POST", "devicestatus.json", json={"_id": wish})
        assert answered["_id"] == wish
        assert site.status("POST", "devicestatus.json", json={"_id": wish}) == 500
    assert site.device_statuses({"find[_id]": "f" * 24}) == []
    assert site.ask("DELETE", f"devicestatus/{'f' * 24}")["n"] == 0


def test_device_statuses_are_chosen_by_time_and_device_and_can_be_deleted(site: Site) -> None:
    for minute in range(12):
        at = f"2024-01-15T12:{minute:02}:00.000Z"
        device = "Pump (tconnectsync)" if minute % 2 else "a/b/c"
        site.ask(
            "POST", "devicestatus.json", json={"created_at": at, "device": device, "n": minute}
        )
    for time in (ago(days=3.9), ago(days=4.1)):
        site.ask("POST", "devicestatus.json", json={"created_at": time.isoformat(), "device": "p"})

    def numbers(**query: str) -> list[int | None]:
        return [status.get("n") for status in site.device_statuses(query)]

    assert numbers() == [None]
    assert numbers(**{"find[device]": "a/b/c"}) == []
    any_time = {"find[created_at][$gte]": "1970"}
    assert numbers(**any_time) == [None, None, *range(11, 3, -1)]
    assert len(numbers(**any_time, count="0")) == 14
    for find, expected in [
        ({"[device]": "Pump (tconnectsync)"}, [11, 9, 7, 5, 3, 1]),
        ({"[device]": "a/b/c", "[created_at][$lt]": "2024-01-15T13:04+01:00"}, [2, 0]),
        (
            {"[created_at][$gt]": "2024-01-15T12:08Z", "[created_at][$lte]": "2024-01-15T12:10"},
            [10, 9],
        ),
        ({"[created_at][$eq]": NOON}, [0]),
        ({"[device]": "/tconnectsync/"}, []),
        ({"[n]": "1"}, []),
    ]:
        query = any_time | {f"find{name}": value for name, value in find.items()}
        assert (find, numbers(**query, count="100")) == (find, expected)
    [newest] = site.device_statuses(any_time | {"find[device]": "a/b/c", "count": "1"})
    assert newest["n"] == 10
    assert numbers(**{"find[_id]": newest["_id"]}) == [10]
    for wrong in ({"[created_at]": NOON}, {"[created_at][$gte]": "yesterday"}, {"[_id]": "abc"}):
        query = {f"find{name}": value for name, value in wrong.items()}
        assert site.status("GET", "devicestatus.json", params=query) == 500

    assert site.status("PUT", "devicestatus.json", json=newest) == 404
    assert site.status("GET", f"devicestatus/{newest['_id']}") == 404
    assert site.status("DELETE", "devicestatus/abc") == 500
    deletions: list[tuple[str, dict[str, str], int]] = [
        (f"devicestatus/{newest['_id']}", {}, 1),
        (f"devicestatus/{newest['_id']}", {}, 0),
        ("devicestatus.json", {"find[device]": "a/b/c"}, 0),
        ("devicestatus.json", any_time | {"find[device]": "a/b/c", "count": "1"}, 5),
        ("devicestatus.json", {}, 1),
        ("devicestatus/*", any_time, 7),
    ]
    for path, query, number in deletions:
        assert (path, site.ask("DELETE", path, params=query)["n"]) == (path, number)
    assert site.device_statuses() == []


# Profiles


def test_profiles_are_added_and_the_one_that_begins_last_is_the_current_one(site: Site) -> None:
    assert site.profiles() == []
    assert site.ask("GET", "profile/current") is None
    assert site.ask("GET", "profile/current.json") is None

    sent = {"startDate": NOON, "defaultProfile": "A", "store": {"A": {"dia": 5, "x": "a < b"}}}
    [first] = site.ask("POST", "profile.json", json=sent | {"created_at": NOON})
    assert first == sent | {"_id": first["_id"], "created_at": first["created_at"]}
    assert is_now(first["created_at"])
    [again] = site.ask("POST", "profile.json", json=[sent])
    assert again == sent | {"_id": again["_id"]}
    assert site.profiles() == [again, first]
    assert site.ask("GET", "profile/current") == again

    future = {"startDate": "2100-01-01T00:00:00.000Z", "n": 1}
    [future] = site.ask("POST", "profile.json", json=[future])
    assert site.ask("GET", "profile/current.json") == future
    earlier = [{"startDate": f"2020-01-{day:02}T00:00:00.000Z"} for day in range(1, 13)]
    site.ask("POST", "profile.json", json=[*earlier, {"n": 2}])
    assert [p.get("startDate") for p in site.profiles()] == [
        future["startDate"],
        NOON,
        NOON,
        *(profile["startDate"] for profile in earlier[::-1]),
        None,
    ]
    assert len(site.ask("GET", "profile.json", params={"count": "1", "find[n]": "1"})) == 16
    assert site.status("GET", "profiles.json") == 404

    # A change replaces what has the id, whatever the fields are called.
    change = {"_id": first["_id"], "startDate": "2101", "y": [1, {"z": None}], "notes": "<"}
    answer = site.ask("PUT", "profile.json", json=change)
    assert answer == change | {"created_at": answer["created_at"]}
    assert site.ask("GET", "profile/current") == answer
    assert len(site.profiles()) == 16
    kept = {"_id": NOBODYS_ID, "startDate": "2102", "created_at": NOON}
    assert site.ask("PUT", "profile.json", json=kept) == kept
    assert site.ask("GET", "profile/current") == kept
    added = site.ask("PUT", "profile.json", json={"startDate": "2103"})
    assert site.ask("GET", "profile/current") == added
    assert site.status("PUT", "profile.json", json={"_id": "abc"}) == 500

    # An id that is posted becomes a text, which no change and no deletion reaches.
    posted = {"_id": "f" * 24, "startDate": "2104"}
    site.ask("POST", "profile.json", json=posted)
    site.ask("PUT", "profile.json", json=posted | {"startDate": "2105"})
    site.ask("DELETE", f"profile/{posted['_id']}")
    assert [p["startDate"] for p in site.profiles() if p["_id"] == posted["_id"]] == ["2104"]

    assert [site.ask("DELETE", f"profile/{added['_id']}") for _ in range(2)] == [{}, {}]
    assert added not in site.profiles()
    assert site.status("DELETE", "profile.json", params={"find[_id]": NOBODYS_ID}) == 404
    assert site.status("DELETE", "profile/abc") == 500

    # Nothing to insert, or an id that is taken, ends the oldest generation without an answer.
    with pytest.raises(requests.ConnectionError):
        site.request("POST", "profile.json", json=[])


def test_a_profile_of_the_name_proto_is_lost(site: Site) -> None:
    body = '{"defaultProfile": "A", "store": {"A": {}, "__proto__": {}}, "startDate": "2024"}'
    headers = {**site._headers, "Content-Type": "application/json"}
    url = f"{site._url}/profile.json"
    requests.post(url, data=body, headers=headers, timeout=300).raise_for_status()
    assert site.ask("GET", "profile/current")["store"] == {"A": {}}


@pytest.mark.parametrize(
    "record",
    [{"store": {"A.B": {}}}, {"store": {"$A": {}}}, {"store": {"A": {"b": [{"c.d": 1}]}}}],
    ids=["dot", "dollar", "deep"],
)
def test_a_key_that_the_database_refuses_ends_the_process_but_only_when_added(
    site: Site, record: Document
) -> None:
    record = {**record, "startDate": "2024"}
    [stored] = site.ask("POST", "profile.json", json={"startDate": "2024"})
    site.ask("PUT", "profile.json", json={**stored, **record})
    assert site.ask("GET", "profile/current")["store"] == record["store"]
    with pytest.raises(requests.ConnectionError):
        site.request("POST", "profile.json", json=record)
    with pytest.raises(requests.ConnectionError):
        site.request("GET", "profile/current")


# Status


@pytest.mark.parametrize("kind", ["small", "real"])
def test_the_status_says_the_units_as_they_were_set(
    kind: str, real_nightscout_installed: None
) -> None:
    del real_nightscout_installed
    behind: SmallNightscout | RealNightscout = (
        SmallNightscout(SECRET, keyed_by_identifier=False, units="mmol")
        if kind == "small"
        else RealNightscout({"DISPLAY_UNITS": "mmol"})
    )
    with behind:
        secret = behind.secret if isinstance(behind, RealNightscout) else SECRET
        status = Site(behind, secret).ask("GET", "status.json")

    assert status["settings"]["units"] == "mmol"
    assert status["careportalEnabled"] is True
    assert {"careportal", "iob", "pump", "profile"} <= set(status["settings"]["enable"])
    assert abs(status["serverTimeEpoch"] / 1000 - datetime.now(UTC).timestamp()) < 60
    assert is_now(status["serverTime"])
