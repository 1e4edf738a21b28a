"""The task: one step for one account, after which it schedules the next one.

What ``--auto-update`` keeps in the user's cache folder and in its process lies in the account's row
between two steps, encrypted. During a step it is in a folder that is in memory, not on a disk.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tconnectsync.app import Host, find_site, open_catch_up, open_watch
from tconnectsync.cli.options import Options
from tconnectsync.cli.say import say_crash, say_what_was_done
from tconnectsync.config.people import for_all
from tconnectsync.config.settings import Configuration
from tconnectsync.errors import TconnectsyncError
from tconnectsync.fleet.accounts import configuration_of
from tconnectsync.fleet.database import LOCKS, Connection, Pool, first, schedule
from tconnectsync.fleet.limits import AddressFile, stopping_without_database
from tconnectsync.fleet.vault import Vault
from tconnectsync.person import about
from tconnectsync.redact import JointRedactor, Redactor
from tconnectsync.state import pace
from tconnectsync.state.files import write_atomically
from tconnectsync.state.states import record_paths
from tconnectsync.stop import Stopped, StopTogether
from tconnectsync.sync.loop.loop import share_of
from tconnectsync.sync.loop.memory import recall, remembered
from tconnectsync.sync.loop.step import Actions, LoopState, Next, step
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import last_days
from tconnectsync.watch.watch import Watch

log = logging.getLogger(__name__)

TAKEN_AGAIN = 60.0
"""Seconds until a step that another worker seems to be doing is looked at again."""
WAITING = 1800.0
"""Seconds between two looks at an account that waits for other settings."""
REST = 600.0
"""Seconds after a step that gave up, or failed by a fault of the program."""
LATE = 600.0
"""Seconds; what failed before a step that comes so late says nothing about now."""
IN_MEMORY = "/dev/shm"  # noqa: S108
LOCK = "SELECT pg_try_advisory_lock(%s, %s) AS mine"
UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"
READ = "SELECT * FROM fleet_account WHERE id = %s AND NOT paused"
SAVE = """
UPDATE fleet_account SET memory = %s, record = %s, due = %s, waits = %s AND settings = %s
WHERE id = %s RETURNING queue, paused, settings = %s AS same
"""


@dataclass(frozen=True)
class Steps:
    """Takes steps, several at a time in threads."""

    host: Host
    """The worker's computer."""
    vault: Vault
    pool: Pool
    """Each step holds one connection, and at times needs another."""
    redactor: JointRedactor
    """That of the log, for which the secrets of an account are known during its step."""
    stop: StopTogether

    def take(self, account: int) -> None:
        """Take an account's step unless it is being taken, was paused or removed.

        A lock in the database, which ends with the connection, keeps others from it meanwhile.

        Raises:
            psycopg.Error: what the step did cannot be saved; another one will find it done.
        """
        with self.pool.connection() as connection:
            mine = first(connection, LOCK, [LOCKS, account]).mine
            row = first(connection, READ, [account])
            if row and not mine:
                schedule(connection, account, row.queue, self._in(TAKEN_AGAIN))
            if not mine:
                return
            try:
                if row:
                    with about(row.name):
                        self._take(connection, row)
            finally:
                with suppress(psycopg.Error):
                    connection.execute(UNLOCK, [LOCKS, account])

    def _take(self, connection: Connection, row: Any) -> None:
        try:
            values = self.vault.open(row.name, row.settings)
            memory = self.vault.open(row.name, row.memory) if row.memory else {}
        except TconnectsyncError as error:
            log.error("%s", error)
            schedule(connection, row.id, row.queue, self._in(REST))
            return
        environment = for_all(self.host.environment)
        configuration = configuration_of(row.name, values, environment)
        with (
            self.redactor.knowing(Redactor(configuration.secrets)),
            TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as name,
        ):
            folder = Path(name)
            file = Path(*record_paths([name], configuration.key))
            files = memory.get("files", {}) | {file.name: json.dumps(row.record or {})}
            for each, text in files.items():
                write_atomically(folder / each, text)
            clock = replace(self.stop.clock(self.host.clock), jitter=lambda: share_of(row.name))
            host = Host(clock, environment, folder, folder, [folder])
            host.shared[pace.FILE_NAME] = AddressFile(self.pool, row.queue)
            watch = open_watch(configuration, host, person=row.name, continuous=True)
            watch.recall(memory.get("watch", ()))
            following, loop = Next(WAITING), memory.get("loop", {})
            if row.waits:
                watch.waiting()
            else:
                following, loop = self._round(connection, row, configuration, host, watch, loop)
            memory = {
                "loop": {} if following.exit_code else loop,
                "watch": watch.memory,
                "files": {path.name: path.read_text("utf-8") for path in folder.iterdir()},
            }
        self._save(connection, row, memory, json.loads(memory["files"].pop(file.name)), following)

    def _round(
        self,
        connection: Connection,
        row: Any,
        configuration: Configuration,
        host: Host,
        watch: Watch,
        loop: Mapping[str, Any],
    ) -> tuple[Next, Mapping[str, Any]]:
        """Take the step of the loop; return what follows, and what the loop knows now."""
        # A clock that is the same on all machines.
        clock = replace(host.clock, monotonic=lambda: host.clock.now().timestamp())
        try:
            with watch.recording_errors():
                settings = find_site(configuration.settings(), clock, patient=True)
                state = LoopState(settings.loop, clock.monotonic(), pretend=False)
                recall(state, loop)
                if row.due and clock.monotonic() > row.due.timestamp() + LATE:
                    state.failures.forget()
                catch_up = open_catch_up(
                    settings,
                    settings.sync.features,
                    host,
                    pretend=False,
                    on_plan=lambda window, plan: None,
                    progress=lambda windows: windows,
                    writing=self._writing(connection, row.id),
                )
                source = catch_up.cycle.source

                def run_cycle() -> Outcome:
                    outcome = catch_up.sync_up_to_now(last_days(1, catch_up.cycle.now()))
                    options = Options(env_file=Path(f"{row.name}.env"))
                    say_what_was_done(outcome, options, catch_up.cycle.clock)
                    return outcome

                watch.started()
                actions = Actions(source.upload_counter, run_cycle, source.force_login)
                following = step(state, actions, clock)
            watch.after_round(following)
            return following, remembered(state)
        except Stopped:
            return Next(), loop
        except TconnectsyncError as error:
            log.error("%s", error)
            return Next(exit_code=error.exit_code), loop
        except Exception:
            return Next(exit_code=say_crash()), loop

    def _writing(
        self, connection: Connection, account: int
    ) -> Callable[[], AbstractContextManager[None]]:
        """Return the block in which a write is sent: only while the step's lock is surely held."""

        @contextmanager
        def writing() -> Iterator[None]:
            with stopping_without_database():
                if first(connection, READ, [account]) is None:
                    raise Stopped
            with self.stop.writing():
                yield

        return writing

    def _save(
        self, connection: Connection, row: Any, memory: Any, record: Any, following: Next
    ) -> None:
        """Save what the next step has to know, and schedule it, both or neither."""
        waits = row.waits or following.exit_code == 2
        pause = WAITING if waits else REST if following.exit_code else following.pause
        sealed, due = self.vault.seal(row.name, memory), self._in(pause)
        values = [sealed, Jsonb(record), due, waits, row.settings, row.id, row.settings]
        with connection.transaction():
            kept = first(connection, SAVE, values)
            if kept and not kept.paused:
                schedule(connection, row.id, kept.queue, due if kept.same else self._in(0))

    def _in(self, seconds: float) -> Any:
        return self.host.clock.now() + timedelta(seconds=seconds)
