"""A pump whose date was wrong: everything at its true time, or said that it is not there yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.demo.history import PumpHistory, midnight
from tconnectsync.demo.nightscout import SmallNightscout
from tconnectsync.demo.person import live
from tconnectsync.demo.tandemsource import SimulatedTandemSource
from tests.support.command import EMAIL, NEW_YORK, PASSWORD, SECRET, computer, days
from tests.support.expected import delivered, insulin_shown, logged, shown

FIRST = date(2024, 5, 6)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
START = midnight(FIRST)
FACTORY = datetime(2020, 1, 12, 9, 13)

Changes = Sequence[tuple[datetime, datetime]]


def wrong_for(start: datetime, shown_then: datetime, long: timedelta) -> Changes:
    """Return how a clock goes wrong at ``start``, by its own time, and is put right later."""
    return (start, shown_then), (shown_then + long, start + long)


LOST = datetime(2008, 1, 1)
NOON = START + 2 * DAY + 12 * HOUR
CASES: dict[str, tuple[Changes, tuple[int, ...]]] = {
    "flat battery, 2008": (wrong_for(NOON, LOST, 6 * HOUR), (0,)),
    "2008, on record": (wrong_for(NOON, LOST, 6 * HOUR), ()),
    "2008 over midnight": (wrong_for(NOON + 9 * HOUR, LOST, 6 * HOUR), (0,)),
    "three days behind": (wrong_for(NOON, NOON - 3 * DAY, 2 * DAY), ()),
    "three days behind, no record": (wrong_for(NOON, NOON - 3 * DAY, 2 * DAY), (0,)),
    "a day behind": (wrong_for(NOON, NOON - DAY, 2 * DAY), ()),
    "three days ahead": (wrong_for(NOON, NOON + 3 * DAY, 30 * HOUR), ()),
    "last month": (wrong_for(NOON, NOON - 30 * DAY, 2 * DAY), ()),
    "next month": (wrong_for(NOON, NOON + 31 * DAY, 2 * DAY), ()),
    "another year": (wrong_for(NOON, NOON.replace(year=2023), 2 * DAY), ()),
    "noon for midnight, a day behind": (wrong_for(NOON, NOON - 36 * HOUR, DAY), ()),
    "two resets": (
        (
            *wrong_for(NOON, LOST, 2 * HOUR),
            *wrong_for(NOON + 7 * HOUR, LOST, 3 * HOUR),
        ),
        (0, 2),
    ),
    "at the edge of a window": (wrong_for(START + 4 * DAY - HOUR, LOST, 2 * HOUR), (0,)),
    "from the factory": (((START, FACTORY), (FACTORY + 5 * HOUR, START + 5 * HOUR)), (0,)),
}


def cloud(
    life: PumpHistory,
    changes: Changes,
    unrecorded: Sequence[int] = (),
    until: datetime | None = None,
) -> SimulatedTandemSource:
    return SimulatedTandemSource(
        life,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(NEW_YORK),
        clock_changes=changes,
        unrecorded=unrecorded,
        uploaded_until=until,
    )


@pytest.mark.parametrize(("changes", "unrecorded"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("by_days", [False, True], ids=["in one run", "day by day"])
def test_what_was_written_under_a_wrong_date_stands_at_its_true_time(
    tmp_path: Path, changes: Changes, unrecorded: Sequence[int], by_days: bool
) -> None:
    life = live(FIRST, 7)
    last = FIRST + 7 * DAY
    with cloud(life, changes, unrecorded) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        ranges = [days(FIRST, last)]
        if by_days:
            ranges = [days(FIRST + n * DAY, FIRST + n * DAY) for n in range(8)]
        for each in ranges:
            home.sync(*each)
        facts = shown(site.treatments)
        insulin = insulin_shown(site.treatments)
        second = home.sync(*days(FIRST, last))
        everything = logged(life, tandem.clocks)

    assert insulin == pytest.approx(delivered(life), abs=0.005)
    assert facts == everything
    assert (second.created, second.updated) == (0, 0)
