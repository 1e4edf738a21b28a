"""Nightscout's types of treatments (``eventType``) and of entries (``type``) that we know.

See nightscout-api §4 and §7.12 for what Nightscout makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping

TEMP_BASAL = "Temp Basal"
COMBO_BOLUS = "Combo Bolus"
CARB_CORRECTION = "Carb Correction"
BASAL_SUSPENSION = "Basal Suspension"
BASAL_RESUME = "Basal Resume"
ALARM = "Alarm"
NOTE = "Note"
SITE_CHANGE = "Site Change"
INSULIN_CHANGE = "Insulin Change"
SENSOR_START = "Sensor Start"
SENSOR_STOP = "Sensor Stop"
SENSOR_CHANGE = "Sensor Change"
"""What a person may choose instead of a start; we do not write it."""
CGM_ALERT = "CGM Alert"
SLEEP = "Sleep"
EXERCISE = "Exercise"
ACTIVITY = "Activity"

SGV, MBG = "sgv", "mbg"
"""Entries: glucose of a sensor and of a finger stick."""

NOUNS: Mapping[str, str] = {
    TEMP_BASAL: "basal",
    COMBO_BOLUS: "bolus",
    CARB_CORRECTION: "carb entry",
    BASAL_SUSPENSION: "suspension",
    BASAL_RESUME: "resumption",
    ALARM: "alarm",
    NOTE: "note",
    SITE_CHANGE: "site change",
    INSULIN_CHANGE: "cartridge change",
    SENSOR_START: "sensor start",
    SENSOR_STOP: "sensor stop",
    SENSOR_CHANGE: "sensor change",
    CGM_ALERT: "glucose alert",
    SLEEP: "sleep period",
    EXERCISE: "exercise period",
    ACTIVITY: "activity",
    SGV: "sensor reading",
    MBG: "finger stick",
}
"""What people call one of each, in the order in which a run says how many there were."""
