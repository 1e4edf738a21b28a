"""Lengths of time in words."""

from __future__ import annotations

from datetime import timedelta

MINUTE = timedelta(minutes=1)


def days_in_words(span: timedelta) -> str:
    """Return how long something is, such as ``3 days and 2 hours``; its sign does not matter."""
    minutes = round(abs(span) / MINUTE)
    days, minutes = divmod(minutes, 24 * 60)
    parts = [(days, "day"), (minutes // 60, "hour"), (0 if days else minutes % 60, "minute")]
    return " and ".join(f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in parts if n)
