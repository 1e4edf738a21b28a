"""A plan of which some is not carried out, because it has to wait or was refused.

Pure. A stored treatment that stays where it is keeps its instant, and what was to take its place
has to go elsewhere: up to Nightscout 15.0.6 it would replace it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tconnectsync.sync.plan import Plan, Update
from tconnectsync.sync.plan.slots import Slot, set_apart_anew, slot, slots


def without(plan: Plan, identifiers: Collection[str]) -> Plan:
    """Return a plan without what it says of the treatments with these identifiers."""
    create = [each for each in plan.create if each["identifier"] not in identifiers]
    stay = [each for each in plan.update if each.after.get("identifier") in identifiers]
    update = [each for each in plan.update if each.after.get("identifier") not in identifiers]
    taken = plan.taken | slots(each.before for each in stay)
    update = around(update, taken)
    create = set_apart_anew(create, taken | slots(each.after for each in update))
    return replace(plan, create=create, update=update, taken=taken)


def around(
    updates: Sequence[Update], taken: Collection[Slot], uncertain: Collection[Slot] = ()
) -> list[Update]:
    """Return updates; those that move to where another treatment stays move beside it.

    ``uncertain`` are instants that may not become free.
    """
    moving = [each for each in updates if slot(each.before) != slot(each.after)]
    placed = set_apart_anew([each.after for each in moving], taken, uncertain)
    elsewhere = {id(each): after for each, after in zip(moving, placed, strict=True)}
    return [replace(each, after=elsewhere.get(id(each), each.after)) for each in updates]


def freeing_first(updates: Sequence[Update]) -> list[Update]:
    """Return updates in an order in which one follows that which frees its instant.

    Two that change places have no such order.
    """
    standing = {at: each for each in updates if (at := slot(each.before))}
    in_order: list[Update] = []
    seen: set[int] = set()
    for update in updates:
        chain: list[Update] = []
        following: Update | None = update
        while following and id(following) not in seen:
            seen.add(id(following))
            chain.append(following)
            at = slot(following.after)
            following = standing.get(at) if at else None
        in_order += reversed(chain)
    return in_order
