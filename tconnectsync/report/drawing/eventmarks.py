"""What else happened in half a day: changes and alarms above, sleep and suspensions below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import PumpEventKind
from tconnectsync.report.daylist import MODE_NAMES, mode_text
from tconnectsync.report.drawing.labels import Box, place
from tconnectsync.report.drawing.layout import GLUCOSE, STRIP, STRIPS, WIDTH, Drawn, Half
from tconnectsync.report.drawing.svgpaths import (
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
    modes = [
        _Bar(
            TimeRange(it.start, it.ends),
            it.kind.name.lower(),
            MODE_NAMES.get(it.kind) or _shortened(it.text),
            mode_text(it),
        )
        for it in half.day.modes
    ]
    stops = []
    for gap in half.day.suspended:
        lasted = duration(gap.end - gap.start)
        stops.append(_Bar(gap, "suspended", lasted, f"no delivery for {lasted}"))
    below = STRIPS + strips_height(bool(modes), False)
    return [*_strip(half, modes, STRIPS), *_strip(half, stops, below)]


def strips_height(day_has_modes: bool, day_has_suspensions: bool) -> float:
    """Return how high the strips of a day are together."""
    return STRIP * (day_has_modes + day_has_suspensions)


@dataclass(frozen=True, slots=True)
class _Bar:
    """A time with its words, the short and the whole ones."""

    span: TimeRange
    css: str
    label: str
    title: str


def _strip(half: Half, bars: Sequence[_Bar], top: float) -> Drawn:
    """Return a row of bars; the words of each stand in it, or else beside it."""
    bottom = top + STRIP
    drawn: Drawn = []
    seen: list[tuple[_Bar, Box]] = []
    for bar in bars:
        left, right = half.x(bar.span.start), half.x(bar.span.end)
        if left < WIDTH and right > 0:
            box = Box(max(left, 0), top, min(max(right, left + 1), WIDTH), bottom)
            path = rectangle(box.left, top + 2, box.right, bottom - 1)
            drawn.append(Shape(bar.css, path, f"{bar.span.start:%H:%M} {bar.title}"))
            seen.append((bar, box))
    taken = [box for _, box in seen]
    for bar, box in seen:
        across = width_of(bar.label) + 4
        if box.right - box.left >= across:
            drawn.append(text("", box.left + 3, bottom - 3, bar.label))
            continue
        beside = Box(box.right, top, box.right + across, bottom)
        before = (box.left - box.right - across, 0.0)
        frame = Box(0, top, WIDTH, bottom)
        spots = [beside, beside.moved(*before)]
        spot = next((it for it in place(spots, [(0, 0)], frame, taken) if it), None)
        if spot:
            taken.append(spot)
            drawn.append(text("", spot.left + 3, bottom - 3, bar.label))
    return drawn
