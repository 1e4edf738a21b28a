"""Basal segments from t:connect: the Control-IQ timeline, or the CSV of older pumps.

See docs/protocol/tconnect-processing.md §5, tconnect-api §2.1 and §4.1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import Basal
from tconnectsync.sources.tconnect.values import (
    objects,
    pacific_wall_time,
    read_each,
    required,
    seconds_long,
    wall_time,
    words,
)

DELIVERIES = {
    "tempDeliveryEvents": ("TEMP", "tempDelivery"),
    "algorithmDeliveryEvents": ("ALGORITHM", "algorithmDelivery"),
    "profileDeliveryEvents": ("PROFILE", "profileDelivery"),
}
"""The lists of the timeline: what the keys of their basals say, and the reason to show."""
BY_ALGORITHM = "control-iq"
"""The reason of a suspension that is a rate of 0 U/h by the pump's algorithm."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """An entry of ``suspensionDeliveryEvents``: delivery was held back from ``at`` on."""

    encoded: int
    at: datetime
    by: str
    carried_over: bool
    """It goes on from the day before and is no new suspension."""


def timeline_basals(
    timeline: Mapping[str, Any],
    clock: PumpClock,
    known_until: Callable[[], datetime],
    skipped: Counter[str],
) -> list[Basal]:
    """Return the basal segments of a therapy timeline in time order, suspensions included.

    A suspension lasts until insulin flows again. For one that still goes on, ``known_until`` is
    asked for the newest instant of which anything is known.
    """
    segments = _segments(timeline, clock, skipped)
    suspensions = read_suspensions(timeline, clock, skipped)
    starts = {segment.start for segment in segments}
    reasons = {halt.at: halt.by for halt in reversed(suspensions)}
    segments = [
        replace(
            segment,
            reason=f"{segment.reason} ({reasons[segment.start]} suspension)",
            profile_rate=None,
            suspended=reasons[segment.start] != BY_ALGORITHM,
        )
        if reasons.get(segment.start)
        else segment
        for segment in segments
    ]
    alone = [halt for halt in suspensions if halt.at not in starts]
    segments += _suspended(alone, sorted(starts), known_until)
    segments.sort(key=lambda segment: (segment.start, segment.key))
    if segments:
        segments[-1] = replace(segments[-1], running=True)
    return [segment for segment in segments if segment.duration]


def _segments(timeline: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]) -> list[Basal]:
    segments: list[Basal] = []
    for name, (kind, reason) in DELIVERIES.items():

        def read(entry: Mapping[str, Any], kind: str = kind, reason: str = reason) -> Basal:
            return Basal(
                key=f"basal {kind} {entry['x']}",
                start=clock.instant(pacific_wall_time(entry["x"])),
                duration=seconds_long(entry["duration"]),
                rate=required(entry["y"], "rate"),
                reason=reason,
                profile_rate=entry["y"] if kind == "PROFILE" else None,
                suspended=False,
            )

        segments += read_each(objects(timeline, "basal", name), read, "basal entry", skipped)
    return segments


def read_suspensions(
    timeline: Mapping[str, Any], clock: PumpClock, skipped: Counter[str]
) -> list[Suspension]:
    """Return the suspensions that the timeline lists, in time order, each once."""

    def read(entry: Mapping[str, Any]) -> Suspension:
        return Suspension(
            encoded=int(entry["x"]),
            at=clock.instant(pacific_wall_time(entry["x"])),
            by=words(entry["suspendReason"]),
            carried_over=entry.get("continuation") == "previous",
        )

    items = objects(timeline, "suspensionDeliveryEvents")
    suspensions = set(read_each(items, read, "suspension", skipped))
    return sorted(suspensions, key=lambda halt: (halt.at, halt.carried_over, halt.by))


def _suspended(
    suspensions: Sequence[Suspension],
    flows: Sequence[datetime],
    known_until: Callable[[], datetime],
) -> list[Basal]:
    """Turn suspensions without a basal entry of their own into segments of 0 U/h.

    ``flows`` are the instants, in order, at which insulin flows again. Several suspensions in one
    gap follow one another; one that is carried over prolongs the one before. Where the beginning is
    not known, each day is a piece of its own, so that the pieces do not depend on the range that is
    looked at. Two reports of one instant are one suspension.
    """
    begun: list[tuple[Suspension, datetime | None]] = []
    for halt in suspensions:
        later = bisect_right(flows, halt.at)
        end = flows[later] if later < len(flows) else None
        last = begun[-1][0] if begun and begun[-1][1] == end else None
        goes_on = last and (halt.at == last.at or (halt.carried_over and not last.carried_over))
        if not goes_on:
            begun.append((halt, end))
    segments = []
    for index, (halt, end) in enumerate(begun):
        until = end or max(known_until(), halt.at)
        if index + 1 < len(begun):
            until = min(until, begun[index + 1][0].at)
        segments.append(
            Basal(
                key=f"suspension {halt.encoded}",
                start=halt.at,
                duration=until - halt.at,
                rate=0.0,
                reason=f"{halt.by} suspension",
                suspended=halt.by != BY_ALGORITHM,
            )
        )
    return segments


def begins_suspended(timeline: Mapping[str, Any], clock: PumpClock) -> bool:
    """Return whether the timeline opens inside a suspension whose beginning it does not show."""
    suspensions = read_suspensions(timeline, clock, Counter())
    if not suspensions or not suspensions[0].carried_over:
        return False
    segments = _segments(timeline, clock, Counter())
    return not any(segment.start <= suspensions[0].at for segment in segments)


def csv_basals(
    rows: Sequence[Mapping[str, Any]],
    clock: PumpClock,
    known_until: datetime,
    skipped: Counter[str],
) -> list[Basal]:
    """Return the basal segments of the CSV export in time order.

    A row says only when a rate began. It lasts until the next row; the last one lasts until
    ``known_until``.
    """

    def read(row: Mapping[str, Any]) -> Basal:
        wall = wall_time(row["EventDateTime"])
        if wall is None:
            raise ValueError("time is missing")
        return Basal(
            key=f"basal {wall.isoformat()}",
            start=clock.instant(wall),
            duration=timedelta(0),
            rate=required(row["BasalRate"], "rate"),
            reason="Unknown",
        )

    begun = {basal.start: basal for basal in read_each(rows, read, "basal row", skipped)}
    ordered = [begun[start] for start in sorted(begun)]
    segments = [replace(row, duration=after.start - row.start) for row, after in pairwise(ordered)]
    if ordered and known_until > ordered[-1].start:
        last = ordered[-1]
        segments.append(replace(last, duration=known_until - last.start, running=True))
    return segments
