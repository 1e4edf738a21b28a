"""How many entries of the pump's log become events in a second, from JSON and binary records."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tconnectsync.cli.start import GC_THRESHOLD
from tconnectsync.domain.clock import PumpClock
from tconnectsync.simulators.history import midnight
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.cloud import as_served
from tconnectsync.simulators.tandemsource.log import pump_log
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.log.binarylog import decode
from tconnectsync.sources.tandemsource.log.logentries import by_code
from tconnectsync.sources.tandemsource.log.records import Record, records_of
from tconnectsync.sources.tandemsource.reader import USED, LogReader
from tests.bench.servers import FIRST_DAY
from tests.support.binary_log import binary_log
from tests.support.command import NEW_YORK

DAYS = 28
"""The longest range that Tandem Source gives at once."""
TRIES = 5
PARTS = ("basals", "boluses", "user_modes", "suspensions", "pump_events", "cgm_alerts", "readings")
ZONE = ZoneInfo(NEW_YORK)


@dataclass(frozen=True)
class Rates:
    """Entries in a second of one processor."""

    text: float
    """From the text of an answer to events."""
    json: float
    """From JSON that has been parsed to events."""
    binary: float
    """From binary records to the entries of the log."""
    binary_events: float
    """From binary records to events."""


def measure() -> Rates:
    """Read a person's log in both forms several times, and return the best of each."""
    gc.set_threshold(GC_THRESHOLD)
    entries = pump_log(live(FIRST_DAY, DAYS), Clocks(midnight(FIRST_DAY), ZONE)).entries
    text = json.dumps([as_served(entry) for entry in entries])
    parsed = json.loads(text)
    data = binary_log(entries)
    del entries
    return Rates(
        text=_rate(len(parsed), lambda: _events(records_of(json.loads(text), USED, Counter()))),
        json=_rate(len(parsed), lambda: _events(records_of(parsed, USED, Counter()))),
        binary=_rate(len(parsed), lambda: decode(data, Counter())),
        binary_events=_rate(len(parsed), lambda: _events(decode(data, Counter()))),
    )


def _events(records: list[Record]) -> None:
    clock = LogClock(PumpClock(ZONE), [], newest=None, uploaded=None)
    log = by_code(records, clock, datetime.now(UTC))
    reader = LogReader(lambda skipped: log)
    assert all(getattr(reader, part)() for part in PARTS)


def _rate(entries: int, read: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(TRIES):
        began = time.process_time()
        read()
        best = min(best, time.process_time() - began)
    return entries / best
