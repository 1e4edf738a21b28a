"""Which offset from UTC makes the newest data as fresh as an upload brings them, and its name."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tconnectsync.domain.clock import HOUR, MINUTE

TOLERANCE = 2 * MINUTE
"""A difference between clocks that does no harm."""


ZONES = """
Pacific/Honolulu America/Anchorage America/Los_Angeles America/Denver America/Phoenix
America/Chicago America/New_York America/Halifax America/St_Johns America/Sao_Paulo UTC
Europe/London Europe/Berlin Europe/Athens Africa/Johannesburg Asia/Jerusalem Asia/Dubai
Asia/Kolkata Asia/Singapore Australia/Perth Asia/Tokyo Australia/Adelaide
Australia/Brisbane Australia/Sydney Pacific/Auckland
"""
"""Zones to name as examples, from west to east."""

OFFSETS = (
    [hours * HOUR for hours in range(-12, 15)],
    [minutes * MINUTE for minutes in (-210, -150, 210, 270, 330, 345, 390, 570, 630)],
)
"""The offsets of zones: whole hours, and the others except those of a few islands."""


def fitting_offset(newest: datetime, age: timedelta, delay: timedelta) -> timedelta | None:
    """Return another offset that makes data no older than ``delay``, if just one does.

    It differs by an hour or more. One of whole hours is preferred.

    Args:
        newest: the newest instant of the data, with the offset by which they are understood.
        age: how old they are with that offset, when they are uploaded or now.
        delay: the greatest age that is usual.
    """
    known = newest.utcoffset()
    if known is None:
        return None
    for offsets in OFFSETS:
        found = [
            each
            for each in offsets
            if abs(each - known) >= HOUR and -TOLERANCE <= age + (each - known) <= delay
        ]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def offset_in_words(offset: timedelta, wall: datetime) -> str:
    """Return an offset with zones that have it at a wall time (naive), as examples.

    Such as ``UTC-4 would fit, for example America/New_York``.
    """
    zones = [it for it in ZONES.split() if wall.replace(tzinfo=ZoneInfo(it)).utcoffset() == offset]
    examples = f", for example {' or '.join(zones[:2])}" if zones else ""
    minutes = round(offset / MINUTE)
    hours, rest = divmod(abs(minutes), 60)
    written = f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
    return f"{written} would fit{examples}"
