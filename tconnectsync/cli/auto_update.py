"""``--auto-update``: syncs whenever the pump has uploaded, until asked to stop."""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

from tconnectsync.app import open_catch_up, write_lock
from tconnectsync.cli.configure import configuration_of, settings_of, watch_of
from tconnectsync.cli.progress import progress_of
from tconnectsync.cli.report import NextLook, plan_printer, say_what_was_done
from tconnectsync.cli.sync import completed, what_is_left
from tconnectsync.stop import Stop, Stopped
from tconnectsync.sync.loop.loop import run_loop
from tconnectsync.sync.loop.step import Actions, Next

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Settings
    from tconnectsync.sync.run.outcome import Outcome
    from tconnectsync.watch.watch import Watch

log = logging.getLogger(__name__)


def auto_update(options: Options, host: Host) -> int:
    """Sync whenever the pump has uploaded, until asked to stop; return the exit code."""
    configuration = configuration_of(options, host)
    watch = watch_of(options, configuration, host)
    with watch.recording_errors():
        settings = settings_of(options, configuration, host)
        options = completed(options, settings, configuration, host)
        return _run(options, host, settings, watch)


def _run(options: Options, host: Host, settings: Settings, watch: Watch) -> int:
    stop = Stop(host.clock.monotonic)
    catch_up = open_catch_up(
        settings,
        settings.sync.features,
        host,
        pretend=options.pretend,
        on_plan=plan_printer(options, settings),
        progress=progress_of(options),
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

    next_look = NextLook(host.clock.now, cycle.clock)

    def after_step(following: Next) -> None:
        next_look.after_step(following)
        watch.after_round(following)

    actions = Actions(
        latest_index=cycle.source.upload_counter,
        run_cycle=run_cycle,
        force_login=cycle.source.force_login,
    )
    try:
        with stop.listening():
            watch.started()
            return run_loop(
                settings.loop,
                actions,
                host.clock,
                pretend=options.pretend,
                after_step=after_step,
            )
    except Stopped as stopped:
        if stopped.waited:
            log.debug("A write could go on for %.2f s.", stopped.waited)
        log.info(what_is_left(catch_up, options))
        return 0
