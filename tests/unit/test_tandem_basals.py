"""Basal insulin out of the log of a pump on Tandem Source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.events import Basal
from tconnectsync.sources.tandemsource.basals.basals import basals, begins_suspended
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.reader import LogReader
from tests.support.event_builders import at, wanted
from tests.support.growth import grows_no_faster_than_its_input
from tests.support.log_builders import (
    ALGORITHM,
    FIRST,
    NOTHING,
    PROFILE,
    TEMP,
    entry,
    log,
    nothing_new,
    part,
    rate,
    rates,
    reader,
    resumed,
    suspended,
)


def read(*entries: Entry, until: float = 1000) -> list[Basal]:
    skipped: Counter[str] = Counter()
    found = basals(log(*entries), at(until), skipped)
    assert not skipped
    return found


def segments(found: list[Basal]) -> list[tuple[float, float, float]]:
    """Return start and length in minutes, and the rate."""
    return [
        ((it.start - at(0)) / timedelta(minutes=1), it.duration / timedelta(minutes=1), it.rate)
        for it in found
    ]


def test_every_entry_is_a_basal_until_the_next() -> None:
    found = read(rate(0, 800), rate(5, 900), rate(11, 1000, PROFILE))
    assert segments(found) == [(0, 5, 0.8), (5, 6, 0.9), (11, 5, 1.0)]
    assert [it.log_ids for it in found] == [(FIRST,), (FIRST + 1,), (FIRST + 2,)]
    assert not any(it.running for it in found)


def test_where_the_log_has_a_gap_a_basal_lasts_five_minutes() -> None:
    assert segments(read(rate(0, 800), rate(6.02, 900), rate(600, 700))) == [
        (0, 5, 0.8),
        (6.02, 5, 0.9),
        (600, 5, 0.7),
    ]


def test_a_gap_of_whole_days_is_a_gap() -> None:
    assert segments(read(rate(0, 800), rate(1440, 900), until=2000))[0] == (0, 5, 0.8)


@pytest.mark.parametrize(
    ("until", "minutes", "running"), [(2, 2, True), (5.5, 5, True), (7, 5, False)]
)
def test_the_last_basal_runs_to_the_newest_instant_of_the_log(
    until: float, minutes: float, running: bool
) -> None:
    (found,) = read(rate(0, 800), until=until)
    assert (found.duration, found.running) == (timedelta(minutes=minutes), running)


def test_a_basal_that_has_lasted_no_time_is_not_sent_as_the_end_of_the_one_before() -> None:
    assert segments(read(rate(0, 800), rate(5, 900), until=5)) == [(0, 5, 0.8)]


def test_of_two_entries_in_one_second_the_later_counts() -> None:
    assert segments(read(rate(0, 800), rate(5, 700), rate(5, 900), rate(10, 800))) == [
        (0, 5, 0.8),
        (5, 5, 0.9),
        (10, 5, 0.8),
    ]


@given(st.integers(0, 15_000))
def test_a_rate_is_exact_to_the_milliunit(milliunits: int) -> None:
    (found,) = read(rate(0, milliunits))
    assert found.rate == milliunits / 1000
    (document,) = wanted(found)
    assert document.body["absolute"] == document.body["rate"] == round(found.rate, 3)


@pytest.mark.parametrize("value", [65535, 15_001, -1, 0.5, None, "800", True])
def test_a_rate_that_cannot_be_is_counted_and_left_out(value: Any) -> None:
    skipped: Counter[str] = Counter()
    found = basals(log(rate(0, 800), rate(5, value), rate(10, 900)), at(60), skipped)
    assert segments(found) == [(0, 5, 0.8), (10, 5, 0.9)]
    assert skipped == {"basal entry without a plausible rate": 1}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (0, "Suspended"),
        (1, "Profile"),
        (2, "TempRate"),
        (3, "Algorithm"),
        (4, "TempRateAndAlgorithm"),
        (5, ""),
        (None, ""),
    ],
)
def test_the_reason_is_where_the_rate_comes_from(source: int | None, reason: str) -> None:
    (found,) = read(rate(0, 0, source))
    (document,) = wanted(found)
    assert (found.reason, document.body["reason"]) == (reason, reason)


def test_a_suspension_is_one_basal_of_its_true_length() -> None:
    found = read(
        rate(0, 800),
        suspended(3),
        *rates(4, 29, 0, NOTHING),
        resumed(30),
        rate(30, 900),
    )
    assert segments(found) == [(0, 3, 0.8), (3, 27, 0), (30, 5, 0.9)]
    stop = found[1]
    assert (stop.reason, stop.log_ids) == ("Suspended", (FIRST + 1,))


def test_a_suspension_of_days_keeps_its_whole_days() -> None:
    found = read(suspended(0), resumed(3 * 1440 + 7), until=5000)
    assert segments(found) == [(0, 3 * 1440 + 7, 0)]


def test_a_suspension_runs_as_long_as_nothing_says_that_it_is_over() -> None:
    story = [suspended(0), rate(1, 0, NOTHING)]
    (found,) = read(*story, until=50)
    assert (found.duration, found.running) == (timedelta(minutes=50), True)
    (later,) = read(*story, resumed(90), until=90)
    assert (later.key, later.duration, later.running) == (found.key, timedelta(minutes=90), False)


def test_a_suspension_that_has_just_begun_waits_for_the_next_look() -> None:
    assert segments(read(rate(0, 800), suspended(4), until=4)) == [(0, 4, 0.8)]


def test_a_basal_after_a_suspension_ends_it_where_the_log_lacks_the_word_for_it() -> None:
    assert segments(read(suspended(0), rate(1, 0, NOTHING), rate(20, 700), until=22)) == [
        (0, 20, 0),
        (20, 2, 0.7),
    ]


def test_entries_without_a_source_do_not_end_a_suspension() -> None:
    assert segments(read(suspended(0), rate(5, 800, None), resumed(20))) == [(0, 20, 0)]


def test_the_last_rate_of_the_second_of_a_suspension_does_not_end_it() -> None:
    for story in ([rate(0, 800), suspended(0)], [suspended(0), rate(0, 800)]):
        assert segments(read(*story, resumed(10))) == [(0, 10, 0)]


def test_in_the_second_of_resuming_nothing_is_said_to_be_suspended() -> None:
    found = read(suspended(0), rate(10, 0, NOTHING), resumed(10), rate(10, 700), until=15)
    assert segments(found) == [(0, 10, 0), (10, 5, 0.7)]


def test_a_second_suspension_goes_on_where_the_first_was() -> None:
    assert segments(read(suspended(0), suspended(10), resumed(30))) == [(0, 10, 0), (10, 20, 0)]


def test_a_log_that_opens_in_the_middle_of_a_suspension_says_so() -> None:
    whole = log(suspended(0), *rates(1, 31, 0, NOTHING), resumed(31), rate(31, 800))
    assert not begins_suspended(whole, at(0))
    assert begins_suspended(part(whole, 1, 60), at(0))
    assert begins_suspended(part(whole, 31, 60), at(0))
    assert begins_suspended(part(whole, 1, 30), at(60))
    assert not begins_suspended(log(rate(0, 800)), at(0))
    assert not begins_suspended(log(entry(0, 20)), at(0))
    assert not begins_suspended({}, at(0))


@pytest.mark.parametrize("start", [1, 31])
def test_a_suspension_that_is_over_before_it_matters_needs_no_beginning(start: float) -> None:
    whole = log(suspended(0), *rates(1, 31, 0, NOTHING), resumed(31), rate(31, 800))
    assert begins_suspended(part(whole, start, 60), at(31))
    assert not begins_suspended(part(whole, start, 60), at(32))


def test_a_suspension_whose_beginning_cannot_be_had_is_left_out_and_nothing_else() -> None:
    entries = [*rates(0, 15, 0, NOTHING), resumed(12), rate(12, 800), suspended(20), resumed(30)]
    story = log(*entries, *rates(30, 40, 0, NOTHING))
    found = LogReader(lambda skipped: story, before=lambda codes: None).basals()
    assert segments(found) == [(12, 5, 0.8), (20, 10, 0), (30, 5, 0)]


def test_the_beginning_of_a_suspension_is_asked_for_once_and_makes_it_whole() -> None:
    asked = []

    def before(codes: Sequence[int]) -> Log:
        asked.append([*codes])
        return {11: [suspended(-4000)]}

    story = log(*rates(0, 15, 0, NOTHING), resumed(15), rate(15, 800), nothing_new(20))
    found = LogReader(lambda skipped: story, before=before).basals()
    assert segments(found) == [(-4000, 4015, 0), (15, 5, 0.8)]
    assert asked == [[11, 12]]


def test_without_its_beginning_a_suspension_is_as_long_as_the_entries_say() -> None:
    found = read(*rates(0, 15, 0, NOTHING), resumed(12), rate(12, 800), until=14)
    assert segments(found) == [(0, 5, 0), (5, 5, 0), (10, 2, 0), (12, 2, 0.8)]


def test_resuming_without_a_suspension_is_nothing() -> None:
    assert segments(read(resumed(0), rate(1, 800))) == [(1, 5, 0.8)]


def test_of_basals_without_insulin_only_a_profile_s_can_be_left_out() -> None:
    story = log(
        rate(0, 800, PROFILE),
        rate(5, 0, PROFILE),
        rate(10, 9, PROFILE),
        rate(15, 10, PROFILE),
        rate(20, 0, ALGORITHM),
        rate(25, 0, TEMP),
        suspended(30),
        resumed(40),
    )
    assert [it.rate for it in reader(story).basals()] == [0.8, 0, 0.009, 0.01, 0, 0, 0]
    found = reader(story, ignore_zero_basals=True).basals()
    assert [(it.rate, it.reason) for it in found] == [
        (0.8, "Profile"),
        (0.01, "Profile"),
        (0, "Algorithm"),
        (0, "TempRate"),
        (0, "Suspended"),
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.sampled_from(["rate", "nothing", "suspended", "resumed", "bad"])
        ),
        max_size=30,
    )
)
def test_basals_never_overlap_and_never_say_more_than_the_log(story: list[tuple[int, str]]) -> None:
    written: dict[str, Callable[[int], Entry]] = {
        "rate": lambda minute: rate(minute, 800),
        "nothing": lambda minute: rate(minute, 0, NOTHING),
        "suspended": suspended,
        "resumed": resumed,
        "bad": lambda minute: rate(minute, 65535),
    }
    minute, entries = 0, []
    for pause, kind in story:
        minute += pause
        entries.append(written[kind](minute))
    found = basals(log(*entries), at(minute + 3), Counter())
    assert all(before.ends <= after.start for before, after in pairwise(found))
    assert all(it.duration > timedelta(0) and it.ends <= at(minute + 5) for it in found)
    assert all(it.duration <= timedelta(minutes=6) for it in found if it.rate)
    assert len({it.key for it in found}) == len(found)
    assert [it.running for it in found[:-1]].count(True) == 0


def test_four_times_as_much_of_a_log_is_read_in_four_times_the_time() -> None:
    def read(days: int) -> Callable[[], None]:
        entries = []
        for hour in range(0, 60 * 24 * days, 60):
            entries += [*rates(hour, hour + 50, 800, ALGORITHM), suspended(hour + 50)]
            entries.append(resumed(hour + 57))
        story = log(*entries)

        def look() -> None:
            assert len(basals(story, at(60 * 24 * days), Counter())) == days * 24 * 11

        return look

    grows_no_faster_than_its_input(read, 20)
