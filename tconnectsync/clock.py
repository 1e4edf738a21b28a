"""Time, waiting and randomness: this module and ``now.py`` alone take them from the computer.

One clock is made in ``tconnectsync.app`` and passed to everything that needs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tconnectsync.now import now


def _jitter() -> float:
    from random import random  # Imported here, because --help needs none of it.

    return random()  # noqa: S311


@dataclass(frozen=True)
class Clock:
    """This computer's clock; a test replaces one of its functions, or all of them."""

    now: Callable[[], datetime] = now
    """Returns the current instant in UTC: hours can be added to it on any night of the year."""
    monotonic: Callable[[], float] = time.monotonic
    """Returns seconds that only grow, also when the clock is set; for measuring."""
    sleep: Callable[[float], None] = time.sleep
    """Waits so many seconds."""
    go_on: Callable[[], None] = lambda: None
    """Is called before each request, and raises where the work is to end."""
    jitter: Callable[[], float] = _jitter
    """Returns a number from 0 to 1, so that not all retry at the same moment."""
