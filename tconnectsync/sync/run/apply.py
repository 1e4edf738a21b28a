"""Carrying a plan out whole, treatments and entries alike, and saying what could not be.

Basals come first, then boluses, then all else: nothing of lesser worth holds them back. Within each
the updates come before what is new, since they free instants. What fails, fails alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tconnectsync.errors import (
    MissingRightError,
    NetworkError,
    TconnectsyncError,
    UnprovenWriteError,
)
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.entries import entry_time
from tconnectsync.nightscout.eventtypes import COMBO_BOLUS, TEMP_BASAL
from tconnectsync.nightscout.proof import kinds, unproven
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment, insulin_in
from tconnectsync.nightscout.wire import ENTRIES, TREATMENTS, batches
from tconnectsync.sync.plan import Plan, Update
from tconnectsync.sync.plan.plan import around, freeing_first
from tconnectsync.sync.plan.slots import Slot, set_apart_anew, slots

FIRST = (TEMP_BASAL, COMBO_BOLUS)
"""The types of treatments that are written before all others, in this order."""
IN_A_ROW = 3
"""After so many updates that fail one after the other, the rest of their kind is not tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A treatment or an entry: its type, its instant, and the document that is sent."""

    kind: str
    at: datetime | None
    body: Document


class Refused(NamedTuple):
    """What could not be written, and why: the error names how many of which kind.

    ``throughout`` is true if nothing new of their kinds could be written at all.
    """

    records: Sequence[Record]
    error: TconnectsyncError
    throughout: bool


class _Cause(NamedTuple):
    """Why something was not written; what has the same cause is reported together."""

    kind: type[TconnectsyncError]
    text: str
    """What the error says, its status included."""
    is_new: bool
    """Whether it was to be created, and certainly was not."""


def _cause_of(error: TconnectsyncError, is_new: bool) -> _Cause:
    if isinstance(error, UnprovenWriteError):
        # Its text counts the documents of one request: those of all requests are one cause.
        return _Cause(UnprovenWriteError, "", is_new=False)
    return _Cause(type(error), str(error), is_new)


@dataclass(eq=False)
class Applied:
    """What came of a plan, in documents that Nightscout is known to have stored."""

    created: int = 0
    updated: int = 0
    written: Counter[str] = field(default_factory=Counter)
    """How many were created or updated, by type."""
    insulin: float = 0.0
    """U of the boluses among them."""
    new: Counter[str] = field(default_factory=Counter)
    """How many of them were created, by type."""
    new_insulin: dict[str, float] = field(default_factory=dict)
    """U that the created ones show, by type."""
    ended_by: TconnectsyncError | None = None
    """What made going on pointless, if anything did."""
    _failures: list[tuple[TconnectsyncError, list[Record], bool]] = field(default_factory=list)
    _stored: set[str] = field(default_factory=set)

    def refused(self) -> Iterator[Refused]:
        """Yield what could not be written; the same error of several requests is one."""
        by_cause: dict[_Cause, tuple[TconnectsyncError, list[Record]]] = {}
        for error, records, is_new in self._failures:
            by_cause.setdefault(_cause_of(error, is_new), (error, []))[1].extend(records)
        for cause, (error, records) in by_cause.items():
            documents = [each.body for each in records]
            if isinstance(error, UnprovenWriteError):
                text = str(unproven(documents, documents))
            else:
                text = f"{error} Not written: {kinds(documents)}."
            throughout = cause.is_new and not self._stored & {each.kind for each in records}
            yield Refused(records, error.reworded(text), throughout)

    def note_failure(
        self, error: TconnectsyncError, records: Sequence[Record], *, is_new: bool
    ) -> None:
        """Note what was not written; ``is_new`` if it was to be created."""
        self._failures.append((error, list(records), is_new))

    def note_created(self, records: Sequence[Record]) -> None:
        """Note what was created."""
        self.created += len(records)
        self._stored |= {each.kind for each in records}
        for each in records:
            self.new[each.kind] += 1
            if units := insulin_in(each.body):
                self.new_insulin[each.kind] = self.new_insulin.get(each.kind, 0.0) + units
        self._note_written(records)

    def note_updated(self, record: Record) -> None:
        """Note what was updated."""
        self.updated += 1
        self._note_written([record])

    def _note_written(self, records: Sequence[Record]) -> None:
        self.written.update(each.kind for each in records)
        self.insulin += sum(each.body.get("insulin") or 0.0 for each in records)


def apply(plan: Plan, nightscout: NightscoutApi) -> Applied:
    """Write all that a plan says; return what was stored and what was not.

    At last, what another pump claims is removed.

    Every step can be repeated, so a run that breaks off in the middle is made good by the next.
    """
    applied = Applied()
    try:
        _write_treatments(plan, nightscout, applied)
        entries = [Record(each["type"], entry_time(each), each) for each in plan.entries]
        _create(entries, ENTRIES, nightscout, applied)
    except TconnectsyncError as error:
        applied.ended_by = error
    return applied


def _write_treatments(plan: Plan, nightscout: NightscoutApi, applied: Applied) -> None:
    """Write the treatments kind by kind.

    What is new travels together as far as no update stands in between.
    """
    taken = set(plan.taken)
    waiting: list[Record] = []
    for rank in range(len(FIRST) + 1):
        updates = [update for update in plan.update if _rank(update.after) == rank]
        if updates:
            _create(waiting, TREATMENTS, nightscout, applied)
            waiting = []
            _update(updates, nightscout, applied, taken)
        new = [treatment for treatment in plan.create if _rank(treatment) == rank]
        waiting += map(_record, set_apart_anew(new, taken))
    _create(waiting, TREATMENTS, nightscout, applied)
    _remove(plan.remove, nightscout, applied)


def _rank(treatment: Treatment) -> int:
    return FIRST.index(treatment.event_type) if treatment.event_type in FIRST else len(FIRST)


def _record(treatment: Treatment | StoredTreatment) -> Record:
    return Record(treatment.event_type, treatment.at, treatment.body)


def _update(
    updates: Sequence[Update], nightscout: NightscoutApi, applied: Applied, taken: set[Slot]
) -> None:
    """Carry out updates of a kind; add to ``taken`` the instants that they use or do not free.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    rest = freeing_first(updates)
    in_a_row = 0
    while rest:
        standing = slots(each.stored for each in rest)
        update, *rest = rest
        (update,) = around([update], taken, standing)
        try:
            nightscout.replace(update.after.body)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            in_a_row += 1
            # It may have been carried out nonetheless.
            taken |= slots((update.stored, update.after))
            applied.note_failure(error, [_record(update.after)], is_new=False)
            if isinstance(error, NetworkError) or in_a_row == IN_A_ROW:
                taken |= slots(each.stored for each in rest)
                applied.note_failure(error, [_record(each.after) for each in rest], is_new=False)
                return
        else:
            in_a_row = 0
            taken |= slots((update.after,))
            applied.note_updated(_record(update.after))


