"""The pictures of the first page: the bands of glucose as a bar, and glucose over the day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tconnectsync.report.drawing.glucoseplot import LOW, TARGET_TOP, glucose_axis, unbroken
from tconnectsync.report.drawing.layout import LOWEST
from tconnectsync.report.drawing.scales import Scale, top_of_glucose
from tconnectsync.report.drawing.svgpaths import Shape, Text, line, polyline, rectangle, text
from tconnectsync.report.glucosefigures import MINUTES_OF_DAY
from tconnectsync.report.model import BANDS, LEVELS, Glucose

HOURS = range(0, MINUTES_OF_DAY + 1, 180)
NAMED_HOURS = HOURS[::2]
LEFT, RIGHT, TOP, BOTTOM = 46.0, 418.0, 17.0, 200.0
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
            path = rectangle(left, 0, right, BAR[1])
            shapes += [Shape(f"band{number}", path), Shape(f"over{number}", path, band.name)]
        left = right
    return shapes


def draw_profile(glucose: Glucose, *, mmol: bool) -> Picture:
    """Return how glucose was over the day: the median within two bands of percentiles."""
    highest = max((it.p95 for it in glucose.profile), default=0)
    x = Scale(0, MINUTES_OF_DAY, LEFT, RIGHT)
    y = Scale(LOWEST, top_of_glucose(highest, mmol=mmol), BOTTOM, TOP)
    shapes = [
        Shape("band", rectangle(LEFT, y(TARGET_TOP), RIGHT, y(LOW))),
        Shape("level", "".join(line(LEFT, y(it), RIGHT, y(it)) for it in LEVELS)),
        Shape("hours", "".join(line(x(it), TOP, x(it), BOTTOM) for it in HOURS)),
    ]
    steps = [after.minute - before.minute for before, after in pairwise(glucose.profile)]
    usual = min(steps, default=0)
    for part in unbroken(glucose.profile, lambda one, other: other.minute - one.minute > usual):
        wide = [(x(it.minute), y(it.p95)) for it in part]
        wide += [(x(it.minute), y(it.p5)) for it in reversed(part)]
        close = [(x(it.minute), y(it.p75)) for it in part]
        close += [(x(it.minute), y(it.p25)) for it in reversed(part)]
        middle = [(x(it.minute), y(it.p50)) for it in part]
        shapes += [Shape("p90", polyline(wide) + "Z"), Shape("p50", polyline(close) + "Z")]
        shapes.append(Shape("median", polyline(middle)))
    return Picture(shapes, list(_texts(x, y, mmol=mmol)))


def _texts(x: Scale, y: Scale, *, mmol: bool) -> Iterator[Text]:
    yield from glucose_axis(y, LEFT - 5, mmol=mmol)
    for minute in NAMED_HOURS:
        css = "end" if minute == MINUTES_OF_DAY else "mid" if minute else ""
        yield text(css, x(minute), BOTTOM + 14, f"{minute // 60:02}:00")
