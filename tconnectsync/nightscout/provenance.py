"""The fields that mark our documents in Nightscout: author, time, log entries, checksum.

One module writes and reads them, so that a run knows which documents are ours and which were
edited.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tconnectsync.clouds import TANDEM_SOURCE, TCONNECT
from tconnectsync.domain.numbers import as_number

ENTERED_BY = "Pump (tconnectsync)"
"""Marks a document as ours; older versions of tconnectsync wrote the same."""

UNNAMED_CLOUDS = (TCONNECT.name, TANDEM_SOURCE.name)
"""The clouds that documents do not name: those of Tandem Source have log numbers, those of
t:connect have none."""
CLOUD = "tconnectsync_source"
"""A field of ours that names any other cloud."""

GLUCOSE_FIELDS = ("glucose", "glucoseType", "units")
SPLIT_FIELDS = ("enteredinsulin", "splitNow", "splitExt")
"""How an extended bolus is divided; the checksum does not cover it."""

Document = dict[str, Any]

_DATABASE_ID = re.compile("[0-9a-f]{24}")


def known(**fields: Any) -> Document:
    """Return the fields that are known: Nightscout would take a null for a value."""
    return {name: value for name, value in fields.items() if value not in (None, {})}


def log_ids(numbers: tuple[int, ...]) -> Document:
    """Return the entries of the pump's log in the form that other tconnectsync versions use."""
    return {"pump_event_id": ",".join(map(str, numbers))} if numbers else {}


def cloud_of(document: Mapping[str, Any]) -> str:
    """Return the cloud that a document of ours came from."""
    return str(document.get(CLOUD) or (TANDEM_SOURCE if log_number(document) else TCONNECT).name)


def log_number(document: Mapping[str, object]) -> str:
    """Return the number of the log entry that gives a document its time; empty without one."""
    return str(document.get("pump_event_id") or "").partition(",")[0]


def glucose_of(document: Mapping[str, Any]) -> Document:
    """Return what a document says of the glucose that a bolus was calculated with."""
    return {name: document[name] for name in GLUCOSE_FIELDS if document.get(name)}


def created_at(at: datetime) -> str:
    """Return an instant as Nightscout is to read it: ISO 8601 with the pump's own offset."""
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")


def utc_text(at: datetime) -> str:
    """Return an instant in the form that Nightscout stores and compares as text: UTC with ms."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def has_database_id(document: Mapping[str, Any]) -> bool:
    """Return whether a stored document has an ``_id`` as the database gives it.

    A deletion by another one may not mean the same.
    """
    return _DATABASE_ID.fullmatch(str(document.get("_id"))) is not None


def instant(document: Mapping[str, Any]) -> datetime | None:
    """Return when a stored treatment happened, to the millisecond; ``None`` if it does not say.

    Older versions wrote a space instead of ``T``; a time without zone is UTC to Nightscout.
    """
    return _instant(str(document.get("created_at")))


@lru_cache(maxsize=4096)
def _instant(created_at: str) -> datetime | None:
    """Read a time; each document of a window is asked for its own again and again."""
    try:
        at = datetime.fromisoformat(created_at)
    except ValueError:
        return None
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def unescaped(text: str) -> str:
    """Return a text without the escapes of HTML that some servers put into it."""
    if "&" not in text:
        return text
    # Loaded where it is needed only: its tables take half a megabyte.
    from html import unescape

    return unescape(text)


def checksum(document: Mapping[str, Any]) -> str:
    """Return a short text that changes when a person edits what we wrote.

    It is stored with the document. As long as it fits, no person has edited the document. It does
    not cover what a server changes: zones, rounding, dropped zeros, escaped characters; nor the
    milliseconds that separate two documents. A document without glucose has the same checksum as
    before glucose was written at all.
    """
    at = instant(document)
    parts = [
        str(document.get("eventType")),
        at.astimezone(UTC).isoformat(timespec="seconds") if at else "",
    ]
    parts += [_as_text(document.get(name)) for name in ("duration", "insulin", "carbs", "absolute")]
    parts += [unescaped(str(document.get(name) or "")).strip() for name in ("reason", "notes")]
    if glucose := _as_text(document.get("glucose")):
        parts += [glucose, str(document.get("glucoseType"))]
    if cloud := document.get(CLOUD):
        parts.append(str(cloud))
    return hashlib.blake2s(
        "\n".join(parts).encode(errors="surrogatepass"), digest_size=6
    ).hexdigest()


def without_words(document: Mapping[str, Any]) -> tuple[object, ...]:
    """Return something that two documents share if only their reason and notes differ."""
    split = (as_number(document.get(name)) for name in SPLIT_FIELDS)
    return checksum({**document, "reason": "", "notes": ""}), *split


def edited(document: Mapping[str, Any]) -> bool:
    """Return whether a person changed what this version wrote; false without our checksum."""
    return "checksum" in document and bool(document["checksum"] != checksum(document))


def _as_text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) and value else ""
