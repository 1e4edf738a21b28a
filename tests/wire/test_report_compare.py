"""What Nightscout holds of a day: all that stands there counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.app import open_nightscout
from tconnectsync.config.settings import NightscoutSettings
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import NightscoutLoginError
from tconnectsync.report.compare import compare
from tconnectsync.report.days import day_of
from tconnectsync.report.model import Compared, Day
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.clocks import NO_WAITING
from tests.support.command import SECRET

NEW_YORK = PumpClock(ZoneInfo("America/New_York"))
FIRST = date(2024, 6, 3)
DAY = timedelta(days=1)


@pytest.fixture
def site() -> Iterator[SmallNightscout]:
    with SmallNightscout(SECRET) as server:
        yield server


def days(number: int = 2) -> list[Day]:
    """Return days on which the pump did nothing."""
    midnights = [NEW_YORK.midnight(FIRST + each * DAY) for each in range(number + 1)]
    ranges = map(TimeRange, midnights, midnights[1:])
    return [replace(day_of(it, [], [], (), NEW_YORK), is_whole=True) for it in ranges]


def held(site: SmallNightscout, secret: str = SECRET) -> tuple[list[Compared], list[str]]:
    settings = NightscoutSettings(site.url, secret, skip_tls_verify=False)
    return compare(days(), open_nightscout(settings, NO_WAITING))


def temp_basal(at: str, minutes: float, **fields: Any) -> dict[str, Any]:
    return {"eventType": "Temp Basal", "created_at": at, "duration": minutes, **fields}


def test_a_basal_over_midnight_counts_in_each_day_with_its_part(site: SmallNightscout) -> None:
    # 23:00 on the pump, for three hours.
    site.insert([temp_basal("2024-06-04T03:00:00.000Z", 180, absolute=0.8)])
    found, unclear = held(site)
    assert [it.nightscout_basal for it in found] == [0.8, 1.6]
    assert [it.difference for it in found] == [0.8, 1.6]
    assert unclear == []


def test_a_basal_of_the_day_before_counts_from_midnight_on(site: SmallNightscout) -> None:
    site.insert([temp_basal("2024-06-02T06:00:00.000Z", 24 * 60, absolute=1.0)])
    assert [it.nightscout_basal for it in held(site)[0]] == [2.0, 0.0]


def test_insulin_of_other_programs_and_of_people_counts(site: SmallNightscout) -> None:
    at = "2024-06-03T16:00:00.000Z"
    site.insert(
        [
            {"eventType": "Meal Bolus", "created_at": at, "insulin": 3.5, "enteredBy": "Mum"},
            {"eventType": "Correction Bolus", "created_at": at, "insulin": "1.25"},
            # Of a bolus in two parts, other programs show the later one as a rate: 2 h at 0.6 U/h.
            {
                "eventType": "Combo Bolus",
                "created_at": "2024-06-03T20:00:00.000Z",
                "insulin": 2.0,
                "relative": 0.6,
                "duration": 120,
            },
            {"eventType": "Note", "created_at": at, "notes": "insulin 100"},
        ]
    )
    assert [it.nightscout_bolus for it in held(site)[0]] == [7.95, 0.0]


def test_a_basal_of_which_only_a_percentage_is_known_is_said(site: SmallNightscout) -> None:
    at = "2024-06-03T16:00:00.000Z"
    site.insert(
        [temp_basal(at, 30, percent=50), temp_basal(at[:11] + "18:00:00Z", 30, percent=-100)]
    )
    found, unclear = held(site)
    assert found[0].nightscout_basal == 0
    assert len(unclear) == 1
    assert "Of 1 temporary basal, Nightscout holds only a percentage" in unclear[0]


def test_a_refused_secret_is_an_error_not_an_empty_site(site: SmallNightscout) -> None:
    with pytest.raises(NightscoutLoginError):
        held(site, "another long secret")
