"""What all workers of one address share in the database: its logins, and its rests after a block.

The rules are those of :mod:`tconnectsync.state.pace`; only where they are kept is another place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tconnectsync.fleet.database import Pool, first
from tconnectsync.state.shared import SharedFile
from tconnectsync.stop import Stopped

log = logging.getLogger(__name__)

MAKE = "INSERT INTO fleet_address (queue) VALUES (%s) ON CONFLICT DO NOTHING"
READ = "SELECT pace FROM fleet_address WHERE queue = %s"
CHANGE = "UPDATE fleet_address SET pace = %s WHERE queue = %s"


class AddressFile(SharedFile):
    """A row of the database that stands for the file of the address that a queue is named after."""

    def __init__(self, pool: Pool, queue: str) -> None:
        super().__init__(queue, ())
        self._pool = pool
        self._queue = queue

    def read(self) -> dict[str, Any]:
        """Return what is known of the address."""
        with stopping_without_database(), self._pool.connection() as connection:
            row = first(connection, READ, [self._queue])
            return row.pace if row else {}

    @contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Give what is known, and keep what the block makes of it; workers do so in turn."""
        with (
            stopping_without_database(),
            self._pool.connection() as connection,
            connection.transaction(),
        ):
            connection.execute(MAKE, [self._queue])
            content = first(connection, f"{READ} FOR UPDATE", [self._queue]).pace
            before = deepcopy(content)
            yield content
            if content != before:
                connection.execute(CHANGE, [Jsonb(content), self._queue])


@contextmanager
def stopping_without_database() -> Iterator[None]:
    """Stop the step if the database fails: another worker may be doing it already.

    Raises:
        Stopped: the database cannot be asked.
    """
    try:
        yield
    except psycopg.Error as error:
        log.warning("The database does not answer (%s). This step ends.", type(error).__name__)
        raise Stopped from error
