"""What was left out because it was not understood, and what may be missing because of it.

What is left out is counted by a few words. These say what it was, so they also show whether
insulin or carbs may be missing. What is not known to be harmless may be.
"""

from __future__ import annotations

from typing import Literal

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
    """Return what may be missing in Nightscout because something was left out."""
    if what.startswith(_CARBS):
        return "carbs"
    return "" if what.endswith(NO_DOSES) or what.startswith(_HARMLESS) else "insulin"


def is_lost_insulin(what: str) -> bool:
    """Return whether what was left out was insulin, or sounds like it.

    Other entries that may be insulin, such as one without a time, are repeated by the cloud or have
    a remark of their own.
    """
    is_of_doses = what.startswith(MAYBE_DOSES) or "bolus" in what or "basal" in what
    return is_of_doses and may_be_missing(what) == "insulin"
