"""How the pump is, on a real Nightscout: what its pills show and whether anything rings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from tconnectsync.clock import Clock
from tconnectsync.domain.events import DeviceStatus
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.sync.run.sync_device_status import store_device_status
from tests.support.fast_process import soon
from tests.support.real_nightscout import NightscoutSite, RealNightscout

POORLY = (5, 3.41, 1.5, 0.0, True)
"""Battery, voltage, reservoir, insulin on board and suspension: all a reason to worry."""


def status(minutes_ago: float = 0) -> DeviceStatus:
    zone = timezone(timedelta(hours=-4))
    at = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).astimezone(zone)
    return DeviceStatus(at.replace(microsecond=0), *POORLY, (17, 4))


def sync(site: NightscoutSite, told: DeviceStatus) -> list[str]:
    nightscout = NightscoutApi(site.url, site.secret, HttpClient("Nightscout", Clock()))
    return store_device_status(lambda last: told, nightscout, pretend=False)


def properties(site: NightscoutSite) -> dict[str, Any]:
    """What the pills show."""
    secret = hashlib.sha1(site.secret.encode()).hexdigest()
    url = f"{site.url}/api/v2/properties/pump,iob"
    answer = requests.get(url, headers={"api-secret": secret}, timeout=300)
    found: dict[str, Any] = answer.json()
    return found


def shows(site: NightscoutSite, at: datetime) -> bool:
    return bool(properties(site)["pump"].get("pump", {}).get("clock") == at.isoformat())


@pytest.fixture
def fresh(real_nightscout_installed: None) -> Iterator[RealNightscout]:
    """A site with an empty memory, which rings when glucose leaves its bounds."""
    del real_nightscout_installed
    with RealNightscout({"ALARM_TYPES": "simple"}) as site:
        yield site


def test_the_pills_show_how_the_pump_is(fresh: RealNightscout) -> None:
    older, newer = status(minutes_ago=4), status(minutes_ago=2)
    assert len(sync(fresh, older)) == 1
    soon(lambda: shows(fresh, older.at))
    shown = properties(fresh)
    data = shown["pump"]["data"]
    assert data["reservoir"]["display"] == "1.00U"
    assert data["battery"]["display"] == "5%"
    assert data["status"]["display"] == "suspended"
    assert data["clock"]["display"].endswith("m ago")
    assert data["device"]["display"] == "Pump (tconnectsync)"
    assert shown["iob"]["displayLine"] == "IOB: 0U"

    changed = replace(newer, battery_percent=None, reservoir=80.0, iob=1.25, suspended=False)
    assert sync(fresh, newer) == []
    assert len(sync(fresh, changed)) == 1
    assert sync(fresh, changed) == []
    assert sync(fresh, older) == []
    soon(lambda: shows(fresh, newer.at))
    shown = properties(fresh)
    data = shown["pump"]["data"]
    assert data["reservoir"]["display"] == "80.0U"
    assert data["battery"]["display"] == "3.41v"
    assert data["status"]["display"] == "normal"
    assert shown["iob"]["displayLine"] == "IOB: 1.25U"


def test_a_device_status_neither_raises_nor_silences_an_alarm(fresh: RealNightscout) -> None:
    told = status()
    sync(fresh, told)
    soon(lambda: shows(fresh, told.at))
    assert properties(fresh)["pump"]["data"]["level"] == 2

    now = datetime.now(UTC)
    reading = {"type": "sgv", "sgv": 42, "date": round(now.timestamp() * 1000)}
    fresh.insert("entries", [reading | {"dateString": now.isoformat()}])
    soon(lambda: "EMITTING ALARM" in fresh.log.read_text())

    log = fresh.log.read_text()
    assert log.count("EMITTING ALARM") == 1
    assert "Urgent LOW" in log
    assert "SNOOZING" not in log
