"""What t:connect says of a pump's history in JSON: its data endpoints, tconnect-api §2–4.

Everything here is a function of a :class:`View`: some calendar days of a history, as far as the
pump has uploaded them.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from statistics import fmean
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync.simulators.history import (
    CORRECTION_FACTOR,
    TARGET,
    BasalKind,
    BasalSegment,
    BolusRecord,
    CgmReading,
    ExtendedPart,
    FingerStick,
    PumpHistory,
    insulin_on_board,
)
from tconnectsync.simulators.pump import DEVICE, SERIAL_NUMBER
from tconnectsync.simulators.tconnect import words
from tconnectsync.simulators.tconnect.view import ONE_DAY, View

_NO_DATE = "0001-01-01T00:00:00"
_PACIFIC = ZoneInfo("America/Los_Angeles")
_ACTIVITY_TYPES = {"sleep": 1, "exercise": 2}
_COMMON = {
    "sourceRecId": 0,
    "eventTypeId": 0,
    "indexId": 0,
    "uploadId": 0,
    "interactive": 0,
    "tempRateId": 0,
    "tempRateCompleted": 0,
    "tempRateActivated": 0,
}


def pacific_epoch(wall_clock: datetime) -> int:
    """Encode a wall clock as the seconds at which Los Angeles shows it, tconnect-api §6.

    The hour that Los Angeles skips in March cannot be distinguished from the one after it.
    """
    return int(wall_clock.replace(tzinfo=_PACIFIC).timestamp())


def therapy_timeline(view: View) -> dict[str, Any]:
    """Return the therapy timeline, docs/protocol/tconnect-api.md §2.1."""
    segments = view.known(view.history.basal)
    suspensions = [
        _timeline_suspension(s.reason, None, s.start)
        for s in view.known(view.history.suspensions)
        if s.reason in ("control-iq", "manual")
    ]
    suspensions += [
        _timeline_suspension("manual", "previous", midnight)
        for midnight in view.moments(ONE_DAY)
        if view.suspension_over(midnight)
    ]
    return {
        "basal": {
            "profileRates": [],
            "tempDeliveryEvents": _delivered(segments, "temp"),
            "algorithmDeliveryEvents": _delivered(segments, "algorithm"),
            "profileDeliveryEvents": _delivered(segments, "profile"),
        },
        "events": [
            {
                "duration": activity.duration_seconds,
                "eventType": _ACTIVITY_TYPES[activity.kind],
                "continuation": None,
                "timeZoneId": "America/Los_Angeles",
                "x": pacific_epoch(activity.start),
            }
            for activity in view.known(view.history.activities)
        ],
        "suspensionDeliveryEvents": suspensions,
        "softwareUpdates": [],
        "pumpFeatures": [],
    }


def _delivered(segments: list[BasalSegment], kind: BasalKind) -> list[dict[str, Any]]:
    return [
        {"y": s.rate or 0, "duration": s.duration_seconds, "x": pacific_epoch(s.start)}
        for s in segments
        if s.kind == kind
    ]


def _timeline_suspension(reason: str, continuation: str | None, at: datetime) -> dict[str, Any]:
    return {"suspendReason": reason, "continuation": continuation, "x": pacific_epoch(at)}


def summary(view: View) -> dict[str, int]:
    """Return the averages over the days, docs/protocol/tconnect-api.md §2.2."""
    values = [reading.mgdl for reading in view.known(view.history.readings)]
    return {
        "averageReading": round(fmean(values)) if values else 0,
        "timeInUseMinutes": 1410,
        "controlIqSetToOffMinutes": 15,
        "cgmInactiveMinutes": 0,
        "pumpInactiveMinutes": 40,
        "averageDailySleepMinutes": 465,
        "weeklyExerciseEvents": 3,
        "timeInUsePercent": 98,
        "controlIqOffPercent": 1,
        "cgmInactivePercent": 0,
        "pumpInactivePercent": 3,
        "totalDays": max(0, (view.end - view.start).days),
    }


def basal_suspensions(view: View, *, only_changes: bool) -> dict[str, Any]:
    """Return the suspensions, tconnect-api §4.2, or of them only the site and cartridge changes."""
    entries = [
        _suspension(change.at, "site-cart") for change in view.known(view.history.site_changes)
    ]
    if not only_changes:
        entries += [
            _suspension(suspension.start, suspension.reason)
            for suspension in view.known(view.history.suspensions)
            if suspension.reason in ("manual", "alarm")
        ]
        entries += [
            _suspension(midnight, "previous") | {"Continuation": "continuation"}
            for midnight in view.moments(ONE_DAY)
            if view.suspension_over(midnight)
        ]
    return {"BasalSuspension": entries}


def _suspension(at: datetime, reason: str) -> dict[str, Any]:
    return {"EventDateTime": f"/Date({pacific_epoch(at)}000-0000)/", "SuspendReason": reason}


def therapy_events(view: View) -> dict[str, Any]:
    """Return boluses, readings, finger sticks and now and then a new day, tconnect-api §2.4."""
    history = view.history
    events = [_bolus_event(history, bolus) for bolus in view.known(history.boluses)]
    events += [_cgm_event(reading) for reading in view.known(history.readings)]
    events += [_bg_event(history, stick) for stick in view.known(history.finger_sticks)]
    events += [_new_day(midnight) for midnight in view.moments(ONE_DAY) if midnight.day % 10 == 1]
    return {"event": events}


def _bolus_event(history: PumpHistory, bolus: BolusRecord) -> dict[str, Any]:
    status = words.STATUS.get(bolus.status)
    food, correction = words.split(bolus)
    event: dict[str, Any] = {
        **_COMMON,
        "type": "Bolus",
        "description": words.description(bolus),
        "eventDateTime": bolus.requested.isoformat(),
        "requestDateTime": bolus.requested.isoformat(),
        "sourceRecId": 1_000_000 + bolus.request_id,
        "actualTotalBolusRequested": bolus.total_requested,
        "bolusRequestOptions": words.options(bolus),
        "bolusType": words.bolus_type(bolus),
        "carbSize": bolus.carbs,
        "correctionBolusSize": bolus.correction,
        "correctionFactor": CORRECTION_FACTOR,
        "declinedCorrection": 0,
        "duration": bolus.extended.duration_minutes if bolus.extended else 0,
        "eventHistoryReportDetails": escape("\n".join(words.details(bolus))).replace("\n", "<br/>"),
        "eventHistoryReportEventDesc": escape(words.title(bolus)).replace("%", "&#37;"),
        "foodBolusSize": bolus.food,
        "isQuickBolus": 0,
        "note": _note(bolus.request_id, 64),
        "standard": {
            "insulinDelivered": _delivery(bolus.insulin, bolus.completed),
            "foodDelivered": food,
            "correctionDelivered": correction,
            "insulinRequested": bolus.requested_insulin,
            "completionStatusId": status[0] if status else 0,
            "bolusIsComplete": int(bolus.status == "completed"),
            "bolusRequestId": bolus.request_id,
            "bolusCompletionId": bolus.request_id if status else 0,
        },
        "standardPercent": bolus.immediate_percent,
        "targetBG": TARGET,
        "userOverride": int(bolus.override),
    }
    if status:
        event["standard"]["completionStatusDesc"] = status[1]
    if bolus.glucose is not None:
        event["bg"] = bolus.glucose
    if iob := insulin_on_board(history, bolus.requested):
        event["iob"] = iob
    if bolus.extended:
        event["bolex"] = _bolex(bolus, bolus.extended)
    return event


def _bolex(bolus: BolusRecord, part: ExtendedPart) -> dict[str, Any]:
    """Return the extended part: with its start once that came, with its amounts once it is over."""
    bolex: dict[str, Any] = {"size": part.requested_insulin}
    if bolus.completed:
        bolex["bolexStartDateTime"] = part.start.isoformat()
    if not part.end:
        return bolex | {
            "iob": 0,
            "completionStatusId": 0,
            "extendedBolusIsComplete": 0,
            "insulinRequested": 0,
            "bolexCompletionId": 0,
        }
    return bolex | {
        "insulinDelivered": _delivery(part.insulin, part.end),
        "iob": round(part.insulin / 2, 2),
        "completionStatusId": 3,
        "completionStatusDesc": "Completed",
        "extendedBolusIsComplete": 1,
        "insulinRequested": part.requested_insulin,
        "bolexCompletionId": bolus.request_id,
    }


def _delivery(insulin: float, completed: datetime | None) -> dict[str, Any]:
    return {"value": insulin} | ({"completionDateTime": completed.isoformat()} if completed else {})


def _cgm_event(reading: CgmReading) -> dict[str, Any]:
    value = reading.mgdl
    return {
        **_COMMON,
        "type": "CGM",
        "description": "EGV",
        "eventDateTime": reading.at.isoformat(),
        "requestDateTime": _NO_DATE,
        "eventID": 256,
        "deviceType": DEVICE,
        "serialNumber": str(SERIAL_NUMBER),
        "egv": {
            "estimatedGlucoseValue": value,
            "hypo": int(value < 54),
            "belowTarget": int(54 <= value < 70),
            "withinTarget": int(70 <= value <= 180),
            "aboveTarget": int(180 < value <= 250),
            "hyper": int(value > 250),
        },
    }


def _bg_event(history: PumpHistory, stick: FingerStick) -> dict[str, Any]:
    return {
        **_COMMON,
        "type": "BG",
        "description": "BG",
        "eventDateTime": stick.at.isoformat(),
        "requestDateTime": _NO_DATE,
        "eventTypeId": 16,
        "bg": stick.mgdl,
        "cgmCalibration": 1,
        "iob": insulin_on_board(history, stick.at),
        "deviceType": DEVICE,
        "serialNumber": str(SERIAL_NUMBER),
        "note": _note("", 16),
    }


def _new_day(midnight: datetime) -> dict[str, Any]:
    return {
        **_COMMON,
        "type": "Basal",
        "description": "NDE",
        "eventDateTime": midnight.isoformat(),
        "requestDateTime": _NO_DATE,
        "interactive": 1,
        "basalRate": {"duration": 0, "percent": 0, "value": 0.0},
        "displayInHistory": 0,
        "note": _note(midnight.toordinal(), 90),
        "noteDate": {},
    }


def _note(index: int | str, event_type: int) -> dict[str, Any]:
    return {
        "id": 0,
        "indexId": str(index),
        "eventTypeId": event_type,
        "sourceRecordId": 0,
        "eventId": 0,
        "active": False,
    }
