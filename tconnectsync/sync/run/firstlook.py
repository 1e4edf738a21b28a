"""What is looked for once per site: ages of site, cartridge and sensor, and features left off.

See nightscout-api §7.12: Nightscout shows these ages by the newest treatment of their types,
and nothing at all where an uploader began with one day of history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import PumpEvent
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.treatments import documents
from tconnectsync.sources.base import Remark
from tconnectsync.sync.run.collect import Events, collect
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import windows

AGES: Mapping[str, tuple[str, ...]] = {
    "Site Change": ("Site Change",),
    "Insulin Change": ("Insulin Change",),
    "Sensor Start": ("Sensor Start", "Sensor Change"),
}
"""What tells an age, by the type of treatment that we write for it."""
FEATURE = "PUMP_EVENTS"
"""The feature that brings them."""
KINDS_OF_FEATURES: Mapping[str, tuple[str, ...]] = {
    "PUMP_EVENTS": ("Site Change", "Basal Suspension", "Sleep"),
    "CGM": ("sgv",),
    "CGM_ALERTS": ("CGM Alert",),
}
"""Types that show that a feature was switched on once."""
LATELY = timedelta(days=14)


def bring_ages(cycle: Cycle, done: TimeRange, earliest: datetime) -> Outcome:
    """Bring the last site, cartridge and sensor change if Nightscout holds none of anybody.

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
    for window in reversed(list(_searched(cycle, done, earliest))):
        if not lacking:
            break
        reader = cycle.source.read(window)
        events = collect(
            cycle.source,
            reader,
            window,
            [FEATURE],
            clock=cycle.clock,
            now=cycle.now(),
            outcome=outcome,
        )
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
            outcome.absorb(cycle.bring(chosen, window))
    return outcome


def features_left_off(
    nightscout: NightscoutApi, features: Sequence[str], now: datetime
) -> Remark | None:
    """Return a line about features that brought something lately and are not switched on now."""
    off = [
        name
        for name, types in KINDS_OF_FEATURES.items()
        if name not in features
        and not (name == "PUMP_EVENTS" and "PUMP_EVENTS_BASAL_SUSPENSION" in features)
        and any((at := nightscout.newest(each)) and now - at <= LATELY for each in types)
    ]
    if "PROFILES" not in features and nightscout.has_profile_of_ours():
        off.append("PROFILES")
    if not off:
        return None
    return Remark(
        f"Earlier runs also brought what {' and '.join(off)} brings; this run does not. To go on "
        f"with it, add --features {' '.join([*features, *off])}.",
        missing=False,
    )


def _searched(cycle: Cycle, done: TimeRange, earliest: datetime) -> Iterable[TimeRange]:
    end = done.end if cycle.pretend else done.start
    return windows(TimeRange(earliest, end), cycle.source.window_days, cycle.clock)


def _newest_of_each(
    events: Events, kinds: Iterable[str], now: datetime, cloud: str
) -> dict[str, tuple[str, PumpEvent, datetime]]:
    """Return the newest event for each type of treatment, with its part and its instant."""
    newest: dict[str, tuple[str, PumpEvent, datetime]] = {}
    for part in ("suspensions", "pump_events"):
        for event in events.get(part, ()):
            for want in documents(event, cloud):
                kind = want.body["eventType"]
                if kind in kinds and want.at <= now:
                    known = newest.get(kind)
                    if known is None or known[2] < want.at:
                        newest[kind] = part, event, want.at
    return newest
