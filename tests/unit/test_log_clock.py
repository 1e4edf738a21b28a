"""From the wall times of a log that records the changes of its clock to instants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tconnectsync.domain.clock import PumpClock
from tconnectsync.sources.tandemsource.clock.changes import ClockChange, LogPosition
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.clock.zonerules import zone_rules
from tests.support.clock_history import (
    DAY,
    HOUR,
    MINUTE,
    NEW_YORK,
    ZONES,
    Life,
    Setting,
    right,
    summer_time,
)

TOKYO = 9 * HOUR
WITHOUT_SUMMER_TIME = ZoneInfo("Asia/Kolkata")


def home_life(zone: ZoneInfo, late: timedelta, *more: Setting, years: int = 3) -> Life:
    start = datetime(2023, 2, 1, 12)
    end = start.replace(year=start.year + years)
    return Life(zone, start, end, [*summer_time(zone, start, end, late), *more])


LATENESS = [
    -4 * HOUR,
    -1 * MINUTE,
    0 * MINUTE,
    20 * MINUTE,
    70 * MINUTE,
    6 * HOUR,
    1 * DAY,
    14 * DAY,
    40 * DAY,
]


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("late", LATENESS, ids=str)
def test_summer_time_set_early_or_late_keeps_every_time_right(
    zone: ZoneInfo, late: timedelta
) -> None:
    life = home_life(zone, late)
    assert bool(life.changes) == (zone is not WITHOUT_SUMMER_TIME)
    assert right(life)
    assert life.disagreement() == ""
    life.upload_after = None
    assert right(life)


def test_the_night_in_which_the_clock_is_put_back_keeps_its_order() -> None:
    """With rules alone, both halves of the repeated hour would be the same."""
    switch = datetime(2025, 11, 2, 6)
    life = Life(
        NEW_YORK,
        switch - 4 * HOUR,
        switch + 4 * HOUR,
        [Setting(switch + 10 * MINUTE, -5 * HOUR)],
        every=5 * MINUTE,
    )
    assert right(life)


def test_a_person_who_has_not_put_the_clock_over_yet_is_believed() -> None:
    for end in (datetime(2025, 11, 12), datetime(2025, 3, 20)):
        life = home_life(NEW_YORK, 30 * DAY)
        life = Life(NEW_YORK, life.start, end, [each for each in life.set_to if each.at < end])
        assert right(life)
        hour = "1 hour ahead of" if end.month == 11 else "1 hour behind"
        assert hour in life.disagreement()
        life.upload_after = None
        assert right(life)


def test_after_a_season_without_a_change_on_record_the_zone_counts() -> None:
    """The change was made, but the record lacks it, and no upload shows it."""
    start, end = datetime(2023, 2, 1), datetime(2026, 2, 1)
    on_time = summer_time(NEW_YORK, start, end, HOUR * 0)
    on_time[-1] = replace(on_time[-1], on_record=False)
    for upload_after in (None, 2 * DAY, 4 * MINUTE):
        life = Life(NEW_YORK, start, end, on_time, upload_after=upload_after)
        assert right(life)
        assert "changed at least once without an entry" in life.disagreement()


@pytest.mark.parametrize("missing", range(1, 6))
@pytest.mark.parametrize("zone", [NEW_YORK, ZoneInfo("Australia/Sydney")], ids=str)
def test_a_change_missing_from_the_record_harms_nothing_if_it_was_made_in_time(
    zone: ZoneInfo, missing: int
) -> None:
    life = home_life(zone, 0 * HOUR)
    gap = replace(life.set_to[missing], on_record=False)
    life = Life(
        zone, life.start, life.end, [*life.set_to[:missing], gap, *life.set_to[missing + 1 :]]
    )
    assert right(life)


def test_a_journey_shifts_nothing_before_or_after_it() -> None:
    away = [Setting(datetime(2024, 5, 3, 1), TOKYO), Setting(datetime(2024, 5, 13, 9), -4 * HOUR)]
    life = home_life(NEW_YORK, 3 * DAY, *away)
    assert right(life)
    assert life.disagreement() == ""


@pytest.mark.parametrize("offset", [TOKYO, -7 * HOUR, 1 * HOUR, -5 * HOUR], ids=str)
def test_a_person_who_is_still_away_is_away_only_since_then(offset: timedelta) -> None:
    start, end = datetime(2023, 2, 1), datetime(2025, 7, 9)
    at_home = summer_time(NEW_YORK, start, end, 2 * HOUR)
    away = Setting(datetime(2025, 7, 2, 3), offset)
    for upload_after in (4 * MINUTE, None):
        life = Life(NEW_YORK, start, end, [*at_home, away], upload_after=upload_after)
        assert right(life)
        assert "TIMEZONE_NAME (America/New_York)" in life.disagreement()


@pytest.mark.parametrize("offset", [TOKYO, -7 * HOUR, -5 * HOUR], ids=str)
@pytest.mark.parametrize("with_history", [True, False])
def test_a_long_stay_elsewhere_is_proven_by_the_upload(
    offset: timedelta, with_history: bool
) -> None:
    start, left = datetime(2023, 2, 1), datetime(2025, 5, 2, 3)
    at_home = summer_time(NEW_YORK, start, left, 2 * HOUR)
    life = Life(NEW_YORK, start, left + 90 * DAY, [*at_home, Setting(left, offset)])
    if not with_history:
        life = Life(NEW_YORK, left - 40 * DAY, left + 90 * DAY, [Setting(left, offset)])
    assert right(life)


def test_who_moved_to_the_neighbouring_zone_keeps_the_times_of_before() -> None:
    start, moved, end = datetime(2021, 2, 1), datetime(2025, 7, 2), datetime(2025, 9, 20)
    there = summer_time(ZoneInfo("America/Chicago"), start, moved, 3 * DAY)
    life = Life(NEW_YORK, start, end, [*there, Setting(moved, -4 * HOUR)], first_offset=-6 * HOUR)
    assert right(life)


def test_a_person_who_moved_and_said_so_is_at_home_now() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, moved = datetime(2023, 2, 1), datetime(2025, 7, 2)
    for end in (moved + 3 * DAY, moved + 90 * DAY):
        there = summer_time(NEW_YORK, start, moved, 2 * HOUR)
        life = Life(berlin, start, end, [*there, Setting(moved, 2 * HOUR)], first_offset=-5 * HOUR)
        assert right(life)
        assert life.disagreement() == ""
    life.upload_after = None
    assert right(life)


@pytest.mark.parametrize("drift", [-3 * MINUTE, 8 * MINUTE, 40 * timedelta(seconds=1)], ids=str)
def test_a_drift_put_right_is_no_change_of_zone(drift: timedelta) -> None:
    start, end = datetime(2025, 1, 10), datetime(2025, 2, 10)
    life = Life(NEW_YORK, start, end, [Setting(datetime(2025, 1, 20), -5 * HOUR + drift)])
    assert set(life.errors()) == {0 * MINUTE, drift}
    assert life.disagreement() == ""


@pytest.mark.parametrize("drift", [-8 * MINUTE, 8 * MINUTE], ids=str)
def test_an_hour_put_back_with_a_drift_is_an_hour(drift: timedelta) -> None:
    start, end = datetime(2025, 7, 10), datetime(2026, 2, 10)
    life = Life(NEW_YORK, start, end, [Setting(datetime(2025, 11, 2, 12), -5 * HOUR + drift)])
    assert set(life.errors()) == {0 * MINUTE, drift}


@pytest.mark.parametrize("wrong", [-7 * DAY, DAY, 12 * HOUR], ids=str)
def test_a_wrong_date_put_right_leaves_the_times_before_it_alone(wrong: timedelta) -> None:
    mistake = Setting(datetime(2025, 7, 2, 3), -4 * HOUR + wrong)
    put_right = Setting(datetime(2025, 7, 5, 3), -4 * HOUR)
    life = home_life(NEW_YORK, 2 * HOUR, mistake, put_right)
    assert right(life)
    assert life.disagreement() == ""


@pytest.mark.parametrize("wrong", [-6209 * DAY - 433 * timedelta(seconds=1), 3 * DAY], ids=str)
def test_a_clock_that_lost_its_date_without_a_record_does_not_move_years(wrong: timedelta) -> None:
    lost = Setting(datetime(2025, 7, 2, 3), -4 * HOUR + wrong, on_record=False)
    put_right = Setting(datetime(2025, 7, 2, 5), -4 * HOUR)
    assert right(home_life(NEW_YORK, 2 * HOUR, lost, put_right))


BERLIN = ZoneInfo("Europe/Berlin")
SUMMER = timedelta(hours=2)
AUTUMN_NIGHT = datetime(2025, 10, 26, 1)
"""When Berlin's clocks are put back, in UTC."""


