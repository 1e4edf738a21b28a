"""What a cycle reads from, compares with and writes to, and what it syncs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.plan.validate import Found


@dataclass(eq=False)
class ReadingParts:
    """What reads the pump's story: a cloud, the pump's clock, and this computer's."""

    source: Source
    clock: PumpClock
    now: Callable[[], datetime]

    def taken(self, reader: Reader, read: TimeRange, events: Sequence[Found]) -> Sequence[Found]:
        """Return what is needed of the events that a reader found when a range was ``read``."""
        return events


@dataclass(eq=False)
class CycleParts(ReadingParts):
    """What a cycle is made of.

    ``features`` are names of :data:`tconnectsync.sync.features.FEATURES`. With ``pretend`` nothing
    is written. ``on_plan`` sees the plan of every window before it is carried out.
    """

    nightscout: NightscoutApi
    features: Sequence[str]
    pretend: bool
    fill_gaps: bool
    on_plan: Callable[[TimeRange, Plan], None]
    at_the_end: Mapping[str, Callable[[Reader], list[str]]]
    """What is synced once, by feature: is given the last window's reader, says what it wrote."""
    alarm_safe: timedelta = timedelta(0)
    """How old automatic treatments must be to be written; with 0 none is deferred."""

    @property
    def windowed(self) -> list[str]:
        """The features that are synced window by window."""
        return [name for name in self.features if name not in self.at_the_end]
