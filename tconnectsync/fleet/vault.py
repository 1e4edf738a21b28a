"""Encrypts what the database keeps of an account, with keys that the database never sees."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tconnectsync.errors import UsageError

NAMES = "FLEET_KEY", "FLEET_KEY_FILE"


class Vault:
    """Encrypts with the first of some keys, and decrypts with any of them.

    Raises:
        UsageError: one of them is no key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]
        try:
            self._fernet = MultiFernet([Fernet(key) for key in self._keys])
        except ValueError:
            raise UsageError(
                f"{' or '.join(NAMES)} holds something that is no key. Make one with "
                "tconnectsync-fleet new-key."
            ) from None

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
            owner, content = None, None
        if owner != account:
            raise UsageError(
                f"What the database holds of {account} cannot be decrypted. Give the key that it "
                "was encrypted with, beside the new one."
            )
        return content

    def marks(self, text: str) -> list[str]:
        """Return keyed hashes by which equal texts are found, the first by the newest key."""
        return [hmac.digest(key, text.encode(), "sha256").hex()[:32] for key in self._keys]


def vault_of(environment: Mapping[str, str]) -> Vault:
    """Return the vault with the keys that the environment gives, the newest first.

    Raises:
        UsageError: there are none, or one is no key.
    """
    text, file = (environment.get(name, "") for name in NAMES)
    if file and not text:
        try:
            text = Path(file).read_text("utf-8")
        except OSError as error:
            raise UsageError(f"FLEET_KEY_FILE: {file} cannot be read ({error.strerror}).") from None
    if not text.split():
        raise UsageError(
            "Set FLEET_KEY_FILE to the file with the key that encrypts the accounts, or FLEET_KEY "
            "to the key. Make one with tconnectsync-fleet new-key."
        )
    return Vault(text.split())
