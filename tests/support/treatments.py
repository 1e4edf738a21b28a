"""Ways to look at the treatments that a site holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.support.real_nightscout import Document


def by_id(treatments: Iterable[Document]) -> dict[str, Document]:
    """Return treatments by the name that the database gave them."""
    return {treatment["_id"]: treatment for treatment in treatments}


def without_id(treatments: Iterable[Document]) -> list[Document]:
    """Return treatments in an order of their own, without the names that the database gave."""
    bare = [{name: value for name, value in t.items() if name != "_id"} for t in treatments]
    return sorted(bare, key=lambda treatment: str(treatment["identifier"]))


def doubled(treatments: Iterable[Document]) -> dict[str, int]:
    """Return the identifiers that several treatments have, and how many do."""
    times = Counter(t["identifier"] for t in treatments if "identifier" in t)
    return {identifier: count for identifier, count in times.items() if count > 1}
