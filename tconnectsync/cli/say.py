"""Says to the person what a run plans, what it did, and what to do about failures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from tconnectsync.cli.commands import command, commands
from tconnectsync.errors import ConfigError, FirewallError, TconnectsyncError
from tconnectsync.person import named

if TYPE_CHECKING:
    from datetime import datetime

    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Settings
    from tconnectsync.domain.clock import PumpClock, TimeRange
    from tconnectsync.sync.loop.step import Next
    from tconnectsync.sync.plan import Plan
    from tconnectsync.sync.run.outcome import Outcome

log = logging.getLogger(__name__)

SAID_AGAIN_AFTER = timedelta(hours=1)
"""How often the loop says when it looks again although nothing has come."""


def say(text: str) -> None:
    """Print for a person, not for a pipe; among a log for programs, in its form."""
    from tconnectsync.logoutput import as_line

    shown = as_line(text)
    print(named(text) if shown == text else shown, file=sys.stderr)


def say_why(error: TconnectsyncError) -> int:
    """Say what ended a run, and what to do about it; return the exit code."""
    if isinstance(error, ConfigError):
        say("tconnectsync cannot start, because of its configuration:")
        for problem in error.problems:
            say(f"  {problem}")
        for sentence in error.advice:
            say(sentence)
    else:
        say(f"tconnectsync: {error}")
    return error.exit_code


def say_crash() -> int:
    """Log the error that is being handled, the program's own fault; return the exit code."""
    log.exception("This should not have happened. Please report it with the lines below.")
    return 1


def print_result(text: str) -> None:
    """Print a result at once, so that its place among the log lines is right in a file, too."""
    print(named(text), flush=True)


def ignore(text: str) -> None:
    """Print nothing."""


def plan_printer(options: Options, settings: Settings) -> Callable[[TimeRange, Plan], None]:
    """Return what shows the plan of a window if nothing is written, else what shows nothing."""
    if not options.pretend:
        return lambda window, plan: None
    from tconnectsync.domain.clock import PumpClock

    clock = PumpClock(settings.tandem.zone)

    def show(window: TimeRange, plan: Plan) -> None:
        from tconnectsync.cli.planview import lines

        begin, end = clock.here(window.start), clock.here(window.end)
        title = f"From {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}:"
        print_result("\n".join([title, *lines(plan, clock, verbose=options.verbose), ""]))

    return show


def say_outcome(outcome: Outcome, options: Options, clock: PumpClock) -> int:
    """Say what was done and what was not; return the exit code."""
    say_what_was_done(outcome, options, clock)
    for failure in outcome.failures:
        first, last = clock.days(failure.window)
        names = " ".join(failure.features)
        log.error("%s from %s to %s failed. %s", names, first, last, failure.error)
    if not _is_pointless(outcome.ended_by, options):
        for line in commands(outcome.failures, options, clock):
            say(f"To repeat what failed: {line}")
    if outcome.ended_by:
        return outcome.ended_by.exit_code
    return 0 if outcome.is_complete else 1


def _is_pointless(error: TconnectsyncError | None, options: Options) -> bool:
    """Return whether the same command would change nothing, or the next run does it by itself."""
    if isinstance(error, FirewallError):
        # Every try prolongs the block.
        return not (options.dates or options.days or options.import_log)
    return error is not None and error.needs_a_person


def say_what_was_done(outcome: Outcome, options: Options, clock: PumpClock) -> None:
    """Say what was written, or would be, and what was left out."""
    from tconnectsync.cli.results import boluses_only, documents_in_words

    has_written = bool(outcome.created or outcome.updated or outcome.others)
    # What failed may be new.
    may_be_new = bool(outcome.failures) and not has_written and not options.pretend
    result = documents_in_words(
        outcome.new,
        outcome.written - outcome.new,
        removed=outcome.updated - (outcome.written - outcome.new).total(),
        unchanged=outcome.kept,
        insulin=outcome.new_insulin if options.pretend else boluses_only(outcome.new_insulin),
        nothing="Nothing was written" if may_be_new else "Nothing new",
    )
    if options.pretend:
        print_result("\n".join(["Nothing was written (--pretend). In a real run:", result]))
        for line in outcome.others:
            print_result(f"{line} (not written: --pretend)")
    else:
        log.info(result)
        for line in outcome.others:
            log.info("%s.", line)
    say_what_was_left_out(outcome)
    for remark in outcome.remarks:
        text = remark.text
        if remark.repeat:
            window, features = remark.repeat
            text += f" {command(*clock.days(window), features, options)}"
        log.log(remark.level, text)


def say_what_was_left_out(outcome: Outcome) -> None:
    """Say what was not understood, and whether insulin or carbs may be missing because of it."""
    from tconnectsync.sources.leftout import left_out_in_words

    for level, text in left_out_in_words(outcome.skipped, where=" in Nightscout"):
        log.log(level, text)


class NextLook:
    """Says in the loop when it will look again: after each sync, and now and then while it waits.

    Args:
        now: returns the current instant, aware.
        clock: the pump's, in whose zone the time is said.
    """

    def __init__(self, now: Callable[[], datetime], clock: PumpClock) -> None:
        self._now = now
        self._clock = clock
        self._said: datetime | None = None

    def after_step(self, following: Next) -> None:
        """Say it, unless something else has just said when to try again."""
        now, done = self._now(), following.round
        if following.exit_code is not None or done.error:
            return
        if done.outcome is None and self._said and now - self._said < SAID_AGAIN_AFTER:
            return
        self._said = now
        at = self._clock.here(now + timedelta(seconds=following.pause))
        log.info("Next look at %s.", f"{at:%H:%M}")
