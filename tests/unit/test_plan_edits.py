"""Whose a stored treatment is and who has changed it: what the planner leaves alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tconnectsync.domain.events import Event
from tconnectsync.nightscout.provenance import ENTERED_BY, Document, checksum, created_at, instant
from tconnectsync.nightscout.stored import Writer, stored_treatments
from tconnectsync.nightscout.treatments import Treatment
from tests.support.event_builders import Site, at, basal, bodies, bolus, planned, sleep, wanted

ODD = 31 / 60
"""Minutes that are no whole ones: the seconds are what the dialog takes away."""


def site_with(*events: Event) -> Site:
    site = Site()
    site.carry_out(planned(wanted(*events), []))
    return site


def saved(document: Document, **changes: Any) -> Document:
    """Return what Nightscout's edit dialog makes of a document (nightscout-api §7.6)."""
    moment = instant(document)
    assert moment
    texts = ("rate", "splitNow", "splitExt", "enteredinsulin")
    return {
        **document,
        **{name: str(document[name]) for name in texts if name in document},
        **dict.fromkeys(("protein", "fat", "profile"), ""),
        "created_at": created_at(moment.replace(second=0, microsecond=0)),
        **changes,
    }


def cut(event: Event) -> list[Treatment]:
    return [want._replace(cut=True) for want in wanted(event)]


@pytest.mark.parametrize("start", [0, ODD], ids=["whole minute", "odd second"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"eventType": "Note"},
        {"duration": 1},
        {"notes": "x"},
        {"enteredBy": "Mum"},
        {"enteredBy": ""},
        {"percent": 20},
        {"profile": "Sport"},
        {"protein": "5"},
        {"glucose": 120, "glucoseType": "Finger", "units": "mmol"},
    ],
    ids=str,
)
def test_what_was_saved_in_the_dialog_never_changes_again(start: float, change: Document) -> None:
    site = site_with(basal(start, 5, running=True), bolus(start, 0.5, requested=3, running=True))
    documents = [saved(document, **change) for document in site.stored]
    plan = planned(wanted(basal(start, 65), bolus(start, 3)), documents)
    assert (plan.create, plan.update, plan.kept) == ([], [], 2)
    gone = planned(cut(basal(start, 0)), documents)
    assert (gone.create, gone.update, gone.remove) == ([], [], [])


@pytest.mark.parametrize(
    "change", [{"enteredBy": "Mum"}, {"rate": 3.0}, {"profile": ""}, {"percent": 10}], ids=str
)
def test_an_edit_counts_that_leaves_the_checksum_as_it_was(change: Document) -> None:
    site = site_with(basal(0, 5, running=True))
    assert planned(wanted(basal(0, 65)), [{**site.stored[0], **change}]).update == []


def test_what_programs_do_by_themselves_is_no_edit() -> None:
    site = site_with(basal(0, 5, running=True))
    added = {"protein": None, "profile": None, "carbs": None, "utcOffset": -300, "reviewed": "yes"}
    assert len(planned(wanted(basal(0, 65)), [{**site.stored[0], **added}]).update) == 1


def test_an_identifier_that_stands_twice_is_never_written() -> None:
    site = site_with(basal(0, 5, running=True), bolus(0, 2))
    copies = [{**document, "_id": f"{n:024x}"} for n, document in enumerate(site.stored, 100)]
    plan = planned(wanted(basal(0, 65), bolus(0, 2)), [*site.stored, *copies])
    assert (plan.create, plan.update, plan.kept) == ([], [], 2)
    assert planned(cut(basal(0, 0)), [*site.stored, *copies]).remove == []


def test_a_copy_by_another_program_that_lost_the_checksum_stands_for_the_event() -> None:
    (document,) = site_with(basal(0, 5, running=True)).stored
    copy = {name: it for name, it in document.items() if name != "checksum"}
    for author in ("xDrip", None):
        plan = planned(wanted(basal(0, 65)), [{**copy, "enteredBy": author}])
        assert (plan.create, plan.update, plan.kept) == ([], [], 1)


def test_what_has_moved_is_known_by_its_identifier_wherever_it_stands() -> None:
    (document,) = site_with(bolus(0, 2)).stored
    elsewhere = {**document, "created_at": created_at(at(-60 * 24 * 300))}
    assert planned(wanted(bolus(0, 2)), [elsewhere]).kept == 1


def test_each_writer_is_recognised_by_what_it_leaves() -> None:
    ours = site_with(bolus(0, 2)).stored[0] | {"enteredBy": "Mum"}
    documents: list[Document] = [
        ours,
        {"_id": "1", "eventType": "Note", "pump_event_id": "17,18", "enteredBy": "Mum"},
        {"_id": "2", "eventType": "Note", "pump_event_id": "17", "identifier": "elsewhere"},
        {"_id": "3", "eventType": "Note", "enteredBy": ENTERED_BY, "identifier": "elsewhere2"},
        {"_id": "4", "eventType": "Note", "pump_event_id": "seventeen"},
        {"_id": "5", "eventType": "Note", "checksum": "0123456789ab"},
        {"_id": "6", "eventType": "Note", "identifier": "x", "checksum": 5},
    ]
    writers = [treatment.writer for treatment in stored_treatments(documents)]
    assert writers == [
        Writer.THIS_VERSION,
        *[Writer.VERSION_2_OR_3] * 2,
        Writer.VERSION_1,
        *[Writer.OTHER] * 3,
    ]


