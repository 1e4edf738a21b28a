"""Numbers as clouds and sites give them: as such, or as text."""

from __future__ import annotations

from math import isfinite


def as_number(value: object) -> float | None:
    """Return a number given as such or as text; ``None`` when it is absent or none.

    Nightscout's edit dialog turns numbers into texts, and t:connect sends some as such.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
