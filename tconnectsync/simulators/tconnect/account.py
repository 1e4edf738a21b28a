"""What t:connect says of a person and their pump, whatever the days, tconnect-api §2.3 and §3."""

from __future__ import annotations

from typing import Any

from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.pump import SERIAL_NUMBER
from tconnectsync.simulators.tconnect.payloads import pacific_epoch

_LIMITS = {"hypoThreshold": 54, "hyperThreshold": 250}

THRESHOLDS = _LIMITS | {
    "targetBGHigh": 180,
    "targetBGLow": 70,
    "siteChangeThreshold": 3,
    "cartridgeChangeThreshold": 3,
    "tubingChangeThreshold": 3,
}
"""What the pump warns the person of: mg/dL, and days of use."""


def pump_features(history: PumpHistory) -> list[dict[str, Any]]:
    """Return the pumps and since when they have which feature, tconnect-api §2.3."""
    since = midnight(history.first_day)
    control_iq = {
        "feature": 1,
        "dateTimeFirstDetected": since.isoformat(),
        "unixTimestamp": pacific_epoch(since),
    }
    features = {"controlIQ": control_iq} if history.control_iq else {}
    return [{"serialNumber": str(SERIAL_NUMBER), "features": features}]


def patient_info(email: str) -> dict[str, Any]:
    """Return who the person is."""
    return {
        "firstName": "Robin",
        "lastName": "Sample",
        "birthDate": "1990-01-01T00:00:00.000Z",
        "emailAddress": email,
        "secretQuestion": "Which pump?",
        "secretAnswer": "A simulated one",
        "secretQuestionId": 1,
    }


def user_profile(user_id: str, history: PumpHistory) -> dict[str, Any]:
    """Return the person's settings in the app, and what their pump can do."""
    return _LIMITS | {
        "userID": user_id,
        "targetBgHigh": 180,
        "targetBgLow": 70,
        "dateOfBirth": "1990-01-01T00:00:00",
        "age": 34,
        "patientFullName": "Robin Sample",
        "caregiverFullName": "",
        "caregiverDateOfBirth": "",
        "hasCGM": True,
        "hasBASALIQ": False,
        "hasControlIQ": history.control_iq,
    }
