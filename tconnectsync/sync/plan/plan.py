"""A plan: the writes to Nightscout, and the rest of them when some have to wait.

Pure. A stored treatment that does not move keeps its instant, and a treatment planned for that
instant needs another one: up to Nightscout 15.0.6 it would replace the stored one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment, insulin_in
from tconnectsync.sync.plan.slots import Slot, set_apart_anew, slots


class Update(NamedTuple):
    """A stored treatment and what it becomes; the bodies of both carry the same ``_id``."""

    stored: StoredTreatment
    after: Treatment


@dataclass(frozen=True)
class Plan:
    """What to write to Nightscout, oldest first, and how many documents are right already.

    ``entries`` are to be created. ``remove`` are stored basals of ours, untouched, whose time
    another pump of the person turned out to claim: nothing else is ever removed. ``doubts`` says in
    sentences what is not created because an older version may have shown it; it counts as kept.
    """

    create: list[Treatment] = field(default_factory=list)
    update: list[Update] = field(default_factory=list)
    kept: int = 0
    entries: list[Document] = field(default_factory=list)
    remove: list[StoredTreatment] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    taken: frozenset[Slot] = field(default=frozenset(), compare=False, repr=False)
    """The instants of the stored treatments that this plan does not move."""

    @property
    def changed(self) -> int:
        """How many stored treatments do not stay as they are."""
        return len(self.update) + len(self.remove)

    @property
    def kinds(self) -> Counter[str]:
        """How many treatments and entries would be created or updated, by type."""
        kinds = Counter(each.event_type for each in self._written)
        kinds.update(str(each["type"]) for each in self.entries)
        return kinds

    @property
    def new(self) -> Counter[str]:
        """How many of them would be created, by type."""
        new = Counter(each.event_type for each in self.create)
        new.update(str(each["type"]) for each in self.entries)
        return new

    @property
    def new_insulin(self) -> dict[str, float]:
        """U that the treatments to be created show, by type."""
        found: dict[str, float] = {}
        for each in self.create:
            found[each.event_type] = found.get(each.event_type, 0.0) + insulin_in(each.body)
        return found

    @property
    def insulin(self) -> float:
        """U of the boluses among them."""
        return sum(each.insulin or 0.0 for each in self._written)

    @property
    def _written(self) -> list[Treatment]:
        return [*self.create, *(update.after for update in self.update)]

    def without(self, identifiers: Collection[str]) -> Plan:
        """Return the plan without the treatments with these identifiers."""
        create = [each for each in self.create if each.identifier not in identifiers]
        stay = [each for each in self.update if each.after.identifier in identifiers]
        update = [each for each in self.update if each.after.identifier not in identifiers]
        taken = self.taken | slots(each.stored for each in stay)
        update = around(update, taken)
        create = set_apart_anew(create, taken | slots(each.after for each in update))
        return replace(self, create=create, update=update, taken=taken)


def around(
    updates: Sequence[Update], taken: Collection[Slot], uncertain: Collection[Slot] = ()
) -> list[Update]:
    """Return updates; those that would move to a taken instant move beside it.

    ``uncertain`` are instants that may not become free.
    """
    moving = [each for each in updates if each.stored.slot != each.after.slot]
    placed = set_apart_anew([each.after for each in moving], taken, uncertain)
    elsewhere = {id(each): after for each, after in zip(moving, placed, strict=True)}
    return [each._replace(after=elsewhere.get(id(each), each.after)) for each in updates]


def freeing_first(updates: Sequence[Update]) -> list[Update]:
    """Return updates in an order in which one follows that which frees its instant.

    Two that change places have no such order.
    """
    standing = {at: each for each in updates if (at := each.stored.slot)}
    in_order: list[Update] = []
    seen: set[int] = set()
    for update in updates:
        chain: list[Update] = []
        following: Update | None = update
        while following and id(following) not in seen:
            seen.add(id(following))
            chain.append(following)
            following = standing.get(following.after.slot)
        in_order += reversed(chain)
    return in_order
