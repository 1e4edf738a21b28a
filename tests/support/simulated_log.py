"""The log of a simulated pump as the adapter of Tandem Source reads it, without any cloud."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.entries import LogEntry
from tconnectsync.simulators.tandemsource.log import pump_log
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log

UTC_ZONE = ZoneInfo("UTC")


def entries_of_history(history: PumpHistory) -> list[LogEntry]:
    """Return the log of a pump whose clock shows UTC."""
    return list(pump_log(history, Clocks(midnight(history.first_day), UTC_ZONE)).entries)


def as_log(entries: Iterable[LogEntry], until: datetime | None = None) -> Log:
    """Return the log as far as it had been written at a moment."""
    found: dict[int, list[Entry]] = {}
    for each in entries:
        if until is None or each.at <= until:
            values = {name.lower(): value for name, value in each.properties.items()}
            entry = Entry(
                each.at.replace(tzinfo=UTC_ZONE), each.code, each.number, each.wall, values
            )
            found.setdefault(each.code, []).append(entry)
    return found
