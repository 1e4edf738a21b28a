"""What a picture is made of: paths and texts, with coordinates that are rounded and short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LINE = 13.0
"""The height of a line of text, in units of a picture."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A path; how it looks is said by a class of the style sheet."""

    css: str
    path: str
    title: str = ""
    """What is shown to who points at it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A short text; ``x`` and ``y`` say where its base line begins, unless its class differs."""

    css: str
    x: str
    y: str
    text: str


def text(css: str, x: float, y: float, words: str) -> Text:
    """Return a text at a place."""
    return Text(css, short(x), short(y), words)


def short(value: float) -> str:
    """Return a coordinate with at most one digit after the point."""
    rounded = round(value, 1)
    whole = int(rounded)
    return str(whole) if rounded == whole else str(rounded)


def width_of(words: str) -> float:
    """Return how wide a text is at most, roughly, in units of a picture."""
    return 7.4 * len(words)


def rectangle(left: float, top: float, right: float, bottom: float) -> str:
    """Return the path of a rectangle."""
    x = short(left)
    return f"M{x} {short(top)}H{short(right)}V{short(bottom)}H{x}Z"


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return the path of a straight line."""
    return f"M{short(x1)} {short(y1)}L{short(x2)} {short(y2)}"


def polyline(points: Iterable[tuple[float, float]]) -> str:
    """Return a path through some points."""
    return "M" + "L".join(f"{short(x)} {short(y)}" for x, y in points)


def dots(points: Iterable[tuple[float, float]]) -> str:
    """Return a path that shows a dot at each point where lines have round ends."""
    return "".join(f"M{short(x)} {short(y)}h0" for x, y in points)


def steps(spans: Sequence[tuple[float, float, float]], base: float) -> str:
    """Return the path of areas with a level top, each from ``left`` to ``right`` up to ``y``.

    Areas that touch become one with steps.
    """
    parts: list[str] = []
    end: float | None = None
    level = ""
    for left, right, y in spans:
        here = short(y)
        if end is None or left - end > 0.05:
            parts.append(("" if end is None else f"V{short(base)}Z") + f"M{short(left)} ")
            parts.append(f"{short(base)}V{here}")
        elif here == level:
            parts.pop()
        else:
            parts.append(f"V{here}")
        parts.append(f"H{short(right)}")
        end, level = right, here
    return "".join(parts) + (f"V{short(base)}Z" if parts else "")


def triangle(x: float, y: float, size: float) -> str:
    """Return the path of a triangle that points upwards, around a place."""
    s, across = short(size), short(2 * size)
    return f"M{short(x - size)} {short(y + size)}h{across}l-{s} -{across}Z"


def diamond(x: float, y: float, size: float) -> str:
    """Return the path of a square that stands on its corner, around a place."""
    s = short(size)
    return f"M{short(x)} {short(y - size)}l{s} {s}l-{s} {s}l-{s} -{s}Z"


def square(x: float, y: float, size: float) -> str:
    """Return the path of a square around a place."""
    return rectangle(x - size, y - size, x + size, y + size)


def circle(x: float, y: float, radius: float) -> str:
    """Return the path of a circle around a place."""
    r, across = short(radius), short(2 * radius)
    return f"M{short(x - radius)} {short(y)}a{r} {r} 0 1 0 {across} 0a{r} {r} 0 1 0 -{across} 0Z"
