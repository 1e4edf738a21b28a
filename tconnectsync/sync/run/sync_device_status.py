"""Storing the pump's state whenever it has changed or the stored one is getting old.

See docs/protocol/tandem-source-processing.md §7, nightscout-api §1.4, §4.8 and §7.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.errors import ApiError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.devicestatus import device_status, is_worth_storing, stored_status
from tconnectsync.sources.base import Reader
from tconnectsync.state.backlog import Backlog

Read = Callable[[DeviceStatus | None], DeviceStatus | None]


def sync_device_status(
    reader: Reader, nightscout: NightscoutApi, backlog: Backlog | None, *, pretend: bool
) -> list[str]:
    """Store the pump's state if the pump has uploaded since; return what was done, in words.

    With a ``backlog``, Nightscout is not asked when an earlier run has stored all of that.

    Raises:
        NightscoutError: Nightscout refused something.
        NetworkError: a service could not be reached.
        ApiError: the cloud gave no usable answer, or too little to know what the reservoir holds;
            the rest of the state is stored then.
    """
    newest, known = reader.newest(), backlog.last_sent("DEVICE_STATUS") if backlog else None
    if newest is None or (known and newest <= known):
        return []
    is_complete = True

    def read(last: DeviceStatus | None) -> DeviceStatus | None:
        nonlocal is_complete
        status = reader.device_status(last)
        is_complete = status is None or status.reservoir_is_searched
        return status

    done = store_device_status(read, nightscout, pretend=pretend)
    if not is_complete:
        raise ApiError(
            "The insulin left in the reservoir is unknown, because the cloud did not send the log "
            "of the days before. The rest of the pump's state is shown; the reservoir is asked "
            "for again when the pump has uploaded more."
        )
    if backlog:
        backlog.remember_sent("DEVICE_STATUS", newest)
    return done


def store_device_status(read: Read, nightscout: NightscoutApi, *, pretend: bool) -> list[str]:
    """Store a device status that is newer than our newest and differs from it, or is much newer.

    Device statuses of other programs do not count. Returns what was done, in words.

    Args:
        read: returns how the pump is, or ``None`` if nothing has come since the stored status.
        nightscout: where to store it.
        pretend: whether to leave that.

    Raises:
        NightscoutError: Nightscout refused something.
        NetworkError: a service could not be reached.
        ApiError: the cloud gave no usable answer.
    """
    stored = nightscout.device_status()
    last = stored_status(stored) if stored else None
    status = read(last)
    if status is None or (last and status.at <= last.at):
        return []
    document = device_status(status, stored)
    if not is_worth_storing(document, stored):
        return []
    if not pretend:
        nightscout.add(document, "devicestatus")
    return [f"Device status: {', '.join(_words(status))} at {status.at:%Y-%m-%d %H:%M}"]


def _words(status: DeviceStatus) -> Iterator[str]:
    if status.battery_percent is not None:
        yield f"battery {status.battery_percent} %"
    elif status.battery_volts is not None:
        yield f"battery {status.battery_volts:.2f} V"
    if status.reservoir is not None:
        about = "" if status.reservoir_is_reported else "about "
        yield f"reservoir {about}{int(status.reservoir + 0.0005)} U"
    if status.iob is not None:
        yield f"insulin on board {status.iob:g} U"
    if status.suspended is not None:
        yield "suspended" if status.suspended else "not suspended"
