"""Glucose readings, sensor sessions and glucose alerts from the pump's log.

See docs/protocol/tandem-source-processing.md §7 and §8, tandem-event-log §3, §6 and §7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tconnectsync.domain.clock import SECOND
from tconnectsync.domain.events import PumpEvent, PumpEventKind, Reading, ReadingKind
from tconnectsync.domain.limits import EARLIEST, HIGHEST_GLUCOSE, LOWEST_GLUCOSE, PUMP_EPOCH
from tconnectsync.sources.tandemsource.log.codes import (
    CGM_ALERT,
    DEXCOM_ALERT,
    GLUCOSE_ENTERED,
    JOIN_OF_G7,
    LIBRE_ALERT,
    SENSOR_JOINS,
    SENSOR_STARTS,
    SENSOR_STOPS,
    SENSORS,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.names import cgm_alert_name
from tconnectsync.sources.tandemsource.log.records import mask, whole

ALERTS = {
    CGM_ALERT: "CGM Alert",
    DEXCOM_ALERT: "Dexcom CGM Alert",
    LIBRE_ALERT: "Libre CGM Alert",
}

CODES = (GLUCOSE_ENTERED, *SENSORS, *SENSOR_STARTS, *SENSOR_JOINS, *SENSOR_STOPS, *ALERTS)

EXACT, DO_NOT_SHOW = 0, 6
BELOW_RANGE, ABOVE_RANGE = 39, 401
"""mg/dL; what Nightscout takes for a sensor that shows only LOW or HIGH."""
OUT_OF_RANGE = {1: ABOVE_RANGE, 2: BELOW_RANGE}
"""Special values by the status that announces them."""
SENSOR_VALUES = range(20, 501)
"""mg/dL; anything else is no value of a sensor."""
BACK_FILLED = 1 << 1
TYPED_IN, TAKEN_FROM_SENSOR = 0, 1

UNIX_SECONDS = int(EARLIEST.timestamp())
"""By how much a time is greater when it is counted from 1970."""
UNKNOWN_TIMES = (0, 0xFFFF_FFFF)
SLACK = 60
"""Seconds by which a time may seem to lie after the entry that reports it."""
LONGEST_DELAY = 86_400
"""Seconds; a sensor hands in what was missed for a day at most."""
LONGEST_SESSION = 16 * 86_400
"""Seconds; no sensor lasts longer."""
SAME_SESSION = timedelta(minutes=30)
SESSION = "sensor session"
"""How the keys of sensor sessions begin: they name the session, not the pump that reports it."""


def readings(log: Log, skipped: Counter[str]) -> list[Reading]:
    """Return the glucose readings of the sensor, and those that a person typed in.

    They are as of when they were taken, also those that were handed in later.
    """
    found = []
    for entry in entries_of(log, GLUCOSE_ENTERED, *SENSORS):
        at: datetime | None = entry.at
        if entry.code == GLUCOSE_ENTERED:
            status, hidden = whole(entry.values, "bgentrytype"), TAKEN_FROM_SENSOR
            kind = ReadingKind.FINGER
            glucose = whole(entry.values, "bg") if status == TYPED_IN else None
            if glucose is not None and not LOWEST_GLUCOSE <= glucose <= HIGHEST_GLUCOSE:
                glucose = None
        else:
            status, hidden = whole(entry.values, "glucosevaluestatus"), DO_NOT_SHOW
            kind, at = ReadingKind.SENSOR, _taken(entry)
            glucose = _glucose(entry, status)
        if status == hidden:
            continue
        if glucose is None or at is None:
            skipped["unreadable glucose reading"] += 1
        else:
            found.append(Reading(entry.key, at, glucose, kind, (entry.sequence,)))
    return found


def sensor_sessions(log: Log) -> list[PumpEvent]:
    """Return when sensor sessions began and ended.

    A session that the pump joins while it is running began earlier; joining it once more is
    nothing new.
    """
    found: list[PumpEvent] = []
    begun: list[datetime] = []
    for entry in entries_of(log, *SENSOR_STARTS, *SENSOR_JOINS, *SENSOR_STOPS):
        if entry.code in SENSOR_STOPS:
            found.append(_event(entry, PumpEventKind.SENSOR_STOP, "CGM Session Stopped"))
        elif session := _session_start(entry, begun):
            begun.append(session.at)
            found.append(session)
    return found


def cgm_alerts(log: Log) -> list[PumpEvent]:
    """Return the alerts about glucose and its sensor, also those that have no name."""
    found = []
    for entry in entries_of(log, *ALERTS):
        number = whole(entry.values, "dalertid")
        name = "" if number is None else f" ({cgm_alert_name(number)})"
        found.append(_event(entry, PumpEventKind.CGM_ALERT, f"{ALERTS[entry.code]}{name}"))
    return found


def _glucose(entry: Entry, status: int | None) -> int | None:
    """Return what a sensor showed, mg/dL; ``None`` if that is unknown or cannot be true."""
    value = whole(entry.values, "currentglucosedisplayvalue")
    if status in OUT_OF_RANGE:
        return OUT_OF_RANGE[status]
    if status is None or value is None or value not in SENSOR_VALUES:
        return None
    return min(max(value, BELOW_RANGE), ABOVE_RANGE) if status == EXACT else value


def _taken(entry: Entry) -> datetime | None:
    """Return when a reading was taken; ``None`` if it came late and does not say."""
    delay = _ago(entry, whole(entry.values, "egvtimestamp"), LONGEST_DELAY)
    if delay is not None:
        return entry.at - delay
    came_late = (mask(entry.values, "cgmdatatype") or 0) & BACK_FILLED
    return None if came_late else entry.at


def _session_start(entry: Entry, begun: Sequence[datetime]) -> PumpEvent | None:
    """Return when the session of a start or join began.

    ``None`` if that is unknown, or if it is a join of one that is known to have ``begun``.
    """
    age = _age(entry)
    joined = entry.code in SENSOR_JOINS
    if age is None and joined:
        return None
    at = entry.at - (age or timedelta())
    is_known = any(abs(at - other) <= SAME_SESSION for other in begun)
    if is_known and joined:
        return None
    return PumpEvent(
        # The log of a later run may hold only a later join of the same session.
        key=entry.key if is_known else _session_key(at),
        at=at,
        kind=PumpEventKind.SENSOR_START,
        text="CGM Session Joined" if joined else "CGM Session Started",
        automatic=True,
        log_ids=(entry.sequence,),
        noted_at=entry.at,
    )


def _session_key(at: datetime) -> str:
    """Name a session by when it began, which each join reports a few seconds differently."""
    seconds = SAME_SESSION.total_seconds()
    about = datetime.fromtimestamp(round(at.timestamp() / seconds) * seconds, UTC)
    return f"{SESSION} {about.isoformat()}"


def _age(entry: Entry) -> timedelta | None:
    """Return how long a session had been running at its entry; ``None`` if that is unknown."""
    if entry.code == JOIN_OF_G7:
        return _session_age(_time(entry, "cgmtimestamp"), 0)
    start = _time(entry, "sessionstarttime")
    transmitter = _time(entry, "currenttransmittertime")
    if transmitter is not None:
        return _session_age(transmitter, start)
    age = _ago(entry, start, LONGEST_SESSION)
    if age is not None:
        return max(age, timedelta())
    return _session_age(_time(entry, "sessionjointime"), start)


def _session_age(now: int | None, start: int | None) -> timedelta | None:
    """Return the time between two counts of seconds, if a session can be that old."""
    if now is None or start is None or not 0 <= now - start <= LONGEST_SESSION:
        return None
    return timedelta(seconds=now - start)


def _time(entry: Entry, name: str) -> int | None:
    seconds = whole(entry.values, name)
    return None if seconds in UNKNOWN_TIMES else seconds


def _ago(entry: Entry, seconds: int | None, longest: int) -> timedelta | None:
    """Return how long before an entry the pump's clock showed a time.

    ``seconds`` count from 2008, or from 1970 as some entries of Libre 3 do. ``None`` if neither
    makes it a time in the ``longest`` seconds before the entry.
    """
    if seconds is None:
        return None
    noted = (entry.wall - PUMP_EPOCH) // SECOND
    for ago in (noted - seconds, noted + UNIX_SECONDS - seconds):
        if -SLACK <= ago <= longest:
            return timedelta(seconds=ago)
    return None


def _event(entry: Entry, kind: PumpEventKind, text: str) -> PumpEvent:
    return PumpEvent(entry.key, entry.at, kind, text, automatic=True, log_ids=(entry.sequence,))
