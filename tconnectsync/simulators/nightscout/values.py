"""Times, numbers and ids as Nightscout reads them. Serves the small Nightscout."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d($|[T ])")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def to_iso(instant: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds; what is finer is cut off."""
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def to_instant(value: Any) -> datetime | None:
    """Read an ISO text (in UTC if it has no zone) or epoch milliseconds; ``None`` if invalid."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000, UTC)
        if not isinstance(value, str) or not _DATE.match(value):
            return None
        instant = datetime.fromisoformat(value)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def to_epoch(instant: datetime) -> int:
    """Return milliseconds since 1970."""
    return int(instant.timestamp() * 1000)


def to_offset(instant: datetime) -> int:
    """Return the minutes by which the instant's zone is ahead of UTC."""
    offset = instant.utcoffset()
    return int(offset.total_seconds() // 60) if offset else 0


def to_number(value: Any) -> float | None:
    """Read a value as JavaScript's ``Number`` does: nothing is 0. ``None`` is NaN."""
    if isinstance(value, bool | int | float):
        return value + 0
    if value is None or value == "":
        return 0
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value.strip()):
        return None
    number = float(value)
    return int(number) if number.is_integer() else number


def is_object_id(value: Any) -> bool:
    """Return whether it is an id of the database: 24 hexadecimal digits."""
    return isinstance(value, str) and _OBJECT_ID.fullmatch(value) is not None
