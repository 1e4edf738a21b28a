"""Rules that exist only because versions 1.0 to 3.x wrote other documents.

See tandem-source-processing §24. Their documents have no identifier and no checksum. Versions
2.x and 3.x name the entries of the pump's log, whose numbers start again with each pump: an event
is known by number and time. Version 1.0 leaves nothing but type and second.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from tconnectsync.domain.clock import MINUTE
from tconnectsync.domain.events import Piece
from tconnectsync.domain.limits import ROUNDING, SAME_AMOUNT
from tconnectsync.nightscout.eventtypes import EXERCISE, SLEEP, TEMP_BASAL
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.stored import StoredTreatment, Writer
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan.pairing import Pairs, best_first

QUARTER = timedelta(minutes=15)
MOVED = timedelta(hours=26)
"""How far a corrected zone moves a document at the most."""
CLOCK_CORRECTED = timedelta(hours=1)
"""How far a person may have moved a document by a few minutes, or the pump's clock was wrong."""
SEVERAL = 3
"""So many documents that are all off by the same seconds show that a clock was wrong."""
IN_PARTS = (SLEEP, EXERCISE)
"""What older versions wrote in as many parts as t:connect reported."""
UNFINISHED_NOTE = " (: requested "
"""What an older version wrote into the notes of a bolus whose extended part was running."""
NOT_ENDED = "Not Ended"
"""What older versions wrote into the notes of a sleep or exercise that was going on."""


class Match(IntEnum):
    """Why a document may be of an event, the best reason first."""

    SAME_TIME = 0
    ZONE_CORRECTED = 1
    MOVED_BY_A_PERSON = 2
    SAME_ERROR = 3
    IN_DOUBT = 4


class _Candidate(NamedTuple):
    """A document with the log number of an event, and its distance in time from it."""

    treatment: Treatment
    stored: StoredTreatment
    off: timedelta

    @property
    def seconds_off(self) -> int:
        return round(self.off / timedelta(seconds=1))

    @property
    def is_same_amount(self) -> bool:
        if self.stored.is_basal:
            desired, shown = self.treatment.rate, self.stored.rate
        else:
            desired, shown = self.treatment.insulin, self.stored.insulin
        return abs((desired or 0.0) - (shown or 0.0)) <= SAME_AMOUNT

    @property
    def is_zone_shift(self) -> bool:
        """Whether whole quarters of an hour lie between, as a zone or its summer makes them.

        Nightscout's edit dialog has perhaps taken the seconds away.
        """
        noted_at = self.treatment.noted_at or self.treatment.at
        from_its_minute = self.off + (noted_at - _minute(noted_at))
        return self.seconds_off % QUARTER.seconds == 0 or from_its_minute % QUARTER == timedelta(0)

    def match_quality(self, same_error: Collection[int]) -> Match | None:
        """Return why a document may be of an event; ``None`` if the number is another pump's."""
        if abs(self.off) < MINUTE:
            return Match.SAME_TIME
        is_shared = self.seconds_off in same_error
        if self.is_zone_shift:
            # Two things that differ are too much for one document alone.
            is_sure = self.is_same_amount or self.stored.edited or is_shared
            return Match.ZONE_CORRECTED if is_sure else Match.IN_DOUBT
        if self.stored.edited:
            return Match.MOVED_BY_A_PERSON
        if abs(self.off) > CLOCK_CORRECTED:
            return None
        return Match.SAME_ERROR if is_shared else Match.IN_DOUBT


def is_version_1(stored: StoredTreatment) -> bool:
    """Return whether version 1.0 wrote it.

    Its basals, from t:connect, go on where the next entry of the pump's log has the same rate.
    """
    return stored.writer is Writer.VERSION_1


def is_version_2_or_3(stored: StoredTreatment) -> bool:
    """Return whether version 2.x or 3.x wrote it.

    It names entries of the pump's log, perhaps other ones than this version does.
    """
    return stored.writer is Writer.VERSION_2_OR_3


