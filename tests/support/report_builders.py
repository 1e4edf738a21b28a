"""Builders of what a report shows: days of which a test says what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tconnectsync.domain.clock import DAY, PumpClock, TimeRange
from tconnectsync.domain.events import Basal, Bolus, Reading, ReadingKind
from tconnectsync.report.model import BANDS, Day, Glucose, Percentiles, Report, Totals

ZONE = "Europe/Berlin"
CLOCK = PumpClock(ZoneInfo(ZONE))
FIRST = date(2026, 3, 2)
NOTHING = Totals(0, 0, 0, 0)


def when(hours: float, day: date = FIRST) -> datetime:
    """Return the instant some hours after a day began, however its clock is set meanwhile."""
    return CLOCK.here(CLOCK.midnight(day) + timedelta(hours=hours))


def day(of: date = FIRST, **known: object) -> Day:
    """Return a day of which nothing is known but what is given."""
    midnights = TimeRange(CLOCK.midnight(of), CLOCK.midnight(of + DAY))
    empty = Day(of, midnights, NOTHING, (), (), (), (), (), (), (), ())
    return replace(empty, **known)  # type: ignore[arg-type]


def bolus(at: datetime, insulin: float, **other: object) -> Bolus:
    """Return a bolus that a person asked for and that was given whole."""
    whole = Bolus(
        key=f"bolus {at}",
        requested_at=at,
        completed=at + timedelta(minutes=2),
        insulin=insulin,
        requested=insulin,
        carbs=0,
        description="Standard Bolus",
        incomplete="",
        override=False,
    )
    return replace(whole, **other)  # type: ignore[arg-type]


def basal(
    at: datetime, hours: float, rate: float = 1.0, *, profile_rate: float | None = None
) -> Basal:
    """Return basal insulin at one rate, in U/h."""
    lasted = timedelta(hours=hours)
    return Basal(f"basal {at}", at, lasted, rate, "Profile", profile_rate=profile_rate)


def readings(at: datetime, *values: int, kind: ReadingKind = ReadingKind.SENSOR) -> list[Reading]:
    """Return readings every five minutes, in mg/dL."""
    times = [at + timedelta(minutes=5 * index) for index in range(len(values))]
    return [
        Reading(f"reading {each}", each, value, kind)
        for each, value in zip(times, values, strict=True)
    ]


def glucose(**known: object) -> Glucose:
    """Return figures of which a test cares only for those that are given."""
    shares = {band.name: 0.2 for band in BANDS}
    profile = [Percentiles(minute, 80, 100, 120, 140, 190) for minute in range(0, 1440, 60)]
    return replace(Glucose(288, 1.0, 126.0, 42.0, 6.3, shares, profile), **known)  # type: ignore[arg-type]


def report(*days: Day, **known: object) -> Report:
    """Return the report of some days, the newest first."""
    dates = [each.date for each in days] or [FIRST]
    plain = Report(
        made_at=when(9, max(dates) + DAY),
        first=min(dates),
        last=max(dates),
        zone=ZONE,
        pumps=("t:slim X2 …0042",),
        person="",
        mmol=False,
        days=days,
        average=NOTHING,
        averaged_days=0,
        glucose=None,
        worn=(),
        suspensions=0,
        suspended_for=timedelta(0),
        alarms={},
        profile=(),
        compared=(),
        not_compared=(),
        why_not_compared="Nightscout was not asked.",
        remarks=(),
    )
    return replace(plain, **known)  # type: ignore[arg-type]
