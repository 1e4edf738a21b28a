"""What reading takes: entries of the log that become events in a second, and windows of a run."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync.cli.start import GC_THRESHOLD
from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.nightscout.treatments import Treatment, treatments_of
from tconnectsync.nightscout.wire import batches
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
from tconnectsync.sync.features import parts_of
from tconnectsync.sync.plan.planner import make_plan
from tests.bench.servers import FIRST_DAY
from tests.support.binary_log import binary_log
from tests.support.command import NEW_YORK

DAYS = 28
"""The longest range that Tandem Source gives at once."""
TRIES = 5
PARTS = ("basals", "boluses", "user_modes", "suspensions", "pump_events", "cgm_alerts", "readings")
FEATURES = ("BASAL", "BOLUS", "PUMP_EVENTS")
"""What the bench syncs."""
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


def of_a_window() -> dict[str, float]:
    """Return the seconds of processor that each part of syncing a new window of 7 days takes."""
    # A window is read with a day before it, and up to two after it.
    last = midnight(FIRST_DAY + timedelta(days=8)).replace(tzinfo=ZONE)
    window = TimeRange(last - timedelta(days=7), last)
    entries = pump_log(live(FIRST_DAY, 10), Clocks(midnight(FIRST_DAY), ZONE)).entries
    text = json.dumps([as_served(entry) for entry in entries])
    parts = tuple(parts_of(FEATURES))

    def read() -> list[Any]:
        found = _events(records_of(json.loads(text), USED, Counter()), parts)
        return [event for event in found if window.overlaps(event.begins, event.ends)]

    def documents() -> list[Treatment]:
        return [it for event in events for it in treatments_of(event, TANDEM_SOURCE.name)]

    def plan() -> list[list[Treatment]]:
        new = make_plan(treatments, []).create
        return list(batches(new, lambda treatment: treatment.body))

    events = read()
    treatments = documents()
    return {
        "reading": _seconds(read),
        "documents": _seconds(documents),
        "planning": _seconds(plan),
    }


def _events(records: list[Record], parts: Sequence[str] = PARTS) -> list[Any]:
    clock = LogClock(PumpClock(ZONE), [], newest=None, uploaded=None)
    log = by_code(records, clock, datetime.now(UTC))
    reader = LogReader(lambda skipped: log)
    found = [getattr(reader, part)() for part in parts]
    assert all(found)
    return [event for events in found for event in events]


def _rate(entries: int, read: Callable[[], object]) -> float:
    return entries / _seconds(read)


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(TRIES):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best
