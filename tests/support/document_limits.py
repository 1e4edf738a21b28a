"""What a document may say of a pump and a body, whatever the clouds have said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tconnectsync.nightscout.entries import entry_time
from tconnectsync.nightscout.provenance import Document
from tests.support.offline_clouds import NOW

EARLIEST, TOMORROW = datetime(2008, 1, 1, tzinfo=UTC), NOW + timedelta(days=1)
MINUTES_A_MONTH = 31 * 24 * 60
LIMITS = {
    "insulin": (0, 80),
    "enteredinsulin": (0, 80),
    "absolute": (0, 15),
    "rate": (0, 15),
    "carbs": (0, 999),
    "duration": (0, MINUTES_A_MONTH),
    "glucose": (20, 600),
    "sgv": (20, 600),
    "mbg": (20, 600),
    "splitNow": (0, 100),
    "splitExt": (0, 100),
    "iob": (0, 100),
    "reservoir": (0, 400),
    "percent": (0, 100),
    "voltage": (1, 6),
    "timeAsSeconds": (0, 86_399),
}
"""What a number may be, by the name that it has anywhere in a document."""
PROFILE_LIMITS = {
    "basal": (0, 15),
    "sens": (1, 999),
    "carbratio": (0.1, 999),
    "target_low": (20, 600),
    "target_high": (20, 600),
}
LONGEST_TEXT = 300


def require_plausible(document: Document) -> None:
    """Fail if a document says what cannot be, or cannot be sent."""
    assert json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    for name in ("created_at", "dateString"):
        if name in document:
            assert EARLIEST <= datetime.fromisoformat(document[name]) <= TOMORROW
    if "date" in document:
        when = entry_time(document)
        assert when is not None
        assert EARLIEST <= when <= TOMORROW
    for entry in document.get("store", {}).values():
        require_a_plausible_profile(entry)
    _require_limits(document)


def require_a_plausible_profile(entry: Document) -> None:
    """Fail if an entry of a profile record says of the pump what cannot be."""
    for name, (low, high) in PROFILE_LIMITS.items():
        for item in entry.get(name, ()):
            assert low <= item["value"] <= high, name
    assert 1 <= float(entry["dia"]) <= 24


def _require_limits(value: Any, name: str = "") -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            assert len(key) <= LONGEST_TEXT
            _require_limits(each, key)
    elif isinstance(value, list):
        for each in value:
            _require_limits(each, name)
    elif name in LIMITS:
        low, high = LIMITS[name]
        assert not isinstance(value, bool | str)
        assert low <= value <= high, name
    elif isinstance(value, str):
        assert len(value) <= LONGEST_TEXT
