"""On which days two pumps of an account delivered at the same time, kept from run to run.

The comparison needs the logs of both. So each day is compared once, and the next comparison waits
until both pumps may have been in use for another day.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from tconnectsync.sources.tandemsource.pumps.pumps import Pump, mark
from tconnectsync.state.files import make_private, write_atomically

log = logging.getLogger(__name__)

FILE = "pumps-in-use.json"


class Overlap(NamedTuple):
    """What the logs of two pumps showed of some days."""

    first: date
    last: date
    both: tuple[date, ...]
    """The days on which both delivered at the same time."""
    worn: str = ""
    """The mark of the pump that was worn last; empty if the logs do not show it."""


class Overlaps:
    """What is known of pairs of pumps; it says nothing about the pumps or the person.

    Where no file can be kept, at least this process remembers.

    Args:
        folder: where the file is; ``None`` for none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder else None
        self._known: dict[str, Overlap] | None = None

    def of(self, one: Pump, other: Pump) -> Overlap | None:
        """Return what is known of two pumps, if anything."""
        return self._all().get(_pair(one, other))

    def keep(self, one: Pump, other: Pump, overlap: Overlap) -> None:
        """Remember what the logs of two pumps showed, unless later days are known."""
        known = self._all()
        older = known.get(_pair(one, other))
        if older and older.last > overlap.last:
            return
        known[_pair(one, other)] = overlap
        if not self._path:
            return
        try:
            make_private(self._path.parent)
            write_atomically(
                self._path, json.dumps({pair: _as_json(each) for pair, each in known.items()})
            )
        except OSError:
            log.debug("The list of pumps in use cannot be saved for the next run.")

    def _all(self) -> dict[str, Overlap]:
        if self._known is None:
            try:
                text = self._path.read_text(encoding="utf-8") if self._path else "{}"
                self._known = {pair: _parsed(it) for pair, it in json.loads(text).items()}
            except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
                self._known = {}
        return self._known


def _pair(one: Pump, other: Pump) -> str:
    return sha256(" ".join(sorted((mark(one), mark(other)))).encode()).hexdigest()[:16]


def _as_json(overlap: Overlap) -> dict[str, Any]:
    return {
        "first": f"{overlap.first}",
        "last": f"{overlap.last}",
        "both": [f"{day}" for day in overlap.both],
        "worn": overlap.worn,
    }


def _parsed(kept: Mapping[str, Any]) -> Overlap:
    return Overlap(
        date.fromisoformat(kept["first"]),
        date.fromisoformat(kept["last"]),
        tuple(date.fromisoformat(day) for day in kept["both"]),
        str(kept["worn"]),
    )
