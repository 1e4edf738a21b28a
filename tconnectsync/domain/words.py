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
    if count == 1:
        return f"1 {what}"
    if what.endswith("y") and what[-2] not in "aeiou":
        return f"{count} {what[:-1]}ies"
    return f"{count} {what}{'es' if what.endswith('s') else 's'}"


def times_in_words(count: int) -> str:
    """Return how often something was."""
    return "once" if count == 1 else f"{count} times"


def wait_in_words(seconds: float) -> str:
    """Return how long a wait is: in seconds up to two minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return span_in_words(timedelta(seconds=seconds))


def ending(serial: str) -> str:
    """Return the end of a pump's serial number, by which people know the pump."""
    return f"…{serial[-4:]}"


def endings(serials: Iterable[str]) -> str:
    """Return the ends of some serial numbers, each once."""
    return ", ".join(dict.fromkeys(map(ending, serials)))
