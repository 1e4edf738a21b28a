"""Telling Nightscout how the pump is, whenever that has changed.

Contract tandem-source-processing §7, nightscout-api §1.4 and §4.8.
"""

from __future__ import annotations

from collections.abc import Iterator

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.devicestatus import device_status, tells_more
from tconnectsync.nightscout.marks import instant


def sync_device_status(
    status: DeviceStatus | None, nightscout: NightscoutApi, *, pretend: bool
) -> list[str]:
    """Store a device status that is newer than our newest and differs in more than the time.

    Device statuses of other programs do not count. Returns what was done, in words.

    Raises:
        NightscoutError: Nightscout refused something.
        NetworkError: Nightscout could not be reached.
    """
    if status is None:
        return []
    document = device_status(status)
    stored = nightscout.device_status()
    newest = instant(stored) if stored else None
    if (newest and newest >= status.at) or not tells_more(document, stored):
        return []
    if not pretend:
        nightscout.add_device_status(document)
    return [f"Device status: {', '.join(_words(status))} at {status.at}"]


def _words(status: DeviceStatus) -> Iterator[str]:
    if status.battery_percent is not None:
        yield f"battery {status.battery_percent} %"
    elif status.battery_volts is not None:
        yield f"battery {status.battery_volts:.2f} V"
    if status.reservoir is not None:
        yield f"reservoir {status.reservoir:g} U"
    if status.iob is not None:
        yield f"insulin on board {status.iob:g} U"
    if status.suspended is not None:
        yield "suspended" if status.suspended else "not suspended"
