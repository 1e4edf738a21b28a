"""The later part of an extended bolus, cut into pieces that no longer change once they are over.

See tandem-source-processing §19. The bolus alone decides where a piece ends, and the progress that
the pump had reported by then decides its amount. So every run finds the same pieces, however much
later log it knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from tconnectsync.domain.clock import MINUTE
from tconnectsync.sources.tandemsource.boluses.doses import Given, given_by

LONGEST_PIECE = timedelta(minutes=25)
"""How long a planned piece is at the most; the last one may be longer by :data:`LEFT_OVER`."""
LEFT_OVER = timedelta(minutes=5)
MOST_MILLIUNITS = 250
"""How much a planned piece holds at the most, mU.

Shown in the middle of its time, half of it is shown too early and half of it too late. With what
the pump gives between two entries of its progress that is less than 0.3 U.
"""
SHORTEST_PIECE = MINUTE
UNPLANNED = timedelta(minutes=5)
"""How long a piece is if it is not known how long the bolus was to last."""


class Cut(NamedTuple):
    """One piece: the time that it covers and how much was given in it, mU."""

    number: int
    """1 for the first."""
    begins: datetime
    ends: datetime
    milliunits: int
    sequence: int
    """The number of the log entry with which it was over."""
    is_last: bool


class Plan(NamedTuple):
    """How a later part is cut."""

    step: timedelta
    pieces: int | None
    """The number of pieces if the bolus is delivered as planned; ``None`` without a known plan."""


def plan(minutes: int | None, milliunits: int | None) -> Plan:
    """Return how to cut a later part of this length and amount."""
    if not minutes:
        return Plan(UNPLANNED, None)
    length = timedelta(minutes=minutes)
    number = max(ceil(length / LONGEST_PIECE), ceil((milliunits or 0) / MOST_MILLIUNITS))
    number = max(1, min(number, length // SHORTEST_PIECE))
    return Plan(timedelta(seconds=round(length.total_seconds() / number)), number)


def cuts(
    start: datetime, step: timedelta, progress: Sequence[Given], end: Given | None
) -> list[Cut]:
    """Return the pieces that are over, in time order, those without insulin too.

    Args:
        start: when the later part began.
        step: how long a planned piece is.
        progress: how much of the later part alone had been given by when, while it was running.
        end: the end of it; ``None`` as long as that is not known. It is right about the amount.
    """
    if end:
        progress = [
            each._replace(milliunits=min(each.milliunits, end.milliunits)) for each in progress
        ]
    running = [Given(start, 0, 0), *progress]
    points = [*running, *([end] if end else [])]
    found: list[Cut] = []
    begins, before = start, 0
    for number, ends in enumerate(_borders(start, step, progress, end), 1):
        # What was final before the end was known does not change with it.
        amount = int(given_by(running if ends <= running[-1].at else points, ends))
        sequence = next((each.sequence for each in progress if each.at >= ends), _last(progress))
        found.append(Cut(number, begins, ends, amount - before, sequence, is_last=False))
        begins, before = ends, amount
    if end and (end.at > begins or end.milliunits > before or not found):
        last = max(begins, end.at), end.milliunits - before, _last(progress)
        found.append(Cut(len(found) + 1, begins, *last, is_last=True))
    return found


def _borders(
    start: datetime, step: timedelta, progress: Sequence[Given], end: Given | None
) -> Iterator[datetime]:
    """Yield where pieces end, the last one excepted.

    What is left when the bolus ends belongs to the piece before, if that had not been over.
    """
    running_until = progress[-1].at if progress else start
    rest = min(step / 2, LEFT_OVER)
    border = start + step
    while border <= running_until or (end and border < end.at - rest):
        yield border
        border += step


def _last(progress: Sequence[Given]) -> int:
    return progress[-1].sequence if progress else 0
