"""Which entries of the pump's log belong to one bolus, and how much of it was given by when.

See tandem-event-log §10.3, tandem-source-processing §19. Amounts are in mU here: what the
pump counts in, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tconnectsync.domain.clock import DAY
from tconnectsync.domain.limits import MOST_INSULIN
from tconnectsync.sources.tandemsource.log.codes import (
    BOLUS_ENDED,
    BOLUS_OPTIONS,
    BOLUS_PROGRESS,
    BOLUS_REQUESTED,
    BOLUS_SIZES,
    BOLUS_STARTED,
    LATER_PART_ENDED,
    LATER_PART_STARTED,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.records import number, whole

REQUESTS = (BOLUS_REQUESTED, BOLUS_OPTIONS, BOLUS_SIZES)
CODES = (
    BOLUS_ENDED,
    LATER_PART_ENDED,
    *REQUESTS,
    BOLUS_STARTED,
    LATER_PART_STARTED,
    BOLUS_PROGRESS,
)
STARTS = (*REQUESTS, BOLUS_STARTED, LATER_PART_STARTED, BOLUS_ENDED)
"""At least one of these codes is present if the log has the beginning of a bolus."""

SAME_BOLUS = DAY
"""Bolus numbers start again after the highest one; an older request is of another bolus."""
OVER, RUNNING = 0, 1
"""What the progress says of a bolus."""


class Given(NamedTuple):
    """How much of a bolus had been given by an instant, mU."""

    at: datetime
    milliunits: int
    sequence: int
    """The number of the entry that says so."""


@dataclass(slots=True)
class Dose:
    """The entries of one bolus, in the order of the log."""

    entries: list[Entry] = field(default_factory=list)

    def first(self, *codes: int) -> Entry | None:
        """Return the first entry with one of some codes."""
        return next((entry for entry in self.entries if entry.code in codes), None)

    @property
    def began(self) -> datetime:
        """The instant of its first entry."""
        return self.entries[0].at

    @property
    def name(self) -> str:
        """A key that stays the same however much of the bolus is known."""
        return (self.first(BOLUS_STARTED) or self.entries[0]).key

    def progress(self, status: int) -> list[Given]:
        """Return what its progress says, of both parts together, with one status."""
        return [
            Given(entry.at, total, entry.sequence)
            for entry in self.entries
            if entry.code == BOLUS_PROGRESS
            and whole(entry.values, "bolusdeliverystatus") == status
            and (total := whole(entry.values, "deliveredtotal")) is not None
            and 0 <= total <= MOST_INSULIN * 1000
        ]

    def ended(self, code: int) -> Given | None:
        """Return what a part had given at its end; ``None`` without an end that can be used."""
        entry = self.first(code)
        insulin = number(entry.values, "insulindelivered") if entry else None
        if entry is None or insulin is None or not 0 <= insulin <= MOST_INSULIN:
            return None
        return Given(entry.at, round(insulin * 1000), entry.sequence)

    def most(self, name: str) -> int | None:
        """Return the highest whole number that its progress says under a name."""
        values = (
            whole(entry.values, name) for entry in self.entries if entry.code == BOLUS_PROGRESS
        )
        return max((value for value in values if value is not None), default=None)

    @property
    def now_end(self) -> Entry | None:
        """The entry at which all that is given at once had been given or broken off."""
        over = (
            entry
            for entry in self.entries
            if entry.code in (BOLUS_ENDED, LATER_PART_STARTED, LATER_PART_ENDED)
            or (entry.code == BOLUS_PROGRESS and whole(entry.values, "bolusdeliverystatus") == OVER)
        )
        return next(over, None)


def doses(log: Log) -> list[Dose]:
    """Return the boluses of a log, each with all of its entries; the first to begin comes first."""
    found: list[Dose] = []
    newest: dict[int, Dose] = {}
    for entry in entries_of(log, *CODES):
        number_of_bolus = whole(entry.values, "bolusid")
        if number_of_bolus is None:
            continue
        dose = newest.get(number_of_bolus)
        if dose is None or _is_another(dose, entry):
            newest[number_of_bolus] = dose = Dose()
            found.append(dose)
        dose.entries.append(entry)
    return found


def _is_another(dose: Dose, entry: Entry) -> bool:
    """Return whether an entry belongs to another bolus that got the same number."""
    if entry.at - dose.began > SAME_BOLUS:
        return True
    if entry.code in REQUESTS:
        known = {known.code for known in dose.entries}
        return not known <= set(REQUESTS) or entry.code in known
    if entry.code in (BOLUS_STARTED, BOLUS_ENDED, LATER_PART_ENDED):
        return dose.first(entry.code) is not None
    return False


def given(dose: Dose) -> list[Given]:
    """Return how much of both parts had been given by when, in time order; it never decreases.

    It begins with 0 at the start.
    """
    now, later = dose.ended(BOLUS_ENDED), dose.ended(LATER_PART_ENDED)
    points = dose.progress(RUNNING)
    if now:
        points.append(now)
    if later:
        before = now.milliunits if now else now_part(dose)
        points.append(later._replace(milliunits=before + later.milliunits))
    else:
        points += dose.progress(OVER)
    start = dose.first(BOLUS_STARTED) or dose.entries[0]
    growing = [Given(start.at, 0, start.sequence)]
    for each in sorted(points):
        growing.append(each._replace(milliunits=max(growing[-1].milliunits, each.milliunits)))
    return growing


def now_part(dose: Dose) -> int:
    """Return how much was given at once (mU), as far as that part is over."""
    now = dose.ended(BOLUS_ENDED)
    if now:
        return now.milliunits
    begun = dose.first(LATER_PART_STARTED)
    totals = [*dose.progress(RUNNING), *dose.progress(OVER)]
    if begun:
        for at, total, sequence in totals:
            if (at, sequence) >= (begun.at, begun.sequence):
                return total
    asked_for = dose.most("requestednow")
    given_so_far = max((total for _, total, _ in totals), default=0)
    return given_so_far if asked_for is None else min(asked_for, given_so_far)


def given_by(points: Sequence[Given], at: datetime) -> float:
    """Return how much had been given by an instant (mU), evenly between the points."""
    before = None
    for each in points:
        if each.at > at:
            if before is None:
                return 0.0
            share = (at - before.at) / (each.at - before.at)
            return before.milliunits + (each.milliunits - before.milliunits) * share
        before = each
    return float(before.milliunits) if before else 0.0
