"""How often Tandem is asked for a login from one address on the internet, and its times of rest.

Tandem's firewall counts what comes from an address, not from an account. So all accounts of a user
on this computer share one file; behind a proxy, they have the address of the proxy.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from tconnectsync.state.shared import SharedFile

FILE_NAME = "tandem-addresses.json"
MOST_LOGINS = 30
"""Logins of all accounts together within :data:`SPAN`.

No limit of Tandem's is known. A program that logged one person in every two minutes, without end,
was in danger of being shut out; one login in eight hours is enough (tandem-source-api §6). An
account that has the address to itself is not limited here: what it does is up to its owner.
"""
SPAN = timedelta(minutes=15)
REST = timedelta(minutes=30)
"""After a block of the firewall; every request prolongs it (tconnect-api §1.5)."""
TRIAL = timedelta(minutes=2)
"""How long the first account may take after a rest, until the next one tries instead."""


class Pace:
    """The logins and the rests of one address, as one account sees them.

    Args:
        file: is shared by all accounts.
        account: names the account; only a salted hash of it is kept, for :data:`SPAN`.
        proxy: through which the account's requests go; empty if there is none.
        now: returns the current instant, aware.
    """

    def __init__(
        self, file: SharedFile, account: str, proxy: str, now: Callable[[], datetime]
    ) -> None:
        self._file = file
        self._account = account
        self._now = now
        self._key = f"{urlsplit(proxy).hostname}:{urlsplit(proxy).port}" if proxy else "own"
        self._tries_after: datetime | None = None

    def rests_until(self) -> datetime | None:
        """Return before when nothing may be sent; ``None`` if a request may be sent now.

        After a rest, the first account that asks is the one that tries; the others wait for
        :meth:`worked`.
        """
        over = _time(self._file.read().get(self._key), "rest")
        if over in (None, self._tries_after):
            return None
        with self._file.change() as found:
            known, now = found.get(self._key), self._now()
            rest, trial = _time(known, "rest"), _time(known, "trial")
            # A time further away was written while this computer's clock was wrong.
            if rest and now < rest <= now + REST:
                return rest
            if rest and trial and now < trial <= now + TRIAL:
                return trial
            if rest:
                found[self._key]["trial"] = (now + TRIAL).isoformat()
                self._tries_after = rest
        return None

    def blocked(self) -> datetime:
        """Take note that the firewall blocks the address; return until when all accounts rest."""
        until = self._now() + REST
        self._tries_after = None
        with self._file.change() as found:
            found[self._key] = {**_dict(found, self._key), "rest": until.isoformat(), "trial": None}
        return until

    def worked(self) -> None:
        """Take note that Tandem has answered what was asked: after a rest, all may go on."""
        tried, self._tries_after = self._tries_after, None
        if tried is None:
            return
        with self._file.change() as found:
            if _time(found.get(self._key), "rest") == tried:  # And not a later one.
                found[self._key] = {**_dict(found, self._key), "rest": None, "trial": None}

    def count_login(self, *, insist: bool = False) -> datetime | None:
        """Count a login that is about to be sent; ``None`` if it may be sent now.

        Else it is not counted, and the instant is returned from which on there is room for it. One
        that a person asks for (``insist``) may always be sent.
        """
        with self._file.change() as found:
            now, known = self._now(), _dict(found, self._key)
            logins = [it for it in _logins(known) if now - SPAN < it[0] <= now]
            salt = found.setdefault("salt", secrets.token_hex(16))
            mine = sha256(f"{salt}{self._account}".encode()).hexdigest()[:16]
            is_alone = all(who == mine for _, who in logins)
            if len(logins) >= MOST_LOGINS and not is_alone and not insist:
                return logins[-MOST_LOGINS][0] + SPAN
            kept = [*logins, (now, mine)][-2 * MOST_LOGINS :]
            found[self._key] = {**known, "logins": [[at.isoformat(), who] for at, who in kept]}
        return None


def _dict(found: dict[str, Any], key: str) -> dict[str, Any]:
    known = found.get(key)
    return known if isinstance(known, dict) else {}


def _logins(known: dict[str, Any]) -> list[tuple[datetime, str]]:
    """Return when who logged in, as far as that can be read, in time order."""
    logins = known.get("logins")
    pairs = [it for it in logins if isinstance(it, list)] if isinstance(logins, list) else []
    found = [(_instant(it[0]), str(it[1])) for it in pairs if len(it) == 2]
    return sorted((at, who) for at, who in found if at)


def _time(known: Any, name: str) -> datetime | None:
    return _instant(known.get(name)) if isinstance(known, dict) else None


def _instant(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return at if at.tzinfo else None
