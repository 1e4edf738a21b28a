"""What Tandem Source says of a person and their pumps (tandem-source-api §4.1 and 4.3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.simulators.pump import DEVICE, SERIAL_NUMBER
from tconnectsync.simulators.tandemsource.settings import settings_details

ASSIGNMENT_ID = str(uuid5(NAMESPACE_OID, f"assignment {SERIAL_NUMBER}"))
"""What Tandem Source calls the simulated pump."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What the pump has uploaded so far."""

    at: datetime
    """When it did last, in UTC."""
    oldest: datetime
    """The first time in its log, by its own clock."""
    newest: datetime
    """The latest time in its log, by its own clock."""
    settings: PumpSettings


def assignment_of(serial: str) -> str:
    """Return what Tandem Source calls the pump with a serial number."""
    return str(uuid5(NAMESPACE_OID, f"assignment {serial}"))


def pump(
    upload: Upload | None,
    *,
    control_iq: bool,
    serial: str = str(SERIAL_NUMBER),
    assignment_id: str = ASSIGNMENT_ID,
    model: str = DEVICE,
    glucose_unit: str | None = None,
) -> dict[str, Any]:
    """Return a simulated pump; one that has not uploaded anything is listed all the same."""
    return {
        "assignmentId": assignment_id,
        "serialNumber": serial,
        "modelNumber": "1002717",
        "modelName": model,
        "partNumber": "1013006",
        "softwareVersion": "7.8.1.0",
        "algorithm": "Control-IQ" if control_iq else "Basal-IQ",
        "glucoseUnit": glucose_unit,
        "availableDataRange": {
            "start": upload.oldest.isoformat() if upload else None,
            "end": upload.newest.isoformat() if upload else None,
        },
        "maxDateOfEvents": upload.newest.isoformat() if upload else None,
        "lastUploadDate": f"{upload.at:%Y-%m-%dT%H:%M:%SZ}" if upload else None,
        "lastUploadClientType": "mobile_tconnect" if upload else None,
        "settings": _settings(upload, assignment_id) if upload else None,
    }


def _settings(upload: Upload, assignment_id: str) -> dict[str, Any]:
    details = settings_details(upload.settings)
    digest = sha1(json.dumps(details).encode(), usedforsecurity=False).hexdigest().upper()
    return {
        "id": str(uuid5(NAMESPACE_OID, digest)),
        "deviceAssignmentId": assignment_id,
        "uploadedTimeStamp": f"{upload.at:%Y-%m-%dT%H:%M:%S}.000",
        "settingsHash": digest,
        "uploadId": str(uuid5(NAMESPACE_OID, upload.at.isoformat())),
        "details": details,
    }


def person(pumps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the person, with these pumps."""
    return {
        "firstName": "Robin",
        "lastName": "Sample",
        "name": "Robin Sample",
        "dateOfBirth": "1990-01-01",
        "lowGlucoseThreshold": 70,
        "highGlucoseThreshold": 180,
        "country": "US",
        "pumps": list(pumps),
    }


def account(pumps: Sequence[dict[str, Any]], *, guardian: bool) -> dict[str, Any]:
    """Return the account as its own endpoint describes it, with these pumps."""
    names = ("serialNumber", "modelName", "assignmentId")
    return {
        "firstName": "Robin",
        "lastName": "Sample",
        "account": {"role": "Guardian" if guardian else "Patient"},
        "devices": [{name: pump[name] for name in names} for pump in pumps],
    }
