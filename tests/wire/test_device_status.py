"""Writing how the pump is to the small Nightscout."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.errors import NetworkError, NightscoutError
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.devicestatus import stored_status
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sync.run.sync_device_status import store_device_status
from tests.support.clocks import NO_WAITING

SECRET = "a secret of good length"
NOON = datetime(2024, 6, 3, 12, tzinfo=timezone(timedelta(hours=-4)))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
STATUS = DeviceStatus(NOON, 55, 3.83, 120.5, 1.25, False, (17, 4))


def sync(site: SmallNightscout, status: DeviceStatus | None, *, pretend: bool = False) -> list[str]:
    http = HttpClient("Nightscout", NO_WAITING)
    nightscout = NightscoutApi(site.url, SECRET, http)
    return store_device_status(lambda last: status, nightscout, pretend=pretend)


def from_elsewhere(**fields: Any) -> dict[str, Any]:
    """A document that another program wrote at noon or at another time."""
    at = {"created_at": NOON.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"}
    return {"device": "somebody else", **at, "pump": {"battery": {"percent": 55}}, **fields}


def test_the_first_status_is_written_and_said_in_words(site: SmallNightscout) -> None:
    assert sync(site, STATUS) == [
        "Device status: battery 55 %, reservoir 120 U, insulin on board 1.25 U, not suspended "
        "at 2024-06-03 12:00"
    ]
    [stored] = site.device_statuses
    assert stored["created_at"] == "2024-06-03T16:00:00.000Z"
    assert stored["utcOffset"] == -240
    assert stored["pump"]["clock"] == "2024-06-03T12:00:00-04:00"
    assert stored["pump_event_id"] == "17,4"


def test_a_second_run_writes_nothing(site: SmallNightscout) -> None:
    sync(site, STATUS)
    assert sync(site, STATUS) == []
    assert site.writes == 1


def test_the_same_state_is_written_again_before_nightscout_calls_it_old(
    site: SmallNightscout,
) -> None:
    sync(site, STATUS)
    assert sync(site, replace(STATUS, at=NOON + 14 * MINUTE)) == []
    assert len(sync(site, replace(STATUS, at=NOON + 15 * MINUTE))) == 1
    assert sync(site, replace(STATUS, at=NOON + 15 * MINUTE)) == []


def test_a_changed_state_is_written_at_once(site: SmallNightscout) -> None:
    sync(site, STATUS)
    [words] = sync(site, replace(STATUS, at=NOON + MINUTE, suspended=True))

    assert ", suspended at" in words
    assert words.endswith(f" at {NOON + MINUTE:%Y-%m-%d %H:%M}")
    assert [s["pump"]["status"]["suspended"] for s in site.device_statuses] == [False, True]


def test_a_status_from_before_our_newest_is_not_written(site: SmallNightscout) -> None:
    sync(site, STATUS)
    for earlier in (NOON - HOUR, NOON):
        assert sync(site, replace(STATUS, at=earlier, battery_percent=70)) == []
    assert site.writes == 1


def test_what_other_programs_wrote_does_not_count(site: SmallNightscout) -> None:
    later = (NOON + HOUR).isoformat()
    site.insert([from_elsewhere(), from_elsewhere(created_at=later)], "devicestatus")

    assert sync(site, replace(STATUS, battery_volts=None, reservoir=None, iob=None)) != []

    assert len(site.device_statuses) == 3
    assert sync(site, STATUS) == []


def test_a_status_of_an_older_version_counts_however_old_it_is(site: SmallNightscout) -> None:
    battery = {"voltage": 3.83, "percent": 55, "status": "55%"}
    ours = {"device": "Pump (tconnectsync)", "created_at": "2020-01-01T08:00:00.000Z"}
    site.insert([from_elsewhere(**ours, pump={"battery": battery})], "devicestatus")
    known = replace(STATUS, reservoir=None, iob=None, suspended=None)

    assert len(sync(site, known)) == 1
    assert sync(site, known) == []
    assert sync(site, replace(known, at=datetime(2020, 1, 1, tzinfo=UTC))) == []


def test_insulin_on_board_is_said_once_and_at_its_own_time(site: SmallNightscout) -> None:
    told = replace(STATUS, iob_at=NOON - 5 * MINUTE)
    sync(site, told)
    sync(site, replace(told, at=NOON + 20 * MINUTE, battery_percent=54))
    sync(site, replace(told, at=NOON + 30 * MINUTE, iob=3.5, iob_at=NOON + 26 * MINUTE))

    iobs = [(s["created_at"][11:16], s["pump"].get("iob")) for s in site.device_statuses]
    assert [(at, iob and iob["iob"]) for at, iob in iobs] == [
        ("15:55", 1.25),
        ("16:20", None),
        ("16:26", 3.5),
    ]
    clocks = [s["pump"]["clock"][11:16] for s in site.device_statuses]
    assert clocks == ["12:00", "12:20", "12:30"]


def test_the_next_status_goes_on_from_what_was_left(site: SmallNightscout) -> None:
    asked: list[DeviceStatus | None] = []
    sync(site, STATUS)
    nightscout = NightscoutApi(site.url, SECRET, HttpClient("Nightscout", NO_WAITING))
    store_device_status(asked.append, nightscout, pretend=False)
    [last] = asked
    assert last
    assert (last.at, last.reservoir, last.log_ids) == (NOON, 120.5, (17, 4))
    assert last.reservoir_is_searched


@pytest.mark.parametrize("searched", [True, False])
def test_an_unknown_rest_of_insulin_is_searched_for_once(
    site: SmallNightscout, searched: bool
) -> None:
    sync(site, replace(STATUS, reservoir=None, reservoir_is_searched=searched))
    [stored] = site.device_statuses
    last = stored_status(stored)
    assert last
    assert (last.reservoir, last.reservoir_is_searched) == (None, searched)


def test_nothing_known_is_nothing_written(site: SmallNightscout) -> None:
    assert sync(site, None) == []
    assert sync(site, DeviceStatus(NOON, None, None, None, None, None, (1,))) == []
    assert site.writes == 0


def test_the_voltage_is_said_where_the_percentage_is_unknown(site: SmallNightscout) -> None:
    [words] = sync(site, DeviceStatus(NOON, None, 3.834, None, None, None, (1,)))
    assert words.startswith("Device status: battery 3.83 V at ")


def test_pretending_says_the_same_and_writes_nothing(site: SmallNightscout) -> None:
    words = sync(site, STATUS, pretend=True)
    assert site.writes == 0
    assert sync(site, STATUS) == words


def test_a_status_that_arrived_unanswered_is_not_there_twice(site: SmallNightscout) -> None:
    def store_and_hang_up(request: Request) -> Fault | None:
        if request.method != "POST":
            return None
        site.insert([json.loads(request.body)], "devicestatus")
        return Fault.DROP

    site.fault = store_and_hang_up
    with pytest.raises(NetworkError):
        sync(site, STATUS)
    site.fault = None

    assert sync(site, STATUS) == []
    assert len(site.device_statuses) == 1


def test_when_our_newest_status_cannot_be_read_none_is_written(site: SmallNightscout) -> None:
    site.fault = lambda request: Response(b"<html>") if request.method == "GET" else None
    with pytest.raises(NightscoutError):
        sync(site, STATUS)
    assert site.device_statuses == []
