"""The driver of ``--auto-update`` for one person: step, sleep, and step again."""

from __future__ import annotations

from collections.abc import Callable

from tconnectsync.config.settings import LoopSettings
from tconnectsync.sync.loop.rhythm import MINUTE
from tconnectsync.sync.loop.step import Actions, LoopState, step


def run_loop(
    settings: LoopSettings,
    actions: Actions,
    *,
    pretend: bool,
    clock: Callable[[], float],
    wait: Callable[[float], None],
    jitter: Callable[[], float],
) -> int:
    """Step until there is a reason to end, and return the exit code.

    It is 0 when the limit of rounds is reached, else that of :class:`~.step.Next`. What the actions
    and ``wait`` raise besides errors of ours ends the loop too: a request to stop comes so.

    Args:
        settings: when to wait how long, when to give up, and after how many rounds to end.
        actions: what polls and syncs.
        pretend: whether nothing is written.
        clock: returns seconds that only grow.
        wait: waits so many seconds.
        jitter: returns a number in 0..1.
    """
    state = LoopState(settings, clock(), pretend=pretend)
    rounds = 0
    while True:
        following = step(state, actions, clock, jitter)
        if following.exit_code is not None:
            return following.exit_code
        rounds += 1
        if rounds == settings.max_loop_invocations:
            return 0
        before = clock()
        wait(following.pause)
        if clock() - before > following.pause + MINUTE:
            # The computer has slept. What failed before says nothing about now.
            state.failures.forget()
