"""From a pump's story to a report: its days, their sums, and all that follows from them.

A report of a simulated life, as the demo and the tests need it, takes a few lines::

    world = World(tandem, site)  # tests/support/world.py; ``tandem`` is live(FIRST, 14) in a cloud
    history = open_history(world.host.configuration().completed(), world.host)
    report = make_report(history, date_range(FIRST, FIRST + 13 * DAY, history.clock, history.now()))
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar

from tconnectsync.domain.clock import PumpClock, TimeRange, merged
from tconnectsync.domain.events import (
    Bolus,
    Event,
    Piece,
    PumpEvent,
    PumpEventKind,
    Reading,
)
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import TconnectsyncError
from tconnectsync.history import History
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.report.compare import NO_SITE, compare
from tconnectsync.report.days import average, day_of, stops_in
from tconnectsync.report.glucosefigures import ReadingCounts
from tconnectsync.report.model import Compared, Day, Report
from tconnectsync.report.wear import worn
from tconnectsync.sync.run.unread import sentences
from tconnectsync.sync.run.window import windows

ALARMS = (PumpEventKind.ALARM, PumpEventKind.CGM_ALERT)
INSULIN = frozenset({"BASAL", "BOLUS"})
"""The features that the totals are made of."""
Progress = Callable[[list[TimeRange]], Iterable[TimeRange]]
Shown = TypeVar("Shown", bound=Event | Reading | Piece)


def make_report(
    history: History,
    time_range: TimeRange,
    *,
    pumps: Sequence[str] = (),
    person: str = "",
    mmol: bool = False,
    settings: PumpSettings | None = None,
    nightscout: NightscoutApi | None = None,
    why_not_compared: str = NO_SITE,
    progress: Progress = lambda ranges: ranges,
) -> Report:
    """Read a range and return all that a page about it shows.

    Args:
        history: the story of the pumps; what cannot be read is noted in its outcome.
        time_range: from a midnight of the pump's clock on.
        pumps: the names of the pumps that are read.
        person: the name of the person's settings, if there are several people.
        mmol: whether glucose is shown in mmol/L.
        settings: what the pump is set to, if known.
        nightscout: the site to compare with, if there is one.
        why_not_compared: why there is none.
        progress: is handed the windows, and hands them on as they are read.

    Raises:
        TconnectsyncError: the cloud cannot be asked.
    """
    counts, clock = ReadingCounts(), history.clock
    days, events = read_days(history, time_range, progress)
    for day in days:
        counts.add(day.readings, day.range)
    compared: list[Compared] = []
    remarks = list(sentences(history.outcome, clock))
    if nightscout:
        try:
            compared, unclear = compare(days, nightscout)
            remarks += unclear
            why_not_compared = ""
        except TconnectsyncError as error:
            why_not_compared = f"Nightscout could not be asked, so nothing is compared. {error}"
    suspended = merged((it.start, it.end) for day in days for it in day.suspended)
    whole = [day.totals for day in days if day.is_whole]
    first, last = clock.days(time_range)
    return Report(
        made_at=clock.here(history.now()),
        first=first,
        last=last,
        zone=clock.zone.key,
        pumps=pumps,
        person=person,
        mmol=mmol,
        days=days[::-1],
        average=average(whole),
        averaged_days=len(whole),
        glucose=counts.glucose(),
        worn=worn(events),
        suspensions=len(suspended),
        suspended_for=sum((end - start for start, end in suspended), timedelta()),
        alarms=Counter(it.text for day in days for it in day.events if it.kind in ALARMS),
        profile=_profile(settings),
        compared=compared[::-1],
        not_compared=[day.date for day in days if day.has_data and not day.is_whole][::-1],
        why_not_compared=why_not_compared,
        remarks=remarks,
    )


@dataclass(slots=True)
class _DayParts:
    """What is known of a day so far."""

    range: TimeRange
    events: list[Event] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)


def read_days(
    history: History, time_range: TimeRange, progress: Progress
) -> tuple[list[Day], list[PumpEvent]]:
    """Return the days of a range in time order, and all pump events, also those before it began.

    What lasts for days may come in a window after those in which it went on, so no day is finished
    before all windows have been read.
    """
    parts = [_DayParts(each) for each in windows(time_range, 1, history.clock)]
    pump_events: list[PumpEvent] = []
    steps = iter(progress(list(windows(time_range, history.source.window_days, history.clock))))
    next(steps, None)
    for window in history.windows(time_range):
        events = [in_zone(event, history.clock) for event in window.events]
        pump_events += [event for event in events if isinstance(event, PumpEvent)]
        readings = [in_zone(reading, history.clock) for reading in window.readings]
        _add_to_days(events, readings, parts)
        next(steps, None)
    stops = stops_in(pump_events)
    days = [
        day_of(
            each.range,
            sorted(each.events, key=attrgetter("begins")),
            each.readings,
            stops,
            history.clock,
            unread=_unread(history, each.range),
        )
        for each in parts
    ]
    return days, pump_events


def in_zone(thing: Shown, clock: PumpClock) -> Shown:
    """Return an event, reading or piece with its times in the zone that the pump is usually set to.

    The pump may have been set to another zone, or to a wrong date. On the page all times are those
    of one clock, which the days and the pictures follow, too.
    """
    shown: dict[str, Any] = {}
    for each in fields(thing):
        value = getattr(thing, each.name)
        if isinstance(value, datetime):
            here = clock.here(value)
            if here.utcoffset() != value.utcoffset():
                shown[each.name] = here
        elif isinstance(value, Piece):
            shown[each.name] = in_zone(value, clock)
    return replace(thing, **shown) if shown else thing


def _add_to_days(
    events: Sequence[Event], readings: Sequence[Reading], days: Sequence[_DayParts]
) -> None:
    """Add what is known of a window to each of the days that it touches."""
    starts = [day.range.start for day in days]
    for event in events:
        # When the pump noted it does not matter here.
        ends = event.at if isinstance(event, PumpEvent) else event.ends
        first, last = (bisect_right(starts, at) for at in (event.begins, ends))
        for day in days[max(first, 1) - 1 : last]:
            if event.begins < day.range.end and _reaches(event, ends, day.range.start):
                day.events.append(event)
    for reading in readings:
        number = bisect_right(starts, reading.at)
        if number and reading.at < days[number - 1].range.end:
            days[number - 1].readings.append(reading)


def _reaches(event: Event, ends: datetime, midnight: datetime) -> bool:
    """Return whether an event belongs to the day that begins at a midnight, or to one after it.

    A bolus that ends in the second of midnight counts on the day that begins.
    """
    is_over = ends < midnight if isinstance(event, Bolus) else ends <= midnight
    return event.begins >= midnight or not is_over


def _unread(history: History, time_range: TimeRange) -> bool:
    """Return whether some insulin of a range could not be read."""
    return any(
        INSULIN & set(failure.features)
        and failure.window.start < time_range.end
        and failure.window.end > time_range.start
        for failure in history.outcome.failures
    )


def _profile(settings: PumpSettings | None) -> list[tuple[int, float]]:
    active = next((it for it in settings.profiles if it.active), None) if settings else None
    return [
        (it.start.hour * 3600 + it.start.minute * 60, it.basal_rate)
        for it in (active.segments if active else ())
    ]
