"""Sleep and exercise out of the log of a pump on Tandem Source."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import UserMode, UserModeKind
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.log.logentries import Entry, by_code
from tconnectsync.sources.tandemsource.log.records import records_of
from tconnectsync.sources.tandemsource.usermodes import begins_inside, user_modes
from tests.support.event_builders import NEW_YORK, at, wanted
from tests.support.log_builders import (
    EXERCISING,
    FIRST,
    NORMAL,
    SLEEPING,
    START_EXERCISE,
    START_SLEEP,
    STOP_ALL,
    STOP_EXERCISE,
    STOP_SLEEP,
    log,
    mode,
)

NO_REQUEST, EATING_SOON, START_EATING_SOON = 0, 3, 6


def read(*entries: Entry, until: float = 1000, **missing: int) -> list[UserMode]:
    skipped: Counter[str] = Counter()
    found = user_modes(log(*entries), at(until), skipped)
    assert skipped == {
        f"{kind} whose end is not in the pump's log": n for kind, n in missing.items()
    }
    return found


def periods(found: list[UserMode]) -> list[tuple[str, float, float]]:
    """Return kind, start and length in minutes."""
    minute = timedelta(minutes=1)
    return [
        (it.kind.name.capitalize(), (it.start - at(0)) / minute, it.duration / minute)
        for it in found
    ]


def falls_asleep(minutes: float, **values: Any) -> Entry:
    return mode(minutes, START_SLEEP, NORMAL, SLEEPING, **values)


def wakes_up(minutes: float, **values: Any) -> Entry:
    return mode(minutes, STOP_SLEEP, SLEEPING, NORMAL, **values)


def begins_exercise(minutes: float, **values: Any) -> Entry:
    return mode(minutes, START_EXERCISE, NORMAL, EXERCISING, **values)


def ends_exercise(minutes: float, **values: Any) -> Entry:
    return mode(minutes, STOP_EXERCISE, EXERCISING, NORMAL, **values)


def test_a_start_and_the_next_stop_are_a_period() -> None:
    found = read(falls_asleep(0), wakes_up(480), begins_exercise(500), ends_exercise(560))
    assert periods(found) == [("Sleep", 0, 480), ("Exercise", 500, 60)]
    assert [it.log_ids for it in found] == [(FIRST, FIRST + 1), (FIRST + 2, FIRST + 3)]
    assert not any(it.running for it in found)
    assert wanted(*found)[0].body["pump_event_id"] == f"{FIRST},{FIRST + 1}"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"sleepstartedbygui": 1, "activesleepschedule": 1}, "Sleep (Manual)"),
        ({"sleepstartedbygui": 0, "activesleepschedule": 2}, "Sleep (Scheduled)"),
        ({"activesleepschedule": 8}, "Sleep (Scheduled)"),
        ({"sleepstartedbygui": 0, "activesleepschedule": 0}, "Sleep"),
        ({}, "Sleep"),
    ],
)
def test_a_sleep_says_how_it_came_about(values: dict[str, int], text: str) -> None:
    for story in ([falls_asleep(0, **values)], [falls_asleep(0, **values), wakes_up(9)]):
        (want,) = wanted(*read(*story))
        assert (want.body["eventType"], want.body["reason"], want.body["notes"]) == (
            "Sleep",
            text,
            text,
        )


@pytest.mark.parametrize(
    ("started", "stopped", "text"),
    [
        ({"exercisechoice": 0}, {"exercisestoppedbytimer": 0}, "Exercise"),
        ({"exercisechoice": 1}, {}, "Exercise (Timed)"),
        (
            {"exercisechoice": 1},
            {"exercisestoppedbytimer": 1},
            "Exercise (Timed) (Stopped by timer)",
        ),
        ({}, {"exercisestoppedbytimer": 1}, "Exercise (Stopped by timer)"),
    ],
)
def test_an_exercise_says_how_it_came_about_and_ended(
    started: dict[str, int], stopped: dict[str, int], text: str
) -> None:
    (want,) = wanted(*read(begins_exercise(0, **started), ends_exercise(30, **stopped)))
    assert (want.body["eventType"], want.body["notes"]) == ("Exercise", text)


def test_what_goes_on_is_sent_with_the_time_known_so_far() -> None:
    (found,) = read(falls_asleep(0), until=90)
    assert (found.running, found.duration, found.log_ids) == (
        True,
        timedelta(minutes=90),
        (FIRST,),
    )
    (later,) = read(falls_asleep(0), wakes_up(480))
    assert (later.key, later.running) == (found.key, False)


def test_what_has_just_begun_waits_for_the_next_look() -> None:
    assert read(falls_asleep(0), until=0) == []


@pytest.mark.parametrize("begins", [falls_asleep, begins_exercise])
def test_stop_all_ends_sleep_and_exercise(begins: Any) -> None:
    start = begins(0)
    before = start.values["currentusermode"]
    (found,) = read(start, mode(30, STOP_ALL, before, NORMAL))
    assert (found.running, found.duration) == (False, timedelta(minutes=30))


@pytest.mark.parametrize("action", [START_SLEEP, START_EXERCISE])
def test_stop_all_ends_whatever_goes_on_where_no_modes_are_said(action: int) -> None:
    (found,) = read(mode(0, action), mode(30, STOP_ALL))
    assert (found.running, found.duration) == (False, timedelta(minutes=30))


def test_sleep_goes_on_by_itself_after_exercise() -> None:
    found = read(
        falls_asleep(0, activesleepschedule=1),
        mode(60, START_EXERCISE, SLEEPING, EXERCISING),
        mode(90, STOP_EXERCISE, EXERCISING, SLEEPING, activesleepschedule=1),
        wakes_up(480),
    )
    assert periods(found) == [("Sleep", 0, 60), ("Exercise", 60, 30), ("Sleep", 90, 390)]
    assert len({it.key for it in found}) == 3


def test_a_schedule_begins_sleep_without_anybody_asking_for_it() -> None:
    found = read(
        mode(0, NO_REQUEST, NORMAL, SLEEPING, activesleepschedule=1),
        mode(480, NO_REQUEST, SLEEPING, NORMAL),
    )
    assert [(*it, text.text) for it, text in zip(periods(found), found, strict=True)] == [
        ("Sleep", 0, 480, "Sleep (Scheduled)")
    ]


def test_a_second_start_goes_on_with_the_first() -> None:
    again = mode(30, START_SLEEP, SLEEPING, SLEEPING)
    assert periods(read(falls_asleep(0), again, wakes_up(60))) == [("Sleep", 0, 60)]
    assert periods(read(mode(0, START_SLEEP), mode(30, START_SLEEP), mode(60, STOP_SLEEP))) == [
        ("Sleep", 0, 60)
    ]


def test_exercise_ends_a_sleep_that_was_not_stopped() -> None:
    for story in (
        [falls_asleep(0), mode(30, START_EXERCISE, SLEEPING, EXERCISING), ends_exercise(60)],
        [mode(0, START_SLEEP), mode(30, START_EXERCISE), mode(60, STOP_EXERCISE)],
    ):
        assert periods(read(*story)) == [("Sleep", 0, 30), ("Exercise", 30, 30)]


def test_a_period_whose_end_is_lost_is_counted_and_does_not_swallow_the_next() -> None:
    found = read(falls_asleep(0), falls_asleep(1440), wakes_up(1920), sleep=1)
    assert periods(found) == [("Sleep", 1440, 480)]


def test_a_period_whose_end_is_lost_does_not_run_without_end() -> None:
    assert read(falls_asleep(0), mode(100, NO_REQUEST, NORMAL, NORMAL), sleep=1) == []
    found = read(falls_asleep(0), ends_exercise(600), wakes_up(700), sleep=1)
    assert found == []


def test_an_end_whose_start_is_lost_is_nothing() -> None:
    assert read(wakes_up(0), ends_exercise(30), mode(60, STOP_ALL, NORMAL, NORMAL)) == []
    assert read(mode(0, STOP_SLEEP), mode(30, STOP_EXERCISE), mode(60, STOP_ALL)) == []


def test_a_log_that_opens_in_the_middle_of_a_sleep_says_so_as_long_as_it_matters() -> None:
    assert begins_inside(log(wakes_up(10)), at(10))
    assert not begins_inside(log(wakes_up(10)), at(11))
    assert not begins_inside(log(falls_asleep(0), wakes_up(10)), at(0))
    assert not begins_inside({}, at(0))
    goes_on = mode(5, START_SLEEP, SLEEPING, SLEEPING)
    assert begins_inside(log(goes_on, wakes_up(20)), at(15))
    assert begins_inside(log(goes_on), at(15))


def test_the_end_of_something_else_ends_nothing() -> None:
    found = read(mode(0, START_SLEEP), mode(30, STOP_EXERCISE), mode(60, STOP_SLEEP))
    assert periods(found) == [("Sleep", 0, 60)]


def test_eating_soon_ends_a_sleep_and_is_not_shown() -> None:
    found = read(falls_asleep(0), mode(30, START_EATING_SOON, SLEEPING, EATING_SOON))
    assert periods(found) == [("Sleep", 0, 30)]


@pytest.mark.parametrize("spelling", ["currentUserMode", "CurrentUserMode", "current_user_mode"])
def test_names_match_whatever_their_spelling(spelling: str) -> None:
    def event(number: int, hour: int, before: int, after: int) -> dict[str, Any]:
        return {
            "eventCode": 229,
            "sequenceGroup": 0,
            "sequenceNumber": number,
            "pumpDateTime": f"2024-03-05T0{hour}:00:00",
            "eventProperties": {
                spelling: after,
                "PREVIOUS USER MODE": before,
                "activeSleepSchedule": [0, 2],
            },
        }

    events = [event(1, 1, NORMAL, SLEEPING), event(2, 7, SLEEPING, NORMAL)]
    clock = LogClock(PumpClock(NEW_YORK.zone), [], newest=None, uploaded=None)
    story = by_code(records_of(events, {229}, Counter()), clock, at(0))
    (found,) = user_modes(story, at(0), Counter())
    assert (found.kind, found.duration, found.text) == (
        UserModeKind.SLEEP,
        timedelta(hours=6),
        "Sleep (Scheduled)",
    )


ACTIONS = st.sampled_from(range(8))
MODES = st.one_of(st.none(), st.sampled_from(range(4)))


@given(st.lists(st.tuples(st.integers(0, 90), ACTIONS, MODES, MODES), max_size=25))
def test_periods_never_overlap_whatever_the_log_says(
    story: list[tuple[int, int, int | None, int | None]],
) -> None:
    minute, entries = 0, []
    for pause, action, before, after in story:
        minute += pause
        entries.append(mode(minute, action, before, after))
    found = user_modes(log(*entries), at(minute), Counter())
    assert all(one.ends <= other.start for one, other in pairwise(found))
    assert not any(it.running for it in found[:-1])
    assert len({it.key for it in found}) == len(found)
