"""Telling Nightscout how the pump is, whenever that has changed or the last word is getting old.

See docs/protocol/tandem-source-processing.md §7, nightscout-api §1.4, §4.8 and §7.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.devicestatus import device_status, stored_status, tells_more

Read = Callable[[DeviceStatus | None], DeviceStatus | None]


def sync_device_status(read: Read, nightscout: NightscoutApi, *, pretend: bool) -> list[str]:
    """Store a device status that is newer than our newest and differs from it, or is much newer.

    Device statuses of other programs do not count. Returns what was done, in words.

    Args:
        read: returns how the pump is, or ``None`` if nothing has come since the stored status.
        nightscout: where to store it.
        pretend: whether to leave that.

    Raises:
        NightscoutError: Nightscout refused something.
        NetworkError: a service could not be reached.
        ApiError: Tandem gave no usable answer.
    """
    stored = nightscout.device_status()
    last = stored_status(stored) if stored else None
    status = read(last)
    if status is None or (last and status.at <= last.at):
        return []
    document = device_status(status, stored)
    if not tells_more(document, stored):
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
        about = "" if status.reservoir_is_told else "about "
        yield f"reservoir {about}{int(status.reservoir + 0.0005)} U"
    if status.iob is not None:
        yield f"insulin on board {status.iob:g} U"
    if status.suspended is not None:
        yield "suspended" if status.suspended else "not suspended"
