"""Finds treatments that seem missing but were moved out of the range that was read.

A person may give a treatment another day, and a clock that was wrong by days may be corrected. Its
identifier finds it there (nightscout-api §7.8); created again it would stand there twice, or, from
Nightscout 15.0.7 on, lose what the person did. A look costs a request for every :data:`AT_ONCE`
treatments, so treatments that are surely new are not looked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from tconnectsync.nightscout.eventtypes import TEMP_BASAL
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.stored import StoredTreatment, Writer
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan.plan import Plan

log = logging.getLogger(__name__)

AT_ONCE = 40
"""Treatments looked for with one request."""
MOST = 10 * AT_ONCE
"""Treatments of a window looked for at the most. More are no edits, but a gap that is filled."""
GOES_ON = timedelta(hours=2)
"""A treatment that begins within this time after our newest one continues the last run."""

Ask = Callable[[Sequence[str]], list[Document]]


def moved_elsewhere(plan: Plan, stored: Sequence[StoredTreatment], ask: Ask) -> list[Document]:
    """Return the treatments that a plan would create, but that stand in Nightscout elsewhere.

    What is older than our newest treatment around is looked for. So is, if nothing of ours stands
    shortly before it, what is newer: a few of it at first, and the rest only if any are found. Then
    filling a range without any treatments of ours costs one request.

    Args:
        plan: what would be written.
        stored: what Nightscout holds around the same time.
        ask: asks Nightscout for treatments by identifier.
    """
    ours = [it.at for it in stored if it.writer is Writer.THIS_VERSION and it.at]
    newest = max(ours, default=None)
    found = _find([new for new in plan.create if newest and new.at <= newest], ask)
    later = [new for new in plan.create if newest is None or new.at > newest]
    if newest and any(new.at <= newest + GOES_ON for new in later):
        return found
    step = max(1, -(-len(later) // AT_ONCE))
    if moved := _find(later[::step], ask):
        found += moved + _find([new for place, new in enumerate(later) if place % step], ask)
    return found


def _find(treatments: Sequence[Treatment], ask: Ask) -> list[Document]:
    """Ask for treatments by identifier; for basals, which people do not move, at the end."""
    ranked = sorted(treatments, key=lambda new: new.event_type == TEMP_BASAL)
    if len(ranked) > MOST:
        log.debug("Of %d missing treatments, %d are looked for elsewhere.", len(ranked), MOST)
    names = [new.identifier for new in ranked[:MOST]]
    return ask(names) if names else []
