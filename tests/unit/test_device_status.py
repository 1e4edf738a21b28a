"""How the state of the pump looks as a document, and when it is news."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.nightscout.devicestatus import device_status, is_worth_storing

NOON = datetime(2024, 6, 3, 12, tzinfo=timezone(timedelta(hours=-4)))
TEXT = "2024-06-03T12:00:00-04:00"
NOTHING = DeviceStatus(NOON, None, None, None, None, None, ())
ALL = DeviceStatus(NOON, 55, 3.83, 120.0, 1.25, False, (17, 4))


def test_everything_known_is_where_nightscout_looks_for_it() -> None:
    assert device_status(ALL) == {
        "device": "Pump (tconnectsync)",
        "created_at": TEXT,
        "pump": {
            "clock": TEXT,
            "battery": {"percent": 55, "voltage": 3.83},
            "reservoir": 120,
            "iob": {"timestamp": TEXT, "iob": 1.25, "bolusiob": 1.25},
            "status": {"status": "normal", "suspended": False, "timestamp": TEXT},
        },
        "pump_event_id": "17,4",
        "insulin_left": 120.0,
    }


def test_what_is_unknown_is_left_out() -> None:
    assert device_status(NOTHING) == {
        "device": "Pump (tconnectsync)",
        "created_at": TEXT,
        "pump": {"clock": TEXT},
        "insulin_left": "unknown",
    }


def test_zero_is_a_value() -> None:
    pump = device_status(replace(NOTHING, battery_percent=0, reservoir=0.0, iob=0.0))["pump"]
    assert pump["battery"] == {"percent": 0}
    assert pump["reservoir"] == 0
    assert (pump["iob"]["iob"], pump["iob"]["bolusiob"]) == (0, 0)


def test_a_suspended_pump_is_called_so() -> None:
    status = device_status(replace(NOTHING, suspended=True))["pump"]["status"]
    assert status == {"status": "suspended", "suspended": True, "timestamp": TEXT}


def test_numbers_have_the_digits_that_mean_something() -> None:
    pump = device_status(replace(NOTHING, battery_volts=3.8299999, reservoir=80.9, iob=1.2300001))[
        "pump"
    ]
    assert pump["battery"] == {"voltage": 3.83}
    assert (pump["reservoir"], pump["iob"]["iob"]) == (80, 1.23)


def test_what_is_left_is_rounded_down_and_marked_as_worked_out() -> None:
    sent = device_status(ALL)
    assert "reservoir_display_override" not in sent["pump"]
    found = device_status(replace(ALL, reservoir=119.96, reservoir_is_reported=False))
    assert found["pump"]["reservoir"] == 119
    assert found["pump"]["reservoir_display_override"] == "~119U"
    assert found["insulin_left"] == 119.96
    unknown = device_status(replace(ALL, reservoir=None, reservoir_is_reported=False))
    assert not any(name.startswith("reservoir") for name in unknown["pump"])


def test_insulin_on_board_has_the_time_at_which_the_pump_noted_it() -> None:
    earlier = NOON - timedelta(minutes=7)
    found = device_status(replace(ALL, iob_at=earlier))
    assert found["created_at"] == found["pump"]["iob"]["timestamp"] == "2024-06-03T11:53:00-04:00"
    assert found["pump"]["clock"] == TEXT


@pytest.mark.parametrize(
    ("minutes", "is_news"), [(1, False), (14.9, False), (15, True), (90, True)]
)
def test_the_time_alone_is_news_before_nightscout_calls_it_old(
    minutes: float, is_news: bool
) -> None:
    later = replace(ALL, at=NOON + timedelta(minutes=minutes), log_ids=(18,))
    assert is_worth_storing(device_status(later), device_status(ALL)) is is_news


@pytest.mark.parametrize(
    "change",
    [
        {"battery_percent": 54},
        {"battery_volts": 3.8},
        {"reservoir": 119.0},
        {"iob": 0.0},
        {"suspended": True},
    ],
    ids=str,
)
def test_every_value_that_changed_or_was_unknown_is_news(change: dict[str, Any]) -> None:
    changed = device_status(replace(ALL, **change))
    assert is_worth_storing(changed, device_status(ALL))
    assert is_worth_storing(device_status(replace(NOTHING, **change)), device_status(NOTHING))


def test_forgetting_is_no_news() -> None:
    assert not is_worth_storing(device_status(NOTHING), None)
    for stored in (device_status(NOTHING), device_status(ALL)):
        assert not is_worth_storing(device_status(NOTHING), stored)


@pytest.mark.parametrize("pump", [None, "Tandem", [], {"battery": 55, "iob": [1.25]}], ids=str)
def test_a_stored_status_of_another_form_is_none_of_the_same_values(pump: Any) -> None:
    assert is_worth_storing(device_status(ALL), {"pump": pump})
