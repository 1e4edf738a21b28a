"""Which treatments another cloud, or another version, has already shown.

Each cloud names its events in its own way, and older versions did not name their documents. To
avoid duplicates after a change of cloud or version, treatments are also compared by content: a
basal, sleep or exercise by the time that it covers, everything else by its instant.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter

from tconnectsync.domain.clock import MINUTE
from tconnectsync.domain.limits import SAME_AMOUNT
from tconnectsync.nightscout.eventtypes import (
    BASAL_SUSPENSION,
    COMBO_BOLUS,
    EXERCISE,
    SENSOR_START,
    SITE_CHANGE,
    SLEEP,
    TEMP_BASAL,
)
from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan.legacy import is_version_2_or_3
from tconnectsync.sync.plan.pairing import best_first

SHORTEST_PART = MINUTE
"""A shorter uncovered part gets no document of its own."""
LASTING = (TEMP_BASAL, SLEEP, EXERCISE)
NEAR = {
    COMBO_BOLUS: timedelta(minutes=2),
    BASAL_SUSPENSION: timedelta(minutes=2),
    # One cloud reports when delivery stopped for the change, another when the cannula was filled.
    SITE_CHANGE: timedelta(minutes=90),
    # Each time the pump joins a sensor it computes again when its session began.
    SENSOR_START: timedelta(minutes=30),
}
"""How far apart two documents of a type may lie and still describe one event."""
NEAR_OF_ANOTHER_CLOUD = timedelta(minutes=2)
"""The same for all other types; only documents of another cloud count."""

_Dated = tuple[datetime, int, StoredTreatment]
_Span = tuple[datetime, datetime]


def possible_duplicates(
    desired: Iterable[Treatment], unmatched: Iterable[StoredTreatment]
) -> list[StoredTreatment]:
    """Return our documents that may describe the same events under another identifier.

    Those are from another cloud, or what an older version made of the same log.
    """
    clouds = {treatment.cloud for treatment in desired}
    return [
        stored
        for stored in unmatched
        if stored.cloud not in clouds
        or is_version_2_or_3(stored)
        or stored.event_type == SENSOR_START
    ]


def already_shown(
    desired: Sequence[Treatment], others: Iterable[StoredTreatment]
) -> list[Treatment]:
    """Return the desired treatments without those that others show at about the same instant.

    Each shows one of them at the most; where there is a choice, the closest go together.
    """
    dated = [(other.at, place, other) for place, other in enumerate(others) if other.at]
    by_type: dict[str, list[_Dated]] = defaultdict(list)
    for each in sorted(dated, key=itemgetter(0)):
        # Whatever a person calls it now: what holds insulin was a bolus.
        by_type[COMBO_BOLUS if each[2].insulin else each[2].event_type].append(each)
    shown = best_first(
        ((not is_alike, abs(at - treatment.at)), index, place)
        for index, treatment in enumerate(desired)
        for at, place, other in _near(treatment, by_type)
        if (is_alike := abs((treatment.insulin or 0) - (other.insulin or 0)) <= SAME_AMOUNT)
        or (other.edited and not is_version_2_or_3(other))
    )
    return [treatment for index, treatment in enumerate(desired) if index not in shown]


def _near(treatment: Treatment, by_type: Mapping[str, Sequence[_Dated]]) -> Sequence[_Dated]:
    """Return what of its type lies near a treatment, if that can describe the same event."""
    known = by_type.get(treatment.event_type)
    if not known or treatment.piece or treatment.event_type in LASTING:
        return ()
    distance = NEAR.get(treatment.event_type, NEAR_OF_ANOTHER_CLOUD)
    first = bisect_left(known, treatment.at - distance, key=itemgetter(0))
    near = known[first : bisect_right(known, treatment.at + distance, key=itemgetter(0))]
    if treatment.event_type in NEAR:
        return near
    return [each for each in near if each[2].cloud != treatment.cloud]


class Covered:
    """The time that other documents of ours already show, by type."""

    def __init__(self, others: Iterable[StoredTreatment]) -> None:
        found: dict[str, list[_Span]] = defaultdict(list)
        for other in others:
            kind = TEMP_BASAL if other.is_basal else other.event_type
            if kind in LASTING and other.at:
                found[kind].append((_to_second(other.at), _to_second(other.at + other.duration)))
        self._spans = {kind: _disjoint(sorted(spans), kind) for kind, spans in found.items()}

    def uncovered_part(self, treatment: Treatment) -> Treatment | None:
        """Return what a treatment adds: the longest part of its time that nothing shows yet.

        ``None`` if that is nothing worth a document.
        """
        spans = self._spans.get(treatment.event_type, ())
        end = treatment.at + timedelta(minutes=treatment.minutes)
        first = bisect_right(spans, treatment.at, key=itemgetter(1))
        later = bisect_left(spans, end, key=itemgetter(0))
        if first >= later:
            return treatment
        gaps = _gaps(treatment.at, end, spans[first:later])
        begins, ends = max(gaps, key=lambda gap: gap[1] - gap[0], default=(end, end))
        return treatment.between(begins, ends) if ends - begins >= SHORTEST_PART else None


def _disjoint(spans: Iterable[_Span], kind: str) -> list[_Span]:
    """Return spans, given in order, without overlaps.

    A basal ends where the next one begins, and one without duration is such an end, too: so
    Nightscout shows them (nightscout-api §4.4), however long they claim to be.
    """
    apart: list[_Span] = []
    for begins, ends in spans:
        if apart and begins < apart[-1][1]:
            earlier = apart.pop()
            if kind == TEMP_BASAL:
                apart.append((earlier[0], begins))
            else:
                begins, ends = earlier[0], max(earlier[1], ends)
        apart.append((begins, ends))
    return [(begins, ends) for begins, ends in apart if begins < ends]


def _to_second(at: datetime) -> datetime:
    """Return the nearest whole second; durations are stored as fractions of minutes."""
    return (at + timedelta(milliseconds=500)).replace(microsecond=0)


def _gaps(start: datetime, end: datetime, spans: Iterable[_Span]) -> Iterator[_Span]:
    """Yield the parts from ``start`` to ``end`` that no span touches; spans are in order."""
    for begins, ends in spans:
        if begins > start:
            yield start, begins
        start = max(start, ends)
    if start < end:
        yield start, end
