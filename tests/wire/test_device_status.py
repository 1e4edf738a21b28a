"""Writing how the pump is to the small Nightscout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tconnectsync.demo.nightscout import SmallNightscout
from tconnectsync.demo.server import Fault, Request, Response
from tconnectsync.domain.events import DeviceStatus
from tconnectsync.errors import NetworkError, NightscoutError
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.sync.devicestatus import sync_device_status

SECRET = "a secret of good length"
NOON = datetime(2024, 6, 3, 12, tzinfo=timezone(timedelta(hours=-4)))
HOUR = timedelta(hours=1)
STATUS = DeviceStatus(NOON, 55, 3.83, 120.5, 1.25, False, (17, 4))


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def site(request: pytest.FixtureRequest) -> Iterator[SmallNightscout]:
    with SmallNightscout(SECRET, keyed_by_identifier=request.param) as server:
        yield server


def sync(site: SmallNightscout, status: DeviceStatus | None, *, pretend: bool = False) -> list[str]:
    http = HttpClient("Nightscout", sleep=lambda seconds: None)
    return sync_device_status(status, NightscoutApi(site.url, SECRET, http), pretend=pretend)


def from_elsewhere(**fields: Any) -> dict[str, Any]:
    """A document that another program wrote at noon or when told."""
    at = {"created_at": NOON.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"}
    return {"device": "somebody else", **at, "pump": {"battery": {"percent": 55}}, **fields}


def test_the_first_status_is_written_and_said_in_words(site: SmallNightscout) -> None:
    assert sync(site, STATUS) == [
        "Device status: battery 55 %, reservoir 120.5 U, insulin on board 1.25 U, not suspended "
        "at 2024-06-03 12:00:00-04:00"
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


def test_the_same_state_an_hour_later_is_not_written_but_a_changed_one_is(
    site: SmallNightscout,
) -> None:
    sync(site, STATUS)
    assert sync(site, replace(STATUS, at=NOON + HOUR)) == []

    [words] = sync(site, replace(STATUS, at=NOON + HOUR, suspended=True))

    assert ", suspended at" in words
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

    assert sync(site, known) == []
    assert len(sync(site, replace(known, battery_percent=54))) == 1


def test_nothing_known_is_nothing_written(site: SmallNightscout) -> None:
    assert sync(site, None) == []
    assert site.log == []
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
