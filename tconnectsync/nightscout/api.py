"""Nightscout's REST API v1 as an uploader needs it. See nightscout-api §0 to §2."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import requests

from tconnectsync.clock import Clock
from tconnectsync.errors import (
    NightscoutAddressError,
    NightscoutError,
    NightscoutLoginError,
    TconnectsyncError,
)
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.entries import TYPES, entry_time, slot
from tconnectsync.nightscout.proof import (
    is_stored,
    not_shown,
    shows_addition,
    shows_as_many,
    shows_update,
    unproven,
)
from tconnectsync.nightscout.provenance import ENTERED_BY, Document, has_database_id, instant
from tconnectsync.nightscout.rights import NAMES, is_known, missing_right
from tconnectsync.nightscout.site import Site
from tconnectsync.nightscout.stored import stored_treatments
from tconnectsync.nightscout.wire import ENTRIES, batches, bounds, parsed, readable

PAGE = 1000
"""Documents asked for at once."""
CERTAINLY_COMPLETE = 100
"""A shorter page is no page cut short: no server is known to have a lower limit."""
ROUND_NUMBER = 50
"""Limits are multiples of it: a page of another length is not cut short either."""
IDENTIFIERS = 40
"""Documents looked up by identifier at once: 8 KB of address are too long (nightscout-api §7.8)."""
EARLIEST = datetime(2008, 1, 1, tzinfo=UTC)
FIRST_TIME, LAST_TIME = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Between which a person may have moved a treatment."""
AMONG_THE_NEWEST = 10
"""So many are looked at for the newest that nobody has edited, perhaps to another time."""
OPEN = ("status.json", "verifyauth")
"""What a site may tell anybody."""
TIMEOUT = 60.0
"""Seconds; after a wrong login Nightscout holds every answer back for a while."""


