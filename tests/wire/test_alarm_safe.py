"""What the pump did by itself waits until it silences no alarm, and nothing is lost by that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tconnectsync.domain.clock import TimeRange
from tconnectsync.nightscout.provenance import instant
from tconnectsync.simulators.history import (
    BasalSegment,
    BolusRecord,
    PumpHistory,
    SiteChange,
    midnight,
)
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sync.run.catchup import caught_up
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import date_range, last_days
from tests.support.command import SECRET, cloud
from tests.support.event_builders import NEW_YORK
from tests.support.world import TConnectWorld

FIRST = date(2024, 6, 3)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TEN = 10 * MINUTE
NOON = datetime(2024, 6, 4, 12)
EVERYTHING = ("BASAL", "BOLUS", "PUMP_EVENTS")


def at(minutes: float) -> datetime:
    """Return a moment of the pump's wall clock, some minutes after noon of the second day."""
    return NOON + minutes * MINUTE


def lunch() -> PumpHistory:
    """Return a story in which automatic and asked-for boluses follow close upon each other."""
    return PumpHistory(
        first_day=FIRST,
        days=6,
        control_iq=True,
        basal=[
            BasalSegment(midnight(FIRST), (36 * 60 - 25) * 60, 0.8, "algorithm"),
            BasalSegment(at(-25), 24 * 60, 0.5, "algorithm"),
            BasalSegment(at(-1), 4 * 24 * 3600, 1.1, "algorithm"),
        ],
        boluses=[
            BolusRecord(1, at(-60), at(-58), 2.0, 2.0, carbs=16),
            BolusRecord(2, at(2), at(3), 0.4, 0.4, kind="automatic"),
            BolusRecord(3, at(4), at(5), 5.0, 5.0, carbs=40),
        ],
        site_changes=[SiteChange(at(-5), "site")],
    )


class AlarmWorld(TConnectWorld):
    """A world that looks at what is shown around noon."""

    def cycle_at(self, now: datetime, *features: str, **changes: Any) -> Cycle:
        """Return a cycle as soon as the pump has uploaded; the rest is as for `cycle`."""
        self.tandem.uploaded_until = now
        return self.cycle(*features, now=NEW_YORK.instant(now), **changes)

    def run(self, cycle: Cycle, *kinds: str, catch_up: float = 14) -> Outcome:
        """Run as a command without dates does, which reaches back to the newest of some kinds."""
        newest = [cycle.nightscout.newest(kind) for kind in kinds or ("Temp Basal", "Combo Bolus")]
        wanted, _ = caught_up(last_days(1, cycle.now()), newest, catch_up)
        outcome = cycle.run(wanted, in_order=True)
        assert not outcome.failures
        return outcome

    def shown(self) -> list[tuple[str, float, str]]:
        """Return type, minutes after noon and text of all treatments, oldest first."""
        noon = NEW_YORK.instant(NOON)
        found = [
            (document["eventType"], (when - noon) / MINUTE, document["identifier"])
            for document in self.site.treatments
            if (when := instant(document))
        ]
        return sorted(found, key=lambda each: (each[1], each[0]))

    def since(self, minutes: float) -> list[tuple[str, float]]:
        """Return what is shown from so many minutes after noon on."""
        return [each[:2] for each in self.shown() if each[1] >= minutes]


@pytest.fixture
def make() -> Iterator[Callable[[PumpHistory], AlarmWorld]]:
    with ExitStack() as stack:

        def make(history: PumpHistory) -> AlarmWorld:
            site = stack.enter_context(SmallNightscout(SECRET))
            return AlarmWorld(stack.enter_context(cloud(history)), site)

        yield make


@pytest.fixture
def world(make: Callable[[PumpHistory], AlarmWorld]) -> AlarmWorld:
    return make(lunch())


BOTH = pytest.mark.parametrize("gaps", ["true", "false"], ids=["SYNC_GAPS", "no SYNC_GAPS"])


@BOTH
def test_what_a_person_did_goes_at_once_and_what_the_pump_did_comes_later(
    world: AlarmWorld, gaps: str
) -> None:
    first = world.run(world.cycle_at(at(6), SYNC_GAPS=gaps))
    assert world.since(-30) == [("Temp Basal", -25), ("Site Change", -5), ("Combo Bolus", 5)]
    assert len(first.waiting) == 2
    assert first.more_in == 7.5 * MINUTE

    world.run(world.cycle_at(at(12), SYNC_GAPS=gaps))
    assert ("Temp Basal", -1) in world.since(-5)
    assert ("Combo Bolus", 3) not in world.since(-5)

    last = world.run(world.cycle_at(at(14), SYNC_GAPS=gaps))
    assert world.since(-5) == [
        ("Site Change", -5),
        ("Temp Basal", -1),
        ("Combo Bolus", 3),
        ("Combo Bolus", 5),
    ]
    assert (last.waiting, last.more_in) == ({}, None)


def test_with_no_minutes_nothing_waits(world: AlarmWorld) -> None:
    outcome = world.run(world.cycle_at(at(6), ALARM_SAFE_MINUTES="0"))
    assert outcome.waiting == {}
    assert [minutes for _, minutes in world.since(-5)] == [-5, -1, 3, 5]


