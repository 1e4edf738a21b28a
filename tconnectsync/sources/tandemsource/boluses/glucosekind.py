"""Where the glucose came from that a bolus was calculated with: the sensor, or a finger.

See tandem-source-processing §22, tandem-event-log §10.3 (16). The pump notes the glucose some
seconds before the request of the bolus, and says whether it was typed in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter

from tconnectsync.domain.events import Bolus, ReadingKind, newest_reading
from tconnectsync.sources.cachedcall import CachedCall
from tconnectsync.sources.tandemsource.boluses.boluses import AUTOMATIC_KINDS
from tconnectsync.sources.tandemsource.boluses.doses import SAME_BOLUS
from tconnectsync.sources.tandemsource.log.codes import (
    BOLUS_OPTIONS,
    BOLUS_PROGRESS,
    BOLUS_REQUESTED,
    GLUCOSE_ENTERED,
    SENSORS,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.records import flag, whole
from tconnectsync.sources.tandemsource.sensor import TAKEN_FROM_SENSOR, TYPED_IN, readings

AUTOMATIC = {
    BOLUS_REQUESTED: ("bolustype", (2,)),
    BOLUS_OPTIONS: ("options", AUTOMATIC_KINDS),
    BOLUS_PROGRESS: ("bolussource", (7, 9)),
}
"""Which values of entries say that a bolus was automatic."""
CODES = (GLUCOSE_ENTERED, *AUTOMATIC)
KINDS: dict[int | None, ReadingKind] = {
    TYPED_IN: ReadingKind.FINGER,
    TAKEN_FROM_SENSOR: ReadingKind.SENSOR,
}
"""How the glucose came into the pump: typed in, or taken over from the sensor."""

SHORTLY_BEFORE = timedelta(minutes=2)
ON_THE_SCREEN = timedelta(minutes=10)
"""How old the value of a sensor may be that a bolus was calculated with."""


def with_kind(boluses: Iterable[Bolus], log: Log) -> list[Bolus]:
    """Return the boluses of a log with where their glucose came from, if they have any."""
    noted = list(entries_of(log, GLUCOSE_ENTERED))
    sensor = CachedCall(
        lambda: sorted(
            readings({code: log.get(code, ()) for code in SENSORS}, Counter()), key=attrgetter("at")
        )
    )
    requests = {entry.sequence: entry for entry in log.get(BOLUS_REQUESTED, ())}
    automatic = _automatic(log)

    def kind(bolus: Bolus) -> ReadingKind:
        request = next((requests[it] for it in bolus.log_ids if it in requests), None)
        if request is None:
            return ReadingKind.UNKNOWN
        called_automatic = automatic.get(whole(request.values, "bolusid"), ())
        if any(abs(entry.at - request.at) <= SAME_BOLUS for entry in called_automatic):
            # No person was there to prick a finger.
            return ReadingKind.SENSOR
        noted_as = _noted_kind(noted, request, bolus.glucose)
        if noted_as is None:
            shown = newest_reading(sensor(), request.at, ON_THE_SCREEN)
            if shown and shown.glucose == bolus.glucose:
                return ReadingKind.SENSOR
        return noted_as or ReadingKind.UNKNOWN

    return [
        bolus if bolus.glucose is None else replace(bolus, glucose_kind=kind(bolus))
        for bolus in boluses
    ]


def _noted_kind(
    noted: Sequence[Entry], request: Entry, glucose: float | None
) -> ReadingKind | None:
    """Return what the pump said of the same value just before the request, the newest first."""
    later = bisect_right(noted, request.at, key=lambda entry: entry.at)
    for entry in reversed(noted[:later]):
        if request.at - entry.at > SHORTLY_BEFORE:
            break
        if whole(entry.values, "bg") != glucose:
            continue
        if flag(entry.values, "cgmcalibration"):
            return ReadingKind.FINGER
        kind = KINDS.get(whole(entry.values, "bgentrytype"))
        if kind:
            return kind
    return None


def _automatic(log: Log) -> Mapping[int | None, Sequence[Entry]]:
    """Return the entries that call a bolus automatic, by its number."""
    found: dict[int | None, list[Entry]] = defaultdict(list)
    for entry in entries_of(log, *AUTOMATIC):
        name, values = AUTOMATIC[entry.code]
        bolus = whole(entry.values, "bolusid")
        if bolus is not None and whole(entry.values, name) in values:
            found[bolus].append(entry)
    return found
