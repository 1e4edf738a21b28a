"""Boluses in the pump's log: what was asked for (64, 65, 66), the start, the progress, the end.

What was still being delivered when the pump uploaded simply has no end in the log yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tconnectsync.simulators.history import (
    CARB_RATIO,
    CORRECTION_FACTOR,
    TARGET,
    BolusRecord,
    ExtendedPart,
    PumpHistory,
    between,
    insulin_on_board,
)
from tconnectsync.simulators.tandemsource.entries import Happening, Properties, number

_STATUS = {"completed": 3, "user aborted": 0}
"""The completion status of a bolus that has ended (tandem-event-log §7)."""
_CONFIRMED = timedelta(seconds=15)
_TAKEN_OVER = timedelta(seconds=4)
_EVERY = timedelta(minutes=5)
_FIRST_AFTER = timedelta(seconds=142)
"""When a slow part first says how it goes on, after its start and after each pause."""


def bolus_events(history: PumpHistory) -> Iterator[Happening]:
    """Yield all messages of all boluses, those of one bolus in the pump's order."""
    for bolus in history.boluses:
        yield from _glucose_taken_over(history, bolus)
        yield from _request(history, bolus)
        yield from _immediate_part(history, bolus)
        if bolus.completed and bolus.extended:
            yield from _extended_part(history, bolus, bolus.extended)


def _glucose_taken_over(history: PumpHistory, bolus: BolusRecord) -> Iterator[Happening]:
    """Yield that the pump took the glucose from the sensor (16), for a bolus that was asked for."""
    at = bolus.requested - _TAKEN_OVER
    shown = between(history.readings, at - _EVERY, at)
    if bolus.kind != "automatic" and shown and shown[-1].mgdl == bolus.glucose:
        properties = {
            "bg": bolus.glucose,
            "cgmCalibration": 0,
            "bgEntryType": 1,
            "iob": number(insulin_on_board(history, at)),
            "targetBg": TARGET,
            "isf": CORRECTION_FACTOR,
            "selectedIob": 1,
            "bgSourceType": 0 if _is_by_hand(bolus) else 1,
        }
        yield Happening(at, 16, properties)


def _request(history: PumpHistory, bolus: BolusRecord) -> Iterator[Happening]:
    iob = insulin_on_board(history, bolus.requested)
    by_hand, is_automatic = _is_by_hand(bolus), bolus.kind == "automatic"
    first = {
        "bolusType": 2 if is_automatic else int(bolus.carbs > 0) if by_hand else 3,
        "correctionBolusIncluded": int(bolus.correction > 0),
        "carbAmount": bolus.carbs,
        "bg": bolus.glucose or 0,
        "iob": number(iob),
        "carbRatio": CARB_RATIO * 1000 if by_hand else 0,
    }
    is_extended = bolus.extended is not None
    second = {
        "options": 3 if is_automatic else int(is_extended) + (0 if by_hand else 4),
        "standardPercent": bolus.immediate_percent,
        "duration": bolus.extended.duration_minutes if bolus.extended else 0,
        "spareB6": 0,
        "isf": CORRECTION_FACTOR if by_hand else 0,
        "targetBg": TARGET if by_hand else 0,
        "userOverride": int(bolus.override),
        "declinedCorrection": 0,
        "selectedIob": 1,
    }
    third = {
        "spareA2": 0,
        "foodBolusSize": number(bolus.food),
        "correctionBolusSize": number(bolus.correction),
        "totalBolusSize": number(bolus.total_requested),
    }
    for code, message in ((64, first), (65, second), (66, third)):
        yield _message(bolus.requested, code, bolus, message)