def _remove(
    treatments: Sequence[StoredTreatment], nightscout: NightscoutApi, applied: Applied
) -> None:
    """Remove what another pump claims.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    for place, treatment in enumerate(treatments):
        try:
            nightscout.remove_treatment(treatment.body)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            if isinstance(error, NetworkError | MissingRightError):
                applied.note_failure(error, list(map(_record, treatments[place:])), is_new=False)
                return
            applied.note_failure(error, [_record(treatment)], is_new=False)
        else:
            applied.updated += 1


def _create(
    records: Sequence[Record], collection: str, nightscout: NightscoutApi, applied: Applied
) -> None:
    """Create what is new; after a refusal, no more of the kinds that were refused is sent.

    The newest document that is stored then shows the next run where to go on.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    refused: dict[str, TconnectsyncError] = {}
    for batch in batches(records, lambda record: record.body):
        for each in batch:
            if error := refused.get(each.kind):
                applied.note_failure(error, [each], is_new=True)
        sent = [each for each in batch if each.kind not in refused]
        if not sent:
            continue
        missing: list[Record] = []
        try:
            nightscout.create([each.body for each in sent], collection)
        except UnprovenWriteError as error:
            missing = [each for each in sent if each.body in error.missing]
            applied.note_failure(error, missing, is_new=True)
            if error.status is not None:
                refused |= dict.fromkeys((each.kind for each in missing), error)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            missing = sent
            applied.note_failure(error, missing, is_new=True)
            refused |= dict.fromkeys((each.kind for each in missing), error)
        applied.note_created([each for each in sent if each not in missing])
