"""Of several pumps, basal is that of the one that showed last that it is worn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.events import Basal
from tconnectsync.sources.tandemsource.basals.basalowner import (
    Owner,
    owned_parts,
    owner_at,
    owners,
    owns_since,
)
from tconnectsync.sources.tandemsource.pumps.wornsigns import Sign, signs
from tests.support.event_builders import at, basal
from tests.support.log_builders import entry, log, rate

MINUTE = timedelta(minutes=1)


def shown(*minutes: float) -> list[Sign]:
    return [Sign(at(minute), f"sign {minute}") for minute in minutes]


def left(one: Basal, own: Sequence[Sign], other: Sequence[Sign]) -> list[tuple[float, float]]:
    """Return start and length in minutes of what is left to pump 0, which was worn first."""
    taken = owners([own, other], 0)
    return [minutes_of(it) for it in owned_parts([one], own, 0, taken)]


def minutes_of(it: Basal) -> tuple[float, float]:
    return (it.start - at(0)) / MINUTE, it.duration / MINUTE


def test_what_shows_that_a_pump_is_worn() -> None:
    story = log(
        entry(0, 33, insulinvolume=180),
        entry(1, 61, completionstatus=3),
        entry(2, 63),
        entry(3, 12),
        entry(4, 64, bolusid=1),
        entry(5, 55, bolusid=1),
        entry(6, 20, bolusid=1),
    )
    assert [(sign.at - at(0)) / MINUTE for sign in signs(story)] == [0, 1, 2, 3, 4, 5, 6]


def test_what_goes_on_in_a_drawer_shows_nothing() -> None:
    drawer = [entry(2, 11), rate(3, 0, 0), rate(8, 800), entry(9, 280), entry(10, 21), entry(11, 5)]
    assert signs(log(*drawer)) == []


@pytest.mark.parametrize("status", [0, 1, 2])
@pytest.mark.parametrize("code", [61, 63])
def test_a_fill_that_was_broken_off_shows_nothing(code: int, status: int) -> None:
    assert signs(log(entry(0, code, completionstatus=status))) == []


def test_before_all_signs_the_first_pump_claims() -> None:
    taken = owners([[], shown(10)], 0)
    assert [owner_at(taken, at(minute)) for minute in (-9000, 9, 10, 11)] == [0, 0, 1, 1]


def test_of_two_signs_at_one_instant_the_later_pump_s_counts() -> None:
    assert owner_at(owners([shown(10), shown(10)], 0), at(10)) == 1
    assert owner_at(owners([[], shown(10), shown(10)], 0), at(10)) == 2


def test_a_pump_owns_what_comes_as_long_as_no_other_shows_a_sign() -> None:
    taken = owners([shown(30), shown(10)], 0)
    assert owns_since(taken, 0, at(12))
    assert owns_since(taken, 1, at(29))
    assert not owns_since(taken, 1, at(30))


def test_a_basal_ends_with_the_sign_of_another_pump() -> None:
    taken = owners([[], shown(12)], 0)
    running = basal(10, 5, running=True)
    (found,) = owned_parts([running], [], 0, taken)
    assert minutes_of(found) == (10, 2)
    assert (found.key, found.cut, found.running) == (running.key, True, False)


def test_a_basal_that_no_other_pump_claims_stays_as_it_is() -> None:
    taken = owners([shown(-5), shown(15)], 0)
    for it in (basal(10, 5), basal(5, 5, running=True)):
        assert owned_parts([it], shown(-5), 0, taken) == [it]


def test_a_basal_of_a_pump_in_a_drawer_is_left_without_duration() -> None:
    taken = owners([[], shown(0)], 0)
    (found,) = owned_parts([basal(10, 5)], [], 0, taken)
    assert (minutes_of(found), found.cut, found.running) == ((10, 0), True, False)


def test_a_basal_of_a_pump_that_is_worn_again_begins_there_under_a_name_of_its_own() -> None:
    taken = owners([shown(12), shown(0)], 0)
    lost, rest = owned_parts([basal(10, 5, running=True)], shown(12), 0, taken)
    assert (minutes_of(lost), lost.key, lost.cut) == ((10, 0), "basal 10", True)
    assert (minutes_of(rest), rest.key) == ((12, 3), "basal 10 from sign 12")
    assert (rest.cut, rest.running) == (False, True)


def test_a_long_suspension_may_be_claimed_in_pieces() -> None:
    own = shown(0, 40)
    assert left(basal(10, 90), own, shown(20, 70)) == [(10, 10), (40, 30)]


def test_a_sign_at_the_second_in_which_a_basal_begins_counts_from_there_on() -> None:
    assert left(basal(10, 5), shown(10), shown(0)) == [(10, 5)]


def test_a_piece_that_an_earlier_run_may_have_written_is_taken_back() -> None:
    """What was known then did not have the sign of the other pump in the same second."""
    own = shown(12)
    before = owned_parts([basal(10, 5)], own, 0, owners([own, shown(0)], 0))
    after = owned_parts([basal(10, 5)], own, 0, owners([own, shown(0, 12)], 0))
    assert {it.key for it in before} == {it.key for it in after}
    assert all(it.cut and not it.duration for it in after)


def test_a_piece_that_a_wrong_clock_of_another_pump_cut_off_is_part_of_the_whole_again() -> None:
    own = shown(12)
    before = owned_parts([basal(10, 5)], own, 0, owners([own, shown(11)], 0))
    after = owned_parts([basal(10, 5)], own, 0, owners([own, shown(40)], 0))
    assert [minutes_of(it) for it in before] == [(10, 1), (12, 3)]
    assert [minutes_of(it) for it in after] == [(10, 5), (12, 0)]
    assert [it.key for it in before] == [it.key for it in after]
    assert after[1].cut


minutes = st.lists(st.integers(0, 300), max_size=8, unique=True)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[list[Sign], list[Basal]]]:
    """Return the signs and the basals, which follow one another, of some pumps."""
    found = []
    for pump in range(draw(st.integers(1, 3))):
        own = [Sign(at(minute), f"{pump} {minute}") for minute in sorted(draw(minutes))]
        ends = sorted(draw(st.lists(st.integers(0, 300), max_size=10, unique=True)))
        basals = [basal(start, end - start) for start, end in pairwise(ends)]
        found.append((own, basals))
    return found


def all_left(
    story: Sequence[tuple[list[Sign], list[Basal]]], taken: Sequence[Owner]
) -> list[tuple[int, Basal]]:
    return [
        (pump, it)
        for pump, (own, basals) in enumerate(story)
        for it in owned_parts(basals, own, pump, taken)
    ]


def is_reported(basals: Sequence[Basal], instant: datetime) -> bool:
    return any(it.start <= instant < it.ends for it in basals)


@given(stories())
def test_each_minute_counts_once_and_for_the_pump_that_claims_it(
    story: list[tuple[list[Sign], list[Basal]]],
) -> None:
    taken = owners([own for own, _ in story], 0)
    found = all_left(story, taken)
    for minute in range(300):
        instant = at(minute + 0.5)
        claims = owner_at(taken, instant)
        claiming = [pump for pump, it in found if it.start <= instant < it.ends]
        assert claiming == [claims] * is_reported(story[claims][1], instant)
    assert len({(pump, it.key) for pump, it in found}) == len(found)


@given(stories(), st.integers(0, 300))
def test_it_makes_no_difference_how_the_time_is_cut(
    story: list[tuple[list[Sign], list[Basal]]], border: int
) -> None:
    whole = owners([own for own, _ in story], 0)
    later = [
        (
            [sign for sign in own if sign.at > at(border)],
            [b for b in basals if b.start >= at(border)],
        )
        for own, basals in story
    ]
    part = owners([own for own, _ in later], owner_at(whole, at(border)))
    expected = [
        (pump, it)
        for pump, (own, _) in enumerate(story)
        for it in owned_parts(later[pump][1], own, pump, whole)
    ]
    assert all_left(later, part) == expected


@given(stories())
def test_what_another_pump_uploads_later_only_takes_away(
    story: list[tuple[list[Sign], list[Basal]]],
) -> None:
    """So everything that was written before is claiming again, if with less time or none."""
    before = owned_parts(story[0][1], story[0][0], 0, owners([story[0][0]], 0))
    after = owned_parts(story[0][1], story[0][0], 0, owners([own for own, _ in story], 0))
    known = {it.key: it for it in after}
    for it in filter(attrgetter("duration"), before):
        assert known[it.key].duration <= it.duration
