"""The later part of an extended bolus stands in Nightscout once: as a whole, or in pieces.

Other versions and the other cloud show it as a whole when it has ended, the pump's log in pieces
while it is given. What stands first stays, edited or not. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from tconnectsync.domain.events import Piece
from tconnectsync.domain.limits import SAME_AMOUNT
from tconnectsync.nightscout.eventtypes import COMBO_BOLUS
from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan.duplicates import NEAR
from tconnectsync.sync.plan.legacy import is_whole_of

LATE = timedelta(hours=1)
"""How long after its time a piece may become known at the most while the pump uploads."""


def resolve_later_parts(
    desired: Sequence[Treatment], stored: Sequence[StoredTreatment]
) -> tuple[list[Treatment], list[StoredTreatment]]:
    """Return what is still desired, and the stored treatments that show later parts as a whole.

    Those stay as they are, and stand for nothing else. A bolus that was written before its end was
    known keeps the identifier under which it stands.
    """
    if not any(it.piece or it.whole_since or it.other_identifier for it in desired):
        return list(desired), []
    named = {each.identifier: each for each in stored if each.identifier}
    names = {it.identifier for it in desired}
    others = [each for each in stored if each.identifier not in names]
    # Where a window was read in parts, not each part of the log went on to the end of a bolus.
    ended = {piece.since: (it, piece) for it in desired if (piece := it.piece) and piece.whole_key}
    in_pieces = {it.whole_identifier for it, _ in ended.values()}
    wholes: dict[object, StoredTreatment] = {}
    for since, (it, piece) in ended.items():
        whole = named.get(it.whole_identifier) or _whole_among(others, it.cloud, piece, desired)
        if whole:
            wholes[since] = whole
    left = []
    for it in desired:
        if it.piece and it.piece.since in wholes:
            # A piece of what is stored as a whole.
            continue
        if it.whole_since and it.identifier in in_pieces:
            # The whole of what is reported in pieces as well.
            continue
        if it.whole_since and it.identifier not in named and _stands_in_pieces(it, stored):
            # The whole of what is stored in pieces.
            continue
        is_plain = not it.piece and not it.whole_since
        # A bolus that was written before its end was known keeps that identifier.
        stands = is_plain and it.identifier not in named and it.other_identifier in named
        left.append(it.named(it.other_identifier) if stands else it)
    return left, list(wholes.values())


def _whole_among(
    others: Iterable[StoredTreatment], cloud: str, piece: Piece, desired: Sequence[Treatment]
) -> StoredTreatment | None:
    """Return the treatment that shows the whole of what a piece belongs to, under another name.

    An older version took it from the same log, and any other cloud shows it at about its end.
    """
    for other in others:
        if other.cloud == cloud:
            is_whole = is_whole_of(piece, other)
        else:
            is_whole = _shows_whole(other, piece, desired)
        if is_whole:
            return other
    return None


def _shows_whole(other: StoredTreatment, piece: Piece, desired: Iterable[Treatment]) -> bool:
    """Return whether a treatment of another cloud, near the end of a later part, shows it."""
    if not other.is_ours or other.event_type != COMBO_BOLUS:
        return False
    if not other.at or not piece.whole_ended:
        return False
    if abs(other.at - piece.whole_ended) > NEAR[COMBO_BOLUS]:
        return False
    if other.is_whole_later_part:
        return True
    if other.insulin is not None and abs(other.insulin - piece.whole_insulin) <= SAME_AMOUNT:
        return True
    # A person changed its amount, and no other desired bolus is near, so it is this one.
    boluses = [it.at for it in desired if it.event_type == COMBO_BOLUS and not it.piece]
    near = (abs(at - other.at) <= NEAR[COMBO_BOLUS] for at in boluses)
    return other.edited and not any(near)


def _stands_in_pieces(whole: Treatment, stored: Iterable[StoredTreatment]) -> bool:
    """Return whether pieces of a later part stand that is desired as a whole."""
    near = NEAR[COMBO_BOLUS]
    begins, ends = (whole.whole_since or whole.at) - near, whole.at + near
    return any(each.is_piece and each.at and begins <= each.at <= ends for each in stored)
