"""One day of the pump's calendar: what happened, its sums, and what of it is not known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from tconnectsync.domain.clock import DAY, MINUTE, PumpClock, TimeRange, merged, without
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    Event,
    PumpEvent,
    PumpEventKind,
    Reading,
    UserMode,
)
from tconnectsync.report.insulin import exact_sum, insulin_of_rates, overlap
from tconnectsync.report.model import Day, Totals

SHORTEST_GAP = MINUTE
"""What is missing between two basals for less than that is rounding."""
MOST_UNKNOWN = timedelta(minutes=30)
"""A day of which no more than that is unknown counts for the average."""
STOPPED = (PumpEventKind.SUSPENSION, PumpEventKind.SITE_CHANGE)


def stops_in(events: Iterable[PumpEvent]) -> set[datetime]:
    """Return when the pump itself stopped, by what some events report."""
    return {event.at for event in events if event.kind in STOPPED}


def day_of(
    time_range: TimeRange,
    events: Sequence[Event],
    readings: Sequence[Reading],
    stops: Collection[datetime],
    clock: PumpClock,
    *,
    unread: bool = False,
) -> Day:
    """Return one day of the pump's calendar.

    Args:
        time_range: from midnight to midnight, or to the end of the report.
        events: all that touch the day, in order of their beginnings.
        readings: those of the day, in time order.
        stops: when the pump itself stopped.
        clock: the pump's.
        unread: whether some of the day's insulin is known to be missing.
    """
    start, end = time_range.start, time_range.end
    basals = [it for it in events if isinstance(it, Basal) and it.duration]
    boluses = [it for it in events if isinstance(it, Bolus)]
    carbs = [it for it in events if isinstance(it, CarbEntry)]
    gaps = without([(start, end)], [(it.begins, it.ends) for it in basals])
    # Of a site change, t:connect reports no basal of 0 U/h.
    changes = [it for it in gaps if it[0] in stops and it[1] - it[0] <= MOST_UNKNOWN]
    gaps = [it for it in gaps if it not in changes and it[1] - it[0] >= SHORTEST_GAP]
    unknown = sum((stop - begin for begin, stop in gaps), timedelta())
    stood = merged([*_stood_still(time_range, basals, stops), *changes])
    date = clock.day(start)
    is_whole = start == clock.midnight(date) and end == clock.midnight(date + DAY)
    return Day(
        date=date,
        range=time_range,
        totals=totals(time_range, basals, boluses, carbs),
        basals=basals,
        boluses=boluses,
        carbs=carbs,
        modes=[it for it in events if isinstance(it, UserMode)],
        events=[it for it in events if isinstance(it, PumpEvent)],
        readings=readings,
        suspended=[TimeRange(clock.here(begin), clock.here(stop)) for begin, stop in stood],
        gaps=[TimeRange(clock.here(begin), clock.here(stop)) for begin, stop in gaps],
        is_whole=is_whole and unknown <= MOST_UNKNOWN and not unread,
    )


def totals(
    time_range: TimeRange,
    basals: Iterable[Basal],
    boluses: Iterable[Bolus],
    carbs: Iterable[CarbEntry],
) -> Totals:
    """Return the sums of a day: of basals the part within it, of boluses those that ended in it."""
    start, end = time_range.start, time_range.end
    ended = [it for it in boluses if start <= it.ends < end]
    return Totals(
        basal=insulin_of_rates((it.rate, overlap(it.begins, it.ends, time_range)) for it in basals),
        bolus=exact_sum(it.insulin for it in ended),
        # Elsewhere a later part counts as automatic, but a person asked for it.
        automatic=exact_sum(it.insulin for it in ended if it.automatic and not it.is_later_part),
        carbs=exact_sum([*(it.carbs for it in ended), *(it.carbs for it in carbs)]),
    )


def _stood_still(
    time_range: TimeRange, basals: Iterable[Basal], stops: Collection[datetime]
) -> Iterator[tuple[datetime, datetime]]:
    """Yield when the pump stood still; where a basal does not say it, an event at its beginning."""
    for basal in basals:
        stood = basal.begins in stops if basal.suspended is None else basal.suspended
        if stood and not basal.rate:
            yield max(basal.begins, time_range.start), min(basal.ends, time_range.end)


def average(totals: Sequence[Totals]) -> Totals:
    """Return the mean of some days; zeros without any."""
    number = len(totals) or 1
    return Totals(
        basal=exact_sum(it.basal for it in totals) / number,
        bolus=exact_sum(it.bolus for it in totals) / number,
        automatic=exact_sum(it.automatic for it in totals) / number,
        carbs=exact_sum(it.carbs for it in totals) / number,
    )
