"""Encrypts what the database keeps of an account, with keys that the database never sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tconnectsync.errors import UsageError

MAKE_ONE = "Make one: openssl rand -base64 32 | tr '+/' '-_'"


class Vault:
    """Encrypts with the first of some keys, and decrypts with any of them.

    Args:
        environment: names the file with the keys, one in a line, or holds them.

    Raises:
        UsageError: there are none, or one is no key.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        keys, file = (environment.get(name, "") for name in ("FLEET_KEY", "FLEET_KEY_FILE"))
        if not (keys or file):
            raise UsageError(f"Set FLEET_KEY_FILE to the file with the fleet's key. {MAKE_ONE}")
        try:
            keys = keys or Path(file).read_text("utf-8")
            self._fernet = MultiFernet([Fernet(key) for key in keys.split()])
        except OSError as error:
            raise UsageError(f"FLEET_KEY_FILE: {file} cannot be read: {error.strerror}.") from None
        except ValueError:
            raise UsageError(f"FLEET_KEY_FILE or FLEET_KEY holds no key. {MAKE_ONE}") from None

    def seal(self, account: str, content: Any) -> bytes:
        """Encrypt something (JSON) that belongs to an account, so that no other one can have it."""
        return self._fernet.encrypt(json.dumps([account, content]).encode())

    def open(self, account: str, sealed: bytes) -> Any:
        """Decrypt what was sealed for an account.

        Raises:
            UsageError: it was encrypted with another key, or for another account.
        """
        try:
            owner, content = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            owner = None
        if owner != account:
            raise UsageError(
                f"What the database holds of {account} cannot be decrypted. Give the key that it "
                "was encrypted with, in a line below the new one."
            )
        return content
