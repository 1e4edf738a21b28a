"""What an uploader relies on, asked of the small Nightscout and of a real one alike.

Everything here must hold on both, else tests that use the small one prove nothing. `site` is every
kind there is; `old_site` is the oldest generation, where it differs from the newest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.careportal import Pages
from tests.support.real_nightscout import NightscoutSite

Document = dict[str, Any]

SECRET = "a secret of good length"
EVER = {"find[created_at][$gte]": "1970-01-01", "count": "1000000"}
GONE = "gone"
NOON = "2024-01-15T12:00:00.000Z"


class Site:
    """A Nightscout, whichever it is, and the requests of an uploader."""

    def __init__(self, behind: SmallNightscout | NightscoutSite, secret: str) -> None:
        self.behind = behind
        self.secret = secret
        self.http = requests.Session()
        self.http.headers["api-secret"] = hashlib.sha1(secret.encode()).hexdigest()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.http.request(method, f"{self.behind.url}/api/v1/{path}", timeout=300, **options)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self.request(method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, *documents: Document) -> list[Document]:
        answer: list[Document] = self.ask("POST", "treatments.json", json=list(documents))
        return answer

    def find(self, query: Mapping[str, str | list[str]] = EVER) -> list[Document]:
        found: list[Document] = self.ask("GET", "treatments.json", params=query)
        return found

    def times(self, query: Mapping[str, str] = EVER) -> list[str]:
        return [treatment["created_at"] for treatment in self.find(query)]

    def insert(self, documents: list[Document]) -> None:
        """Put documents into the database, past everything Nightscout would change."""
        if isinstance(self.behind, SmallNightscout):
            self.behind.insert(documents)
        else:
            self.behind.insert_raw(documents)


def site_of(kind: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    if kind == "real":
        real: NightscoutSite = request.getfixturevalue("nightscout")
        yield Site(real, real.secret)
    else:
        with SmallNightscout(SECRET, keyed_by_identifier=kind == "small new") as small:
            yield Site(small, SECRET)


@pytest.fixture(params=["small old", "small new", "real"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    yield from site_of(request.param, request)


@pytest.fixture(params=["small old", "real"])
def old_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    for site in site_of(request.param, request):
        version = site.ask("GET", "status.json")["version"]
        if not version.startswith("0."):
            pytest.skip(f"the Nightscout given is {version}, not of the oldest generation")
        yield site


def bolus(created_at: str = NOON, **fields: Any) -> Document:
    return {"eventType": "Bolus", "created_at": created_at, "insulin": 1.5} | fields


def basal(created_at: str = NOON, **fields: Any) -> Document:
    return {"eventType": "Temp Basal", "created_at": created_at, "absolute": 0.8} | fields


def note(kind: str, created_at: Any = GONE, **fields: Any) -> Document:
    """Make a treatment of a type of its own, so that several can have the same time."""
    time = {} if created_at is GONE else {"created_at": created_at}
    return {"eventType": kind} | time | fields


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def is_now(created_at: str) -> bool:
    return abs(datetime.now(UTC) - datetime.fromisoformat(created_at)) < timedelta(minutes=1)


# Who may come in, and what there is


def test_status_says_the_version_and_the_clock(site: Site) -> None:
    status = site.ask("GET", "status.json")

    assert status["status"] == "ok"
    assert [int(part) for part in status["version"].split(".")] >= [0, 12, 8]
    assert is_now(status["serverTime"])
    assert abs(status["serverTimeEpoch"] / 1000 - datetime.now(UTC).timestamp()) < 60
    assert status["apiEnabled"]
    assert status["careportalEnabled"]
    assert status["settings"]["units"]


def test_a_status_that_is_not_asked_for_as_json_is_a_page(site: Site) -> None:
    page = site.request("GET", "status")
    data = site.request("GET", "status", headers={"Accept": "application/json"})

    assert page.headers["Content-Type"].startswith("text/html")
    assert data.json()["status"] == "ok"


def test_without_the_hashed_secret_a_request_is_refused(site: Site) -> None:
    for path in ("status.json", "treatments.json", "treatments"):
        for headers in ({"api-secret": "0" * 40}, {"api-secret": SECRET}, {}):
            url = f"{site.behind.url}/api/v1/{path}"
            answer = requests.get(url, headers=headers, timeout=300)

            assert answer.status_code == 401
            assert (answer.json()["status"], answer.json()["message"]) == (401, "Unauthorized")


def test_a_refused_treatment_is_not_stored(site: Site) -> None:
    headers = {"api-secret": "0" * 40}

    answer = site.request("POST", "treatments.json", json=[bolus()], headers=headers)

    assert answer.status_code == 401
    assert site.find() == []


def test_an_unknown_path_is_a_page_that_says_404_also_to_strangers(site: Site) -> None:
    for path in ("api/v1/nothing.json", "api/v9/treatments.json", "nothing/here"):
        for get in (requests.get, site.http.get):
            answer = get(f"{site.behind.url}/{path}", timeout=300)

            assert answer.status_code == 404
            assert answer.headers["Content-Type"].startswith("text/html")


def test_a_treatment_has_no_address_of_its_own(site: Site) -> None:
    [stored] = site.post(bolus())

    assert site.request("GET", f"treatments/{stored['_id']}.json").status_code == 404


# Writing


def test_a_posted_treatment_is_stored_with_an_id_and_all_its_fields(site: Site) -> None:
    sent = bolus(identifier="1-2-3", syncIdentifier="1-2-3", pump_event_id="7", nested={"a": [1]})

    [answered] = site.post(sent)
    [stored] = site.find()

    assert len(stored["_id"]) == 24
    assert answered == sent | {"_id": stored["_id"], "utcOffset": 0}
    assert stored == answered | {"carbs": None}


def test_one_treatment_may_be_posted_without_an_array(site: Site) -> None:
    [answered] = site.ask("POST", "treatments", json=bolus())

    assert [answered | {"carbs": None}] == site.find()


def test_no_treatments_are_answered_with_none(site: Site) -> None:
    assert site.post() == []
    assert site.find() == []


def test_a_hundred_treatments_are_answered_in_their_order(site: Site) -> None:
    times = [f"2024-01-15T12:{i % 60:02}:{i // 60:02}.000Z" for i in range(100)]

    answer = site.post(*(bolus(time) for time in times))

    assert [treatment["created_at"] for treatment in answer] == times
    assert len({treatment["_id"] for treatment in answer}) == 100
    assert site.times() == sorted(times, reverse=True)


def test_posting_the_same_time_and_type_again_replaces_the_whole_treatment(site: Site) -> None:
    [first] = site.post(bolus(notes="before lunch", carbs=30))

    [answered] = site.post(bolus(insulin=2))

    assert "_id" not in answered
    [stored] = site.find()
    assert stored == answered | {"_id": first["_id"], "carbs": None}
    assert stored["insulin"] == 2
    assert "notes" not in stored


def test_time_and_type_are_compared_after_the_time_became_utc(site: Site) -> None:
    site.post(bolus("2024-01-15T14:00:00+02:00"))
    site.post(bolus("2024-01-15T12:00:00Z", insulin=3))

    [stored] = site.find()
    assert (stored["insulin"], stored["utcOffset"]) == (3, 0)


def test_another_type_or_millisecond_is_another_treatment(site: Site) -> None:
    site.post(bolus(), basal(), bolus("2024-01-15T12:00:00.001Z"))

    assert len(site.find()) == 3


def test_in_one_array_the_later_of_two_with_one_time_and_type_wins(site: Site) -> None:
    answer = site.post(bolus(insulin=1), bolus(insulin=2))

    assert [treatment["insulin"] for treatment in answer] == [1, 2]
    assert [treatment["insulin"] for treatment in site.find()] == [2]


def test_the_oldest_generation_ignores_identifiers(old_site: Site) -> None:
    old_site.post(bolus(identifier="a"))
    old_site.post(bolus(identifier="b"))
    old_site.post(bolus("2024-01-15T13:00:00Z", identifier="b"))

    assert [treatment["identifier"] for treatment in old_site.find()] == ["b", "b"]


def test_the_oldest_generation_does_not_let_a_post_change_an_id(old_site: Site) -> None:
    [stored] = old_site.post(bolus())

    answer = old_site.request("POST", "treatments.json", json=[stored | {"insulin": 9}, basal()])

    assert answer.status_code == 500
    assert answer.json()["message"] == "Mongo Error"
    assert [treatment["insulin"] for treatment in old_site.find()] == [1.5]


def test_the_oldest_generation_stores_any_other_id_as_it_is(old_site: Site) -> None:
    old_site.post(bolus(_id="a-b-c"))
    old_site.post(bolus(_id="a-b-c", insulin=2))

    assert [(t["_id"], t["insulin"]) for t in old_site.find()] == [("a-b-c", 2)]


def test_the_oldest_generation_does_not_touch_special_characters(old_site: Site) -> None:
    [stored] = old_site.post(bolus(notes="a < b & c"))

    assert stored["notes"] == "a < b & c"


def test_text_that_is_not_json_is_refused(site: Site) -> None:
    headers = {"Content-Type": "application/json"}

    answer = site.request("POST", "treatments.json", data=b"[{", headers=headers)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/html")


def test_json_that_is_not_called_so_becomes_an_empty_treatment(site: Site) -> None:
    headers = {"Content-Type": "text/plain"}

    site.request("POST", "treatments.json", data=b'[{"insulin": 1}]', headers=headers)

    [stored] = site.find()
    assert is_now(stored["created_at"])
    assert stored["insulin"] is None


# Times


def test_a_time_is_stored_in_utc_with_its_offset_beside_it(site: Site) -> None:
    expected = {
        "2024-01-15T12:00:00Z": ("2024-01-15T12:00:00.000Z", 0),
        "2024-01-15T12:00:00.123Z": ("2024-01-15T12:00:00.123Z", 0),
        "2024-01-15T12:00:00.123999Z": ("2024-01-15T12:00:00.123Z", 0),
        "2024-01-15T00:30:00+02:00": ("2024-01-14T22:30:00.000Z", 120),
        "2024-01-15T12:00:00.5-03:30": ("2024-01-15T15:30:00.500Z", -210),
        "2024-01-15T12:00:00-0800": ("2024-01-15T20:00:00.000Z", -480),
        "2024-01-15T12:00:00": ("2024-01-15T12:00:00.000Z", 0),
        "2024-01-15 12:00:00": ("2024-01-15T12:00:00.000Z", 0),
        "2024-01-15 12:00:00+01:00": ("2024-01-15T11:00:00.000Z", 60),
        "2024-01-15": ("2024-01-15T00:00:00.000Z", 0),
        1705320000123: ("2024-01-15T12:00:00.123Z", 0),
    }

    site.post(*(note(f"sent {t}", created_at=t, utcOffset=17) for t in expected))

    stored = {t["eventType"]: (t["created_at"], t["utcOffset"]) for t in site.find()}
    assert stored == {f"sent {t}": result for t, result in expected.items()}


def test_a_time_that_is_none_or_missing_becomes_now(site: Site) -> None:
    sent = ["", "yesterday", "2024-02-30T12:00:00Z", "1705320000123", None]

    site.post(note("missing"), *(note(f"sent {t}", created_at=t) for t in sent))

    times = site.times()
    assert len(times) == 6
    assert all(is_now(time) for time in times)


def test_event_time_takes_the_place_of_created_at(site: Site) -> None:
    site.post(bolus(eventTime="2024-01-15T10:00:00Z"))

    [treatment] = site.find()
    assert treatment["created_at"] == "2024-01-15T10:00:00.000Z"
    assert "eventTime" not in treatment


# Numbers


def test_numbers_are_numbers_and_some_zeros_are_removed(site: Site) -> None:
    table = [
        ("insulin", "1.5", 1.5),
        ("insulin", 0.05, 0.05),
        ("insulin", "1,5", GONE),
        ("carbs", 0, GONE),
        ("carbs", "", GONE),
        ("carbs", None, GONE),
        ("percent", 0, GONE),
        ("percent", -100, -100),
        ("relative", "0.4", 0.4),
        ("relative", 0, GONE),
        ("targetTop", 0, GONE),
        ("targetBottom", "110", 110),
        ("notes", "", GONE),
        ("notes", "x", "x"),
        ("absolute", 0, 0),
        ("absolute", None, 0),
        ("absolute", "", 0),
        ("absolute", "much", GONE),
        ("duration", 0, 0),
        ("duration", "30", 30),
        ("duration", 4.25, 4.25),
        ("rate", 0, 0),
        ("rate", None, None),
        ("enteredinsulin", "0", "0"),
        ("splitNow", 0, 0),
        ("isAnnouncement", False, False),
    ]
    rows = {f"{field} {sent!r}": (field, sent, stored) for field, sent, stored in table}

    answer = site.post(*(note(row, NOON, **{f: sent}) for row, (f, sent, _) in rows.items()))

    assert {t["eventType"]: t.get(rows[t["eventType"]][0], GONE) for t in answer} == {
        row: stored for row, (_, _, stored) in rows.items()
    }
    for treatment in answer:
        listed = {"carbs": None, "insulin": None} | treatment
        assert site.find({"find[_id]": treatment["_id"]}) == [listed]


def test_a_glucose_that_is_none_goes_with_its_unit_and_kind(site: Site) -> None:
    for glucose in (0, None, "high"):
        site.post(bolus(glucose=glucose, glucoseType="Finger", units="mg/dl"))

        [treatment] = site.find()
        assert not {"glucose", "glucoseType", "units"} & set(treatment)


def test_a_glucose_keeps_its_unit_and_kind(site: Site) -> None:
    site.post(bolus(glucose="123", glucoseType="Finger", units="mg/dl"))

    [treatment] = site.find()
    assert (treatment["glucose"], treatment["glucoseType"]) == (123, "Finger")
    assert treatment["units"] == "mg/dl"


def test_an_announcement_is_marked(site: Site) -> None:
    [answered] = site.post({"eventType": "Announcement", "created_at": NOON, "notes": "x"})

    assert answered["isAnnouncement"] is True


def test_a_list_shows_insulin_and_carbs_always_as_numbers(site: Site) -> None:
    site.insert(
        [
            bolus("2024-01-15T10:00:00.000Z", insulin="2.5", carbs=None),
            bolus("2024-01-15T11:00:00.000Z", insulin="some"),
        ]
    )

    later, earlier = site.find()
    assert (earlier["insulin"], earlier["carbs"]) == (2.5, 0)
    assert (later["insulin"], later["carbs"]) == (None, None)


# Reading


TIMES = [f"2024-01-15T{hour}:00:00.000Z" for hour in (10, 11, 12, 13)]


def test_bounds_choose_what_is_listed(site: Site) -> None:
    site.post(*(bolus(time) for time in TIMES))

    for bounds, expected in [
        ({"$gte": TIMES[1]}, TIMES[1:]),
        ({"$gt": TIMES[1]}, TIMES[2:]),
        ({"$lte": TIMES[1]}, TIMES[:2]),
        ({"$lt": TIMES[1]}, TIMES[:1]),
        ({"$eq": TIMES[1]}, TIMES[1:2]),
        ({"$ne": TIMES[1]}, [TIMES[0], *TIMES[2:]]),
        ({"$gte": TIMES[1], "$lte": TIMES[2]}, TIMES[1:3]),
        ({"$gt": TIMES[1], "$lt": TIMES[2]}, []),
        ({"$gte": "2024-01-15T13:00:00+02:00", "$lte": "2024-01-15T12:00:00"}, TIMES[1:3]),
        ({"$gte": "2024-01-15", "$lt": "2024-01-16"}, TIMES),
        ({"$gte": "2024-01-16"}, []),
        ({"$lte": "2024-01-15T11:00:00.000999Z"}, TIMES[:2]),
        ({"$gte": "1705320000000"}, TIMES),
        ({"$lte": "1705320000000"}, []),
    ]:
        query = {f"find[created_at][{name}]": value for name, value in bounds.items()}
        assert (bounds, site.times(query)) == (bounds, expected[::-1])


def test_a_plus_that_was_not_escaped_is_repaired(site: Site) -> None:
    site.post(*(bolus(time) for time in TIMES))

    query = "find[created_at][$gte]=2024-01-15T14:00:00+02:00"

    assert len(site.ask("GET", f"treatments.json?{query}")) == 2


def test_times_are_compared_as_text(site: Site) -> None:
    site.insert([bolus("2024-01-15 18:00:00"), bolus("2024-01-15T18:00:00+09:00")])

    query = {"find[created_at][$gte]": "2024-01-15T00:00:00Z"}

    assert site.times(query) == ["2024-01-15T18:00:00+09:00"]
    assert len(site.find()) == 2


def test_the_oldest_generation_fails_on_a_time_it_cannot_read(old_site: Site) -> None:
    for query in (
        {"find[created_at]": NOON},
        {"find[created_at][$gte]": "2024-01-15 12:00:00"},
        {"find[created_at][$gte]": "yesterday"},
    ):
        for method in ("GET", "DELETE"):
            answer = old_site.request(method, "treatments.json", params=query)
            assert answer.status_code == 500


def test_the_newest_come_first_and_count_cuts_the_oldest_off(site: Site) -> None:
    site.post(*(bolus(time) for time in [TIMES[2], TIMES[0], TIMES[3], TIMES[1]]))

    assert site.times() == TIMES[::-1]
    assert site.times(EVER | {"count": "3"}) == TIMES[:0:-1]
    assert site.times(EVER | {"count": "0"}) == TIMES[::-1]


def test_the_oldest_generation_lists_everything_when_no_count_is_given(old_site: Site) -> None:
    old_site.post(*(bolus(ago(minutes=i)) for i in range(110)))

    assert len(old_site.find({})) == 110
    assert len(old_site.find({"count": "10"})) == 10


def test_without_a_bound_only_the_last_four_days_are_listed(site: Site) -> None:
    site.post(bolus(ago(days=3.9), insulin=1), bolus(ago(days=4.1), insulin=2))

    for query in ({}, {"count": "50"}, {"find[eventType]": "Bolus"}):
        assert [treatment["insulin"] for treatment in site.find(query)] == [1]
    assert len(site.find()) == 2


def test_treatments_can_be_chosen_by_who_entered_them(site: Site) -> None:
    ours, others = "Pump (tconnectsync)", "Pump (tconnectsync) + 1"
    site.post(bolus(enteredBy=ours), basal(enteredBy=others), bolus(TIMES[0]))

    def who(**condition: str) -> list[str | None]:
        query = {f"find[enteredBy]{name}": value for name, value in condition.items()}
        return [treatment.get("enteredBy") for treatment in site.find(EVER | query)]

    assert who(**{"": ours}) == [ours]
    assert who(**{"[$eq]": others}) == [others]
    assert who(**{"": "Pump"}) == []
    assert sorted(who(**{"[$ne]": ours}), key=str) == [None, others]


def test_only_some_fields_can_be_searched_as_numbers(site: Site) -> None:
    site.post(
        bolus(TIMES[0], duration=30, pump_event_id="6"),
        bolus(TIMES[1], insulin=2, pump_event_id="7"),
    )

    for query, expected in [
        ({"find[insulin]": "2"}, [2]),
        ({"find[insulin][$gte]": "1.9"}, [2, 1.5]),
        ({"find[insulin][$lt]": "2"}, [1.5]),
        ({"find[insulin]": "much"}, []),
        ({"find[duration]": "30"}, []),
        ({"find[duration][$gte]": "0"}, []),
        ({"find[pump_event_id]": "7"}, [2]),
        ({"find[pump_event_id]": "7", "find[eventType]": "Note"}, []),
    ]:
        found = [treatment["insulin"] for treatment in site.find(EVER | query)]
        assert (query, found) == (query, expected)


def test_a_treatment_is_found_by_its_id_however_old_it_is(site: Site) -> None:
    [stored, _] = site.post(bolus(), basal())

    assert site.find({"find[_id]": stored["_id"]}) == [stored | {"carbs": None}]


def test_treatments_are_found_by_a_list_of_identifiers(site: Site) -> None:
    times = [ago(days=days) for days in (1, 3, 30, 31)]
    site.post(*(bolus(time, identifier=f"id-{n}") for n, time in enumerate(times)), basal(times[0]))
    some = {"find[identifier][$in][]": ["id-1", "id-2", "id-9"]}

    assert [treatment["identifier"] for treatment in site.find({**EVER, **some})] == [
        "id-1",
        "id-2",
    ]
    # Without a bound, only the last days are looked at.
    assert [treatment["identifier"] for treatment in site.find(some)] == ["id-1"]


# Changing and deleting


def test_what_the_edit_dialog_saves_has_no_seconds_and_texts_for_numbers(site: Site) -> None:
    [stored, _] = site.post(
        basal("2024-01-15T12:00:31.5+02:00", duration=5.25, rate=0.8, identifier="a", flag=True),
        bolus(),
    )
    Pages(site.behind.url, site.secret, site.insert).save(stored, enteredBy="Mum", notes="")

    [saved] = site.find({"find[_id]": stored["_id"]})
    texts = {"rate": "0.8", "flag": "true", "protein": "", "fat": "", "profile": ""}
    assert {name: saved[name] for name in texts} == texts
    assert (saved["created_at"], saved["duration"], saved["absolute"]) == (
        "2024-01-15T10:00:00.000Z",
        5.25,
        0.8,
    )
    assert (saved["identifier"], saved["enteredBy"]) == ("a", "Mum")
    assert not {"glucose", "glucoseType", "units", "percent", "notes", "eventTime"} & saved.keys()
    assert len(site.find()) == 2


def test_a_treatment_is_changed_in_place_by_its_id(site: Site) -> None:
    [stored, other] = site.post(basal(duration=5, notes="x"), bolus())

    site.ask(
        "PUT",
        "treatments.json",
        json=basal("2024-01-15T14:00:00+02:00", duration="15", percent=0, _id=stored["_id"]),
    )

    [changed] = site.find({"find[_id]": stored["_id"]})
    assert (changed["created_at"], changed["utcOffset"]) == (NOON, 120)
    assert changed["duration"] == 15
    assert not {"notes", "percent"} & set(changed)
    assert site.find({"find[_id]": other["_id"]}) == [other | {"carbs": None}]
    assert len(site.find()) == 2


def test_a_change_may_move_a_treatment_in_time(site: Site) -> None:
    [stored, _] = site.post(bolus(TIMES[0]), bolus(TIMES[2]))

    site.ask("PUT", "treatments.json", json=bolus(TIMES[3], _id=stored["_id"]))

    assert site.times() == [TIMES[3], TIMES[2]]
    site.post(bolus(TIMES[0]))
    assert site.times() == [TIMES[3], TIMES[2], TIMES[0]]


def test_a_change_of_an_unknown_id_adds_a_treatment_with_that_id(site: Site) -> None:
    site.ask("PUT", "treatments.json", json=bolus(_id="0123456789abcdef01234567"))

    assert [treatment["_id"] for treatment in site.find()] == ["0123456789abcdef01234567"]


def test_the_oldest_generation_adds_a_treatment_when_a_change_names_no_id(old_site: Site) -> None:
    old_site.post(bolus())

    answer = old_site.ask("PUT", "treatments.json", json=bolus(insulin=2))

    assert answer["n"] == 1
    assert sorted(treatment["insulin"] for treatment in old_site.find()) == [1.5, 2]


def deleted(answer: dict[str, Any]) -> int:
    """Read the answer of either generation."""
    number: int = answer["n"] if "n" in answer else answer["deletedCount"]
    return number


def test_a_treatment_is_deleted_by_its_id(site: Site) -> None:
    [stored, other] = site.post(bolus(), basal())

    assert deleted(site.ask("DELETE", f"treatments/{stored['_id']}")) == 1
    assert deleted(site.ask("DELETE", f"treatments/{stored['_id']}")) == 0
    assert [treatment["_id"] for treatment in site.find()] == [other["_id"]]


def test_everything_that_is_found_is_deleted_whatever_the_count(site: Site) -> None:
    site.post(*(bolus(time) for time in TIMES), basal(TIMES[0]))

    query = {"find[created_at][$gte]": TIMES[1], "find[eventType]": "Bolus", "count": "1"}

    assert deleted(site.ask("DELETE", "treatments.json", params=query)) == 3
    assert site.times() == [TIMES[0], TIMES[0]]


def test_a_deletion_without_a_bound_reaches_four_days_back(site: Site) -> None:
    site.post(bolus(ago(days=3.9), insulin=1), bolus(ago(days=4.1), insulin=2))

    query = {"find[eventType]": "Bolus"}

    assert deleted(site.ask("DELETE", "treatments.json", params=query)) == 1
    assert [treatment["insulin"] for treatment in site.find()] == [2]


def test_a_deleted_treatment_can_be_posted_again(site: Site) -> None:
    [stored] = site.post(bolus())
    site.ask("DELETE", f"treatments/{stored['_id']}")

    [again] = site.post(bolus())

    assert again["_id"] != stored["_id"]
    assert len(site.find()) == 1
