"""What other programs bring to a Nightscout site, and which features make sense beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.errors import MissingRightError, NightscoutError
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.eventtypes import SGV, TEMP_BASAL
from tconnectsync.nightscout.provenance import Document

LOOKED_AT = timedelta(days=3)
"""How far back the site is looked at."""
PROPOSED = ("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "DEVICE_STATUS")
"""What most people want to see, where no other program brings it."""
MOST_SHOWN = 40
"""Letters of the name of a program that are shown."""
_OURS = re.compile("tconnectsync", re.IGNORECASE)
_LOOPS = re.compile(r"loop|openaps|androidaps|aaps|trio|iaps|freeaps", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """The newest documents of a site; ``None`` for a collection that the secret may not read."""

    treatments: Sequence[Document] | None
    entries: Sequence[Document] | None
    statuses: Sequence[Document] | None
    profile: Sequence[Document] | None
    """The record in force, if there is one."""


@dataclass(frozen=True)
class Advice:
    """Which features to propose, and sentences about what else writes to the site."""

    features: tuple[str, ...]
    remarks: list[str] = field(default_factory=list)


def look(site: NightscoutApi, now: datetime) -> Seen:
    """Read what was written lately, by anybody.

    Raises:
        NightscoutError: the site has a fault.
        NetworkError: it cannot be reached.
    """
    since = now - LOOKED_AT
    return Seen(
        _if_allowed(lambda: site.treatments(since, now)),
        _if_allowed(lambda: site.entries(since, now)),
        _if_allowed(lambda: site.device_statuses(since, now)),
        _if_allowed(lambda: [it for it in [site.profile()] if it]),
    )


def advice(seen: Seen, lacking: Iterable[str] = ()) -> Advice:
    """Return what to propose.

    Args:
        seen: what is on the site.
        lacking: features that the cloud has no data for.
    """
    out = set(lacking)
    remarks = [*_treatments(seen.treatments or ()), *_glucose(seen.entries)]
    statuses = _others(seen.statuses or (), "device", lambda it: bool(_pump_in(it)))
    if statuses:
        out.add("DEVICE_STATUS")
        remarks.append(
            f"The state of a pump comes from {_names(statuses)}. Nightscout shows only the newest "
            "of any program, so leave out DEVICE_STATUS."
        )
    profiles = _others(seen.profile or (), "enteredBy")
    if seen.profile and profiles:
        out.add("PROFILES")
        remarks.append(
            "The site has a profile that tconnectsync did not write. With PROFILES, that of the "
            "pump would come into force instead."
        )
    for name, found in (("DEVICE_STATUS", seen.statuses), ("PROFILES", seen.profile)):
        if found is None and name not in out:
            out.add(name)
            remarks.append(f"{name} needs a right that the access token does not have.")
    return Advice(tuple(name for name in PROPOSED if name not in out), remarks)


def _treatments(treatments: Sequence[Document]) -> Iterable[str]:
    """Yield sentences about who else writes insulin."""
    if any(_OURS.search(_by(it, "enteredBy")) for it in treatments):
        yield (
            "tconnectsync has written to this site before, perhaps another version of it. It "
            "goes on from there and doubles nothing; switch the other one off."
        )
    others = _others(
        treatments,
        "enteredBy",
        lambda it: bool(it.get("insulin")) or it.get("eventType") == TEMP_BASAL,
    )
    loops = {name: times for name, times in others.items() if _LOOPS.search(name)}
    if loops:
        yield (
            f"{_names(loops)} also writes basals or boluses. If it controls this pump, everything "
            "would be shown twice: leave out BASAL and BOLUS, or switch it off."
        )
    rest = {name: times for name, times in others.items() if name not in loops}
    if rest:
        yield (
            f"Insulin was also entered by {_names(rest)}. What the pump delivers comes with BOLUS: "
            "if the same is entered by hand or by another program, it is shown twice."
        )


def _glucose(entries: Sequence[Document] | None) -> Iterable[str]:
    """Yield a sentence about where glucose comes from."""
    if entries is None:
        return
    others = _others(entries, "device", lambda it: it.get("type") == SGV)
    if others:
        yield f"Glucose comes from {_names(others)}: leave out CGM."
    elif not any(it.get("type") == SGV for it in entries):
        yield (
            "No program brings glucose. CGM would bring the pump's readings, about an hour late; "
            "choose it only if no other program will."
        )


def _others(
    documents: Iterable[Document],
    key: str,
    counts: Callable[[Document], bool] = lambda document: True,
) -> Counter[str]:
    """Return how many documents that count were written by whom else."""
    names = (_by(document, key) for document in documents if counts(document))
    return Counter(name for name in names if not _OURS.search(name))


def _by(document: Document, key: str) -> str:
    return str(document.get(key) or "").strip() or "somebody without a name"


def _pump_in(document: Document) -> Any:
    return document.get("pump") or document.get("openaps") or document.get("loop")


def _names(counts: dict[str, int]) -> str:
    """Return the names, those with most documents first, in plain characters."""
    ordered = sorted(counts, key=lambda name: -counts[name])[:3]
    shown = ["".join(it if it.isprintable() else "?" for it in name) for name in ordered]
    return " and ".join(it[:MOST_SHOWN] + "…" * (len(it) > MOST_SHOWN) for it in shown)


def _if_allowed(read: Callable[[], Sequence[Document]]) -> Sequence[Document] | None:
    """Return what is read; ``None`` if the secret may not read it."""
    try:
        return read()
    except MissingRightError:
        return None
    except NightscoutError as error:
        if error.status == 401:
            return None
        raise
