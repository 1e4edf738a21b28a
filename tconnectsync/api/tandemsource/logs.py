"""The parts of a pump's log: which days are asked for at once, and how answers become one log."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import date, timedelta
from typing import Any

from tconnectsync.api.answers import shaped

WHAT = "pump log"
LISTS = ("events", "clockChanges")
LONGEST = timedelta(days=28)
"""The server gives about four weeks at once (docs/protocol/tandem-source-api.md §4.2)."""


def request_windows(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Cut a range of days into windows of at most 28 days; all ends are inclusive.

    The two days may come in any order.
    """
    first, last = min(first, last), max(first, last)
    while last - first >= LONGEST:
        yield first, first + LONGEST - timedelta(days=1)
        first += LONGEST
    yield first, last


class MergedAnswers:
    """The records of several answers, each of them once."""

    def __init__(self) -> None:
        self._records: dict[str, dict[Hashable, Any]] = {name: {} for name in LISTS}

    def add(self, payload: dict[str, Any]) -> None:
        """Add what an answer holds; a list that is missing is empty.

        Raises:
            ApiError: one of the lists is something else.
        """
        for name in LISTS:
            known = self._records[name]
            records = payload.get(name)
            for record in [] if records is None else shaped(records, WHAT, list):
                known.setdefault(_identity(record), record)

    def as_payload(self) -> dict[str, list[Any]]:
        """Return the records in the form of an answer, in no particular order."""
        return {name: list(records.values()) for name, records in self._records.items()}


def _identity(record: Any) -> Hashable:
    """The key that two copies of a record share; a record without one has no copies."""
    if isinstance(record, dict) and isinstance(number := record.get("sequenceNumber"), int):
        return str(record.get("deviceAssignmentId")), str(record.get("sequenceGroup")), number
    return object()
