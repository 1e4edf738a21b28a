"""Reads the events of a window: each part alone, in shorter ranges where that helps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
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
    besides: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Events:
    """Return the valid events that ``reader`` finds for some features.

    If the answer for a range cannot be used, shorter ranges are requested, down to a day. What
    still fails, and what is left out, is noted in ``outcome``. ``besides`` are further parts, each
    with the features that a failure of it is noted for.

    Raises:
        TconnectsyncError: going on makes no sense.
    """
    failed_before = len(outcome.failures)
    readers = {window: reader}
    events = {
        part: _read(parts, readers, window, part, names, outcome)
        for part, names in {**parts_of(features), **besides}.items()
    }
    for read, each in readers.items():
        outcome.skipped.update(each.skipped)
        outcome.remark(each.remarks, (read, features))
    failed = {name for each in outcome.failures[failed_before:] for name in each.features}
    if "BOLUS_BG" in features and "BOLUS_BG" not in failed:
        events["boluses"] = list(reader.with_glucose_kind(events["boluses"], events["readings"]))
    elif "boluses" in events:
        events["boluses"] = without_glucose_kind(events["boluses"])
    return events


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
