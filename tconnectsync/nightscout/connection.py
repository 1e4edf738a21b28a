"""Requests to a site under our secret, and what it means when the site refuses one.

See nightscout-api §0, §1.6 and §2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tconnectsync.errors import NightscoutAddressError, NightscoutError, NightscoutLoginError
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.rights import NAMES, is_known, missing_right
from tconnectsync.nightscout.site import Site
from tconnectsync.nightscout.wire import ENTRIES, TREATMENTS, parsed

OPEN = ("status.json", "verifyauth")
"""What a site may answer without a login."""


class Connection:
    """Sends requests with the secret; what a site refuses comes back as an error.

    ``url`` is the site's address; it may have a path, and the login of a proxy. ``secret`` is the
    API secret or an access token: Nightscout takes the SHA-1 of either in the same header.
    """

    def __init__(self, url: str, secret: str, http: HttpClient) -> None:
        self.site = Site(url, secret, http)
        """Where it answers."""
        hashed = hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest()
        self._headers = {"api-secret": hashed, "Accept": "application/json"}
        self._accepted: set[str] = set()
        """What was accepted so far: to "read", to "write"."""
        self._known: bool | None = None
        self._now = http.clock.now

    def new_run(self) -> None:
        """Forget whether the site accepts the secret: it may have changed by the next run."""
        self._known = None

    def find_site(self) -> None:
        """Find the site if its address may be that of a page. Raises as `status`."""
        self.site.find(self._headers)

    def status(self) -> Document:
        """Return what the site says of itself: version, clock, settings (nightscout-api §1.6).

        Raises:
            NightscoutError: it does not say, or not to us.
            NetworkError: Nightscout could not be reached.
        """
        status = parsed(self._answer("GET", "status.json"))
        if not isinstance(status, dict):
            raise NightscoutAddressError(
                "What answers at NS_URL is not Nightscout. Set it to the address that your browser "
                "shows when you open the site."
            )
        return status

    def rights(self) -> Any:
        """Return what the site says of our rights; sites differ in how (nightscout-api §1.6).

        A wrong secret is no error here, but counts as a failed login. Raises as :meth:`status`.
        """
        answer = parsed(self._answer("GET", "verifyauth"))
        return answer.get("message") if isinstance(answer, dict) else None

    def _write(
        self,
        method: str,
        path: str,
        content: Document | Sequence[Document],
        *,
        repeatable: bool = True,
    ) -> Any:
        """Send documents and return what is answered, ``None`` if that is no JSON.

        Nightscout takes an empty one for a treatment of this moment, and some versions end at an
        empty list (docs/protocol/nightscout-api.md §7.2).
        """
        if not content or (isinstance(content, list) and not all(content)):
            raise ValueError("an empty document must not be sent")
        answer = self._send(method, path, json.dumps(content), repeatable=repeatable)
        return parsed(answer)

    def _send(self, method: str, path: str, body: str, *, repeatable: bool = True) -> Answer:
        headers = {"Content-Type": "application/json"}
        return self._answer(
            method, path, data=body.encode(), headers=headers, repeatable=repeatable
        )

    def _answer(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> Answer:
        answer = self.site.request(method, path, {**self._headers, **(headers or {})}, **options)
        collection = path.split("/")[0]
        if answer.status_code not in (200, 201, 204):
            if answer.status_code == 401 and self._lacks_a_right(method, collection):
                raise missing_right(method, collection)
            raise _refusal(answer, method, collection)
        if collection not in OPEN:
            self._accepted.add("read" if method == "GET" else "write")
        return answer

    def _lacks_a_right(self, method: str, collection: str) -> bool:
        """Return whether a refusal (401) means a missing right and not a wrong secret.

        The first line that fits decides:

        ==============================================  =====================
        the question was whether it knows the secret    the secret is wrong
        treatments or entries are not read, at first    the secret is wrong
        the site says whether it knows the secret       what it says
        a write was accepted before                     a right is missing
        a read was accepted before, this is one too     a right is missing
        nothing was (a public site reads for anybody)   the secret is wrong
        ==============================================  =====================

        The site is asked once in a run: it counts every wrong secret, and delays its answers.
        """
        if collection == "verifyauth":
            return False
        if method == "GET" and collection in (TREATMENTS, ENTRIES) and not self._accepted:
            return False
        if self._known is None:
            self._known = is_known(self._rights_if_reported())
        if self._known is None:
            return "write" in self._accepted or (method == "GET" and "read" in self._accepted)
        return self._known

    def _rights_if_reported(self) -> Any:
        try:
            return self.rights()
        except NightscoutError as error:
            if error.can_retry:
                raise
            return None


def _refusal(answer: Answer, method: str, collection: str) -> NightscoutError:
    """Return the error for an answer that is no success, with advice.

    Nightscout's own text may quote what was sent.
    """
    status = answer.status_code
    if status == 401:
        asked_for = NAMES.get(collection, collection)
        return NightscoutLoginError(
            f"Nightscout does not accept NS_SECRET (asked for: {asked_for}). Use the site's API "
            "secret (Nightscout 0.12 takes nothing else), or an access token whose role may read, "
            "create and update treatments; for CGM also entries, for IOB also activity (and delete "
            "it). --check-login shows whether the secret is wrong or its role lacks a right.",
            status,
        )
    if status in (301, 302, 303, 307, 308):
        return NightscoutAddressError(
            "Nightscout sends us to another address. Set NS_URL to the address that your browser "
            "shows when you open the site (https instead of http, usually).",
            status,
        )
    if status == 404 and method != "GET":
        return NightscoutError(
            "Nightscout does not take treatments. Add careportal to its ENABLE setting, and check "
            "that NS_URL is the address of your site.",
            status,
        )
    if status == 404:
        return NightscoutError(
            "There is no Nightscout at NS_URL. Check the address.",
            status,
        )
    trouble = "is in trouble; the next run tries again" if status >= 500 else "refused a request"
    return NightscoutError(f"Nightscout {trouble}.", status)
