"""t:connect's CSV export of a pump's history, docs/protocol/tconnect-api.md §4.1."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tconnectsync.simulators.history import (
    CORRECTION_FACTOR,
    TARGET,
    BolusRecord,
    PumpHistory,
    insulin_on_board,
)
from tconnectsync.simulators.pump import DEVICE, SERIAL_NUMBER
from tconnectsync.simulators.tconnect import words
from tconnectsync.simulators.tconnect.view import View

BOLUS_COLUMNS = (
    "Type,Description,BG,IOB,BolusRequestID,BolusCompletionID,CompletionDateTime,InsulinDelivered,"
    "FoodDelivered,CorrectionDelivered,CompletionStatusID,CompletionStatusDesc,BolusIsComplete,"
    "BolexCompletionID,BolexSize,BolexStartDateTime,BolexCompletionDateTime,BolexInsulinDelivered,"
    "BolexIOB,BolexCompletionStatusID,BolexCompletionStatusDesc,ExtendedBolusIsComplete,"
    "EventDateTime,RequestDateTime,BolusType,BolusRequestOptions,StandardPercent,Duration,CarbSize,"
    "UserOverride,TargetBG,CorrectionFactor,FoodBolusSize,CorrectionBolusSize,"
    "ActualTotalBolusRequested,IsQuickBolus,EventHistoryReportEventDesc,EventHistoryReportDetails,"
    "NoteID,IndexID,Note"
)


def timeline_csv(view: View) -> str:
    """Return the CSV export, tconnect-api §4.1; empty when nothing is known of these days."""
    sections = [_readings_csv(view), _iob_csv(view), _basal_csv(view), _boluses_csv(view)]
    found = [section for section in sections if "\n" in section]
    return "\n\n".join([_report_head(view.until), *found]) + "\n" if found else ""


def _report_head(moment: datetime) -> str:
    half = "AM" if moment.hour < 12 else "PM"
    return (
        "Tandem Diabetes Care Inc.\n"
        "t:connect Therapy Timeline Data Export\n"
        "Patient Name, Robin Sample\n"
        "Patient DOB, 1/1/1990\n"
        f"Report Generated On, {moment.month}/{moment.day}/{moment.year} "
        f"{moment.hour % 12 or 12}:{moment:%M:%S} {half}"
    )


def _readings_csv(view: View) -> str:
    values = [(r.at, "EGV", r.mgdl) for r in view.known(view.history.readings)]
    values += [(s.at, "BG", s.mgdl) for s in view.known(view.history.finger_sticks)]
    rows = (
        _row([DEVICE, SERIAL_NUMBER, kind, _iso(at), mgdl]) + ","
        for at, kind, mgdl in sorted(values)
    )
    return "\n".join(
        ["DeviceType,SerialNumber,Description,EventDateTime,Readings (CGM / BGM)", *rows]
    )


def _iob_csv(view: View) -> str:
    rows = (
        _row(["IOB", 81, _iso(hour), f"{insulin_on_board(view.history, hour):.2f}"])
        for hour in view.moments(timedelta(hours=1))
    )
    return "\n".join(["Type,EventID,EventDateTime,IOB", *rows])


def _basal_csv(view: View) -> str:
    """Return a row per change of the rate; only pumps without Control-IQ have any."""
    rows = [] if view.history.control_iq else _basal_changes(view)
    lines = (_row(["Basal", _iso(at), f"{rate:.3f}"]) for at, rate in rows)
    return "\n".join(["Type,EventDateTime,BasalRate", *lines])


def _basal_changes(view: View) -> list[tuple[datetime, float]]:
    """Return when which rate (U/h) began; that of a stopped pump is zero."""
    changes = [(segment.start, segment.rate) for segment in view.known(view.history.basal)]
    changes += [(stop.start, 0.0) for stop in view.known(view.history.suspensions)]
    return sorted(changes)


def _boluses_csv(view: View) -> str:
    rows = (_bolus_row(view.history, bolus) for bolus in view.known(view.history.boluses))
    return "\n".join([BOLUS_COLUMNS, *rows])


def _bolus_row(history: PumpHistory, bolus: BolusRecord) -> str:
    status = words.STATUS.get(bolus.status)
    food, correction = words.split(bolus)
    return (
        _row(
            [
                "Bolus",
                words.description(bolus),
                bolus.glucose,
                _units(insulin_on_board(history, bolus.requested) or None),
                f"{bolus.request_id}.000",
                f"{bolus.request_id}.000" if status else None,
                _iso(bolus.completed),
                _units(bolus.insulin),
                _units(food),
                _units(correction),
                status[0] if status else 0,
                status[1] if status else None,
                int(bolus.status == "completed"),
                *_extended_columns(bolus),
                _iso(bolus.requested),
                _iso(bolus.requested),
                words.bolus_type(bolus),
                words.options(bolus),
                f"{bolus.immediate_percent}.00",
                bolus.extended.duration_minutes if bolus.extended else 0,
                bolus.carbs,
                int(bolus.override),
                TARGET,
                f"{CORRECTION_FACTOR}.00",
                _units(bolus.food),
                _units(bolus.correction),
                _units(bolus.total_requested),
                0,
                0,  # The value without a name: every later one stands a column too far right.
                words.title(bolus),
                " | ".join(words.details(bolus)),
                0,
                1_000_000 + bolus.request_id,
                "",
            ]
        )
        + ","
    )


def _extended_columns(bolus: BolusRecord) -> list[object]:
    part = bolus.extended
    if not part:
        return [None] * 9
    start = _iso(part.start) if bolus.completed else None
    if not part.end:
        return [None, _units(part.requested_insulin), start, None, None, None, None, None, 0]
    return [
        f"{bolus.request_id}.000",
        _units(part.requested_insulin),
        start,
        _iso(part.end),
        _units(part.insulin),
        _units(part.insulin / 2),
        3,
        "Completed",
        1,
    ]


def _row(values: Iterable[object]) -> str:
    return ",".join("" if value is None else f'"{value}"' for value in values)


def _units(amount: float | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
