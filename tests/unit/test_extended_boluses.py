"""The later part of an extended bolus is shown while it is given, in pieces that are final."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tconnectsync.domain.events import Bolus
from tconnectsync.nightscout.provenance import Document, checksum, edited, instant
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.simulators.history import (
    BasalSegment,
    BolusRecord,
    ExtendedPart,
    PumpHistory,
    midnight,
)
from tconnectsync.sources.tandemsource.boluses import extended as extended_pieces
from tconnectsync.sources.tandemsource.boluses.boluses import boluses
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sync.plan.defer import defer_recent
from tests.support.event_builders import Site, at, bodies, both_parts, planned, wanted
from tests.support.event_builders import bolus as story_bolus
from tests.support.log_builders import delivered, entry, log, nothing_new, request, slowly_delivered
from tests.support.simulated_log import as_log, entries_of_history

FIRST = date(2024, 6, 3)
MINUTE = timedelta(minutes=1)
ALARM_SAFE = 10 * MINUTE
MOST_OFF = 0.3
"""U by which Nightscout's sum may differ from what has been delivered."""


def clock(minutes: float) -> datetime:
    """Return a moment some minutes after the day before last began, to the second."""
    return midnight(FIRST) + timedelta(seconds=round(minutes * 60))


def life(bolus: BolusRecord) -> PumpHistory:
    flow = BasalSegment(midnight(FIRST), 3 * 86_400, 0.8, "profile")
    return PumpHistory(FIRST, 3, control_iq=True, basal=[flow], boluses=[bolus])


def extended(
    *,
    start: float = 720,
    minutes: float = 180,
    units: float = 6.0,
    now: float = 2.0,
    took: float | None = None,
    insulin: float | None = None,
    pauses: tuple[tuple[float, float], ...] = (),
    **other: Any,
) -> BolusRecord:
    """Return an extended bolus whose later part begins ``start`` minutes after midnight."""
    part = ExtendedPart(
        clock(start),
        clock(start + (minutes if took is None else took)),
        units if insulin is None else insulin,
        units,
        round(minutes),
        25,
        tuple((clock(start + begins), clock(start + ends)) for begins, ends in pauses),
    )
    begun = clock(start - 2)
    return BolusRecord(
        7, begun, clock(start - 1), now, now, "extended", carbs=40, extended=part, **other
    )


@st.composite
def extended_boluses(draw: st.DrawFn) -> BolusRecord:
    minutes = draw(st.integers(15, 480))
    units = draw(st.integers(20, max(30, min(2500, 6 * minutes)))) / 100
    pauses, at_minute = [], 0.0
    for _ in range(draw(st.integers(0, 3))):
        at_minute += draw(st.floats(1, max(2, minutes / 3)))
        length = draw(st.floats(1, 90))
        pauses.append((at_minute, at_minute + length))
        at_minute += length
    paused = sum(end - begin for begin, end in pauses)
    share = draw(st.sampled_from([1.0, 1.0, 0.31, 0.77]))
    took = minutes * share + paused
    assume(not pauses or pauses[-1][1] < took)
    return extended(
        start=draw(st.integers(600, 1430)),
        minutes=minutes,
        units=units,
        now=draw(st.integers(0, 500)) / 100,
        took=took,
        insulin=round(units * share, 2),
        pauses=tuple(pauses),
        end_in_log=draw(st.sampled_from(["whole", "whole", "whole", "progress"])),
    )


@cache
def story(bolus: BolusRecord) -> Any:
    return entries_of_history(life(bolus))


def read(of: Log) -> list[Bolus]:
    skipped: Counter[str] = Counter()
    found = boluses(of, skipped)
    assert not skipped
    return found


def documents_of(bolus: BolusRecord, until: datetime | None = None) -> list[Treatment]:
    return wanted(*read(as_log(story(bolus), until)))


def later_part(found: list[Treatment]) -> list[Treatment]:
    return [want for want in found if want.piece or want.whole_since]


def synced(site: Site, found: list[Treatment], now: datetime, safe: timedelta = ALARM_SAFE) -> Any:
    plan = planned([want for want in found if want.at <= now], site.stored)
    plan, _ = defer_recent(plan, found, now - safe)
    site.carry_out(plan)
    return plan


def insulin_by(documents: list[Document], moment: datetime) -> float:
    instants = ((instant(each), each.get("insulin") or 0.0) for each in documents)
    return sum(units for when, units in instants if when and when <= moment)


