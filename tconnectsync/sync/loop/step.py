"""One step of ``--auto-update``: poll, sync if that is due, and say when to continue.

Follows tconnect-processing §12. Polling is cheap, syncing is not, so a cycle runs when the pump's
upload counter has moved. A step never sleeps and shares nothing with the steps for other people, so
one process can drive many: it keeps a :class:`LoopState` for each and calls :func:`step` when that
person's pause is over.

All times are seconds of a clock that is never set, and which on some systems stands still while the
computer sleeps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

from tconnectsync.clock import Clock
from tconnectsync.config.settings import LoopSettings
from tconnectsync.domain.words import span_in_words
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sync.loop.failures import (
    Failures,
    GaveUp,
    NothingNew,
    ThrottledLog,
    give_up_if_set,
)
from tconnectsync.sync.loop.rhythm import MINUTE_IN_SECONDS, UploadRhythm
from tconnectsync.sync.run.outcome import Outcome

log = logging.getLogger(__name__)

NO_COUNTER = (
    "The cloud does not say whether this pump has uploaded, so every round syncs. For a guardian's "
    "account that is normal; otherwise check PUMP_SERIAL_NUMBER."
)
SILENT = (
    "The pump has uploaded nothing for %s. What it has delivered since is not in Nightscout. Check "
    "that the phone has a connection and the pump's app runs. With a new pump, PUMP_SERIAL_NUMBER "
    "has to be changed."
)
OVERDUE = (
    "An upload of the pump is overdue; the last one was seen %s ago. What it has delivered since "
    "is not in Nightscout yet."
)


@dataclass(eq=False)
class Actions:
    """What a step can do for one person; each may raise an error of ours."""

    latest_index: Callable[[], int | None]
    """Asks for the pump's upload counter; ``None`` if the cloud does not say."""
    run_cycle: Callable[[], Outcome]
    """Syncs up to now, including what failed or was deferred in earlier cycles."""
    force_login: Callable[[], None]
    """Makes the next request to the cloud begin with a new login."""


@dataclass
class Round:
    """What happened in one step, for those who report on it."""

    outcome: Outcome | None = None
    """That of its cycle; ``None`` if there was none."""
    error: TconnectsyncError | None = None
    """What kept everything from being done."""
    has_uploaded: bool = False
    """Whether the pump has uploaded since the step before."""
    silent_minutes: float | None = None
    """For how long the pump has not uploaded, if that is too long."""
    nothing_new_minutes: float | None = None
    """For how long uploads have brought nothing new to Nightscout, if that is too long."""


@dataclass(frozen=True)
class Next:
    """What follows a step: another one after ``pause`` seconds, or the end with an exit code.

    The exit code is 1 when giving up is better, 2 when nothing will work before a person has
    changed something, such as wrong credentials, which lock people out.
    """

    pause: float = 0.0
    exit_code: int | None = None
    round: Round = field(default_factory=lambda: Round())
    """What happened in the step."""


class LoopState:
    """What the loop knows about one person from step to step.

    Args:
        settings: when to wait how long, and when to give up.
        started: the time of the clock.
        pretend: whether nothing is written; then what a cycle finds new says nothing about uploads.
    """

    def __init__(self, settings: LoopSettings, started: float, *, pretend: bool) -> None:
        self.settings = settings
        self.pretend = pretend
        self.index: int | None = None
        self.repeat_at = inf
        """When a cycle is due although nothing was uploaded."""
        self.rhythm = UploadRhythm(settings, started)
        self.failures = Failures(settings)
        self.nothing_new = NothingNew(settings)
        self.lines = ThrottledLog()
        self.round = Round()
        """What has happened in this step so far."""


def step(state: LoopState, actions: Actions, clock: Clock) -> Next:
    """Poll once, sync if that is due, and return when to continue.

    What the actions raise besides errors of ours, such as a request to stop, is not caught.

    Args:
        state: what is known about the person; the step changes it.
        actions: what polls and syncs for that person.
        clock: is read several times, because a cycle may take minutes; the step does not sleep.
    """
    state.round = Round()
    try:
        return Next(_round(state, actions, clock), round=state.round)
    except GaveUp as end:
        return Next(exit_code=end.exit_code, round=state.round)


