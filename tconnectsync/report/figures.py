"""From a pump's story to a report: its days, their sums, and all that follows from them.

A report of a simulated life, as the demo and the tests need it, takes a few lines::

    world = World(tandem, site)  # tests/support/world.py; ``tandem`` is live(FIRST, 14) in a cloud
    history = open_history(world.host.configuration().completed(), world.host)
    report = make_report(history, date_range(FIRST, FIRST + 13 * DAY, history.clock, history.now()))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta

from tconnectsync.domain.clock import TimeRange, merged
from tconnectsync.domain.events import (
    Event,
    PumpEvent,
    PumpEventKind,
)
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import TconnectsyncError
from tconnectsync.history import History
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.report.compare import compare
from tconnectsync.report.days import average, day_of, stops_in
from tconnectsync.report.glucose import Values
from tconnectsync.report.model import Compared, Day, Report
from tconnectsync.report.remarks import sentences
from tconnectsync.report.wear import worn
from tconnectsync.sync.run.window import windows

NO_SITE = "No Nightscout site is set (NS_URL and NS_SECRET), so there is nothing to compare with."
ALARMS = (PumpEventKind.ALARM, PumpEventKind.CGM_ALERT)
INSULIN = frozenset({"BASAL", "BOLUS"})
"""The features that the totals are made of."""
Progress = Callable[[list[TimeRange]], Iterable[TimeRange]]


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
    values, clock = Values(), history.clock
    events: list[PumpEvent] = []
    days = list(_days(history, time_range, values, events, progress))
    compared: list[Compared] = []
    remarks = list(sentences(history.outcome, clock))
    if nightscout:
        try:
            compared, more = compare(days, nightscout)
        except TconnectsyncError as error:
            why_not_compared = f"Nightscout could not be asked, so nothing is compared. {error}"
            more = [why_not_compared]
        remarks += more
    stops = merged((it.start, it.end) for day in days for it in day.suspended)
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
        glucose=values.glucose(),
        worn=worn(events),
        suspensions=len(stops),
        suspended_for=sum((end - start for start, end in stops), timedelta()),
        alarms=Counter(it.text for day in days for it in day.events if it.kind in ALARMS),
        profile=_profile(settings),
        compared=compared[::-1],
        why_not_compared="" if compared else why_not_compared,
        remarks=remarks,
    )


def has_data(report: Report) -> bool:
    """Return whether anything at all is known of the range of a report."""
    return any(
        day.basals or day.boluses or day.carbs or day.modes or day.events or day.readings
        for day in report.days
    )


def _days(
    history: History,
    time_range: TimeRange,
    values: Values,
    happened: list[PumpEvent],
    progress: Progress,
) -> Iterator[Day]:
    """Yield the days of a range in time order; what lasts goes on in the next window.

    All that happened is added to ``happened``, also what began before the range.
    """
    lasting: list[Event] = []
    planned = list(windows(time_range, history.source.window_days, history.clock))
    for _, window in zip(progress(planned), history.windows(time_range), strict=False):
        events = [*lasting, *window.events]
        happened += [it for it in window.events if isinstance(it, PumpEvent)]
        stops = stops_in(happened)
        for each in windows(window.range, 1, history.clock):
            unread = _unread(history, each)
            day = day_of(each, events, window.readings, stops, history.clock, unread=unread)
            values.add(day.readings, each)
            yield day
        lasting = [event for event in events if event.ends > window.range.end]


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
