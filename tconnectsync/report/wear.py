"""How long infusion sites, cartridges and sensors were in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import zip_longest
from operator import attrgetter

from tconnectsync.domain.events import PumpEvent, PumpEventKind
from tconnectsync.report.model import Worn

SAME_CHANGE = timedelta(minutes=30)
"""Two fills within that are one change: of a site that was filled twice, the last one counts."""
LONGEST_SENSOR = timedelta(days=16)
"""No sensor lasts longer; a session that seems to do so ended at an unknown time."""


def worn(events: Iterable[PumpEvent]) -> list[Worn]:
    """Return what was in use, in order of the beginnings.

    What was in use already when the events begin is left out: it is not known since when.
    """
    found: dict[PumpEventKind, list[PumpEvent]] = {}
    for event in sorted(events, key=attrgetter("at")):
        found.setdefault(event.kind, []).append(event)
    changes = {
        "Site": found.get(PumpEventKind.SITE_CHANGE, []),
        "Cartridge": found.get(PumpEventKind.CARTRIDGE, []),
    }
    lasted = [each for kind, events in changes.items() for each in _until_next(kind, events)]
    starts = found.get(PumpEventKind.SENSOR_START, [])
    lasted += _sensors(starts, found.get(PumpEventKind.SENSOR_STOP, []))
    return sorted(lasted, key=attrgetter("began"))


def _until_next(kind: str, events: Sequence[PumpEvent]) -> Iterator[Worn]:
    counting = _counting(events)
    for event, after in zip_longest(counting, counting[1:]):
        yield Worn(kind, event.at, after.at if after else None)


def _sensors(starts: Sequence[PumpEvent], stops: Sequence[PumpEvent]) -> Iterator[Worn]:
    """Yield the sensors; one ends with its session, at the latest when the next one begins.

    The session before may be stopped after the new sensor was put on, but not after the pump knew
    of the new one.
    """
    counting = _counting(starts)
    for start, after in zip_longest(counting, counting[1:]):
        ends = [stop.at for stop in stops if stop.at > start.ends]
        if after:
            ends.append(after.at)
        ended = min(ends, default=None)
        if ended is None or ended - start.at <= LONGEST_SENSOR:
            yield Worn("Sensor", start.at, ended)


def _counting(events: Sequence[PumpEvent]) -> list[PumpEvent]:
    """Return events in time order, of those that are one change the last."""
    return [
        event
        for event, after in zip_longest(events, events[1:])
        if after is None or after.at - event.at >= SAME_CHANGE
    ]
