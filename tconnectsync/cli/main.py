"""The command line: options in, sentences and an exit code out.

The only room that prints, sets up logging and decides the exit code. What takes long to import is
imported when it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import gc
import io
import logging
import sys
from collections.abc import Callable, Sequence
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
from tconnectsync.errors import ConfigError, TconnectsyncError
from tconnectsync.sources.registry import TANDEM_SOURCE

if TYPE_CHECKING:
    from datetime import datetime

    from tconnectsync.cli.options import Options
    from tconnectsync.clock import Clock
    from tconnectsync.config.settings import Settings
    from tconnectsync.domain.clock import TimeRange
    from tconnectsync.sources.base import PumpSpan
    from tconnectsync.sources.tandemsource.file import LogFile
    from tconnectsync.state.backlog import Backlog
    from tconnectsync.state.site import WriteLock
    from tconnectsync.sync.run.cycle import Cycle
    from tconnectsync.sync.run.outcome import Outcome

log = logging.getLogger(__name__)

GC_THRESHOLD = 50_000
"""Payloads are trees of very many small objects, in which the collector would look in vain."""
PATIENCE = 120.0
"""Seconds that a run which a person asked for waits for another to end; cycles are shorter."""


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run the program; return 0 when done, 1 when something failed, 2 for wrong use.

    Args:
        arguments: those of the command line, unless others are given.
        clock: this computer's, unless another one is given.

    ``--auto-update`` also returns 2 for wrong credentials: nobody should start it again before they
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
        if clock is None:
            from tconnectsync.clock import Clock

            clock = Clock()
        if options.check_login:
            return check_login(options, clock)
        return auto_update(options, clock) if options.auto_update else sync(options, clock)
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


def sync(options: Options, clock: Clock) -> int:
    """Run one cycle as the options and the configuration say; return the exit code.

    While another run writes to the site, one without dates leaves all to it: the next one catches
    up. What a person asked for waits, and fails if that does not help.
    """
    from tconnectsync.state.lock import TakenError
    from tconnectsync.state.site import write_lock

    settings = _settings(options, clock)
    asked_for = (options.dates, options.days, options.import_log)
    by_a_person = any(each is not None for each in asked_for)
    try:
        lock = write_lock(settings.ns_url, clock, pretend=options.pretend)
        with lock(PATIENCE if by_a_person else 0.0):
            return _sync(options, settings, clock)
    except TakenError as other:
        if by_a_person:
            raise TconnectsyncError(
                f"{other}. Nothing was done; start this again when that one has ended."
            ) from None
        log.info("%s; this run leaves it to that one.", other)
        return 0


def _sync(options: Options, settings: Settings, clock: Clock) -> int:
    from tconnectsync.app import assemble
    from tconnectsync.state.site import open_backlog
    from tconnectsync.sync.run.window import date_range

    file = _log_file(options, settings, clock)
    backlog = open_backlog(settings.ns_url, pretend=options.pretend)
    cycle = assemble(
        settings,
        options.features,
        clock,
        backlog=backlog,
        source=file,
        pretend=options.pretend,
        on_plan=print_plan if options.pretend else ignore,
    )
    wanted = file.covered if file else None
    if options.dates:
        wanted = date_range(*options.dates, cycle.clock, cycle.now())
    if wanted:
        outcome = _sync_range(wanted, options, settings, cycle, backlog)
    else:
        outcome = _sync_last_days(options, settings, cycle, backlog)
    return report(outcome, options, cycle.clock)


def _sync_range(
    wanted: TimeRange, options: Options, settings: Settings, cycle: Cycle, backlog: Backlog
) -> Outcome:
    """Sync the range that was asked for."""
    from tconnectsync.sync.run.catchup import earliest_of, left_behind

    _announce(wanted, options, cycle)
    outcome, spans = _pumps(wanted, options, cycle, backlog)
    if outcome.failures:
        return outcome
    with outcome.recording_failures((wanted, options.features), rest=(wanted, options.features)):
        backlog.add(left_behind(options, settings, cycle, wanted, backlog))
        return _run(wanted, options, cycle, backlog, spans, earliest_of(cycle, settings))
    return outcome


def _sync_last_days(
    options: Options, settings: Settings, cycle: Cycle, backlog: Backlog
) -> Outcome:
    """Sync up to now, and what earlier runs have left undone."""
    from tconnectsync.sync.run import catchup
    from tconnectsync.sync.run.coverage import newest_entries

    is_remembered = catchup.is_remembered(options, backlog)

    def ask_how_far() -> datetime:
        # The site holds nothing of what earlier runs have left there: it is another one.
        backlog.forget_site()
        back = catchup.reaching_back(
            options, settings, cycle, backlog, anew=True, announced=wanted.start
        )
        return back.start

    wanted = catchup.reaching_back(options, settings, cycle, backlog)
    earliest = catchup.earliest_of(cycle, settings)
    outcome, spans = _pumps(wanted, options, cycle, backlog)
    if not outcome.failures:
        wanted = catchup.with_late_uploads(wanted, spans, earliest, backlog, cycle)
        _announce(wanted, options, cycle)
        outcome = _run(
            wanted,
            options,
            cycle,
            backlog,
            spans,
            earliest,
            in_order=True,
            ask_how_far=ask_how_far if is_remembered else None,
        )
        backlog.remember_log_ends(newest_entries(spans))
        _look_once(options, cycle, backlog, wanted, earliest, outcome)
    beyond = catchup.beyond_catch_up(options, cycle, backlog, min(wanted.start, earliest))
    outcome.remark(beyond, wanted, ())
    return outcome


def _pumps(
    wanted: TimeRange, options: Options, cycle: Cycle, backlog: Backlog
) -> tuple[Outcome, Sequence[PumpSpan]]:
    """Return the pumps of the account; the outcome is empty unless that fails.

    Raises:
        PumpChoiceError: a person has to say first which pump is meant.
    """
    from tconnectsync.errors import PumpChoiceError
    from tconnectsync.sync.run.outcome import Outcome

    outcome = Outcome()
    with outcome.recording_failures((wanted, options.features), rest=(wanted, options.features)):
        return outcome, cycle.source.pumps(wanted)
    if isinstance(outcome.ended_by, PumpChoiceError):
        raise outcome.ended_by
    backlog.add(outcome.missing)
    return outcome, ()


def _run(
    wanted: TimeRange,
    options: Options,
    cycle: Cycle,
    backlog: Backlog,
    spans: Sequence[PumpSpan],
    earliest: datetime,
    *,
    in_order: bool = False,
    ask_how_far: Callable[[], datetime] | None = None,
) -> Outcome:
    """Run a cycle over a range and keep the backlog by what becomes of it."""
    from tconnectsync.sync.features import FEATURES
    from tconnectsync.sync.run.catchup import still_moved
    from tconnectsync.sync.run.coverage import coverage

    lasting = [name for name in options.features if FEATURES[name].parts]
    # Should this run break off, the next one knows.
    backlog.add({name: [wanted] for name in lasting})
    outcome = cycle.run(
        wanted,
        progress,
        in_order=in_order,
        earliest=min(wanted.start, earliest),
        ask_how_far=ask_how_far,
        is_known=any(backlog.newest().values()),
    )
    backlog.resolve(wanted, lasting, outcome.missing)
    backlog.remember_newest(outcome.newest)
    outcome.remark(coverage(spans, wanted, cycle.clock), wanted, ())
    if outcome.moved_before:
        outcome.remark(
            [still_moved(options, cycle, backlog, outcome.moved_before)], wanted, lasting
        )
    return outcome


def _look_once(
    options: Options,
    cycle: Cycle,
    backlog: Backlog,
    done: TimeRange,
    earliest: datetime,
    outcome: Outcome,
) -> None:
    """Look for what is looked for once per site; where that fails, the next run does it."""
    from tconnectsync.sync.run.firstlook import FEATURE, bring_ages, features_left_off

    if outcome.failures:
        return
    chosen = f"features besides {' '.join(sorted(options.features))}"
    try:
        if FEATURE in options.features and not backlog.is_done("ages"):
            found = bring_ages(cycle, done, earliest)
            outcome.absorb(found)
            if not found.failures:
                backlog.remember_done("ages")
        if not backlog.is_done(chosen):
            remark = features_left_off(cycle.nightscout, options.features, cycle.now())
            outcome.remark([remark] if remark else [], done, ())
            backlog.remember_done(chosen)
    except TconnectsyncError as error:
        log.warning("What is looked for once is left to the next run. %s", error)


def _log_file(options: Options, settings: Settings, clock: Clock) -> LogFile | None:
    """Return the saved log that is to be imported, if any."""
    if options.import_log is None:
        return None
    from tconnectsync.domain.clock import PumpClock
    from tconnectsync.sources.tandemsource.file import LogFile

    return LogFile(
        options.import_log,
        PumpClock(settings.timezone_name),
        ignore_zero_basals=settings.ignore_zero_unit_basal,
        now=clock.now(),
    )


def auto_update(options: Options, clock: Clock) -> int:
    """Sync whenever the pump has uploaded, until asked to stop; return the exit code."""
    from tconnectsync.app import assemble
    from tconnectsync.config.settings import LoopSettings
    from tconnectsync.state.site import open_backlog, write_lock
    from tconnectsync.stop import Stop, Stopped
    from tconnectsync.sync.loop.loop import run_loop
    from tconnectsync.sync.loop.step import Actions

    settings = _settings(options, clock)
    stop = Stop(clock.monotonic)
    backlog = open_backlog(settings.ns_url, pretend=options.pretend)
    cycle = assemble(
        settings,
        options.features,
        clock,
        backlog=backlog,
        pretend=options.pretend,
        on_plan=print_plan if options.pretend else ignore,
        writing=stop.writing,
    )
    lock = write_lock(settings.ns_url, clock, pretend=options.pretend)
    actions = Actions(
        latest_index=cycle.source.upload_counter,
        run_cycle=_moving_cycle(options, settings, cycle, backlog, lock),
        force_login=cycle.source.force_login,
    )
    try:
        with stop.listening():
            return run_loop(LoopSettings.of(settings), actions, clock, pretend=options.pretend)
    except Stopped as stopped:
        if stopped.waited:
            log.debug("A write could go on for %.2f s.", stopped.waited)
        log.info("Stopped. Nothing is lost: the next run goes on from here.")
        return 0


def check_login(options: Options, clock: Clock) -> int:
    """Try what a sync needs, show what comes of each step, write a report; return the exit code."""
    from pathlib import Path

    from tconnectsync.check.run import Check, State
    from tconnectsync.sync.run.window import date_range, last_days
    from tconnectsync.util.cli import enable_logging

    check = Check(*_given(options), clock, features=options.features or ())
    enable_logging(logging.DEBUG if options.verbose else logging.INFO, check.redactor)
    if options.dates:
        wanted = date_range(*options.dates, check.clock, check.started)
    else:
        wanted = last_days(options.days or 1, check.started)
    failed: list[int] = []
    for result in check.run(wanted):
        print_result(str(result))
        if result.state is State.FAILED:
            failed.append(result.exit_code)
    print_result(f"{len(failed) or 'None'} of the steps failed.")
    try:
        path = check.save_report(wanted, Path.cwd())
    except OSError as error:
        say(f"tconnectsync: The report cannot be written to this folder ({error.strerror}).")
        return 1
    print_result(
        f"When you ask for help, {path.name} holds the answers in full, without personal data as "
        "far as we know them. Read through it before you share it"
        + ("." if check.owner_known else "; Tandem did not tell the names to hide.")
    )
    return max(failed, default=0)


def _moving_cycle(
    options: Options, settings: Settings, cycle: Cycle, backlog: Backlog, lock: WriteLock
) -> Callable[[], Outcome]:
    """Return what syncs up to now, and what failed before once more.

    It waits for other runs, however long; to the loop a cycle left out would look like a failure,
    or like one that found nothing.
    """

    def run() -> Outcome:
        with lock(inf):
            outcome = _sync_last_days(options, settings, cycle, backlog)
        say_what_was_done(outcome, options)
        return outcome

    return run


def _announce(wanted: TimeRange, options: Options, cycle: Cycle) -> None:
    log.info(
        "Syncing %s from %s to %s%s.",
        ", ".join(options.features),
        cycle.clock.here(wanted.start).isoformat(" ", "minutes"),
        cycle.clock.here(wanted.end).isoformat(" ", "minutes"),
        " (pretend)" if options.pretend else "",
    )


def _settings(options: Options, clock: Clock) -> Settings:
    from tconnectsync import config
    from tconnectsync.app import at_address_in_use
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
    return at_address_in_use(settings, clock, patient=options.auto_update)


def _given(options: Options) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the environment, which options overrule, and the ``.env`` file set."""
    from tconnectsync.util.cli import given_values

    environment, files = given_values()
    source = TANDEM_SOURCE.name if options.import_log else options.source
    chosen = {"TCONNECT_SOURCE": source, "TCONNECT_REGION": options.region}
    environment |= {name: value for name, value in chosen.items() if value is not None}
    return environment, files
