"""A plan in words, for ``--pretend``: what would be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tconnectsync.nightscout.provenance import created_at, instant
from tconnectsync.sync.plan import Plan, Update

AT_THE_START = ("created_at", "eventType", "dateString", "type")
CHANGED_BY_ITSELF = ("checksum", "created_at")


def lines(plan: Plan) -> Iterator[str]:
    """Yield the counts per kind and then every document with all that would be written."""
    created = Counter(str(document["eventType"]) for document in plan.create)
    created.update(str(entry["type"]) for entry in plan.entries)
    updated = Counter(str(update.after["eventType"]) for update in plan.update)
    updated.update(str(document["eventType"]) for document in plan.remove)
    for kind in sorted({*created, *updated}):
        yield f"  {kind:<18} {created[kind]:>5} new {updated[kind]:>5} changed"
    if plan.kept:
        yield f"  {'(unchanged)':<18} {plan.kept:>5}"
    for update in plan.update:
        yield _changed(update)
    for document in plan.remove:
        yield f"  - {_head(document)}  removed, because another pump was in use"
    for document in plan.create:
        yield f"  + {_head(document)}  {_fields(document)}"
    for entry in plan.entries:
        yield f"  + {entry['dateString']}  {entry['type']}  {_fields(entry)}"


def _changed(update: Update) -> str:
    changes = [
        f"{name}: {update.before.get(name)} -> {value}"
        for name, value in update.after.items()
        if update.before.get(name) != value and name not in CHANGED_BY_ITSELF
    ]
    if instant(update.before) != instant(update.after):
        changes.insert(0, f"now at {update.after['created_at']}")
    return f"  ~ {_head(update.before)}  {', '.join(changes)}"


def _head(document: Mapping[str, Any]) -> str:
    at = instant(document)
    return f"{created_at(at) if at else '(no time)'}  {document['eventType']}"


def _fields(document: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {round(value, 3) if isinstance(value, float) else value}"
        for name, value in document.items()
        if name not in AT_THE_START
    )
