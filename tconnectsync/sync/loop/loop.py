"""The driver of ``--auto-update`` for one person: step, sleep, and step again."""

from __future__ import annotations

from collections.abc import Callable

from tconnectsync.clock import Clock
from tconnectsync.config.settings import LoopSettings
from tconnectsync.sync.loop.rhythm import MINUTE_IN_SECONDS
from tconnectsync.sync.loop.step import Actions, LoopState, Next, step


def run_loop(
    settings: LoopSettings,
    actions: Actions,
    clock: Clock,
    *,
    pretend: bool,
    after_step: Callable[[Next], None] = lambda following: None,
) -> int:
    """Step until there is a reason to end, and return the exit code.

    ``after_step`` is given what follows each step, and what happened in it. The exit code is 0 when
    the limit of rounds is reached, else that of :class:`~.step.Next`. What the actions raise
    besides errors of ours, such as a request to stop, ends the loop too.
    """
    state = LoopState(settings, clock.monotonic(), pretend=pretend)
    rounds = 0
    while True:
        following = step(state, actions, clock)
        after_step(following)
        if following.exit_code is not None:
            return following.exit_code
        rounds += 1
        if rounds == settings.max_loop_invocations:
            return 0
        before = clock.monotonic()
        clock.sleep(following.pause)
        if clock.monotonic() - before > following.pause + MINUTE_IN_SECONDS:
            # The computer has slept. What failed before says nothing about now.
            state.failures.forget()