# -- laws ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(extended_boluses(), st.lists(st.integers(0, 700), min_size=1, max_size=8))
def test_whenever_the_pump_uploads_nightscout_comes_to_the_same(
    bolus: BolusRecord, uploads: list[int]
) -> None:
    whole = documents_of(bolus)
    final = {want.identifier: want.body for want in whole}
    site, begun = Site(), bolus.requested
    for minutes in sorted(uploads):
        until = begun + minutes * MINUTE
        found = documents_of(bolus, until)
        plan = synced(site, found, until.replace(tzinfo=UTC))
        assert not plan.update
        if bolus.end_in_log == "whole":
            assert all(final[want.identifier] == want.body for want in found)
    end = clock(3 * 1440).replace(tzinfo=UTC)
    synced(site, whole, end)
    if bolus.end_in_log == "whole":
        assert insulin_by(site.stored, end) == pytest.approx(bolus.delivered, abs=1e-9)
    once = Site()
    synced(once, whole, end)
    assert _held(site) == _held(once)
    again = planned(whole, site.stored)
    assert (again.create, again.update) == ([], [])


def _held(site: Site) -> list[Document]:
    without_id = [{k: v for k, v in each.items() if k != "_id"} for each in site.stored]
    return sorted(without_id, key=lambda each: str(each["identifier"]))


@settings(max_examples=60, deadline=None)
@given(extended_boluses(), st.integers(20, 700))
def test_what_nightscout_adds_up_is_what_was_delivered_while_the_bolus_runs(
    bolus: BolusRecord, minutes: int
) -> None:
    # No entry says what was given after the last entry of one that breaks off.
    assume(bolus.end_in_log == "whole")
    newest = bolus.requested + minutes * MINUTE
    part = bolus.extended
    assert part
    step = extended_pieces.plan(part.duration_minutes, round(part.requested_insulin * 1000)).step
    site = Site()
    synced(site, documents_of(bolus, newest), newest.replace(tzinfo=UTC))
    moment = part.start
    while moment <= newest - step - ALARM_SAFE:
        known = bolus.as_of(moment)
        shown = insulin_by(site.stored, moment.replace(tzinfo=UTC))
        assert known
        assert abs(shown - known.insulin - known.extended.insulin) <= MOST_OFF  # type: ignore[union-attr]
        moment += MINUTE


@given(st.integers(1, 1440), st.integers(1, 40_000))
def test_a_planned_piece_lasts_at_most_half_an_hour_and_holds_at_most_half_a_unit(
    minutes: int, milliunits: int
) -> None:
    planned = extended_pieces.plan(minutes, milliunits)
    assert planned.pieces
    assert planned.step + extended_pieces.LEFT_OVER <= 30 * MINUTE
    if milliunits <= 250 * minutes:
        assert milliunits / planned.pieces <= 500
    assert abs(planned.step * planned.pieces - minutes * MINUTE) <= planned.pieces * MINUTE / 60


# -- what it looks like ----------------------------------------------------------------------------


def test_the_pieces_say_which_they_are_and_count_as_insulin() -> None:
    now, *later = documents_of(extended(minutes=60, units=1.0, took=60))
    assert now.body["notes"] == "BLE Extended Bolus"
    assert (now.body["splitNow"], now.body["enteredinsulin"]) == (25, 3.0)
    assert [want.body["notes"] for want in later] == [
        "Extended Bolus (part 1 of 4)",
        "Extended Bolus (part 2 of 4)",
        "Extended Bolus (part 3 of 4)",
        "Extended Bolus (part 4 of 4, the last)",
    ]
    # The simulated pump counts in hundredths.
    assert [want.body["insulin"] for want in later] == pytest.approx([0.25] * 4, abs=0.01)
    assert sum(want.body["insulin"] for want in later) == 1.0
    assert {want.body["eventType"] for want in later} == {"Combo Bolus"}
    assert [want.at.replace(tzinfo=None) for want in later] == [
        clock(720 + minutes) for minutes in (7.5, 22.5, 37.5, 52.5)
    ]
    assert all(want.automatic for want in later)
    assert not now.automatic
    assert not any(
        {"relative", "duration", "carbs", "splitNow"} & want.body.keys() for want in later
    )


def test_a_bolus_that_was_stopped_says_so_in_its_last_piece() -> None:
    found = later_part(documents_of(extended(took=63, insulin=2.1)))
    assert sum(want.body["insulin"] for want in found) == pytest.approx(2.1)
    last = found[-1].body["notes"]
    assert last == "Extended Bolus (part 9 of 24, the last) (User Aborted: requested 6 units)"


