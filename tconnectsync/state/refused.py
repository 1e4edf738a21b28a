"""Passwords that Tandem has refused, so that no run sends them again and locks the account.

Neither a password nor an e-mail address can be read from the file: it holds salted scrypt hashes of
both together, with the service that refused them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tconnectsync.state.shared import SharedFile

FILE_NAME = "tandem-refused-passwords.json"
MOST = 100
"""How many refusals are kept, the latest."""
LONGEST_LOCK = timedelta(days=1)
"""Of an account; a longer lock is not believed."""
COST = 2**13
"""Of scrypt: 8 MB and some 20 milliseconds, once per login while anything is remembered."""


class Refusal(NamedTuple):
    """When a password was refused (aware), and until when an account is locked, if that is said."""

    at: datetime
    until: datetime | None = None


class RefusedPasswords:
    """What was refused, by everything that was sent and where: another one of these is a new try.

    Args:
        file: where it is kept.
        now: returns the current instant, aware.
    """

    def __init__(self, file: SharedFile, now: Callable[[], datetime]) -> None:
        self._file = file
        self._now = now

    @property
    def can_remember(self) -> bool:
        """Whether the next run will know; where no file can be written, only this process does."""
        return self._file.can_be_kept

    def find(self, sent: tuple[str, ...]) -> Refusal | None:
        """Return when exactly this was refused; ``None`` if it was not, or may be sent again."""
        found = self._file.read()
        if not found.get("refused"):
            return None  # Nearly always; then nothing has to be hashed.
        with suppress(ValueError, TypeError, LookupError, AttributeError):
            each = found["refused"].get(_hashed(sent, found["salt"]))
            if each:
                until = datetime.fromisoformat(each["until"]) if each.get("until") else None
                refusal = Refusal(datetime.fromisoformat(each["at"]), until)
                now = self._now()
                # A time further away was written while this computer's clock was wrong.
                return refusal if until is None or now < until <= now + LONGEST_LOCK else None
        return None

    def remember(self, sent: tuple[str, ...], locked_for: timedelta | None = None) -> None:
        """Remember that this was refused; for how long, if the service has said that."""
        now = self._now()
        until = now + locked_for if locked_for else None
        with suppress(ValueError, TypeError, AttributeError), self._file.change() as found:
            if not _is_salt(found.get("salt")) or not isinstance(found.get("refused"), dict):
                found |= {"salt": secrets.token_hex(16), "refused": {}}
            name = _hashed(sent, found["salt"])
            kept: dict[str, Any] = found["refused"]
            kept.pop(name, None)
            kept[name] = {"at": now.isoformat(), "until": until and until.isoformat()}
            while len(kept) > MOST:
                kept.pop(next(iter(kept)))

    def forget(self, sent: tuple[str, ...]) -> bool:
        """Forget a refusal, because the same may be sent again; return whether there was one."""
        was_there = False
        if self._file.read().get("refused"):
            faults = (ValueError, TypeError, LookupError, AttributeError)
            with suppress(*faults), self._file.change() as found:
                name = _hashed(sent, found["salt"])
                was_there = found["refused"].pop(name, None) is not None
        return was_there


def _is_salt(text: Any) -> bool:
    with suppress(ValueError, TypeError):
        return bool(bytes.fromhex(text))
    return False


def _hashed(sent: tuple[str, ...], salt: str) -> str:
    """Return the hash. Raises ``AttributeError`` or ``ValueError`` where Python has no scrypt."""
    text = json.dumps(sent).encode()
    return hashlib.scrypt(text, salt=bytes.fromhex(salt), n=COST, r=8, p=1, dklen=32).hex()
