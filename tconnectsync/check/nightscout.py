"""The steps of a check that ask Nightscout; none of them changes anything there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import arrow

from tconnectsync.check.results import Findings, NotTriedError, Step, StopError
from tconnectsync.errors import (
    NetworkError,
    NightscoutError,
    NightscoutLoginError,
    ProxyLoginError,
    TconnectsyncError,
    UnreachableError,
)
from tconnectsync.nightscout.api import NightscoutApi

REGULAR = ("Temp Basal", "Combo Bolus")
"""What comes every day, by which one sees how far the last sync got."""

REFUSED = (
    "NS_SECRET is wrong. It must be the API_SECRET of the site, or an access token whose role may "
    "read, create and update treatments (Nightscout 0.12 takes the API_SECRET only)."
)
READ_ONLY = (
    "NS_SECRET is an access token that may only read. Use the site's API_SECRET, or give the "
    "token's role api:treatments:create and api:treatments:update."
)
NO_CAREPORTAL = (
    "It is off, so Nightscout takes no treatments. Add careportal to ENABLE in the site's settings "
    "and start the site again."
)


class NightscoutSteps:
    """Asks a Nightscout site whether it takes what we write.

    Args:
        site: the client.
        now: returns the current instant.
        findings: where to leave what is found.
    """

    def __init__(
        self, site: NightscoutApi, now: Callable[[], datetime], findings: Findings
    ) -> None:
        self._site = site
        self._now = now
        self._findings = findings
        self._has_careportal = True

    def steps(self) -> list[Step]:
        """Return the steps in the order in which they depend on each other."""
        return [
            ("Nightscout", self._status),
            ("Nightscout careportal", self._careportal),
            ("Nightscout secret", self._secret),
            ("Nightscout treatments", self._treatments),
        ]

    def _status(self) -> str:
        before = self._now()
        try:
            status = self._site.status()
        except NightscoutError as error:
            is_secret = error.status == 401 and not isinstance(error, ProxyLoginError)
            raise StopError(REFUSED if is_secret else str(error)) from error
        except UnreachableError as error:
            raise StopError(str(error)) from error
        except NetworkError as error:
            raise StopError(
                f"{error} Open NS_URL in a browser on this computer: if that works, a firewall or "
                "proxy is in the way; if not, the address is wrong or the site is down."
            ) from error
        after = self._now()
        self._findings.keep("Nightscout status", status)
        self._has_careportal = status.get("careportalEnabled") is not False
        if isinstance(epoch := status.get("serverTimeEpoch"), int | float):
            here = before.timestamp() + (after - before).total_seconds() / 2
            self._findings.host_ahead_seconds = here - epoch / 1000
        remark = f" {self._site.site.remark}" if self._site.site.remark else ""
        return f"Version {status.get('version') or 'unknown'}.{remark}"

    def _careportal(self) -> str:
        if not self._has_careportal:
            raise TconnectsyncError(NO_CAREPORTAL)
        return "It is on."

    def _secret(self) -> str:
        """Find out what NS_SECRET may do; that it can read proves nothing on a public site."""
        rights = self._rights()
        self._findings.keep("Nightscout verifyauth", rights)
        if _is_stranger(rights):
            # Without a further try: every wrong one slows the whole site down.
            raise StopError(REFUSED)
        if not self._has_careportal:
            raise NotTriedError("Without careportal nobody may write.")
        try:
            self._site.try_create()
        except NightscoutLoginError as error:
            raise StopError(READ_ONLY if _has_role(rights) else REFUSED) from error
        if _is_admin(rights):
            return "It may create and update treatments."
        return (
            "It may create treatments. Whether it may update them cannot be tried without "
            "writing: its role needs api:treatments:update as well."
        )

    def _rights(self) -> Any:
        try:
            return self._site.rights()
        except NightscoutError as error:
            if error.status != 404:
                raise
            # Some programs that act as Nightscout do not have it.
            return None

    def _treatments(self) -> str:
        now = arrow.get(self._now())
        newest = {kind: self._site.newest(kind) for kind in REGULAR}
        ages = [
            f"our newest {kind} is from {arrow.get(at).humanize(now)}"
            if at
            else f"no {kind} of ours yet"
            for kind, at in newest.items()
        ]
        return f"They can be read: {', '.join(ages)}."


def _is_admin(rights: Any) -> bool:
    """Tell whether everything is allowed, in the words of old sites and of new ones."""
    if isinstance(rights, dict):
        return rights.get("isAdmin") is True or rights.get("canWrite") is True
    return bool(rights == "OK")


def _is_stranger(rights: Any) -> bool:
    """Tell whether a site says that we have nobody's rights; only new ones say so."""
    known = _is_admin(rights) or _has_role(rights)
    return isinstance(rights, dict) and not known and rights.get("permissions") == "DEFAULT"


def _has_role(rights: Any) -> bool:
    """Tell whether a site says that it knows the access token; only new ones say so."""
    return isinstance(rights, dict) and rights.get("rolefound") == "FOUND"