def lost_for(at: datetime, hours: float, before: timedelta) -> list[Setting]:
    """Return how a clock loses its date without a record, and is put right to what it showed."""
    lost = datetime(2008, 1, 1) - at
    return [Setting(at, lost, on_record=False), Setting(at + hours * HOUR, before)]


@pytest.mark.parametrize("away", [timedelta(hours=-5), timedelta(hours=6)])
def test_a_date_lost_on_a_journey_moves_nothing(away: timedelta) -> None:
    leaves = datetime(2025, 6, 12, 9)
    there = SUMMER + away
    life = Life(
        BERLIN,
        datetime(2025, 6, 10),
        datetime(2025, 6, 20),
        [
            Setting(leaves, there),
            *lost_for(leaves + DAY, 14, there),
            Setting(leaves + 3 * DAY, SUMMER),
        ],
    )
    assert right(life)


def test_a_date_that_was_ahead_on_a_journey_moves_nothing() -> None:
    """Believed to have been set for home, it would be about what was after the upload."""
    leaves, winter = datetime(2025, 1, 4, 19, 47), timedelta(hours=1)
    there = winter - 3 * HOUR
    life = Life(
        BERLIN,
        leaves - 19 * HOUR,
        leaves + 47 * HOUR,
        [
            Setting(leaves, there),
            Setting(leaves + DAY, there + 2 * DAY),
            Setting(leaves + 38 * HOUR, there),
        ],
    )
    assert right(life)