def test_while_it_stands_still_nothing_is_shown() -> None:
    found = later_part(documents_of(extended(minutes=60, units=1, took=180, pauses=((15, 135),))))
    assert sum(want.body["insulin"] for want in found) == 1
    still = [want for want in found if clock(738) < want.at.replace(tzinfo=None) < clock(850)]
    assert sum(want.body["insulin"] for want in still) < 0.03
    assert found[-1].body["notes"] == "Extended Bolus (part 12, the last)"


def test_with_nothing_at_once_all_comes_later() -> None:
    found = documents_of(extended(minutes=60, units=1.0, now=0.0))
    assert sum(want.body.get("insulin", 0) for want in found) == 1.0
    (now,) = [want for want in found if not want.piece]
    assert now.body["carbs"] == 40
    assert "insulin" not in now.body


def test_the_pieces_of_a_bolus_over_midnight_have_their_own_days() -> None:
    found = later_part(documents_of(extended(start=1400, minutes=120, units=2)))
    assert {want.at.date() for want in found} == {FIRST, FIRST + timedelta(days=1)}


def test_a_bolus_that_breaks_off_is_shown_as_far_as_known_after_some_hours() -> None:
    broken = extended(took=60, insulin=2.0, end_in_log="progress")
    last_known = clock(720 + 57 + 22 / 60)
    soon = later_part(documents_of(broken, last_known + 100 * MINUTE))
    late = later_part(documents_of(broken, last_known + 300 * MINUTE))
    assert [want.body for want in soon] == [want.body for want in late[: len(soon)]]
    assert len(late) == len(soon) + 1
    assert late[-1].body["notes"].endswith("the last) (End not reported: requested 6 units)")
    assert sum(want.body["insulin"] for want in late) == pytest.approx(1.91, abs=0.011)


def test_an_end_that_is_found_later_completes_the_last_piece_in_place() -> None:
    broken = as_log(story(extended(took=62, insulin=2.0, end_in_log="progress")))
    found = as_log(story(extended(took=62, insulin=2.0)))
    site = Site()
    end = clock(3000).replace(tzinfo=UTC)
    synced(site, wanted(*read(broken)), end)
    before = len(site.stored)
    plan = synced(site, wanted(*read(found)), end)
    assert len(plan.update) == 1
    assert len(site.stored) == before + len(plan.create)
    assert insulin_by(site.stored, end) == pytest.approx(4.0)


# -- logs of other kinds ---------------------------------------------------------------------------


def progress(minutes: float, total: int, *, status: int = 1, bolus: int = 7, **more: Any) -> Entry:
    asked = {"requestednow": 2000, "requestedlater": 6000, "extendeddurationrequested": 180}
    return entry(
        minutes,
        280,
        bolusid=bolus,
        bolusdeliverystatus=status,
        deliveredtotal=total,
        **{**asked, **more},
    )


def asked_for() -> list[Entry]:
    return request(0, 7, 8.0, carbs=50, options=5, now_percent=25, duration=180)


def run_of(minutes: int, *, without: tuple[int, ...] = ()) -> list[Entry]:
    """Return the entries of a bolus, 2 U at once and 2 U an hour later on, so far."""
    entries = [
        *asked_for(),
        entry(0.25, 55, bolusid=7, bolussize=2.0),
        progress(0.25, 0),
        delivered(2, 7, 2.0),
        entry(2, 59, bolusid=7, bolexsize=6.0),
        progress(2, 2000),
        *(progress(2 + m, 2000 + round(m * 1000 / 30)) for m in range(5, minutes + 1, 5)),
    ]
    return [each for each in entries if each.code not in without]


def test_without_progress_the_later_part_is_one_treatment_as_ever() -> None:
    story = [*run_of(180, without=(280,)), slowly_delivered(182, 7, 6.0)]
    _, later = wanted(*read(log(*story)))
    assert (later.body["insulin"], later.body["notes"]) == (6.0, "Extended Bolus")
    assert later.at == at(182)
    assert "extendedPart" not in later.body


@pytest.mark.parametrize("lost", [64, 65, 66, 55, 59, 20])
def test_a_lost_entry_loses_no_insulin(lost: int) -> None:
    story = [*run_of(180, without=(lost,)), slowly_delivered(182, 7, 6.0), nothing_new(500)]
    found = wanted(*read(log(*story)))
    assert sum(want.body.get("insulin", 0.0) for want in found) == pytest.approx(8.0)
    assert len(later_part(found)) > 10


