"""The driver of ``--auto-update`` for one person: step, sleep, and step again."""

from __future__ import annotations

from tconnectsync.clock import Clock
from tconnectsync.config.settings import LoopSettings
from tconnectsync.sync.loop.rhythm import MINUTE
from tconnectsync.sync.loop.step import Actions, LoopState, step


def run_loop(settings: LoopSettings, actions: Actions, clock: Clock, *, pretend: bool) -> int:
    """Step until there is a reason to end, and return the exit code.

    It is 0 when the limit of rounds is reached, else that of :class:`~.step.Next`. What the actions
    and the clock raise besides errors of ours ends the loop too: a request to stop comes so.

    Args:
        settings: when to wait how long, when to give up, and after how many rounds to end.
        actions: what polls and syncs.
        clock: measures, and waits between steps.
        pretend: whether nothing is written.
    """
    state = LoopState(settings, clock.monotonic(), pretend=pretend)
    rounds = 0
    while True:
        following = step(state, actions, clock.monotonic, clock.jitter)
        if following.exit_code is not None:
            return following.exit_code
        rounds += 1
        if rounds == settings.max_loop_invocations:
            return 0
        before = clock.monotonic()
        clock.sleep(following.pause)
        if clock.monotonic() - before > following.pause + MINUTE:
            # The computer has slept. What failed before says nothing about now.
            state.failures.forget()
