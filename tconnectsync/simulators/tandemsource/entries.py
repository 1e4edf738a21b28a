"""What an entry of the pump's event log is made of, in the form that Tandem Source serves.

Property names and values are those of tandem-event-log §4, §7 and §8: enumerations and
unscaled numbers as they are, bit masks as lists of the bits that are set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tconnectsync.simulators.history import Record, seconds_between

EPOCH = datetime(2008, 1, 1)
"""From when the pump counts its seconds and days, by its own clock."""

Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that the pump notes down, before it has a number; ``at`` by the person's clock."""

    at: datetime
    code: int
    properties: Properties
    record: Record | None = None
    """What of the history it records."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A numbered entry of the log."""

    number: int
    """The sequence number; it only grows."""
    code: int
    at: datetime
    """When it was noted down, by the person's own clock."""
    wall: datetime
    """The time that stands in the entry, by the pump's clock."""
    properties: Properties
    record: Record | None
    """What of the history it records."""


def number(value: float) -> float:
    """Return the number as JSON has it: a whole one without a point."""
    return int(value) if value == int(value) else value


def seconds_since_2008(wall: datetime) -> int:
    """Return a time of the pump's clock as the pump counts it."""
    return seconds_between(EPOCH, wall)
