"""The planner: what is created, updated, kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tconnectsync.nightscout.provenance import ENTERED_BY, Document, created_at
from tests.support.event_builders import (
    Site,
    at,
    basal,
    bodies,
    bolus,
    both_parts,
    planned,
    sleep,
    suspension,
    wanted,
)


def site_with(*events: Any) -> Site:
    site = Site()
    site.carry_out(planned(wanted(*events), []))
    return site


def from_older_version(document: Document, **changes: Any) -> Document:
    """Return a document as an older tconnectsync wrote it: a space in the time, no identifier."""
    ours = ("identifier", "syncIdentifier", "checksum")
    kept = {name: value for name, value in document.items() if name not in ours}
    return {**kept, "created_at": document["created_at"].replace("T", " "), **changes}


def test_an_empty_site_gets_everything_oldest_first() -> None:
    plan = planned(wanted(bolus(60, 2), basal(0, 5), sleep(30, 10)), [])
    assert [d["eventType"] for d in bodies(plan.create)] == ["Temp Basal", "Sleep", "Combo Bolus"]
    assert (plan.update, plan.kept) == ([], 0)


def test_a_second_run_changes_nothing() -> None:
    events = (basal(0, 5), bolus(10, 1.5, carbs=20), sleep(30, 10), suspension(50))
    plan = planned(wanted(*events), site_with(*events).stored)
    assert (plan.create, plan.update, plan.kept) == ([], [], 4)


def test_a_running_basal_grows_in_place() -> None:
    site = site_with(basal(0, 5, running=True))
    plan = planned(wanted(basal(0, 65)), site.stored)
    assert plan.create == []
    assert plan.update[0].after.body["duration"] == 65
    assert plan.update[0].after.body["_id"] == site.stored[0]["_id"]


def test_a_running_sleep_grows_in_place() -> None:
    site = site_with(sleep(0, 60))
    site.carry_out(planned(wanted(sleep(0, 70)), site.stored))
    assert [d["duration"] for d in site.stored] == [70]


def test_an_earlier_look_at_something_running_does_not_shorten_it() -> None:
    site = site_with(basal(0, 65), sleep(0, 90))
    plan = planned(wanted(basal(0, 5, running=True), sleep(0, 30)), site.stored)
    assert (plan.update, plan.kept) == ([], 2)


def test_a_basal_that_turns_out_shorter_is_put_right() -> None:
    site = site_with(basal(0, 300))
    plan = planned(wanted(basal(0, 60)), site.stored)
    assert [u.after.body["duration"] for u in plan.update] == [60]


def test_a_late_bolus_between_two_old_ones_is_not_lost() -> None:
    site = site_with(bolus(0, 1), bolus(60, 3))
    plan = planned(wanted(bolus(0, 1), bolus(30, 2), bolus(60, 3)), site.stored)
    assert [d["insulin"] for d in bodies(plan.create)] == [2]
    assert plan.kept == 2


def test_a_bolus_in_progress_becomes_the_finished_one() -> None:
    site = site_with(bolus(0, 0.5, requested=3, running=True))
    assert site.stored[0]["notes"] == "Standard (in progress: requested 3 units)"
    site.carry_out(planned(wanted(bolus(0, 3)), site.stored))
    (document,) = site.stored
    assert (document["insulin"], document["notes"]) == (3, "Standard")
    assert document["created_at"] == created_at(at(2)).replace("+00:00", ".000Z")


def test_the_slow_part_of_a_bolus_is_added_when_it_ends() -> None:
    site = site_with(bolus(0, 1, extended=True))
    assert [d["insulin"] for d in site.stored] == [1]
    finished = wanted(*both_parts(bolus(0, 1, extended=True), 120, 1))
    plan = planned(finished, site.stored)
    assert [(it.insulin, it.at) for it in plan.create] == [(1, at(120))]
    assert (plan.update, plan.kept) == ([], 1)


@pytest.mark.parametrize("change", [{"insulin": 9.9}, {"duration": 1}, {"notes": "halved it"}])
def test_what_a_person_edited_is_never_written_again(change: Document) -> None:
    site = site_with(basal(0, 60), bolus(0, 2))
    for document in site.documents.values():
        document.update(change)
    plan = planned(wanted(basal(0, 90), bolus(0, 2.5)), site.stored)
    assert (plan.create, plan.update, plan.kept) == ([], [], 2)


def test_fields_that_others_added_survive_an_update() -> None:
    site = site_with(basal(0, 5, running=True))
    site.stored[0].update(reviewed="yes", carbs=None)
    plan = planned(wanted(basal(0, 65)), site.stored)
    assert plan.update[0].after.body["reviewed"] == "yes"
    assert "carbs" not in plan.update[0].after.body


def test_documents_of_an_older_version_are_recognised_and_kept() -> None:
    events = (basal(0, 5), bolus(10, 1.5), sleep(30, 10), suspension(50))
    older = [from_older_version(want.body) for want in wanted(*events)]
    plan = planned(wanted(*events), older)
    assert (plan.create, plan.update, plan.kept) == ([], [], 4)


def test_a_basal_that_an_older_version_left_running_is_finished() -> None:
    old = from_older_version(wanted(basal(0, 5))[0].body, _id="a", duration=5)
    plan = planned(wanted(basal(0, 65)), [old])
    assert plan.update[0].after.body == {**old, "created_at": created_at(at(0)), "duration": 65}
    assert planned(wanted(basal(0, 65)), [plan.update[0].after.body]).kept == 1


def test_a_night_that_an_older_version_wrote_in_pieces_is_not_shown_twice() -> None:
    pieces = [from_older_version(w.body) for w in wanted(sleep(0, 120), sleep(120, 60))]
    site = Site(*pieces)
    assert planned(wanted(sleep(0, 180)), site.stored).update == []
    site.carry_out(planned(wanted(sleep(0, 400)), site.stored))
    assert [d["duration"] for d in site.stored] == [120, 280]
    assert planned(wanted(sleep(0, 400)), site.stored).update == []


def test_what_a_person_shortened_in_an_older_record_stays() -> None:
    older = [from_older_version(w.body) for w in wanted(basal(0, 60), basal(60, 60))]
    older[0]["duration"] = 20
    assert planned(wanted(basal(0, 60), basal(60, 60)), older).update == []


def test_an_identifier_from_elsewhere_does_not_double_an_older_bolus() -> None:
    old = from_older_version(wanted(bolus(0, 3))[0].body) | {"identifier": "from elsewhere"}
    plan = planned(wanted(bolus(0, 3)), [old])
    assert (plan.create, plan.kept) == ([], 1)


def test_an_extended_bolus_that_an_older_version_left_unfinished_is_finished() -> None:
    parts = both_parts(bolus(0, 0.2, extended=True), 15, 0.2)
    note = "Extended 50.00%/0.00 (: requested 0.2 units) (Extended)"
    old = from_older_version(wanted(*parts)[0].body, notes=note)
    site = Site(old)
    site.carry_out(planned(wanted(*parts), site.stored))
    assert sorted(d["notes"] for d in site.stored) == [
        "Extended 50.00%/0.00 (Extended part)",
        "Extended 50.00%/0.00 (Extended)",
    ]
    assert planned(wanted(*parts), site.stored).kept == 2


def test_two_boluses_in_one_second_are_set_apart() -> None:
    twins = (bolus(0, 1, key="a"), bolus(0, 2, key="b"))
    site = site_with(*twins)
    times = sorted(d["created_at"] for d in site.stored)
    assert times == ["2024-03-05T12:02:00.000Z", "2024-03-05T12:02:00.001Z"]
    assert planned(wanted(*twins), site.stored).kept == 2


def test_a_person_s_own_entry_at_the_same_instant_is_not_overwritten() -> None:
    own = {
        "_id": "p",
        "eventType": "Site Change",
        "created_at": created_at(at(0)),
        "enteredBy": "Mum",
    }
    plan = planned(wanted(suspension(0, "site-cart")), [own])
    assert plan.create[0].body["created_at"] == created_at(at(0) + timedelta(milliseconds=1))
    assert plan.update == []


def test_an_older_document_goes_to_the_bolus_it_was_written_for() -> None:
    twins = (bolus(0, 1, key="a"), bolus(0, 2, key="b"))
    old = from_older_version(wanted(twins[1])[0].body, _id="old")
    plan = planned(wanted(*twins), [old])
    assert [d["insulin"] for d in bodies(plan.create)] == [1]


def test_alarms_and_user_suspensions_of_one_cycle_both_arrive() -> None:
    events = (suspension(30, "alarm"), suspension(0, "manual"))
    plan = planned(wanted(*events), [])
    assert [d["reason"] for d in bodies(plan.create)] == [
        "User Suspended",
        "Empty Cartridge/Pump Shutdown",
    ]


def test_a_corrected_time_zone_moves_documents_instead_of_doubling_them() -> None:
    site = site_with(bolus(0, 2))
    moved = [
        want
        for want in wanted(bolus(360, 2, key="bolus 0"))
        if want.identifier == site.stored[0]["identifier"]
    ]
    site.carry_out(planned(moved, site.stored))
    assert [d["created_at"] for d in site.stored] == ["2024-03-05T18:02:00.000Z"]


def test_repeated_reports_of_one_event_are_one_document() -> None:
    plan = planned(wanted(basal(0, 5, running=True), basal(0, 65), basal(0, 60)), [])
    assert [d["duration"] for d in bodies(plan.create)] == [65]


def test_without_gap_filling_only_what_is_newer_is_created() -> None:
    site = site_with(bolus(30, 1))
    events = wanted(bolus(0, 5), bolus(30, 1), bolus(60, 2), sleep(0, 20))
    plan = planned(events, site.stored, {"Combo Bolus": at(32), "Sleep": None})
    assert sorted(d["eventType"] for d in bodies(plan.create)) == ["Combo Bolus", "Sleep"]
    assert [d["insulin"] for d in bodies(plan.create) if "insulin" in d] == [2]


def test_a_stored_document_without_a_readable_time_does_no_harm() -> None:
    broken = {"_id": "x", "eventType": "Temp Basal", "created_at": None, "enteredBy": ENTERED_BY}
    assert len(planned(wanted(basal(0, 5)), [broken]).create) == 1
