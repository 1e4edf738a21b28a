"""The picture of one day: glucose, boluses, carbs, basal and what else happened, over the hours.

It has two halves of equal time: side by side on paper and on wide screens, one below the other on a
phone. All days have the same scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tconnectsync.domain.clock import DAY, TimeRange
from tconnectsync.report.drawing.eventmarks import event_lane, strips, strips_height
from tconnectsync.report.drawing.glucoseplot import glucose_axis, glucose_plot
from tconnectsync.report.drawing.insulinplot import basal_plot, bolus_lane, carbs_row
from tconnectsync.report.drawing.layout import (
    BASAL,
    BOLUS,
    CARBS,
    GLUCOSE,
    STRIP,
    STRIPS,
    WIDTH,
    Axes,
    Drawn,
    Half,
)
from tconnectsync.report.drawing.scales import TimeScale, clock_changes, halves, ticks
from tconnectsync.report.drawing.svgpaths import LINE, Shape, Text, line, rectangle, short, text
from tconnectsync.report.model import Day
from tconnectsync.report.wording import amount, duration

GUTTER = 46.0
"""The width of the axis beside a half."""


@dataclass(frozen=True, slots=True)
class HalfPicture:
    """Half a day, drawn."""

    name: str
    """From when to when, such as ``00:00 to 12:00``."""
    shapes: Sequence[Shape]
    texts: Sequence[Text]


@dataclass(frozen=True, slots=True)
class DayPicture:
    """A day, drawn: an axis that stands on the left of each row, and two halves."""

    top: str
    """The upper end of the picture; what lies above the glucose plot is negative."""
    height: str
    axis: Sequence[Text]
    halves: Sequence[HalfPicture]


def draw_day(day: Day, axes: Axes) -> DayPicture:
    """Return the picture of a day, over all hours of the pump's calendar day."""
    whole = TimeRange(axes.clock.midnight(day.date), axes.clock.midnight(day.date + DAY))
    drawn = [(part, _half(Half(day, TimeScale(part, WIDTH), axes), day)) for part in halves(whole)]
    highest = min(
        (float(it.y) for _, marks in drawn for it in marks if isinstance(it, Text)), default=0
    )
    top = min(highest, -4) - LINE
    bottom = STRIPS + strips_height(bool(day.modes), bool(day.suspended))
    pictures = [
        _with_hours(day, part, marks, axes, bottom, is_last=part.end == whole.end)
        for part, marks in drawn
    ]
    return DayPicture(short(top), short(bottom + LINE + 3 - top), list(_axis(day, axes)), pictures)


def _half(half: Half, day: Day) -> Drawn:
    return [
        *glucose_plot(half),
        *basal_plot(half),
        *bolus_lane(half),
        *carbs_row(half),
        *event_lane(half),
        *strips(half),
    ]


def _with_hours(
    day: Day, part: TimeRange, marks: Drawn, axes: Axes, bottom: float, *, is_last: bool
) -> HalfPicture:
    """Add the hours of the pump's clock, and what lies after the end of the report."""
    x = TimeScale(part, WIDTH)
    behind: Drawn = []
    for css, ends in (("hour", STRIPS), ("hours", bottom)):
        lines = [
            line(x(it.at), GLUCOSE[0], x(it.at), ends)
            for it in ticks(part, axes.clock)
            if bool(it.text) == (css == "hours")
        ]
        behind.append(Shape(css, "".join(lines)))
    if day.range.end < part.end:
        left = max(0.0, x(day.range.end))
        behind.append(Shape("rest", rectangle(left, GLUCOSE[0], WIDTH, BASAL[1])))
    texts = [
        text("" if x(it.at) < 20 else "mid", x(it.at), bottom + LINE, it.text)
        for it in ticks(part, axes.clock)
        if it.text
    ]
    if is_last:
        texts = [it for it in texts if float(it.x) < WIDTH - 50]
        texts.append(text("end", WIDTH, bottom + LINE, "24:00"))
    for at, changed in clock_changes(part, axes.clock):
        behind.append(Shape("clock", line(x(at), GLUCOSE[0], x(at), bottom)))
        words = f"clock {'forward' if changed > timedelta(0) else 'back'} {duration(abs(changed))}"
        texts.append(text("", x(at) + 3, GLUCOSE[0] + 22, words))
    shapes = [it for it in [*behind, *marks] if isinstance(it, Shape)]
    texts += [it for it in marks if isinstance(it, Text)]
    end = "24:00" if is_last else f"{axes.clock.here(part.end):%H:%M}"
    return HalfPicture(f"{axes.clock.here(part.start):%H:%M} to {end}", shapes, texts)


def _axis(day: Day, axes: Axes) -> Iterator[Text]:
    x = GUTTER - 5
    yield from glucose_axis(axes.glucose, x, mmol=axes.mmol)
    yield text("end", x, BOLUS[1] - 1, "bolus")
    yield text("end", x, CARBS, "carbs")
    yield text("end", x, BASAL[0] + 9, amount(axes.basal.high))
    yield text("end", x, BASAL[1] + 1, "basal")
    rows = ["mode"] * bool(day.modes) + ["stop"] * bool(day.suspended)
    for row, words in enumerate(rows, start=1):
        yield text("end", x, STRIPS + row * STRIP - 3, words)