def _round(state: LoopState, actions: Actions, clock: Clock) -> float:
    """Return how long to wait for the next round."""
    try:
        pause = _poll(state, actions, clock)
    except TconnectsyncError as error:
        state.round.error = error
        return state.failures.after_error(error, clock.monotonic(), clock.jitter())
    state.failures.over()
    settings = state.settings
    longest = inf if settings.use_fixed_sleep else settings.max_sleep_seconds
    return min(pause, longest, max(state.repeat_at - clock.monotonic(), 0.0))


def _poll(state: LoopState, actions: Actions, clock: Clock) -> float:
    """Poll, sync if that is due, and return how long the rhythm of uploads lets us wait."""
    polled = clock.monotonic()
    is_repeat = polled >= state.repeat_at
    index = actions.latest_index()
    if index is None:
        # Something new shows an upload, unless it is what failed or was deferred before.
        state.lines.log(logging.INFO, NO_COUNTER)
        has_uploaded = _sync(state, actions, clock) and not is_repeat
    else:
        has_uploaded = index != state.index
        if has_uploaded or is_repeat:
            has_grown = state.index is not None and index > state.index
            if not _sync(state, actions, clock) and has_grown:
                _look_again(state, actions, polled, clock)
    state.round.has_uploaded = has_uploaded
    if has_uploaded:
        # A counter that has become smaller is that of a pump that was replaced or reset.
        state.index = index
        state.rhythm.uploaded(polled)
        state.lines.reset(SILENT, OVERDUE)
    else:
        _report_silence(state, polled, has_counter=index is not None)
    if index is None:
        # Each poll costs a cycle, so none comes early.
        return state.settings.default_sleep_seconds
    return state.rhythm.pause(clock.monotonic())


def _sync(state: LoopState, actions: Actions, clock: Clock) -> bool:
    """Run a cycle and return whether it found something new.

    Raises:
        TconnectsyncError: nothing could be synced, or trying further would do harm.
    """
    outcome = state.round.outcome = actions.run_cycle()
    again = state.failures.after_cycle(outcome, clock.jitter())
    if outcome.more_in is not None:
        # Once for all that is deferred: the next upload may be an hour away.
        again = min(again, outcome.more_in.total_seconds())
    state.repeat_at = clock.monotonic() + again
    found_something = outcome.created + outcome.updated + len(outcome.others) > 0
    if found_something:
        state.nothing_new.over()
    return found_something


def _look_again(state: LoopState, actions: Actions, polled: float, clock: Clock) -> None:
    """Report an upload that brought nothing new, and plan another look at the first of them.

    Not while something failed or is deferred: then the data of this upload may still come.
    """
    if state.pretend or state.repeat_at < inf:
        return
    try:
        is_first = state.nothing_new.again(polled)
    finally:
        state.round.nothing_new_minutes = state.nothing_new.minutes
    if is_first:
        log.info("Looking again in a moment, after a new login.")
        actions.force_login()
        state.repeat_at = clock.monotonic() + state.settings.default_sleep_seconds


def _report_silence(state: LoopState, polled: float, *, has_counter: bool) -> None:
    """Take note of a poll without an upload, and warn if there has been none for long."""
    state.rhythm.not_uploaded(polled)
    silence = state.rhythm.silence(polled)
    in_words = span_in_words(timedelta(seconds=silence))
    if state.rhythm.is_silent(polled):
        state.round.silent_minutes = silence / MINUTE_IN_SECONDS
        state.lines.log(logging.ERROR, SILENT, in_words)
        give_up_if_set(state.settings)
    elif has_counter and state.rhythm.is_overdue(polled):
        state.lines.log(logging.WARNING, OVERDUE, in_words)
