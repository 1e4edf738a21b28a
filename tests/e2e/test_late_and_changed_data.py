"""What comes late, twice in a second, or after a corrected zone, on a real Nightscout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.simulators.history import BolusRecord, PumpHistory
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import CLOUDS, SECRET, Cloud, computer, days
from tests.support.expected import Fact, shown
from tests.support.real_nightscout import NightscoutSite

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)
WHOLE = days(FIRST - DAY, FIRST + DAY)
Make = Callable[[PumpHistory], Cloud]
BOTH = pytest.mark.parametrize("make", CLOUDS.values(), ids=CLOUDS)


def a_day() -> PumpHistory:
    """Return a day without a sensor, on which two boluses end in one second."""
    ends = datetime(2024, 5, 6, 11, 30)
    twins = [
        BolusRecord(9001, ends - timedelta(minutes=3), ends, 1.5, 1.5),
        BolusRecord(9002, ends - timedelta(minutes=1), ends, 0.5, 0.5),
    ]
    life = live(FIRST, 1)
    boluses = sorted([*life.boluses, *twins], key=lambda bolus: bolus.requested)
    return replace(life, boluses=boluses, readings=())


def in_one_run(folder: Path, tandem: Cloud) -> list[Fact]:
    """Return what a site shows after a single run over everything."""
    with SmallNightscout(SECRET) as site:
        computer(folder, tandem, site.url, SECRET).sync(*WHOLE)
        return shown(site.treatments)


@BOTH
def test_a_hole_twins_and_a_wrong_zone_end_as_one_right_run(
    nightscout: NightscoutSite, tmp_path: Path, make: Make
) -> None:
    site, life = nightscout, a_day()
    tandem = make(life)
    noon = datetime(2024, 5, 6, 11), datetime(2024, 5, 6, 14)
    with tandem:
        home = computer(tmp_path, tandem, site.url, site.secret)
        wrong = replace(home, variables={**home.variables, "TIMEZONE_NAME": "America/Chicago"})
        tandem.hidden = {
            record
            for records in (life.basal, life.boluses[::2], life.site_changes)
            for record in records
            if noon[0] <= record.began < noon[1]
        }
        assert tandem.hidden
        first = wrong.sync(*WHOLE)
        tandem.hidden = set()
        second = home.sync(*WHOLE)
        assert first.created + second.created == len(site.treatments())
        assert second.created > 0
        assert shown(site.treatments()) == in_one_run(tmp_path, tandem)
        dump = site.treatments()
        assert home.sync(*WHOLE) == (0, 0, len(dump))
        assert site.treatments() == dump
        names = [treatment["identifier"] for treatment in dump]
        assert len(set(names)) == len(names)


@BOTH
def test_what_disappears_from_the_cloud_stays_in_nightscout(
    nightscout: NightscoutSite, tmp_path: Path, make: Make
) -> None:
    site, life = nightscout, a_day()
    tandem = make(life)
    with tandem:
        home = computer(tmp_path, tandem, site.url, site.secret)
        home.sync(*WHOLE)
        before = site.treatments()
        tandem.hidden = {*life.boluses[2:6], *life.site_changes, *life.activities}
        assert home.sync(*WHOLE)[:2] == (0, 0)
        assert site.treatments() == before
