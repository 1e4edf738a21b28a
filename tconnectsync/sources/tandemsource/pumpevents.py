"""Suspensions, resumptions, alarms, alerts and fills from the pump's log.

See tandem-source-processing §5, §7, §17 and §21, tandem-event-log §7, §10.4 and §11 (4, 5, 6,
11, 12, 26, 33, 61, 63).
"""

from __future__ import annotations

from datetime import datetime

from tconnectsync.domain.clock import DAY
from tconnectsync.domain.events import PumpEvent, PumpEventKind
from tconnectsync.domain.limits import MOST_LEFT
from tconnectsync.sources.tandemsource.log.codes import (
    ALARM,
    ALERT,
    ALERT_CLEARED,
    CANNULA_FILLED,
    CARTRIDGE_FILLED,
    MALFUNCTION,
    RESUMED,
    SUSPENDED,
    TUBING_FILLED,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.names import (
    SERVICE_ALERTS,
    alarm_name,
    alert_name,
    malfunction_name,
)
from tconnectsync.sources.tandemsource.log.records import number, whole

CODES = (
    *(ALERT, ALARM, MALFUNCTION, ALERT_CLEARED),
    *(SUSPENDED, RESUMED, CARTRIDGE_FILLED, CANNULA_FILLED, TUBING_FILLED),
)

RESUME_PUMP, REMINDER = 18, 23
"""Alarms that only remind: of resuming the pump, and of another alarm."""
SAME_CONDITION = DAY
"""An alert that is reported again within that, without an end between, is the same one."""
SAME_FILL = DAY
"""How long before a cartridge was filled an amount of insulin left still counts."""
BY_USER = 0
SUSPEND_REASONS = {BY_USER: "User", 1: "Alarm", 2: "Malfunction", 6: "Low glucose"}
FILL_ENDS: dict[int | None, str] = {
    BY_USER: "stopped by user",
    1: "stopped by an alarm",
    2: "stopped by a malfunction",
}
"""How a fill ended that was broken off."""


def suspensions(log: Log) -> list[PumpEvent]:
    """Return when delivery was suspended, and why."""
    found = []
    for entry in entries_of(log, SUSPENDED):
        reason = whole(entry.values, "suspendreason")
        why = "" if reason is None else f" ({SUSPEND_REASONS.get(reason, f'reason {reason}')})"
        kind, automatic = PumpEventKind.SUSPENSION, reason != BY_USER
        found.append(_event(entry, kind, f"Suspended{why}", automatic=automatic))
    return found


def resumptions(log: Log) -> list[PumpEvent]:
    """Return when delivery was resumed."""
    return [
        _event(entry, PumpEventKind.RESUME, "Basal resumed") for entry in entries_of(log, RESUMED)
    ]


def alarms(log: Log) -> list[PumpEvent]:
    """Return the alarms and malfunctions, without those that only ask to resume the pump."""
    texts = [(entry, _alarm_text(entry)) for entry in entries_of(log, ALARM, MALFUNCTION)]
    return [_event(entry, PumpEventKind.ALARM, text) for entry, text in texts if text is not None]


def alerts(log: Log) -> list[PumpEvent]:
    """Return the alerts that matter to people, each once while it lasts."""
    found = []
    since: dict[int | None, datetime] = {}
    for entry in entries_of(log, ALERT, ALERT_CLEARED):
        alert = whole(entry.values, "alertid")
        before = since.pop(alert, None)
        if entry.code == ALERT_CLEARED:
            continue
        since[alert] = entry.at
        is_new = before is None or entry.at - before > SAME_CONDITION
        if is_new and alert not in SERVICE_ALERTS:
            found.append(_event(entry, PumpEventKind.ALARM, alert_name(alert)))
    return found


def fills(log: Log) -> list[PumpEvent]:
    """Return when a cartridge, the tubing or the cannula was filled, and with how much.

    What was broken off, and a cartridge that was put in again, changes nothing.
    """
    found = []
    left: tuple[datetime, float] | None = None
    for entry in entries_of(
        log, SUSPENDED, RESUMED, CARTRIDGE_FILLED, CANNULA_FILLED, TUBING_FILLED
    ):
        if entry.code == CARTRIDGE_FILLED:
            found.append(_cartridge(entry, left))
        elif entry.code in _PRIMES:
            found.append(_prime(entry))
        units = _insulin_left(entry)
        left = left if units is None else (entry.at, units)
    return found


def _alarm_text(entry: Entry) -> str | None:
    """Return what to show of an alarm or a malfunction; ``None`` for one that is no news."""
    if entry.code == MALFUNCTION:
        return malfunction_name(whole(entry.values, "malfid"))
    alarm = whole(entry.values, "alarmid")
    if alarm == RESUME_PUMP:
        return None
    if alarm == REMINDER:
        of = whole(entry.values, "param1")
        is_news = of is not None and of not in (RESUME_PUMP, REMINDER)
        return f"{alarm_name(of)} (reminder)" if is_news else None
    return alarm_name(alarm)


def _insulin_left(entry: Entry) -> float | None:
    """Return how much insulin the reservoir holds by an entry (U), if it says so."""
    if entry.code == CARTRIDGE_FILLED:
        return number(entry.values, "insulinvolume") or number(entry.values, "v2volume") or None
    return number(entry.values, "insulinamount")


def _cartridge(entry: Entry, before: tuple[datetime, float] | None) -> PumpEvent:
    volume = _insulin_left(entry)
    is_known = volume is not None and before is not None and entry.at - before[0] <= SAME_FILL
    if is_known and before and volume is not None and volume <= before[1]:
        text = "Cartridge Loaded Again" + _amount(volume, "{:.0f}u left")
        return _event(entry, PumpEventKind.NO_CHANGE, text, automatic=False)
    text = "Cartridge Filled" + _amount(volume, "{:.0f}u filled")
    return _event(entry, PumpEventKind.CARTRIDGE, text, automatic=False)


_PRIMES = {
    CANNULA_FILLED: (PumpEventKind.SITE_CHANGE, "Cannula", "{:.1f}u primed"),
    TUBING_FILLED: (PumpEventKind.TUBING, "Tubing", "{:.0f}u primed"),
}


def _prime(entry: Entry) -> PumpEvent:
    kind, what, form = _PRIMES[entry.code]
    end = FILL_ENDS.get(whole(entry.values, "completionstatus"))
    amount = _amount(number(entry.values, "primesize"), form)
    if end:
        text = f"{what} Fill Aborted ({end}){amount}"
        return _event(entry, PumpEventKind.NO_CHANGE, text, automatic=False)
    return _event(entry, kind, f"{what} Filled{amount}", automatic=False)


def _amount(units: float | None, form: str) -> str:
    """Return an amount in brackets; -1 and 0 mean that the pump did not note it."""
    return f" ({form.format(units)})" if units is not None and 0 < units <= MOST_LEFT else ""


def _event(entry: Entry, kind: PumpEventKind, text: str, *, automatic: bool = True) -> PumpEvent:
    return PumpEvent(entry.key, entry.at, kind, text, automatic, (entry.sequence,))
