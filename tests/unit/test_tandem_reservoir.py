"""How much insulin is left in the pump; a low value raises alarms in Nightscout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.errors import ApiError, LoginError
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.status.status import device_status
from tests.support.event_builders import at
from tests.support.log_builders import (
    delivered,
    entry,
    log,
    nothing_new,
    rates,
    request,
    slowly_delivered,
    suspended,
)

HOUR = 60


def noted(minutes: float, units: Any, code: int = 12) -> Entry:
    return entry(minutes, code, insulinamount=units)


def progress(minutes: float, total: int) -> Entry:
    return entry(minutes, 280, bolusid=7, bolusdeliverystatus=1, deliveredtotal=total)


def asked(last: DeviceStatus | None = None) -> Log:
    raise AssertionError("The days before are not needed.")


def state(of: Log, last: DeviceStatus | None = None, earlier: Any = asked) -> DeviceStatus:
    found = device_status(of, last, earlier)
    assert found
    return found


def left(*entries: Entry) -> float | None:
    return state(log(*entries)).reservoir


def in_order(*entries: Entry) -> list[Entry]:
    return sorted(entries, key=lambda each: each.at)


def test_what_was_given_since_the_pump_noted_it_is_missing() -> None:
    story = in_order(
        noted(0, 150),
        *rates(0, 2 * HOUR, 1200),
        *request(10, 7, 3.0),
        entry(10.2, 55, bolusid=7),
        delivered(12, 7, 3.0),
        nothing_new(2 * HOUR),
    )
    assert left(*story) == pytest.approx(150 - 2.4 - 3.0)


def test_the_newest_word_of_the_pump_counts() -> None:
    story = in_order(noted(0, 150), *rates(0, HOUR), noted(30, 60), nothing_new(HOUR))
    assert left(*story) == pytest.approx(60 - 0.4)


def test_of_an_extended_bolus_what_it_has_given_so_far_counts() -> None:
    story = in_order(
        noted(0, 100),
        *rates(0, 40, 0),
        *request(5, 7, 5, options=1, now_percent=40, duration=60),
        entry(5.2, 55, bolusid=7),
        delivered(6, 7, 2.0),
        entry(6, 59, bolusid=7),
        *(progress(6 + 5 * n, 2000 + 250 * n) for n in range(7)),
        nothing_new(38),
    )
    assert left(*story) == pytest.approx(100 - 2 - 1.5)
    # Of what was noted in its midst, only what came after is missing.
    assert left(*in_order(*story, noted(21, 50))) == pytest.approx(50 - 0.75)
    ended = in_order(*story, slowly_delivered(37, 7, 1.6))
    assert left(*ended) == pytest.approx(100 - 2 - 1.6)


def test_a_bolus_that_was_broken_off_by_the_suspension_is_not_missing_twice() -> None:
    story = [
        *request(0, 7, 5.0),
        entry(0.2, 55, bolusid=7),
        suspended(1),
        entry(1, 11, insulinamount=80),
        delivered(1, 7, 2.0, 5.0, 0),
        nothing_new(3),
    ]
    assert left(*story) == 80


def test_a_filled_cannula_holds_insulin_too() -> None:
    story = in_order(noted(0, 180), *rates(0, 20, 0), entry(5, 61, primesize=0.3), nothing_new(20))
    assert left(*story) == pytest.approx(179.7)


def test_while_the_tubing_is_being_filled_it_is_unknown_how_much_is_left() -> None:
    change = [noted(0, 55, 11), entry(10, 33, insulinvolume=180), entry(10, 63, primesize=-1)]
    assert left(*change, nothing_new(15)) is None
    assert left(*change, noted(20, 165), *rates(20, 30), nothing_new(22)) == pytest.approx(
        165, abs=0.1
    )
    assert left(*change, entry(25, 33, insulinvolume=170), nothing_new(26)) == 170


def test_across_a_gap_in_the_log_it_is_unknown_how_much_was_given() -> None:
    story = [noted(0, 150), *rates(0, HOUR), *rates(2 * HOUR, 3 * HOUR), nothing_new(3 * HOUR)]
    assert left(*story) is None
    assert left(*story, noted(3 * HOUR, 140), nothing_new(3 * HOUR + 1)) == pytest.approx(
        140, abs=0.1
    )
    at_the_end = [noted(0, 150), *rates(0, HOUR), nothing_new(2 * HOUR)]
    assert left(*at_the_end) is None


def test_one_missing_entry_of_the_rate_is_no_gap() -> None:
    story = [noted(0, 150), *(r for r in rates(0, HOUR, 1200) if r.at != at(30)), nothing_new(HOUR)]
    assert left(*story) == pytest.approx(150 - 1.2)


def test_a_suspended_pump_gives_nothing() -> None:
    assert left(noted(0, 42, 11), nothing_new(20 * HOUR)) == 42


def test_there_is_never_less_than_nothing() -> None:
    assert left(noted(0, 1), *rates(0, 3 * HOUR), nothing_new(3 * HOUR)) == 0


@pytest.mark.parametrize("alarm", [8, 9])
def test_an_empty_cartridge_is_empty_whatever_was_worked_out(alarm: int) -> None:
    story = in_order(noted(0, 50), *rates(0, 30), entry(29, 5, alarmid=alarm), nothing_new(30))
    assert left(*story) == pytest.approx(0, abs=0.05)
    other = in_order(noted(0, 50), *rates(0, 30), entry(29, 5, alarmid=2), nothing_new(30))
    assert left(*other) == pytest.approx(49.6)


def test_when_the_pump_warns_of_very_little_insulin_no_higher_number_is_shown() -> None:
    story = in_order(noted(0, 50), *rates(0, 30), entry(29, 4, alertid=17), nothing_new(30))
    assert left(*story) is None
    other = in_order(noted(0, 50), *rates(0, 30), entry(29, 4, alertid=0), nothing_new(30))
    assert left(*other) == pytest.approx(49.6)


def test_a_bolus_that_began_before_the_log_is_of_unknown_size() -> None:
    story = [noted(0, 90), *rates(0, 20), progress(3, 5000), nothing_new(20)]
    assert left(*in_order(*story)) is None


# -- from one status to the next -------------------------------------------------------------------


def long_story() -> Log:
    boluses = [
        each
        for n in range(20)
        for each in (
            *request(200 * n + 20, n, 2.5),
            entry(200 * n + 20.2, 55, bolusid=n),
            delivered(200 * n + 22, n, 2.5),
        )
    ]
    return log(*in_order(noted(0, 200), *rates(0, 4000, 790), *boluses, nothing_new(4000)))


def since(of: Log, first: float, last: float) -> Log:
    return {
        code: [each for each in entries if at(first) <= each.at <= at(last)]
        for code, entries in of.items()
    }


def test_from_status_to_status_it_is_what_one_look_at_everything_says() -> None:
    whole, last, looked_back = long_story(), None, 0

    def days_before() -> Log:
        nonlocal looked_back
        looked_back += 1
        return since(whole, 0, end - 1000 - 0.01)

    for end in range(1100, 4001, 50):
        last = state(since(whole, end - 1000, end), last, days_before)
        everything = state(since(whole, 0, end))
        assert last.reservoir == pytest.approx(everything.reservoir, abs=1e-6)
    assert looked_back == 1


def test_what_cannot_be_known_is_not_searched_for_again() -> None:
    quiet = log(*rates(0, HOUR), nothing_new(HOUR))
    first = state(quiet, None, dict)
    assert first.reservoir is None
    later = log(*rates(0, 2 * HOUR), nothing_new(2 * HOUR))
    assert state(later, _stored(first, later)).reservoir is None


def _stored(status: DeviceStatus, of: Log) -> DeviceStatus:
    """Return a status as one of the same pump, whose newest entry is in a log."""
    newest = max(
        (each for entries in of.values() for each in entries if each.at < status.at),
        key=lambda each: each.at,
    )
    return DeviceStatus(newest.at, None, None, status.reservoir, None, None, (newest.sequence,))


def test_another_pump_s_insulin_is_not_taken_for_this_one_s() -> None:
    of_another = DeviceStatus(at(30), None, None, 3.0, None, None, (999_999,))
    quiet = log(*rates(0, HOUR), nothing_new(HOUR))
    assert state(quiet, of_another, dict).reservoir is None
    before = log(noted(-500, 180), *rates(-500, 0))
    numbers = sum(map(len, before.values()))
    later = {
        code: [each._replace(sequence=each.sequence + numbers) for each in entries]
        for code, entries in quiet.items()
    }
    found = state(later, of_another, lambda: before)
    assert found.reservoir == pytest.approx(180 - 0.8 * 560 / 60)


def test_days_that_cannot_be_had_leave_the_rest_of_the_state_alone() -> None:
    def fails() -> Log:
        raise ApiError("out of order", 500)

    quiet = log(*rates(0, HOUR), entry(HOUR, 81, batterychargepercent=50))
    found = state(quiet, None, fails)
    assert (found.battery_percent, found.reservoir) == (50, None)
    assert not found.reservoir_is_searched

    def refuses() -> Log:
        raise LoginError("wrong password")

    with pytest.raises(LoginError):
        device_status(quiet, None, refuses)


def test_the_number_that_the_pump_noted_is_no_estimate() -> None:
    found = state(log(noted(0, 42, 11), nothing_new(5)))
    assert found.reservoir_is_reported
    assert found.at - at(0) == timedelta(minutes=5)
    assert not state(log(noted(0, 42), *rates(0, 20), nothing_new(20))).reservoir_is_reported
