"""A plan in words, for ``--pretend``: what would be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tconnectsync.nightscout.provenance import created_at
from tconnectsync.nightscout.stored import StoredTreatment
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan import Plan, Update

AT_THE_START = ("created_at", "eventType", "dateString", "type")
CHANGED_BY_ITSELF = ("checksum", "created_at")


def lines(plan: Plan) -> Iterator[str]:
    """Yield the counts per kind and then every document with all that would be written."""
    created = Counter(treatment.event_type for treatment in plan.create)
    created.update(str(entry["type"]) for entry in plan.entries)
    updated = Counter(update.after.event_type for update in plan.update)
    updated.update(stored.event_type for stored in plan.remove)
    for kind in sorted({*created, *updated}):
        yield f"  {kind:<18} {created[kind]:>5} new {updated[kind]:>5} changed"
    if plan.kept:
        yield f"  {'(unchanged)':<18} {plan.kept:>5}"
    for update in plan.update:
        yield _changed(update)
    for stored in plan.remove:
        yield f"  - {_head(stored)}  removed, because another pump was in use"
    for treatment in plan.create:
        yield f"  + {_head(treatment)}  {_fields(treatment.body)}"
    for entry in plan.entries:
        yield f"  + {entry['dateString']}  {entry['type']}  {_fields(entry)}"


def _changed(update: Update) -> str:
    before = update.stored.body
    changes = [
        f"{name}: {before.get(name)} -> {value}"
        for name, value in update.after.body.items()
        if before.get(name) != value and name not in CHANGED_BY_ITSELF
    ]
    if update.stored.at != update.after.at:
        changes.insert(0, f"now at {created_at(update.after.at)}")
    return f"  ~ {_head(update.stored)}  {', '.join(changes)}"


def _head(treatment: Treatment | StoredTreatment) -> str:
    at = created_at(treatment.at) if treatment.at else "(no time)"
    return f"{at}  {treatment.event_type}"


def _fields(document: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {round(value, 3) if isinstance(value, float) else value}"
        for name, value in document.items()
        if name not in AT_THE_START
    )
