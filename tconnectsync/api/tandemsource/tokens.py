"""Keeps the login to Tandem Source in a file, so that not every start logs in.

See docs/protocol/tandem-source-api.md §3.

The file holds what a request needs and nothing else personal: no e-mail address, no password.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE
from typing import Any

from tconnectsync.api.session import Token
from tconnectsync.api.tandemsource.regions import cloud_of
from tconnectsync.config.settings import TandemSettings
from tconnectsync.state.files import write_atomically

log = logging.getLogger(__name__)

VERSION = 1
"""The format of the file; a file of another format is replaced."""

_FIT_FOR_A_REQUEST = re.compile(r"[!-~]*")


@dataclass(frozen=True)
class TandemLogin:
    """A completed login to Tandem Source."""

    token: Token
    pumper_id: str = field(repr=False)
    """Names the user in the paths of Tandem Source."""
    account_id: str = field(repr=False)
    """The account's id; empty if the login did not say."""


class TokenCache:
    """One login in one file, readable by its owner only.

    A file with any fault counts as having no login. If the file cannot be written, one warning says
    so, and it is not used any more.

    Args:
        folder: where the file is; made when the first login is saved.
        account: whose login; e-mail address, region and login service distinguish it.
    """

    def __init__(self, folder: Path, account: TandemSettings) -> None:
        cloud = cloud_of(account)
        who = "\n".join([account.email.strip().lower(), cloud.region, cloud.accounts_url])
        self.path = folder / f"tandem-source-{sha256(who.encode()).hexdigest()[:32]}.json"
        """The file."""
        self._is_usable = True

    def load(self) -> TandemLogin | None:
        """Return the login in the file, expired or not; ``None`` if there is none."""
        if not self._is_usable:
            return None
        try:
            with self.path.open("rb") as file:
                # Others could have read or written it; not all systems have such modes.
                if os.name == "posix" and S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise PermissionError
                return _read(json.load(file))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            log.debug("The saved login is not used (%s).", type(error).__name__)
            return None

    def save(self, login: TandemLogin) -> None:
        """Put a login in the file's place, at once or not at all.

        One of unknown expiry is not saved: nothing would ever show that it is too old.
        """
        if self._is_usable and login.token.expires_at is not None:
            self._try(lambda: write_atomically(self.path, _written(login)))

    def drop(self) -> None:
        """Remove the file."""
        if self._is_usable:
            self._try(lambda: self.path.unlink(missing_ok=True))

    def _try(self, change: Callable[[], None]) -> None:
        try:
            change()
        except OSError as error:
            self._is_usable = False
            log.warning(
                "The login to Tandem Source cannot be saved (%s), so every start logs in again. "
                "Make the folder for caches writable, or set CACHE_CREDENTIALS=false.",
                error.strerror or type(error).__name__,
            )


@dataclass(eq=False)
class SavedLogins:
    """Logs in for a :class:`~tconnectsync.api.session.LoginKeeper`, or takes the saved login.

    Only the first login may come from the file; a further one is needed because the one before has
    expired or was refused.
    """

    cache: TokenCache
    log_in: Callable[[], TandemLogin]
    now: Callable[[], datetime]
    _has_looked: bool = field(default=False, init=False)

    def __call__(self) -> TandemLogin:
        """Return a login.

        Raises:
            LoginError: and whatever else logging in raises.
        """
        saved = None if self._has_looked else self.cache.load()
        self._has_looked = True
        if saved and saved.token.is_fresh(self.now()):
            return saved
        self.cache.drop()
        login = self.log_in()
        self.cache.save(login)
        return login


def _read(saved: Any) -> TandemLogin:
    if saved["version"] != VERSION:
        raise ValueError
    values = [saved[name] for name in ("access_token", "pumper_id", "account_id")]
    expires_at = datetime.fromisoformat(saved["expires_at"])
    if expires_at.tzinfo is None or not all(_FIT_FOR_A_REQUEST.fullmatch(text) for text in values):
        raise ValueError
    token, pumper_id, account_id = values
    if not (token and pumper_id):
        raise ValueError
    return TandemLogin(Token(token, expires_at), pumper_id, account_id)


def _written(login: TandemLogin) -> str:
    expires_at = login.token.expires_at
    saved = {
        "version": VERSION,
        "pumper_id": login.pumper_id,
        "account_id": login.account_id,
        "access_token": login.token.value,
        "expires_at": expires_at and expires_at.isoformat(),
    }
    return json.dumps(saved, indent=1)
