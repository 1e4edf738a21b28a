"""What exists only because versions 1.0 to 3.x wrote things in another way.

See tandem-source-processing §24. Their documents have no identifier and no checksum. Versions
2.x and 3.x name the entries of the pump's log, whose numbers begin anew with each pump: an event is
known by number and time. Version 1.0 leaves nothing but type and second.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.domain.numbers import as_number
from tconnectsync.nightscout.provenance import Document, log_number
from tconnectsync.nightscout.stored import StoredTreatment, Writer
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sources.registry import TANDEM_SOURCE

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
MOVED = timedelta(hours=26)
"""How far a corrected zone moves a document at the most."""
CLOCK_CORRECTED = timedelta(hours=1)
"""How far a person may have moved a document by a few minutes, or the pump's clock was wrong."""
SEVERAL = 3
"""So many documents that are all off by the same seconds tell of a clock that was wrong."""
SAME_AMOUNT = 0.011
"""U or U/h; older versions rounded to hundredths."""
IN_PIECES = ("Sleep", "Exercise")
"""What older versions wrote in as many pieces as t:connect reported."""
UNFINISHED_NOTE = " (: requested "
"""What an older version wrote into the notes of a bolus whose extended part was running."""
NOT_ENDED = "Not Ended"
"""What older versions wrote into the notes of a sleep or exercise that was going on."""

SAME_TIME, ZONE_CORRECTED, MOVED_BY_A_PERSON, SAME_ERROR, IN_DOUBT = range(5)
"""Why a document may be of an event, the best reason first."""

Pairs = list[tuple[Treatment, StoredTreatment]]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A document that bears the number of an event, and how far from it that stands."""

    place: int
    want: Treatment
    stored: StoredTreatment
    off: timedelta

    @property
    def same_amount(self) -> bool:
        name = "absolute" if self.stored.is_basal else "insulin"
        wanted = as_number(self.want.body.get(name)) or 0.0
        return abs(wanted - (as_number(self.stored.body.get(name)) or 0.0)) <= SAME_AMOUNT


def match_by_log_number(
    wanted: Sequence[Treatment], older: Iterable[StoredTreatment]
) -> tuple[Pairs, Pairs, list[Treatment]]:
    """Pair wanted documents with those of older versions that tell of the same entry of the log.

    Number and time decide: to the minute, or where a corrected zone or clock has moved it. Types
    may differ: all fills were site changes once. But a suspension is told by a basal and by a
    notice of its own. A number alone, hours apart, is another pump's entry.

    Returns:
        The pairs; those that may belong together without anything to prove it; the rest.
    """
    candidates = list(_candidates(wanted, older))
    same_error = _same_errors(candidates)
    ranked = sorted(
        (
            (reason, not each.same_amount, abs(each.off), number)
            for number, each in enumerate(candidates)
            if (reason := _reason(each, same_error)) is not None
        ),
    )
    partner: dict[int, tuple[int, StoredTreatment]] = {}
    used: set[int] = set()
    for reason, _, _, number in ranked:
        each = candidates[number]
        if each.place not in partner and id(each.stored) not in used:
            partner[each.place] = reason, each.stored
            used.add(id(each.stored))
    sure: Pairs = []
    doubtful: Pairs = []
    for place, (reason, stored) in sorted(partner.items(), key=lambda found: found[0]):
        (doubtful if reason == IN_DOUBT else sure).append((wanted[place], stored))
    return sure, doubtful, [want for place, want in enumerate(wanted) if place not in partner]


def _candidates(
    wanted: Sequence[Treatment], older: Iterable[StoredTreatment]
) -> Iterator[_Candidate]:
    numbered: dict[tuple[str, bool], list[StoredTreatment]] = defaultdict(list)
    for stored in older:
        if stored.log_number:
            numbered[stored.log_number, stored.is_basal].append(stored)
    for place, want in enumerate(wanted):
        is_basal = want.body["eventType"] == "Temp Basal"
        if want.cloud != TANDEM_SOURCE.name:
            continue
        for stored in numbered.get((log_number(want.body), is_basal), ()):
            if stored.at and abs(off := stored.at - (want.noted_at or want.at)) < MOVED + MINUTE:
                yield _Candidate(place, want, stored, off)


def _same_errors(candidates: Iterable[_Candidate]) -> set[timedelta]:
    """Return by how much documents are off, to the second, where several are off by just that."""
    times = Counter(_to_second(each.off) for each in candidates)
    return {off for off, number in times.items() if number >= SEVERAL}


def _reason(each: _Candidate, same_error: set[timedelta]) -> int | None:
    """Return why a document may be of an event; ``None`` if the number is another pump's."""
    if abs(each.off) < MINUTE:
        return SAME_TIME
    shared = _to_second(each.off) in same_error
    if _is_zone_shift(each):
        # Two things that differ are too much for one document alone.
        sure = each.same_amount or each.stored.edited or shared
        return ZONE_CORRECTED if sure else IN_DOUBT
    if each.stored.edited:
        return MOVED_BY_A_PERSON
    if abs(each.off) > CLOCK_CORRECTED:
        return None
    return SAME_ERROR if shared else IN_DOUBT


