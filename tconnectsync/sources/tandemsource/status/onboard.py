"""Insulin on board as the pump notes it, as long as no bolus has begun since.

See docs/protocol/tandem-source-processing.md §20, tandem-event-log §10.3.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tconnectsync.domain.limits import MOST_IOB
from tconnectsync.sources.tandemsource.boluses.doses import doses
from tconnectsync.sources.tandemsource.log.codes import (
    BOLUS_ENDED,
    BOLUS_REQUESTED,
    BOLUS_STARTED,
    DAILY_BASAL,
    GLUCOSE_ENTERED,
    LATER_PART_ENDED,
    LATER_PART_STARTED,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.records import number

CODES = (
    GLUCOSE_ENTERED,
    BOLUS_ENDED,
    LATER_PART_ENDED,
    BOLUS_STARTED,
    LATER_PART_STARTED,
    BOLUS_REQUESTED,
    DAILY_BASAL,
)

LONGEST_DELIVERY = timedelta(minutes=30)
"""After this time the immediate part has been delivered, even if the log lacks its end."""


def noted(log: Log) -> list[tuple[Entry, float]]:
    """Return the entries with insulin on board (U), and how much, in time order."""
    values = ((entry, noted_by(entry)) for entry in entries_of(log, *CODES))
    return [(entry, iob) for entry, iob in values if iob is not None]


def noted_by(entry: Entry) -> float | None:
    """Return the insulin on board (U) that an entry notes; ``None`` if it notes none."""
    iob = number(entry.values, "iob") if entry.code in CODES else None
    return iob if iob is not None and 0 <= iob <= MOST_IOB else None


def still_true(log: Log) -> list[tuple[Entry, float]]:
    """Return those of the entries that are not from before a bolus, in time order.

    During delivery of the immediate part, the amount on board is unknown. The value in a bolus
    request is from before the bolus.
    """
    end = max((entries[-1].at for entries in log.values() if entries), default=None)
    if end is None:
        return []
    last_end: tuple[datetime, int] | None = None
    for dose in doses(log):
        ended = dose.now_end
        if ended:
            last_end = max(last_end or ended.position, ended.position)
        elif end - dose.began <= LONGEST_DELIVERY:
            return []
        else:
            begun = dose.began + LONGEST_DELIVERY, 0
            last_end = max(last_end or begun, begun)
    return [each for each in noted(log) if last_end is None or each[0].position >= last_end]
