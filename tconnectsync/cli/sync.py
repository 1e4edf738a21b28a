"""One run: the last days, or a range, or a saved log."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from tconnectsync.app import open_catch_up, open_file, write_lock
from tconnectsync.cli.configure import configuration_of, settings_of, watch_of
from tconnectsync.cli.people import each_person
from tconnectsync.cli.progress import progress_of
from tconnectsync.cli.report import plan_printer, report
from tconnectsync.errors import TconnectsyncError
from tconnectsync.state.lock import TakenError
from tconnectsync.sync.run.window import date_range

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Settings
    from tconnectsync.domain.clock import PumpClock
    from tconnectsync.sync.run.outcome import Outcome

log = logging.getLogger(__name__)

LONGEST_LOCK_WAIT = 120.0
"""Seconds that a run with days or dates waits for another run to end; cycles are shorter."""


def sync(options: Options, host: Host) -> int:
    """Run one cycle as the options and the configuration say; return the exit code.

    While another run writes to the site, a run without dates ends at once: the next one catches up.
    A run with days, dates or a file waits, and fails if the other one does not end.
    """
    return each_person(options, host, lambda one: _run(one, host))


def _run(options: Options, host: Host) -> int:
    configuration = configuration_of(options, host)
    watch = watch_of(options, configuration, host)
    asked_for = (options.dates, options.days, options.import_log)
    by_a_person = any(each is not None for each in asked_for)
    try:
        settings = settings_of(options, configuration, host)
        options = replace(options, features=settings.sync.features)
        lock = write_lock(settings, host, pretend=options.pretend)
        with lock(LONGEST_LOCK_WAIT if by_a_person else 0.0):
            outcome, clock = _sync(options, settings, host)
    except TakenError as other:
        if by_a_person:
            raise TconnectsyncError(
                f"{other}. Nothing was done; start this run again when the other one has ended."
            ) from None
        log.info("%s; that run does the work, so this one ends.", other)
        return 0
    except TconnectsyncError as error:
        watch.after_error(error)
        raise
    if not options.pretend:
        watch.after_run(outcome)
    return report(outcome, options, clock)


def _sync(options: Options, settings: Settings, host: Host) -> tuple[Outcome, PumpClock]:
    file = open_file(options.import_log, settings, host) if options.import_log else None
    catch_up = open_catch_up(
        settings,
        settings.sync.features,
        host,
        source=file,
        pretend=options.pretend,
        on_plan=plan_printer(options, settings),
        progress=progress_of(options),
    )
    cycle, chosen = catch_up.cycle, file.covered if file else None
    if options.dates:
        chosen = date_range(*options.dates, cycle.clock, cycle.now())
    outcome = catch_up.sync_range(chosen) if chosen else catch_up.sync_up_to_now(options.days or 1)
    return outcome, cycle.clock