# Basals that another pump claims


def test_a_basal_that_loses_its_end_is_shortened_even_while_it_is_running() -> None:
    site = site_with(basal(0, 300))
    for running in (False, True):
        shorter = cut(basal(0, 60, running=running))
        plan = planned(shorter, site.stored)
        assert [update.after.body["duration"] for update in plan.update] == [60]
        assert (plan.create, plan.remove, plan.changed) == ([], [], 1)
    site.carry_out(planned(cut(basal(0, 60)), site.stored))
    assert planned(cut(basal(0, 60)), site.stored).changed == 0


def test_a_basal_that_loses_all_its_time_is_removed_and_does_not_come_back() -> None:
    site = site_with(basal(0, 300), basal(300, 5))
    plan = planned([*cut(basal(0, 0)), *wanted(basal(300, 5))], site.stored)
    assert [it["created_at"] for it in bodies(plan.remove)] == ["2024-03-05T12:00:00.000Z"]
    assert (plan.create, plan.update, plan.kept, plan.changed) == ([], [], 1, 1)
    site.carry_out(plan)
    assert planned(cut(basal(0, 0)), site.stored) == planned([], [])


def test_a_claimed_basal_that_is_not_there_is_created_with_what_is_left_of_it() -> None:
    plan = planned([*cut(basal(0, 0)), *cut(basal(5, 3))], [])
    assert [it["duration"] for it in bodies(plan.create)] == [3]


@pytest.mark.parametrize("change", [{"duration": 20}, {"absolute": 1.0}, {"enteredBy": "Mum"}])
def test_an_edited_basal_is_neither_shortened_nor_removed(change: Document) -> None:
    site = site_with(basal(0, 300))
    site.stored[0].update(change)
    for want in (cut(basal(0, 0)), cut(basal(0, 10))):
        plan = planned(want, site.stored)
        assert (plan.create, plan.update, plan.remove) == ([], [], [])


def test_a_basal_of_others_or_of_an_older_version_is_never_removed() -> None:
    site = site_with(basal(0, 300))
    marks = ("identifier", "syncIdentifier", "checksum")
    bare = {name: it for name, it in site.stored[0].items() if name not in marks}
    for document in (bare, {**bare, "enteredBy": "Mum"}, {**bare, "pump_event_id": "7"}):
        plan = planned(cut(basal(0, 0)), [document])
        assert (plan.update, plan.remove) == ([], [])


@pytest.mark.parametrize("name", ["*", "", None, "0" * 23, "id/../*", 7])
def test_what_has_no_name_of_the_database_is_not_removed(name: Any) -> None:
    site = site_with(basal(0, 300))
    assert planned(cut(basal(0, 0)), [{**site.stored[0], "_id": name}]).remove == []


# Words


def renamed(event: Event, **words: str) -> list[Treatment]:
    """Return what is wanted once the program has other words for an event."""
    found = []
    for want in wanted(event):
        body = {**want.body, **{name: it for name, it in words.items() if name in want.body}}
        found.append(want._replace(body={**body, "checksum": checksum(body)}))
    return found


def test_a_document_that_differs_in_words_alone_is_kept() -> None:
    site = site_with(basal(0, 5), bolus(0, 2), sleep(0, 30))
    other = {"reason": "Other words", "notes": "Other words"}
    new = [want for it in (basal(0, 5), bolus(0, 2), sleep(0, 30)) for want in renamed(it, **other)]
    plan = planned(new, site.stored)
    assert (plan.create, plan.update, plan.kept) == ([], [], 3)


def test_words_change_together_with_numbers() -> None:
    site = site_with(sleep(0, 30))
    plan = planned(renamed(sleep(0, 40), notes="Other words"), site.stored)
    assert [update.after.body["notes"] for update in plan.update] == ["Other words"]


@pytest.mark.parametrize("status", ["", "User Aborted"])
def test_a_bolus_in_progress_whose_amount_and_time_are_right_is_finished(status: str) -> None:
    running = bolus(0, 2, requested=3, running=True)
    site = site_with(running)
    done = replace(running, completed=running.requested_at, incomplete=status)
    site.carry_out(planned(wanted(done), site.stored))
    assert "in progress" not in site.stored[0]["notes"]
    assert planned(wanted(done), site.stored).update == []


def test_an_update_does_not_give_a_document_an_identifier_that_it_lacked() -> None:
    """Nightscout 15.0.7 would take it for another document, and store a second one."""
    (document,) = site_with(basal(0, 5, running=True)).stored
    nameless = {name: it for name, it in document.items() if name != "identifier"}
    (update,) = planned(wanted(basal(0, 65)), [nameless]).update
    assert "identifier" not in update.after.body
    assert update.after.body["duration"] == 65
    assert instant(update.after.body) == at(0)
