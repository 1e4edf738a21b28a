"""One run: the last days, or a range, or a saved log."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from tconnectsync.app import open_catch_up, open_file, write_lock
from tconnectsync.cli.commands import commands_for
from tconnectsync.cli.configure import configuration_of, settings_of, watch_of
from tconnectsync.cli.people import each_person
from tconnectsync.cli.progress import progress_of
from tconnectsync.cli.say import plan_printer, say, say_outcome
from tconnectsync.errors import TconnectsyncError
from tconnectsync.state.lock import TakenError
from tconnectsync.stop import Stop, Stopped
from tconnectsync.sync.run.window import date_range, last_days

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration, Settings
    from tconnectsync.domain.clock import PumpClock, TimeRange
    from tconnectsync.sync.run.catchup import CatchUp
    from tconnectsync.sync.run.outcome import Outcome

log = logging.getLogger(__name__)

LONGEST_LOCK_WAIT = 120.0
"""Seconds that a run with days or dates waits for another run to end; cycles are shorter."""
NOTHING_LOST = "Stopped. Nothing is lost: the next run continues from here."
NOT_BEGUN = "Stopped before anything was written. Start the same command again."


def sync(options: Options, host: Host) -> int:
    """Run one cycle as the options and the configuration say; return the exit code.

    While another run writes to the site, a run without dates ends at once: the next one catches up.
    A run with days, dates or a file waits, and fails if the other one does not end.
    """
    stop = Stop(host.clock.monotonic)
    host = replace(host, clock=stop.clock(host.clock))
    try:
        with stop.listening():
            return each_person(options, host, lambda one: _run(one, host, stop))
    except Stopped as stopped:
        if stopped.waited:
            log.debug("A write could go on for %.2f s.", stopped.waited)
        say(str(stopped) or NOT_BEGUN)
        return 1


def _run(options: Options, host: Host, stop: Stop) -> int:
    configuration = configuration_of(options, host)
    watch = watch_of(options, configuration, host)
    asked_for = bool(options.dates or options.import_log)
    try:
        with watch.recording_errors(asked_for=asked_for):
            settings = settings_of(options, configuration, host)
            options = completed(options, settings, configuration, host)
            lock = write_lock(settings, host, pretend=options.pretend)
            with lock(LONGEST_LOCK_WAIT if is_by_a_person(options) else 0.0):
                if not asked_for:
                    watch.started()
                outcome, clock = _sync(options, settings, host, stop)
            code = say_outcome(outcome, options, clock)
    except TakenError as other:
        if is_by_a_person(options):
            raise TconnectsyncError(
                f"{other}. Nothing was done; start this run again when the other one has ended."
            ) from None
        log.info("%s; that run does the work, so this one ends.", other)
        return 0
    watch.after_run(outcome, asked_for=asked_for)
    return code


def completed(
    options: Options, settings: Settings, configuration: Configuration, host: Host
) -> Options:
    """Return the options with what the settings said, so that a command can do the same."""
    file = configuration.file
    is_named = options.env_file or options.accounts
    is_found = not is_named and file is not None and file.parent == host.folder
    return options._replace(
        features=settings.sync.features,
        env_file=file if options.env_file else None,
        folder=host.folder if is_found else None,
    )


def is_by_a_person(options: Options) -> bool:
    """Return whether the run was asked for something that the next one does not do by itself."""
    asked_for = (options.dates, options.days, options.import_log)
    return any(each is not None for each in asked_for)


def _sync(
    options: Options, settings: Settings, host: Host, stop: Stop
) -> tuple[Outcome, PumpClock]:
    file = open_file(options.import_log, settings, host) if options.import_log else None
    catch_up = open_catch_up(
        settings,
        settings.sync.features,
        host,
        source=file,
        pretend=options.pretend,
        on_plan=plan_printer(options, settings),
        progress=progress_of(options),
        writing=stop.writing,
    )
    cycle, chosen = catch_up.cycle, file.covered if file else None
    up_to_now = last_days(options.days or 1, cycle.now())
    if options.dates:
        chosen = date_range(*options.dates, cycle.clock, up_to_now.end)
    # Who is stopped before that has not begun.
    catch_up.remember(chosen or up_to_now)
    try:
        outcome = catch_up.sync_range(chosen) if chosen else catch_up.sync_up_to_now(up_to_now)
    except Stopped as stopped:
        raise Stopped(stopped.waited, what_is_left(catch_up, options, chosen)) from None
    return outcome, cycle.clock


def what_is_left(catch_up: CatchUp, options: Options, chosen: TimeRange | None = None) -> str:
    """Say what is left of a run that was asked to end: the next run does it, or which command."""
    if options.pretend:
        return "Stopped. Nothing was written (--pretend)."
    left = catch_up.unfinished(chosen)
    if catch_up.follows_automatically(left) and not (left and is_by_a_person(options)):
        return NOTHING_LOST
    texts = commands_for(left, options, catch_up.cycle.clock)
    return "\n".join(["Stopped before all was done. To sync the rest, run:", *texts])
