"""A history as the pump's own event log: every entry with its number and the pump's clock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from operator import attrgetter
from random import Random

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.tandemsource.boluses import bolus_events
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.delivery import (
    BasalMeter,
    basal_events,
    rate_events,
    resume_events,
    stop_events,
)
from tconnectsync.simulators.tandemsource.entries import Happening, LogEntry
from tconnectsync.simulators.tandemsource.glucose import glucose_events
from tconnectsync.simulators.tandemsource.routine import (
    clock_events,
    daily_events,
    end_of_day_events,
    fill_events,
    finger_events,
    mode_events,
)

_CLOCK_CHANGES = frozenset({13, 14})
FIRST_NUMBER = 7301
"""The sequence number with which a log begins; real ones start again with each pump."""
_STEPS = (1, 1, 1, 1, 2, 3, 7)
"""How far sequence numbers are apart: real pumps log more than their cloud gives out."""


class PumpLog:
    """A log in the order of its sequence numbers."""

    def __init__(self, entries: Sequence[LogEntry]) -> None:
        self.entries = entries
        """All entries; what is logged does not depend on when it is uploaded."""
        self.texts: dict[tuple[int, str], str] = {}
        """What has been served of it, as JSON, by the entry and the pump's assignment."""
        changes = [place for place, e in enumerate(entries) if e.code in _CLOCK_CHANGES]
        self.clock_changes = [entries[place] for place in changes]
        """Those of the entries that record how the clock was set."""
        back = (p for p in range(1, len(entries)) if entries[p].wall < entries[p - 1].wall)
        borders = {0, *(p for place in changes for p in (place, place + 1)), *back, len(entries)}
        self._borders = sorted(borders)

    def uploaded(self, until: datetime) -> int:
        """Return how many entries there were at a moment of the person's own clock."""
        return bisect_right(self.entries, until, key=attrgetter("at"))

    def between(self, first: datetime, last: datetime, count: int) -> list[LogEntry]:
        """Return those of the first ``count`` entries with a wall time in a range, ends included.

        A clock that was set back makes some wall times appear twice.
        """
        found: list[LogEntry] = []
        wall = attrgetter("wall")
        for start, end in self._split(count):
            low = bisect_left(self.entries, first, start, end, key=wall)
            high = bisect_right(self.entries, last, low, end, key=wall)
            found += self.entries[low:high]
        return found

    def oldest(self, count: int) -> datetime:
        """Return the earliest wall time of the first ``count`` entries (at least one)."""
        return min(self.entries[start].wall for start, end in self._split(count) if start < end)

    def newest(self, count: int) -> datetime:
        """Return the latest wall time of the first ``count`` entries (at least one)."""
        return max(self.entries[end - 1].wall for start, end in self._split(count) if start < end)

    def _split(self, count: int) -> list[tuple[int, int]]:
        """Return the parts in which wall times only grow."""
        ends = [min(place, count) for place in self._borders]
        return list(pairwise(ends))


def pump_log(history: PumpHistory, clocks: Clocks) -> PumpLog:
    """Write the log of a whole history, once for one and the same history and equal clocks.

    A longer history that begins with a shorter one has the same entries until the shorter one ends.
    """
    key = id(history), *clocks.key
    if key not in _written:
        if len(_written) == MOST_LOGS:
            del _written[next(iter(_written))]  # The oldest.
        _written[key] = history, _write(history, clocks)
    return _written[key][1]


MOST_LOGS = 16
_written: dict[object, tuple[PumpHistory, PumpLog]] = {}
"""The logs written last. As long as they are here, no other history can have the same id."""


def _write(history: PumpHistory, clocks: Clocks) -> PumpLog:
    meter = BasalMeter(history.basal)
    # Of what happens in one second, this is the order in which a pump notes it down.
    happenings: list[Happening] = [
        *clock_events(clocks),
        *end_of_day_events(history, meter),
        *daily_events(history, meter),
        *stop_events(history, meter),
        *fill_events(history),
        *resume_events(history, meter),
        *(basal_events(history) if history.control_iq else rate_events(history)),
        *bolus_events(history),
        *mode_events(history),
        *finger_events(history),
        *glucose_events(history, clocks),
    ]
    happenings.sort(key=attrgetter("at"))
    # Without Control-IQ, what the log lacks would be an unknown rate.
    steps = _STEPS if history.control_iq else (1,)
    return PumpLog(_numbered(happenings, clocks, steps))


def _numbered(happenings: Sequence[Happening], clocks: Clocks, of: Sequence[int]) -> list[LogEntry]:
    steps = partial(Random("sequence numbers").choice, of)
    changes = iter([change for change in clocks.changes if change.on_record])
    number, entries = FIRST_NUMBER, []
    for it in happenings:
        wall = clocks.wall(it.at)
        if it.code == 14:
            # An entry about the date has the day after the change, and the time before it.
            change = next(changes)
            wall = datetime.combine(change.after.date(), change.before.time())
        entries.append(LogEntry(number, it.code, it.at, wall, it.properties, it.record))
        number += steps()
    return entries
