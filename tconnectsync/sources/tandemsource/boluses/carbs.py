"""Carbs that the person entered without the bolus calculator.

See docs/protocol/tandem-source-processing.md §23, tandem-event-log §10.3 (48).
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from tconnectsync.domain.events import CarbEntry
from tconnectsync.domain.limits import MOST_CARBS
from tconnectsync.sources.tandemsource.log.codes import BOLUS_REQUESTED, CARBS_ENTERED
from tconnectsync.sources.tandemsource.log.logentries import Log, entries_of
from tconnectsync.sources.tandemsource.log.records import number

CODES = (CARBS_ENTERED, BOLUS_REQUESTED)
SAME_MEAL = timedelta(minutes=2)
"""Within this time, the carbs of a bolus are the same carbs, reported twice."""


def carbs(log: Log, skipped: Counter[str]) -> list[CarbEntry]:
    """Return the carbs (g) that no bolus reports, in time order."""
    requests = [
        (entry.at, grams)
        for entry in entries_of(log, BOLUS_REQUESTED)
        if (grams := number(entry.values, "carbamount"))
    ]
    found = []
    for entry in entries_of(log, CARBS_ENTERED):
        amount = number(entry.values, "carbs")
        if amount is None or not 0 <= amount <= MOST_CARBS:
            skipped["carb entry without a plausible amount"] += 1
        elif amount and not any(
            abs(grams - amount) < 1 and abs(entry.at - at) <= SAME_MEAL for at, grams in requests
        ):
            found.append(CarbEntry(entry.key, entry.at, round(amount, 1), (entry.sequence,)))
    return found
