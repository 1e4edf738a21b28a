"""Insulin on board and the pump's state out of its log on Tandem Source."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.sources.tandemsource.entries import Entry, Log
from tconnectsync.sources.tandemsource.status import device_status, insulin_on_board
from tests.support.story import NEW_YORK, at

SUSPENDED, RESUMED, CARTRIDGE, BATTERY, BASAL, BOLUS = 11, 12, 33, 81, 279, 20
OTHER = 90
PROFILE, NONE = 1, 0


def entry(minutes: float, code: int, **values: Any) -> Entry:
    """Return an entry some minutes after noon, numbered by them."""
    instant = at(minutes)
    wall = NEW_YORK.here(instant).replace(tzinfo=None)
    return Entry(instant, code, int(minutes), wall, values)


def log(*entries: Entry) -> Log:
    return {
        code: [each for each in entries if each.code == code] for code in {e.code for e in entries}
    }


def status(*entries: Entry) -> DeviceStatus:
    found = device_status(log(*entries))
    assert found
    return found


@pytest.mark.parametrize("code", [16, 20, 21, 55, 59, 64, 81])
def test_insulin_on_board_is_taken_from_wherever_the_pump_notes_it(code: int) -> None:
    (found,) = insulin_on_board(log(entry(5, code, iob=1.25)))
    assert (found.at, found.units) == (at(5), 1.25)


def test_insulin_on_board_comes_in_time_order_and_only_if_plausible() -> None:
    bad = [entry(4, BOLUS, iob=value) for value in (-0.1, 100.1, "much", None)]
    entries = [entry(3, BOLUS, iob=100), *bad, entry(5, BOLUS), entry(1, 64, iob=0)]
    assert [(it.at, it.units) for it in insulin_on_board(log(*entries))] == [
        (at(1), 0),
        (at(3), 100),
    ]


def test_the_state_of_the_pump_is_put_together() -> None:
    assert status(
        entry(1, RESUMED, insulinamount=180),
        entry(2, BATTERY, batterychargepercent=55, batterylipomillivolts=3834, iob=4.0),
        entry(9, BATTERY, batterychargepercent=54, batterylipomillivolts=3829, iob=3.5),
        entry(12, BOLUS, iob=5.5),
    ) == DeviceStatus(
        at=at(12),
        battery_percent=54,
        battery_volts=3.83,
        reservoir=180,
        iob=5.5,
        suspended=False,
        log_ids=(12, 9, 1),
    )


def test_the_battery_is_read_in_its_other_spelling() -> None:
    found = status(entry(1, BATTERY, abc=99, lipomv=4174))
    assert (found.battery_percent, found.battery_volts) == (99, 4.17)


@pytest.mark.parametrize(("percent", "millivolts"), [(101, 0), (-1, 6001), (None, None)])
def test_a_battery_that_cannot_be_is_unknown(percent: object, millivolts: object) -> None:
    values = {"batterychargepercent": percent, "batterylipomillivolts": millivolts}
    assert device_status(log(entry(1, BATTERY, **values))) is None


def test_an_empty_battery_is_known() -> None:
    assert status(entry(1, BATTERY, abc=0)).battery_percent == 0


def test_nothing_is_told_of_a_log_that_tells_nothing() -> None:
    assert device_status({}) is None
    assert device_status(log(entry(1, OTHER), entry(2, BOLUS))) is None


@pytest.mark.parametrize(
    ("values", "units"),
    [
        ({"insulinvolume": 180, "v2volume": 0}, 180),
        ({"insulinvolume": 0, "v2volume": 95.5}, 95.5),
        ({"insulinvolume": 0, "v2volume": 0}, None),
        ({"insulinvolume": 65535}, None),
    ],
)
def test_the_reservoir_holds_what_was_filled_in(
    values: dict[str, float], units: float | None
) -> None:
    assert status(entry(1, CARTRIDGE, **values), entry(1, BOLUS, iob=1)).reservoir == units


def test_an_empty_reservoir_is_known() -> None:
    assert status(entry(1, SUSPENDED, insulinamount=0)).reservoir == 0


@pytest.mark.parametrize(
    ("end", "reservoir", "iob"), [(15, 120, 6), (16, 120, None), (60, 120, None), (61, None, None)]
)
def test_insulin_is_not_claimed_that_is_long_gone(
    end: float, reservoir: float | None, iob: float | None
) -> None:
    found = status(entry(0, RESUMED, insulinamount=120), entry(0, BOLUS, iob=6), entry(end, OTHER))
    assert (found.reservoir, found.iob) == (reservoir, iob)


def test_the_state_is_as_of_what_is_told_in_it() -> None:
    found = status(
        entry(0, RESUMED, insulinamount=120), entry(90, BATTERY, abc=50), entry(99, OTHER)
    )
    assert (found.at, found.log_ids) == (at(90), (90, 0))


@pytest.mark.parametrize(
    ("entries", "suspended"),
    [
        ([(1, SUSPENDED, None)], True),
        ([(1, SUSPENDED, None), (2, RESUMED, None)], False),
        ([(1, RESUMED, None), (2, SUSPENDED, None)], True),
        ([(1, SUSPENDED, None), (2, BASAL, NONE)], True),
        ([(1, SUSPENDED, None), (2, BASAL, PROFILE)], False),
        ([(1, BASAL, PROFILE), (2, SUSPENDED, None)], True),
        ([(1, RESUMED, None), (2, BASAL, NONE)], True),
        ([(1, SUSPENDED, None), (2, BASAL, None)], True),
        ([(1, BASAL, PROFILE)], False),
    ],
)
def test_the_newest_word_says_whether_the_pump_is_suspended(
    entries: list[tuple[int, int, int | None]], suspended: bool
) -> None:
    told = [
        entry(minutes, code, **({} if source is None else {"commandedratesource": source}))
        for minutes, code, source in entries
    ]
    assert status(*told).suspended is suspended


def test_within_one_second_the_order_of_the_log_counts() -> None:
    suspension = entry(5, SUSPENDED)
    basal = suspension._replace(code=BASAL, sequence=4, values={"commandedratesource": PROFILE})
    assert status(suspension, basal).suspended is True
    assert status(suspension, basal._replace(sequence=6)).suspended is False


def test_without_a_word_it_is_unknown_whether_the_pump_is_suspended() -> None:
    assert status(entry(1, BOLUS, iob=1)).suspended is None


def test_the_age_of_insulin_is_measured_to_the_end_of_the_whole_log() -> None:
    entries = [entry(0, BOLUS, iob=3.0), entry(0, RESUMED), entry(75, OTHER)]
    assert status(*entries).iob is None
    assert entries[2].at - entries[0].at > timedelta(hours=1)
