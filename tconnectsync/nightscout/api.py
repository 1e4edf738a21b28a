"""Nightscout's REST API v1 as an uploader needs it. Contract nightscout-api §0 to §2."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import requests

from tconnectsync.errors import NightscoutError, NightscoutLoginError
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.entries import TYPES, entry_time
from tconnectsync.nightscout.marks import ENTERED_BY, Document, instant, utc_text

PAGE = 1000
"""Documents asked for at once."""
CERTAINLY_COMPLETE = 100
"""A shorter page is no page cut short: no server is known to have a lower limit."""
BATCH_DOCUMENTS = 100
BATCH_BYTES = 100_000
EARLIEST = datetime(2008, 1, 1, tzinfo=UTC)
ENTRIES = "entries.json"
TEXTS = frozenset(
    (
        *("created_at", "device", "enteredBy", "eventType", "identifier", "syncIdentifier"),
        *("checksum", "notes", "pump_event_id", "reason", "type"),
    )
)
"""The fields that we read as texts."""
NAMES = {
    ENTRIES: "entries",
    "devicestatus": "device status",
    "status.json": "status",
    "verifyauth": "rights",
}
"""What is asked for, in words, where its path says it in another way."""
BEYOND_ALL = 1e18
"""No number of any use is that big."""
TIMEOUT = 60.0
"""Seconds; after a wrong login Nightscout holds every answer back for a while."""


def open_nightscout(
    values: Mapping[str, Any],
    writing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> NightscoutApi:
    """Return the client for settings given by field name; nothing is sent yet.

    Every request that may change Nightscout is sent within a ``writing`` block.
    """
    http = HttpClient(
        "Nightscout",
        read_timeout=TIMEOUT,
        verify=not values["ns_skip_tls_verify"],
        writing=writing,
    )
    return NightscoutApi(values["ns_url"], values["ns_secret"], http)


class NightscoutApi:
    """Reads and writes the treatments and other documents of one Nightscout site.

    ``url`` is the site's address; it may have a path. ``secret`` is the API secret or an access
    token: Nightscout takes the SHA-1 of either in the same header.
    """

    def __init__(self, url: str, secret: str, http: HttpClient) -> None:
        self._base = f"{url.rstrip('/')}/api/v1/"
        self._http = http
        hashed = hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest()
        self._headers = {"api-secret": hashed, "Accept": "application/json"}

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
            if len(page) < CERTAINLY_COMPLETE or not fresh:
                return list(found.values())
            times = [at for document in page if (at := when(document))]
            oldest = min(times, default=start)
            if oldest >= end:
                count *= 2  # a whole page of one instant
            end = oldest

    def newest(self, event_type: str) -> datetime | None:
        """Return when our newest treatment or entry of this type happened, ``None`` if never.

        What is dated further ahead than a day does not count. Raises as :meth:`treatments`.
        """
        if event_type in TYPES.values():
            found = self._find(ENTRIES, 1, EARLIEST, _soon(), device=ENTERED_BY, type=event_type)
            return entry_time(found[0]) if found else None
        found = self._find(
            "treatments", 1, EARLIEST, _soon(), enteredBy=ENTERED_BY, eventType=event_type
        )
        return instant(found[0]) if found else None

    def newest_of_anyone(self, event_type: str) -> datetime | None:
        """Return when the newest treatment of this type happened, whoever wrote it.

        ``None`` if there is none. What is dated further ahead than a day does not count. Raises as
        :meth:`treatments`.
        """
        found = self._find("treatments", 1, EARLIEST, _soon(), eventType=event_type)
        return instant(found[0]) if found else None

    def create(self, documents: Sequence[Document]) -> None:
        """Store new treatments in batches, in the order given.

        Repeating the call with the same documents changes nothing.

        Raises:
            NightscoutError: a batch was refused; those before it are stored.
            NetworkError: Nightscout could not be reached.
        """
        for batch in _batches(documents):
            self._write("POST", "treatments", batch)

    def create_entries(self, documents: Sequence[Document]) -> None:
        """Store new entries as :meth:`create` stores treatments."""
        for batch in _batches(documents):
            self._write("POST", ENTRIES, batch)

    def replace(self, document: Document) -> None:
        """Replace the stored treatment that has the same ``_id``. Raises as :meth:`create`."""
        self._write("PUT", "treatments", json.dumps(document))

    def status(self) -> Document:
        """Return what the site says of itself: version, clock, settings (contract §1.6).

        Raises:
            NightscoutError: it does not say, or not to us.
            NetworkError: Nightscout could not be reached.
        """
        status = _parsed(self._request("GET", "status.json"))
        if not isinstance(status, dict):
            raise NightscoutError(
                "What answers at NS_URL is not Nightscout. Set it to the address that your browser "
                "shows when you open the site."
            )
        return status

    def rights(self) -> Any:
        """Return what the site says of our rights; sites differ in how (contract §1.6).

        A wrong secret is no error here, but counts as a failed login. Raises as :meth:`status`.
        """
        answer = _parsed(self._request("GET", "verifyauth"))
        return answer.get("message") if isinstance(answer, dict) else None

    def try_create(self) -> None:
        """Store no treatment at all, which only those may do who may create some.

        Raises as :meth:`create`.
        """
        self._write("POST", "treatments", "[]")

    def shows_mmol(self) -> bool:
        """Tell whether the site shows glucose in mmol/L, not mg/dL. Raises as :meth:`status`."""
        settings = self.status().get("settings")
        if not isinstance(settings, dict):
            raise NightscoutError("Nightscout does not say in which units it shows glucose.")
        return str(settings.get("units")).lower().startswith("mmol")

    def profile(self) -> Document | None:
        """Return the profile record in force, ``None`` if there is none.

        Raises as :meth:`status`.
        """
        answer = self._request("GET", "profile/current")
        record = _parsed(answer)
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
        self._write("POST", "profile", json.dumps(record), repeatable=False)

    def replace_profile(self, record: Document) -> None:
        """Replace the profile record that has the same ``_id``. Raises as :meth:`create`."""
        self._write("PUT", "profile", json.dumps(record))

    def activities(self, kind: str) -> list[Document]:
        """Return our records of this ``activityType``, however old. Raises as :meth:`status`."""
        return self._find(
            "activity", PAGE, EARLIEST, _soon(), enteredBy=ENTERED_BY, activityType=kind
        )

    def add_activity(self, record: Document) -> None:
        """Store an activity record. Raises as :meth:`create`."""
        self._write("POST", "activity", json.dumps(record), repeatable=False)

    def remove_activity(self, record: Document) -> None:
        """Delete the activity record that has this ``_id``. Raises as :meth:`create`."""
        self._request("DELETE", f"activity/{quote(str(record['_id']), safe='')}")

    def device_status(self) -> Document | None:
        """Return our newest device status, however old, ``None`` if there is none.

        What is dated further ahead than a day does not count. Raises as :meth:`status`.
        """
        found = self._find("devicestatus", 1, EARLIEST, _soon(), device=ENTERED_BY)
        return found[0] if found else None

    def add_device_status(self, status: Document) -> None:
        """Store a device status. Raises as :meth:`create`."""
        # Alone, not in an array: old servers do not read the time of what is in one.
        self._write("POST", "devicestatus", json.dumps(status), repeatable=False)

    def _find(
        self, collection: str, count: int, start: datetime, end: datetime, **equal: str
    ) -> list[Document]:
        query = {
            "count": str(count),
            **_bounds(collection, start, end),
            **{f"find[{name}]": value for name, value in equal.items()},
        }
        documents = _parsed(self._request("GET", collection, params=query))
        if not isinstance(documents, list) or not all(
            isinstance(document, dict) and isinstance(document.get("_id"), str | int)
            for document in documents
        ):
            raise NightscoutError(
                f"Nightscout did not answer with a list of {collection.removesuffix('.json')}. "
                "Check that NS_URL is the address of your Nightscout site."
            )
        # Each once: of two that are one, one might be removed as one too many.
        return list({document["_id"]: _readable(document) for document in documents}.values())

    def _write(self, method: str, path: str, body: str, *, repeatable: bool = True) -> None:
        headers = {"Content-Type": "application/json"}
        self._request(method, path, data=body.encode(), headers=headers, repeatable=repeatable)

    def _request(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
        answer = self._http.request(
            method,
            self._base + path,
            headers={**self._headers, **(headers or {})},
            allow_redirects=False,
            **options,
        )
        if answer.status_code not in (200, 201, 204):
            raise _refusal(answer, method, path.split("/")[0])
        return answer


def _readable(document: Document) -> Document:
    """Return a document whose texts are texts, and whose numbers are numbers that can be.

    Anybody may have stored anything, and what is stored is compared with what we know.
    """
    odd: Document = {}
    at = instant(document)
    if at and not MINYEAR < at.year < MAXYEAR:
        # At the ends of the calendar, a time does not exist in every zone.
        odd["created_at"] = None
    for name, value in document.items():
        if name in TEXTS and not isinstance(value, str | None):
            odd[name] = str(value)
        elif isinstance(value, int | float) and not abs(value) < BEYOND_ALL:
            odd[name] = None
    return {**document, **odd} if odd else document


def _soon() -> datetime:
    """Return the end of what counts: the pump's clock may be ahead, but not by more than a day."""
    return datetime.now(UTC) + timedelta(days=1)


