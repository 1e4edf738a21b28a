"""The codes of the log entries that we use, grouped by what they report.

See tandem-event-log §7 and §10 to §13; `fields.py` has their names and fields.
"""

from __future__ import annotations

LOG_ERASED = 0
TEMP_RATE_STARTED = 2
RATE_CHANGE = 3
ALERT = 4
ALARM = 5
MALFUNCTION = 6
SUSPENDED = 11
RESUMED = 12
TIME_CHANGED = 13
DATE_CHANGED = 14
TEMP_RATE_ENDED = 15
GLUCOSE_ENTERED = 16
BOLUS_ENDED = 20
LATER_PART_ENDED = 21
ALERT_CLEARED = 26
CARTRIDGE_FILLED = 33
CARBS_ENTERED = 48
SHELF_MODE = 53
BOLUS_STARTED = 55
LATER_PART_STARTED = 59
LOG_DAMAGED = 60
CANNULA_FILLED = 61
TUBING_FILLED = 63
BOLUS_REQUESTED, BOLUS_OPTIONS, BOLUS_SIZES = 64, 65, 66
"""What was asked for, in three messages."""
DAILY_BASAL = 81
NEW_DAY = 90
BASAL_IQ = 140
USER_MODE = 229
BASAL_RATE = 279
"""Every five minutes, of pumps with Control-IQ."""
BOLUS_PROGRESS = 280

SENSORS = (256, 399, 372, 480)
"""Readings of G6, G7, Libre 2 and Libre 3."""
SENSOR_STARTS = (212, 404)
JOIN_OF_G7 = 394
SENSOR_JOINS = (213, JOIN_OF_G7, 406, 477)
SENSOR_STOPS = (214, 447, 405, 486)
CGM_ALERT, DEXCOM_ALERT, LIBRE_ALERT = 171, 369, 460
OTHER_SENSORS = (151, 211)
"""Values of older sensors, in a form that is not described anywhere."""
BATTERY = (9, 34, 35, SHELF_MODE, DAILY_BASAL)
"""Entries that report the battery."""

DOSE_STARTED, DOSE_COMPLETED = 558, 559
NEW_ALGORITHM = frozenset((DOSE_STARTED, DOSE_COMPLETED, 562, 563, 564, 565, 566))
"""Tandem's next algorithm: doses, rates and settings."""
