"""How the processor time of a function grows with its input, whatever else the computer does."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

SOME = 0.02
"""Seconds of the processor that are enough to compare."""


def processor_seconds(do: Callable[[], Any]) -> float:
    """Return how long the processor works on something, whatever else it does meanwhile.

    Without the garbage collector, which looks through all that other tests have left.
    """
    gc.disable()
    try:
        began = time.process_time()
        do()
        return time.process_time() - began
    finally:
        gc.enable()


def grows_no_faster_than_its_input(prepare: Callable[[int], Callable[[], Any]], size: int) -> None:
    """Insist that four times as much takes about four times as long, and not sixteen.

    ``prepare`` makes what is measured for an input of some size.
    """
    small, large = (
        min(processor_seconds(prepare(each)) for _ in range(4)) for each in (size, 4 * size)
    )
    assert large < 12 * max(small, SOME)
