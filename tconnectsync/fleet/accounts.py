"""The table of accounts: whose data are synced, through which address, with which settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg.errors import UniqueViolation

from tconnectsync.cli.people import conflict, sites_of
from tconnectsync.config.envfile import EnvFile
from tconnectsync.config.people import NAME
from tconnectsync.config.settings import Configuration
from tconnectsync.errors import ConfigError, UsageError
from tconnectsync.fleet.database import OWN_QUEUE, Connection, first, schedule, unschedule
from tconnectsync.fleet.vault import Vault
from tconnectsync.sync.loop.loop import APART, share_of

QUEUE = re.compile(r"[A-Za-z0-9][\w.-]{0,59}")
PROXY = "REQUESTS_PROXY"


class Accounts:
    """The accounts, as the commands change them.

    Args:
        connection: leads to the database.
        vault: encrypts the settings.
        now: the current instant, aware.
    """

    def __init__(self, connection: Connection, vault: Vault, now: datetime) -> None:
        self._connection = connection
        self._vault = vault
        self._now = now

    def add(self, name: str, settings: EnvFile, queue: str) -> None:
        """Add an account, and let its first step follow.

        Raises:
            ConfigError: the settings cannot be used, or those of another account are in the way.
            UsageError: the name or the queue cannot be used, or there is such an account.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a name: take letters, digits, blanks, . - and _.")
        _check_queue(queue)
        with self._connection.transaction():
            values, marks = self._checked(name, settings)
            try:
                row = first(
                    self._connection,
                    "INSERT INTO fleet_account (name, queue, marks, settings) "
                    "VALUES (%s, %s, %s, %s) RETURNING id, "
                    "(SELECT count(*) FROM fleet_account WHERE queue = %s) AS others",
                    [name, queue, marks, self._vault.seal(name, values), queue],
                )
            except UniqueViolation:
                raise UsageError(f"There is an account {name} already: use change.") from None
            # Many who are added at once do not log in at the same moment.
            wait = timedelta(seconds=share_of(name) * APART * row.others)
            schedule(self._connection, row.id, queue, self._now + wait)

    def change(self, name: str, settings: EnvFile | None, queue: str | None) -> None:
        """Give an account other settings or another queue; its next step follows at once.

        Raises:
            ConfigError: the settings cannot be used, or those of another account are in the way.
            UsageError: the queue cannot be used, or there is no such account.
        """
        with self._connection.transaction():
            account = self._account(name)
            if queue:
                _check_queue(queue)
            changes: dict[str, Any] = {"queue": queue or account.queue, "waits": False}
            if settings is not None:
                values, changes["marks"] = self._checked(name, settings)
                changes["settings"] = self._vault.seal(name, values)
            self._update(account.id, changes)
            self._reschedule(account.id, changes["queue"], paused=account.paused)

    def pause(self, name: str, *, paused: bool) -> None:
        """Let no steps follow for an account, or let them follow again.

        Raises:
            UsageError: there is no such account.
        """
        with self._connection.transaction():
            account = self._account(name)
            self._update(account.id, {"paused": paused, "waits": False})
            self._reschedule(account.id, account.queue, paused=paused)

    def remove(self, name: str) -> None:
        """Remove all that is known of an account. What is in Nightscout stays there.

        Raises:
            UsageError: there is no such account.
        """
        with self._connection.transaction():
            account = self._account(name)
            unschedule(self._connection, account.id)
            self._connection.execute("DELETE FROM fleet_account WHERE id = %s", [account.id])

    def rotate_key(self) -> int:
        """Encrypt everything with the newest key; return for how many accounts."""
        ids = self._connection.execute("SELECT id FROM fleet_account").fetchall()
        for account in ids:
            with self._connection.transaction():
                row = first(
                    self._connection,
                    "SELECT name, settings, memory FROM fleet_account WHERE id = %s FOR UPDATE",
                    [account.id],
                )
                if row is None:
                    continue  # It was removed meanwhile.
                values = self._vault.open(row.name, row.settings)
                memory = row.memory and self._vault.open(row.name, row.memory)
                changes = {
                    "marks": self._marks(configuration_of(row.name, values))[0],
                    "settings": self._vault.seal(row.name, values),
                    "memory": memory and self._vault.seal(row.name, memory),
                }
                self._update(account.id, changes)
        return len(ids)

    def _account(self, name: str) -> Any:
        query = "SELECT id, queue, paused FROM fleet_account WHERE name = %s FOR UPDATE"
        if row := first(self._connection, query, [name]):
            return row
        raise UsageError(f"There is no account {name}.")

    def _update(self, account: int, changes: Mapping[str, Any]) -> None:
        columns = ", ".join(f"{column} = %s" for column in changes)
        query = f"UPDATE fleet_account SET {columns} WHERE id = %s"  # noqa: S608
        self._connection.execute(query.encode(), [*changes.values(), account])

    def _reschedule(self, account: int, queue: str, *, paused: bool) -> None:
        unschedule(self._connection, account)
        if not paused:
            schedule(self._connection, account, queue, self._now)

    def _checked(self, name: str, settings: EnvFile) -> tuple[dict[str, str], list[str]]:
        """Return the values to keep, and the marks, if no other account is in the way."""
        given = Configuration(settings)
        given.settings()
        if PROXY in given.given:
            raise ConfigError(
                [f"{PROXY} belongs to the worker of the queue, whose address all its accounts use."]
            )
        # What a file holds that only this computer has is kept like what was written directly.
        values = {variable: each.value for variable, each in given.given.items()}
        mine = configuration_of(name, values)
        marks, all_marks = self._marks(mine)
        self._connection.execute("LOCK TABLE fleet_account IN SHARE ROW EXCLUSIVE MODE")
        others = self._connection.execute(
            "SELECT name, settings FROM fleet_account WHERE marks && %s AND name != %s",
            [all_marks, name],
        )
        found = {it.name: configuration_of(it.name, self._vault.open(*it)) for it in others}
        if problem := conflict(name, {name: mine, **found}):
            raise ConfigError([problem])
        return values, marks

    def _marks(self, configuration: Configuration) -> tuple[list[str], list[str]]:
        """Return hashes of the account and the site by the newest key, and by all keys."""
        email = str(configuration.values["TCONNECT_EMAIL"]).strip().lower()
        texts = [f"{place}" for place in (*sorted(map(str, sites_of(configuration))), email)]
        marks = [self._vault.marks(text) for text in texts]
        return [each[0] for each in marks], [mark for each in marks for mark in each]


def configuration_of(
    name: str, values: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> Configuration:
    """Return what is configured for an account; its own values count before the environment."""
    settings = EnvFile(Path("/", f"{name}.env"))
    settings.update(values)
    return Configuration(settings, environment or {})


def _check_queue(queue: str) -> None:
    if not QUEUE.fullmatch(queue) or queue == OWN_QUEUE:
        raise UsageError(
            f"{queue!r} cannot be a queue: take letters, digits, . - and _, and not {OWN_QUEUE}."
        )
