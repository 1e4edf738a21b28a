"""The shapes of Tandem Source's answers that this version knows.

See tandem-source-api §2 and §4, tandem-source-processing §9 and tandem-event-log §7. How they are
written is described at :class:`tconnectsync.api.shapes.Endpoint`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from tconnectsync.api.shapes import Endpoint
from tconnectsync.sources.tandemsource.log.fields import (
    KNOWN_CODES,
    LAYOUTS,
    REPORTED_ELSEWHERE,
)
from tconnectsync.sources.tandemsource.log.records import plainly_named

UNUSED = ("spare", "reserved", "infusionset", "rfu", "padding")
"""How the plain names of properties begin that stand in the log but mean nothing to us."""
BINARY_ONLY = frozenset({(66, "queued")})
"""Fields by code that stand in the pump's own form of the log, but not in that of the cloud."""
HIGHEST_CODE = 0xFFFF
"""A greater number could be the serial number of a pump."""
_ENTRY = ("deviceAssignmentId", "estimatedDateTime", "eventProperties", "eventCode")
_NEEDED = ("eventCode", "pumpDateTime", "sequenceNumber")
_HEAD = frozenset((*_ENTRY, *_NEEDED, "sequenceGroup"))


def entries(log: object) -> Iterator[tuple[str, str]]:
    """Yield what differs in a list of the pump's events: codes, and names of properties."""
    for event in log if isinstance(log, list) else ():
        if not isinstance(event, dict):
            yield "[]", "no object"
            continue
        code, properties = event.get("eventCode"), event.get("eventProperties")
        is_number = type(code) is int
        if is_number and code not in KNOWN_CODES and code not in REPORTED_ELSEWHERE:
            is_code = 0 <= int(code or 0) <= HIGHEST_CODE
            yield "[]", f"unknown event {code}" if is_code else "an event code that cannot be one"
        names = tuple(properties) if isinstance(properties, dict) else ()
        yield from _of_form(tuple(event), code if is_number else None, names)


@lru_cache(maxsize=1024)
def _of_form(
    head: tuple[str, ...], code: int | None, names: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    found = [(f"[].{name}", "new") for name in head if name not in _HEAD]
    found += [("[]", f"{name} missing") for name in _NEEDED if name not in head]
    layout = None if code is None else LAYOUTS.get(code)
    if layout:
        expected = {each.name for each in layout.fields}
        place = f"[].eventProperties({code})"
        plain = dict(zip(plainly_named(dict.fromkeys(names)), names, strict=False))
        found += [
            (f"{place}.{name}", "new")
            for short, name in plain.items()
            if short not in expected and not short.startswith(UNUSED)
        ]
        found += [
            (place, f"{name} missing")
            for name in sorted(expected - plain.keys())
            if (code, name) not in BINARY_ONLY
        ]
    return tuple(found)


def endpoints() -> list[Endpoint]:
    """Return the endpoints of Tandem Source."""
    return [
        Endpoint("login", r"/accounts/api/login$", {"": "status! text, redirectUrl text"}),
        Endpoint(
            "token",
            r"/connect/token$",
            {
                "": "access_token! text, id_token! text, expires_in number, token_type text, "
                "scope text, refresh_token text"
            },
        ),
        Endpoint("list of pumps", r"/bff/pumper/[^/]+$", PUMPER),
        Endpoint(
            "account",
            r"/api/pumpers/pumpers/[^/]+$",
            {
                "": "id text, devices list, account object, * any",
                "devices[]": "serialNumber text, modelNumber text, modelName text, "
                "assignmentId text, assignedAt text, * any",
            },
        ),
        Endpoint(
            "pump log",
            r"/bff/pump-logs/[^/]+$",
            {"": "events list, clockChanges list"},
            special={"events": entries, "clockChanges": entries},
        ),
    ]


PUMPER = {
    "": "firstName text, lastName text, name text, dateOfBirth text, country text, "
    "lowGlucoseThreshold number, highGlucoseThreshold number, pumps! list",
    "pumps[]": "assignmentId! text, serialNumber! text, modelNumber text, modelName text, "
    "partNumber text, softwareVersion text, algorithm text, glucoseUnit text, "
    "availableDataRange object, maxDateOfEvents text, lastUploadDate text, "
    "lastUploadClientType text, settings object",
    "pumps[].availableDataRange": "start text, end text",
    "pumps[].settings": "id text, deviceAssignmentId text, uploadedTimeStamp text, "
    "settingsHash text, uploadId text, details object",
    "pumps[].settings.details": "profiles object, cgmSettings object, * any",
    "pumps[].settings.details.profiles": "numberOfProfiles number, activeSegment number, "
    "activeIdp number, profile list",
    "pumps[].settings.details.profiles.profile[]": "idp number, name text, carbEntry text, "
    "maxBolus number, insulinDuration number, timeDependentSegmentNumber number, "
    "timeDependentSegments list",
    "pumps[].settings.details.profiles.profile[].timeDependentSegments[]": "startTime number, "
    "basalRate number, carbRatio number, isf number, targetBg number, status list",
    "pumps[].settings.details.cgmSettings": "highGlucoseAlertMgPerDl number, "
    "lowGlucoseAlertMgPerDl number, * any",
}