def test_a_bolus_that_began_before_the_log_is_shown_as_a_whole() -> None:
    story = [progress(5, 5000), progress(10, 5170), slowly_delivered(12, 7, 6.0)]
    (whole,) = wanted(*read(log(*story)))
    assert (whole.body["insulin"], whole.at) == (6.0, at(12))


def test_what_the_pump_says_at_the_end_counts() -> None:
    story = [*run_of(180), slowly_delivered(182, 7, 5.9), nothing_new(300)]
    assert sum(want.body["insulin"] for want in later_part(wanted(*read(log(*story))))) == (
        pytest.approx(5.9)
    )


# -- what stands already ---------------------------------------------------------------------------


def whole_story() -> list[Entry]:
    return [*run_of(175), slowly_delivered(182, 7, 6.0), nothing_new(300)]


def as_a_whole() -> Document:
    """Return what this version wrote when it did not read the progress."""
    numbered = log(*whole_story())
    unread = {code: entries for code, entries in numbered.items() if code not in (280, 55, 59)}
    (whole,) = later_part(wanted(*read(unread)))
    return whole.body


def _edited(document: Document, **changes: Any) -> Document:
    return {**document, **changes}


def older(**changes: Any) -> Document:
    ours = as_a_whole()
    kept = ("eventType", "created_at", "insulin", "notes", "enteredBy", "pump_event_id")
    return {**{name: ours[name] for name in kept}, "carbs": 0, **changes}


def of_t_connect(**changes: Any) -> Document:
    document = {
        **{name: value for name, value in as_a_whole().items() if name != "pump_event_id"},
        "identifier": "another name",
        "syncIdentifier": "another name",
        "notes": "Extended 25.00%/0.00 (Extended part)",
    }
    document["checksum"] = checksum(document)
    return {**document, **changes}


@pytest.mark.parametrize(
    "stored",
    [
        as_a_whole(),
        _edited(as_a_whole(), insulin=5.0, notes="mine", enteredBy="Mum"),
        _edited(as_a_whole(), created_at="2024-03-05T14:40:00Z"),
        older(),
        older(insulin=4.0, enteredBy="Mum"),
        older(created_at="2024-03-05T16:02:00Z"),
        of_t_connect(),
        of_t_connect(insulin=4.0),
        of_t_connect(notes="", created_at="2024-03-05T15:02:00Z"),
    ],
    ids=str,
)
def test_a_treatment_that_shows_the_whole_stands_for_all_pieces(stored: Document) -> None:
    found = wanted(*read(log(*whole_story())))
    site = Site(stored)
    before = site.stored
    plan = planned(found, site.stored)
    assert [each.get("insulin") for each in bodies(plan.create)] == [2.0]
    assert (plan.update, plan.kept) == ([], 1)
    site.carry_out(plan)
    again = planned(found, site.stored)
    assert (again.create, again.update, again.kept) == ([], [], 2)
    assert before[0] in site.stored


def test_a_bolus_of_the_same_size_by_somebody_else_stands_for_nothing() -> None:
    theirs = {k: v for k, v in older(enteredBy="Loop").items() if k != "pump_event_id"}
    plan = planned(wanted(*read(log(*whole_story()))), Site(theirs).stored)
    assert len(plan.create) > 20


def test_pieces_that_stand_are_not_joined_by_the_whole() -> None:
    site = Site()
    end = at(500)
    synced(site, wanted(*read(log(*whole_story()))), end)
    before = site.stored
    unread = {code: found for code, found in log(*whole_story()).items() if code != 280}
    plan = synced(site, wanted(*read(unread)), end)
    assert (plan.create, plan.update) == ([], [])
    assert site.stored == before


def test_a_window_that_was_read_in_parts_shows_nothing_twice() -> None:
    whole = log(*whole_story())
    begins = {code: [each for each in found if each.at < at(100)] for code, found in whole.items()}
    ends = {code: [each for each in found if each.at >= at(60)] for code, found in whole.items()}
    parts = [wanted(*read(part)) for part in (begins, ends, whole)]
    site = Site()
    synced(site, [want for part in parts for want in part], at(500))
    assert insulin_by(site.stored, at(500)) == pytest.approx(8.0)
    again = planned([want for part in reversed(parts) for want in part], site.stored)
    assert (again.create, again.update) == ([], [])
    filled = Site(as_a_whole())
    synced(filled, [want for part in parts for want in part], at(500))
    assert insulin_by(filled.stored, at(500)) == pytest.approx(8.0)


