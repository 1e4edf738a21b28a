"""Where the parts of a day's picture lie, and the scales that all days of a report share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tconnectsync.domain.clock import PumpClock
from tconnectsync.report.drawing.scales import Scale, TimeScale, round_up, top_of_glucose
from tconnectsync.report.drawing.svgpaths import LINE, Shape, Text
from tconnectsync.report.model import Day, Report

WIDTH = 400.0
"""Of half a day."""
LOWEST, HIGHEST = 40.0, 400.0
"""mg/dL at the bottom of the glucose axis, and the highest that a sensor gives."""
GLUCOSE = (0.0, 140.0)
"""Top and bottom of the glucose plot; events stand above it."""
BOLUS = (142.0, 204.0)
"""Top of the labels of boluses, and the line on which boluses stand."""
TALLEST_BOLUS = 34.0
CARBS = 217.0
"""The line on which carbs are written."""
BASAL = (225.0, 267.0)
"""Top and bottom of the basal plot."""
STRIPS = 270.0
"""The top of the strips for sleep, exercise and suspensions."""
STRIP = LINE

Drawn = list[Shape | Text]


@dataclass(frozen=True, slots=True)
class Axes:
    """The scales of a report; one unit has the same height on every day."""

    clock: PumpClock
    mmol: bool
    glucose: Scale
    """mg/dL to heights."""
    bolus: Scale
    """U to the heights of bars."""
    basal: Scale
    """U/h to heights."""
    profile: Sequence[tuple[int, float]]
    """See :attr:`Report.profile`."""


@dataclass(frozen=True, slots=True)
class Half:
    """Half a day to be drawn."""

    day: Day
    x: TimeScale
    axes: Axes


def axes_of(report: Report, clock: PumpClock) -> Axes:
    """Return the scales in which all of a report has room."""
    values = [it.glucose for day in report.days for it in day.readings]
    boluses = [max(it.insulin, it.requested or 0) for day in report.days for it in day.boluses]
    rates = [it.rate for day in report.days for it in day.basals]
    rates += [rate for _, rate in report.profile]
    top = top_of_glucose(min(max(values, default=0), HIGHEST), mmol=report.mmol)
    return Axes(
        clock,
        report.mmol,
        Scale(LOWEST, top, *reversed(GLUCOSE)),
        Scale(0, max(5.0, *boluses, 0), 4, TALLEST_BOLUS),
        Scale(0, round_up(max(1.0, *rates, 0)), BASAL[1], BASAL[0]),
        report.profile,
    )
