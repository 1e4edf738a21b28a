"""An entry of the pump's log at its true instant, and how the entries of one kind are found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from tconnectsync.domain.limits import AHEAD
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.log.records import Record

UNDATED = "pump log entry from after the pump lost its date"
IN_THE_FUTURE = "pump log entry from the future"


class Entry(NamedTuple):
    """One entry of the log.

    ``sequence`` is the number that the pump gave it; ``wall`` is what its clock showed. ``values``
    are its properties under plain names: lower case, letters and digits only.
    """

    at: datetime
    code: int
    sequence: int
    wall: datetime
    values: dict[str, Any]
    group: int = 0
    """Numbers follow one another within a group only."""

    @property
    def key(self) -> str:
        """A name that stays the same however and whenever the entry is delivered."""
        return f"pump log {self.sequence} {self.wall.isoformat()}"

    @property
    def position(self) -> tuple[datetime, int]:
        """Where it stands in the log: by time, and by its number among those of one second."""
        return self.at, self.sequence


Log = Mapping[int, Sequence[Entry]]
"""The entries by their code; those of one code in the order of the log."""


def by_code(
    records: Sequence[Record],
    clock: LogClock,
    now: datetime,
    skipped: Counter[str] | None = None,
) -> Log:
    """Return the records as entries by code, without entries from the future.

    ``records`` are in the order of the log; a pump whose clock is fast can be ahead of ``now``.
    What is days ahead, and what was written after the clock lost its date, is counted in
    ``skipped``.
    """
    skipped = Counter() if skipped is None else skipped
    walls = [(record[1:3], record.wall) for record in records]
    instants = clock.instants(walls)
    # The head of a change of the date mixes old and new: it is no step of the clock.
    usual = [index for index, record in enumerate(records) if record.code not in CLOCK_CODES]
    undated = {usual[place] for place in clock.undated([walls[index] for index in usual])}
    log: dict[int, list[Entry]] = defaultdict(list)
    for index, (at, record) in enumerate(zip(instants, records, strict=True)):
        code, group, sequence, wall, values = record
        if index in undated:
            skipped[UNDATED] += 1
        elif at <= now:
            log[code].append(Entry(at, code, sequence, wall, values, group))
        elif at > now + AHEAD:
            skipped[IN_THE_FUTURE] += 1
    return log


def joined(earlier: Log, later: Log) -> Log:
    """Return the entries of two parts of a log."""
    codes = earlier.keys() | later.keys()
    return {code: [*earlier.get(code, ()), *later.get(code, ())] for code in codes}


def in_order(log: Log) -> list[Entry]:
    """Return all entries in the order in which the pump wrote them."""
    return sorted(
        (entry for entries in log.values() for entry in entries),
        key=attrgetter("group", "sequence"),
    )


def entries_of(log: Log, *codes: int) -> Iterable[Entry]:
    """Return the entries of some codes in time order; those of one second as they were written."""
    found = [entry for code in codes for entry in log.get(code, ())]
    return sorted(found, key=attrgetter("at", "sequence"))