def is_whole_of(piece: Piece, stored: StoredTreatment) -> bool:
    """Return whether version 2.x or 3.x wrote the whole later part that a piece belongs to."""
    if not is_version_2_or_3(stored) or stored.is_basal or not stored.at or not piece.whole_ended:
        return False
    is_near = abs(stored.at - piece.whole_ended) <= MOVED
    return is_near and stored.log_number in map(str, piece.whole_log_ids)


def match_older(
    desired: Sequence[Treatment], stored: Sequence[StoredTreatment]
) -> tuple[Pairs, Pairs, list[Treatment]]:
    """Pair treatments with those of older versions: by log number, then by second.

    Returns:
        The pairs; those that may belong together without anything to prove it; the rest.
    """
    numbered = [each for each in stored if is_version_2_or_3(each)]
    by_number, doubtful, rest = match_by_log_number(desired, numbered)
    by_second, missing = match_by_second(rest, [each for each in stored if is_version_1(each)])
    return [*by_number, *by_second], doubtful, missing


def match_by_log_number(
    desired: Sequence[Treatment], older: Sequence[StoredTreatment]
) -> tuple[Pairs, Pairs, list[Treatment]]:
    """Pair treatments with those of older versions that show the same entry of the pump's log.

    Number and time decide: to the minute, or where a corrected zone or clock has moved it. Types
    may differ: all fills were site changes once. But a suspension is shown by a basal and by a
    treatment of its own. A number alone, hours apart, is another pump's entry.

    Returns:
        The pairs; those that may belong together without anything to prove it; the rest.
    """
    candidates = dict(_candidates(desired, older))
    # By how many seconds documents are off, where several are off by just that.
    times = Counter(each.seconds_off for each in candidates.values())
    same_error = {off for off, number in times.items() if number >= SEVERAL}
    quality = {places: each.match_quality(same_error) for places, each in candidates.items()}
    partner = best_first(
        ((quality[places], not each.is_same_amount, abs(each.off)), *places)
        for places, each in candidates.items()
        if quality[places] is not None
    )
    sure: Pairs = []
    doubtful: Pairs = []
    for places in sorted(partner.items()):
        pair = desired[places[0]], older[places[1]]
        (doubtful if quality[places] is Match.IN_DOUBT else sure).append(pair)
    return sure, doubtful, [it for place, it in enumerate(desired) if place not in partner]


def _candidates(
    desired: Iterable[Treatment], older: Iterable[StoredTreatment]
) -> Iterator[tuple[tuple[int, int], _Candidate]]:
    """Yield what may belong together, with its places in the two lists."""
    numbered: dict[tuple[str, str, bool], list[tuple[int, StoredTreatment]]] = defaultdict(list)
    for other, stored in enumerate(older):
        if stored.log_number:
            numbered[stored.cloud, stored.log_number, stored.is_basal].append((other, stored))
    for place, treatment in enumerate(desired):
        is_basal = treatment.event_type == TEMP_BASAL
        noted_at = treatment.noted_at or treatment.at
        for other, stored in numbered.get((treatment.cloud, treatment.log_number, is_basal), ()):
            if stored.at and abs(off := stored.at - noted_at) < MOVED + MINUTE:
                yield (place, other), _Candidate(treatment, stored, off)


def match_by_second(
    desired: Sequence[Treatment], older: Iterable[StoredTreatment]
) -> tuple[Pairs, list[Treatment]]:
    """Pair with documents of version 1.0 by type and second; then with those a person has saved.

    Nightscout's edit dialog cuts the second off, and lets people choose another type.
    """
    left = list(older)
    pairs: Pairs = []
    for key in (_by_second, _by_minute, _by_amount):
        found, desired = _match_by(desired, left, key)
        pairs += found
        used = {stored for _, stored in found}
        left = [stored for stored in left if stored not in used]
    return pairs, list(desired)


