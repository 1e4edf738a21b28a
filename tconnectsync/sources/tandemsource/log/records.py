"""Entries of the pump's log in one form, and how they are read from the JSON of pump-logs.

See tandem-event-log §3–4, tandem-source-api §4.2. Nothing that comes from outside makes this
raise: what cannot be used is counted and left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple

from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.sources.leftout import MAYBE_DOSES, NO_DOSES
from tconnectsync.sources.tandemsource.log.fields import KNOWN_CODES, LAYOUTS, REPORTED_ELSEWHERE

MOST_NUMBER = 0xFFFF_FFFF
"""The highest number that an entry can have; the pump's numbers have 32 bits."""
MOST_BIT = 63
LAST_YEAR = 2100
EVERY_CODE = range(MOST_NUMBER + 1)
"""Stands for the entries of all kinds, known or not."""

SHORTEST_TIME = len("2026-05-14T11:02")
"""Anything shorter is a date or less, and would be taken for midnight."""

NO_OBJECT = "pump log entry that is not an object"
NO_CODE = "pump log entry without an event number"
NO_SEQUENCE = "pump log entry without a sequence number"
NO_TIME = "pump log entry without a time"
IMPOSSIBLE_TIME = "pump log entry with an impossible time"

DOSE_WORDS = ("insulin", "dose", "bolus", "basal", "deliver", "rate", "carb", "glucose", "egv")
"""What the names of properties contain that may be insulin, carbs or glucose."""
MOST_NAMES, MOST_LETTERS = 4, 30


class Record(NamedTuple):
    """One entry of the log, whichever form it came in."""

    code: int
    """The event number, 0 to 4095."""
    group: int
    sequence: int
    """With the group, identifies an entry; it grows with time."""
    wall: datetime
    """What the pump's clock showed: naive, whole seconds."""
    values: dict[str, Any]
    """The properties by plain name: finite numbers, bit masks as ints; the unknown is missing."""


_HEAD = ("eventCode", "sequenceGroup", "sequenceNumber", "pumpDateTime", "eventProperties")
_usual_head = itemgetter(*_HEAD)

_MASKS = {
    code: tuple(field.name for field in layout.fields if field.is_mask)
    for code, layout in LAYOUTS.items()
}


class _UnusableError(ValueError):
    """The entry cannot be used; the text is what it is counted under."""


def records_of(
    events: Iterable[object], codes: Container[int], skipped: Counter[str]
) -> list[Record]:
    """Return the entries with the given codes, in the order of the log, without repeats.

    Of entries with the same group and sequence number the first is kept. Unknown event numbers,
    asked for or not, and unusable entries are counted in ``skipped``.
    """
    found: dict[int, Record] = {}
    for event in events:
        try:
            record = _record(event, codes, skipped)
        except _UnusableError as reason:
            skipped[str(reason)] += 1
        else:
            if record:
                found.setdefault(record.group << 32 | record.sequence, record)
    return [found[place] for place in sorted(found)]


def unknown_event(code: int, names: Iterable[str] | None = None) -> str:
    """Return what an unknown event number is counted under.

    ``names`` are those of its properties, in plain form; by them one sees whether it may report
    insulin, carbs or glucose. ``None``: they are not known.
    """
    what = f"unknown pump log event {code}"
    if code in REPORTED_ELSEWHERE:
        return what + NO_DOSES
    if names is None:
        return what
    found = sorted(name for name in names if any(word in name for word in DOSE_WORDS))
    if found:
        named = ", ".join(name[:MOST_LETTERS] for name in found[:MOST_NAMES])
        return f"{MAYBE_DOSES}{what} ({named})"
    return what + NO_DOSES


def number(values: Mapping[str, object], *names: str) -> float | None:
    """Return the first value under these names that is a finite number; ``None`` without one."""
    for name in names:
        value = _finite(values.get(name))
        if value is not None:
            return float(value)
    return None


def whole(values: Mapping[str, object], *names: str) -> int | None:
    """Return the first value under these names that is a whole number; ``None`` without one."""
    for name in names:
        value = values.get(name)
        # Nearly all are such, and there are very many.
        if type(value) is int and -MOST_NUMBER <= value <= MOST_NUMBER:
            return value
        if (found := _whole(value)) is not None:
            return found
    return None


def mask(values: Mapping[str, object], *names: str) -> int | None:
    """Return the first value under these names that is a set of bits; ``None`` without one."""
    bits = whole(values, *names)
    return None if bits is None or bits < 0 else bits