def test_a_date_lost_before_the_clock_was_put_back_late_moves_nothing() -> None:
    """Put back in time, it would have lost its date after it was put right."""
    life = Life(
        BERLIN,
        AUTUMN_NIGHT - 3 * DAY,
        AUTUMN_NIGHT + 5 * DAY,
        [
            *lost_for(AUTUMN_NIGHT + 9 * HOUR, 5, SUMMER),
            Setting(AUTUMN_NIGHT + 2 * DAY, SUMMER - HOUR),
        ],
    )
    assert right(life)


def test_a_date_lost_after_the_clock_was_put_back_leaves_the_repeated_hour_alone() -> None:
    winter = SUMMER - HOUR
    life = Life(
        BERLIN,
        AUTUMN_NIGHT - 3 * DAY,
        AUTUMN_NIGHT + 9 * DAY,
        [
            Setting(AUTUMN_NIGHT + 18 * MINUTE, winter),
            *lost_for(AUTUMN_NIGHT + 5 * DAY, 14, winter),
        ],
    )
    assert right(life)


@pytest.mark.parametrize("days", [3, 700])
def test_the_first_set_up_of_a_pump_moves_nothing(days: int) -> None:
    start = datetime(2023, 5, 1)
    set_up = Setting(start + 2 * HOUR, -4 * HOUR)
    end = start + days * DAY
    later = summer_time(NEW_YORK, set_up.at, end, HOUR)
    life = Life(NEW_YORK, start, end, [set_up, *later], first_offset=-2016 * DAY)
    position = life.changes[0].position
    for upload_after in (4 * MINUTE, None):
        life.upload_after = upload_after
        pairs = zip(life.entries, life.errors(), strict=True)
        assert not any(error for (at, _), error in pairs if at >= position)
        assert life.disagreement() == ""


