"""What else happened in half a day: changes and alarms above, sleep and suspensions below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import PumpEventKind, UserModeKind
from tconnectsync.report.daylist import MODE_NAMES, mode_text
from tconnectsync.report.drawing.labels import Box, place
from tconnectsync.report.drawing.layout import GLUCOSE, STRIP, STRIPS, WIDTH, Drawn, Half
from tconnectsync.report.drawing.shapes import (
    LINE,
    Shape,
    circle,
    diamond,
    line,
    rectangle,
    square,
    text,
    triangle,
    width_of,
)
from tconnectsync.report.wording import duration

LONGEST_LABEL = 26
"""Letters; the whole text is in the title and in the list."""
ROWS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind of event is drawn."""

    css: str
    path: Callable[[float, float, float], str]
    label: str
    """What is written beside it; empty: its own text."""


LOOKS = {
    PumpEventKind.ALARM: Look("alarm", triangle, ""),
    PumpEventKind.SITE_CHANGE: Look("site", circle, "site"),
    PumpEventKind.CARTRIDGE: Look("cartridge", square, "cartridge"),
    PumpEventKind.SENSOR_START: Look("sensor", diamond, "sensor starts"),
    PumpEventKind.SENSOR_STOP: Look("sensor stop", diamond, "sensor ends"),
    PumpEventKind.NO_CHANGE: Look("cartridge none", square, ""),
}
"""The kinds with a label, the most important first. Suspensions have a strip."""


def event_lane(half: Half) -> Drawn:
    """Return the events with their labels, from just above the glucose plot upwards."""
    order = list(LOOKS)
    events = [(it, half.x(it.at)) for it in half.day.events if it.kind in LOOKS]
    seen = sorted(
        ((it, x) for it, x in events if 0 <= x < WIDTH), key=lambda pair: order.index(pair[0].kind)
    )
    words = [_shortened(LOOKS[it.kind].label or it.text) for it, _ in seen]
    boxes = [_beside(x, each) for (_, x), each in zip(seen, words, strict=True)]
    frame = Box(-6, -2 - ROWS * LINE, WIDTH + 6, GLUCOSE[0])
    spots = place(boxes, [(0.0, -row * LINE) for row in range(ROWS)], frame, ())
    drawn: Drawn = []
    for (event, x), box, each, spot in zip(seen, boxes, words, spots, strict=True):
        look, at = LOOKS[event.kind], spot or box
        middle = (at.top + at.bottom) / 2
        drawn.append(Shape("guide", line(x, middle + 5, x, GLUCOSE[1])))
        drawn.append(Shape(look.css, look.path(x, middle, 4), f"{event.at:%H:%M} {event.text}"))
        if spot:
            on_the_left = box.right < x + 7
            place_of_text = x - 7 if on_the_left else x + 7
            drawn.append(text("end" if on_the_left else "", place_of_text, middle + 4, each))
    return drawn + _alerts(half)


def _alerts(half: Half) -> Drawn:
    """Return the alerts about glucose as small marks without words: there may be many."""
    y = GLUCOSE[0] + 5
    return [
        Shape("alert", triangle(half.x(it.at), y, 3), f"{it.at:%H:%M} {it.text}")
        for it in half.day.events
        if it.kind is PumpEventKind.CGM_ALERT and 0 <= half.x(it.at) < WIDTH
    ]


def _beside(x: float, words: str) -> Box:
    """Return the room for a mark with words on its right, or on its left near the right edge."""
    across = width_of(words) + 9
    top, bottom = -LINE - 2, -2.0
    if x + across > WIDTH:
        return Box(x - across, top, x + 6, bottom)
    return Box(x - 6, top, x + across, bottom)


def _shortened(words: str) -> str:
    return words if len(words) <= LONGEST_LABEL else words[: LONGEST_LABEL - 1].rstrip() + "…"


def strips(half: Half) -> Drawn:
    """Return sleep and exercise as bars with their names, and suspensions in a row below."""
    drawn: Drawn = []
    for mode in half.day.modes:
        css = "sleep" if mode.kind is UserModeKind.SLEEP else "exercise"
        span = TimeRange(mode.start, mode.ends)
        name = MODE_NAMES.get(mode.kind) or _shortened(mode.text)
        drawn += _strip(half, span, STRIPS, css, (name, mode_text(mode)))
    top = STRIPS + (STRIP if half.day.modes else 0)
    for gap in half.day.suspended:
        lasted = duration(gap.end - gap.start)
        drawn += _strip(half, gap, top, "suspended", (lasted, f"no delivery for {lasted}"))
    return drawn


def strips_height(day_has_modes: bool, day_has_suspensions: bool) -> float:
    """Return how high the strips of a day are together."""
    return STRIP * (day_has_modes + day_has_suspensions)


def _strip(half: Half, span: TimeRange, top: float, css: str, words: tuple[str, str]) -> Drawn:
    """Return a bar; its words, the short and the whole ones, stand in it or else beside it."""
    left, right = max(half.x(span.start), -4.0), min(half.x(span.end), WIDTH + 4)
    if left >= WIDTH or right < 0:
        return []
    label, title = words
    bar = rectangle(left, top + 2, max(right, left + 1), top + STRIP - 1)
    drawn: Drawn = [Shape(css, bar, f"{span.start:%H:%M} {title}")]
    across = width_of(label) + 6
    begin = max(left, 0) + 3 if right - max(left, 0) >= across else right + 3
    if begin + across <= WIDTH:
        return [*drawn, text("strip", begin, top + STRIP - 3, label)]
    return [*drawn, text("strip end", left - 3, top + STRIP - 3, label)]
