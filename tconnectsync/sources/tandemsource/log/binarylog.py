"""Reads the old binary form of the pump's log: records of 26 bytes, end to end.

See docs/protocol/tandem-event-log.md §1–3, §5.1. The result is the same as of the JSON form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from math import isfinite
from struct import Struct, calcsize
from typing import Any, NamedTuple

from tconnectsync.domain.limits import PUMP_EPOCH
from tconnectsync.errors import LogFileError
from tconnectsync.sources.tandemsource.log.fields import KNOWN_CODES, LAYOUTS, Layout
from tconnectsync.sources.tandemsource.log.records import (
    IMPOSSIBLE_TIME,
    LAST_YEAR,
    Record,
    known_only,
    unknown_event,
)

RECORD_BYTES = 26
PAYLOAD_BYTES = 16

CODE_BITS = 0xFFF
"""The code's bits in the first two bytes; the other four name a source that we do not need."""
LOOKED_AT = 1000
"""How many records are checked; enough to distinguish a log from other data."""

_MOST_SECONDS = (datetime(LAST_YEAR + 1, 1, 1) - PUMP_EPOCH) // timedelta(seconds=1) - 1
_RECORD = Struct(f">HII{PAYLOAD_BYTES}s")


class _Decoder(NamedTuple):
    names: tuple[str, ...]
    unpack: Callable[[bytes], tuple[Any, ...]]
    has_floats: bool


def _decoder(layout: Layout) -> _Decoder:
    form, end = ">", 0
    for field in layout.fields:
        form += f"{field.offset - end}x{field.type}"
        end = field.offset + calcsize(f">{field.type}")
    return _Decoder(
        tuple(field.name for field in layout.fields),
        Struct(f"{form}{PAYLOAD_BYTES - end}x").unpack,
        any(field.type == "f" for field in layout.fields),
    )


_DECODERS = {code: _decoder(layout) for code, layout in LAYOUTS.items()}


def is_plausible(data: bytes) -> bool:
    """Return whether the data can be such records, by their beginning.

    At least half of those looked at must be events that Tandem's cloud has a layout for, at a
    possible time.
    """
    count = min(len(data) // RECORD_BYTES, LOOKED_AT)
    heads = _RECORD.iter_unpack(data[: count * RECORD_BYTES])
    fitting = [
        code
        for code, seconds, _, _ in heads
        if code & CODE_BITS in LAYOUTS and seconds <= _MOST_SECONDS
    ]
    return 0 < count <= 2 * len(fitting)


def decode(data: bytes, skipped: Counter[str]) -> list[Record]:
    """Return the records in the order of the log, none twice; their group is 0.

    Of an event whose layout is unknown only the head is read. Unknown event numbers are counted in
    ``skipped``, and so are records with an impossible time, which are left out.

    Raises:
        LogFileError: the data ends within a record.
    """
    rest = len(data) % RECORD_BYTES
    if rest:
        raise LogFileError(
            f"The pump log is cut short: it ends with {rest} of the {RECORD_BYTES} bytes of a "
            "record. Save it again, whole."
        )
    found: dict[int, Record] = {}
    for source_and_code, seconds, sequence, payload in _RECORD.iter_unpack(data):
        # The group is not known, and without it the number alone does not identify an entry.
        place = sequence << 32 | seconds
        if place in found:
            continue
        if seconds > _MOST_SECONDS:
            skipped[IMPOSSIBLE_TIME] += 1
            continue
        code = source_and_code & CODE_BITS
        wall = PUMP_EPOCH + timedelta(0, seconds)
        found[place] = Record(code, 0, sequence, wall, _values(code, payload, skipped))
    return [found[place] for place in sorted(found)]


def _values(code: int, payload: bytes, skipped: Counter[str]) -> dict[str, Any]:
    decoder = _DECODERS.get(code)
    if decoder is None:
        if code not in KNOWN_CODES:
            skipped[unknown_event(code)] += 1
        return {}
    names, unpack, has_floats = decoder
    values = dict(zip(names, unpack(payload), strict=False))
    if has_floats and not isfinite(sum(values.values())):
        return known_only(values)
    return values
