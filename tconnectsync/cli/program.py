"""The command line: options in, sentences and an exit code out.

The only room that prints, sets up logging and decides the exit code. What takes long to import is
imported when it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import gc
import io
import logging
import sys
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from tconnectsync.cli.options import check_available, parse
from tconnectsync.cli.report import (
    ignore,
    print_plan,
    print_result,
    progress,
    report,
    say,
    say_what_was_done,
)
from tconnectsync.clouds import clouds_with_files
from tconnectsync.errors import ConfigError, TconnectsyncError

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration, Settings
    from tconnectsync.sync.run.outcome import Outcome

log = logging.getLogger(__name__)

GC_THRESHOLD = 50_000
"""JSON payloads create many small acyclic objects: collect less often."""
LONGEST_LOCK_WAIT = 120.0
"""Seconds that a run with days or dates waits for another run to end; cycles are shorter."""


def main(arguments: Sequence[str] | None = None, host: Host | None = None) -> int:
    """Run the program; return 0 when done, 1 when something failed, 2 for wrong use.

    Args:
        arguments: those of the command line, unless others are given.
        host: where the program runs: this computer, unless another one is given.

    ``--auto-update`` also returns 2 for wrong credentials: it must not be started again before they
    are fixed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A letter that a terminal or file cannot take, as in a profile's name, must not end it.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(arguments)
        gc.set_threshold(GC_THRESHOLD)
        if options.demo:
            from tconnectsync.cli.demo import demo

            demo(print, *filter(None, [options.source]))
            return 0
        if host is None:
            from tconnectsync.app import this_computer

            host = this_computer()
        if options.check_login:
            return check_login(options, host)
        return auto_update(options, host) if options.auto_update else sync(options, host)
    except ConfigError as error:
        say("tconnectsync cannot start, because of its configuration:")
        for problem in error.problems:
            say(f"  {problem}")
        say("Set it in the environment, in .env in this folder, or in ~/.config/tconnectsync/.env.")
        return error.exit_code
    except TconnectsyncError as error:
        say(f"tconnectsync: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("Stopped. Nothing is lost: the next run continues from here.")
        return 1
    except Exception:
        log.exception("This should not have happened. Please report it with the lines below.")
        return 1


def sync(options: Options, host: Host) -> int:
    """Run one cycle as the options and the configuration say; return the exit code.

    While another run writes to the site, a run without dates ends at once: the next one catches up.
    A run with days, dates or a file waits, and fails if the other one does not end.
    """
    from tconnectsync.app import write_lock
    from tconnectsync.state.lock import TakenError

    settings = _settings(options, host)
    asked_for = (options.dates, options.days, options.import_log)
    by_a_person = any(each is not None for each in asked_for)
    try:
        lock = write_lock(settings, host, pretend=options.pretend)
        with lock(LONGEST_LOCK_WAIT if by_a_person else 0.0):
            return _sync(options, settings, host)
    except TakenError as other:
        if by_a_person:
            raise TconnectsyncError(
                f"{other}. Nothing was done; start this run again when the other one has ended."
            ) from None
        log.info("%s; that run does the work, so this one ends.", other)
        return 0


def _sync(options: Options, settings: Settings, host: Host) -> int:
    from tconnectsync.app import open_catch_up, open_file
    from tconnectsync.sync.run.window import date_range

    file = open_file(options.import_log, settings, host) if options.import_log else None
    catch_up = open_catch_up(
        settings,
        options.features,
        host,
        source=file,
        pretend=options.pretend,
        on_plan=print_plan if options.pretend else ignore,
        progress=progress,
    )
    cycle, chosen = catch_up.cycle, file.covered if file else None
    if options.dates:
        chosen = date_range(*options.dates, cycle.clock, cycle.now())
    outcome = catch_up.sync_range(chosen) if chosen else catch_up.sync_up_to_now(options.days or 1)
    return report(outcome, options, cycle.clock)


def auto_update(options: Options, host: Host) -> int:
    """Sync whenever the pump has uploaded, until asked to stop; return the exit code."""
    from tconnectsync.app import open_catch_up, write_lock
    from tconnectsync.stop import Stop, Stopped
    from tconnectsync.sync.loop.loop import run_loop
    from tconnectsync.sync.loop.step import Actions

    settings = _settings(options, host)
    stop = Stop(host.clock.monotonic)
    catch_up = open_catch_up(
        settings,
        options.features,
        host,
        pretend=options.pretend,
        on_plan=print_plan if options.pretend else ignore,
        progress=progress,
        writing=stop.writing,
    )
    cycle = catch_up.cycle
    lock = write_lock(settings, host, pretend=options.pretend)

    def run_cycle() -> Outcome:
        # Wait as long as another run writes. To the loop, a cycle left out would look like one that
        # failed or found nothing.
        with lock(inf):
            outcome = catch_up.sync_up_to_now(options.days or 1)
        say_what_was_done(outcome, options, cycle.clock)
        return outcome

    actions = Actions(
        latest_index=cycle.source.upload_counter,
        run_cycle=run_cycle,
        force_login=cycle.source.force_login,
    )
    try:
        with stop.listening():
            return run_loop(settings.loop, actions, host.clock, pretend=options.pretend)
    except Stopped as stopped:
        if stopped.waited:
            log.debug("A write could go on for %.2f s.", stopped.waited)
        log.info("Stopped. Nothing is lost: the next run continues from here.")
        return 0


def check_login(options: Options, host: Host) -> int:
    """Try what a sync needs, show what comes of each step, write a report; return the exit code."""
    from tconnectsync.app import open_check
    from tconnectsync.check.run import State
    from tconnectsync.domain.words import number_of
    from tconnectsync.logoutput import enable_logging
    from tconnectsync.sync.run.window import date_range, last_days

    check = open_check(_configuration(options, host), options.features, host)
    enable_logging(logging.DEBUG if options.verbose else logging.INFO, check.redactor)
    if options.dates:
        chosen = date_range(*options.dates, check.clock, check.started)
    else:
        chosen = last_days(options.days or 1, check.started)
    failed: list[int] = []
    for result in check.run(chosen):
        print_result(str(result))
        if result.state is State.FAILED:
            failed.append(result.exit_code)
    print_result(f"{number_of(len(failed), 'step')} failed." if failed else "No step failed.")
    try:
        path = check.save_report(chosen, host.folder)
    except OSError as error:
        say(f"tconnectsync: The report cannot be written to this folder ({error.strerror}).")
        return 1
    print_result(
        f"{path.name} holds all answers, for those who help you. Known personal data are "
        "replaced in it. Read it before you share it"
        + ("." if check.owner_known else ": Tandem did not send the names to hide.")
    )
    return max(failed, default=0)


def _settings(options: Options, host: Host) -> Settings:
    from tconnectsync.app import find_site
    from tconnectsync.logoutput import enable_logging
    from tconnectsync.redact import Redactor

    configuration = _configuration(options, host)
    settings = configuration.settings()
    check_available(
        options.features,
        settings.source.name,
        testing_enabled=settings.sync.enable_testing_modes,
    )
    level = logging.DEBUG if options.verbose else logging.INFO
    enable_logging(level, Redactor(configuration.secrets))
    for notice in configuration.notices():
        log.warning(notice)
    return find_site(settings, host.clock, patient=options.auto_update)


def _configuration(options: Options, host: Host) -> Configuration:
    """Return what is configured; the options overrule it."""
    source = options.source
    if options.import_log and source is None:
        source = clouds_with_files()[0].name
    return host.configuration({"TCONNECT_SOURCE": source, "TCONNECT_REGION": options.region})