def test_a_basal_that_began_long_ago_grows_while_a_new_one_waits(world: AlarmWorld) -> None:
    world.run(world.cycle_at(at(-10)))
    outcome = world.run(world.cycle_at(at(6)))
    assert {d["absolute"] for d in world.site.treatments if "absolute" in d} == {0.5, 0.8}
    (basal,) = (d for d in world.site.treatments if d.get("absolute") == 0.5)
    assert (outcome.updated, basal["duration"]) == (1, 24)
    assert ("Temp Basal", -1) not in world.since(-5)


@BOTH
@pytest.mark.parametrize(
    ("days_later", "catch_up"), [(1, 0), (1, 14), (3, 14)], ids=["daily alone", "daily", "outage"]
)
def test_what_waited_before_a_pause_of_days_still_comes(
    world: AlarmWorld, days_later: int, catch_up: float, gaps: str
) -> None:
    world.run(world.cycle_at(at(6), "BOLUS", SYNC_GAPS=gaps), "Combo Bolus")
    assert world.since(0) == [("Combo Bolus", 5)]

    later = at(6) + days_later * DAY
    cycle = world.cycle_at(later, "BOLUS", SYNC_GAPS=gaps)
    world.run(cycle, "Combo Bolus", catch_up=catch_up)
    assert world.since(0) == [("Combo Bolus", 3), ("Combo Bolus", 5)]


def test_days_in_the_past_neither_wait_nor_bring_anything_of_the_day_before(
    make: Callable[[PumpHistory], AlarmWorld],
) -> None:
    midnights = [midnight(FIRST) + days * DAY - 3 * MINUTE for days in (1, 2)]
    boluses = [
        BolusRecord(number, when, when + MINUTE, 0.4, 0.4, kind="automatic")
        for number, when in enumerate(midnights, 1)
    ]
    world = make(PumpHistory(FIRST, 4, control_iq=True, boluses=boluses))
    cycle = world.cycle_at(midnight(FIRST) + 3 * DAY, "BOLUS")
    second_day = FIRST + DAY
    outcome = cycle.run(date_range(second_day, second_day, NEW_YORK, cycle.now()))
    assert (outcome.created, outcome.waiting) == (1, {})


def test_a_range_that_ends_now_waits_too_and_a_run_without_dates_brings_the_rest(
    world: AlarmWorld,
) -> None:
    cycle = world.cycle_at(at(6))
    outcome = cycle.run(TimeRange(cycle.now() - DAY, cycle.now()))
    assert len(outcome.waiting) == 2
    world.run(world.cycle_at(at(16)))
    assert [minutes for _, minutes in world.since(-5)] == [-5, -1, 3, 5]


def test_what_waits_around_midnight_is_counted_once(
    make: Callable[[PumpHistory], AlarmWorld],
) -> None:
    midnight_of_week = midnight(FIRST) + 7 * DAY
    begins = midnight_of_week - 4 * MINUTE
    basals = [
        BasalSegment(midnight(FIRST), 7 * 86_400 - 240, 0.8, "algorithm"),
        BasalSegment(begins, 3600, 0.5, "algorithm"),
    ]
    world = make(PumpHistory(FIRST, 9, control_iq=True, basal=basals))
    cycle = world.cycle_at(midnight_of_week + 2 * MINUTE, "BASAL")
    outcome = cycle.run(TimeRange(NEW_YORK.midnight(FIRST), cycle.now()))
    assert len(outcome.waiting) == 1
    assert outcome.created == 1


@pytest.mark.parametrize("pretend", [True, False])
def test_a_run_says_how_much_waits_until_when(
    world: AlarmWorld, caplog: pytest.LogCaptureFixture, pretend: bool
) -> None:
    with caplog.at_level(logging.INFO, "tconnectsync"):
        world.run(world.cycle_at(at(6), pretend=pretend))
    (said,) = (text for text in caplog.messages if "ALARM_SAFE_MINUTES" in text)
    assert said.startswith("2 automatic treatments are held back until 12:13 ")
    assert bool(world.site.treatments) is not pretend


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("every", [4, 25])
def test_after_a_number_of_runs_the_site_is_as_if_nothing_had_ever_waited(
    make: Callable[[PumpHistory], AlarmWorld], every: int, gaps: str
) -> None:
    life = live(FIRST, 3, seed=5)
    waiting, hasty = make(life), make(life)
    moments = [at(minutes) for minutes in range(-30, 5 * every, every)]
    for moment in moments:
        waiting.run(waiting.cycle_at(moment, SYNC_GAPS=gaps))
        hasty.run(hasty.cycle_at(moment, SYNC_GAPS=gaps, ALARM_SAFE_MINUTES="0"))
        assert_only_a_person_is_heard_at_once(waiting, moment)
    end = moments[-1] + 11 * MINUTE
    for world in (waiting, hasty):
        world.run(world.cycle_at(end, SYNC_GAPS=gaps))
    since, until = -8 * 60, (moments[-1] - NOON) / MINUTE
    as_it_should_be = [each for each in hasty.shown() if since <= each[1] <= until]
    assert len({kind for kind, _, _ in as_it_should_be}) > 1
    assert [each for each in waiting.shown() if since <= each[1] <= until] == as_it_should_be


def assert_only_a_person_is_heard_at_once(world: AlarmWorld, moment: datetime) -> None:
    now = NEW_YORK.instant(moment).astimezone(UTC)
    young = [d for d in world.site.treatments if (at := instant(d)) and now - at <= TEN]
    for document in young:
        assert document["eventType"] not in ("Temp Basal", "Sleep")
        assert "Automatic" not in document["notes"]