def open_nightscout(
    values: Mapping[str, Any],
    clock: Clock,
    writing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> NightscoutApi:
    """Return the client for settings given by field name; nothing is sent yet.

    Every request that may change Nightscout is sent within a ``writing`` block.
    """
    http = HttpClient(
        "Nightscout",
        clock,
        read_timeout=TIMEOUT,
        verify=not values["ns_skip_tls_verify"],
        writing=writing,
        given_in="NS_URL",
    )
    return NightscoutApi(values["ns_url"], values["ns_secret"], http)


def address_in_use(values: Mapping[str, Any], clock: Clock) -> str:
    """Return NS_URL without what belongs to a page of the site; asks only where that may be.

    Files about a site bear its address, so it has to be known before any is opened.

    Raises:
        NightscoutError: what answers is not Nightscout.
        NetworkError: Nightscout could not be reached.
    """
    nightscout = open_nightscout(values, clock)
    nightscout.find_site()
    return nightscout.site.url


class NightscoutApi:
    """Reads and writes the treatments and other documents of one Nightscout site.

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
        """Forget whether the site knows the secret: until another run it may be another one."""
        self._known = None

    def find_site(self) -> None:
        """Find out where the site is if its address may be that of a page. Raises as `status`."""
        self.site.find(self._headers)

    def treatments(self, start: datetime, end: datetime) -> list[Document]:
        """Return all treatments from ``start`` to ``end`` (both included), whoever wrote them.

        Pages are asked for, newest first, until the server has nothing more.

        Raises:
            NightscoutError: the answer is not a list of treatments; it never means "none".
            NetworkError: Nightscout could not be reached.
        """
        return self._all("treatments", start, end, instant)

    def entries(self, start: datetime, end: datetime) -> list[Document]:
        """Return all entries of any type from ``start`` to ``end`` (both included).

        Whoever wrote them. Raises as :meth:`treatments`.
        """
        return self._all(ENTRIES, start, end, entry_time)

    def _all(
        self,
        collection: str,
        start: datetime,
        end: datetime,
        when: Callable[[Document], datetime | None],
    ) -> list[Document]:
        found: dict[str, Document] = {}
        count = PAGE
        while True:
            page = self._find(collection, count, start, end)
            fresh = [document for document in page if document["_id"] not in found]
            found.update((document["_id"], document) for document in fresh)
            is_whole = len(page) < count and (
                len(page) < CERTAINLY_COMPLETE or len(page) % ROUND_NUMBER
            )
            if is_whole or not fresh:
                return list(found.values())
            times = [at for document in page if (at := when(document))]
            oldest = min(times, default=start)
            if oldest >= end:
                count *= 2  # a whole page of one instant
            end = oldest

    def newest(self, event_type: str) -> datetime | None:
        """Return when our newest treatment or entry of this type happened, ``None`` if never.

        What is dated further ahead than a day does not count, and of treatments what a person has
        edited only if all of the last ones are: it may have been moved, and would hide a gap.
        Raises as :meth:`treatments`.
        """
        if event_type in TYPES.values():
            found = self._find(
                ENTRIES, 1, EARLIEST, self._soon(), device=ENTERED_BY, type=event_type
            )
            return entry_time(found[0]) if found else None
        few = AMONG_THE_NEWEST
        found = self._find(
            "treatments", few, EARLIEST, self._soon(), enteredBy=ENTERED_BY, eventType=event_type
        )
        dated = [(it.edited, it.at) for it in stored_treatments(found) if it.at]
        as_written = [at for edited, at in dated if not edited]
        return max(as_written) if as_written else min((at for _, at in dated), default=None)

    def by_identifier(
        self,
        identifiers: Sequence[str],
        start: datetime = FIRST_TIME,
        end: datetime = LAST_TIME,
    ) -> list[Document]:
        """Return the treatments with these identifiers from ``start`` to ``end``, both included.

        Whoever wrote them, and without bounds wherever a person has moved them. Nightscout itself
        would look at the last four days only (nightscout-api §7.8). Raises as :meth:`treatments`.
        """
        found: list[Document] = []
        for first in range(0, len(identifiers), IDENTIFIERS):
            few = list(identifiers[first : first + IDENTIFIERS])
            query = {"find[identifier][$in][]": few}
            documents = self._documents("treatments", PAGE, start, end, query)
            found += [it for it in documents if it.get("identifier") in few]
        return found

    def newest_of_anyone(self, event_type: str) -> datetime | None:
        """Return when the newest treatment of this type happened, whoever wrote it.

        ``None`` if there is none. What is dated further ahead than a day does not count. Raises as
        :meth:`treatments`.
        """
        found = self._find("treatments", 1, EARLIEST, self._soon(), eventType=event_type)
        return instant(found[0]) if found else None

    def create(self, documents: Sequence[Document]) -> None:
        """Store new treatments in batches, in the order given.

        Repeating the call with the same documents changes nothing.

        Raises:
            UnprovenWriteError: of a batch not all was stored; those before it are.
            NightscoutError: a batch was refused; those before it are stored.
            NetworkError: Nightscout could not be reached.
        """
        for batch in batches(documents):
            failure = None
            try:
                missing = not_shown(batch, self._write("POST", "treatments", batch))
            except NightscoutError as error:
                if error.status != 500:
                    raise
                # The database may have stored what came before the one in trouble.
                failure, missing = error, batch
            if missing and (missing := self._not_found(missing)):
                raise (
                    failure if failure and missing == batch else unproven(missing, batch, failure)
                )

    def _not_found(self, documents: list[Document]) -> list[Document]:
        """Return the treatments that are not found by their identifiers, looking once."""
        times = [at for document in documents if (at := instant(document))]
        names = [document["identifier"] for document in documents if "identifier" in document]
        if not times:
            return documents
        stored = self._look(lambda: self.by_identifier(names, min(times), max(times)))
        found = {document.get("identifier") for document in stored}
        return [document for document in documents if document.get("identifier") not in found]

    def create_entries(self, documents: Sequence[Document]) -> None:
        """Store new entries as :meth:`create` stores treatments."""
        for batch in batches(documents):
            if shows_as_many(batch, self._write("POST", ENTRIES, batch)):
                continue
            times = [at for entry in batch if (at := entry_time(entry))]
            look = [] if not times else self._look(partial(self.entries, min(times), max(times)))
            found = {slot(entry) for entry in look}
            if missing := [entry for entry in batch if slot(entry) not in found]:
                raise unproven(missing, batch)

    def replace(self, document: Document) -> None:
        """Replace the stored treatment that has the same ``_id``. Raises as :meth:`create`."""
        if shows_update(document, self._write("PUT", "treatments", document)):
            return
        if not is_stored(document, self._look(lambda: self._stored_as(document))):
            raise unproven([document], [document])

    def _stored_as(self, document: Document) -> list[Document]:
        if has_database_id(document):
            named = {"find[_id]": str(document["_id"])}
            return self._find("treatments", PAGE, EARLIEST, self._soon(), named)
        return self.by_identifier([str(document.get("identifier"))], EARLIEST, self._soon())

    def _look(self, read: Callable[[], list[Document]]) -> list[Document]:
        """Return what is stored after an answer that proved nothing; nothing if that fails too."""
        try:
            return read()
        except TconnectsyncError as error:
            if error.fatal and not error.can_retry:
                raise
            return []

    def remove_treatment(self, document: Document) -> None:
        """Delete the stored treatment that has this ``_id``; it may be gone already.

        Raises:
            NightscoutError: it was refused, or more was deleted than that.
            NetworkError: Nightscout could not be reached.
        """
        if not has_database_id(document):
            raise NightscoutError("A treatment without a proper _id cannot be removed.")
        answer = self._answer("DELETE", f"treatments/{document['_id']}")
        told = parsed(answer)
        number = told.get("deletedCount", told.get("n")) if isinstance(told, dict) else None
        if answer.status_code != 204 and number not in (0, 1):
            raise NightscoutError("Nightscout does not say that it removed one treatment.")

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

    def try_create(self) -> None:
        """Store no treatment at all, which only those may do who may create some.

        Raises as :meth:`create`.
        """
        # The only collection that takes an empty list in every version (nightscout-api §7.2).
        self._send("POST", "treatments", "[]")

    def profile(self) -> Document | None:
        """Return the profile record in force, ``None`` if there is none.

        Raises as :meth:`status`.
        """
        answer = self._answer("GET", "profile/current")
        record = parsed(answer)
        if isinstance(record, dict) and record.get("_id"):
            return record
        if answer.content.strip() == b"null":
            return None
        raise NightscoutError("Nightscout did not answer with a profile record.")

    def has_profile_of_ours(self) -> bool:
        """Tell whether the profile record in force was written by us. Raises as :meth:`status`."""
        return (self.profile() or {}).get("enteredBy") == ENTERED_BY

    def add_profile(self, record: Document) -> None:
        """Store a further profile record. Raises as :meth:`create`."""
        self._add("profile", record, lambda: [self.profile() or {}])

    def replace_profile(self, record: Document) -> None:
        """Replace the profile record that has the same ``_id``. Raises as :meth:`create`."""
        answer = self._write("PUT", "profile", record)
        if shows_update(record, answer):
            return
        if not is_stored(record, self._look(lambda: [self.profile() or {}])):
            raise unproven([{"type": "profile record"}], [record])

    def activities(self, kind: str) -> list[Document]:
        """Return our records of this ``activityType``, however old. Raises as :meth:`status`."""
        return self._find(
            "activity", PAGE, EARLIEST, self._soon(), enteredBy=ENTERED_BY, activityType=kind
        )

    def add_activity(self, record: Document) -> None:
        """Store an activity record. Raises as :meth:`create`."""
        self._add("activity", record, lambda: self.activities(str(record["activityType"])))

    def remove_activity(self, record: Document) -> None:
        """Delete the activity record that has this ``_id``. Raises as :meth:`create`."""
        self._answer("DELETE", f"activity/{quote(str(record['_id']), safe='')}")

    def device_status(self) -> Document | None:
        """Return our newest device status, however old, ``None`` if there is none.

        What is dated further ahead than a day does not count. Raises as :meth:`status`.
        """
        found = self._find("devicestatus", 1, EARLIEST, self._soon(), device=ENTERED_BY)
        return found[0] if found else None

    def add_device_status(self, status: Document) -> None:
        """Store a device status. Raises as :meth:`create`."""
        # Alone, not in an array: old servers do not read the time of what is in one.
        self._add("devicestatus", status, lambda: [self.device_status() or {}])

    def _add(self, collection: str, record: Document, read: Callable[[], list[Document]]) -> None:
        """Add a record to a collection in which a repeat would be another one.

        It is sent once, and what the answer does not show is looked for once.
        """
        answer = self._write("POST", collection, record, repeatable=False)
        if shows_addition(record, answer):
            return
        times = {name: record[name] for name in record if name in ("created_at", "startDate")}
        if not is_stored(times, self._look(read)):
            raise unproven([{"type": f"{NAMES.get(collection, collection)} record"}], [record])

    def _soon(self) -> datetime:
        """Return the end of what counts: the pump's clock may be ahead, but by a day at most."""
        return self._now() + timedelta(days=1)

    def _find(
        self,
        collection: str,
        count: int,
        start: datetime,
        end: datetime,
        named: Mapping[str, str | list[str]] | None = None,
        **equal: str,
    ) -> list[Document]:
        query = {f"find[{name}]": value for name, value in equal.items()}
        return self._documents(collection, count, start, end, {**query, **(named or {})})

    def _documents(
        self,
        collection: str,
        count: int,
        start: datetime,
        end: datetime,
        conditions: Mapping[str, str | list[str]],
    ) -> list[Document]:
        query = {"count": str(count), **bounds(collection, start, end), **conditions}
        documents = parsed(self._answer("GET", collection, params=query))
        if not isinstance(documents, list) or not all(
            isinstance(document, dict) and isinstance(document.get("_id"), str | int)
            for document in documents
        ):
            raise NightscoutError(
                f"Nightscout did not answer with a list of {collection.removesuffix('.json')}. "
                "Check that NS_URL is the address of your Nightscout site."
            )
        # Each once: of two that are one, one might be removed as one too many.
        return list({document["_id"]: readable(document) for document in documents}.values())

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

    def _send(
        self, method: str, path: str, body: str, *, repeatable: bool = True
    ) -> requests.Response:
        headers = {"Content-Type": "application/json"}
        return self._answer(
            method, path, data=body.encode(), headers=headers, repeatable=repeatable
        )

    def _answer(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
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
        """Tell whether a refusal (401) means a missing right and not a wrong secret.

        The site is asked once in a run: it counts every wrong secret, and delays its answers. If
        treatments or entries may not be read, before anything was accepted, that is enough to know.
        Where a site does not say, what was accepted before decides; on a public one, that it reads
        proves nothing.
        """
        if collection == "verifyauth":
            return False
        if method == "GET" and collection in ("treatments", ENTRIES) and not self._accepted:
            return False
        if self._known is None:
            self._known = is_known(self._rights_if_told())
        if self._known is None:
            return "write" in self._accepted or (method == "GET" and "read" in self._accepted)
        return self._known

    def _rights_if_told(self) -> Any:
        try:
            return self.rights()
        except NightscoutError as error:
            if error.can_retry:
                raise
            return None


def _refusal(answer: requests.Response, method: str, collection: str) -> NightscoutError:
    """Say what an answer of Nightscout that is no success means and what to do about it.

    What it says itself may quote what was sent.
    """
    status = answer.status_code
    if status == 401:
        wanted = NAMES.get(collection, collection)
        return NightscoutLoginError(
            f"Nightscout does not accept NS_SECRET (asked for: {wanted}). Use the site's API "
            "secret (Nightscout 0.12 takes nothing else), or an access token whose role may read, "
            "create and update treatments; for CGM also entries, for IOB also activity (and delete "
            "it). --check-login tells a wrong secret from a role that lacks a right.",
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
