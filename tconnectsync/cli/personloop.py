"""One person's turns in ``--auto-update``: reads the settings, steps, and waits where it must.

Where a loop for one person alone would end the program, one that stays waits: after a refusal until
the settings are corrected, after a long outage for some minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from math import inf
from typing import TYPE_CHECKING

from tconnectsync.app import open_catch_up, open_refused, write_lock
from tconnectsync.cli.configure import configuration_of, settings_of, watch_of
from tconnectsync.cli.progress import progress_of
from tconnectsync.cli.say import NextLook, plan_printer, say_crash, say_what_was_done, say_why
from tconnectsync.cli.sync import NOTHING_LOST, completed, what_is_left
from tconnectsync.errors import ConfigError, PasswordRefusedError, TconnectsyncError
from tconnectsync.sync.loop.loop import Rounds
from tconnectsync.sync.loop.step import Actions, Next
from tconnectsync.sync.run.window import last_days

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration
    from tconnectsync.state.lock import WriteLock
    from tconnectsync.sync.run.catchup import CatchUp
    from tconnectsync.sync.run.outcome import Outcome
    from tconnectsync.watch.watch import Watch

log = logging.getLogger(__name__)

LOOK_AGAIN = 30.0
"""Seconds after which is looked whether settings that cannot work were changed."""
REST = 600.0
"""Seconds until a loop that gave up starts again, or ends if its refusal cannot be saved."""
REFUSED = 2
"""The exit code of what will not work before a person has changed something."""


class PersonLoop:
    """Takes turns for one person; see :data:`tconnectsync.sync.loop.loop.Turn`.

    Args:
        options: what was asked for, of several people for this one.
        host: where the program runs.
        writing: makes the block within which every request that changes Nightscout is sent.
        stays: whether to wait where it could end.
        read: reads the settings.
        problem: returns why they cannot be used beside those of other people, if so.
    """

    def __init__(
        self,
        options: Options,
        host: Host,
        writing: Callable[[], AbstractContextManager[None]],
        *,
        stays: bool,
        read: Callable[[Options], Configuration] | None = None,
        problem: Callable[[], str] = lambda: "",
    ) -> None:
        self._options = options
        self._host = host
        self._writing = writing
        self._stays = stays
        self._read = read or (lambda options: configuration_of(options, host))
        self._problem = problem
        self._turn: Callable[[], Next] | None = None
        self._watch: Watch | None = None
        self._seen: object = None
        self._rests_until = 0.0
        self._what_is_left: Callable[[], str] | None = None
        self.exit_code: int | None = None
        """Why nothing is done now; ``None`` while the loop runs."""
        self.is_unremembered = False
        """Whether the next start would send again a password that was refused."""

    def turn(self) -> Next:
        """Do what is due; the exit code says that it ends, never the one that stays.

        Raises:
            TconnectsyncError: it cannot start, and does not stay.
        """
        if self.exit_code is not None and self._is_to_wait():
            if self._watch:
                self._watch.waiting()
            return Next(LOOK_AGAIN)
        try:
            following = (self._turn or self._open())()
        except TconnectsyncError as error:
            if not self._stays:
                raise
            say_why(error)
            return self._end(error.exit_code)
        if following.exit_code is None:
            return following
        is_refused = isinstance(following.round.error, PasswordRefusedError)
        self.is_unremembered = is_refused and not open_refused(self._host).can_remember
        return self._end(following.exit_code) if self._stays else following

    def what_is_left(self) -> str:
        """Say what is left of the work when the loop was asked to end."""
        return self._what_is_left() if self._what_is_left else NOTHING_LOST

    def crashed(self) -> Next:
        """Log the error that is being handled, which is the program's own fault, and rest."""
        return self._end(say_crash())

    def _is_to_wait(self) -> bool:
        if self._given(self._read(self._options)) != self._seen:
            log.info("The settings have changed; trying them.")
            return False
        return self.exit_code == REFUSED or self._host.clock.monotonic() < self._rests_until

    def _end(self, exit_code: int) -> Next:
        """Wait for other settings, or rest; a loop that was to do some rounds only is done."""
        if exit_code == 0:
            self.exit_code = 0
            return Next(exit_code=0)
        self._turn, self.exit_code = None, exit_code
        self._rests_until = self._host.clock.monotonic() + REST
        if exit_code == REFUSED:
            log.error("Waiting until the settings are changed. Nothing is synced until then.")
        else:
            log.error("Resting; starting again in %.0f minutes.", REST / 60)
        return Next(LOOK_AGAIN)

    def _given(self, configuration: Configuration) -> object:
        """Return something that changes when somebody changes the settings, or touches a file."""
        paths = [path for each in configuration.places if (path := getattr(each, "path", None))]
        times = []
        for path in paths:
            with suppress(OSError):
                times.append((path, path.stat().st_mtime_ns))
        return times, configuration.values, configuration.problems, self._problem()

    def _open(self) -> Callable[[], Next]:
        """Return what takes the steps, with settings that are read now."""
        options, host = self._options, self._host
        configuration = self._read(options)
        self._seen, self.exit_code = self._given(configuration), None
        watch = self._watch = watch_of(options, configuration, host)
        with watch.recording_errors():
            if problem := self._problem():
                raise ConfigError([problem])
            settings = settings_of(options, configuration, host)
        options = completed(options, settings, configuration, host)
        catch_up = open_catch_up(
            settings,
            settings.sync.features,
            host,
            pretend=options.pretend,
            on_plan=plan_printer(options, settings),
            progress=progress_of(options),
            writing=self._writing,
        )
        self._what_is_left = lambda: what_is_left(catch_up, options)
        rounds = Rounds(
            settings.loop,
            actions_of(options, catch_up, write_lock(settings, host, pretend=options.pretend)),
            host.clock,
            pretend=options.pretend,
        )
        next_look = NextLook(host.clock.now, catch_up.cycle.clock)

        def turn() -> Next:
            with watch.recording_errors():
                following = rounds.turn()
            next_look.after_step(following)
            watch.after_round(following)
            return following

        watch.started()

        self._turn = turn
        return turn


def actions_of(options: Options, catch_up: CatchUp, lock: WriteLock) -> Actions:
    """Return what a step can do: poll, sync while it has the lock, and log in again."""
    cycle = catch_up.cycle

    def run_cycle() -> Outcome:
        # Wait as long as another run writes. To the loop, a cycle left out would look like one
        # that failed or found nothing.
        with lock(inf):
            outcome = catch_up.sync_up_to_now(last_days(options.days or 1, cycle.now()))
        say_what_was_done(outcome, options, cycle.clock)
        return outcome

    return Actions(
        latest_index=cycle.source.upload_counter,
        run_cycle=run_cycle,
        force_login=cycle.source.force_login,
    )
