"""Numbers as clouds and sites give them: as such, or as text."""

from __future__ import annotations

from math import isfinite


def as_number(value: object) -> float | None:
    """Return a number given as such or as text; ``None`` when it is absent or none.

    One side turns numbers into texts when a person edits them, the other sends some as such.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
