"""Which stored treatment stands for which desired one.

Pure. A stored treatment of this version is recognised by its identifier, also after a person has
changed its author and all else; one of an older version by the rules of ``legacy``. Our other
treatments may show the same event under another identifier: see ``duplicates``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tconnectsync.nightscout.stored import StoredTreatment, Writer
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan.duplicates import Covered, already_shown, possible_duplicates
from tconnectsync.sync.plan.legacy import is_version_1, last_part, match_older
from tconnectsync.sync.plan.pairing import Pairs


class Match(NamedTuple):
    """The result for the desired treatments: each is counted in one of four ways."""

    pairs: Pairs
    """Those that a stored one stands for."""
    doubtful: Pairs
    """Those that a stored one of an older version may stand for, with nothing to prove it."""
    missing: list[Treatment]
    """What is to be created of those that nothing stands for."""
    shown: int = 0
    """How many of them another cloud's or an older version's documents show already."""


def match(desired: Sequence[Treatment], stored: Sequence[StoredTreatment]) -> Match:
    """Find the stored treatment for each desired one, and the missing ones.

    A document with the identifier of an event stands for no other one, even of the same second.
    """
    names = {treatment.identifier for treatment in desired}
    named = {each.identifier: each for each in reversed(stored) if each.identifier in names}
    known = [(it, named[it.identifier]) for it in desired if it.identifier in named]
    unknown = [it for it in desired if it.identifier not in named]
    older = [each for each in stored if each.identifier not in names]
    pairs, doubtful, missing = match_older(unknown, older)
    found = Match([*known, *pairs], doubtful, missing)
    ours = [each for each in stored if each.is_ours]
    found = _without_what_is_shown(found, ours)
    return found._replace(pairs=[last_part(it, each, ours) for it, each in found.pairs])


def _without_what_is_shown(found: Match, ours: Sequence[StoredTreatment]) -> Match:
    """Leave out what another cloud or an older version shows under another identifier."""
    names = {treatment.identifier for treatment, _ in found.pairs}
    matched = {stored for _, stored in found.pairs + found.doubtful}
    unmatched = [it for it in ours if it not in matched and it.identifier not in names]
    by_second = [stored for _, stored in found.pairs if is_version_1(stored)]
    desired = [*(treatment for treatment, _ in found.pairs), *found.missing]
    others = possible_duplicates(desired, unmatched + by_second)
    if not others:
        return found
    covered = Covered(others)
    parts = [
        (covered.uncovered_part(it) if stored.writer is Writer.THIS_VERSION else it, stored)
        for it, stored in found.pairs
    ]
    pairs = [(part, stored) for part, stored in parts if part]
    uncovered = [part for it in found.missing if (part := covered.uncovered_part(it))]
    missing = already_shown(uncovered, [other for other in others if other not in matched])
    shown = len(desired) - len(pairs) - len(missing)
    return Match(pairs, found.doubtful, missing, shown)
