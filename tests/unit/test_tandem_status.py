"""Insulin on board and the pump's state out of its log on Tandem Source."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.status.status import device_status, insulin_on_board
from tests.support.event_builders import NEW_YORK, at

SUSPENDED, RESUMED, CARTRIDGE, BATTERY, BASAL, BOLUS = 11, 12, 33, 81, 279, 20
OTHER = 90
PROFILE, NONE = 1, 0


def entry(minutes: float, code: int, **values: Any) -> Entry:
    """Return an entry some minutes after noon, numbered by them."""
    instant = at(minutes)
    wall = NEW_YORK.here(instant).replace(tzinfo=None)
    return Entry(instant, code, int(minutes), wall, values)


def rates(start: int, end: int, milliunits: int = 800) -> list[Entry]:
    """Return the entries of a rate that is noted every five minutes, ``end`` excluded."""
    values = {"commandedrate": milliunits, "commandedratesource": PROFILE}
    return [entry(minute, BASAL, **values) for minute in range(start, end, 5)]


def log(*entries: Entry) -> Log:
    return {
        code: [each for each in entries if each.code == code] for code in {e.code for e in entries}
    }


def status(*entries: Entry) -> DeviceStatus:
    found = device_status(log(*entries))
    assert found
    return found


@pytest.mark.parametrize("code", [16, 20, 21, 59, 81])
def test_insulin_on_board_is_taken_from_wherever_the_pump_notes_it(code: int) -> None:
    (found,) = insulin_on_board(log(entry(5, code, iob=1.25)))
    assert (found.at, found.units) == (at(5), 1.25)


def numbered(code: int, minutes: float, bolus: int = 7, **values: Any) -> Entry:
    """Return an entry of a bolus."""
    return entry(minutes, code, bolusid=bolus, **values)


BEFORE = (
    entry(0, 81, iob=1.04),
    entry(1, 16, iob=1.04),
    numbered(64, 2, iob=1.04),
    numbered(55, 3, iob=1.03),
)


@pytest.mark.parametrize("known", range(2, 5))
def test_insulin_on_board_from_before_a_bolus_is_not_said_once_it_has_begun(known: int) -> None:
    # The glucose is noted some seconds before the request.
    expected = [1.04, 1.04] if known == 2 else []
    assert [it.units for it in insulin_on_board(log(*BEFORE[:known]))] == expected
    rate = entry(0, BASAL, commandedrate=800, commandedratesource=PROFILE)
    assert status(rate, *BEFORE[:known]).iob == (expected[-1] if expected else None)


def test_what_the_pump_notes_after_a_bolus_counts() -> None:
    ended = numbered(20, 4, insulindelivered=8.5, iob=9.5)
    story = [*BEFORE, ended, entry(14, OTHER)]
    assert [it.units for it in insulin_on_board(log(*story))] == [9.5]
    found = status(*story)
    assert (found.iob, found.iob_at, found.at) == (9.5, at(4), at(14))


def test_a_bolus_that_says_nothing_of_insulin_on_board_hides_what_was_before() -> None:
    story = [*BEFORE, numbered(20, 4, insulindelivered=8.5), entry(5, OTHER)]
    assert insulin_on_board(log(*story)) == []
    assert [it.units for it in insulin_on_board(log(*story, entry(9, 81, iob=9.4)))] == [9.4]


def test_while_the_later_part_of_a_bolus_runs_the_value_after_the_first_part_counts() -> None:
    later = numbered(59, 5, iob=3.0)
    noted = [numbered(280, 6 + 5 * n, bolusdeliverystatus=1, deliveredtotal=2000) for n in (0, 1)]
    story = [*BEFORE, numbered(20, 4, insulindelivered=2.0, iob=3.0), later, *noted]
    assert status(*story).iob == 3.0


def test_a_bolus_whose_end_is_missing_does_not_hide_others_for_good() -> None:
    assert insulin_on_board(log(*BEFORE, entry(20, 81, iob=5.0))) == []
    story = [*BEFORE, entry(40, 81, iob=5.0)]
    assert [it.units for it in insulin_on_board(log(*story))] == [5.0]


def test_insulin_on_board_comes_in_time_order_and_only_if_plausible() -> None:
    bad = [entry(4, BOLUS, iob=value) for value in (-0.1, 100.1, "much", None)]
    entries = [entry(3, BOLUS, iob=100), *bad, entry(5, BOLUS), entry(1, 81, iob=0)]
    assert [(it.at, it.units) for it in insulin_on_board(log(*entries))] == [
        (at(1), 0),
        (at(3), 100),
    ]


def test_the_state_of_the_pump_is_put_together() -> None:
    found = status(
        entry(1, RESUMED, insulinamount=180),
        *rates(1, 12),
        entry(2, BATTERY, batterychargepercent=55, batterylipomillivolts=3834, iob=4.0),
        entry(9, BATTERY, batterychargepercent=54, batterylipomillivolts=3829, iob=3.5),
        entry(12, BOLUS, iob=5.5),
    )
    assert found.reservoir == pytest.approx(180 - 0.8 * 11 / 60)
    assert replace(found, reservoir=None) == DeviceStatus(
        at=at(12),
        battery_percent=54,
        battery_volts=3.83,
        reservoir=None,
        iob=5.5,
        suspended=False,
        log_ids=(12, 11, 9, 1),
        iob_at=at(12),
        reservoir_is_reported=False,
    )


def test_the_battery_is_read_in_its_other_spelling() -> None:
    found = status(entry(1, BATTERY, abc=99, lipomv=4174))
    assert (found.battery_percent, found.battery_volts) == (99, 4.17)


@pytest.mark.parametrize(
    ("code", "values", "percent", "volts"),
    [
        (9, {"abc": 96, "ibc": 100}, 96, None),
        (34, {"abc": 70}, 70, None),
        (35, {"abc": 71, "lipomv": 3998}, 71, 4.0),
        (53, {"lipoabc": 40, "lipoibc": 41, "lipomv": 3700}, 40, 3.7),
    ],
)
def test_the_battery_is_taken_from_wherever_the_pump_notes_it(
    code: int, values: dict[str, int], percent: int, volts: float | None
) -> None:
    found = status(entry(0, BATTERY, abc=99, lipomv=4174), entry(1, code, **values))
    assert (found.battery_percent, found.battery_volts) == (percent, volts)


@pytest.mark.parametrize(("percent", "millivolts"), [(101, 0), (-1, 6001), (None, None)])
def test_a_battery_that_cannot_be_is_unknown(percent: object, millivolts: object) -> None:
    values = {"batterychargepercent": percent, "batterylipomillivolts": millivolts}
    assert device_status(log(entry(1, BATTERY, **values))) is None


def test_an_empty_battery_is_known() -> None:
    assert status(entry(1, BATTERY, abc=0)).battery_percent == 0


def test_nothing_is_said_of_a_log_that_says_nothing() -> None:
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


@pytest.mark.parametrize(("end", "iob"), [(15, 6), (16, None), (60, None)])
def test_insulin_is_not_claimed_that_is_long_gone(end: float, iob: float | None) -> None:
    found = status(entry(0, BOLUS, iob=6), entry(0, BATTERY, abc=50), entry(end, OTHER))
    assert found.iob == iob


def test_the_state_is_as_of_the_newest_entry_of_any_kind() -> None:
    found = status(entry(0, RESUMED), entry(90, BATTERY, abc=50), entry(99, OTHER))
    assert (found.at, found.log_ids) == (at(99), (99, 90, 0))


def test_without_a_new_upload_there_is_nothing_to_say() -> None:
    known = log(entry(0, RESUMED), entry(90, BATTERY, abc=50))
    last = device_status(known)
    assert device_status(known, last) is None


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
    noted = [
        entry(minutes, code, **({} if source is None else {"commandedratesource": source}))
        for minutes, code, source in entries
    ]
    assert status(*noted).suspended is suspended


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
