"""Documents of older versions: which event each one is about, and when that is in doubt."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from tconnectsync.nightscout.provenance import ENTERED_BY, Document, created_at
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan import Plan
from tests.support.event_builders import at, bodies, planned
from tests.support.log_builders import delivered, entry, log, nothing_new, rates, request, wanted_of

ODD = 31 / 60
OLD_TYPES = {"Insulin Change": "Site Change", "Note": "Site Change"}
HOUR = 60
NAMES = count()


def by_3x(want: Treatment, minutes: float = 0.0, **changes: Any) -> Document:
    """Return what 3.x wrote of an event, some minutes off."""
    names = ("identifier", "syncIdentifier", "checksum")
    body = {name: it for name, it in want.body.items() if name not in names}
    moment = (want.noted_at or want.at) + timedelta(minutes=minutes)
    old = {
        **body,
        "_id": f"{next(NAMES):024x}",
        "eventType": OLD_TYPES.get(body["eventType"], body["eventType"]),
        "created_at": created_at(moment),
        "enteredBy": ENTERED_BY,
    }
    return {**old, **changes}


def a_bolus(minutes: float = ODD, units: float = 2.5, number: int = 7) -> list[Treatment]:
    return wanted_of(log(*request(minutes - 2, number, units), delivered(minutes, number, units)))


def what(plan: Plan) -> tuple[int, int, int]:
    """Return how many are created, updated and doubtful."""
    return len(plan.create), len(plan.update), len(plan.doubts)


@pytest.mark.parametrize("author", [ENTERED_BY, "Mum", "", None])
def test_number_and_time_decide_whatever_the_author(author: str | None) -> None:
    want = a_bolus()
    plan = planned(want, [by_3x(want[0], enteredBy=author)])
    assert (what(plan), plan.kept) == ((0, 0, 0), 1)


@pytest.mark.parametrize("minutes", [-26 * HOUR, -8 * HOUR, -HOUR, 45, 15, -345, 26 * HOUR])
def test_a_corrected_zone_or_summer_time_has_moved_it_by_quarters_of_an_hour(
    minutes: float,
) -> None:
    want = a_bolus()
    assert what(planned(want, [by_3x(want[0], minutes)])) == (0, 0, 0)
    # Saved in the dialog, it has lost its seconds.
    cut = by_3x(want[0], minutes - ODD, protein="", insulin=9)
    assert what(planned(want, [cut])) == (0, 0, 0)


@pytest.mark.parametrize("minutes", [-25 * HOUR - 7, -5 * HOUR - 7, 3 * HOUR + 1, 27 * HOUR])
def test_a_number_alone_hours_apart_is_another_pump_s(minutes: float) -> None:
    want = a_bolus()
    plan = planned(want, [by_3x(want[0], minutes)])
    assert what(plan) == (1, 0, 0)
    assert plan.create[0].body["created_at"] == created_at(want[0].at)


@pytest.mark.parametrize("minutes", [-7, 2, 40])
def test_a_number_some_minutes_apart_is_in_doubt_and_said(minutes: float) -> None:
    want = a_bolus()
    plan = planned(want, [by_3x(want[0], minutes)])
    assert (what(plan), plan.kept) == ((0, 0, 1), 1)
    assert plan.doubts[0].startswith("Combo Bolus of 2024-03-05 12:00:31")
    assert created_at(want[0].at + timedelta(minutes=minutes)) in plan.doubts[0]


def test_another_amount_hours_apart_is_in_doubt_unless_others_have_moved_alike() -> None:
    want = [*a_bolus(), *wanted_of(log(*rates(0, 30)))]
    other = by_3x(want[0], -3 * HOUR, insulin=1.1)
    assert what(planned(want[:1], [other])) == (0, 0, 1)
    moved = [by_3x(each, -3 * HOUR) for each in want[1:4]]
    assert what(planned(want[:1] + want[1:4], [other, *moved])) == (0, 0, 0)


def test_a_clock_that_was_wrong_by_minutes_has_moved_all_alike() -> None:
    want = wanted_of(log(*rates(0, 30)))
    older = [by_3x(each, 7.2) for each in want]
    assert what(planned(want, older)) == (0, 0, 0)
    # Two that are off by as much prove nothing.
    assert what(planned(want[:2], older[:2])) == (0, 0, 2)


@pytest.mark.parametrize("minutes", [12, -700, 1000.5])
@pytest.mark.parametrize("trace", [{"protein": ""}, {"enteredBy": "Mum"}])
def test_what_a_person_moved_is_the_same(minutes: float, trace: Document) -> None:
    want = a_bolus()
    assert what(planned(want, [by_3x(want[0], minutes, **trace)])) == (0, 0, 0)


def test_what_was_dragged_has_milliseconds() -> None:
    want = a_bolus()
    dragged = by_3x(want[0], 0, created_at=created_at(at(100) + timedelta(milliseconds=317)))
    assert what(planned(want, [dragged])) == (0, 0, 0)


def test_of_several_candidates_the_right_time_then_the_amount_decides() -> None:
    want = a_bolus()
    right = by_3x(want[0], insulin=9.9)
    for others in ([by_3x(want[0], -HOUR)], [by_3x(want[0], 0, insulin=3)]):
        plan = planned(want, [*others, right])
        assert (what(plan), plan.kept) == ((0, 0, 0), 1)
    first, second = a_bolus(units=1.0), a_bolus(units=2.0, number=8)
    twins = [by_3x(second[0], -HOUR), by_3x(first[0], -HOUR)]
    assert what(planned([*first, *second], twins)) == (0, 0, 0)


def test_equal_numbers_of_two_pumps_are_two_events() -> None:
    first, second = a_bolus(units=1.0), a_bolus(5 * HOUR + ODD + 7, units=1.0)
    assert first[0].body["pump_event_id"] == second[0].body["pump_event_id"]
    both = [*first, *second]
    assert what(planned(both, [])) == (2, 0, 0)
    plan = planned(both, [by_3x(first[0])])
    assert [it["created_at"] for it in bodies(plan.create)] == [created_at(second[0].at)]
    assert what(planned(both, [by_3x(first[0]), by_3x(second[0])])) == (0, 0, 0)
    # Not even whole hours apart: each has one that fits to the minute.
    hour = a_bolus(HOUR + ODD, units=1.0)
    assert what(planned([*first, *hour], [by_3x(first[0])])) == (1, 0, 0)


def test_a_basal_that_a_person_calls_otherwise_is_still_the_basal() -> None:
    (want,) = wanted_of(log(*rates(0, 5), nothing_new(5)))
    note = by_3x(want, eventType="Note", protein="", rate="0.8")
    assert what(planned([want], [note])) == (0, 0, 0)


@pytest.mark.parametrize("code", [33, 61, 63])
def test_every_fill_was_a_site_change(code: int) -> None:
    want = wanted_of(log(entry(ODD, code)))
    assert what(planned(want, [by_3x(want[0])])) == (0, 0, 0)
