"""Pairs of a desired treatment and a stored one, and which of several go together. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment

Pairs = list[tuple[Treatment, StoredTreatment]]
"""Treatments as they should stand, each with the stored one that stands for it."""


def best_first(candidates: Iterable[tuple[Any, int, int]]) -> dict[int, int]:
    """Pair the places of two lists, the best candidates first, so that none is in two pairs.

    A candidate is a rank, of which the smallest is the best, and a place in either list.
    """
    partner: dict[int, int] = {}
    used: set[int] = set()
    for _, place, other in sorted(candidates):
        if place not in partner and other not in used:
            partner[place] = other
            used.add(other)
    return partner
