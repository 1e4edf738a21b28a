"""Desired treatments and stored ones: what to create, update, remove, or leave alone.

Pure: nothing is read or written here. Desired treatments are matched with stored ones. A stored one
that no person has edited is revised if the pump knows better now. A moved or new treatment gets an
instant of its own. Everything else that is stored stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from tconnectsync.domain.limits import ROUNDING
from tconnectsync.nightscout.provenance import Document, created_at
from tconnectsync.nightscout.stored import StoredTreatment, Writer
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan.laterparts import LATE, resolve_later_parts
from tconnectsync.sync.plan.legacy import finished_by
from tconnectsync.sync.plan.match import match
from tconnectsync.sync.plan.pairing import Pairs
from tconnectsync.sync.plan.plan import Plan, Update
from tconnectsync.sync.plan.slots import Slot, set_apart


def make_plan(
    desired: Iterable[Treatment],
    stored: Sequence[StoredTreatment],
    newer_than: Mapping[str, datetime | None] | None = None,
) -> Plan:
    """Compare what should be in Nightscout with what is.

    Args:
        desired: what the pump did, as it should be shown.
        stored: every treatment that Nightscout holds around the same time, ours and others'.
        newer_than: per type, create only what is newer than this; ``None`` fills every gap.
    """
    reported, wholes = resolve_later_parts(_each_once(desired), stored)
    gone = {treatment.identifier for treatment in reported if treatment.is_gone}
    showing_wholes = set(wholes)
    to_match = [each for each in stored if each not in showing_wholes]

    found = match([it for it in reported if not it.is_gone], to_match)
    revisions = list(_revisions(found.pairs, to_match))
    new = [it for it in found.missing if newer_than is None or _is_newer(it, newer_than)]

    # Freed first: after a correction of the zone, many move to where another one of ours stood.
    moving = {revision.stored for revision in revisions if revision.moves}
    staying = frozenset(it.slot for it in stored if it.slot and it not in moving)
    taken = set(staying)
    update = [Update(revision.stored, revision.set_apart(taken)) for revision in revisions]
    create = [set_apart(treatment, taken) for treatment in new]
    right = len(found.pairs) - len(update) + len(found.doubtful) + found.shown + len(wholes)
    return Plan(
        create,
        update,
        kept=right,
        remove=[it for it in stored if it.identifier in gone and it.is_removable],
        doubts=[_in_words(treatment, older) for treatment, older in found.doubtful],
        taken=staying,
    )


def _each_once(desired: Iterable[Treatment]) -> list[Treatment]:
    """Drop repeated reports of one event, keep the most complete one, and sort by time."""
    best: dict[str, Treatment] = {}
    for treatment in desired:
        known = best.setdefault(treatment.identifier, treatment)
        if _progress(treatment) > _progress(known):
            best[treatment.identifier] = treatment
    return sorted(best.values(), key=lambda treatment: (treatment.at, treatment.identifier))


def _progress(it: Treatment) -> tuple[bool, bool, float, float, str]:
    return (it.cut, not it.growing, it.minutes, it.insulin or 0.0, it.checksum)


@dataclass(frozen=True)
class _Revision:
    """A stored treatment that is to be updated, and the fields that change."""

    treatment: Treatment
    stored: StoredTreatment
    fields: Document

    @cached_property
    def moves(self) -> bool:
        at = self.stored.at
        return at is None or at.replace(microsecond=0) != self.treatment.at

    def set_apart(self, taken: set[Slot]) -> Treatment:
        """Return the treatment as it is to be; if it moves, it takes a free instant.

        Else it keeps the milliseconds that it has to itself. Its time carries the pump's offset:
        Nightscout computes ``utcOffset`` from it again.
        """
        at = self.treatment.at
        if self.moves or not self.stored.at:
            at = set_apart(self.treatment, taken).at
        else:
            at = self.stored.at.astimezone(at.tzinfo)
        body = self.stored.changed({**self.fields, "created_at": created_at(at)})
        event_type, identifier = body.get("eventType") or "", body.get("identifier") or ""
        return Treatment(at, event_type, identifier, body, self.treatment.growing)


def _revisions(pairs: Pairs, stored: Iterable[StoredTreatment]) -> Iterator[_Revision]:
    """Yield what is to change in stored treatments that no person has edited."""
    newest: dict[str, datetime] = {}
    for each in stored:
        if each.is_ours and each.at:
            newest[each.event_type] = max(each.at, newest.get(each.event_type, each.at))
    for treatment, old in pairs:
        if old.edited:
            continue
        if "glucose" in old.glucose and "glucose" not in treatment.glucose:
            # It stays where BOLUS_BG is switched off, or knows nothing for once.
            treatment = treatment.with_fields(**old.glucose)
        if old.writer is not Writer.THIS_VERSION:
            fields = finished_by(treatment, old, old.at == newest.get(old.event_type))
        else:
            fields = treatment.body if _knows_better(treatment, old) else {}
        if fields:
            yield _Revision(treatment, old, fields)


def _knows_better(treatment: Treatment, old: StoredTreatment) -> bool:
    """Return whether the pump now says something else than what this version wrote."""
    if treatment.checksum == old.checksum:
        return False
    if treatment.cut and treatment.minutes < old.minutes - ROUNDING:
        return True
    longer = old.minutes > treatment.minutes + ROUNDING
    more = (old.insulin or 0.0) > (treatment.insulin or 0.0) + ROUNDING
    if treatment.growing and (longer or more):
        # Nightscout already knows more of it than this report.
        return False
    # Better words are for new documents, but what is in progress gets those of its end.
    return old.is_in_progress or old.without_words != treatment.without_words


def _is_newer(treatment: Treatment, than: Mapping[str, datetime | None]) -> bool:
    newest = than.get(treatment.event_type)
    # A piece of a bolus is known only when it is over; others may have been written meanwhile.
    late = LATE if treatment.piece else timedelta(0)
    return newest is None or treatment.at > newest - late


def _in_words(treatment: Treatment, old: StoredTreatment) -> str:
    at = treatment.at
    return (
        f"{treatment.event_type} of {at.isoformat(' ', 'seconds')}: an older version may have "
        f"shown it at {created_at(old.at.astimezone(at.tzinfo)) if old.at else '?'}"
    )
