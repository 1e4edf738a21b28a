"""The end-to-end tests stand on a real Nightscout; these show that the ground is firm."""

from __future__ import annotations

from tests.support.real_nightscout import Document, NightscoutSite

NOTE: Document = {
    "eventType": "Note",
    "created_at": "2021-04-01T12:58:26.001-04:00",
    "notes": "from years ago",
}


def test_it_is_a_nightscout_that_lets_its_owner_in(nightscout: NightscoutSite) -> None:
    status = nightscout.request("GET", "status.json").json()

    assert status["status"] == "ok"
    assert status["careportalEnabled"] is True
    assert nightscout.treatments() == []


def test_a_wrong_secret_is_refused(nightscout: NightscoutSite) -> None:
    right, nightscout.secret = nightscout.secret, "not the secret of this site"
    answer = nightscout.request("POST", "treatments.json", json=[NOTE])
    nightscout.secret = right

    assert answer.status_code == 401
    assert nightscout.treatments() == []


def test_what_was_posted_is_found_in_the_api_and_in_the_database(
    nightscout: NightscoutSite,
) -> None:
    nightscout.insert("treatments", [NOTE, NOTE | {"eventType": "Site Change"}])

    (found,) = nightscout.treatments(eventType="Note")
    stored = {treatment["eventType"]: treatment for treatment in nightscout.dump()}
    assert stored.keys() == {"Note", "Site Change"}
    assert str(stored["Note"]["_id"]) == found["_id"]
    for treatment in (found, stored["Note"]):
        assert treatment["created_at"] == "2021-04-01T16:58:26.001Z"
        assert treatment["notes"] == "from years ago"


def test_a_document_seeded_into_the_database_stays_as_it_is(nightscout: NightscoutSite) -> None:
    verbatim: Document = {
        "_id": "a text as id",
        "eventType": "Temp Basal",
        "created_at": "2021-04-01 12:58:26-04:00",
        "duration": 5.0,
        "rate": None,
    }
    nightscout.insert_raw([verbatim])
    nightscout.treatments()

    assert repr(nightscout.dump()) == repr([verbatim])
