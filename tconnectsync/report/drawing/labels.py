"""Puts labels where they can be read: none over another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """The room that something takes in a picture."""

    left: float
    top: float
    right: float
    bottom: float

    def moved(self, across: float, down: float) -> Box:
        """Return a box of the same size elsewhere."""
        return Box(self.left + across, self.top + down, self.right + across, self.bottom + down)

    def meets(self, other: Box) -> bool:
        """Return whether both take the same room somewhere."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def place(
    boxes: Sequence[Box], moves: Sequence[tuple[float, float]], frame: Box, taken: Iterable[Box]
) -> list[Box | None]:
    """Return for each label where it goes; ``None`` where it has no room.

    The first labels choose first. Each is pushed into the frame from its left and right side, and
    then takes the first of the ``moves`` (to the right, down) at which it lies within the frame and
    meets nothing.
    """
    occupied = list(taken)
    found: list[Box | None] = []
    for box in boxes:
        inside = box.moved(max(0.0, frame.left - box.left), 0)
        inside = inside.moved(min(0.0, frame.right - inside.right), 0)
        tries = (inside.moved(*move) for move in moves)
        spot = next((it for it in tries if _fits(it, frame, occupied)), None)
        found.append(spot)
        if spot:
            occupied.append(spot)
    return found


def _fits(box: Box, frame: Box, occupied: Iterable[Box]) -> bool:
    tolerance = 0.01
    return (
        box.left >= frame.left - tolerance
        and box.right <= frame.right + tolerance
        and box.top >= frame.top - tolerance
        and box.bottom <= frame.bottom + tolerance
        and not any(map(box.meets, occupied))
    )
