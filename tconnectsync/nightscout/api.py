"""Nightscout's REST API v1 as an uploader needs it. See nightscout-api §0 to §2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal
from urllib.parse import quote

from tconnectsync.domain.limits import EARLIEST
from tconnectsync.errors import NightscoutError, TconnectsyncError
from tconnectsync.nightscout.connection import Connection
from tconnectsync.nightscout.entries import TYPES, entry_time, slot
from tconnectsync.nightscout.proof import (
    is_stored,
    not_shown,
    shows_addition,
    shows_update,
    unproven,
)
from tconnectsync.nightscout.provenance import ENTERED_BY, Document, has_database_id, instant
from tconnectsync.nightscout.rights import NAMES
from tconnectsync.nightscout.stored import stored_treatments
from tconnectsync.nightscout.wire import ENTRIES, TREATMENTS, bounds, parsed, readable

PAGE = 1000
"""Documents asked for at once."""
CERTAINLY_COMPLETE = 100
"""A shorter page is complete: no server is known to have a lower limit."""
ROUND_NUMBER = 50
"""Server limits are multiples of it, so a page of another length is complete, too."""
IDENTIFIERS = 40
"""Documents looked up by identifier at once: 8 KB of address are too long (nightscout-api §7.8)."""
FIRST_TIME, LAST_TIME = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""The bounds within which a person may have moved a treatment."""
AMONG_THE_NEWEST = 10
"""How many are searched for the newest one that no person has edited, perhaps moved."""
Records = Literal["activity", "devicestatus", "profile"]
"""The collections in which a document that is sent twice would be stored twice."""


