"""Searches made once per site: ages of site, cartridge and sensor, and features left out now.

See nightscout-api §7.12: Nightscout shows these ages by the newest treatment of their types,
and nothing at all where an uploader began with one day of history.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import PumpEvent
from tconnectsync.errors import TconnectsyncError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.eventtypes import (
    INSULIN_CHANGE,
    SENSOR_CHANGE,
    SENSOR_START,
    SITE_CHANGE,
)
from tconnectsync.nightscout.treatments import treatments_of
from tconnectsync.sources.base import Remark
from tconnectsync.state.backlog import Backlog
from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.run.collect import Events, collect
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import windows

log = logging.getLogger(__name__)

AGES: Mapping[str, tuple[str, ...]] = {
    SITE_CHANGE: (SITE_CHANGE,),
    INSULIN_CHANGE: (INSULIN_CHANGE,),
    SENSOR_START: (SENSOR_START, SENSOR_CHANGE),
}
"""What shows an age, by the type of treatment that we write for it."""
FEATURE = "PUMP_EVENTS"
"""The feature that brings them."""
LATELY = timedelta(days=14)


def look_once(
    cycle: Cycle, backlog: Backlog, done: TimeRange, earliest: datetime, outcome: Outcome
) -> None:
    """Make the searches unless they were made for this site; the next run repeats failed ones.

    Args:
        cycle: reads and writes.
        backlog: what was looked for.
        done: what has just been synced.
        earliest: how far back ages are looked for.
        outcome: where to add what comes of it.
    """
    chosen = f"features besides {' '.join(sorted(cycle.features))}"
    try:
        if FEATURE in cycle.features and not backlog.is_done("ages"):
            found = write_last_changes(cycle, done, earliest)
            outcome.absorb(found)
            if not found.failures:
                backlog.remember_done("ages")
        if not backlog.is_done(chosen):
            remark = features_left_off(cycle.nightscout, cycle.features, cycle.now())
            outcome.remark([remark] if remark else [])
            backlog.remember_done(chosen)
    except TconnectsyncError as error:
        log.info("The search that is made once is left to the next run. %s", error)


def write_last_changes(cycle: Cycle, done: TimeRange, earliest: datetime) -> Outcome:
    """Write the last site, cartridge and sensor change if Nightscout holds none by anyone.

    Args:
        cycle: reads and writes.
        done: what has just been synced; only what lies before it is looked for.
        earliest: how far back it is looked for.
    """
    outcome = Outcome()
    lacking = {
        ours
        for ours, types in AGES.items()
        if not any(cycle.nightscout.newest_of_anyone(event_type) for event_type in types)
    }
    searched = TimeRange(earliest, done.end if cycle.pretend else done.start)
    for window in reversed(list(windows(searched, cycle.source.window_days, cycle.clock))):
        if not lacking:
            break
        reader = cycle.source.read(window)
        events = collect(cycle, reader, window, [FEATURE], outcome)
        newest = _newest_of_each(events, lacking, cycle.now(), cycle.source.name)
        lacking -= newest.keys()
        # Where nothing is written, what the run itself would bring is not there to be found. It
        # also brings a session that began before but was noted meanwhile.
        found = [
            (part, event)
            for part, event, at in newest.values()
            if at < done.start and not done.overlaps(event.begins, event.ends)
        ]
        if found:
            chosen = {part: [event for p, event in found if p == part] for part, _ in found}
            # What comes from before the window was read with it.
            since = min(window.start, *(event.begins for _, event in found))
            outcome.absorb(cycle.write_events(chosen, TimeRange(since, window.end)))
    return outcome


def features_left_off(
    nightscout: NightscoutApi, features: Sequence[str], now: datetime
) -> Remark | None:
    """Return a remark about features that synced something lately and are not chosen now."""
    off = [
        name
        for name, feature in FEATURES.items()
        if name not in features
        and not (name == "PUMP_EVENTS" and "PUMP_EVENTS_BASAL_SUSPENSION" in features)
        and any((at := nightscout.newest(each)) and now - at <= LATELY for each in feature.signs)
    ]
    if "PROFILES" not in features and nightscout.has_profile_of_ours():
        off.append("PROFILES")
    if not off:
        return None
    return Remark(
        f"Earlier runs also synced {', '.join(off)}; this run does not. To continue with that, "
        f"add --features {' '.join([*features, *off])}.",
        missing=False,
    )


def _newest_of_each(
    events: Events, kinds: Iterable[str], now: datetime, cloud: str
) -> dict[str, tuple[str, PumpEvent, datetime]]:
    """Return the newest event for each type of treatment, with its part and its instant."""
    newest: dict[str, tuple[str, PumpEvent, datetime]] = {}
    for part in ("suspensions", "pump_events"):
        for event in events.get(part, ()):
            for treatment in treatments_of(event, cloud):
                kind = treatment.event_type
                if kind in kinds and treatment.at <= now:
                    known = newest.get(kind)
                    if known is None or known[2] < treatment.at:
                        newest[kind] = part, event, treatment.at
    return newest
