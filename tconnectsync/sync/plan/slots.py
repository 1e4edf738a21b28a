"""The instants that treatments of a type have to themselves.

Pure. Nightscout before 15.0.7 lets one of two treatments of a type at one instant overwrite the
other, a person's own included (docs/protocol/nightscout-api.md §1.2); so no two of ours share one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment

MILLISECOND = timedelta(milliseconds=1)
Slot = tuple[str, datetime]
"""A type of treatment and an instant."""


def slots(treatments: Iterable[Treatment | StoredTreatment]) -> set[Slot]:
    """Return what some treatments take up; one without a time takes up nothing."""
    return {each.slot for each in treatments if each.slot}


def set_apart(treatment: Treatment, taken: set[Slot]) -> Treatment:
    """Return a treatment at the first free millisecond from its instant on, and take that."""
    at = treatment.at
    while (treatment.event_type, at) in taken:
        at += MILLISECOND
    taken.add((treatment.event_type, at))
    return treatment if at == treatment.at else treatment.moved_to(at)


def set_apart_anew(
    planned: Sequence[Treatment], taken: Collection[Slot], uncertain: Collection[Slot] = ()
) -> list[Treatment]:
    """Return planned treatments; those whose instant turned out to be taken have another one.

    That is none of the ``uncertain`` ones either, which may still become free, or not.
    """
    claimed = {*taken, *uncertain, *slots(planned)}
    return [set_apart(each, claimed) if each.slot in taken else each for each in planned]
