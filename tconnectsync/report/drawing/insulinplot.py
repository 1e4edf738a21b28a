"""The insulin of half a day: boluses and carbs with their amounts, basal with its profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from tconnectsync.domain.clock import HOUR, without
from tconnectsync.domain.events import Bolus
from tconnectsync.report.daylist import bolus_text, immediate, later_parts
from tconnectsync.report.drawing.labels import Box, place
from tconnectsync.report.drawing.layout import BASAL, BOLUS, CARBS, WIDTH, Drawn, Half
from tconnectsync.report.drawing.scales import HALF_HOUR, instant_of_day
from tconnectsync.report.drawing.svgpaths import (
    LINE,
    Shape,
    diamond,
    line,
    rectangle,
    short,
    steps,
    text,
    width_of,
)
from tconnectsync.report.wording import amount, delivered, grams

# Where a label may go, (to the right, down), the best place first.
UP_AND_ASIDE = tuple(
    (aside, -up) for up in (0, 6, 12, 18, 24, 30, 36) for aside in (0, 9, -9, 18, -18, 27, -27)
)
ASIDE = tuple((aside, 0) for aside in (0, 8, -8, 16, -16, 24, -24))
LONGEST_STOP = 2 * HOUR
"""For so long after a stop the profile is taken to have the rate that it had then."""


def _is_seen(left: float, right: float) -> bool:
    """Return whether something from one place to another lies at least partly in a half."""
    return left < WIDTH and right >= 0


def bolus_lane(half: Half) -> Drawn:
    """Return the boluses as bars with their amounts; automatic ones small, with another head."""
    base = BOLUS[1]
    drawn: Drawn = [Shape("base", line(0, base, WIDTH, base))]
    labels: list[tuple[Box, str, str]] = []
    taken: list[Box] = []
    for part in later_parts(half.day.boluses):
        left, right = half.x(part.start), half.x(part.end)
        if not _is_seen(left, right):
            continue
        title = f"{part.start:%H:%M} extended part, {part.text}"
        bar = rectangle(max(left, -9), base - 7, min(right, WIDTH + 9), base)
        drawn.append(Shape("later", bar, title))
        taken.append(Box(left, base - 7, right, base))
        if left >= 0:
            labels.append((_above((left + right) / 2, base - 7, part.text), "mid", part.text))
    by_hand = [it for it in immediate(half.day.boluses) if not it.automatic]
    automatic = [it for it in immediate(half.day.boluses) if it.automatic]
    for bolus in [*by_hand, *automatic]:
        at = half.x(bolus.requested_at)
        if not -4 <= at < WIDTH + 4:
            continue
        height = half.axes.bolus(bolus.insulin)
        title = f"{bolus.requested_at:%H:%M} {bolus_text(bolus, mmol=half.axes.mmol)}"
        drawn += _bolus(bolus, at, height, half, title)
        top = base - (12 if bolus.automatic else height)
        taken.append(Box(at - 3, top, at + 3, base))
        if 0 <= at < WIDTH:
            words = _label(bolus)
            css = "mid auto" if bolus.automatic else "mid dose"
            labels.append((_above(at, top, words), css, words))
    return drawn + _written(labels, Box(0, BOLUS[0], WIDTH, base), UP_AND_ASIDE, taken)


def _label(bolus: Bolus) -> str:
    if bolus.automatic and not bolus.incomplete:
        return amount(bolus.insulin)
    return delivered(bolus.insulin, bolus.requested, bolus.incomplete)


def _bolus(bolus: Bolus, at: float, height: float, half: Half, title: str) -> Drawn:
    base = BOLUS[1]
    if bolus.automatic:
        return [Shape("auto", line(at, base, at, base - 5) + diamond(at, base - 8, 4), title)]
    drawn: Drawn = []
    if bolus.incomplete and bolus.requested is not None and bolus.requested > bolus.insulin:
        asked = half.axes.bolus(bolus.requested)
        drawn.append(Shape("asked", rectangle(at - 3, base - asked, at + 3, base), title))
    drawn.append(Shape("dose", rectangle(at - 3, base - height, at + 3, base), title))
    return drawn


def carbs_row(half: Half) -> Drawn:
    """Return the carbs in a row below the boluses, those without a bolus too."""
    eaten = [(it.requested_at, it.carbs, "") for it in half.day.boluses if it.carbs]
    eaten += [(it.at, it.carbs, ", without a bolus") for it in half.day.carbs]
    drawn: Drawn = []
    labels: list[tuple[Box, str, str]] = []
    for at, carbs, why in eaten:
        x, words = half.x(at), grams(carbs)
        if 0 <= x < WIDTH:
            mark = line(x, BOLUS[1], x, BOLUS[1] + 4)
            drawn.append(Shape("eaten", mark, f"{at:%H:%M} {words}{why}"))
            labels.append((_above(x, CARBS + 3, words), "mid carbs", words))
    return drawn + _written(labels, Box(0, BOLUS[1], WIDTH, CARBS + 4), ASIDE, ())


def _above(x: float, y: float, words: str) -> Box:
    across = width_of(words) / 2
    return Box(x - across, y - LINE, x + across, y)


def _written(
    labels: Sequence[tuple[Box, str, str]],
    frame: Box,
    moves: Sequence[tuple[float, float]],
    taken: Sequence[Box],
) -> Drawn:
    spots = place([box for box, _, _ in labels], moves, frame, taken)
    drawn: Drawn = []
    for spot, (_, css, words) in zip(spots, labels, strict=True):
        if spot:
            x = (spot.left + spot.right) / 2 if css.startswith("mid") else spot.left
            drawn.append(text(css, x, spot.bottom - 3, words))
    return drawn


def basal_plot(half: Half) -> Drawn:
    """Return the rates as an area, the profile as a line, and what is not known as hatched."""
    top, base = BASAL
    x, y = half.x, half.axes.basal
    drawn: Drawn = [Shape("base", line(0, base, WIDTH, base) + line(0, top, WIDTH, top))]
    spans = [(x(it.start), x(it.ends), y(it.rate)) for it in half.day.basals if it.duration]
    seen = [(max(a, -2.0), min(b, WIDTH + 2), rate) for a, b, rate in spans if _is_seen(a, b)]
    if seen:
        drawn.append(Shape("basal", steps(seen, base)))
    for gap in half.day.gaps:
        left, right = x(gap.start), x(gap.end)
        if _is_seen(left, right):
            path = rectangle(max(left, -2), top, min(right, WIDTH + 2), base)
            drawn.append(Shape("unknown", path, f"{gap.start:%H:%M} to {gap.end:%H:%M} not known"))
    if path := _profile(half):
        drawn.append(Shape("profile", path))
    return drawn


def _profile(half: Half) -> str:
    """Return the profile's rates as a line with steps: those of the basals, else the one of now."""
    noted = _noted_rates(half)
    known = [(start, end) for start, end, _ in noted]
    rest = [
        (begin, stop, rate)
        for start, end, rate in _rates_of_now(half)
        for begin, stop in without([(start, end)], known)
    ]
    path, last = "", None
    for start, end, rate in sorted([*noted, *rest]):
        left, right = half.x(start), half.x(end)
        if left < WIDTH and right > 0:
            y = short(half.axes.basal(rate))
            path += f"V{y}" if start == last else f"M{short(max(left, 0))} {y}"
            path += f"H{short(min(right, WIDTH))}"
            last = end
    return path