def _is_zone_shift(each: _Candidate) -> bool:
    """Tell whether whole quarters of an hour lie between, as a zone or its summer makes them.

    Nightscout's edit dialog has perhaps taken the seconds away.
    """
    seconds = round(each.off / timedelta(seconds=1))
    if seconds % (QUARTER // timedelta(seconds=1)) == 0:
        return True
    event = (each.want.noted_at or each.want.at).replace(second=0, microsecond=0)
    return each.stored.at is not None and (each.stored.at - event) % QUARTER == timedelta(0)


def _to_second(off: timedelta) -> timedelta:
    return timedelta(seconds=round(off / timedelta(seconds=1)))


def match_by_second(
    wanted: Sequence[Treatment], older: Iterable[StoredTreatment]
) -> tuple[Pairs, list[Treatment]]:
    """Pair with documents of version 1.0 by type and second; then with those a person has saved.

    Nightscout's edit dialog cuts the second off, and lets people choose another type.
    """
    left = list(older)
    pairs: Pairs = []
    for key_of_want, key_of_stored in _KEYS:
        found, wanted = _match_by(wanted, left, key_of_want, key_of_stored)
        pairs += found
        used = {id(stored) for _, stored in found}
        left = [stored for stored in left if id(stored) not in used]
    return pairs, list(wanted)


def _match_by(
    wanted: Sequence[Treatment],
    older: Iterable[StoredTreatment],
    key_of_want: Callable[[Treatment], Hashable],
    key_of_stored: Callable[[StoredTreatment], Hashable],
) -> tuple[Pairs, list[Treatment]]:
    """Pair what has the same key; where several share one, the most alike go together."""
    rest: dict[Hashable, list[StoredTreatment]] = defaultdict(list)
    for stored in older:
        if key := key_of_stored(stored):
            rest[key].append(stored)
    candidates = [
        (_difference(want, stored), index, number)
        for index, want in enumerate(wanted)
        for number, stored in enumerate(rest.get(key_of_want(want), ()))
    ]
    partner: dict[int, StoredTreatment] = {}
    used: set[int] = set()
    for _, index, number in sorted(candidates):
        stored = rest[key_of_want(wanted[index])][number]
        if index not in partner and id(stored) not in used:
            partner[index] = stored
            used.add(id(stored))
    pairs = [(want, partner[index]) for index, want in enumerate(wanted) if index in partner]
    return pairs, [want for index, want in enumerate(wanted) if index not in partner]


def _difference(want: Treatment, stored: StoredTreatment) -> tuple[bool, float]:
    insulin = (as_number(want.body.get("insulin")) or 0.0) - (stored.insulin or 0.0)
    return want.body.get("reason") != stored.body.get("reason"), abs(insulin)


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _saved(stored: StoredTreatment) -> datetime | None:
    """Return the minute of what was saved in the dialog."""
    is_cut = stored.edited and stored.at is not None and stored.at == _minute(stored.at)
    return stored.at if is_cut else None


def _amount(body: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return what makes a treatment the same under another type: its insulin or its rate."""
    for name in ("insulin", "absolute"):
        if (number := as_number(body.get(name))) is not None and body.get("eventType"):
            return name, round(number, 2)
    return None


_KEYS: tuple[
    tuple[Callable[[Treatment], Hashable], Callable[[StoredTreatment], Hashable]],
    ...,
] = (
    (
        lambda want: (want.body["eventType"], _second(want.at)),
        lambda stored: stored.at and (stored.event_type, _second(stored.at)),
    ),
    (
        lambda want: (want.body["eventType"], _minute(want.at)),
        lambda stored: (at := _saved(stored)) and (stored.event_type, at),
    ),
    (
        lambda want: (_amount(want.body), _minute(want.at)),
        lambda stored: (at := _saved(stored)) and (it := _amount(stored.body)) and (it, at),
    ),
)
"""By what a wanted and a stored document are the same, the surest first."""


def last_piece(
    want: Treatment, old: StoredTreatment, ours: Sequence[StoredTreatment]
) -> tuple[Treatment, StoredTreatment]:
    """Where an older version wrote a period in pieces, pair its rest with the last of them.

    The others stay as they are, so that no time is shown twice.
    """
    if old.writer is Writer.THIS_VERSION or want.body["eventType"] not in IN_PIECES:
        return want, old
    ends = want.at + timedelta(minutes=want.body["duration"])
    pieces = [
        (stored.at, index)
        for index, stored in enumerate(ours)
        if stored.event_type == want.body["eventType"] and stored.at and want.at < stored.at < ends
    ]
    if not pieces:
        return want, old
    at, index = max(pieces)
    rest = {**want.body, "duration": (ends - at) / MINUTE}
    return replace(want, at=at.astimezone(want.at.tzinfo), body=rest), ours[index]


def finished_by(want: Treatment, old: StoredTreatment, is_newest: bool) -> Document:
    """Return what is to change in a document of an older version that was left unfinished.

    Only the newest of its type can have been left running, and what says so; another one that is
    shorter than the pump says was edited by a person.
    """
    notes = str(old.body.get("notes"))
    not_ended = NOT_ENDED in notes
    if not_ended and not want.growing:
        return _taken_from(want, "duration", "reason", "notes", "pump_event_id")
    if UNFINISHED_NOTE in notes:
        return _taken_from(
            want, "insulin", "notes", "enteredinsulin", "splitNow", "splitExt", "duration"
        )
    if old.event_type == "Temp Basal" and _was_cut_short(old):
        not_ended = True
    elif old.log_number and old.event_type in IN_PIECES:
        # Versions that name the log's entries also say what has not ended.
        is_newest = False
    if "insulin" in want.body or not (is_newest or not_ended):
        return {}
    grown = want.body.get("duration", 0.0) > old.minutes + 0.005
    return {"duration": want.body["duration"]} if grown else {}


def _was_cut_short(basal: StoredTreatment) -> bool:
    """Tell whether an older version, and not a person, left a basal too short.

    Versions that read the log left the last basal of every run short, to some second or without a
    duration; a person types whole minutes.
    """
    return not basal.minutes or (bool(basal.log_number) and basal.minutes % 1 != 0)


def _taken_from(want: Treatment, *names: str) -> Document:
    return {name: want.body[name] for name in names if name in want.body}