def test_the_log_alone_is_enough_to_see_a_first_set_up() -> None:
    change = ClockChange((0, 5), datetime(2020, 1, 12, 4), datetime(2025, 7, 20, 4))
    plain, wall = PumpClock(NEW_YORK), datetime(2025, 8, 1)
    clock = LogClock(plain, [change], newest=None, uploaded=None)
    assert clock.instants([((0, 9), wall)]) == [plain.instant(wall)]


@pytest.mark.parametrize(
    "newest", [datetime(2035, 7, 1), datetime(2008, 1, 1), datetime(2024, 1, 1), datetime.max]
)
def test_a_newest_time_that_cannot_be_true_is_ignored(newest: datetime) -> None:
    life = home_life(NEW_YORK, 2 * DAY)
    life.newest = newest
    assert right(life)
    assert life.disagreement() == ""


def test_a_slow_upload_moves_nothing() -> None:
    for minutes in (20, 60, 75, 180, 600, 9000):
        life = home_life(NEW_YORK, 2 * DAY)
        life.upload_after = minutes * MINUTE
        assert right(life)
        assert life.disagreement() == ""


def test_a_fast_clock_is_said_and_moves_nothing() -> None:
    life = home_life(NEW_YORK, 2 * HOUR)
    life.upload_after = -20 * MINUTE
    assert right(life)
    assert "20 minutes after its own upload" in life.disagreement()


def test_right_after_the_clock_was_put_back_the_latest_wall_time_is_an_old_one() -> None:
    switch = datetime(2025, 11, 2, 6)
    settings = [Setting(datetime(2025, 3, 9, 7), -4 * HOUR), Setting(switch, -5 * HOUR)]
    life = Life(NEW_YORK, datetime(2025, 1, 1), switch + 8 * MINUTE, settings)
    life.newest = datetime(2025, 11, 2, 1, 59)
    assert right(life)


def test_the_note_of_a_new_date_with_the_old_time_is_not_taken_for_the_newest_entry() -> None:
    """Back from a journey: by that note, the pump would be hours ahead since."""
    back = datetime(2025, 10, 7, 11, 36)
    home, there = 13 * HOUR, 8 * HOUR
    life = Life(
        ZoneInfo("Pacific/Auckland"),
        datetime(2025, 10, 4, 11),
        back + 14 * HOUR,
        [Setting(datetime(2025, 10, 5, 12, 20), there), Setting(back, home)],
    )
    life.newest = datetime(2025, 10, 8, 19, 36)
    assert right(life)
    assert life.disagreement() == ""


def no_record(start: datetime, end: datetime, *set_to: Setting, every: timedelta) -> Life:
    unrecorded = [replace(setting, on_record=False) for setting in set_to]
    return Life(NEW_YORK, start, end, unrecorded, every=every)


def test_without_a_record_the_order_separates_the_halves_of_the_repeated_hour() -> None:
    switch = datetime(2025, 11, 2, 6)
    life = no_record(
        switch - 9 * HOUR,
        switch + 9 * HOUR,
        Setting(switch, -5 * HOUR),
        every=5 * MINUTE,
    )
    assert right(life)


def test_without_a_record_and_a_step_back_the_first_half_is_meant() -> None:
    clock = LogClock(PumpClock(NEW_YORK), [], newest=None, uploaded=None)
    walls = [datetime(2025, 11, 2, 1, minute) for minute in (5, 35, 33, 55)]
    found = clock.instants([((0, number), wall) for number, wall in enumerate(walls)])
    assert {instant.utcoffset() for instant in found} == {-4 * HOUR}


def test_without_a_record_the_zone_counts_beyond_what_is_known_to_be_the_newest() -> None:
    plain, known = PumpClock(NEW_YORK), datetime(2025, 7, 1, 8)
    clock = LogClock(plain, [], newest=known, uploaded=datetime(2025, 7, 1, 12, tzinfo=UTC))
    later = datetime(2025, 12, 24)
    assert clock.instants([((0, 1), later)]) == [plain.instant(later)]


