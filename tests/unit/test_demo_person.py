"""The simulated person: a plausible, reproducible life, and what of it was known when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from tconnectsync.simulators.history import (
    BolusRecord,
    ExtendedPart,
    PumpHistory,
    Record,
    SuspensionRecord,
    basal_insulin,
    between,
    bolus_insulin,
    insulin_on_board,
)
from tconnectsync.simulators.person import live

FIRST = date(2024, 5, 1)
MIDNIGHT = datetime(2024, 5, 1)
DAYS = 42


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(FIRST, DAYS)


@pytest.fixture(scope="module")
def life_without_control_iq() -> PumpHistory:
    return live(FIRST, DAYS, control_iq=False)


def sequences(history: PumpHistory) -> dict[str, Sequence[Record]]:
    return {
        "basal": history.basal,
        "boluses": history.boluses,
        "suspensions": history.suspensions,
        "activities": history.activities,
        "site changes": history.site_changes,
        "readings": history.readings,
        "finger sticks": history.finger_sticks,
    }


def documents(history: PumpHistory) -> int:
    """Count the Nightscout documents that come of a history."""
    suspensions = Counter(suspension.reason for suspension in history.suspensions)
    return (
        len(history.basal)
        + len(history.boluses)
        + sum(bolus.extended is not None for bolus in history.boluses)
        + 2 * suspensions["manual"]  # the stop itself, and a basal rate of zero
        + suspensions["alarm"]
        + len(history.activities)
        + len(history.site_changes)
    )


def extended_bolus(history: PumpHistory) -> tuple[BolusRecord, ExtendedPart]:
    return next((bolus, bolus.extended) for bolus in history.boluses if bolus.extended)


@pytest.mark.parametrize("control_iq", [True, False])
def test_the_same_seed_gives_the_same_life_and_another_seed_another(control_iq: bool) -> None:
    assert live(FIRST, 5, seed=3, control_iq=control_iq) == live(
        FIRST, 5, seed=3, control_iq=control_iq
    )
    assert live(FIRST, 5, seed=3, control_iq=control_iq) != live(
        FIRST, 5, seed=4, control_iq=control_iq
    )


@pytest.mark.parametrize("control_iq", [True, False])
@pytest.mark.parametrize("days", [1, 3, 7, 9, 30])
def test_a_longer_life_begins_with_the_shorter_one(control_iq: bool, days: int) -> None:
    short = live(FIRST, days, control_iq=control_iq)
    long = live(FIRST, 31, control_iq=control_iq)
    for name, records in sequences(long).items():
        assert list(between(records, MIDNIGHT, short.end)) == list(sequences(short)[name])


@pytest.mark.parametrize("control_iq", [True, False])
def test_everything_is_in_time_order_and_on_the_days_lived(control_iq: bool) -> None:
    history = live(FIRST, 10, control_iq=control_iq)
    for records in sequences(history).values():
        moments = [record.began for record in records]
        assert moments == sorted(moments)
        assert all(MIDNIGHT <= moment < history.end for moment in moments)


@pytest.mark.parametrize("control_iq", [True, False])
def test_basal_segments_and_the_gaps_between_them_fill_the_days_without_overlap(
    control_iq: bool,
) -> None:
    history = live(FIRST, DAYS, control_iq=control_iq)
    gaps = [s for s in history.suspensions if s.reason != "control-iq"]
    stretches = sorted(
        [(segment.start, segment.end) for segment in history.basal]
        + [(gap.start, gap.end or gap.start) for gap in gaps]
    )
    assert stretches[0][0] == MIDNIGHT
    assert all(earlier[1] == later[0] for earlier, later in pairwise(stretches))
    assert all(start < end for start, end in stretches)


def test_a_day_gives_about_263_documents() -> None:
    for seed in range(1, 5):
        assert 255 <= documents(live(FIRST, DAYS, seed=seed)) / DAYS <= 270


def test_control_iq_changes_the_rate_about_every_five_minutes_day_and_night(
    life: PumpHistory,
) -> None:
    automatic = [s for s in life.basal if s.kind == "algorithm" and not s.suspended]
    assert sum(s.duration_seconds <= 300 for s in automatic) > 0.9 * len(automatic)
    assert {s.start.hour for s in automatic} == set(range(24))
    assert all(0.0 < s.rate <= 2.5 for s in automatic)
    assert {s.kind for s in life.basal} == {"algorithm", "profile", "temp"}


def test_a_control_iq_suspension_is_a_zero_rate_at_the_same_second(life: PumpHistory) -> None:
    zero_rates = [(s.start, s.end) for s in life.basal if s.suspended]
    suspensions = [(s.start, s.end) for s in life.suspensions if s.reason == "control-iq"]
    assert suspensions == zero_rates
    assert len(suspensions) > DAYS
    assert all((s.rate == 0) == s.suspended for s in life.basal)


def test_boluses_are_of_all_kinds_as_often_as_in_real_life(life: PumpHistory) -> None:
    by_day = Counter(bolus.requested.date() for bolus in life.boluses if bolus.carbs)
    assert len(by_day) == DAYS
    assert set(by_day.values()) == {3, 4}
    overrides = {bolus.requested.date() for bolus in life.boluses if bolus.override}
    corrections = [b for b in life.boluses if b.kind == "standard" and not b.carbs]
    assert len(overrides) == len(corrections) == DAYS
    assert sum(bolus.extended is not None for bolus in life.boluses) == DAYS // 3
    assert sum(bolus.status == "user aborted" for bolus in life.boluses) == DAYS // 7
    assert sum(bolus.kind == "automatic" for bolus in life.boluses) > DAYS


def test_an_aborted_bolus_delivers_only_a_part(life: PumpHistory) -> None:
    aborted = [bolus for bolus in life.boluses if bolus.status == "user aborted"]
    others = [bolus for bolus in life.boluses if bolus.status == "completed"]
    assert all(0 < bolus.insulin < bolus.requested_insulin for bolus in aborted)
    assert all(bolus.insulin == bolus.requested_insulin > 0 for bolus in others)


def test_an_override_is_another_amount_than_calculated(life: PumpHistory) -> None:
    for bolus in life.boluses:
        asked = bolus.requested_insulin
        asked += bolus.extended.requested_insulin if bolus.extended else 0
        calculated = bolus.food + bolus.correction
        assert bolus.override == (abs(asked - calculated) > 0.005)


def test_insulin_comes_in_hundredths_of_a_unit_and_bolus_numbers_count_up(
    life: PumpHistory,
) -> None:
    amounts = [b.insulin for b in life.boluses] + [b.requested_insulin for b in life.boluses]
    amounts += [b.extended.insulin for b in life.boluses if b.extended]
    assert all(amount == round(amount, 2) for amount in amounts)
    numbers = [bolus.request_id for bolus in life.boluses]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_an_extended_part_follows_the_immediate_one_for_two_hours(life: PumpHistory) -> None:
    for bolus in life.boluses:
        if part := bolus.extended:
            assert bolus.kind == "extended"
            assert part.start == bolus.completed
            assert part.end == part.start + timedelta(minutes=part.duration_minutes)
            assert part.duration_minutes == 120
            share = 100 * bolus.insulin / bolus.delivered
            assert share == pytest.approx(part.immediate_percent, abs=0.5)


def test_the_pump_is_stopped_by_hand_on_most_days_and_sometimes_over_midnight(
    life: PumpHistory,
) -> None:
    manual = [s for s in life.suspensions if s.reason == "manual"]
    minutes = [(s.end - s.start).total_seconds() / 60 for s in manual if s.end]
    assert DAYS * 0.6 < len(manual) < DAYS
    assert all(30 <= length <= 70 for length in minutes)
    assert any(s.end and s.end.date() > s.start.date() for s in manual)


def test_cartridge_and_site_are_changed_every_three_days_and_an_empty_one_alarms(
    life: PumpHistory,
) -> None:
    pairs = list(zip(life.site_changes[::2], life.site_changes[1::2], strict=True))
    assert DAYS // 3 <= len(pairs) <= DAYS // 3 + DAYS // 14
    for cartridge, site in pairs:
        assert (cartridge.part, site.part) == ("cartridge", "site")
        assert timedelta(0) < site.at - cartridge.at < timedelta(minutes=10)
    assert sum(s.reason == "alarm" for s in life.suspensions) == DAYS // 14


def test_every_night_is_slept_and_every_third_in_two_pieces(life: PumpHistory) -> None:
    sleep = [activity for activity in life.activities if activity.kind == "sleep"]
    evenings = [a for a in sleep if a.start.hour >= 22]
    second_pieces = [later for earlier, later in pairwise(sleep) if earlier.end == later.start]
    assert len(evenings) == DAYS
    # The second piece of the last night starts on a day after the history's end.
    assert len(second_pieces) in (DAYS // 3 - 1, DAYS // 3)
    assert len(sleep) == DAYS + len(second_pieces)
    assert sum(activity.kind == "exercise" for activity in life.activities) > DAYS / 5


def test_without_control_iq_the_profile_is_followed_and_nothing_is_automatic(
    life_without_control_iq: PumpHistory,
) -> None:
    history = life_without_control_iq
    assert {s.kind for s in history.basal} == {"profile", "temp"}
    assert 6 <= len(history.basal) / DAYS <= 9
    assert {bolus.kind for bolus in history.boluses} == {"standard", "extended"}
    assert not history.activities
    assert not [s for s in history.suspensions if s.reason == "control-iq"]


def test_a_segment_of_sleep_or_basal_grows_until_it_is_over(life: PumpHistory) -> None:
    for record in (life.basal[100], life.activities[0]):
        assert record.as_of(record.start) is None
        some = record.as_of(record.start + timedelta(seconds=100))
        assert some is not None
        assert some.duration_seconds == 100
        assert record.as_of(record.end) == record


def test_a_suspension_has_no_end_while_it_lasts(life: PumpHistory) -> None:
    stop = next(s for s in life.suspensions if s.reason == "manual")
    assert stop.end is not None
    assert stop.as_of(stop.start) is None
    assert stop.as_of(stop.start + timedelta(seconds=1)) == SuspensionRecord(
        stop.start, None, "manual"
    )
    assert stop.as_of(stop.end) == stop


def test_a_bolus_being_delivered_shows_what_was_given_so_far() -> None:
    start = MIDNIGHT
    bolus = BolusRecord(1, start, start + timedelta(seconds=100), 4.0, 4.0)
    assert bolus.as_of(start) is None
    running = bolus.as_of(start + timedelta(seconds=25))
    assert running is not None
    assert (running.insulin, running.completed, running.status) == (1.0, None, "running")
    assert running.requested_insulin == 4.0
    assert bolus.as_of(start + timedelta(seconds=100)) == bolus


def test_an_extended_part_being_delivered_grows_and_then_ends(life: PumpHistory) -> None:
    bolus, part = extended_bolus(life)
    early = bolus.as_of(part.start + timedelta(minutes=30))
    late = bolus.as_of(part.start + timedelta(minutes=90))
    assert early is not None
    assert early.extended is not None
    assert late is not None
    assert late.extended is not None
    assert early.status == "completed"
    assert early.extended.end is None
    assert early.extended.insulin == pytest.approx(part.insulin / 4, abs=0.01)
    assert late.extended.insulin == pytest.approx(part.insulin * 3 / 4, abs=0.01)
    assert part.end is not None
    assert bolus.as_of(part.end) == bolus


def test_the_insulin_of_a_day_adds_up(life: PumpHistory) -> None:
    morning = [bolus for bolus in life.boluses if bolus.requested < MIDNIGHT + timedelta(days=1)]
    expected = sum(b.insulin + (b.extended.insulin if b.extended else 0) for b in morning)
    next_midnight = MIDNIGHT + timedelta(days=1)
    assert bolus_insulin(life, MIDNIGHT, next_midnight) == pytest.approx(expected, abs=0.001)
    by_hour = sum(
        basal_insulin(life, MIDNIGHT + timedelta(hours=hour), MIDNIGHT + timedelta(hours=hour + 1))
        for hour in range(24)
    )
    assert by_hour == pytest.approx(basal_insulin(life, MIDNIGHT, next_midnight))
    assert 10 < by_hour < 40


def test_half_of_a_stretch_counts_half() -> None:
    hour = timedelta(hours=1)
    part = ExtendedPart(MIDNIGHT, MIDNIGHT + 2 * hour, 3.0, 3.0, 120, 25)
    bolus = BolusRecord(1, MIDNIGHT - hour / 60, MIDNIGHT, 1.0, 1.0, "extended", extended=part)
    history = PumpHistory(FIRST, 1, True, boluses=[bolus])
    assert bolus_insulin(history, MIDNIGHT - hour, MIDNIGHT + 2 * hour) == 4.0
    assert bolus_insulin(history, MIDNIGHT - hour, MIDNIGHT + hour) == 2.5
    assert bolus_insulin(history, MIDNIGHT + hour, MIDNIGHT + 2 * hour) == 1.5


def test_insulin_on_board_fades_and_is_gone_after_five_hours() -> None:
    bolus = BolusRecord(1, MIDNIGHT, MIDNIGHT + timedelta(minutes=2), 4.0, 4.0)
    history = PumpHistory(FIRST, 1, True, boluses=[bolus])
    values = [insulin_on_board(history, MIDNIGHT + timedelta(hours=h)) for h in (1, 2, 4)]
    assert 4.0 > values[0] > values[1] > values[2] > 0
    assert insulin_on_board(history, MIDNIGHT + timedelta(hours=5, seconds=1)) == 0


@pytest.mark.parametrize("seed", range(1, 6))
def test_nothing_is_delivered_while_the_pump_is_stopped(seed: int) -> None:
    history = live(FIRST, DAYS, seed=seed)
    stops = [s for s in history.suspensions if s.reason != "control-iq"]
    for bolus in history.boluses:
        end = bolus.extended.end if bolus.extended else bolus.completed
        assert end is not None
        assert not [s for s in stops if s.end and bolus.requested < s.end and s.start < end]