class NightscoutApi(Connection):
    """Reads and writes the treatments and other documents of one Nightscout site.

    A read raises:
        NightscoutError: the site refuses, or does not answer with what was asked for; a failed read
            never means "none".
        NetworkError: Nightscout could not be reached.

    A write also raises:
        UnprovenWriteError: nothing shows that all of it was stored; the rest may be.
    """

    def treatments(self, start: datetime, end: datetime) -> list[Document]:
        """Return all treatments from ``start`` to ``end`` (both included), of any author."""
        return self._all(TREATMENTS, start, end, instant)

    def entries(self, start: datetime, end: datetime) -> list[Document]:
        """Return all entries, as :meth:`treatments` does, of any type."""
        return self._all(ENTRIES, start, end, entry_time)

    def device_statuses(self, start: datetime, end: datetime) -> list[Document]:
        """Return the newest device statuses from ``start`` to ``end``, of any program."""
        return self._documents("devicestatus", PAGE, start, end)

    def by_identifier(
        self,
        identifiers: Sequence[str],
        start: datetime = FIRST_TIME,
        end: datetime = LAST_TIME,
    ) -> list[Document]:
        """Return the treatments with these identifiers from ``start`` to ``end``, both included.

        Of any author, and without bounds also where a person has moved them. Nightscout itself
        would look at the last four days only (nightscout-api §7.8).
        """
        found: list[Document] = []
        for first in range(0, len(identifiers), IDENTIFIERS):
            few = list(identifiers[first : first + IDENTIFIERS])
            query = {"find[identifier][$in][]": few}
            documents = self._documents(TREATMENTS, PAGE, start, end, query)
            found += [it for it in documents if it.get("identifier") in few]
        return found

    def newest(self, event_type: str) -> datetime | None:
        """Return when our newest treatment or entry of this type happened, ``None`` if never.

        Dates more than a day ahead do not count. An edited treatment counts only if all of the last
        ones are edited: it may have been moved, and would hide a gap.
        """
        if event_type in TYPES.values():
            found = self._last(ENTRIES, 1, device=ENTERED_BY, type=event_type)
            return entry_time(found[0]) if found else None
        found = self._last(TREATMENTS, AMONG_THE_NEWEST, enteredBy=ENTERED_BY, eventType=event_type)
        dated = [(it.edited, it.at) for it in stored_treatments(found) if it.at]
        as_written = [at for edited, at in dated if not edited]
        return max(as_written) if as_written else min((at for _, at in dated), default=None)

    def newest_of_anyone(self, event_type: str) -> datetime | None:
        """Return when the newest treatment of this type happened, of any author.

        ``None`` if there is none. What is dated further ahead than a day does not count.
        """
        found = self._last(TREATMENTS, 1, eventType=event_type)
        return instant(found[0]) if found else None

    def activities(self, kind: str) -> list[Document]:
        """Return our records of this ``activityType``, however old."""
        return self._last("activity", PAGE, enteredBy=ENTERED_BY, activityType=kind)

    def device_status(self) -> Document | None:
        """Return our newest device status, however old, ``None`` if there is none.

        What is dated further ahead than a day does not count.
        """
        found = self._last("devicestatus", 1, device=ENTERED_BY)
        return found[0] if found else None

    def profile(self) -> Document | None:
        """Return the profile record in force, ``None`` if there is none."""
        answer = self._answer("GET", "profile/current")
        record = parsed(answer)
        if isinstance(record, dict) and record.get("_id"):
            return record
        if answer.content.strip() == b"null":
            return None
        raise NightscoutError("Nightscout did not answer with a profile record.")

    def has_profile_of_ours(self) -> bool:
        """Return whether the profile record in force was written by us."""
        return (self.profile() or {}).get("enteredBy") == ENTERED_BY

    def create(self, batch: list[Document], collection: str = TREATMENTS) -> None:
        """Store one of the :func:`~tconnectsync.nightscout.wire.batches` of treatments or entries.

        Repeating the call with the same documents changes nothing.
        """
        failure = None
        try:
            missing = not_shown(batch, self._write("POST", collection, batch))
        except NightscoutError as error:
            if error.status != 500 or collection != TREATMENTS:
                raise
            # The database may have stored what came before the one in trouble.
            failure, missing = error, batch
        if missing and (missing := self._not_found(missing, collection)):
            if failure and missing == batch:
                raise failure
            raise unproven(missing, batch, failure)

    def try_create(self) -> None:
        """Store an empty list of treatments, which needs the right to create treatments."""
        # The only collection that takes an empty list in every version (nightscout-api §7.2).
        self._send("POST", TREATMENTS, "[]")

    def add(self, record: Document, collection: Records) -> None:
        """Store a record with one request; if the answer does not show it, look for it once."""
        # Alone, not in an array: old servers do not read the time of what is in one.
        answer = self._write("POST", collection, record, repeatable=False)
        if not shows_addition(record, answer):
            times = {name: it for name, it in record.items() if name in ("created_at", "startDate")}
            self._require_stored(record, times, collection)

    def replace(self, document: Document, collection: str = TREATMENTS) -> None:
        """Replace the stored treatment, or profile record, that has the same ``_id``."""
        if not shows_update(document, self._write("PUT", collection, document)):
            self._require_stored(document, document, collection)

    def remove_treatment(self, document: Document) -> None:
        """Delete the stored treatment that has this ``_id``; it may be gone already.

        Raises:
            NightscoutError: it was refused, or more was deleted than that.
            NetworkError: Nightscout could not be reached.
        """
        if not has_database_id(document):
            raise NightscoutError("A treatment without a proper _id cannot be removed.")
        answer = self._answer("DELETE", f"{TREATMENTS}/{document['_id']}")
        said = parsed(answer)
        number = said.get("deletedCount", said.get("n")) if isinstance(said, dict) else None
        if answer.status_code != 204 and number not in (0, 1):
            raise NightscoutError("Nightscout does not say that it removed one treatment.")

    def remove_activity(self, record: Document) -> None:
        """Delete the activity record that has this ``_id``."""
        self._answer("DELETE", f"activity/{quote(str(record['_id']), safe='')}")

    def _not_found(self, documents: list[Document], collection: str) -> list[Document]:
        """Return the treatments or entries that are not found, looking once."""
        is_entry = collection == ENTRIES
        when = entry_time if is_entry else instant
        names = [it["identifier"] for it in documents if "identifier" in it]
        read = self.entries if is_entry else partial(self.by_identifier, names)
        times = [at for document in documents if (at := when(document))]
        if not times:
            return documents
        found = self._look(lambda: read(min(times), max(times)))
        if is_entry:
            slots = {slot(entry) for entry in found}
            return [entry for entry in documents if slot(entry) not in slots]
        stored = {document.get("identifier") for document in found}
        return [document for document in documents if document.get("identifier") not in stored]

    def _require_stored(self, document: Document, fields: Document, collection: str) -> None:
        """Look once for a document of which the answer to its write shows nothing."""
        if is_stored(fields, self._look(lambda: self._stored_as(document, collection))):
            return
        record = {"type": f"{NAMES.get(collection, collection)} record"}
        raise unproven([document if collection == TREATMENTS else record], [document])

    def _stored_as(self, document: Document, collection: str) -> list[Document]:
        """Return the documents at the place of a document that was just written."""
        if collection == "activity":
            return self.activities(str(document["activityType"]))
        if collection != TREATMENTS:
            return [(self.profile() if collection == "profile" else self.device_status()) or {}]
        name = "_id" if has_database_id(document) else "identifier"
        return self._last(TREATMENTS, PAGE, **{name: str(document.get(name))})

    def _look(self, read: Callable[[], list[Document]]) -> list[Document]:
        """Return what is stored after an answer that proved nothing; empty if reading fails too."""
        try:
            return read()
        except TconnectsyncError as error:
            if error.fatal and not error.can_retry:
                raise
            return []

    def _all(
        self,
        collection: str,
        start: datetime,
        end: datetime,
        when: Callable[[Document], datetime | None],
    ) -> list[Document]:
        """Return all documents of a range; pages, newest first, until there are no more."""
        found: dict[str, Document] = {}
        count = PAGE
        while True:
            page = self._documents(collection, count, start, end)
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
                # A full page of one instant: ask for twice as many.
                count *= 2
            end = oldest

    def _last(self, collection: str, count: int, **equal: str) -> list[Document]:
        """Return the last documents with these values, of all times but the far future."""
        # The pump's clock may be ahead, but not by more than a day.
        soon = self._now() + timedelta(days=1)
        query = {f"find[{name}]": value for name, value in equal.items()}
        return self._documents(collection, count, EARLIEST, soon, query)

    def _documents(
        self,
        collection: str,
        count: int,
        start: datetime,
        end: datetime,
        conditions: Mapping[str, str | list[str]] | None = None,
    ) -> list[Document]:
        query = {"count": str(count), **bounds(collection, start, end), **(conditions or {})}
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