def test_a_whole_from_t_connect_does_not_join_the_pieces() -> None:
    site = Site()
    synced(site, wanted(*read(log(*whole_story()))), at(500))
    of_the_other = both_parts(story_bolus(0, 2.0, extended=True), 182, 6.0)
    plan = synced(site, wanted(*of_the_other), at(501))
    assert (plan.create, plan.update) == ([], [])


def test_a_piece_that_somebody_edited_stays_and_the_others_with_it() -> None:
    site = Site()
    found = wanted(*read(log(*whole_story())))
    synced(site, found, at(500))
    mine = next(each for each in site.stored if each.get("extendedPart") == 3)
    mine["insulin"] = 0.1
    assert edited(mine)
    plan = planned(found, site.stored)
    assert (plan.create, plan.update) == ([], [])


def test_the_immediate_part_is_written_as_ever() -> None:
    story = whole_story()
    unread = {code: found for code, found in log(*story).items() if code not in (280, 55, 59)}
    assert wanted(*read(unread))[0].body == wanted(*read(log(*story)))[0].body


# -- boluses whose end is missing ------------------------------------------------------------------


def standard(*ends: Entry) -> list[Entry]:
    return [*request(0, 7, 3.0, carbs=30, options=0), entry(0.25, 55, bolusid=7), *ends]


def short(minutes: float, total: int, status: int) -> Entry:
    return progress(
        minutes, total, status=status, requestednow=3000, requestedlater=0,
        extendeddurationrequested=0,
    )  # fmt: skip


def test_a_bolus_of_which_only_the_progress_is_known_is_shown() -> None:
    story = [*standard(short(0.25, 0, 1), short(2, 3000, 0)), nothing_new(20)]
    (found,) = wanted(*read(log(*story)))
    assert (found.at, found.body["insulin"], found.body["carbs"]) == (at(2), 3.0, 30)
    assert found.body["notes"] == "Standard Bolus"
    assert not found.automatic


def test_its_end_is_waited_for_first() -> None:
    assert read(log(*standard(short(0.25, 0, 1), short(2, 3000, 0)), nothing_new(10))) == []
    assert read(log(*standard(short(0.25, 0, 1), short(2, 900, 1)), nothing_new(200))) == []


def test_a_bolus_that_was_not_finished_says_so() -> None:
    story = [*standard(short(0.25, 0, 1), short(2, 900, 0)), nothing_new(20)]
    (found,) = wanted(*read(log(*story)))
    assert found.body["notes"] == "Standard Bolus (Incomplete: requested 3 units)"
    story = [*standard(short(0.25, 0, 1), short(2, 900, 1)), nothing_new(300)]
    (found,) = wanted(*read(log(*story)))
    assert (found.body["insulin"], found.body["notes"]) == (
        0.9,
        "Standard Bolus (End not reported: requested 3 units)",
    )


def test_an_end_that_comes_late_becomes_the_same_treatment() -> None:
    begun = standard(short(0.25, 0, 1), short(2, 900, 1))
    site = Site()
    synced(site, wanted(*read(log(*begun, nothing_new(300)))), at(300))
    late = wanted(*read(log(*begun, delivered(3, 7, 3.0), nothing_new(300))))
    plan = synced(site, late, at(301))
    assert (len(plan.update), plan.create) == (1, [])
    (stored,) = site.stored
    assert (stored["insulin"], stored["notes"]) == (3.0, "Standard Bolus")
    again = synced(site, late, at(302))
    assert (again.update, again.create) == ([], [])


def test_a_bolus_whose_amount_no_entry_says_is_counted() -> None:
    skipped: Counter[str] = Counter()
    story = [*standard(short(0.25, 0, 1)), nothing_new(300)]
    assert boluses(log(*story), skipped) == []
    assert skipped == {
        "bolus of which the pump's log does not say how much was delivered": 1,
    }


def test_each_bolus_of_one_number_has_its_own_progress() -> None:
    again = [
        each._replace(at=each.at + timedelta(days=2), wall=each.wall + timedelta(days=2))
        for each in whole_story()
    ]
    story = [*whole_story(), *again]
    found = wanted(*read(log(*story)))
    assert sum(want.body.get("insulin", 0.0) for want in found) == pytest.approx(16.0)
    assert len({want.identifier for want in found}) == len(found)
