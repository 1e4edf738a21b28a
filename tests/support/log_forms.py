"""Entries of a pump's log as they are given and saved: in JSON, also odd ones, and binary."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from tconnectsync.sources.tandemsource.log.fields import LAYOUTS

NOON = "2026-05-14T12:00:00"
MAYBE_ODD_NUMBERS = st.floats() | st.integers() | st.booleans()
JSON = st.recursive(
    st.none() | MAYBE_ODD_NUMBERS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=12,
)
"""Anything that JSON can say, and what Python's reads besides: infinity and what is no number."""
ODD_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "eventCode": st.sampled_from([279, 279.0, 399, 90, 999, True, "279"]) | JSON,
        "sequenceGroup": st.sampled_from([0, 1, None]) | JSON,
        "sequenceNumber": st.integers(0, 5) | JSON,
        "pumpDateTime": st.sampled_from([NOON, NOON + "Z", "", "1999-01-01T00:00:00"]) | JSON,
        "eventProperties": st.dictionaries(
            st.sampled_from(["commandedRate", "cgmDataType", "x"]), JSON | st.just([0, 5])
        )
        | JSON,
    },
)


def event(sequence: Any = 1, code: Any = 279, **other: Any) -> dict[str, Any]:
    """Return an entry as pump-logs gives it, that of a basal rate unless said otherwise."""
    return {
        "deviceAssignmentId": "00000000-0000-4000-8000-000000000001",
        "eventCode": code,
        "sequenceGroup": 0,
        "sequenceNumber": sequence,
        "pumpDateTime": NOON,
        "estimatedDateTime": NOON + "Z",
        "eventProperties": {"commandedRate": 800},
        **other,
    }


def encode(
    code: int, seconds: int, sequence: int, values: dict[str, Any], source: int = 0
) -> bytes:
    """Return an entry in the binary form, its time in seconds since 2008."""
    record = bytearray(26)
    struct.pack_into(">HII", record, 0, source << 12 | code, seconds, sequence)
    for field in LAYOUTS[code].fields if code in LAYOUTS else ():
        struct.pack_into(f">{field.type}", record, 10 + field.offset, values[field.name])
    return bytes(record)


def basal(sequence: int, seconds: int = 0, rate: int = 800) -> bytes:
    """Return the entry of a basal rate, in mU/h, in the binary form."""
    zeros = {field.name: 0 for field in LAYOUTS[279].fields}
    return encode(279, seconds, sequence, {**zeros, "commandedrate": rate})
