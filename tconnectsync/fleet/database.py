"""The database: connecting, migrating, and the job that is an account's next step.

Where it is, is said as libpq has it: ``PGHOST``, ``PGDATABASE``, ``PGUSER``, ``PGPASSFILE`` …
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.schema import SchemaManager
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool

CONNECTED: dict[str, Any] = {"autocommit": True, "row_factory": namedtuple_row}
STEP, SWEEP = "step", "sweep"
"""The names of the tasks."""
OWN_QUEUE = "fleet"
"""That of the sweeper; every worker serves it."""
LOCKS = 0x7C03
"""The class of advisory locks of which one is held, by its connection, during each step."""

Connection = psycopg.Connection[Any]
Pool = ConnectionPool[Connection]


def connect() -> Connection:
    """Connect to the database that the environment names.

    Raises:
        psycopg.OperationalError: it cannot be reached.
    """
    return psycopg.connect("", **CONNECTED)


def pool_of(connections: int) -> Pool:
    """Return what holds so many connections to the database, and replaces those that broke."""
    check = ConnectionPool.check_connection
    return ConnectionPool(min_size=1, max_size=connections, kwargs=CONNECTED, check=check)


def first(connection: Connection, query: LiteralString, values: Sequence[Any]) -> Any:
    """Return the first row that a query finds, with its columns as attributes; else ``None``."""
    return connection.execute(query, values).fetchone()


def migrate(connection: Connection) -> list[str]:
    """Make the tables, or bring them up to date; return the names of what was done.

    Workers of the version before may go on meanwhile only where the release notes say so.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCKS])
        schema = files("tconnectsync.fleet").joinpath("schema.sql").read_text("utf-8")
        connection.execute(schema.encode())
        known = {row.name for row in connection.execute("SELECT name FROM fleet_migration")}
        folder = Path(SchemaManager.get_migrations_path())
        steps = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.sql"))}
        todo = [name for name in steps if name not in known]
        if known:
            for name in todo:
                connection.execute(steps[name].encode())
        else:
            connection.execute(SchemaManager.get_schema().encode())
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO fleet_migration VALUES (%s)", [[name] for name in todo])
    return todo


def schedule(connection: Connection, account: int, queue: str, at: datetime) -> None:
    """Let an account's next step be due at an instant, unless one waits already."""
    lock = _lock(account)
    with suppress(AlreadyEnqueued), connection.transaction():
        _jobs().configure_task(
            STEP,
            allow_unknown=True,
            queue=queue,
            lock=lock,
            queueing_lock=lock,
            schedule_at=at,
            connection=connection,
        ).defer(account=account)


def unschedule(connection: Connection, account: int) -> None:
    """Take back an account's next step, if it has not begun."""
    query = "SELECT id FROM procrastinate_jobs WHERE queueing_lock = %s AND status = 'todo'"
    for job in connection.execute(query, [_lock(account)]).fetchall():
        _jobs().job_manager.cancel_job_by_id(job.id, delete_job=True, connection=connection)


def _lock(account: int) -> str:
    return f"account-{account}"


@cache
def _jobs() -> App:
    """Return what defers jobs over connections that it is given; it has none of its own."""
    return App(connector=SyncPsycopgConnector())