def _noted_rates(half: Half) -> list[tuple[datetime, datetime, float]]:
    """Return since when and until when the basals say what the profile's rate was, in U/h.

    A basal says it for its beginning; it holds until the next one does, half an hour at most. While
    the pump stands still for long, its profile may go through several rates.
    """
    basals = half.day.basals
    found: list[tuple[datetime, datetime, float]] = []
    for index, basal in enumerate(basals):
        start, rate = basal.start, basal.profile_rate
        following = basals[index + 1].start if index + 1 < len(basals) else basal.ends
        if rate is None or following <= start:
            continue
        if found and found[-1][1] == start and found[-1][2] == rate:
            start = found.pop()[0]
        known = min(basal.ends, basal.start + LONGEST_STOP) if basal.suspended else basal.ends
        found.append((start, min(following, known + HALF_HOUR), rate))
    return found


def _rates_of_now(half: Half) -> Iterator[tuple[datetime, datetime, float]]:
    """Yield the rates of the profile that is active now, for this day."""
    axes, midnight, end = half.axes, half.day.range.start, half.day.range.end
    starts = [instant_of_day(midnight, seconds, axes.clock) for seconds, _ in axes.profile]
    for (_, rate), start, until in zip(axes.profile, starts, [*starts[1:], end], strict=False):
        if start < end:
            yield start, min(until, end), rate
