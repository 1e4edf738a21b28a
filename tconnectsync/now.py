"""The current instant, apart from the rest of the clock, which takes longer to import."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current instant in UTC: hours can be added to it on any night of the year."""
    return datetime.now(UTC)
