"""Wanted treatments against stored ones: what to create, what to update, what to leave alone.

Pure: nothing is read or written here. A stored document of ours is recognised by its identifier,
else by type and instant, which covers those of older versions. It is updated when the pump knows
better and nobody has edited it; everything else that is stored stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.nightscout.documents import GLUCOSE_FIELDS, Wanted
from tconnectsync.nightscout.marks import (
    ENTERED_BY,
    Document,
    checksum,
    created_at,
    edited,
    instant,
)
from tconnectsync.sync.changeover import (
    Covered,
    Pairs,
    log_number,
    match_by_log_number,
    strangers,
    told_otherwise,
)
from tconnectsync.sync.slots import Slot, set_apart, slot, slots

IN_PIECES = ("Sleep", "Exercise")
"""What older versions wrote in as many pieces as t:connect reported."""
UNFINISHED_NOTE = " (: requested "
"""What an older version wrote into the notes of a bolus whose extended part was running."""
NOT_ENDED = "Not Ended"
"""What older versions wrote into the notes of a sleep or exercise that was going on."""


@dataclass(frozen=True)
class Update:
    """A stored document and what it becomes; both carry the same ``_id``."""

    before: Document
    after: Document


@dataclass(frozen=True)
class Plan:
    """What to write to Nightscout, oldest first, and how many documents are right already.

    ``create`` and ``update`` are treatments, ``entries`` are to be created.
    """

    create: list[Document] = field(default_factory=list)
    update: list[Update] = field(default_factory=list)
    kept: int = 0
    entries: list[Document] = field(default_factory=list)
    taken: frozenset[Slot] = field(default=frozenset(), compare=False, repr=False)
    """The instants of the stored treatments that this plan does not move."""


def make_plan(
    wanted: Iterable[Wanted],
    stored: Sequence[Document],
    newer_than: Mapping[str, datetime | None] | None = None,
) -> Plan:
    """Compare what should be in Nightscout with what is.

    Args:
        wanted: what the pump's story asks for.
        stored: every treatment that Nightscout holds around the same time, ours and others'.
        newer_than: per type, create only what is newer than this; ``None`` fills every gap.
    """
    wanted = _each_once(wanted)
    ours = [document for document in stored if document.get("enteredBy") == ENTERED_BY]
    pairs, missing = _match(wanted, ours)
    pairs, missing, elsewhere = _without_what_is_shown(pairs, missing, ours)
    pairs = [_last_piece(want, old, ours) for want, old in pairs]
    newest = _newest_of_each_type(ours)
    # Freed first: after a correction of the zone, many move to where another one of ours stood.
    moved = {
        id(old) for want, old in pairs if _moves(want, old) and _revised(want, old, set(), newest)
    }
    taken = slots(document for document in stored if id(document) not in moved)
    unmoved = frozenset(taken)
    update = [
        Update(old, new) for want, old in pairs if (new := _revised(want, old, taken, newest))
    ]
    if newer_than is not None:
        missing = [want for want in missing if _is_newer(want, newer_than)]
    create = [set_apart(want.body, want.at, taken) for want in missing]
    kept = len(pairs) - len(update) + elsewhere
    return Plan(create, update, kept=kept, taken=unmoved)


def _each_once(wanted: Iterable[Wanted]) -> list[Wanted]:
    """Drop repeated reports of one event, keeping the most advanced, and sort by time."""
    best: dict[str, Wanted] = {}
    for want in wanted:
        known = best.get(want.identifier)
        if known is None or _progress(want) > _progress(known):
            best[want.identifier] = want
    return sorted(best.values(), key=lambda want: (want.at, want.identifier))


def _progress(want: Wanted) -> tuple[bool, float, float, str]:
    duration, insulin = want.body.get("duration", 0.0), want.body.get("insulin", 0.0)
    return (not want.growing, duration, insulin, want.body["checksum"])


def _match(wanted: Sequence[Wanted], ours: Sequence[Document]) -> tuple[Pairs, list[Wanted]]:
    """Pair wanted documents with stored ones of ours; also return those without a partner.

    A document that this version wrote stands for the event of its identifier and for no other, even
    one of the same second. An identifier that another program gave a document means nothing here.
    One of an older version is known by its log number, and without that by type and second.
    """
    named: dict[str, Document] = {}
    nameless: list[Document] = []
    for document in ours:
        name = document.get("identifier") or document.get("syncIdentifier")
        if name and "checksum" in document:
            named[name] = document
        else:
            nameless.append(document)
    known = [(want, named[want.identifier]) for want in wanted if want.identifier in named]
    others = [want for want in wanted if want.identifier not in named]
    numbered, others = match_by_log_number(others, nameless)
    unnumbered = [document for document in nameless if not log_number(document)]
    found, missing = _match_by_second(others, unnumbered)
    return known + numbered + found, missing


def _without_what_is_shown(
    pairs: Pairs, missing: Sequence[Wanted], ours: Sequence[Document]
) -> tuple[Pairs, list[Wanted], int]:
    """Leave out what the other source or an older version shows; also return how much that is."""
    matched = {id(document) for _, document in pairs}
    unmatched = [document for document in ours if id(document) not in matched]
    # A basal of t:connect goes on where the next entry of the log tells of the same rate.
    by_second = [old for _, old in pairs if "checksum" not in old and not log_number(old)]
    others = strangers([*(want for want, _ in pairs), *missing], unmatched + by_second)
    if not others:
        return pairs, list(missing), 0
    covered = Covered(others)
    cut = [(want if "checksum" not in old else covered.left_of(want), old) for want, old in pairs]
    still = [(want, old) for want, old in cut if want]
    left = [want for want in map(covered.left_of, missing) if want]
    told, rest = told_otherwise(left, (other for other in others if id(other) not in matched))
    return still, rest, len(pairs) - len(still) + len(missing) - len(left) + told


def _match_by_second(
    wanted: Sequence[Wanted], ours: Sequence[Document]
) -> tuple[list[tuple[Wanted, Document]], list[Wanted]]:
    """Pair by type and second; where several share one, the most alike go together."""
    rest: dict[tuple[str, datetime], list[Document]] = defaultdict(list)
    for document in ours:
        at = instant(document)
        if at:
            rest[str(document.get("eventType")), at.replace(microsecond=0)].append(document)
    candidates = [
        (_difference(want, document), index, number)
        for index, want in enumerate(wanted)
        for number, document in enumerate(rest.get(_second(want), ()))
    ]
    partner: dict[int, Document] = {}
    used: set[int] = set()
    for _, index, number in sorted(candidates):
        document = rest[_second(wanted[index])][number]
        if index not in partner and id(document) not in used:
            partner[index] = document
            used.add(id(document))
    pairs = [(want, partner[index]) for index, want in enumerate(wanted) if index in partner]
    return pairs, [want for index, want in enumerate(wanted) if index not in partner]


def _second(want: Wanted) -> tuple[str, datetime]:
    return want.body["eventType"], want.at.replace(microsecond=0)


def _difference(want: Wanted, document: Mapping[str, Any]) -> tuple[bool, float]:
    insulin = _number(want.body.get("insulin")) - _number(document.get("insulin"))
    return want.body.get("reason") != document.get("reason"), abs(insulin)


def _last_piece(want: Wanted, old: Document, ours: Sequence[Document]) -> tuple[Wanted, Document]:
    """Where an older version wrote a period in pieces, pair its rest with the last of them.

    The others stay as they are, so that no time is shown twice.
    """
    if "checksum" in old or want.body["eventType"] not in IN_PIECES:
        return want, old
    ends = want.at + timedelta(minutes=want.body["duration"])
    pieces = [
        (at, index)
        for index, document in enumerate(ours)
        if document.get("eventType") == want.body["eventType"]
        and (at := instant(document))
        and want.at < at < ends
    ]
    if not pieces:
        return want, old
    at, index = max(pieces)
    rest = {**want.body, "duration": (ends - at) / timedelta(minutes=1)}
    return replace(want, at=at.astimezone(want.at.tzinfo), body=rest), ours[index]


def _revised(
    want: Wanted,
    old: Document,
    taken: set[Slot],
    newest: Mapping[str, datetime],
) -> Document | None:
    """Return what a stored document of ours becomes, ``None`` when it stays as it is."""
    want = _with_glucose_of(old, want)
    if "checksum" not in old:
        is_newest = instant(old) == newest.get(str(old.get("eventType")))
        changes = _finished_by(want, old, is_newest)
    elif want.body["checksum"] == old["checksum"] or edited(old) or _is_ahead(old, want):
        changes = {}
    else:
        changes = want.body
    if not changes:
        return None
    known = {name: value for name, value in old.items() if value is not None}
    return {**known, **changes, "created_at": _time_after_update(want, old, taken)}


def _with_glucose_of(old: Document, want: Wanted) -> Wanted:
    """Let a wanted document that says nothing about glucose have what the stored one says.

    Then it makes no difference that BOLUS_BG is switched off, or knows nothing for once.
    """
    known = {name: old[name] for name in GLUCOSE_FIELDS if old.get(name)}
    if "glucose" in want.body or "glucose" not in known:
        return want
    body = {**want.body, **known}
    return replace(want, body={**body, "checksum": checksum(body)})


def _moves(want: Wanted, old: Document) -> bool:
    at = instant(old)
    return at is not None and at.replace(microsecond=0) != want.at


def _time_after_update(want: Wanted, old: Document, taken: set[Slot]) -> str:
    """Return the wanted time, with the milliseconds that the document already has to itself.

    It carries the pump's offset: Nightscout computes ``utcOffset`` from it anew.
    """
    at = instant(old)
    if at and not _moves(want, old):
        return created_at(at.astimezone(want.at.tzinfo))
    return str(set_apart(want.body, want.at, taken)["created_at"])


def _is_ahead(old: Document, want: Wanted) -> bool:
    """Tell whether Nightscout already knows more of something than this report of it."""
    return want.growing and any(
        _number(old.get(name)) > _number(want.body.get(name)) + 0.005
        for name in ("duration", "insulin")
    )


def _finished_by(want: Wanted, old: Document, is_newest: bool) -> Document:
    """Return what is to change in a document of an older version that was left unfinished.

    Only the newest of its type can have been left running, and what says so; another one that is
    shorter than the pump says was edited by a person.
    """
    not_ended = NOT_ENDED in str(old.get("notes"))
    if not_ended and not want.growing:
        return _taken_from(want, "duration", "reason", "notes", "pump_event_id")
    if UNFINISHED_NOTE in str(old.get("notes")):
        return _taken_from(
            want, "insulin", "notes", "enteredinsulin", "splitNow", "splitExt", "duration"
        )
    if old.get("eventType") == "Temp Basal" and _was_cut_short(old):
        not_ended = True
    elif log_number(old) and old.get("eventType") in IN_PIECES:
        # Versions that name the log's entries also say what has not ended.
        is_newest = False
    if "insulin" in want.body or not (is_newest or not_ended):
        return {}
    grown = _number(want.body.get("duration")) > _number(old.get("duration")) + 0.005
    return {"duration": want.body["duration"]} if grown else {}


def _was_cut_short(basal: Document) -> bool:
    """Tell whether an older version, and not a person, left a basal too short.

    Versions that read the log left the last basal of every run short, to some second or without a
    duration; a person types whole minutes.
    """
    duration = _number(basal.get("duration"))
    return not duration or (bool(log_number(basal)) and duration % 1 != 0)


def _taken_from(want: Wanted, *names: str) -> Document:
    return {name: want.body[name] for name in names if name in want.body}


def _is_newer(want: Wanted, than: Mapping[str, datetime | None]) -> bool:
    newest = than.get(want.body["eventType"])
    return newest is None or want.at > newest


def _newest_of_each_type(documents: Iterable[Document]) -> dict[str, datetime]:
    newest: dict[str, datetime] = {}
    for kind, at in filter(None, map(slot, documents)):
        newest[kind] = max(at, newest.get(kind, at))
    return newest


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
