"""Reads the events of a window: each part alone, in shorter ranges where that helps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.base import Reader
from tconnectsync.sync.features import parts_of
from tconnectsync.sync.plan.glucose import without_glucose_kind
from tconnectsync.sync.plan.validate import validate
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.parts import ReadingParts
from tconnectsync.sync.run.window import halves

log = logging.getLogger(__name__)

Events = dict[str, list[Any]]
"""The events that a reader found, by the method of :class:`tconnectsync.sources.base.Reader` that
gave it."""


def collect(
    parts: ReadingParts,
    reader: Reader,
    window: TimeRange,
    features: Sequence[str],
    outcome: Outcome,
) -> Events:
    """Return the valid events that ``reader`` finds for some features, for these alone.

    Glucose of boluses is shown only where BOLUS_BG is one of them and nothing of it failed. The
    rest is as for :func:`collect_parts`.
    """
    failed_before = len(outcome.failures)
    events = collect_parts(parts, reader, window, features, parts_of(features), outcome)
    shows_glucose = "BOLUS_BG" in features and not _has_failed("BOLUS_BG", outcome, failed_before)
    if "boluses" in events and not shows_glucose:
        events["boluses"] = without_glucose_kind(events["boluses"])
    return events


def collect_parts(
    parts: ReadingParts,
    reader: Reader,
    window: TimeRange,
    features: Sequence[str],
    asked_for: Mapping[str, tuple[str, ...]],
    outcome: Outcome,
) -> Events:
    """Return the valid events that ``reader`` finds for some parts.

    If the answer for a range cannot be used, shorter ranges are requested, down to a day. What
    still fails, and what is left out, is noted in ``outcome``.

    Args:
        parts: what reads.
        reader: that of the window.
        window: the range.
        features: those that all of it is for.
        asked_for: the methods of a reader, each with the features that need it.
        outcome: where to note what is missing.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    failed_before = len(outcome.failures)
    readers = {window: reader}
    events = {
        part: _read(parts, readers, window, part, names, outcome)
        for part, names in asked_for.items()
    }
    for read, each in readers.items():
        outcome.skipped.update(each.skipped)
        outcome.remark(each.remarks, (read, features))
    if "BOLUS_BG" in features and not _has_failed("BOLUS_BG", outcome, failed_before):
        events["boluses"] = list(reader.with_glucose_kind(events["boluses"], events["readings"]))
    return events


def _has_failed(feature: str, outcome: Outcome, failed_before: int) -> bool:
    return any(feature in each.features for each in outcome.failures[failed_before:])


def _read(
    parts: ReadingParts,
    readers: dict[TimeRange, Reader],
    window: TimeRange,
    part: str,
    names: tuple[str, ...],
    outcome: Outcome,
) -> list[Any]:
    """Return the events of one part, which the features with these ``names`` need.

    ``readers`` are those of the ranges so far, which all parts share.
    """
    reader = readers.get(window) or readers.setdefault(window, parts.source.read(window))
    try:
        events = parts.taken(reader, window, getattr(reader, part)())
        return validate(events, parts.now(), outcome.skipped)
    except TconnectsyncError as error:
        if error.fatal:
            raise
        shorter = list(halves(window, parts.clock)) if error.shorter_may_help else [window]
        if len(shorter) < 2:
            outcome.failed(window, names, error)
            return []
        log.info("%s. Asking for shorter ranges.", str(error).removesuffix("."))
    return [
        event for each in shorter for event in _read(parts, readers, each, part, names, outcome)
    ]
