"""A plan in words, for ``--pretend``: what would be written, day by day in the pump's zone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from tconnectsync.cli.results import documents_in_words
from tconnectsync.domain.clock import LONG_AGO, PumpClock
from tconnectsync.domain.numbers import as_number
from tconnectsync.nightscout.entries import entry_time
from tconnectsync.nightscout.eventtypes import COMBO_BOLUS, MBG, NOUNS, SGV
from tconnectsync.sync.plan import Plan, Update

CHANGED_BY_ITSELF = ("checksum", "created_at")


class _Line(NamedTuple):
    """One document of a plan."""

    at: datetime | None
    mark: str
    """``~`` for a change, ``-`` for a removal, a blank for what is new."""
    text: str
    fields: str
    """All that would be written, for those who want to know."""


def lines(plan: Plan, clock: PumpClock, *, verbose: bool = False) -> Iterator[str]:
    """Yield the numbers per kind, and then under each day a line per document.

    Changes begin with ``~``, removals with ``-``. Days and times are the pump's. With ``verbose`` a
    second line follows each with all fields that would be written.
    """
    changed = Counter(update.after.event_type for update in plan.update)
    yield documents_in_words(
        plan.new, changed, removed=len(plan.remove), unchanged=plan.kept, insulin=plan.new_insulin
    )
    shown: date | None = None
    for line in sorted(_documents(plan, clock), key=lambda line: line.at or LONG_AGO):
        day = clock.day(line.at) if line.at else None
        if day != shown:
            shown = day
            yield f"{day:%a} {day.day} {day:%b %Y}" if day else "Without a time"
        time = f"{clock.here(line.at):%H:%M}" if line.at else "--:--"
        yield f"{line.mark} {time}  {line.text}"
        if verbose and line.fields:
            yield f"           {line.fields}"


def _documents(plan: Plan, clock: PumpClock) -> Iterator[_Line]:
    for update in plan.update:
        yield _changed(update, clock)
    for stored in plan.remove:
        text = f"{_noun(stored.event_type)} removed, because another pump was in use"
        yield _Line(stored.at, "-", text, _fields(stored.body))
    for treatment in plan.create:
        text = _described(treatment.event_type, treatment.body)
        yield _Line(treatment.at, " ", text, _fields(treatment.body))
    for entry in plan.entries:
        text = _described(str(entry["type"]), entry)
        yield _Line(entry_time(entry), " ", text, _fields(entry))


def _changed(update: Update, clock: PumpClock) -> _Line:
    stored, after = update.stored, update.after
    before = stored.body
    old, new = _parts(stored.event_type, before), _parts(after.event_type, after.body)
    changes = [
        f"{old.get(name, 'nothing')} -> {new.get(name, 'nothing')}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    fields = [
        f"{name}: {before.get(name)} -> {value}"
        for name, value in after.body.items()
        if before.get(name) != value and name not in CHANGED_BY_ITSELF
    ]
    if stored.at and stored.at != after.at:
        here = clock.here(after.at)
        day = "" if clock.day(stored.at) == here.date() else f"{here:%Y-%m-%d} "
        changes.insert(0, f"moved to {day}{here:%H:%M:%S}")
    text = ", ".join(changes) or "only what Nightscout does not show"
    return _Line(stored.at, "~", f"{_noun(after.event_type)} {text}", ", ".join(fields))


def _described(event_type: str, body: Mapping[str, Any]) -> str:
    text = ", ".join(_parts(event_type, body).values()).replace(", for ", " for ")
    return f"{_noun(event_type)} {text}".rstrip()


def _parts(event_type: str, body: Mapping[str, Any]) -> dict[str, str]:
    """Return what people want to know of a document, each with what it is about."""
    insulin, rate = as_number(body.get("insulin")), as_number(body.get("absolute"))
    carbs, minutes = as_number(body.get("carbs")), as_number(body.get("duration"))
    found: dict[str, str] = {}
    if event_type in (SGV, MBG):
        found["glucose"] = f"{body.get(event_type)} mg/dL"
    if rate is not None:
        found["rate"] = f"{rate:.2f} U/h"
    if insulin:
        found["insulin"] = f"{insulin:.2f} U"
    if carbs:
        found["carbs"] = f"{carbs:g} g carbs"
    if minutes:
        extended = "extended over" if event_type == COMBO_BOLUS else "for"
        found["duration"] = f"{extended} {round(minutes, 1):g} min"
    if glucose := body.get("glucose"):
        found["glucose"] = f"at {glucose} {body.get('units', '')}".rstrip()
    if text := str(body.get("notes") or body.get("reason") or ""):
        found["text"] = text
    return found


def _noun(event_type: str) -> str:
    return NOUNS.get(event_type, event_type)


def _fields(document: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {round(value, 3) if isinstance(value, float) else value}"
        for name, value in document.items()
    )
