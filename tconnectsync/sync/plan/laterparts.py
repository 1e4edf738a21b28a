"""The later part of an extended bolus stands in Nightscout once: as a whole, or in pieces.

Other versions and the other cloud show it as a whole when it has ended, the pump's log in pieces
while it is given. What stands first stays, whoever has edited it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tconnectsync.domain.events import Piece
from tconnectsync.nightscout.stored import StoredTreatment, Writer
from tconnectsync.nightscout.treatments import (
    EXTENDED_PART,
    PIECE,
    Treatment,
    identifier_of,
    identifier_within,
)
from tconnectsync.sync.plan.duplicates import NEAR, SAME_INSULIN
from tconnectsync.sync.plan.legacy import MOVED

BOLUS = "Combo Bolus"
LATE = timedelta(hours=1)
"""How long after its time a piece may become known at the most while the pump uploads."""


def resolve_later_parts(
    wanted: Sequence[Treatment], stored: Sequence[StoredTreatment]
) -> tuple[list[Treatment], list[StoredTreatment]]:
    """Return what is still wanted, and the stored treatments that show later parts as a whole.

    Those stay as they are, and stand for nothing else. A bolus that was written before its end was
    known keeps the identifier under which it stands.
    """
    if not any(want.piece or want.whole_since or want.other_identifier for want in wanted):
        return list(wanted), []
    named = {treatment.identifier: treatment for treatment in stored if treatment.identifier}
    names = {want.identifier for want in wanted}
    possible_duplicates = [treatment for treatment in stored if treatment.identifier not in names]
    (cloud,) = {want.cloud for want in wanted}
    # Where a window was read in parts, not each part of the log went on to the end of a bolus.
    ended = {want.piece.since: want.piece for want in wanted if want.piece and want.piece.whole_key}
    wholes = {
        since: treatment
        for since, piece in ended.items()
        if (treatment := _whole(piece, cloud, possible_duplicates, named, wanted))
    }
    in_pieces = {_of_whole(piece, cloud) for piece in ended.values()}
    left = []
    for want in wanted:
        if want.piece:
            if want.piece.since not in wholes:
                left.append(want)
        elif not want.whole_since:
            left.append(_as_it_stands(want, named))
        elif want.identifier not in in_pieces and (
            want.identifier in named or not _has_pieces(want, stored)
        ):
            left.append(want)
    return left, list(wholes.values())


def _as_it_stands(want: Treatment, named: Mapping[str, StoredTreatment]) -> Treatment:
    other = want.other_identifier
    if not other or other not in named or want.identifier in named:
        return want
    return replace(want, body={**want.body, "identifier": other, "syncIdentifier": other})


def _of_whole(piece: Piece, cloud: str) -> str:
    return identifier_within(cloud, identifier_of(piece.whole_key))


def _whole(
    piece: Piece,
    cloud: str,
    possible_duplicates: Iterable[StoredTreatment],
    named: Mapping[str, StoredTreatment],
    wanted: Iterable[Treatment],
) -> StoredTreatment | None:
    """Return the stored treatment that shows the whole of what a piece belongs to."""
    ours = named.get(_of_whole(piece, cloud))
    if ours is not None:
        return ours
    numbers = {str(number) for number in piece.whole_log_ids}
    for treatment in possible_duplicates:
        if treatment.at is None or piece.whole_ended is None:
            continue
        is_older = treatment.writer is Writer.VERSION_2_OR_3 and not treatment.is_basal
        away = abs(treatment.at - piece.whole_ended)
        if (
            is_older
            and treatment.cloud == cloud
            and treatment.log_number in numbers
            and away <= MOVED
        ):
            return treatment
        if away <= NEAR[BOLUS] and _is_of_another_cloud(treatment, cloud, piece, wanted):
            return treatment
    return None


def _is_of_another_cloud(
    treatment: StoredTreatment, cloud: str, piece: Piece, wanted: Iterable[Treatment]
) -> bool:
    """Tell whether a treatment near the end of a later part shows it, as t:connect does."""
    if not treatment.is_ours or treatment.event_type != BOLUS or treatment.cloud == cloud:
        return False
    if EXTENDED_PART in str(treatment.body.get("notes")):
        return True
    insulin = treatment.insulin
    if insulin is not None and abs(insulin - piece.whole_insulin) <= SAME_INSULIN:
        return True
    # Somebody changed what it says; nothing else that is wanted can be meant by it.
    others = [want.at for want in wanted if want.body["eventType"] == BOLUS and not want.piece]
    at = treatment.at
    return treatment.edited and not any(abs(other - at) <= NEAR[BOLUS] for other in others if at)


def _has_pieces(want: Treatment, stored: Iterable[StoredTreatment]) -> bool:
    """Tell whether pieces of a later part stand that is wanted as a whole."""
    return any(
        treatment.body.get(PIECE) and treatment.at and _is_within(want, treatment.at)
        for treatment in stored
    )


def _is_within(want: Treatment, at: datetime) -> bool:
    since = want.whole_since or want.at
    return since - NEAR[BOLUS] <= at <= want.at + NEAR[BOLUS]
