"""Numbers as clouds and sites give them: as numbers or as text."""

from __future__ import annotations

from math import isfinite


def as_number(value: object) -> float | None:
    """Return a number given as a number or as text; ``None`` if it is absent or not a number.

    A site turns numbers into texts when a person edits them; a cloud sends some as text.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
