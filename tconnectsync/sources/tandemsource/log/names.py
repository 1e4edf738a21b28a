"""The names of alarms and alerts in the pump's log, and property names in one spelling.

See docs/protocol/tandem-event-log.md §4, §6 and §11. A number without a name is shown as a number.
"""

from __future__ import annotations

ALARMS = {
    0: "Delivery did not stop",
    1: "Unexpected movement of the pump's motor",
    2: "Occlusion",
    3: "Pump was reset",
    4: "Pump fault (pressure)",
    5: "Pump fault (pressure)",
    6: "Pump fault (vent)",
    7: "Switched off automatically",
    8: "Cartridge empty",
    9: "Cartridge used up",
    10: "Temperature out of range",
    11: "Pump fault (temperature)",
    12: "Battery empty, pump shut down",
    14: "Date not valid",
    15: "Battery too hot or too cold",
    16: "Delivery failed",
    18: "Resume pump",
    20: "Pump fault (motor)",
    21: "Pump fault (altitude)",
    22: "Button stuck",
    23: "Reminder of an alarm",
    24: "Air pressure out of range",
    25: "Cartridge removed",
    26: "Occlusion",
    29: "Pump fault (motor range)",
    30: "Pump fault (motor stalled)",
    31: "Pump fault (vent motor)",
    32: "No cartridge",
    33: "Not enough power",
    34: "Pump fault (motor sensor)",
    35: "Pump fault (motor)",
    36: "Pump fault (motor stalled while filling)",
    37: "Pump fault (processor reset)",
}
"""The alarms (code 5) by their number; those left out are unused (tandem-event-log §11.2)."""
MALFUNCTIONS = {
    0: "software",
    1: "processor",
    2: "connection of the processors",
    3: "a sensor of the pump",
    4: "battery",
    5: "touch screen",
    6: "memory",
    7: "display",
    8: "second processor",
    9: "motor",
    10: "external",
    11: "start of the software",
    12: "vibration",
    13: "power supply",
    14: "pressure",
    15: "data log",
    16: "speaker",
    17: "power of the second processor",
    18: "calibration data",
    19: "Bluetooth",
    20: "algorithm processor",
    21: "clock",
    22: "radio connection",
    23: "motor went too far",
    24: "motor did not go far enough",
    25: "motor did not start",
    26: "encryption hardware",
}
"""The malfunctions (code 6) by their number (tandem-event-log §11.3)."""
ALERTS = {
    0: "Insulin low",
    2: "Battery low",
    3: "Battery very low",
    11: "Bolus not completed",
    12: "Temp rate not completed",
    13: "Cartridge change not completed",
    14: "Tubing fill not completed",
    15: "Cannula fill not completed",
    17: "Insulin very low",
    48: "No glucose readings",
    50: "Control-IQ: glucose high",
    51: "Control-IQ: glucose low",
    59: "Automation switched off",
    60: "Connection lost",
    61: "Battery extremely low",
    62: "Not enough power",
}
"""The alerts (code 4) that matter to people, by their number (tandem-event-log §11.1)."""
SERVICE_ALERTS = frozenset(range(64)).difference(ALERTS)
"""Alerts that matter only when the pump is repaired or set up."""
CGM_ALERTS = {
    1: "Urgent low glucose",
    2: "High glucose",
    3: "Low glucose",
    4: "Calibration requested",
    5: "Rising",
    6: "Rising fast",
    7: "Falling",
    8: "Falling fast",
    9: "Calibration error",
    10: "Calibration error, high",
    11: "Sensor failed",
    12: "Sensor expires soon",
    13: "Sensor expired",
    14: "Out of range",
    16: "First calibration",
    17: "Second calibration",
    18: "Calibration required",
    19: "Transmitter battery low",
    20: "Transmitter error",
    22: "Sensor expires very soon",
    24: "Urgent low glucose soon",
    25: "Sensor used again",
    26: "Sensor temperature",
    27: "Connection failed",
    28: "Check sensor",
    29: "Glucose value not usable",
    31: "Grace period started",
    32: "Grace period ends soon",
}
"""The alerts about glucose and its sensor by their number (tandem-event-log §11.4)."""


def alarm_name(number: int | None) -> str:
    """Return what an alarm (code 5) says."""
    return "Alarm" if number is None else ALARMS.get(number, f"Alarm {number}")


def malfunction_name(number: int | None) -> str:
    """Return what a malfunction (code 6) says."""
    if number is None:
        return "Malfunction"
    name = MALFUNCTIONS.get(number)
    return f"Malfunction ({name})" if name else f"Malfunction {number}"


def alert_name(number: int | None) -> str:
    """Return what an alert (code 4) says."""
    return "Alert" if number is None else ALERTS.get(number, f"Alert {number}")


def cgm_alert_name(number: int) -> str:
    """Return what an alert about glucose or its sensor says."""
    return CGM_ALERTS.get(number, f"Alert {number}")