def test_a_wrong_date_does_not_separate_the_halves_of_the_repeated_hour() -> None:
    clock = LogClock(PumpClock(NEW_YORK), [], newest=None, uploaded=None)
    walls = [datetime(2035, 1, 1), datetime(2025, 11, 2, 1, 55)]
    found = clock.instants([((0, number), wall) for number, wall in enumerate(walls)])
    assert found[1].utcoffset() == -4 * HOUR


def test_an_entry_of_the_repeated_hour_after_a_later_one_is_in_the_second_half() -> None:
    clock = LogClock(PumpClock(NEW_YORK), [], newest=None, uploaded=None)
    walls = [
        datetime(2025, 11, 2, 0, 50),
        datetime(2025, 11, 2, 2, 5),
        datetime(2025, 11, 2, 1, 55),
    ]
    found = clock.instants([((0, number), wall) for number, wall in enumerate(walls)])
    assert [instant.utcoffset() for instant in found] == [-4 * HOUR, -5 * HOUR, -5 * HOUR]


def test_without_a_record_an_upload_proves_that_the_clock_was_never_put_back() -> None:
    start, end = datetime(2025, 7, 1), datetime(2025, 12, 24)
    life = no_record(start, end, every=3 * HOUR)
    for minutes in (4, 25):
        life.upload_after = minutes * MINUTE
        assert right(life)
        assert "1 hour ahead of" in life.disagreement()


def test_without_a_record_the_rules_of_the_zone_count() -> None:
    start, end = datetime(2023, 1, 1), datetime(2025, 12, 24)
    put_over = summer_time(NEW_YORK, start, end, 0 * HOUR)
    for upload_after in (None, 4 * MINUTE, 62 * MINUTE):
        life = no_record(start, end, *put_over, every=3 * HOUR)
        life.upload_after = upload_after
        assert right(life)
        assert life.disagreement() == ""


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_without_a_record_it_is_the_clock_of_the_zone(zone: ZoneInfo) -> None:
    plain = PumpClock(zone)
    clock = LogClock(plain, [], newest=None, uploaded=None)
    start = datetime(2019, 1, 1)
    walls = [start + hours * 30 * MINUTE for hours in range(2 * 24 * 366 * 2)]
    found = clock.instants([((0, number), wall) for number, wall in enumerate(walls)])
    assert found == [plain.instant(wall) for wall in walls]


def test_instants_keep_the_offset_of_the_pumps_clock() -> None:
    away = [Setting(datetime(2024, 5, 3, 1), TOKYO), Setting(datetime(2024, 5, 13, 9), -4 * HOUR)]
    life = home_life(NEW_YORK, 3 * DAY, *away)
    instants = life.clock().instants(life.entries)
    walls = [wall for _, wall in life.entries]
    assert [instant.replace(tzinfo=None) for instant in instants] == walls
    assert {type(instant.tzinfo) for instant in instants} == {timezone}
    assert len({id(instant.tzinfo) for instant in instants}) == 3


@dataclass
class Person:
    """Somebody's years with a pump: how late they are each time, and their journeys."""

    zone: ZoneInfo
    lateness: list[timedelta]
    journeys: list[tuple[datetime, timedelta, timedelta]]
    """When each begins, how long it is, and the offset there."""
    end: datetime

    def life(self) -> Life:
        start = datetime(2022, 1, 15, 12)
        rules = zone_rules(self.zone)
        late = iter(self.lateness)
        set_to = []
        for index, switch in enumerate(rules.switches):
            if start < switch < self.end:
                at = switch + next(late)
                if not any(begin - DAY <= at < begin + long for begin, long, _ in self.journeys):
                    set_to.append(Setting(at, rules.offsets[index + 1]))
        for begin, long, there in self.journeys:
            set_to += [Setting(begin, there), Setting(begin + long, rules.at(begin + long))]
        lived = [setting for setting in set_to if setting.at < self.end]
        return Life(self.zone, start, self.end, lived, every=31 * HOUR)


