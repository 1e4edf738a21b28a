"""The task: one step for one account, after which it schedules the next one.

What ``--auto-update`` keeps in the user's cache folder and in its process lies in the account's row
between two steps, encrypted. During a step it is in a folder that is in memory, not on a disk.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
from tconnectsync.state.shared import SharedFile
from tconnectsync.state.states import State, record_paths
from tconnectsync.stop import Stopped, StopTogether
from tconnectsync.sync.loop.loop import share_of
from tconnectsync.sync.loop.memory import recall, remembered
from tconnectsync.sync.loop.step import Actions, LoopState, Next, step
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import last_days
from tconnectsync.watch.watch import Verdict, Watch

log = logging.getLogger(__name__)

TAKEN_AGAIN = 60.0
"""Seconds until a step that another worker seems to be doing is looked at again."""
WAITING = 1800.0
"""Seconds between two looks at an account that waits for other settings."""
REST = 600.0
"""Seconds after a step that gave up, or failed by a fault of the program."""
LATE = 600.0
"""Seconds; what failed before a step that comes so late says nothing about now."""
Memory = dict[str, Any]


@dataclass(frozen=True)
class StepHost(Host):
    """The computer for one step: what is about the address is not in its folder."""

    address: SharedFile | None = None

    def shared_file(self, name: str) -> SharedFile:
        """Return a file, or what stands for that of the address."""
        return (
            self.address if self.address and name == pace.FILE_NAME else super().shared_file(name)
        )


class Steps:
    """Takes steps, several at a time in threads.

    Args:
        host: the worker's computer.
        vault: decrypts what belongs to an account.
        pool: leads to the database; each step holds one connection, and at times needs another.
        folder: in memory; each step has a folder in it.
        redactor: that of the log, for which the secrets of an account are known during its step.
        stop: ends them.
    """

    def __init__(
        self,
        host: Host,
        vault: Vault,
        pool: Pool,
        folder: Path,
        redactor: JointRedactor,
        stop: StopTogether,
    ) -> None:
        self._clock = stop.clock(host.clock)
        self._host = replace(host, clock=self._clock, environment=for_all(host.environment))
        self._vault = vault
        self._pool = pool
        self._folder = folder
        self._redactor = redactor
        self._stop = stop

    def take(self, account: int) -> None:
        """Take an account's step unless it is being taken, was paused or removed.

        A lock in the database, which ends with the connection, keeps others from it meanwhile.

        Raises:
            psycopg.Error: what the step did cannot be saved; another one will find it done.
        """
        with self._pool.connection() as connection:
            query = "SELECT pg_try_advisory_lock(%s, %s) AS mine"
            mine = first(connection, query, [LOCKS, account]).mine
            row = first(
                connection,
                "SELECT id, name, queue, paused, waits, settings, memory, record, due "
                "FROM fleet_account WHERE id = %s",
                [account],
            )
            if not mine and row and not row.paused:
                at = self._clock.now() + timedelta(seconds=TAKEN_AGAIN)
                schedule(connection, account, row.queue, at)
            if not mine:
                return
            try:
                if row and not row.paused:
                    with about(row.name):
                        self._take(connection, row)
            finally:
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCKS, account])

    def _take(self, connection: Connection, row: Any) -> None:
        try:
            values = self._vault.open(row.name, row.settings)
            memory = self._vault.open(row.name, row.memory) if row.memory else {}
        except TconnectsyncError as error:
            log.error("%s", error)
            schedule(connection, row.id, row.queue, self._clock.now() + timedelta(seconds=REST))
            return
        configuration = configuration_of(row.name, values, self._host.environment)
        with ExitStack() as during:
            during.enter_context(self._redactor.knowing(Redactor(configuration.secrets)))
            folder = Path(during.enter_context(TemporaryDirectory(dir=self._folder)))
            file = Path(*record_paths([str(folder)], configuration.key))
            files = memory.get("files", {}) | {file.name: json.dumps(row.record or {})}
            for name, text in files.items():
                write_atomically(folder / name, text)
            host = StepHost(
                replace(self._clock, jitter=lambda: share_of(row.name)),
                *(self._host.environment, folder, folder, [folder]),
                address=AddressFile(self._pool, row.queue),
            )
            watch = open_watch(configuration, host, person=row.name, continuous=True)
            watch.verdict = _verdict(memory.get("verdict")) or watch.verdict
            following, loop = Next(WAITING), memory.get("loop", {})
            if row.waits:
                watch.waiting()
            else:
                following, loop = self._round(connection, row, configuration, host, watch, loop)
            memory = {
                "loop": {} if following.exit_code else loop,
                "verdict": [*watch.verdict[:-1], str(watch.verdict.deferred_until or "")],
                "files": {path.name: path.read_text("utf-8") for path in folder.iterdir()},
            }
        record = json.loads(memory["files"].pop(file.name))
        self._save(connection, row, memory, record, following)

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
        try:
            with watch.recording_errors():
                settings = find_site(configuration.settings(), host.clock, patient=True)
                # A clock that is the same on all machines.
                clock = replace(host.clock, monotonic=lambda: host.clock.now().timestamp())
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

    def _writing(self, connection: Connection, account: int) -> Callable[[], Any]:
        """Return the block in which a write is sent: only while the step's lock is surely held."""

        @contextmanager
        def writing() -> Iterator[None]:
            query = "SELECT FROM fleet_account WHERE id = %s AND NOT paused"
            with stopping_without_database():
                is_wanted = first(connection, query, [account]) is not None
            if not is_wanted:
                raise Stopped
            with self._stop.writing():
                yield

        return writing

    def _save(
        self,
        connection: Connection,
        row: Any,
        memory: Memory,
        record: Any,
        following: Next,
    ) -> None:
        """Save what the next step has to know, and schedule it, both or neither."""
        waits = following.exit_code == 2 or row.waits
        pause = {None: following.pause, 2: WAITING}.get(following.exit_code, REST)
        now = self._clock.now()
        due = now + timedelta(seconds=pause)
        with connection.transaction():
            kept = first(
                connection,
                "UPDATE fleet_account SET memory = %s, record = %s, due = %s, "
                "waits = %s AND settings = %s WHERE id = %s "
                "RETURNING queue, paused, settings = %s AS same",
                [
                    self._vault.seal(row.name, memory),
                    Jsonb(record),
                    due,
                    *(waits, row.settings, row.id, row.settings),
                ],
            )
            if kept and not kept.paused:
                schedule(connection, row.id, kept.queue, due if kept.same else now)


def _verdict(saved: Any) -> Verdict | None:
    """Return what the last cycle has led to, if it can be read."""
    with suppress(ValueError, TypeError):
        state, cause, missing, deferred, until = saved
        at = datetime.fromisoformat(until) if until else None
        return Verdict(State(state), cause, tuple(missing), deferred, at)
    return None
