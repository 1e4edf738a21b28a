"""The table of accounts: whose data are synced, through which address, with which settings.

What is wrong is raised as :class:`UsageError` or, in the settings, as :class:`ConfigError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from psycopg.errors import UniqueViolation

from tconnectsync.cli.people import conflict
from tconnectsync.config.envfile import EnvFile, read_env_file
from tconnectsync.config.people import NAME
from tconnectsync.config.settings import Configuration
from tconnectsync.errors import ConfigError, UsageError
from tconnectsync.fleet.database import LOCKS, Connection, first, schedule, unschedule
from tconnectsync.fleet.vault import Vault
from tconnectsync.sync.loop.loop import APART, share_of

QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
OF_THE_WORKER = "REQUESTS_PROXY", "METRICS_FILE"
ADD = """
INSERT INTO fleet_account (name, queue, settings) VALUES (%s, %s, %s)
RETURNING id, (SELECT count(*) FROM fleet_account WHERE queue = %s) AS others
"""
CHANGE = """
UPDATE fleet_account SET queue = coalesce(%s, queue), settings = coalesce(%s, settings),
    paused = coalesce(%s, paused)
WHERE name = %s RETURNING id, queue, paused
"""
KEEP = "UPDATE fleet_account SET settings = %s, memory = %s WHERE id = %s"


def sealed(connection: Connection, vault: Vault, name: str, file: Path) -> bytes:
    """Encrypt the settings in a file, if they can be used and no other account is in the way.

    Until the end of the transaction, no other account gets in the way.
    """
    given = Configuration(read_env_file(file))
    given.settings()
    for variable in OF_THE_WORKER:
        if variable in given.given:
            raise ConfigError([f"{variable} belongs to the worker: set it in its environment."])
    # What stands in a file of this computer is kept like what was written directly.
    values = {variable: each.value for variable, each in given.given.items()}
    connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCKS])
    rows = connection.execute("SELECT name, settings FROM fleet_account")
    others = {row.name: configuration_of(row.name, vault.open(*row)) for row in rows}
    if problem := conflict(name, {**others, name: configuration_of(name, values)}):
        raise ConfigError([problem])
    return vault.seal(name, values)


def add(connection: Connection, name: str, settings: bytes, queue: str) -> None:
    """Add an account, and let its first step follow."""
    if not NAME.fullmatch(name):
        raise UsageError("The name cannot be used: take letters, digits, dots, - and _.")
    try:
        row = first(connection, ADD, [name, queue, settings, queue])
    except UniqueViolation:
        raise UsageError(f"There is an account {name} already: use change.") from None
    # Many who are added at once do not log in at the same moment.
    schedule(connection, row.id, queue, share_of(name) * APART * row.others)


def change(connection: Connection, name: str, *new: Any) -> None:
    """Change the queue, the settings (encrypted) and whether an account is paused.

    What is ``None`` stays as it is. The next step follows at once.
    """
    row = first(connection, CHANGE, [*new, name])
    if row is None:
        raise UsageError(f"There is no account {name}.")
    unschedule(connection, row.id)
    if not row.paused:
        schedule(connection, row.id, row.queue)


def remove(connection: Connection, name: str) -> None:
    """Remove all that is known of an account. What is in Nightscout stays there."""
    change(connection, name, None, None, True)
    connection.execute("DELETE FROM fleet_account WHERE name = %s", [name])


def rotate(connection: Connection, vault: Vault) -> int:
    """Encrypt everything with the newest key; return for how many accounts."""
    rows = connection.execute("SELECT * FROM fleet_account FOR UPDATE").fetchall()
    for row in rows:
        old = row.settings, row.memory
        new = [it and vault.seal(row.name, vault.open(row.name, it)) for it in old]
        connection.execute(KEEP, [*new, row.id])
    return len(rows)


def configuration_of(
    name: str, values: Mapping[str, str], environment: Mapping[str, str] = MappingProxyType({})
) -> Configuration:
    """Return what is configured for an account; its own values count before the environment."""
    settings = EnvFile(Path("/", f"{name}.env"))
    settings.update(values)
    return Configuration(settings, environment)
