"""The database: connecting, migrating, the job that is an account's next step, and the addresses.

Where it is, is said as libpq has it: ``PGHOST``, ``PGDATABASE``, ``PGUSER``, ``PGPASSFILE`` …
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.schema import SchemaManager
from psycopg.rows import namedtuple_row
from psycopg.types.json import Json
from psycopg_pool import ConnectionPool

from tconnectsync.state.shared import SharedFile
from tconnectsync.stop import Stopped

log = logging.getLogger(__name__)

CONNECTED: dict[str, Any] = {"autocommit": True, "row_factory": namedtuple_row}
LOCKED = """
INSERT INTO fleet_address VALUES (%s)
ON CONFLICT (queue) DO UPDATE SET queue = excluded.queue RETURNING pace
"""
KEEP = "UPDATE fleet_address SET pace = %s WHERE queue = %s"
LOCKS = 0x7C03
"""The class of advisory locks of which one is held, by its connection, during each step."""
Connection = psycopg.Connection[Any]
Pool = ConnectionPool[Connection]


def connect() -> Connection:
    """Connect to the database that the environment names."""
    return psycopg.connect("", **CONNECTED)


def first(connection: Connection, query: LiteralString, values: Sequence[Any] = ()) -> Any:
    """Return the first row that a query finds, with its columns as attributes; else ``None``."""
    return connection.execute(query, values).fetchone()


def migrate(connection: Connection) -> int:
    """Make the tables, Procrastinate's and ours, or bring them up to date; return how many steps.

    Workers of the version before may go on meanwhile only where the release notes say so.
    """
    connection.execute("SELECT pg_advisory_lock(%s, 0)", [LOCKS])
    connection.execute("CREATE TABLE IF NOT EXISTS fleet_migration (name text PRIMARY KEY)")
    known = {row.name for row in connection.execute("SELECT name FROM fleet_migration")}
    folders = Path(SchemaManager.get_migrations_path()), Path(__file__).parent
    files = [path for folder in folders for path in sorted(folder.glob("*.sql"))]
    todo = [path for path in files if path.name not in known]
    for path in todo:
        with connection.transaction():
            connection.execute(path.read_bytes())
            connection.execute("INSERT INTO fleet_migration VALUES (%s)", [path.name])
    return len(todo)


def schedule(connection: Connection, account: int, queue: str, seconds: float = 0.0) -> None:
    """Let an account's next step be due after some seconds, unless one waits already.

    The database's clock measures them and says what is due, because a worker's may be wrong. They
    are an hour at most: so the sweeper sees if the database's clock was.
    """
    query: LiteralString = "SELECT now() + make_interval(secs => least(%s, 3600)) AS at"
    at = first(connection, query, [seconds]).at
    lock, app = f"account-{account}", App(connector=SyncPsycopgConnector())
    options = {"lock": lock, "queueing_lock": lock, "schedule_at": at, "connection": connection}
    with suppress(AlreadyEnqueued), connection.transaction():
        step = app.configure_task("step", allow_unknown=True, queue=queue, **options)
        step.defer(account=account)


def unschedule(connection: Connection, account: int) -> None:
    """Take back an account's next step, if it has not begun."""
    query = "DELETE FROM procrastinate_jobs WHERE queueing_lock = %s AND status = 'todo'"
    connection.execute(query, [f"account-{account}"])


class AddressFile(SharedFile):
    """A row that stands for the file of :mod:`tconnectsync.state.pace`: for a queue, an address."""

    def __init__(self, pool: Pool, queue: str) -> None:
        super().__init__(queue, ())
        self._pool = pool
        self._queue = [queue]

    def read(self) -> dict[str, Any]:
        """Return what is known of the address."""
        with stopping_without_database(), self._pool.connection() as connection:
            row = first(connection, "SELECT pace FROM fleet_address WHERE queue = %s", self._queue)
        return row.pace if row else {}

    @contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Give what is known, and keep what the block makes of it; all workers do so in turn."""
        with (
            stopping_without_database(),
            self._pool.connection() as connection,
            connection.transaction(),
        ):
            pace = first(connection, LOCKED, self._queue).pace
            yield pace
            connection.execute(KEEP, [Json(pace), *self._queue])


@contextmanager
def stopping_without_database() -> Iterator[None]:
    """Raise :class:`Stopped` if the database fails: another worker may do the step already."""
    try:
        yield
    except psycopg.Error as error:
        log.warning("The database does not answer (%s). This step ends.", type(error).__name__)
        raise Stopped from error
