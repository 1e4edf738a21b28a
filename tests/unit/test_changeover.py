"""Changing the source or the version: nothing stands in Nightscout twice, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Event, Reading, ReadingKind
from tconnectsync.nightscout.entries import entries
from tconnectsync.nightscout.provenance import ENTERED_BY, Document, created_at, instant
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.plan.glucose import with_entries
from tests.support.event_builders import (
    Site,
    at,
    basal,
    bodies,
    bolus,
    planned,
    sleep,
    suspension,
    wanted,
)
from tests.support.growth import grows_no_faster_than_its_input
from tests.support.log_builders import (
    EXERCISING,
    NORMAL,
    NOTHING,
    SLEEPING,
    START_EXERCISE,
    START_SLEEP,
    STOP_EXERCISE,
    STOP_SLEEP,
    delivered,
    entry,
    log,
    mode,
    nothing_new,
    part,
    rate,
    rates,
    request,
    resumed,
    slowly_delivered,
    suspended,
    wanted_of,
)

OURS = ("identifier", "syncIdentifier", "checksum")
REASONS = {0: "Suspended", 1: "Profile", 3: "Algorithm"}
FILLS = {33: "Cartridge Filled", 61: "Cannula Filled", 63: "Tubing Filled"}
MINUTE = timedelta(minutes=1)


def old(kind: str, minutes: float, *entries: Entry, **fields: Any) -> Document:
    """Return a document as 3.x wrote it."""
    return {
        "eventType": kind,
        "created_at": created_at(at(minutes)).replace("T", " "),
        "enteredBy": ENTERED_BY,
        "pump_event_id": ",".join(str(each.sequence) for each in entries),
        **fields,
    }


def by_3x(story: Log, until: float) -> list[Document]:
    """Return what one run of 3.x made of a log, without its sleeps.

    See docs/protocol/tandem-source-processing.md §4 to §7.
    """
    found = []
    for each, after in pairwise([*entries_of(story, 279), None]):
        assert each
        minutes = _minutes(each)
        length = (_minutes(after) if after else until) - minutes
        milliunits = each.values["commandedrate"]
        found.append(
            old(
                "Temp Basal",
                minutes,
                each,
                duration=length or None,
                absolute=round(milliunits / 1000, 2),
                rate=round(milliunits / 1000, 2),
                reason=REASONS[each.values["commandedratesource"]],
                carbs=None,
                insulin=None,
            )
        )
    for each in entries_of(story, 20, 21):
        asked = [it for it in entries_of(story, 64, 65, 66) if each.code == 20 and _same(it, each)]
        insulin = round(each.values["insulindelivered"], 2)
        fields = {"insulin": insulin, "carbs": 0, "notes": "", "glucose": "120"}
        found.append(old("Combo Bolus", _minutes(each), each, *asked, **fields))
    texts = {11: ("Basal Suspension", "UserAborted"), 12: ("Basal Resume", "Basal resumed")}
    texts |= {code: ("Site Change", text) for code, text in FILLS.items()}
    for each in entries_of(story, *texts):
        kind, text = texts[each.code]
        found.append(old(kind, _minutes(each), each, reason=text, notes=text))
    return found


def _minutes(each: Entry) -> float:
    return (each.at - at(0)) / MINUTE


def _same(one: Entry, other: Entry) -> bool:
    return bool(one.values["bolusid"] == other.values["bolusid"])


def by_1_0(documents: Iterable[Treatment]) -> list[Document]:
    """Return documents as 1.0 wrote them: nothing by which to know them again."""
    kept = []
    for want in documents:
        body = {name: it for name, it in want.body.items() if name not in (*OURS, "pump_event_id")}
        kept.append({**body, "created_at": body["created_at"].replace("T", " ")})
    return kept


def by_tconnect(*events: Event) -> list[Document]:
    """Return documents as this version wrote them when it read t:connect."""
    return bodies(planned(wanted(*events), []).create)


def plan_of(story: Log, site: Site) -> Plan:
    return planned(wanted_of(story), site.stored)


def synced(story: Log, site: Site) -> Plan:
    """Sync once, check that doing it again changes nothing, and return what the first time did."""
    plan = plan_of(story, site)
    site.carry_out(plan)
    again = plan_of(story, site)
    assert (again.create, again.update) == ([], [])
    assert again.kept == len(wanted_of(story))
    return plan


def spans(documents: Iterable[Document], kind: str = "Temp Basal") -> list[tuple[float, float]]:
    """Return when documents of a type begin and end, in minutes after noon."""
    found = []
    for document in documents:
        moment = instant(document)
        if document["eventType"] == kind and moment:
            begins = (moment - at(0)) / MINUTE
            found.append((round(begins, 3), round(begins + (document.get("duration") or 0), 3)))
    return sorted(found)


def kinds(plan: Plan) -> list[str]:
    return [document["eventType"] for document in bodies(plan.create)]


def a_day() -> Log:
    """Return a log with something of everything."""
    return log(
        *rates(0, 65),
        *request(61, 7, 3.2, carbs=30),
        delivered(63, 7, 3.2),
        *rates(65, 105, 1234),
        suspended(101.5),
        *rates(102, 132, 0, NOTHING),
        entry(120, 33, insulinvolume=180),
        entry(120, 63, primesize=-1),
        entry(131, 61, primesize=0.3),
        resumed(132),
        *rates(132, 182, 700, 1),
        nothing_new(182),
    )


def test_what_3_x_wrote_is_recognised_and_kept() -> None:
    story = a_day()
    site = Site(*by_3x(story, until=182))
    before = [dict(document) for document in site.stored]
    plan = synced(story, site)
    assert (plan.create, plan.update) == ([], [])
    assert site.stored == before


def test_after_3_x_the_fills_are_not_shown_again_under_their_new_types() -> None:
    story = log(entry(0, 33, insulinvolume=180), entry(0, 63), entry(9, 61))
    assert synced(story, Site(*by_3x(story, until=9))).create == []


def test_of_two_fills_in_a_second_the_one_that_3_x_lost_is_added() -> None:
    story = log(entry(0, 33, insulinvolume=180), entry(0, 63), entry(9, 61))
    _, tubing, cannula = by_3x(story, until=9)
    assert kinds(synced(story, Site(tubing, cannula))) == ["Insulin Change"]


@pytest.mark.parametrize("minutes", range(8))
def test_a_suspension_of_3_x_is_not_taken_for_the_basal_of_the_same_entry(minutes: int) -> None:
    """The two share the number of an entry, and their order is by chance."""
    story = log(suspended(minutes), resumed(minutes + 30))
    plan = synced(story, Site(*by_3x(story, until=minutes + 30)))
    assert kinds(plan) == ["Temp Basal"]
    assert spans(bodies(plan.create)) == [(minutes, minutes + 30)]
    assert plan.update == []


def test_a_person_s_other_type_for_an_old_document_does_not_double_it() -> None:
    story = log(*request(0, 7, 2), delivered(2, 7, 2))
    site = Site({**by_3x(story, until=2)[0], "eventType": "Meal Bolus", "insulin": 1.5})
    assert synced(story, site).create == []


def test_a_suspension_that_3_x_shows_entry_by_entry_is_not_shown_twice() -> None:
    story = log(rate(0, 800), suspended(3), *rates(6, 36, 0, NOTHING), resumed(36))
    plan = synced(story, Site(*by_3x(story, until=36)))
    assert spans(bodies(plan.create)) == [(3, 6)]
    assert plan.create[0].body["absolute"] == 0


def test_a_basal_that_3_x_left_short_at_the_end_is_finished() -> None:
    story = log(*rates(0, 30), nothing_new(30))
    site = Site(*by_3x(part(story, 0, 20), until=22))
    plan = synced(story, site)
    assert spans(site.stored)[4:] == [(20, 25), (25, 30)]
    assert len(plan.update) == 1


def test_a_basal_that_3_x_left_without_a_duration_is_finished_wherever_it_stands() -> None:
    story = log(*rates(0, 30), nothing_new(30))
    early, late = by_3x(part(story, 0, 10), until=10), by_3x(part(story, 15, 25), until=30)
    site = Site(*early, *late)
    synced(story, site)
    assert spans(site.stored) == [(minute, minute + 5) for minute in range(0, 30, 5)]


def test_a_basal_of_3_x_that_a_person_shortened_stays() -> None:
    story = log(*rates(0, 30), nothing_new(30))
    older = by_3x(story, until=30)
    older[2]["duration"] = 1.0
    assert synced(story, Site(*older)).update == []


def test_a_gap_that_3_x_left_is_filled() -> None:
    story = a_day()
    older = [it for it in by_3x(story, until=182) if it["eventType"] != "Combo Bolus"]
    del older[3]
    plan = synced(story, Site(*older))
    assert sorted(kinds(plan)) == ["Combo Bolus", "Temp Basal"]


def test_a_bolus_of_which_2_x_lost_the_extended_part_is_completed() -> None:
    asked = request(0, 7, 8, options=1, now_percent=25, duration=60)
    story = log(*asked, delivered(2, 7, 2), slowly_delivered(62, 7, 6))
    now, _ = by_3x(story, until=62)
    plan = synced(story, Site(now))
    assert [document["insulin"] for document in bodies(plan.create)] == [6]


def sleeping() -> list[Entry]:
    return [mode(0, START_SLEEP, NORMAL, SLEEPING, sleepstartedbygui=1), *rates(0, 100)]


def not_ended(story: Log, minutes: float) -> Document:
    """Return the sleep that 3.x left open."""
    text = "Sleep (Manual) - Not Ended"
    return old("Sleep", 0, story[229][0], duration=minutes, reason=text, notes=text)


def test_a_sleep_that_3_x_left_open_is_ended() -> None:
    story = log(*sleeping(), mode(100, STOP_SLEEP, SLEEPING, NORMAL))
    site = Site(not_ended(story, 10))
    synced(story, site)
    (document,) = (it for it in site.stored if it["eventType"] == "Sleep")
    assert (document["duration"], document["notes"], document["reason"]) == (
        100,
        "Sleep (Manual)",
        "Sleep (Manual)",
    )
    assert document["pump_event_id"] == "1000,1021"


def test_a_sleep_that_3_x_left_open_grows_until_it_ends_also_after_an_outage() -> None:
    story = log(
        *sleeping(),
        mode(480, STOP_SLEEP, SLEEPING, NORMAL),
        mode(1440, START_SLEEP, NORMAL, SLEEPING),
        rate(1500, 800),
    )
    site = Site(not_ended(story, 10))
    synced(part(story, 0, 60), site)
    assert spans(site.stored, "Sleep") == [(0, 60)]
    assert any("Not Ended" in it.get("notes", "") for it in site.stored)
    synced(story, site)
    assert spans(site.stored, "Sleep") == [(0, 480), (1440, 1500)]
    assert not any("Not Ended" in it.get("notes", "") for it in site.stored)


def test_sessions_that_3_x_took_for_new_ones_are_not_shown_again() -> None:
    joined = entry(60, 394, cgmtimestamp=3600)
    story = log(joined, rate(60, 800), rate(65, 800))
    again = old("Sensor Start", 60, story[394][0], notes="CGM Session Joined")
    assert "Sensor Start" not in kinds(synced(story, Site(again)))
    first = old("Sensor Start", 1, notes="CGM Session Joined")
    assert "Sensor Start" not in kinds(synced(story, Site(first)))
    assert "Sensor Start" in kinds(synced(story, Site()))


def test_a_session_that_a_later_log_shows_a_bit_differently_is_the_same() -> None:
    site = Site()
    synced(log(entry(60, 394, cgmtimestamp=4499)), site)
    assert kinds(plan_of(log(entry(120, 394, cgmtimestamp=8102)), site)) == []
    assert kinds(plan_of(log(entry(120, 394, cgmtimestamp=60)), site)) == ["Sensor Start"]


def test_what_t_connect_showed_is_not_shown_again() -> None:
    story = a_day()
    shown: list[Event] = [
        basal(0, 65, 0.8),
        basal(65, 36.5, 1.23),
        basal(101.5, 30.5, 0),
        basal(132, 50, 0.7),
        bolus(61, 3.2),
        suspension(101.5),
        suspension(101.5, "site-cart"),
    ]
    for older in (by_tconnect(*shown), by_1_0(wanted(*shown))):
        plan = synced(story, Site(*older))
        assert sorted(kinds(plan)) == ["Basal Resume", "Insulin Change", "Note"]
        assert plan.update == []


def test_one_long_basal_of_1_0_covers_all_entries_that_report_it() -> None:
    site = Site(*by_1_0(wanted(basal(0, 60))))
    plan = synced(log(*rates(0, 60), nothing_new(60)), site)
    assert (plan.create, plan.update) == ([], [])
    plan = synced(log(*rates(0, 90), nothing_new(90)), site)
    assert spans(bodies(plan.create)) == [(minute, minute + 5) for minute in range(60, 90, 5)]


def test_only_what_t_connect_does_not_show_is_added() -> None:
    site = Site(*by_tconnect(basal(0, 12), basal(20.5, 20)))
    plan = synced(log(*rates(0, 50), nothing_new(50)), site)
    assert spans(bodies(plan.create)) == [(12, 15), (15, 20), (40.5, 45), (45, 50)]
    before = [dict(document) for document in site.stored]
    synced(log(*rates(0, 50), nothing_new(50)), site)
    assert site.stored == before


def test_a_piece_cut_out_keeps_its_rate_and_its_numbers() -> None:
    story = log(*rates(0, 10, 1234), nothing_new(10))
    plan = synced(story, Site(*by_tconnect(basal(0, 7))))
    (piece,) = bodies(plan.create)
    assert (piece["absolute"], piece["rate"], piece["pump_event_id"]) == (1.234, 1.234, "1001")
    assert piece["identifier"] == wanted_of(story)[1].identifier


def test_a_piece_begins_with_a_whole_second() -> None:
    site = Site(*by_tconnect(basal(0, 6.999_99)))
    (piece,) = bodies(synced(log(*rates(0, 10), nothing_new(10)), site).create)
    assert (piece["created_at"], piece["duration"]) == (created_at(at(7)), 3)


def test_a_running_basal_that_follows_t_connect_grows() -> None:
    site = Site(*by_tconnect(basal(0, 7)))
    story = log(rate(0, 800), rate(5, 800), entry(8.5, 20), entry(30, 20))
    synced(part(story, 0, 8.5), site)
    assert spans(site.stored) == [(0, 7), (7, 8.5)]
    synced(story, site)
    assert spans(site.stored) == [(0, 7), (7, 10)]


def test_less_than_a_minute_is_not_worth_a_basal() -> None:
    assert (
        synced(log(*rates(0, 10), nothing_new(10)), Site(*by_tconnect(basal(0, 9.1)))).create == []
    )


def test_a_sleep_that_t_connect_knew_the_beginning_of_goes_on() -> None:
    story = log(*sleeping(), mode(480, STOP_SLEEP, SLEEPING, NORMAL))
    site = Site(*by_tconnect(sleep(0, 120)))
    synced(part(story, 0, 300), site)
    synced(story, site)
    assert spans(site.stored, "Sleep") == [(0, 120), (120, 480)]


def test_a_night_that_1_0_wrote_in_pieces_is_continued() -> None:
    story = log(*sleeping(), mode(480, STOP_SLEEP, SLEEPING, NORMAL))
    site = Site(*by_1_0(wanted(sleep(0, 60), sleep(60, 60))))
    synced(story, site)
    assert spans(site.stored, "Sleep") == [(0, 60), (60, 480)]


def test_a_nap_within_a_night_of_t_connect_does_not_end_the_night() -> None:
    story = log(*sleeping(), mode(480, STOP_SLEEP, SLEEPING, NORMAL))
    site = Site(*by_tconnect(sleep(0, 480), sleep(60, 30)))
    assert "Sleep" not in kinds(synced(story, site))


def test_an_exercise_of_t_connect_does_not_hide_a_sleep() -> None:
    story = log(
        mode(0, START_EXERCISE, NORMAL, EXERCISING),
        mode(60, STOP_EXERCISE, EXERCISING, NORMAL),
        mode(60, START_SLEEP, NORMAL, SLEEPING),
        mode(120, STOP_SLEEP, SLEEPING, NORMAL),
    )
    assert kinds(synced(story, Site(*by_tconnect(sleep(60, 60))))) == ["Exercise"]


@pytest.mark.parametrize("seconds", [-100, -3, 0, 3, 100])
def test_a_bolus_is_the_same_although_the_clouds_differ_in_its_time_and_amount(
    seconds: int,
) -> None:
    story = log(*request(0, 7, 3.137), delivered(2, 7, 3.137))
    site = Site(*by_tconnect(bolus(seconds / 60, 3.14)))
    assert synced(story, site).create == []


@pytest.mark.parametrize(("minutes", "units"), [(3, 3.14), (0, 3.2), (-3, 3.14)])
def test_another_bolus_is_not_taken_for_it(minutes: float, units: float) -> None:
    story = log(*request(0, 7, 3.137), delivered(2, 7, 3.137))
    assert kinds(synced(story, Site(*by_tconnect(bolus(minutes, units))))) == ["Combo Bolus"]


def test_one_bolus_of_t_connect_stands_for_one() -> None:
    story = log(delivered(2, 7, 1), delivered(3, 8, 1))
    for older in (by_tconnect(bolus(1, 1)), by_1_0(wanted(bolus(1, 1)))):
        plan = synced(story, Site(*older))
        assert [document["created_at"] for document in bodies(plan.create)] == [created_at(at(2))]


def test_a_bolus_that_a_person_corrected_is_not_shown_again_beside_the_correction() -> None:
    story = log(*request(0, 7, 5), delivered(2, 7, 5))
    for older in (by_tconnect(bolus(0, 5)), by_1_0(wanted(bolus(0, 5)))):
        site = Site({**older[0], "insulin": 4.5})
        plan = synced(story, site)
        assert (plan.create, plan.update) == ([], [])


def test_a_correction_does_not_swallow_the_bolus_beside_it() -> None:
    story = log(delivered(2, 7, 5), delivered(3, 8, 1))
    corrected = {**by_tconnect(bolus(0, 5))[0], "insulin": 4.5}
    site = Site(corrected, *by_tconnect(bolus(1, 1)))
    assert synced(story, site).create == []
    assert [it["insulin"] for it in bodies(synced(story, Site(corrected)).create)] == [1]
    at_once = log(delivered(2, 8, 1), delivered(2, 7, 5))
    site = Site(corrected, *by_tconnect(bolus(0.05, 1)))
    assert synced(at_once, site).create == []


def test_an_extended_bolus_of_t_connect_is_known_by_both_its_parts() -> None:
    asked = request(0, 7, 8, options=1, now_percent=25, duration=60)
    story = log(*asked, delivered(2, 7, 2), slowly_delivered(62, 7, 6))
    site = Site(*by_tconnect(bolus(0, 2), bolus(60, 6)))
    assert synced(story, site).create == []


def test_the_cannula_belongs_to_the_site_change_that_t_connect_had() -> None:
    story = log(suspended(0), entry(10, 33), entry(35, 61), resumed(36))
    site = Site(*by_tconnect(basal(0, 36, 0), suspension(0, "site-cart")))
    plan = synced(story, site)
    assert sorted(kinds(plan)) == ["Basal Resume", "Basal Suspension", "Insulin Change"]


def test_the_next_site_change_is_a_new_one() -> None:
    story = log(entry(35, 61), entry(600, 61))
    site = Site(*by_tconnect(suspension(0, "site-cart")))
    assert [it["created_at"] for it in bodies(synced(story, site).create)] == [created_at(at(600))]


def test_a_duration_that_is_far_too_long_hides_no_more_than_nightscout_shows_of_it() -> None:
    """The last document of 1.0 has no duration; the one before it may have any."""
    site = Site(*by_1_0(wanted(basal(0, 1439), basal(30, 0))))
    synced(log(*rates(0, 120), nothing_new(120)), site)
    covered = [
        (begins, min(ends, 30) if begins == 0 else ends) for begins, ends in spans(site.stored)
    ]
    assert covered == [(0, 30), *((minute, minute + 5) for minute in range(30, 120, 5))]


@pytest.mark.parametrize("duration", [-5, 0, None, "30", 1e12, {}])
def test_a_document_that_does_not_say_how_long_it_lasts_hides_nothing(duration: Any) -> None:
    site = Site({**by_tconnect(basal(2, 30))[0], "duration": duration})
    plan = plan_of(log(*rates(0, 30), nothing_new(30)), site)
    assert spans(bodies(plan.create)) == [(minute, minute + 5) for minute in range(0, 30, 5)]


def test_the_other_way_round_nothing_is_shown_twice_either() -> None:
    site = Site()
    synced(a_day(), site)
    before = len(site.stored)
    shown = wanted(
        basal(0, 65),
        basal(65, 36.5),
        basal(101.5, 30.5, 0),
        basal(132, 50),
        bolus(61, 3.2),
        suspension(101.5),
    )
    plan = planned(shown, site.stored)
    assert (plan.create, plan.update) == ([], [])
    longer = [*shown, *wanted(basal(182, 60), bolus(200, 1))]
    site.carry_out(planned(longer, site.stored))
    assert len(site.stored) == before + 2
    plan = planned(longer, site.stored)
    assert (plan.create, plan.update) == ([], [])
    assert synced(a_day(), site).create == []


def test_what_a_person_edited_before_the_change_stays() -> None:
    story = a_day()
    for older in (by_3x(story, 182), by_tconnect(basal(0, 182), bolus(61, 3.2))):
        for document in older:
            document["notes"] = "looked at"
        site = Site(*older)
        assert synced(story, site).update == []


def test_documents_of_other_people_are_not_touched_and_hide_nothing() -> None:
    story = a_day()
    alike = by_3x(story, 182) + by_tconnect(basal(0, 182))
    others = [
        {name: it for name, it in document.items() if name not in (*OURS, "pump_event_id")}
        | {"enteredBy": who}
        for who, document in zip(("Mum", "Loop", "") * 50, alike, strict=False)
    ]
    site = Site(*others)
    before = [dict(document) for document in site.stored]
    plan = synced(story, site)
    assert plan.update == []
    assert len(plan.create) == len(wanted_of(story))
    assert site.stored[: len(before)] == before


def test_numbers_that_a_new_pump_counts_anew_belong_to_other_days() -> None:
    story = log(*request(0, 7, 2), delivered(2, 7, 2))
    (before,) = by_3x(story, until=2)
    last_year = {**before, "created_at": created_at(at(-1440 * 365))}
    assert kinds(synced(story, Site(last_year))) == ["Combo Bolus"]


def test_a_document_that_a_wrong_zone_put_elsewhere_is_still_known_by_its_number() -> None:
    story = log(*request(0, 7, 2), delivered(2, 7, 2))
    (before,) = by_3x(story, until=2)
    site = Site({**before, "created_at": created_at(at(2 - 360))})
    plan = synced(story, site)
    assert (plan.create, plan.doubts) == ([], [])


def test_four_times_as_many_documents_are_compared_in_four_times_the_time() -> None:
    def compared(count: int) -> Callable[[], None]:
        entries: list[Entry] = []
        shown: list[Event] = []
        for number in range(count):
            entries += [rate(5 * number, 800), delivered(5 * number + 1, number, 1.0)]
            shown += [basal(5 * number + 1, 2), bolus(5 * number + 1, 1.0)]
        site = Site(*by_tconnect(*shown))
        story = log(*entries)
        want = wanted_of(story)

        def compare() -> None:
            assert kinds(planned(want, site.stored)) == ["Temp Basal"] * count

        return compare

    grows_no_faster_than_its_input(compared, 500)


def reading(seconds: float, glucose: int, kind: ReadingKind = ReadingKind.SENSOR) -> Reading:
    return Reading(f"reading {seconds}", at(seconds / 60), glucose, kind)


def entries_of_readings(*readings: Reading) -> list[Document]:
    return entries(readings, TimeRange(at(-60), at(600)))


@pytest.mark.parametrize(
    ("seconds", "glucose", "kind", "count"),
    [
        (0, 120, ReadingKind.SENSOR, 0),
        (-3, 120, ReadingKind.SENSOR, 0),
        (30, 120, ReadingKind.SENSOR, 0),
        (31, 120, ReadingKind.SENSOR, 1),
        (3, 121, ReadingKind.SENSOR, 1),
        (3, 120, ReadingKind.FINGER, 1),
    ],
)
def test_a_reading_is_the_same_although_the_clouds_differ_in_its_second(
    seconds: float, glucose: int, kind: ReadingKind, count: int
) -> None:
    stored = entries_of_readings(reading(-300, 120), reading(0, 120), reading(300, 120))
    new = entries_of_readings(reading(seconds, glucose, kind))
    plan = with_entries(Plan(), new, stored)
    assert (len(plan.entries), plan.kept) == (count, 1 - count)


def test_a_reading_of_another_program_hides_nothing_but_its_own_second() -> None:
    stored = [{**it, "device": "share2"} for it in entries_of_readings(reading(0, 120))]
    new = entries_of_readings(reading(3, 120))
    assert with_entries(Plan(), new, stored).entries == new
    assert with_entries(Plan(), entries_of_readings(reading(0, 120)), stored).entries == []


def test_stored_readings_that_cannot_be_read_do_no_harm() -> None:
    broken: list[Document] = [
        {"type": "sgv", "sgv": [120], "date": 1.7e12, "device": ENTERED_BY},
        {"type": "sgv", "sgv": None, "date": "now", "device": ENTERED_BY},
        {"device": ENTERED_BY},
    ]
    new = entries_of_readings(reading(0, 120))
    assert with_entries(Plan(), new, broken).entries == new


# What follows holds for every way in which a site was filled before.


@st.composite
def pasts(draw: st.DrawFn) -> list[Document]:
    """Documents of another source or version for some of the time of :func:`a_day`."""
    lengths = draw(st.lists(st.integers(10, 600), max_size=30))
    shown: list[Event] = []
    start = draw(st.integers(-60, 600))
    for length in lengths:
        if draw(st.booleans()):
            shown.append(basal(start / 10, length / 10, draw(st.sampled_from([0.0, 0.8]))))
        start += length
    if draw(st.booleans()):
        shown.append(bolus(61 + draw(st.integers(-60, 60)) / 60, 3.2))
    minutes = draw(st.integers(10, 180))
    if draw(st.booleans()):
        shown.append(sleep(minutes, 30))
    past: list[Document] = draw(
        st.sampled_from(
            [
                by_tconnect(*shown),
                by_1_0(wanted(*shown)),
                by_3x(part(a_day(), 0, minutes), until=minutes),
            ]
        )
    )
    keep = draw(st.lists(st.booleans(), min_size=len(past), max_size=len(past)))
    return [document for document, kept in zip(past, keep, strict=True) if kept]


def shown_halves(documents: Iterable[Document]) -> Iterator[int]:
    """Yield each half minute that is all within a basal, as often as it is."""
    for begins, ends in spans(documents):
        yield from range(ceil(begins * 2), floor(ends * 2))


@settings(max_examples=200, deadline=None)
@given(pasts(), st.integers(0, 182))
def test_whatever_was_there_all_is_shown_and_nothing_changes_a_second_time(
    past: list[Document], now: int
) -> None:
    site = Site(*past)
    synced(part(a_day(), 0, now), site)
    synced(a_day(), site)
    boluses = [it for it in site.stored if it["eventType"] == "Combo Bolus"]
    assert [round(it["insulin"], 2) for it in boluses] == [3.2]
    halves = Counter(shown_halves(site.stored))
    for want in wanted_of(a_day()):
        if want.body.get("absolute"):
            # Pieces that are too short are left out, and of two pieces the shorter one.
            assert len([half for half in shown_halves([want.body]) if half not in halves]) <= 6
    if not any("pump_event_id" in document for document in past):
        assert all(halves[half] == number for half, number in Counter(shown_halves(past)).items())
