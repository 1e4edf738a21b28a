"""Carrying a plan out whole, treatments and entries alike, and saying what could not be.

Basals come first, then boluses, then all else: nothing of lesser worth holds them back. Within each
the updates come before what is new, since they free instants. What fails, fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tconnectsync.errors import (
    MissingRightError,
    NetworkError,
    TconnectsyncError,
    UnprovenWriteError,
)
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.proof import kind, kinds, unproven
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.wire import batches
from tconnectsync.sync.plan import Plan, Update
from tconnectsync.sync.plan.slots import Slot, set_apart_anew, slots
from tconnectsync.sync.plan.withheld import around, freeing_first

FIRST = ("Temp Basal", "Combo Bolus")
"""The types of treatments that are written before all others, in this order."""
IN_A_ROW = 3
"""After so many updates that fail one after the other, the rest of their kind is not tried."""


@dataclass(frozen=True)
class Refused:
    """Documents that could not be written, and why: the error names how many of which kind.

    ``throughout`` is true if nothing new of their kinds could be written at all.
    """

    documents: Sequence[Document]
    error: TconnectsyncError
    throughout: bool


@dataclass
class Applied:
    """What came of a plan, in documents that Nightscout is known to have stored."""

    created: int = 0
    updated: int = 0
    ended_by: TconnectsyncError | None = None
    """What made going on pointless, if anything did."""
    _failures: list[tuple[TconnectsyncError, list[Document], bool]] = field(default_factory=list)
    _stored: set[str] = field(default_factory=set)

    def refused(self) -> Iterator[Refused]:
        """Yield what could not be written; the same error of several requests is one."""
        together: dict[tuple[str, bool], tuple[TconnectsyncError, list[Document]]] = {}
        for error, documents, is_new in self._failures:
            is_open = isinstance(error, UnprovenWriteError)
            key = "" if is_open else str(error), is_new and not is_open
            together.setdefault(key, (error, []))[1].extend(documents)
        for (_, may_block), (error, documents) in together.items():
            blocked = may_block and not self._stored & {kind(each) for each in documents}
            is_open = isinstance(error, UnprovenWriteError)
            text = (
                str(unproven(documents, documents))
                if is_open
                else f"{error} Not written: {kinds(documents)}."
            )
            yield Refused(documents, error.reworded(text), blocked)

    def note_failure(
        self, error: TconnectsyncError, documents: list[Document], *, is_new: bool
    ) -> None:
        """Note what was not written; ``is_new`` if it was to be created."""
        self._failures.append((error, documents, is_new))

    def note_created(self, documents: Sequence[Document]) -> None:
        """Note what was created."""
        self.created += len(documents)
        self._stored |= {kind(each) for each in documents}


def apply(plan: Plan, nightscout: NightscoutApi) -> Applied:
    """Write all that a plan says; return what was stored and what was not.

    At last, what another pump claims is removed.

    Every step can be repeated, so a run that breaks off in the middle is made good by the next.
    """
    applied = Applied()
    try:
        _write_treatments(plan, nightscout, applied)
        _create(plan.entries, nightscout.create_entries, applied)
    except TconnectsyncError as error:
        applied.ended_by = error
    return applied


def _write_treatments(plan: Plan, nightscout: NightscoutApi, applied: Applied) -> None:
    """Write the treatments kind by kind.

    What is new travels together as far as no update stands in between.
    """
    taken = set(plan.taken)
    waiting: list[Document] = []
    for rank in range(len(FIRST) + 1):
        updates = [update for update in plan.update if _rank(update.after) == rank]
        if updates:
            _create(waiting, nightscout.create, applied)
            waiting = []
            _update(updates, nightscout, applied, taken)
        new = [document for document in plan.create if _rank(document) == rank]
        waiting += set_apart_anew(new, taken)
    _create(waiting, nightscout.create, applied)
    _remove(plan.remove, nightscout, applied)


def _rank(document: Document) -> int:
    return FIRST.index(kind(document)) if kind(document) in FIRST else len(FIRST)


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
        standing = slots(each.before for each in rest)
        update, *rest = rest
        (update,) = around([update], taken, standing)
        try:
            nightscout.replace(update.after)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            in_a_row += 1
            # It may have been carried out nonetheless.
            taken |= slots((update.before, update.after))
            applied.note_failure(error, [update.after], is_new=False)
            if isinstance(error, NetworkError) or in_a_row == IN_A_ROW:
                taken |= slots(each.before for each in rest)
                applied.note_failure(error, [each.after for each in rest], is_new=False)
                return
        else:
            in_a_row = 0
            taken |= slots((update.after,))
            applied.updated += 1


def _remove(documents: Sequence[Document], nightscout: NightscoutApi, applied: Applied) -> None:
    """Remove what another pump claims.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    for place, document in enumerate(documents):
        try:
            nightscout.remove_treatment(document)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            if isinstance(error, NetworkError | MissingRightError):
                applied.note_failure(error, list(documents[place:]), is_new=False)
                return
            applied.note_failure(error, [document], is_new=False)
        else:
            applied.updated += 1


def _create(
    documents: Sequence[Document], store: Callable[[Sequence[Document]], None], applied: Applied
) -> None:
    """Create documents; after a refusal, no more of the kinds that were refused is sent.

    So the newest document that is stored tells the next run where to go on.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    refused: dict[str, TconnectsyncError] = {}
    for batch in batches(documents):
        for each in batch:
            if error := refused.get(kind(each)):
                applied.note_failure(error, [each], is_new=True)
        sent = [each for each in batch if kind(each) not in refused]
        if not sent:
            continue
        missing: list[Document] = []
        try:
            store(sent)
        except UnprovenWriteError as error:
            missing = [each for each in sent if each in error.missing]
            applied.note_failure(error, missing, is_new=True)
            if error.status is not None:
                refused |= dict.fromkeys(map(kind, missing), error)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            missing = sent
            applied.note_failure(error, missing, is_new=True)
            refused |= dict.fromkeys(map(kind, missing), error)
        applied.note_created([each for each in sent if each not in missing])
