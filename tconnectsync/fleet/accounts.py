"""The table of accounts: whose data are synced, through which address, with which settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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

QUEUE = re.compile(rf"(?!{OWN_QUEUE}$)[A-Za-z0-9][\w.-]{{0,59}}")
PROXY = "REQUESTS_PROXY"
PROXY_IN_FILE = f"{PROXY} belongs to the worker of the queue, whose address all its accounts use."
ADD = """
INSERT INTO fleet_account (name, queue, marks, settings) VALUES (%s, %s, %s, %s)
RETURNING id, (SELECT count(*) FROM fleet_account WHERE queue = %s) AS others
"""
FIND = "SELECT * FROM fleet_account WHERE name = %s FOR UPDATE"


@dataclass(frozen=True)
class Accounts:
    """The accounts, as the commands change them.

    What is wrong is raised as :class:`UsageError` or, in the settings, as :class:`ConfigError`.
    """

    connection: Connection
    vault: Vault
    now: datetime

    def add(self, name: str, settings: EnvFile, queue: str) -> None:
        """Add an account, and let its first step follow."""
        if not (NAME.fullmatch(name) and QUEUE.fullmatch(queue)):
            raise UsageError(
                "The name or the queue cannot be used: take letters, digits, . - and _, and not "
                f"{OWN_QUEUE} for the queue."
            )
        with self.connection.transaction():
            values, marks = self._checked(name, settings)
            sealed = self.vault.seal(name, values)
            try:
                row = first(self.connection, ADD, [name, queue, marks, sealed, queue])
            except UniqueViolation:
                raise UsageError(f"There is an account {name} already: use change.") from None
            # Many who are added at once do not log in at the same moment.
            wait = timedelta(seconds=share_of(name) * APART * row.others)
            schedule(self.connection, row.id, queue, self.now + wait)

    def change(
        self,
        name: str,
        *,
        settings: EnvFile | None = None,
        queue: str | None = None,
        paused: bool | None = None,
    ) -> None:
        """Change what is given, and let the next step follow at once, unless it is paused."""
        with self.connection.transaction():
            account = self._account(name)
            new: dict[str, Any] = {"queue": queue or account.queue, "waits": False}
            new["paused"] = account.paused if paused is None else paused
            if not QUEUE.fullmatch(new["queue"]):
                raise UsageError(f"{queue} cannot be a queue.")
            if settings is not None:
                values, new["marks"] = self._checked(name, settings)
                new["settings"] = self.vault.seal(name, values)
            self._update(account.id, new)
            unschedule(self.connection, account.id)
            if not new["paused"]:
                schedule(self.connection, account.id, new["queue"], self.now)

    def remove(self, name: str) -> None:
        """Remove all that is known of an account. What is in Nightscout stays there."""
        with self.connection.transaction():
            account = self._account(name)
            unschedule(self.connection, account.id)
            self.connection.execute("DELETE FROM fleet_account WHERE id = %s", [account.id])

    def rotate_key(self) -> int:
        """Encrypt everything with the newest key; return for how many accounts."""
        names = self.connection.execute("SELECT name FROM fleet_account").fetchall()
        for (name,) in names:
            with self.connection.transaction():
                account = self._account(name)
                values = self.vault.open(name, account.settings)
                new: dict[str, Any] = {"settings": self.vault.seal(name, values)}
                new["marks"] = self._marks(configuration_of(name, values))
                if account.memory:
                    memory = self.vault.open(name, account.memory)
                    new["memory"] = self.vault.seal(name, memory)
                self._update(account.id, new)
        return len(names)

    def _account(self, name: str) -> Any:
        if row := first(self.connection, FIND, [name]):
            return row
        raise UsageError(f"There is no account {name}.")

    def _update(self, account: int, new: Mapping[str, Any]) -> None:
        columns = ", ".join(f"{column} = %s" for column in new)
        query = f"UPDATE fleet_account SET {columns} WHERE id = %s"  # noqa: S608
        self.connection.execute(query.encode(), [*new.values(), account])

    def _checked(self, name: str, settings: EnvFile) -> tuple[dict[str, str], list[str]]:
        """Return the values to keep, and the marks, if no other account is in the way."""
        given = Configuration(settings)
        given.settings()
        if PROXY in given.given:
            raise ConfigError([PROXY_IN_FILE])
        # What stands in a file of this computer is kept like what was written directly.
        values = {variable: each.value for variable, each in given.given.items()}
        mine = configuration_of(name, values)
        marks = self._marks(mine)
        self.connection.execute("LOCK TABLE fleet_account IN SHARE ROW EXCLUSIVE MODE")
        others = self.connection.execute(
            "SELECT name, settings FROM fleet_account WHERE marks && %s AND name != %s",
            [marks, name],
        )
        found = {it.name: configuration_of(it.name, self.vault.open(*it)) for it in others}
        if problem := conflict(name, {name: mine, **found}):
            raise ConfigError([problem])
        return values, marks

    def _marks(self, configuration: Configuration) -> list[str]:
        """Return hashes, by all keys, of the e-mail address and of where the site may be."""
        email = str(configuration.values["TCONNECT_EMAIL"]).strip().lower()
        texts = [email, *map(str, sites_of(configuration))]
        return [mark for text in texts for mark in self.vault.marks(text)]


def configuration_of(
    name: str, values: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> Configuration:
    """Return what is configured for an account; its own values count before the environment."""
    settings = EnvFile(Path("/", f"{name}.env"))
    settings.update(values)
    return Configuration(settings, environment or {})
