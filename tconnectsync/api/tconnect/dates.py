"""Calendar days in requests to t:connect: what callers may pass and what goes over the wire."""

from __future__ import annotations

import re
from datetime import date, datetime

Day = date | str | None
"""A calendar day as callers may give it: a date, a datetime, a text, or ``None`` for today."""

_FORMATS = {
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"): "%Y-%m-%d",
    re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4}"): "%m-%d-%Y",
}


def calendar_day(value: Day, today: date) -> date:
    """Return the calendar day meant by ``value``; a datetime means the day in its own zone.

    Raises:
        ValueError: it is neither a date nor a text ``YYYY-MM-DD`` or ``MM-DD-YYYY``.
    """
    if value is None:
        return today
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    for pattern, form in _FORMATS.items():
        if isinstance(value, str) and pattern.fullmatch(value):
            try:
                return datetime.strptime(value, form).date()
            except ValueError:
                break
    raise ValueError(f"{value!r} is not a calendar day. Write it like 2021-04-30 or 04-30-2021.")


def day_range(start: Day, end: Day, today: date) -> tuple[date, date]:
    """Return the first and last calendar day of a range, both inclusive.

    Raises:
        ValueError: one of them is not a day, or the end is before the start.
    """
    first, last = calendar_day(start, today), calendar_day(end, today)
    if last < first:
        raise ValueError(f"The range ends ({last}) before it starts ({first}). Swap the two days.")
    return first, last


def on_wire(day: date) -> str:
    """Write a day in the form of t:connect's requests: ``MM-DD-YYYY`` (tconnect-api §0)."""
    return f"{day.month:02}-{day.day:02}-{day.year:04}"
