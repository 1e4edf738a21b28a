"""The glucose of half a day: the band, dots, and a line that ends where readings are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import TypeVar

from tconnectsync.domain.events import Reading
from tconnectsync.report.drawing.layout import WIDTH, Drawn, Half
from tconnectsync.report.drawing.scales import Scale
from tconnectsync.report.drawing.svgpaths import (
    Shape,
    Text,
    diamond,
    dots,
    line,
    polyline,
    rectangle,
    text,
)
from tconnectsync.report.model import IN_RANGE, LEVELS
from tconnectsync.report.wording import glucose_text, glucose_unit

LONGEST_STEP = timedelta(minutes=15)
"""No line is drawn over more time without a reading."""
_, LOW, TARGET_TOP, _ = LEVELS
Point = TypeVar("Point")


def unbroken(
    points: Sequence[Point], is_gap: Callable[[Point, Point], bool]
) -> Iterator[Sequence[Point]]:
    """Yield the parts of some points between which there are gaps; none of no points."""
    begin = 0
    for index in range(1, len(points) + 1):
        if index == len(points) or is_gap(points[index - 1], points[index]):
            yield points[begin:index]
            begin = index


def _band(reading: Reading) -> str:
    if reading.glucose in IN_RANGE:
        return "ok"
    return "low" if reading.glucose < LOW else "high"


def glucose_plot(half: Half) -> Drawn:
    """Return the readings of half a day over the band in range."""
    x, y = half.x, half.axes.glucose
    drawn: Drawn = [Shape("band", rectangle(0, y(TARGET_TOP), WIDTH, y(LOW)))]
    drawn += [Shape("level", "".join(line(0, y(it), WIDTH, y(it)) for it in LEVELS))]
    begin, end = x.range.start - LONGEST_STEP, x.range.end + LONGEST_STEP
    near = [it for it in half.day.readings if begin <= it.at <= end]
    measured = [it for it in near if it.is_of_sensor]
    lines = [
        polyline((x(it.at), y(it.glucose)) for it in part)
        for part in unbroken(measured, lambda one, following: following.at - one.at > LONGEST_STEP)
        if len(part) > 1
    ]
    if lines:
        drawn.append(Shape("trace", "".join(lines)))
    for css, group in groupby(sorted(measured, key=_band), _band):
        drawn.append(Shape(f"dot {css}", dots((x(it.at), y(it.glucose)) for it in group)))
    for it in near:
        if not it.is_of_sensor:
            value = glucose_text(it.glucose, mmol=half.axes.mmol)
            title = f"{it.at:%H:%M} {value} {glucose_unit(mmol=half.axes.mmol)}, entered"
            drawn.append(Shape("finger", diamond(x(it.at), y(it.glucose), 4), title))
    return drawn


def glucose_axis(y: Scale, x: float, *, mmol: bool) -> Iterator[Text]:
    """Yield the values at the levels, with the highest one and the unit, left of a place."""
    top = y.high
    for level in (*LEVELS, top):
        # 54 and 70 lie closer together than two lines of text.
        apart = {LEVELS[0]: 8.0, LOW: 2.0, top: 11.0}.get(level, 4.0)
        yield text("end", x, y(level) + apart, glucose_text(level, mmol=mmol))
    yield text("", 0, y.end - 4, glucose_unit(mmol=mmol))
