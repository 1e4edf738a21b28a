"""The command line: options in, sentences and an exit code out.

The only room that prints, sets up logging and decides the exit code. What takes long to import is
imported when it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import gc
import io
import logging
import sys
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from tconnectsync.cli.options import check_available, parse
from tconnectsync.cli.report import (
    keep_quiet,
    print_plan,
    progress,
    put_out,
    report,
    say,
    say_what_was_done,
)
from tconnectsync.errors import ConfigError, TconnectsyncError

if TYPE_CHECKING:
    from tconnectsync.cli.turns import Turns
    from tconnectsync.config import Settings
    from tconnectsync.domain.clock import TimeRange
    from tconnectsync.sources.tandemsource.file import LogFile
    from tconnectsync.sync.cycle import Cycle
    from tconnectsync.sync.outcome import Outcome
    from tconnectsync.unfinished import Unfinished

log = logging.getLogger(__name__)

GARBAGE_WORTH_LOOKING = 50_000
"""Payloads are trees of very many small objects, in which the collector would look in vain."""
PATIENCE = 120.0
"""Seconds that a run which a person asked for waits for another to end; cycles are shorter."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return 0 when done, 1 when something failed, 2 for wrong use.

    ``--auto-update`` also returns 2 for wrong credentials: nobody should start it again before they
    are mended.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A letter that a terminal or file cannot take, as in a profile's name, must not end it.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(arguments)
        gc.set_threshold(GARBAGE_WORTH_LOOKING)
        if options.demo:
            from tconnectsync.demo.show import demo

            demo(print, *filter(None, [options.source]))
            return 0
        if options.check_login:
            return check_login(options)
        return auto_update(options) if options.auto_update else sync(options)
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
        say("Stopped. Nothing is lost: the next run goes on from here.")
        return 1
    except Exception:
        log.exception("This should not have happened. Please report it with the lines below.")
        return 1


def sync(options: argparse.Namespace) -> int:
    """Run one cycle as the options and the configuration say; return the exit code.

    While another run writes to the site, one without dates leaves all to it: the next one catches
    up. What a person asked for waits, and fails if that does not help.
    """
    from tconnectsync.cli.turns import turns
    from tconnectsync.lock import TakenError

    settings = _settings(options)
    by_a_person = options.start_date is not None or options.import_log is not None
    try:
        with turns(settings, options)(PATIENCE if by_a_person else 0.0):
            return _sync(options, settings)
    except TakenError as other:
        if by_a_person:
            raise TconnectsyncError(
                f"{other}. Nothing was done; start this again when that one has ended."
            ) from None
        log.info("%s; this run leaves it to that one.", other)
        return 0


def _sync(options: argparse.Namespace, settings: Settings) -> int:
    from tconnectsync.cli.turns import unfinished
    from tconnectsync.sync.assemble import assemble

    file = _log_file(options, settings)
    cycle = assemble(
        settings,
        options.features,
        source=file,
        pretend=options.pretend,
        on_plan=print_plan if options.pretend else keep_quiet,
    )
    memory = unfinished(settings, options)
    if file or options.start_date is not None:
        outcome = _sync_range(options, settings, cycle, memory, file)
    else:
        outcome = _sync_last_days(options, settings, cycle, memory)
    return report(outcome, options, cycle.clock)


def _sync_range(
    options: argparse.Namespace,
    settings: Settings,
    cycle: Cycle,
    memory: Unfinished,
    file: LogFile | None,
) -> Outcome:
    """Sync the range that was asked for, by default all of the file."""
    from tconnectsync.cli.reach import left_behind
    from tconnectsync.sync.outcome import Outcome
    from tconnectsync.sync.window import date_range

    if file and options.start_date is None:
        wanted = file.covered
    else:
        wanted = date_range(options.start_date, options.end_date, cycle.clock, cycle.now())
    _announce(wanted, options, cycle)
    outcome = Outcome()
    with outcome.noting((wanted, options.features), rest=(wanted, options.features)):
        memory.add(left_behind(options, settings, cycle, wanted))
        outcome = cycle.run(wanted, progress)
    memory.add(outcome.unfinished)
    return outcome


def _sync_last_days(
    options: argparse.Namespace, settings: Settings, cycle: Cycle, memory: Unfinished
) -> Outcome:
    """Sync up to now, and what earlier runs have left undone."""
    from tconnectsync.cli.reach import reaching_back

    wanted = reaching_back(options, settings, cycle, memory.since(options.features))
    _announce(wanted, options, cycle)
    # Should this run break off, the next one begins where it began.
    memory.add(dict.fromkeys(options.features, wanted.start))
    outcome = cycle.run(wanted, progress, in_order=True)
    memory.settle(options.features, outcome.unfinished)
    return outcome