def _immediate_part(history: PumpHistory, bolus: BolusRecord) -> Iterator[Happening]:
    started = bolus.requested + _CONFIRMED
    if bolus.completed:
        started = min(started, bolus.completed)
    yield _message(started, 55, bolus, _activated(history, started, "bolusSize", bolus))
    yield _progress(started, bolus, 0.0)
    if not bolus.completed:
        return
    if not bolus.extended:
        if bolus.end_in_log == "none":
            return
        yield _progress(bolus.completed, bolus, bolus.insulin, over=True)
        if bolus.end_in_log == "progress":
            return
    end = _ended(history, bolus.completed, bolus.insulin, bolus.requested_insulin)
    status = _STATUS[bolus.status]
    yield _message(bolus.completed, 20, bolus, {"completionStatus": status, **end})


def _extended_part(
    history: PumpHistory, bolus: BolusRecord, part: ExtendedPart
) -> Iterator[Happening]:
    yield _message(part.start, 59, bolus, _activated(history, part.start, "bolexSize", bolus))
    for _ in range(2):
        yield _progress(part.start, bolus, bolus.insulin)
    if not part.end:
        return
    for at in progress_times(part, part.end):
        known = bolus.as_of(at)
        yield _progress(at, bolus, known.delivered if known else 0.0)
    if bolus.end_in_log != "whole":
        return
    end = _ended(history, part.end, part.insulin, part.requested_insulin)
    status = _STATUS["completed" if part.insulin == part.requested_insulin else "user aborted"]
    yield _message(part.end, 21, bolus, {"completionStatus": status, **end})
    yield _progress(part.end, bolus, bolus.delivered, over=True)


def progress_times(part: ExtendedPart, end: datetime) -> Iterator[datetime]:
    """Yield when a slow part reports its progress: regularly, and as soon as it stands still."""
    flows_from = part.start
    for pause_begins, pause_ends in [*part.pauses, (end, end)]:
        at = flows_from + _FIRST_AFTER
        while at < pause_begins:
            yield at
            at += _EVERY
        if pause_begins < end:
            yield pause_begins
        flows_from = pause_ends


def _message(at: datetime, code: int, bolus: BolusRecord, properties: Properties) -> Happening:
    return Happening(at, code, {"bolusId": bolus.request_id, **properties}, bolus)


def _activated(history: PumpHistory, at: datetime, name: str, bolus: BolusRecord) -> Properties:
    later = bolus.extended.requested_insulin if bolus.extended else 0.0
    size = bolus.requested_insulin if name == "bolusSize" else later
    iob = number(insulin_on_board(history, at))
    return {"selectedIob": 1, "spareA3": 0, "iob": iob, name: number(size)}


def _ended(history: PumpHistory, at: datetime, insulin: float, requested: float) -> Properties:
    return {
        "iob": number(insulin_on_board(history, at)),
        "insulinDelivered": number(insulin),
        "insulinRequested": number(requested),
    }


def _progress(
    at: datetime, bolus: BolusRecord, delivered: float, *, over: bool = False
) -> Happening:
    is_automatic = bolus.kind == "automatic"
    later = bolus.extended.requested_insulin if bolus.extended else 0.0
    is_remote = not is_automatic and not _is_by_hand(bolus)
    kinds = (True, later > 0, bolus.override, bolus.correction > 0, bolus.carbs > 0)
    properties = {
        "bolusDeliveryStatus": int(not over),
        "bolusType": [bit for bit, is_set in enumerate(kinds) if is_set],
        "bolusSource": 7 if is_automatic else 8 if is_remote else 1,
        "remoteId": bolus.request_id * 7 % 256 if is_remote else 0,
        "requestedNow": round(bolus.requested_insulin * 1000),
        "requestedLater": round(later * 1000),
        "correction": round(bolus.correction * 1000),
        "extendedDurationRequested": bolus.extended.duration_minutes if bolus.extended else 0,
        "deliveredTotal": round(delivered * 1000),
    }
    return _message(at, 280, bolus, properties)


def _is_by_hand(bolus: BolusRecord) -> bool:
    """Return whether it was asked for at the pump; every other one comes from the phone."""
    return bolus.kind != "automatic" and bolus.request_id % 2 == 0
