"""The task: one step for one account, after which it schedules the next one.

What ``--auto-update`` keeps in the user's cache folder and in its process lies in the account's row
between two steps, encrypted. During a step it is in a folder that is in memory, not on a disk.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg.types.json import Json

from tconnectsync.app import Host, find_site, open_catch_up, open_watch
from tconnectsync.cli.options import Options
from tconnectsync.cli.personloop import REFUSED, REST, actions_of
from tconnectsync.cli.say import say_crash
from tconnectsync.config.people import for_all
from tconnectsync.config.settings import Configuration
from tconnectsync.errors import TconnectsyncError
from tconnectsync.fleet.accounts import configuration_of
from tconnectsync.fleet.database import (
    LOCKS,
    AddressFile,
    Connection,
    Pool,
    first,
    schedule,
    stopping_without_database,
)
from tconnectsync.fleet.vault import Vault
from tconnectsync.person import about
from tconnectsync.redact import JointRedactor, Redactor
from tconnectsync.state import pace
from tconnectsync.state.files import write_atomically
from tconnectsync.state.shared import SharedFile
from tconnectsync.state.states import record_paths
from tconnectsync.stop import Stopped, StopTogether
from tconnectsync.sync.loop.failures import LONG_WAIT
from tconnectsync.sync.loop.loop import share_of
from tconnectsync.sync.loop.memory import recall, remembered
from tconnectsync.sync.loop.step import LoopState, Next, step
from tconnectsync.watch.watch import Watch

log = logging.getLogger(__name__)

IN_MEMORY = "/dev/shm"  # noqa: S108
LOCK = "SELECT pg_try_advisory_lock(%s, %s) AS mine"
UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"
READ = """
SELECT *, extract(epoch FROM now())::float AS now FROM fleet_account WHERE id = %s AND NOT paused
"""
SAVE = """
UPDATE fleet_account SET memory = coalesce(%s, memory), record = %s WHERE id = %s
RETURNING queue, paused
"""


@dataclass(frozen=True)
class Steps:
    """Takes steps, several at a time in threads."""

    host: Host
    """The worker's computer."""
    vault: Vault
    pool: Pool
    """Each step holds one connection, and needs another one for moments."""
    redactor: JointRedactor
    """That of the log, for which the secrets of an account are known during its step."""
    stop: StopTogether

    def take(self, account: int) -> None:
        """Take an account's step unless it is being taken, was paused or removed.

        A lock in the database, which ends with the connection, keeps others from it meanwhile. A
        step that does not come to its end is found by the sweeper, and begins again.

        Raises:
            psycopg.Error: what the step did cannot be saved; another one will find it done.
        """
        with self.pool.connection() as connection:
            if not first(connection, LOCK, [LOCKS, account]).mine:
                return
            try:
                if row := first(connection, READ, [account]):
                    memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
                    with about(row.name), TemporaryDirectory(dir=memory) as folder:
                        self._take(connection, row, Path(folder))
            finally:
                with suppress(psycopg.Error):
                    connection.execute(UNLOCK, [LOCKS, account])

    def _take(self, connection: Connection, row: Any, folder: Path) -> None:
        values: dict[str, str] = {}
        memory: dict[str, Any] = {}
        sealed = None
        try:
            memory = self.vault.open(row.name, row.memory) if row.memory else {}
            values = self.vault.open(row.name, row.settings)
        except TconnectsyncError as error:
            # Without settings the step fails. What is kept stays: another worker may have the key.
            log.error("%s", error)
        configuration = configuration_of(row.name, values, for_all(self.host.environment))
        file = Path(*record_paths([str(folder)], configuration.key))
        files = {**memory.get("files", {}), file.name: json.dumps(row.record or {})}
        for name, text in files.items():
            write_atomically(folder / name, text)
        shared: dict[str, SharedFile] = {pace.FILE_NAME: AddressFile(self.pool, row.queue)}
        clock = replace(self.stop.clock(self.host.clock), jitter=lambda: share_of(row.name))
        host = replace(self.host, clock=clock, caches=[folder], shared=shared)
        watch = open_watch(configuration, host, person=row.name, continuous=True)
        watch.recall(memory.get("watch", ()))
        with self.redactor.knowing(Redactor(configuration.secrets)):
            following = self._recorded(connection, row, configuration, host, watch, memory)
        files = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.is_file()}
        record = json.loads(files.pop(file.name))
        memory |= {"watch": watch.memory, "files": files}
        code = following.exit_code
        pause = LONG_WAIT if code == REFUSED else REST if code else following.pause
        if values:
            sealed = self.vault.seal(row.name, memory)
        with connection.transaction():
            kept = first(connection, SAVE, [sealed, Json(record), row.id])
            if kept and not kept.paused:
                schedule(connection, row.id, kept.queue, pause)

    def _recorded(
        self,
        connection: Connection,
        row: Any,
        configuration: Configuration,
        host: Host,
        watch: Watch,
        memory: dict[str, Any],
    ) -> Next:
        """Take the step of the loop, and record how it went; return what follows."""
        # The database's clock measures the loop's time, because the next worker may have another.
        began = row.now - host.clock.monotonic()
        clock = replace(host.clock, monotonic=lambda: began + host.clock.monotonic())
        writing = partial(self._writing, connection, row)
        try:
            with watch.recording_errors():
                settings = find_site(configuration.settings(), clock, patient=True)
                state = LoopState(settings.loop, row.now, pretend=False)
                recall(state, memory.get("loop", {}))
                features = settings.sync.features
                catch_up = open_catch_up(settings, features, host, pretend=False, writing=writing)
                options = Options(env_file=Path(f"{row.name}.env"))
                following = step(state, actions_of(options, catch_up, nullcontext), clock)
            watch.after_round(following)
            memory["loop"] = {} if following.exit_code else remembered(state)
            return following
        except Stopped:
            return Next()
        except TconnectsyncError as error:
            log.error("%s", error)
            return Next(exit_code=error.exit_code)
        except Exception:
            return Next(exit_code=say_crash())

    @contextmanager
    def _writing(self, connection: Connection, row: Any) -> Iterator[None]:
        """Let the block write, if this step surely has its lock and the account is as it was."""
        with stopping_without_database():
            now = first(connection, READ, [row.id])
        if now is None or now.settings != row.settings:
            raise Stopped
        with self.stop.writing():
            yield