def _log_file(options: argparse.Namespace, settings: Settings) -> LogFile | None:
    """Return the saved log that is to be imported, if any."""
    if options.import_log is None:
        return None
    from datetime import UTC, datetime
    from pathlib import Path

    from tconnectsync.domain.clock import PumpClock
    from tconnectsync.sources.tandemsource.file import LogFile

    return LogFile(
        Path(options.import_log),
        PumpClock(settings.timezone_name),
        ignore_zero_basals=settings.ignore_zero_unit_basal,
        now=datetime.now(UTC),
    )


def auto_update(options: argparse.Namespace) -> int:
    """Sync whenever the pump has uploaded, until asked to stop; return the exit code."""
    import random
    import time

    from tconnectsync.cli.turns import turns
    from tconnectsync.stop import Stop, Stopped
    from tconnectsync.sync.assemble import assemble
    from tconnectsync.sync.autoupdate import Loop, LoopSettings

    settings = _settings(options)
    stop = Stop()
    cycle = assemble(
        settings,
        options.features,
        pretend=options.pretend,
        on_plan=print_plan if options.pretend else keep_quiet,
        writing=stop.writing,
    )
    loop = Loop(
        LoopSettings.of(settings),
        latest_index=cycle.source.upload_counter,
        run_cycle=_moving_cycle(options, settings, cycle, turns(settings, options)),
        log_in_anew=cycle.source.log_in_anew,
        pretend=options.pretend,
        clock=time.monotonic,
        wait=time.sleep,
        jitter=random.random,
    )
    try:
        with stop.listening():
            return loop.run()
    except Stopped:
        log.info("Stopped. Nothing is lost: the next run goes on from here.")
        return 0


def check_login(options: argparse.Namespace) -> int:
    """Try what a sync needs, show what comes of each step, write a report; return the exit code."""
    from pathlib import Path

    from tconnectsync.check import Check, State
    from tconnectsync.sync.window import date_range, last_days
    from tconnectsync.util.cli import enable_logging

    check = Check(*_given(options), features=options.features or ())
    enable_logging(logging.DEBUG if options.verbose else logging.INFO, check.redactor)
    if options.start_date is None:
        wanted = last_days(options.days or 1, check.started)
    else:
        wanted = date_range(options.start_date, options.end_date, check.clock, check.started)
    failed = 0
    for result in check.run(wanted):
        put_out(str(result))
        failed += result.state is State.FAILED
    put_out(f"{failed or 'None'} of the steps failed.")
    try:
        path = check.save_report(wanted, Path.cwd())
    except OSError as error:
        say(f"tconnectsync: The report cannot be written to this folder ({error.strerror}).")
        return 1
    put_out(
        f"When you ask for help, {path.name} holds the answers in full, without personal data as "
        "far as we know them. Read through it before you share it"
        + ("." if check.owner_known else "; Tandem did not tell the names to hide.")
    )
    return 1 if failed else 0


def _moving_cycle(
    options: argparse.Namespace, settings: Settings, cycle: Cycle, turns: Turns
) -> Callable[[], Outcome]:
    """Return what syncs up to now, and what failed before once more.

    It waits for other runs, however long; to the loop a cycle left out would look like a failure,
    or like one that found nothing.
    """
    from tconnectsync.cli.turns import unfinished

    memory = unfinished(settings, options)

    def run() -> Outcome:
        with turns(inf):
            outcome = _sync_last_days(options, settings, cycle, memory)
        say_what_was_done(outcome, options)
        if outcome.ended_by:
            raise outcome.ended_by
        return outcome

    return run


def _announce(wanted: TimeRange, options: argparse.Namespace, cycle: Cycle) -> None:
    log.info(
        "Syncing %s from %s to %s%s.",
        ", ".join(options.features),
        cycle.clock.here(wanted.start).isoformat(" ", "minutes"),
        cycle.clock.here(wanted.end).isoformat(" ", "minutes"),
        " (pretend)" if options.pretend else "",
    )


def _settings(options: argparse.Namespace) -> Settings:
    from tconnectsync import config
    from tconnectsync.redact import Redactor
    from tconnectsync.util.cli import enable_logging

    environment, files = _given(options)
    settings = config.load(environment, files)
    check_available(
        options.features, settings.tconnect_source, testing_enabled=settings.enable_testing_modes
    )
    enable_logging(logging.DEBUG if options.verbose else logging.INFO, Redactor(settings.secrets))
    for notice in config.notices(environment, files):
        log.warning(notice)
    return settings


def _given(options: argparse.Namespace) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the environment, which options overrule, and the ``.env`` file set."""
    from tconnectsync.util.cli import given_values

    environment, files = given_values()
    source = "tandem-source" if options.import_log else options.source
    chosen = {"TCONNECT_SOURCE": source, "TCONNECT_REGION": options.region}
    environment |= {name: value for name, value in chosen.items() if value is not None}
    return environment, files
