"""Which documents an answer to a write, or a look afterwards, proves to be stored.

Pure. See nightscout-api §0, §5 and §7.1: a site answers a POST with the list of what it stored, a
PUT with the document or with what its database says; some look-alikes answer with less, and a login
page with HTTP 200 proves nothing at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tconnectsync.errors import NightscoutError, UnprovenWriteError
from tconnectsync.nightscout.provenance import Document, instant, unescaped

NAMES = ("identifier", "syncIdentifier")
OF_THE_SERVER = ("_id", "utcOffset", "mills")
"""What a server adds to a document."""
MATCHED = ("n", "matchedCount", "nUpserted", "upsertedCount")
"""How databases call the number of documents that an update has found or made."""


def not_shown(sent: Sequence[Document], answer: Any) -> list[Document]:
    """Return the treatments or entries that the answer to their POST does not show.

    They are known by their identifiers; one without any, as all entries are, is shown if as many
    came as were sent.
    """
    shown = _documents(answer)
    values = (document.get(name) for document in shown for name in NAMES)
    names = {value for value in values if isinstance(value, str)}
    all_there = len(shown) >= len(sent)
    return [
        document
        for document in sent
        if (document["identifier"] not in names if "identifier" in document else not all_there)
    ]


def shows_addition(record: Document, answer: Any) -> bool:
    """Return whether an answer shows a record that was posted alone, in a list or not."""
    shown = [answer] if isinstance(answer, dict) else _documents(answer)
    return any(each.get(name) == value for each in shown for name, value in record.items())


def shows_update(document: Document, answer: Any) -> bool:
    """Return whether the answer to a PUT shows the document, or that the database found it."""
    if isinstance(answer, dict) and any(name in answer for name in MATCHED):
        numbers = [answer.get(name) for name in MATCHED]
        return any(isinstance(number, int) and number > 0 for number in numbers)
    shown = [answer] if isinstance(answer, dict) else _documents(answer)
    names = [name for name in ("_id", *NAMES) if document.get(name)]
    return any(each.get(name) == document[name] for each in shown for name in names)


def is_stored(sent: Mapping[str, Any], stored: Iterable[Document]) -> bool:
    """Return whether one of some stored documents has all that was sent."""
    return any(
        all(_same(name, value, each) for name, value in sent.items() if name not in OF_THE_SERVER)
        for each in stored
    )


def _same(name: str, value: Any, stored: Document) -> bool:
    """Compare as a server may have changed it: times by instant, no zeros, escaped texts."""
    found = stored.get(name)
    if name == "created_at":
        return instant({name: value}) == instant(stored)
    if isinstance(value, int | float) and isinstance(found, int | float | None):
        return abs(value - (found or 0)) < 1e-6
    if isinstance(value, str) and isinstance(found, str | None):
        return unescaped(value).strip() == unescaped(found or "").strip()
    return bool(value == found)


def kind(document: Mapping[str, Any]) -> str:
    """Return the type of a treatment or an entry."""
    return str(document.get("eventType") or document.get("type"))


def kinds(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return how many documents of which kind these are, in words."""
    counted = Counter(map(kind, documents))
    return ", ".join(f"{number} {kind}" for kind, number in counted.most_common())


def unproven(
    missing: Sequence[Document], sent: Sequence[Document], failure: NightscoutError | None = None
) -> UnprovenWriteError:
    """Return the error for what a site does not show that it has stored, of what was sent."""
    said = f"Nightscout does not show that it has stored {kinds(missing)}"
    if len(missing) < len(sent):
        said += f" (of {len(sent)} documents sent at once)"
    return UnprovenWriteError(
        f"{said}. The next run tries again; if this continues, something between this computer "
        "and Nightscout may answer in its place, such as a login page.",
        missing,
        failure.status if failure else None,
    )


def _documents(answer: Any) -> list[Document]:
    return [d for d in answer if isinstance(d, dict)] if isinstance(answer, list) else []
