"""Insulin on board from t:connect's CSV export.

Contract tconnect-processing §7, tconnect-api §4.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import InsulinOnBoard
from tconnectsync.sources.tconnect.values import read_each, required, wall_time


def csv_insulin_on_board(
    rows: Sequence[Mapping[str, Any]], clock: PumpClock, skipped: Counter[str]
) -> list[InsulinOnBoard]:
    """Return the values of the export's IOB rows."""

    def read(row: Mapping[str, Any]) -> InsulinOnBoard:
        wall = wall_time(row["EventDateTime"])
        if wall is None:
            raise ValueError("time is missing")
        return InsulinOnBoard(clock.instant(wall), required(row["IOB"], "insulin on board"))

    return read_each(rows, read, "insulin on board row", skipped)
