"""The same log as the 26-byte records that Tandem served until 2026 (tandem-event-log §1 and 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tconnectsync.simulators.tandemsource.entries import LogEntry, seconds_since_2008

_HEADER = struct.Struct(">HII")
_PAYLOAD_SIZE = 16

_LAYOUTS = {
    2: ("ffH6x", "percent duration tempRateId"),
    3: ("fffxBH", "commandedBasalRate baseBasalRate maxBasalRate changeType idp"),
    5: ("IIIf", "alarmId faultLocatorData param1 param2"),
    11: ("IBBH8x", "preSuspendState rpaTimeout suspendReason insulinAmount"),
    12: ("I2xH8x", "preResumeState insulinAmount"),
    13: ("III4x", "timePrior timeAfter rawRtcTime"),
    14: ("III4x", "datePrior dateAfter rawRtcTime"),
    16: ("BBHfHH2xBB", "bgEntryType cgmCalibration bg iob isf targetBg bgSourceType selectedIob"),
    20: ("HHfff", "bolusId completionStatus iob insulinDelivered insulinRequested"),
    21: ("HHfff", "bolusId completionStatus iob insulinDelivered insulinRequested"),
    15: ("HHI8x", "tempRateId stopReason timeLeft"),
    28: ("I12x", "alarmId"),
    33: ("If8x", "insulinVolume v2Volume"),
    55: ("xBHff4x", "selectedIob bolusId iob bolusSize"),
    59: ("xBHff4x", "selectedIob bolusId iob bolexSize"),
    61: ("fI8x", "primeSize completionStatus"),
    63: ("fII4x", "primeSize completionStatus position"),
    64: ("BBHHHfI", "correctionBolusIncluded bolusType bolusId bg carbAmount iob carbRatio"),
    65: (
        "BBH2xHHHxBBB",
        "standardPercent options bolusId duration targetBg isf selectedIob declinedCorrection"
        " userOverride",
    ),
    66: ("2xHfff", "bolusId foodBolusSize correctionBolusSize totalBolusSize"),
    81: (
        "fffHBB",
        "dailyTotalBasal lastBasalRate iob batteryLipoMilliVolts batteryChargePercent"
        " finalEventForDay",
    ),
    90: ("fII4x", "commandedBasalRate featuresBitmask featureBitmaskIndex"),
    229: (
        "xBBB2xBBHBB3xB",
        "requestedAction previousUserMode currentUserMode activeSleepSchedule sleepStartedByGui"
        " exerciseTime exerciseChoice exerciseStoppedByTimer eatingSoonStoppedByTimer",
    ),
    279: ("2xHHHHH4x", "commandedRateSource profileBasalRate commandedRate tempRate algorithmRate"),
    280: (
        "BBHHBBHHHH",
        "bolusType bolusDeliveryStatus bolusId requestedNow remoteId bolusSource correction"
        " requestedLater deliveredTotal extendedDurationRequested",
    ),
    313: ("xBBB12x", "sensorType usermode pumpControlState"),
    369: ("2xBBIIf", "sensorType dalertId faultLocatorData param1 param2"),
    370: ("2xBB12x", "sensorType dalertId"),
    394: ("II8x", "cgmTimestamp sessionSignature"),
    399: (
        "bBHHbBIxBH",
        "rate cgmDataType glucoseValueStatus currentGlucoseDisplayValue rssi algorithmState"
        " egvTimeStamp interval egvInfoBitmask",
    ),
    447: (
        "IIIxBBB",
        "currentTransmitterTime sessionStartTime sessionStopTime stopSessionCode"
        " sessionStopReason sessionDuration",
    ),
}
"""The fields of each code's payload in the order of their places (tandem-event-log §7 and 8)."""

_PACKERS = {
    code: (struct.Struct(f">{layout}"), names.split()) for code, (layout, names) in _LAYOUTS.items()
}


def binary_log(entries: Iterable[LogEntry]) -> bytes:
    """Return the records of the entries, one after the other; unknown codes have no payload."""
    return b"".join(_record(entry) for entry in entries)


def _record(entry: LogEntry) -> bytes:
    header = _HEADER.pack(entry.code, seconds_since_2008(entry.wall), entry.number)
    if entry.code not in _PACKERS:
        return header + bytes(_PAYLOAD_SIZE)
    packer, names = _PACKERS[entry.code]
    return header + packer.pack(*(_plain(entry.properties[name]) for name in names))


def _plain(value: float | list[int]) -> float:
    """Return a number as it is, and a list of the bits set as the number that they make."""
    return sum(1 << bit for bit in value) if isinstance(value, list) else value
