"""The pictures of the first page: the bands of glucose as a bar, and glucose over the day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tconnectsync.report.drawing.glucose import LEVELS, LOW, TARGET_TOP
from tconnectsync.report.drawing.layout import LOWEST
from tconnectsync.report.drawing.scales import Scale, top_of_glucose
from tconnectsync.report.drawing.shapes import Shape, Text, line, polyline, rectangle, text
from tconnectsync.report.model import BANDS, Glucose, Percentiles
from tconnectsync.report.words import glucose_text, glucose_unit

DAY_MINUTES = 1440
HOURS = range(0, DAY_MINUTES + 1, 180)
LEFT, RIGHT, BOTTOM = 46.0, 516.0, 200.0
BAR = (500.0, 34.0)
"""Width and height of the bar of bands."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, drawn."""

    shapes: Sequence[Shape]
    texts: Sequence[Text]


def draw_bands(glucose: Glucose) -> list[Shape]:
    """Return the shares of the bands side by side, each with a pattern of its own."""
    shapes: list[Shape] = []
    left = 0.0
    for number, band in enumerate(BANDS):
        right = left + glucose.shares.get(band.name, 0) * BAR[0]
        if right > left:
            shapes.append(Shape(f"band{number}", rectangle(left, 0, right, BAR[1]), band.name))
        left = right
    return shapes


def draw_profile(glucose: Glucose, *, mmol: bool) -> Picture:
    """Return how glucose was over the day: the median within two bands of percentiles."""
    highest = max((it.p95 for it in glucose.profile), default=0)
    x = Scale(0, DAY_MINUTES, LEFT, RIGHT)
    y = Scale(LOWEST, top_of_glucose(highest), BOTTOM, 16)
    shapes = [
        Shape("band", rectangle(LEFT, y(TARGET_TOP), RIGHT, y(LOW))),
        Shape("level", "".join(line(LEFT, y(it), RIGHT, y(it)) for it in LEVELS)),
        Shape("hours", "".join(line(x(it), 16, x(it), BOTTOM) for it in HOURS)),
    ]
    for part in _parts(glucose.profile):
        wide = [(x(it.minute), y(it.p95)) for it in part]
        wide += [(x(it.minute), y(it.p5)) for it in reversed(part)]
        close = [(x(it.minute), y(it.p75)) for it in part]
        close += [(x(it.minute), y(it.p25)) for it in reversed(part)]
        middle = [(x(it.minute), y(it.p50)) for it in part]
        shapes += [Shape("p90", polyline(wide) + "Z"), Shape("p50", polyline(close) + "Z")]
        shapes.append(Shape("median", polyline(middle)))
    return Picture(shapes, list(_texts(x, y, mmol=mmol)))


def _parts(profile: Sequence[Percentiles]) -> Iterator[Sequence[Percentiles]]:
    """Yield the parts between which there are no percentiles."""
    between = [b.minute - a.minute for a, b in pairwise(profile)]
    usual = min(between, default=0)
    begin = 0
    for index in range(1, len(profile) + 1):
        if index == len(profile) or between[index - 1] > usual:
            yield profile[begin:index]
            begin = index


def _texts(x: Scale, y: Scale, *, mmol: bool) -> Iterator[Text]:
    yield text("end", LEFT - 5, 9, glucose_unit(mmol=mmol))
    for level in (*LEVELS, y.high):
        apart = {LEVELS[0]: 8.0, LOW: 2.0, y.high: 9.0}.get(level, 4.0)
        yield text("end", LEFT - 5, y(level) + apart, glucose_text(level, mmol=mmol))
    for minute in HOURS:
        css = "end" if minute == DAY_MINUTES else "mid" if minute else ""
        yield text(css, x(minute), BOTTOM + 14, f"{minute // 60:02}:00")
