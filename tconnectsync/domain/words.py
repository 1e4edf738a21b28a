"""Lengths of time, numbers of things and serial numbers in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from tconnectsync.domain.clock import MINUTE


def days_in_words(span: timedelta) -> str:
    """Return how long something is, such as ``3 days and 2 hours``; its sign does not matter."""
    minutes = round(abs(span) / MINUTE)
    days, minutes = divmod(minutes, 24 * 60)
    parts = [(days, "day"), (minutes // 60, "hour"), (0 if days else minutes % 60, "minute")]
    return " and ".join(number_of(count, unit) for count, unit in parts if count)


def span_in_words(span: timedelta) -> str:
    """Return how long something is, in minutes up to two hours and in days from two days on."""
    minutes = round(span / MINUTE)
    if minutes < 120:
        return number_of(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} hours" + (f" and {number_of(minutes, 'minute')}" if minutes else "")


def number_of(count: int, what: str) -> str:
    """Return a number with what it counts, in the plural unless it is one."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def ending(serial: str) -> str:
    """Return the end of a pump's serial number, by which people know the pump."""
    return f"…{serial[-4:]}"


def endings(serials: Iterable[str]) -> str:
    """Return the ends of some serial numbers, each once."""
    return ", ".join(dict.fromkeys(map(ending, serials)))