def flag(values: Mapping[str, object], *names: str) -> bool | None:
    """Return the first value under these names that means yes or no; ``None`` without one."""
    for name in names:
        value = values.get(name)
        if isinstance(value, int | float) and value in (0, 1):
            return bool(value)
    return None


def known_only(values: Mapping[str, object]) -> dict[str, Any]:
    """Return the values that say something; lists of bits become the masks they stand for."""
    known: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list):
            known[name] = _mask_of(value)
        else:
            known[name] = value if isinstance(value, bool) else _finite(value)
    return {name: value for name, value in known.items() if value is not None}


def plainly_named(item: object) -> dict[str, Any]:
    """Return an object of a payload under plain names: lower case, only letters and digits.

    What is no object counts as an empty one.
    """
    if not isinstance(item, dict):
        return {}
    # Both come from the same object, so they are equally long.
    return dict(zip(_plain_names(*item), item.values(), strict=False))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if isfinite(value) else None
    except OverflowError:
        # A whole number too long for any quantity.
        return None


def _whole(value: object) -> int | None:
    found = _finite(value)
    return int(found) if found is not None and found == int(found) else None


def _record(event: object, codes: Container[int], skipped: Counter[str]) -> Record | None:
    """Read one event; ``None`` for one with another code. An unknown one is counted.

    Raises:
        _UnusableError: it cannot be used.
    """
    if not isinstance(event, dict):
        raise _UnusableError(NO_OBJECT)
    try:
        code, group, sequence, time, properties = _usual_head(event)
    except KeyError:
        # Spelt differently, or not all there.
        plain = plainly_named(event)
        code, group, sequence, time, properties = (plain.get(name.lower()) for name in _HEAD)
    code = _counted(code, MOST_NUMBER)
    if code is None:
        raise _UnusableError(NO_CODE)
    if code not in KNOWN_CODES:
        names = plainly_named(properties) if isinstance(properties, dict) else None
        skipped[unknown_event(code, names)] += 1
    if code not in codes:
        return None
    group = _counted(0 if group is None else group, MOST_NUMBER)
    sequence = _counted(sequence, MOST_NUMBER)
    if group is None or sequence is None:
        raise _UnusableError(NO_SEQUENCE)
    return Record(code, group, sequence, _wall(time), _values(code, properties))


@lru_cache(maxsize=1024)
def _plain_names(*names: str) -> tuple[str, ...]:
    """Return the names in lower case, only letters and digits; few sets of names are in use."""
    return tuple("".join(filter(str.isalnum, name.lower())) for name in names)


def _counted(value: object, most: int) -> int | None:
    """Return a whole number from 0 to ``most``; ``None`` for anything else."""
    found = value if type(value) is int else _whole(value)
    return found if found is not None and 0 <= found <= most else None


def _wall(text: object) -> datetime:
    """Return the pump's wall clock, its digits as they are: it knows no zone (tandem-event-log §3).

    Raises:
        _UnusableError: it is absent, no time, or outside of the years that can be.
    """
    if not isinstance(text, str) or len(text) < SHORTEST_TIME:
        raise _UnusableError(NO_TIME)
    try:
        wall = datetime.fromisoformat(text)
    except ValueError:
        raise _UnusableError(NO_TIME) from None
    if not PUMP_EPOCH.year <= wall.year <= LAST_YEAR:
        raise _UnusableError(IMPOSSIBLE_TIME)
    if wall.tzinfo or wall.microsecond:
        return wall.replace(tzinfo=None, microsecond=0)
    return wall


def _values(code: int, properties: object) -> dict[str, Any]:
    values = plainly_named(properties)
    for name in _MASKS.get(code, ()):
        bits = values.get(name)
        if type(bits) is list:
            values[name] = _mask_of(bits)
    try:
        # One sum shows whether all of them are finite numbers.
        if isfinite(sum(values.values())):
            return values
    except (OverflowError, TypeError):
        pass
    return known_only(values)


def _mask_of(bits: list[object]) -> int | None:
    """Return the mask in which these bits are set; ``None`` if they are no bits."""
    if len(bits) > MOST_BIT + 1:
        return None
    try:
        return _mask_of_bits(*bits)
    except TypeError:
        # Lists and objects are no bits, and have no hash to be remembered by.
        return None


@lru_cache(maxsize=1024, typed=True)
def _mask_of_bits(*bits: object) -> int | None:
    mask = 0
    for bit in bits:
        place = _counted(bit, MOST_BIT)
        if place is None:
            return None
        mask |= 1 << place
    return mask
