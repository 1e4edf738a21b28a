"""Writes the report as one page of HTML that needs no script and loads nothing.

What tests and other programs may rely on: ``<main data-averaged-days>`` with the ``data-basal``,
``data-bolus``, ``data-automatic`` and ``data-carbs`` of the average; ``<section class="day"
id="day-2026-03-01">`` per day with the same four (U and g, to the hundredth), ``data-readings``
(how many) and ``data-boluses``; in it ``<div class="picture">`` with two ``<svg role="img">``, or
``<p class="no-data">``; ``#time-in-range``, ``#profile``, ``#totals``, ``#worn``, ``#suspensions``,
``#alarms``, ``#compared`` (with ``<tr data-difference>``), ``#remarks``, ``#definitions`` and
``#disclaimer``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from statistics import fmean
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from tconnectsync import __version__
from tconnectsync.domain.clock import DAY, PumpClock
from tconnectsync.domain.events import ReadingKind
from tconnectsync.domain.words import number_of
from tconnectsync.report import wording
from tconnectsync.report.compare import HOW_IT_COUNTS
from tconnectsync.report.daylist import Entry, entries
from tconnectsync.report.drawing.daypicture import DayPicture, draw_day
from tconnectsync.report.drawing.layout import Axes, axes_of
from tconnectsync.report.drawing.overview import draw_bands, draw_profile
from tconnectsync.report.glucosefigures import GMI_BASE, GMI_PER_MGDL
from tconnectsync.report.model import BANDS, IN_RANGE, LEVELS, Day, Glucose, Report, Worn
from tconnectsync.report.wording import duration, glucose_text, glucose_unit


@dataclass(frozen=True, slots=True)
class DayView:
    """A day with all that is shown of it."""

    day: Day
    picture: DayPicture | None
    """``None`` if nothing is known of the day."""
    entries: Sequence[Entry]
    until: str
    """At what time the report ends on this day; empty if that is at midnight."""
    mean: str
    """Mean glucose with its unit; empty without readings."""
    in_range: str
    """The share of readings in range; empty without readings."""


@dataclass(frozen=True, slots=True)
class BandView:
    """A band of glucose with its share, in words."""

    number: int
    name: str
    range: str
    share: str
    per_day: str
    """How long that is in a day, on average."""


@dataclass(frozen=True, slots=True)
class WornView:
    """How long the sites, the cartridges or the sensors lasted."""

    kind: str
    count: int
    mean: str
    shortest: str
    longest: str
    all: Sequence[Worn]


def render(report: Report) -> str:
    """Return the whole page.

    Raises:
        ZoneInfoNotFoundError: the zone of the report has no such name.
    """
    environment = Environment(
        loader=PackageLoader("tconnectsync.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with_year = report.first.year != report.last.year
    environment.filters.update(
        amount=wording.amount,
        dates=wording.dates,
        glucose=lambda mgdl: glucose_text(mgdl, mmol=report.mmol),
        grams=wording.grams,
        long_date=wording.long_date,
        moment=partial(wording.moment, with_year=with_year),
        percent=wording.percent,
        short_date=partial(wording.short_date, with_year=with_year),
        lasted=lambda span: (duration if span < 2 * DAY else wording.days_and_hours)(span),
        days_and_hours=wording.days_and_hours,
    )
    text = environment.get_template("report.html").render(_context(report))
    return text.encode("utf-8", "replace").decode()  # No file can hold half characters.


def _context(report: Report) -> Mapping[str, object]:
    axes = axes_of(report, PumpClock(ZoneInfo(report.zone)))
    return {
        "report": report,
        "version": __version__,
        "number_of": number_of,
        "days": (_view(day, axes) for day in report.days),
        "unit": glucose_unit(mmol=report.mmol),
        "levels": [glucose_text(it, mmol=report.mmol) for it in LEVELS],
        "mean": report.glucose and glucose_text(report.glucose.mean, mmol=report.mmol),
        "bands": list(_bands(report.glucose, mmol=report.mmol)) if report.glucose else [],
        "bands_picture": report.glucose and draw_bands(report.glucose),
        "profile_picture": report.glucose and draw_profile(report.glucose, mmol=report.mmol),
        "worn": list(_worn(report.worn)),
        "alarms": sorted(report.alarms.items(), key=lambda item: (-item[1], item[0])),
        "gmi": f"{GMI_BASE} + {GMI_PER_MGDL} × mean glucose in mg/dL",
        "different": sum(it.differs for it in report.compared),
        "how_it_counts": HOW_IT_COUNTS,
    }


def _view(day: Day, axes: Axes) -> DayView:
    values = [it.glucose for it in day.readings if it.kind is ReadingKind.SENSOR]
    in_range = sum(IN_RANGE.low <= value < IN_RANGE.high for value in values)
    unit = glucose_unit(mmol=axes.mmol)
    midnight = axes.clock.midnight(day.date + DAY)
    return DayView(
        day,
        draw_day(day, axes) if day.has_data else None,
        entries(day, mmol=axes.mmol),
        "" if day.range.end >= midnight else f"{axes.clock.here(day.range.end):%H:%M}",
        f"{glucose_text(fmean(values), mmol=axes.mmol)} {unit}" if values else "",
        wording.percent(in_range / len(values)) if values else "",
    )


def _bands(glucose: Glucose, *, mmol: bool) -> Iterator[BandView]:
    """Yield the bands from the highest to the lowest, as people read them."""
    levels = [glucose_text(it, mmol=mmol) for it in LEVELS]
    ranges = [
        f"below {levels[0]}",
        f"{levels[0]} to below {levels[1]}",
        f"{levels[1]} to {levels[2]}",
        f"above {levels[2]} to {levels[3]}",
        f"above {levels[3]}",
    ]
    for number, band in reversed(list(enumerate(BANDS))):
        share = glucose.shares.get(band.name, 0)
        yield BandView(
            number, band.name, ranges[number], wording.percent(share), duration(share * DAY)
        )


def _worn(worn: Sequence[Worn]) -> Iterator[WornView]:
    """Yield the kinds of what was worn, with how long those lasted that have ended."""
    for kind, group in groupby(sorted(worn, key=attrgetter("kind", "began")), attrgetter("kind")):
        all_of_kind = list(group)
        spans = [it.ended - it.began for it in all_of_kind if it.ended]
        mean = sum(spans, timedelta()) / len(spans) if spans else None
        yield WornView(
            kind,
            len(spans),
            wording.days_and_hours(mean) if mean else "",
            wording.days_and_hours(min(spans)) if spans else "",
            wording.days_and_hours(max(spans)) if spans else "",
            all_of_kind,
        )
