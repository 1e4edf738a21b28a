"""Reads the events of a window: each part alone, in shorter ranges where that helps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import ApiError, TconnectsyncError
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sync.features import parts_of
from tconnectsync.sync.plan.glucose import without_glucose_kind
from tconnectsync.sync.plan.validate import validate
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import halves

log = logging.getLogger(__name__)

Events = dict[str, list[Any]]
"""What a reader found, by the method of :class:`tconnectsync.sources.base.Reader` that gave it."""


def collect(
    source: Source,
    reader: Reader,
    window: TimeRange,
    features: Sequence[str],
    *,
    clock: PumpClock,
    now: datetime,
    outcome: Outcome,
) -> Events:
    """Return the events that ``reader`` finds for some features, as far as they can be true.

    What is answered badly is asked for day by day at last. What fails all the same, and what is
    left out, is noted in ``outcome``.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    failed_before = len(outcome.failures)

    def read(part: str, names: tuple[str, ...], reader: Reader, window: TimeRange) -> list[Any]:
        try:
            return validate(getattr(reader, part)(), now, outcome.skipped)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            is_divisible = isinstance(error, ApiError) and error.shorter_may_help
            pieces = list(halves(window, clock)) if is_divisible else [window]
            if len(pieces) < 2:
                outcome.failed(window, names, error)
                return []
            log.warning("%s. Asking for shorter ranges.", str(error).removesuffix("."))
        found = []
        for piece in pieces:
            shorter = source.read(piece)
            found += read(part, names, shorter, piece)
            outcome.skipped.update(shorter.skipped)
            outcome.remark(shorter.remarks, (piece, features))
        return found

    events = {part: read(part, names, reader, window) for part, names in parts_of(features).items()}
    outcome.skipped.update(reader.skipped)
    outcome.remark(reader.remarks, (window, features))
    failed = {name for each in outcome.failures[failed_before:] for name in each.features}
    if "BOLUS_BG" in features and "BOLUS_BG" not in failed:
        events["boluses"] = list(reader.with_glucose_kind(events["boluses"], events["readings"]))
    elif "boluses" in events:
        events["boluses"] = without_glucose_kind(events["boluses"])
    return events
