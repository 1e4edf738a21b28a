"""From the state of the pump to a Nightscout device status, as the pump and IOB pills read it.

Contract nightscout-api §1.4 and §4.8, tandem-source-processing §7. Insulin is in U. What is unknown
is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tconnectsync.domain.events import DeviceStatus
from tconnectsync.nightscout.marks import ENTERED_BY, Document, created_at

VALUES = (
    ("battery", "percent"),
    ("battery", "voltage"),
    ("reservoir",),
    ("iob", "iob"),
    ("status", "suspended"),
)
"""Where in ``pump`` a document says how the pump is; all else are times and other words for it."""


def device_status(status: DeviceStatus) -> Document:
    """Return the document that shows ``status``; times carry the pump's own offset.

    Voltage has millivolts, insulin hundredths of a unit.
    """
    at = created_at(status.at)
    pump = {
        "clock": at,
        "battery": _known(
            percent=status.battery_percent, voltage=_rounded(status.battery_volts, 3)
        ),
        "reservoir": _rounded(status.reservoir, 2),
        "iob": _iob(at, status.iob),
        "status": _delivery(at, status.suspended),
    }
    document = {"device": ENTERED_BY, "created_at": at, "pump": _known(**pump)}
    if status.log_ids:
        document["pump_event_id"] = ",".join(map(str, status.log_ids))
    return document


def tells_more(document: Document, stored: Document | None) -> bool:
    """Say whether a document knows a value that a stored one does not have, or has otherwise.

    Times do not count. A value that is not known any more is no news either.
    """
    known = {path: _value(document, path) for path in VALUES}
    return any(v is not None and v != _value(stored, path) for path, v in known.items())


def _iob(at: str, units: float | None) -> Document | None:
    if units is None:
        return None
    units = _rounded(units, 2)
    # Nightscout reads bolusiob where iob is 0, and shows no value at all if that is missing.
    return {"timestamp": at, "iob": units, "bolusiob": units}


def _delivery(at: str, suspended: bool | None) -> Document | None:
    if suspended is None:
        return None
    name = "suspended" if suspended else "normal"
    return {"status": name, "suspended": suspended, "timestamp": at}


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)


def _known(**fields: Any) -> Document:
    """Leave out what is unknown: Nightscout takes a null for a value in places."""
    return {name: value for name, value in fields.items() if value not in (None, {})}


def _value(document: Document | None, path: tuple[str, ...]) -> Any:
    found: Any = (document or {}).get("pump")
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
