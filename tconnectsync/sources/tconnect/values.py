"""Reading single values of t:connect payloads, and getting past the ones that make no sense."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from tconnectsync.domain.limits import HIGHEST_GLUCOSE, LOWEST_GLUCOSE
from tconnectsync.domain.numbers import as_number

T = TypeVar("T")

PACIFIC = ZoneInfo("America/Los_Angeles")
YEARS = range(2000, 2101)
"""Years that a time can lie in; t:connect writes the year 1 for "none"."""
LONGEST_EVENT = 400 * 86_400
"""Seconds; nothing that the pump reports as one event lasts longer."""
MOST_LETTERS = 100
"""Of a text; no word of the pump is longer."""
_UNFIT = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]")


class UnknownKindError(ValueError):
    """An item of a kind we have never heard of; the text names the kind."""


def words(value: object) -> str:
    """Return a text as it may be shown: short, without control characters; empty if it is none."""
    return _UNFIT.sub("", str(value)[:MOST_LETTERS]) if isinstance(value, str | int) else ""


def required(value: object, name: str) -> float:
    """Return a number that must be there and must not be negative.

    Raises:
        ValueError: it is absent, not a number, or negative.
    """
    result = as_number(value)
    if result is None or result < 0:
        raise ValueError(f"{name} is not a number")
    return result


def amount(value: object) -> float:
    """Return a number, 0 when there is none; NaN, which no amount can be, for anything else."""
    if value is None or value == "":
        return 0.0
    result = as_number(value)
    return math.nan if result is None else result


def glucose(value: object) -> int | None:
    """Return a glucose value, mg/dL; ``None`` when there is none that can be true."""
    result = as_number(value)
    if result is None or not LOWEST_GLUCOSE <= result <= HIGHEST_GLUCOSE:
        return None
    return round(result)


def wall_time(value: object) -> datetime | None:
    """Return the pump's wall time given as naive ISO text; ``None`` when there is none.

    See tconnect-api §2.4: ``0001-01-01T00:00:00`` stands for "none", as does any year that
    cannot be.

    Raises:
        ValueError: the text is not a time.
    """
    if not value or not isinstance(value, str):
        return None
    wall = datetime.fromisoformat(value).replace(tzinfo=None, microsecond=0)
    return wall if wall.year in YEARS else None


def readable_wall_time(value: object) -> datetime | None:
    """Return what :func:`wall_time` does, and ``None`` also for a text that is not a time."""
    try:
        return wall_time(value)
    except ValueError:
        return None


def pacific_wall_time(seconds: object) -> datetime:
    """Decode the wall time that t:connect encodes as if the pump stood in Los Angeles.

    The result is naive; its ``fold`` says which half of a repeated hour is meant. See
    docs/protocol/tconnect-api.md §6.

    Raises:
        ValueError: it is not a number of seconds.
    """
    try:
        local = datetime.fromtimestamp(int(required(seconds, "time")), PACIFIC)
    except (OverflowError, OSError) as error:
        raise ValueError("time is out of range") from error
    if local.year not in YEARS:
        raise ValueError("time is out of range")
    return local.replace(tzinfo=None)


def seconds_long(value: object) -> timedelta:
    """Return a duration given in seconds.

    Raises:
        ValueError: it is absent, not a number, negative, or longer than anything can last.
    """
    seconds = required(value, "duration")
    if seconds > LONGEST_EVENT:
        raise ValueError("duration is out of range")
    return timedelta(seconds=seconds)


def json_date_seconds(value: object) -> int:
    """Return the seconds in ``/Date(<ms>-0000)/``, still Pacific-encoded (tconnect-api §4.2, §6).

    Raises:
        ValueError: it has another form.
    """
    found = (
        re.fullmatch(r"/Date\((\d+)(?:[+-]\d{4})?\)/", value) if isinstance(value, str) else None
    )
    if not found:
        raise ValueError("time has an unknown form")
    return int(found[1]) // 1000


def read_each(
    items: Iterable[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any]], T | None],
    name: str,
    skipped: Counter[str],
) -> list[T]:
    """Read every item; leave out and count those that are broken or of an unknown kind.

    ``read`` returns ``None`` for an item that is rightly nothing to us.
    """
    results = []
    for item in items:
        try:
            result = read(item)
        except UnknownKindError as unknown:
            skipped[str(unknown)] += 1
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            skipped[f"unreadable {name}"] += 1
        else:
            if result is not None:
                results.append(result)
    return results


def objects(payload: object, *path: str) -> list[Mapping[str, Any]]:
    """Return the list found below ``path`` in a payload, ``[]`` where any step is missing."""
    for step in path:
        payload = payload.get(step) if isinstance(payload, Mapping) else None
    return payload if isinstance(payload, list) else []