def _match_by(
    desired: Sequence[Treatment],
    older: Sequence[StoredTreatment],
    key: Callable[[Treatment | StoredTreatment], Hashable],
) -> tuple[Pairs, list[Treatment]]:
    """Pair treatments with the same key; if several share one, pair the most similar."""
    by_key: dict[Hashable, list[tuple[int, StoredTreatment]]] = defaultdict(list)
    for other, stored in enumerate(older):
        if found := key(stored):
            by_key[found].append((other, stored))
    if not by_key:
        return [], list(desired)
    partner = best_first(
        ((it.reason != stored.reason, abs((it.insulin or 0) - (stored.insulin or 0))), place, other)
        for place, it in enumerate(desired)
        for other, stored in by_key.get(key(it), ())
    )
    pairs = [(it, older[partner[place]]) for place, it in enumerate(desired) if place in partner]
    return pairs, [it for place, it in enumerate(desired) if place not in partner]


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _by_second(it: Treatment | StoredTreatment) -> Hashable:
    """Return type and second."""
    return it.at and (it.event_type, _second(it.at))


def _by_minute(it: Treatment | StoredTreatment) -> Hashable:
    """Return type and minute; of what is stored only if it was saved in the dialog."""
    return _is_saved(it) and it.at and (it.event_type, _minute(it.at))


def _by_amount(it: Treatment | StoredTreatment) -> Hashable:
    """Return insulin or rate, which stay the same under another type, and minute.

    Of what is stored only if it was saved in the dialog.
    """
    amount: tuple[str, float] | None = None
    if it.insulin is not None:
        amount = "U", round(it.insulin, 2)
    elif it.rate is not None:
        amount = "U/h", round(it.rate, 2)
    return amount and it.event_type and _is_saved(it) and it.at and (amount, _minute(it.at))


def _is_saved(it: Treatment | StoredTreatment) -> bool:
    """Return whether the dialog has cut the second off; what is desired is compared with that."""
    if isinstance(it, Treatment):
        return True
    return it.edited and it.at is not None and it.at == _minute(it.at)


def last_part(
    treatment: Treatment, old: StoredTreatment, ours: Iterable[StoredTreatment]
) -> tuple[Treatment, StoredTreatment]:
    """Where an older version wrote a period in parts, pair its rest with the last of them.

    The others stay as they are, so that no time is shown twice.
    """
    if old.writer is Writer.THIS_VERSION or treatment.event_type not in IN_PARTS:
        return treatment, old
    begins, ends = treatment.at, treatment.at + timedelta(minutes=treatment.minutes)
    later = [
        (stored.at, place, stored)
        for place, stored in enumerate(ours)
        if stored.event_type == treatment.event_type and stored.at and begins < stored.at < ends
    ]
    if not later:
        return treatment, old
    at, _, last = max(later)
    # Keep the whole's checksum: it no longer fits, so the part counts as edited and is left alone.
    rest = {**treatment.body, "duration": (ends - at) / MINUTE}
    return treatment._replace(at=at.astimezone(begins.tzinfo), body=rest), last


def finished_by(treatment: Treatment, old: StoredTreatment, is_newest: bool) -> Document:
    """Return the changes to an unfinished document of an older version.

    Only the newest of its type, or one that is marked as running, can be unfinished; any other that
    is shorter than the pump's event was edited by a person.
    """
    not_ended = NOT_ENDED in old.notes
    names: tuple[str, ...] = ()
    if not_ended and not treatment.growing:
        names = ("duration", "reason", "notes", "pump_event_id")
    elif UNFINISHED_NOTE in old.notes:
        names = ("insulin", "notes", "enteredinsulin", "splitNow", "splitExt", "duration")
    elif treatment.insulin is None and treatment.minutes > old.minutes + ROUNDING:
        # Versions that name the log's entries also say what has not ended.
        may_go_on = is_newest and not (old.log_number and old.event_type in IN_PARTS)
        was_cut_short = old.event_type == TEMP_BASAL and _was_cut_short(old)
        names = ("duration",) if not_ended or may_go_on or was_cut_short else ()
    return {name: treatment.body[name] for name in names if name in treatment.body}


def _was_cut_short(basal: StoredTreatment) -> bool:
    """Return whether an older version, and not a person, left a basal too short.

    Versions that read the log left the last basal of every run short, to some second or without a
    duration; a person types whole minutes.
    """
    return not basal.minutes or (bool(basal.log_number) and basal.minutes % 1 != 0)
