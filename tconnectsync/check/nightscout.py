"""The steps of a check that ask Nightscout; none of them changes anything there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import arrow

from tconnectsync.check.results import Findings, NotTriedError, Step, StopError
from tconnectsync.errors import (
    MissingRightError,
    NetworkError,
    NightscoutError,
    NightscoutLoginError,
    ProxyLoginError,
    TconnectsyncError,
    UnreachableError,
)
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.rights import NEEDED, has_role, is_admin, is_known, right
from tconnectsync.sync.features import DEFAULT, FEATURES

REGULAR = [kind for name in DEFAULT for kind in FEATURES[name].regular]
"""Treatments of every day; the newest ones show how far the last sync got."""

REFUSED = (
    "NS_SECRET is wrong. It must be the API_SECRET of the site, or an access token whose role may "
    "read, create and update treatments (Nightscout 0.12 takes the API_SECRET only)."
)
READ_ONLY = (
    "NS_SECRET is an access token that may only read. Use the site's API_SECRET, or give the "
    "token's role api:treatments:create and api:treatments:update."
)
NO_READ = (
    "NS_SECRET is an access token that may not even read treatments. Without reading them, "
    "nothing can be written. Use the site's API_SECRET, or give the token's role "
    "api:treatments:read, api:treatments:create and api:treatments:update."
)
NO_STATUS = (
    "It answers and knows the access token. The token's role lacks api:status:read, so the "
    "version, the clock and the units of the site are unknown: add that right."
)
NO_CAREPORTAL = (
    "It is off, so Nightscout takes no treatments. Add careportal to ENABLE in the site's settings "
    "and start the site again."
)


class NightscoutSteps:
    """Asks a Nightscout site whether it accepts what a sync writes.

    Args:
        site: the client.
        now: returns the current instant.
        findings: where to leave what is found.
        features: names of what is to be synced, for the rights that it needs.
    """

    def __init__(
        self,
        site: NightscoutApi,
        now: Callable[[], datetime],
        findings: Findings,
        features: Collection[str] = (),
    ) -> None:
        self._features = features
        self._site = site
        self._now = now
        self._findings = findings
        self._has_careportal: bool | None = None

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
        except MissingRightError:
            return NO_STATUS
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
        if self._has_careportal is None:
            raise NotTriedError("The site shows it only with the right api:status:read.")
        if not self._has_careportal:
            raise TconnectsyncError(NO_CAREPORTAL)
        return "It is on."

    def _secret(self) -> str:
        """Find out the rights of NS_SECRET; on a public site, being able to read proves nothing."""
        rights = self._rights()
        self._findings.keep("Nightscout verifyauth", rights)
        if is_known(rights) is False:
            # Without a further try: every wrong one slows the whole site down.
            raise StopError(REFUSED)
        if self._has_careportal is False:
            raise NotTriedError("Without careportal, writing is not possible for anyone.")
        try:
            self._site.try_create()
        except MissingRightError as error:
            raise StopError(READ_ONLY if self._may_read("treatments") else NO_READ) from error
        except NightscoutLoginError as error:
            raise StopError(READ_ONLY if has_role(rights) else REFUSED) from error
        if is_admin(rights):
            return "It may create and update treatments."
        return self._rights_of_a_role()

    def _rights_of_a_role(self) -> str:
        """Say which features a role allows, as far as reading shows it.

        Raises:
            TconnectsyncError: it lacks a right.
        """
        written = [FEATURES[name].collection for name in self._features]
        others = [name for name in written if name != "treatments"]
        lacking = [right(name, "read") for name in others if not self._may_read(name)]
        untried = [
            right(name, verb)
            for name in ("treatments", *others)
            for verb in NEEDED[name]
            if verb != "read" and (name, verb) != ("treatments", "create")
        ]
        said = (
            "It may create treatments. Its other rights cannot be tested without writing: its "
            f"role also needs {', '.join(untried)}."
        )
        if lacking:
            raise TconnectsyncError(
                f"The role of the access token lacks {', '.join(lacking)}. {said}"
            )
        return said

    def _may_read(self, collection: str) -> bool:
        now = self._now()
        reads: dict[str, Callable[[], object]] = {
            "treatments": lambda: self._site.treatments(now, now),
            "entries": lambda: self._site.entries(now, now),
            "activity": lambda: self._site.activities("tconnect_iob"),
            "profile": self._site.profile,
            "devicestatus": self._site.device_status,
        }
        try:
            reads[collection]()
        except (MissingRightError, NightscoutLoginError):
            return False
        return True

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
