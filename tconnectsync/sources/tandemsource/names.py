"""What the pump's log means by numbers of alarms and alerts, and names spelled in one way.

Contract tandem-event-log §4 and §6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tconnectsync.sources.tandemsource.entries import Entry
from tconnectsync.sources.tandemsource.records import whole

MALFUNCTION = 6
"""The code of an entry that tells of a malfunction; the others that have a text are alarms."""
RESUME_PUMP = (18, 23)
"""Alarms that only remind of resuming the pump."""
DEFAULTS = range(64)
"""Numbers of alarms that have a name in any case."""

ALARMS = {
    0: "CARTRIDGE_ALARM",
    1: "CARTRIDGE_ALARM2",
    2: "OCCLUSION_ALARM",
    3: "PUMP_RESET_ALARM",
    5: "CARTRIDGE_ALARM3",
    6: "CARTRIDGE_ALARM4",
    7: "AUTO_OFF_ALARM",
    8: "EMPTY_CARTRIDGE_ALARM",
    9: "CARTRIDGE_ALARM5",
    10: "TEMPERATURE_ALARM",
    11: "TEMPERATURE_ALARM2",
    12: "BATTERY_SHUTDOWN_ALARM",
    14: "INVALID_DATE_ALARM",
    15: "TEMPERATURE_ALARM3",
    16: "CARTRIDGE_ALARM6",
    18: "RESUME_PUMP_ALARM",
    20: "CARTRIDGE_ALARM7",
    21: "ALTITUDE_ALARM",
    22: "STUCK_BUTTON_ALARM",
    23: "RESUME_PUMP_ALARM2",
    24: "ATMOSPHERIC_PRESSURE_OUT_OF_RANGE_ALARM",
    25: "CARTRIDGE_REMOVED_ALARM",
    26: "OCCLUSION_ALARM2",
    29: "CARTRIDGE_ALARM10",
    30: "CARTRIDGE_ALARM11",
    31: "CARTRIDGE_ALARM12",
}

CGM_ALERTS = {
    1: "CGM Fixed Low",
    2: "CGM High",
    3: "CGM Low",
    8: "CGM Rapid Fall",
    11: "CGM Sensor Fail",
    12: "CGM Sensor Expiring Soon",
    13: "CGM Sensor Expired",
    14: "CGM Out Of Range",
    20: "CGM Transmitter Error",
    22: "CGM Sensor Expiring 2",
    25: "CGM Replace Sensor",
    26: "CGM Temperature",
    27: "CGM Failed Connection",
    39: "CGM Transmitter Expired",
    40: "Pump Bluetooth Error",
    45: "CGM Transmitter Expiring Soon",
    46: "CGM Transmitter Expiring 2",
    48: "CGM Unavailable",
}


def alarm_text(entry: Entry) -> str | None:
    """Return what to show of an alarm (5) or a malfunction (6), such as ``OcclusionAlarm``.

    ``None`` for an alarm that is not shown.
    """
    if entry.code == MALFUNCTION:
        return "Malfunction"
    number = whole(entry.values, "alarmid")
    if number is None:
        return "Alarm"
    if number in RESUME_PUMP:
        return None
    default = f"DEFAULT_ALARM_{number}" if number in DEFAULTS else f"ALARM{number}"
    return _in_one_word(ALARMS.get(number, default))


def cgm_alert_name(number: int) -> str | None:
    """Return the name of an alert about glucose or its sensor, ``None`` if it has none."""
    label = CGM_ALERTS.get(number)
    return _in_one_word(label) if label else None


def plainly_named(item: object) -> dict[str, Any]:
    """Return an object of a payload under plain names: lower case, only letters and digits.

    What is no object counts as an empty one.
    """
    if not isinstance(item, Mapping):
        return {}
    return {"".join(filter(str.isalnum, str(name).lower())): item[name] for name in item}


def _in_one_word(label: str) -> str:
    """Turn ``CGM Fixed Low`` and ``CGM_FIXED_LOW`` into ``CgmFixedLow``."""
    return "".join(word.capitalize() for word in label.replace("_", " ").split())
