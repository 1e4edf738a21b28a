"""Wanted treatments against stored ones: what to create, update, remove, or leave alone.

Pure: nothing is read or written here. A stored treatment of ours is recognised by its identifier,
one of an older version by the number and time of its entry in the pump's log, else by type and
second. It is updated when the pump knows better and nobody has edited it; everything else that is
stored stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tconnectsync.domain.numbers import as_number
from tconnectsync.nightscout.provenance import Document, checksum, created_at, has_database_id
from tconnectsync.nightscout.stored import StoredTreatment, Writer, stored_treatments
from tconnectsync.nightscout.treatments import GLUCOSE_FIELDS, Treatment
from tconnectsync.sync.plan.duplicates import Covered, already_shown, possible_duplicates
from tconnectsync.sync.plan.laterparts import LATE, resolve_later_parts
from tconnectsync.sync.plan.legacy import (
    Pairs,
    finished_by,
    last_piece,
    match_by_log_number,
    match_by_second,
)
from tconnectsync.sync.plan.slots import Slot, set_apart

IN_PROGRESS = "(in progress"
"""What the notes of a bolus say as long as its end is not known."""
SPLIT = ("enteredinsulin", "splitNow", "splitExt")


@dataclass(frozen=True)
class Update:
    """A stored document and what it becomes; both carry the same ``_id``."""

    before: Document
    after: Document


@dataclass(frozen=True)
class Plan:
    """What to write to Nightscout, oldest first, and how many documents are right already.

    ``create`` and ``update`` are treatments, ``entries`` are to be created. ``remove`` are stored
    basals of ours, untouched, whose time another pump of the person turned out to claim: nothing
    else is ever removed. ``doubts`` says in sentences what is not created because an older version
    may have shown it; it counts as kept.
    """

    create: list[Document] = field(default_factory=list)
    update: list[Update] = field(default_factory=list)
    kept: int = 0
    entries: list[Document] = field(default_factory=list)
    remove: list[Document] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    taken: frozenset[Slot] = field(default=frozenset(), compare=False, repr=False)
    """The instants of the stored treatments that this plan does not move."""

    @property
    def changed(self) -> int:
        """How many stored treatments do not stay as they are."""
        return len(self.update) + len(self.remove)


def make_plan(
    wanted: Iterable[Treatment],
    stored: Sequence[Document | StoredTreatment],
    newer_than: Mapping[str, datetime | None] | None = None,
) -> Plan:
    """Compare what should be in Nightscout with what is.

    Args:
        wanted: what the pump's story asks for.
        stored: every treatment that Nightscout holds around the same time, ours and others'.
        newer_than: per type, create only what is newer than this; ``None`` fills every gap.
    """
    treatments = stored_treatments(stored)
    known, wholes = resolve_later_parts(_each_once(wanted), treatments)
    wanted = [want for want in known if not _is_gone(want)]
    settled = {id(treatment) for treatment in wholes}
    open_ones = [treatment for treatment in treatments if id(treatment) not in settled]
    ours = [treatment for treatment in open_ones if treatment.is_ours]
    pairs, doubtful, missing = _match(wanted, open_ones)
    pairs, missing, elsewhere = _without_what_is_shown(pairs, doubtful, missing, ours)
    pairs = [last_piece(want, old, ours) for want, old in pairs]
    newest = _newest_of_each_type(ours)
    # Freed first: after a correction of the zone, many move to where another one of ours stood.
    moved = {
        id(old) for want, old in pairs if _moves(want, old) and _revised(want, old, set(), newest)
    }
    unmoved = frozenset(it.slot for it in treatments if it.slot and id(it) not in moved)
    taken = set(unmoved)
    update = [
        Update(old.body, new) for want, old in pairs if (new := _revised(want, old, taken, newest))
    ]
    if newer_than is not None:
        missing = [want for want in missing if _is_newer(want, newer_than)]
    create = [set_apart(want.body, want.at, taken) for want in missing]
    remove = _to_remove(known, treatments)
    kept = len(pairs) - len(update) + elsewhere + len(doubtful) + len(wholes)
    doubts = [_in_words(want, old) for want, old in doubtful]
    return Plan(create, update, kept, remove=remove, doubts=doubts, taken=unmoved)


def _each_once(wanted: Iterable[Treatment]) -> list[Treatment]:
    """Drop repeated reports of one event, keeping the most advanced, and sort by time."""
    best: dict[str, Treatment] = {}
    for want in wanted:
        known = best.get(want.identifier)
        if known is None or _progress(want) > _progress(known):
            best[want.identifier] = want
    return sorted(best.values(), key=lambda want: (want.at, want.identifier))


def _progress(want: Treatment) -> tuple[bool, bool, float, float, str]:
    duration, insulin = want.body.get("duration", 0.0), want.body.get("insulin", 0.0)
    return (want.cut, not want.growing, duration, insulin, want.body["checksum"])


def _is_gone(want: Treatment) -> bool:
    """Tell whether another pump claims all of its time."""
    return want.cut and not want.body.get("duration")


def _to_remove(
    wanted: Iterable[Treatment], treatments: Iterable[StoredTreatment]
) -> list[Document]:
    """Return the basals of this version, as it left them, of which no time is left."""
    gone = {want.identifier for want in wanted if _is_gone(want)}
    return [
        treatment.body
        for treatment in treatments
        if treatment.identifier in gone
        and treatment.writer is Writer.THIS_VERSION
        and not treatment.edited
        and has_database_id(treatment.body)
    ]


def _match(
    wanted: Sequence[Treatment], treatments: Sequence[StoredTreatment]
) -> tuple[Pairs, Pairs, list[Treatment]]:
    """Pair wanted documents with stored ones; also return doubtful pairs, and what is missing.

    A document with the identifier of an event stands for it, whoever is named as its author and
    whatever has become of it, and for no other, even one of the same second. One of an older
    version is known by its log number and time, and without a number by type and second.
    """
    names = {want.identifier for want in wanted}
    named = {it.identifier: it for it in reversed(treatments) if it.identifier in names}
    known = [(want, named[want.identifier]) for want in wanted if want.identifier in named]
    others = [want for want in wanted if want.identifier not in named]
    older = [it for it in treatments if it.identifier not in names]
    numbered = [it for it in older if it.writer is Writer.VERSION_2_OR_3]
    by_number, doubtful, others = match_by_log_number(others, numbered)
    first_version = [it for it in older if it.writer is Writer.VERSION_1]
    by_second, missing = match_by_second(others, first_version)
    return known + by_number + by_second, doubtful, missing


def _in_words(want: Treatment, old: StoredTreatment) -> str:
    return (
        f"{want.body['eventType']} of {want.at.isoformat(' ', 'seconds')}: an older version may "
        f"have shown it at {created_at(old.at.astimezone(want.at.tzinfo)) if old.at else '?'}"
    )


def _without_what_is_shown(
    pairs: Pairs, doubtful: Pairs, missing: Sequence[Treatment], ours: Sequence[StoredTreatment]
) -> tuple[Pairs, list[Treatment], int]:
    """Leave out what the other source or an older version shows; also return how much that is."""
    names = {want.identifier for want, _ in pairs}
    matched = {id(old) for _, old in pairs + doubtful}
    unmatched = [it for it in ours if id(it) not in matched and it.identifier not in names]
    # A basal of t:connect goes on where the next entry of the log tells of the same rate.
    by_second = [old for _, old in pairs if old.writer is Writer.VERSION_1]
    others = possible_duplicates([*(want for want, _ in pairs), *missing], unmatched + by_second)
    if not others:
        return pairs, list(missing), 0
    covered = Covered(others)
    cut = [
        (covered.uncovered_part(want) if old.writer is Writer.THIS_VERSION else want, old)
        for want, old in pairs
    ]
    still = [(want, old) for want, old in cut if want]
    left = [want for want in map(covered.uncovered_part, missing) if want]
    told, rest = already_shown(left, (other for other in others if id(other) not in matched))
    return still, rest, len(pairs) - len(still) + len(missing) - len(left) + told


def _revised(
    want: Treatment, old: StoredTreatment, taken: set[Slot], newest: Mapping[str, datetime]
) -> Document | None:
    """Return what a stored document becomes, ``None`` when it stays as it is."""
    if old.edited:
        return None
    want = _with_glucose_of(old.body, want)
    if old.writer is Writer.THIS_VERSION:
        changes = want.body if _knows_better(want, old) else {}
    else:
        changes = finished_by(want, old, old.at == newest.get(old.event_type))
    if not changes:
        return None
    known = {name: value for name, value in old.body.items() if value is not None}
    if "glucose" in changes:
        # A type that is not known any more must not stay.
        known.pop("glucoseType", None)
    after = {**known, **changes, "created_at": _time_after_update(want, old, taken)}
    if "identifier" not in known:
        # Nightscout 15.0.7 would take another identifier for another document.
        after.pop("identifier", None)
    return after


def _knows_better(want: Treatment, old: StoredTreatment) -> bool:
    """Tell whether the pump now says something else than what this version wrote."""
    if want.body["checksum"] == old.body["checksum"]:
        return False
    if want.cut and want.body["duration"] < old.minutes - 0.005:
        return True
    return not _is_ahead(old, want) and not _differs_in_words_alone(old, want)


def _differs_in_words_alone(old: StoredTreatment, want: Treatment) -> bool:
    """Tell whether only reason and notes differ: words are for new documents.

    What is stored as being in progress gets the words of its end.
    """
    if IN_PROGRESS in str(old.body.get("notes")):
        return False
    same_split = all(as_number(old.body.get(n)) == as_number(want.body.get(n)) for n in SPLIT)
    return same_split and _without_words(old.body) == _without_words(want.body)


def _without_words(body: Document) -> str:
    return checksum({**body, "reason": "", "notes": ""})


def _with_glucose_of(old: Document, want: Treatment) -> Treatment:
    """Let a wanted document that says nothing about glucose have what the stored one says.

    Then it makes no difference that BOLUS_BG is switched off, or knows nothing for once.
    """
    known = {name: old[name] for name in GLUCOSE_FIELDS if old.get(name)}
    if "glucose" in want.body or "glucose" not in known:
        return want
    body = {**want.body, **known}
    return replace(want, body={**body, "checksum": checksum(body)})


def _moves(want: Treatment, old: StoredTreatment) -> bool:
    return old.at is not None and old.at.replace(microsecond=0) != want.at


def _time_after_update(want: Treatment, old: StoredTreatment, taken: set[Slot]) -> str:
    """Return the wanted time, with the milliseconds that the document already has to itself.

    It carries the pump's offset: Nightscout computes ``utcOffset`` from it anew.
    """
    if old.at and not _moves(want, old):
        return created_at(old.at.astimezone(want.at.tzinfo))
    return str(set_apart(want.body, want.at, taken)["created_at"])


def _is_ahead(old: StoredTreatment, want: Treatment) -> bool:
    """Tell whether Nightscout already knows more of something than this report of it."""
    longer = old.minutes > want.body.get("duration", 0.0) + 0.005
    more = (old.insulin or 0.0) > want.body.get("insulin", 0.0) + 0.005
    return want.growing and (longer or more)


def _is_newer(want: Treatment, than: Mapping[str, datetime | None]) -> bool:
    newest = than.get(want.body["eventType"])
    # A piece of a bolus is known only when it is over; others may have been written meanwhile.
    late = LATE if want.piece else timedelta(0)
    return newest is None or want.at > newest - late


def _newest_of_each_type(treatments: Iterable[StoredTreatment]) -> dict[str, datetime]:
    newest: dict[str, datetime] = {}
    for slot in (treatment.slot for treatment in treatments):
        if slot:
            newest[slot[0]] = max(slot[1], newest.get(slot[0], slot[1]))
    return newest
