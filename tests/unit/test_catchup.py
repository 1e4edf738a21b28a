"""How far back a run reaches: the order of the questions."""

from __future__ import annotations

from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.run.catchup import regular_kinds


def test_entries_are_asked_for_after_all_treatments() -> None:
    kinds = regular_kinds(["CGM", *FEATURES])
    assert kinds.index(("sgv",)) == len(kinds) - 1
    assert ("Temp Basal",) in kinds
    assert regular_kinds(["CGM", "PROFILES"]) == [("sgv",)]
