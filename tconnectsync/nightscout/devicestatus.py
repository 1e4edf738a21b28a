"""From the state of the pump to a Nightscout device status, as the pump and IOB pills read it.

See nightscout-api §1.4, §4.8, §7.9 and §7.10, tandem-source-processing §7. Insulin is
in U. What is unknown is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.nightscout.provenance import (
    ENTERED_BY,
    Document,
    created_at,
    instant,
    known,
    log_ids,
)

VALUES = (
    ("battery", "percent"),
    ("battery", "voltage"),
    ("reservoir",),
    ("iob", "iob"),
    ("status", "suspended"),
)
"""Where in ``pump`` a document says how the pump is; all else are times and other words for it."""


LEFT = "insulin_left"
"""A field of ours: how much insulin was left, to fractions of a unit."""
NOT_KNOWN = "unknown"
RENEWED_AFTER = timedelta(minutes=15)
"""Nightscout warns of a clock that is half an hour old."""


def device_status(status: DeviceStatus, stored: Document | None = None) -> Document:
    """Return the document that shows ``status``; times carry the pump's own offset.

    Voltage has millivolts, insulin on board hundredths of a unit, and what is left in the reservoir
    whole units, rounded down. Nightscout believes insulin on board for half an hour from the time
    of the document: so that is its own. Values that the newest ``stored`` document could have shown
    are not repeated, so that each document is later than the one before.
    """
    at, newest = created_at(status.at), instant(stored) if stored else None
    iob_at = status.iob_at or status.at
    dated, volts = at, status.battery_volts
    pump: Document = {
        "clock": at,
        "battery": known(
            percent=status.battery_percent, voltage=None if volts is None else round(volts, 3)
        ),
    }
    if status.reservoir is not None:
        # What is a rounding error below a whole unit is that unit.
        pump["reservoir"] = units = int(status.reservoir + 0.0005)
        if not status.reservoir_is_reported:
            pump["reservoir_display_override"] = f"~{units}U"
    if status.iob is not None and not (newest and iob_at <= newest):
        iob, dated = round(status.iob, 2), created_at(iob_at)
        # Nightscout reads bolusiob where iob is 0, and shows no value at all if that is missing.
        pump["iob"] = {"timestamp": dated, "iob": iob, "bolusiob": iob}
    if status.suspended is not None:
        name = "suspended" if status.suspended else "normal"
        pump["status"] = {"status": name, "suspended": status.suspended, "timestamp": at}
    document: Document = {"device": ENTERED_BY, "created_at": dated, "pump": known(**pump)}
    if status.reservoir_is_searched:
        document[LEFT] = NOT_KNOWN if status.reservoir is None else round(status.reservoir, 3)
    return document | log_ids(status.log_ids)


def stored_status(document: Document) -> DeviceStatus | None:
    """Return the state in a stored document of ours, as far as a new one builds on it.

    ``None`` if the document has no time.
    """
    at = _clock(document)
    if at is None:
        return None
    left = document.get(LEFT)
    numbers = str(document.get("pump_event_id") or "").split(",")
    return DeviceStatus(
        at=at,
        battery_percent=None,
        battery_volts=None,
        reservoir=float(left) if isinstance(left, int | float) else None,
        iob=None,
        suspended=None,
        log_ids=tuple(int(number) for number in numbers if number.isdecimal()),
        reservoir_is_searched=LEFT in document,
    )


def _clock(document: Document) -> datetime | None:
    clock = _value(document, ("clock",))
    at = instant({"created_at": clock}) if isinstance(clock, str) else None
    return at or instant(document)


def is_worth_storing(document: Document, stored: Document | None) -> bool:
    """Return whether a document is worth storing after our newest one.

    It is if it has a new or another value, or is a good deal later. A value that is missing now is
    no reason.
    """
    if all(_value(document, path) is None for path in VALUES):
        return False
    now, then = _clock(document), _clock(stored) if stored else None
    if now and then and now - then >= RENEWED_AFTER:
        return True
    if stored and LEFT in document and LEFT not in stored:
        # The next one can go on from it.
        return True
    values = {path: _value(document, path) for path in VALUES}
    return any(v is not None and v != _value(stored, path) for path, v in values.items())


def _value(document: Document | None, path: tuple[str, ...]) -> Any:
    found: Any = (document or {}).get("pump")
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
