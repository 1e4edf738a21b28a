"""The lock files, read strictly: whatever is no exact version with checksums is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker

ROOT = Path(__file__).parents[2]


class Pin(NamedTuple):
    """A version in a lock file, and where it counts."""

    version: str
    marker: Marker | None
    hashes: list[str]


def pins(name: str) -> dict[str, list[Pin]]:
    """Read a lock file; return the versions by package."""
    text = (ROOT / name).read_text(encoding="utf-8").replace(" \\\n", " ")
    found: dict[str, list[Pin]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        whole = re.fullmatch(
            r"([a-z0-9-]+)==([\w.]+)(?: ; ([^#]+?))?((?:\s+--hash=sha256:[0-9a-f]{64})+)", line
        )
        assert whole, f"{name}: {line[:80]}"
        marker = Marker(whole[3]) if whole[3] else None
        found.setdefault(whole[1], []).append(Pin(whole[2], marker, whole[4].split()))
    return found
