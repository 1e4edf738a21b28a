"""Suspensions, resumptions, alarms and fills from the pump's log.

Contract tandem-source-processing §5 and §7, tandem-event-log §7 (5, 6, 11, 12, 33, 61, 63).
"""

from __future__ import annotations

from tconnectsync.domain.events import Notice, NoticeKind
from tconnectsync.sources.tandemsource.entries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.names import alarm_text
from tconnectsync.sources.tandemsource.records import number, whole

ALARM, MALFUNCTION, SUSPENDED, RESUMED, CARTRIDGE, CANNULA, TUBING = 5, 6, 11, 12, 33, 61, 63

CODES = (ALARM, MALFUNCTION, SUSPENDED, RESUMED, CARTRIDGE, CANNULA, TUBING)

MOST_INSULIN = 400.0
"""U; more than any cartridge holds."""

SUSPEND_REASONS = {
    0: "UserAborted",
    1: "TerminatedByAlarm",
    2: "TerminatedByMalfunction",
    6: "AutoSuspendByPlgs",
}


def suspensions(log: Log) -> list[Notice]:
    """Return when delivery was suspended, with the reason in the pump's word."""
    return [
        _notice(entry, NoticeKind.SUSPENSION, _suspend_reason(entry))
        for entry in entries_of(log, SUSPENDED)
    ]


def resumptions(log: Log) -> list[Notice]:
    """Return when delivery was resumed."""
    return [
        _notice(entry, NoticeKind.RESUME, "Basal resumed") for entry in entries_of(log, RESUMED)
    ]


def alarms(log: Log) -> list[Notice]:
    """Return the alarms and malfunctions, without those that only ask to resume the pump."""
    texts = [(entry, alarm_text(entry)) for entry in entries_of(log, ALARM, MALFUNCTION)]
    return [_notice(entry, NoticeKind.ALARM, text) for entry, text in texts if text is not None]


def fills(log: Log) -> list[Notice]:
    """Return when a cartridge, the tubing or the cannula was filled, and with how much."""
    return [
        _notice(entry, *_FILLS[entry.code](entry))
        for entry in entries_of(log, CARTRIDGE, CANNULA, TUBING)
    ]


def _suspend_reason(entry: Entry) -> str:
    reason = whole(entry.values, "suspendreason")
    return "" if reason is None else SUSPEND_REASONS.get(reason, "")


def _cartridge(entry: Entry) -> tuple[NoticeKind, str]:
    volume = number(entry.values, "insulinvolume") or number(entry.values, "v2volume")
    return NoticeKind.CARTRIDGE, "Cartridge Filled" + _amount(volume, "{:.0f}u filled")


def _cannula(entry: Entry) -> tuple[NoticeKind, str]:
    prime = number(entry.values, "primesize")
    return NoticeKind.CANNULA, "Cannula Filled" + _amount(prime, "{:.1f}u primed")


def _tubing(entry: Entry) -> tuple[NoticeKind, str]:
    prime = number(entry.values, "primesize")
    return NoticeKind.TUBING, "Tubing Filled" + _amount(prime, "{:.0f}u primed")


_FILLS = {CARTRIDGE: _cartridge, CANNULA: _cannula, TUBING: _tubing}


def _amount(units: float | None, form: str) -> str:
    """Return an amount in brackets; -1 and 0 mean that the pump did not note it."""
    return f" ({form.format(units)})" if units is not None and 0 < units <= MOST_INSULIN else ""


def _notice(entry: Entry, kind: NoticeKind, text: str) -> Notice:
    return Notice(entry.key, entry.at, kind, text, (entry.sequence,))
