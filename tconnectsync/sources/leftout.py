"""What was left out because it was not understood, and what may be missing because of it.

What is left out is counted by a few words. These say what it was, so they also show whether
insulin or carbs may be missing. What is not known to be harmless may be.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from tconnectsync.domain.words import times_in_words

MAYBE_DOSES = "possibly insulin, carbs or glucose in "
"""How the words begin for an unknown entry whose properties sound like one of them."""
NO_DOSES = ", without insulin, carbs or glucose"
"""How the words end for an unknown entry that has none of them."""
_CARBS = ("carb entry ", "impossible value of a bolus: carbs")
_HARMLESS = (
    "unreadable glucose reading",
    "unreadable insulin on board row",
    "unreadable activity",
    "unreadable suspension",
    "activity of unknown type",
    "suspension for unknown reason",
    "user mode with",
    "pump event with",
    "reading with",
    "impossible value of a bolus:",
    "sleep whose",
    "exercise whose",
    "another period whose",
)
"""How the words begin for events without insulin, and for values beside a bolus that is shown."""


def may_be_missing(what: str) -> Literal["insulin", "carbs", ""]:
    """Return what may be missing because something was left out."""
    if what.startswith(_CARBS):
        return "carbs"
    return "" if what.endswith(NO_DOSES) or what.startswith(_HARMLESS) else "insulin"


def left_out_in_words(skipped: Counter[str], where: str = "") -> Iterator[tuple[int, str]]:
    """Yield what was left out, and what may be missing by it, each with the level to log it at.

    Args:
        skipped: how often something was left out, by the words for it.
        where: where it may be missing, such as `` in Nightscout``.
    """
    consequences = {
        "insulin": f"Insulin may be missing{where} because of that: compare the day with the "
        "pump's own history.",
        "carbs": f"Carbs may be missing{where} because of that, but no insulin.",
        "": "No insulin is missing because of that.",
    }
    found: dict[str, list[str]] = {}
    for what, number in skipped.most_common():
        text = f"{what.removesuffix(NO_DOSES)} ({times_in_words(number)})"
        found.setdefault(may_be_missing(what), []).append(text)
    for missing, consequence in consequences.items():
        if missing in found:
            level = logging.WARNING if missing else logging.INFO
            yield level, f"Left out: {'; '.join(found[missing])}. {consequence}"


def is_lost_insulin(what: str) -> bool:
    """Return whether what was left out was insulin, or sounds like it.

    Other entries that may be insulin, such as one without a time, are repeated by the cloud or have
    a remark of their own.
    """
    is_of_doses = what.startswith(MAYBE_DOSES) or "bolus" in what or "basal" in what
    return is_of_doses and may_be_missing(what) == "insulin"