def _bounds(collection: str, start: datetime, end: datetime) -> dict[str, str]:
    """Return the conditions on the time; that of entries is a number (contract §1.7)."""
    if collection == ENTRIES:
        field, first, last = "date", _epoch(start), _epoch(end)
    else:
        field, first, last = "created_at", utc_text(start), utc_text(end)
    return {f"find[{field}][$gte]": first, f"find[{field}][$lte]": last}


def _epoch(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))


def _batches(documents: Sequence[Document]) -> Iterator[str]:
    """Cut documents into JSON arrays that every known server accepts."""
    batch: list[str] = []
    size = 0
    for document in documents:
        text = json.dumps(document)
        if batch and (len(batch) == BATCH_DOCUMENTS or size + len(text) > BATCH_BYTES):
            yield f"[{','.join(batch)}]"
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        yield f"[{','.join(batch)}]"


def _parsed(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _refusal(answer: requests.Response, method: str, collection: str) -> NightscoutError:
    """Say what an answer that is no success means and what to do about it."""
    status = answer.status_code
    if status == 401:
        wanted = NAMES.get(collection, collection)
        return NightscoutLoginError(
            f"Nightscout does not accept NS_SECRET (asked for: {wanted}). Use the site's API "
            "secret (Nightscout 0.12 takes nothing else), or an access token whose role may read, "
            "create and update treatments; for CGM also entries, for IOB also activity (and delete "
            "it).",
            status,
        )
    if status in (301, 302, 303, 307, 308):
        return NightscoutError(
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
