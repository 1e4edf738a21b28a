"""What shows in a pump's log that the pump is worn. See tandem-source-api §4.5.

No account says which pump is worn; a pump shows it when it is filled, resumed or asked for a bolus.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from tconnectsync.sources.tandemsource.log.codes import (
    BOLUS_ENDED,
    BOLUS_REQUESTED,
    BOLUS_STARTED,
    CANNULA_FILLED,
    CARTRIDGE_FILLED,
    RESUMED,
    TUBING_FILLED,
)
from tconnectsync.sources.tandemsource.log.logentries import Log, entries_of
from tconnectsync.sources.tandemsource.log.records import whole

CODES = (
    RESUMED,
    BOLUS_ENDED,
    CARTRIDGE_FILLED,
    BOLUS_STARTED,
    CANNULA_FILLED,
    TUBING_FILLED,
    BOLUS_REQUESTED,
)
"""The codes of entries that show that a pump is worn.

What only goes on is no sign: an extended bolus runs to its end (280, 21) in a drawer as well.
"""
ABORTED = (0, 1, 2)
"""How a fill ends that was broken off: a person who does that need not go on with this pump."""


class Sign(NamedTuple):
    """A pump is worn; ``key`` names the entry of its log that shows it."""

    at: datetime
    key: str


def signs(log: Log) -> list[Sign]:
    """Return when the pump that wrote a log was surely worn, in time order."""
    return [
        Sign(entry.at, entry.key)
        for entry in entries_of(log, *CODES)
        if entry.code not in (CANNULA_FILLED, TUBING_FILLED)
        or whole(entry.values, "completionstatus") not in ABORTED
    ]