@st.composite
def persons(draw: st.DrawFn, journeys: int = 2) -> Person:
    minutes = st.one_of(st.integers(-12 * 60, 120), st.integers(-12 * 60, 28 * 24 * 60))
    lateness = [draw(minutes) * MINUTE for _ in range(12)]
    places = st.sampled_from([TOKYO, -8 * HOUR, 5.5 * HOUR, 13 * HOUR, 0 * HOUR, 2 * HOUR])
    trips: list[tuple[datetime, timedelta, timedelta]] = []
    for begin in sorted(draw(st.sets(st.integers(0, 35), max_size=journeys))):
        at = datetime(2022, 4, 1, 7, 13) + begin * 40 * DAY
        trips.append((at, draw(st.integers(2, 30)) * DAY, draw(places)))
    end = datetime(2023, 4, 1, 17) + draw(st.integers(0, 1000 * 24 * 60)) * MINUTE
    return Person(draw(st.sampled_from(ZONES)), lateness, trips, end)


FIRST_TRIP = datetime(2023, 3, 27, 7, 13), timedelta(days=6), -8 * HOUR
FROM_INDIA = Person(
    ZoneInfo("Asia/Kolkata"), [timedelta(0)] * 12, [FIRST_TRIP], datetime(2023, 4, 1, 17)
)
"""A journey of more than twelve hours, the first that the pump has made."""


@settings(max_examples=150, deadline=None)
@example(FROM_INDIA)
@given(persons())
def test_every_instant_comes_back_exactly(person: Person) -> None:
    life = person.life()
    assert right(life)


@settings(max_examples=60, deadline=None)
@given(persons(), st.integers(30, 700))
def test_what_is_far_in_the_past_stays_where_it_is(person: Person, days: int) -> None:
    whole = person.life()
    then = whole.end - days * DAY
    if then < whole.start + 300 * DAY:
        return
    past = Person(person.zone, person.lateness, person.journeys, then).life()
    past.upload_after = whole.upload_after = None
    count = sum(at < then - 60 * DAY for at in past.truth)
    assert past.truth[:count] == whole.truth[:count]
    assert past.errors()[:count] == whole.errors()[:count]


@settings(max_examples=100, deadline=None)
@given(persons(journeys=0), st.data())
def test_a_missing_change_costs_an_hour_at_the_most_and_no_years(
    person: Person, data: st.DataObject
) -> None:
    life = person.life()
    if not life.set_to:
        return
    lost = data.draw(st.integers(0, len(life.set_to) - 1))
    set_to = [
        replace(setting, on_record=number != lost) for number, setting in enumerate(life.set_to)
    ]
    life = Life(life.zone, life.start, life.end, set_to, every=life.every)
    wrong = [at for at, error in zip(life.truth, life.errors(), strict=True) if error]
    assert max(map(abs, life.errors())) <= HOUR
    assert not wrong or wrong[-1] - wrong[0] < 240 * DAY


walls = st.datetimes(min_value=datetime.min, max_value=datetime.max)
places = st.tuples(st.integers(-1, 3), st.integers(-1, 50))
changes_of_any_kind = st.lists(st.builds(ClockChange, places, walls, walls), max_size=12)
maybe_walls = st.one_of(st.none(), walls, st.datetimes(datetime(2024, 1, 1), datetime(2026, 1, 1)))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(ZONES),
    changes_of_any_kind,
    st.lists(st.tuples(places, walls), max_size=30),
    maybe_walls,
    maybe_walls,
)
@example(NEW_YORK, [], [((0, 1), datetime.max), ((0, 1), datetime.min)], datetime.max, datetime.max)
def test_nothing_makes_it_raise(
    zone: ZoneInfo,
    changes: list[ClockChange],
    entries: list[tuple[LogPosition, datetime]],
    newest: datetime | None,
    uploaded: datetime | None,
) -> None:
    uploaded = uploaded and uploaded.replace(tzinfo=UTC)
    clock = LogClock(PumpClock(zone), changes, newest=newest, uploaded=uploaded)
    assert len(clock.instants(entries)) == len(entries)
