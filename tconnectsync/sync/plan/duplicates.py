"""What another cloud, or another version, has already shown.

Each cloud names its events in its own way, and older versions did not name their documents. So that
nothing stands in Nightscout twice after a change, a treatment is also compared by what it says:
with the time that a basal, sleep or exercise covers, and with the instant of everything else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter

from tconnectsync.nightscout.provenance import checksum, created_at
from tconnectsync.nightscout.stored import StoredTreatment, Writer
from tconnectsync.nightscout.treatments import Treatment

SHORTEST_PIECE = timedelta(minutes=1)
"""What is left uncovered is not worth a document of its own if it is shorter."""
LASTING = ("Temp Basal", "Sleep", "Exercise")
NEAR = {
    "Combo Bolus": timedelta(minutes=2),
    "Basal Suspension": timedelta(minutes=2),
    # One cloud tells when delivery stopped for the change, the other when the cannula was filled.
    "Site Change": timedelta(minutes=90),
    # Each time the pump joins a sensor it computes anew when its session began.
    "Sensor Start": timedelta(minutes=30),
}
"""How far apart two documents of a type may lie and still tell of one event."""
NEAR_OF_ANOTHER_CLOUD = timedelta(minutes=2)
"""The same for all other types; only documents of another cloud count."""
SAME_INSULIN = 0.011
"""U; one cloud rounds to hundredths."""

HALF_A_SECOND = timedelta(milliseconds=500)

_Span = tuple[datetime, datetime]


def possible_duplicates(
    wanted: Iterable[Treatment], unmatched: Iterable[StoredTreatment]
) -> list[StoredTreatment]:
    """Return our documents that may describe the same events under another identifier.

    Those are from another cloud, or what an older version made of the same log.
    """
    clouds = {want.cloud for want in wanted}
    return [
        treatment
        for treatment in unmatched
        if treatment.cloud not in clouds
        or treatment.writer is Writer.VERSION_2_OR_3
        or treatment.event_type == "Sensor Start"
    ]


def already_shown(
    wanted: Sequence[Treatment], others: Iterable[StoredTreatment]
) -> tuple[int, list[Treatment]]:
    """Return how many of the wanted instants ``others`` tell of, and the rest of them.

    Each tells of one at the most; where there is a choice, the closest go together.
    """
    dated = [(other.at, place, other) for place, other in enumerate(others) if other.at]
    by_type: dict[str, list[tuple[datetime, int, StoredTreatment]]] = defaultdict(list)
    for each in sorted(dated, key=itemgetter(0)):
        # Whatever a person calls it now: what holds insulin was a bolus.
        by_type["Combo Bolus" if each[2].insulin else each[2].event_type].append(each)
    candidates = sorted(
        (not _is_alike(want, other), abs(at - want.at), index, place)
        for index, want in enumerate(wanted)
        for at, place, other in _near(want, by_type)
        if _is_alike(want, other) or (other.edited and other.writer is not Writer.VERSION_2_OR_3)
    )
    told: set[int] = set()
    used: set[int] = set()
    for _, _, index, place in candidates:
        if index not in told and place not in used:
            told.add(index)
            used.add(place)
    return len(told), [want for index, want in enumerate(wanted) if index not in told]


def _near(
    want: Treatment, by_type: Mapping[str, Sequence[tuple[datetime, int, StoredTreatment]]]
) -> Sequence[tuple[datetime, int, StoredTreatment]]:
    """Return what of its type lies near a wanted instant, if that can tell of the same event."""
    event_type = want.body["eventType"]
    known = by_type.get(event_type)
    if not known or want.piece or event_type in LASTING:
        return ()
    distance = NEAR.get(event_type, NEAR_OF_ANOTHER_CLOUD)
    first = bisect_left(known, want.at - distance, key=itemgetter(0))
    near = known[first : bisect_right(known, want.at + distance, key=itemgetter(0))]
    if event_type in NEAR:
        return near
    return [each for each in near if each[2].cloud != want.cloud]


def _is_alike(want: Treatment, other: StoredTreatment) -> bool:
    wanted: float = want.body.get("insulin", 0.0)
    return abs(wanted - (other.insulin or 0.0)) <= SAME_INSULIN


class Covered:
    """The time that other documents of ours already show, by type."""

    def __init__(self, others: Iterable[StoredTreatment]) -> None:
        found: dict[str, list[_Span]] = defaultdict(list)
        for other in others:
            kind = "Temp Basal" if other.is_basal else other.event_type
            if kind in LASTING and other.at:
                found[kind].append((_to_second(other.at), _to_second(other.at + other.duration)))
        self._spans = {kind: _disjoint(sorted(spans), kind) for kind, spans in found.items()}

    def uncovered_part(self, want: Treatment) -> Treatment | None:
        """Return what a wanted document adds, cut to the longest stretch that nothing shows yet.

        ``None`` if that is nothing worth a document.
        """
        spans = self._spans.get(want.body["eventType"], ())
        end = want.at + timedelta(minutes=want.body.get("duration", 0))
        first = bisect_right(spans, want.at, key=itemgetter(1))
        later = bisect_left(spans, end, key=itemgetter(0))
        if first >= later:
            return want
        pieces = list(_gaps(want.at, end, spans[first:later]))
        start, end = max(pieces, key=lambda piece: piece[1] - piece[0], default=(end, end))
        return _cut(want, start, end) if end - start >= SHORTEST_PIECE else None


def _disjoint(spans: Iterable[_Span], kind: str) -> list[_Span]:
    """Return spans, given in order, without overlaps.

    A basal ends where the next one begins, and one without duration is such an end, too: so
    Nightscout shows them (docs/protocol/nightscout-api.md §4.4), however long they claim to be.
    """
    apart: list[_Span] = []
    for begins, ends in spans:
        if apart and begins < apart[-1][1]:
            earlier = apart.pop()
            if kind == "Temp Basal":
                apart.append((earlier[0], begins))
            else:
                begins, ends = earlier[0], max(earlier[1], ends)
        apart.append((begins, ends))
    return [(begins, ends) for begins, ends in apart if begins < ends]


def _to_second(at: datetime) -> datetime:
    """Return the nearest whole second; durations are stored as fractions of minutes."""
    return (at + HALF_A_SECOND).replace(microsecond=0)


def _gaps(start: datetime, end: datetime, spans: Iterable[_Span]) -> Iterator[_Span]:
    """Yield the stretches from ``start`` to ``end`` that no span touches; spans are in order."""
    for begins, ends in spans:
        if begins > start:
            yield start, begins
        start = max(start, ends)
    if start < end:
        yield start, end


def _cut(want: Treatment, start: datetime, end: datetime) -> Treatment:
    start = start.astimezone(want.at.tzinfo)
    duration = (end - start) / timedelta(minutes=1)
    body = {**want.body, "created_at": created_at(start), "duration": duration}
    return replace(want, at=start, body={**body, "checksum": checksum(body)})
