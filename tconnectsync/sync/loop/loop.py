"""The rounds of ``--auto-update`` for one person, one step after the other, and who drives them.

Whatever takes turns is a function that does what is due and returns what follows; it never sleeps
between its turns, so one process can drive one person or many.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from queue import Empty, SimpleQueue

from tconnectsync.clock import Clock
from tconnectsync.config.settings import LoopSettings
from tconnectsync.errors import code_of_all
from tconnectsync.sync.loop.rhythm import MINUTE_IN_SECONDS
from tconnectsync.sync.loop.step import Actions, LoopState, Next, step

log = logging.getLogger(__name__)

Turn = Callable[[], Next]

LONGEST_NAP = 1.0
"""Seconds after which is looked whether a turn has ended in another thread."""
APART = 2.0
"""Seconds between the first turns of two people, on average."""


class Rounds:
    """The steps for one person, until there is a reason to end.

    Args:
        settings: when to wait how long, and when to end.
        actions: what polls and syncs.
        clock: measures.
        pretend: whether nothing is written.
    """

    def __init__(
        self, settings: LoopSettings, actions: Actions, clock: Clock, *, pretend: bool
    ) -> None:
        self._most = settings.max_loop_invocations
        self._actions = actions
        self._clock = clock
        self._state = LoopState(settings, clock.monotonic(), pretend=pretend)
        self._due = inf
        self._done = 0

    def turn(self) -> Next:
        """Step once; the exit code is 0 when the limit of rounds is reached, else the step's.

        What the actions raise besides errors of ours, such as a request to stop, is not caught.
        """
        if self._clock.monotonic() > self._due + MINUTE_IN_SECONDS:
            # The computer has slept. What failed before says nothing about now.
            self._state.failures.forget()
        following = step(self._state, self._actions, self._clock)
        self._due = self._clock.monotonic() + following.pause
        self._done += 1
        if following.exit_code is None and self._done == self._most:
            return Next(following.pause, 0, following.round)
        return following


def run_alone(turn: Turn, clock: Clock) -> int:
    """Take turns in this thread until there is a reason to end; return the exit code."""
    while True:
        following = turn()
        if following.exit_code is not None:
            return following.exit_code
        clock.sleep(following.pause)


@dataclass(order=True)
class _Waiting:
    due: float
    """The time of the clock."""
    name: str
    turn: Turn = field(compare=False)


def run_together(turns: Mapping[str, Turn], clock: Clock, threads: int) -> int:
    """Take the turns of several people, each when it is due, until all have ended.

    A turn that takes long, or that waits for an answer, keeps no other person waiting as long as
    there are more ``threads``. They end with the process, whatever they are doing; this thread only
    waits, so that a signal is handled at once.

    Args:
        turns: by the names of the people. What one raises ends that thread alone: it must be
            nothing but the request to stop.
        clock: measures; only this thread sleeps on it.
        threads: how many there are.

    Returns:
        int: the exit code for all of them.
    """
    due: SimpleQueue[_Waiting] = SimpleQueue()
    done: SimpleQueue[tuple[_Waiting, Next]] = SimpleQueue()

    def work() -> None:
        while True:
            waiting = due.get()
            done.put((waiting, waiting.turn()))

    for number in range(min(threads, len(turns))):
        threading.Thread(target=work, name=f"turns-{number}", daemon=True).start()
    now = clock.monotonic()
    queue = [_Waiting(now + wait, name, turns[name]) for name, wait in starts(turns).items()]
    heapq.heapify(queue)
    codes: list[int] = []
    while len(codes) < len(turns):
        while queue and queue[0].due <= clock.monotonic():
            due.put(heapq.heappop(queue))
        try:
            waiting, following = done.get_nowait()
        except Empty:
            clock.sleep(_nap(queue, clock.monotonic()))
            continue
        if following.exit_code is not None:
            codes.append(following.exit_code)
            continue
        waiting.due = clock.monotonic() + following.pause
        heapq.heappush(queue, waiting)
    return code_of_all(codes)


def starts(names: Mapping[str, object]) -> dict[str, float]:
    """Return after how many seconds each person's first turn is due.

    They are spread, so that many people do not log in at the same moment, and the same at each
    start of the program. One of them begins at once.
    """
    span = APART * (len(names) - 1)
    wait = {name: share_of(name) for name in names}
    first = min(wait.values(), default=0.0)
    return {name: (each - first) * span for name, each in wait.items()}


def share_of(name: str) -> float:
    """Return a number from 0 to 1 that is always the same for a name, and spreads many of them."""
    return int(sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def _nap(queue: list[_Waiting], now: float) -> float:
    left = queue[0].due - now if queue else inf
    return min(max(left, 0.0), LONGEST_NAP)
