"""No two treatments of a type share an instant, also where a plan is not carried out whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.nightscout.provenance import created_at
from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan import Plan, Update
from tconnectsync.sync.plan.plan import around, freeing_first
from tconnectsync.sync.plan.slots import set_apart_anew, slots
from tests.support.event_builders import desired, updating

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


def basal(minutes: float, name: str) -> Treatment:
    at = NOON + timedelta(minutes=minutes)
    document = {
        "eventType": "Temp Basal",
        "created_at": created_at(at),
        "identifier": name,
        "_id": name,
    }
    return desired(document)


def moved(name: str, start: float, end: float) -> Update:
    return updating(basal(start, name).body, basal(end, name).body)


def minutes(treatment: Treatment | StoredTreatment) -> float:
    assert treatment.at
    return (treatment.at - NOON) / timedelta(minutes=1)


def test_what_stays_keeps_its_instant_and_what_was_to_take_it_goes_beside_it() -> None:
    plan = Plan([basal(0, "new")], [moved("old", 0, 60)])
    left = plan.without(["old"])
    assert left.update == []
    assert [minutes(each) for each in left.create] == [1 / 60_000]
    assert plan.create == [basal(0, "new")]


def test_what_goes_beside_lands_on_nothing_else_that_is_stored_or_planned() -> None:
    step = 1 / 60_000
    taken = frozenset(slots([basal(step, "a person's")]))
    plan = Plan([basal(0, "new"), basal(2 * step, "twin")], [moved("old", 0, 60)], taken=taken)
    left = plan.without(["old"])
    assert len(slots(left.create) | taken | slots([plan.update[0].stored])) == 4
    assert left.create[1] == plan.create[1]


def test_an_update_that_relied_on_another_one_goes_beside_it_too() -> None:
    plan = Plan([basal(0, "new")], [moved("a", 0, 60), moved("b", 60, 120), moved("c", -60, 0)])
    left = plan.without(["b"])
    assert [minutes(each.after) for each in left.update] == [60 + 1 / 60_000, 0]
    left = plan.without(["a"])
    assert minutes(left.update[1].after) == 1 / 60_000
    assert minutes(left.create[0]) == 2 / 60_000


def test_an_update_that_does_not_move_stays_where_it_is() -> None:
    stays = moved("a", 0, 0)
    assert around([stays], slots([basal(0, "a")])) == [stays]


def test_nothing_to_leave_out_changes_nothing() -> None:
    plan = Plan([basal(1, "new")], [moved("old", 0, 60)])
    assert plan.without([]) == plan


def test_an_update_follows_the_one_that_frees_its_instant() -> None:
    chain = [moved(str(n), 60 * n, 60 * (n + 1)) for n in range(2000)]
    assert freeing_first(chain) == chain[::-1]
    assert freeing_first(chain[::-1]) == chain[::-1]


def test_two_that_change_places_are_both_carried_out() -> None:
    swap = [moved("a", 0, 60), moved("b", 60, 0)]
    assert sorted(each.after.identifier for each in freeing_first(swap)) == ["a", "b"]


PLACES = st.integers(0, 6)


@given(
    st.lists(st.tuples(PLACES, PLACES), max_size=6, unique_by=lambda move: move[0]),
    st.sets(PLACES, max_size=3),
    st.sets(st.integers(0, 5)),
)
def test_whatever_is_left_out_no_instant_is_ever_shared(
    moves: list[tuple[int, int]], new: set[int], left_out: set[int]
) -> None:
    """As a law, on a grid of milliseconds."""
    step = 1 / 60_000
    targets: set[int] = set()
    updates = []
    for number, (start, end) in enumerate(moves):
        if end not in targets:
            targets.add(end)
            updates.append(moved(str(number), start * step, end * step))
    stay = {start for start, _ in moves} - {round(minutes(u.stored) / step) for u in updates}
    fixed = [basal(place * step, f"stays {place}") for place in stay]
    creations = [basal(p * step, f"new {p}") for p in new - targets - stay]
    updates = [u for u in updates if round(minutes(u.after) / step) not in stay]
    kept_out = {u.stored.identifier for u in updates}
    fixed += [basal(s * step, str(n)) for n, (s, _) in enumerate(moves) if str(n) not in kept_out]
    standing = [u.stored for u in updates if u.stored.slot == u.after.slot]
    plan = Plan(creations, updates, taken=frozenset(slots([*fixed, *standing])))
    left = plan.without({str(number) for number in left_out})
    stayed = [u.stored for u in updates if u.stored.identifier in {str(n) for n in left_out}]
    written = [*(update.after for update in left.update), *left.create]
    final = [*(it.slot for it in stayed), *(it.slot for it in written)]
    assert len(set(final)) == len(final)
    assert not set(final) & set(slots(fixed))


def test_a_time_keeps_the_offset_of_the_pump() -> None:
    time = "2024-05-06T22:00:00+02:00"
    sleep = desired({"eventType": "Sleep", "created_at": time, "identifier": "sleep"})
    (placed,) = set_apart_anew([sleep], {sleep.slot})
    assert placed.body["created_at"] == "2024-05-06T22:00:00.001+02:00"
