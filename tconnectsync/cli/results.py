"""Numbers of documents by kind in people's words, as a run and a plan say what they write."""

from __future__ import annotations

from collections.abc import Mapping

from tconnectsync.domain.words import number_of
from tconnectsync.nightscout.eventtypes import COMBO_BOLUS, NOUNS


def documents_in_words(
    new: Mapping[str, int],
    changed: Mapping[str, int],
    *,
    removed: int,
    unchanged: int,
    insulin: Mapping[str, float],
    nothing: str = "Nothing new",
) -> str:
    """Return how many documents there are of each kind, as sentences.

    Args:
        new: how many are created, by type.
        changed: how many are updated, by type.
        removed: how many basals are removed.
        unchanged: how many stay as they are.
        insulin: U of the new ones; a number in brackets follows each type that is named here.
        nothing: what is said if none is created.
    """
    sentences = [f"New: {_counted(new, insulin)}" if any(new.values()) else nothing]
    if any(changed.values()):
        sentences.append(f"Changed: {_counted(changed, {})}")
    if removed:
        sentences.append(f"Removed: {number_of(removed, 'basal')}, because another pump was in use")
    if unchanged:
        sentences.append(f"Unchanged: {unchanged}")
    return f"{'. '.join(sentences)}."


def boluses_only(insulin: Mapping[str, float]) -> dict[str, float]:
    """Return the insulin of boluses alone: that of some new basals says nothing about a day."""
    return {kind: units for kind, units in insulin.items() if kind == COMBO_BOLUS}


def _counted(numbers: Mapping[str, int], insulin: Mapping[str, float]) -> str:
    kinds = [kind for kind in NOUNS if kind in numbers]
    kinds += sorted(numbers.keys() - NOUNS.keys())
    return ", ".join(
        number_of(numbers[kind], NOUNS.get(kind, kind))
        + (f" ({insulin[kind]:.2f} U)" if insulin.get(kind) else "")
        for kind in kinds
        if numbers[kind]
    )
