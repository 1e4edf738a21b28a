"""Which pump of a person a time's basal insulin is of, where several deliver.

See tandem-source-api §4.5 and tandem-source-processing §15. No account tells which pump is
worn; a pump shows it when it is filled, resumed or asked for a bolus. From such a sign on basal is
that pump's, until another one shows a sign; what another pump delivers meanwhile goes nowhere. A
suspended pump in a drawer shows nothing. Boluses are nobody's question: each reaches the person who
asked for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.events import Basal
from tconnectsync.sources.tandemsource.codes import (
    BOLUS_ENDED,
    BOLUS_REQUESTED,
    BOLUS_STARTED,
    CANNULA_FILLED,
    CARTRIDGE_FILLED,
    RESUMED,
    TUBING_FILLED,
)
from tconnectsync.sources.tandemsource.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.records import whole

CODES = (
    RESUMED,
    BOLUS_ENDED,
    CARTRIDGE_FILLED,
    BOLUS_STARTED,
    CANNULA_FILLED,
    TUBING_FILLED,
    BOLUS_REQUESTED,
)
"""The codes of entries that show that a pump is worn.

What only goes on is no sign: an extended bolus runs to its end (280, 21) in a drawer as well.
"""
ABORTED = (0, 1, 2)
"""How a fill ends that was broken off: whoever does that need not go on with this pump."""
EVER = datetime.min.replace(tzinfo=UTC)


class Sign(NamedTuple):
    """A pump is worn; ``key`` names the entry of its log that shows it."""

    at: datetime
    key: str


class Turn(NamedTuple):
    """From when on basal is that of a pump, given by its number, and by which sign."""

    at: datetime
    pump: int
    key: str = ""


def signs(log: Log) -> list[Sign]:
    """Return when the pump that wrote a log was surely worn, in time order."""
    return [Sign(entry.at, entry.key) for entry in entries_of(log, *CODES) if _counts(entry)]


def turns(of_pumps: Sequence[Iterable[Sign]], first: int) -> list[Turn]:
    """Return whose basal counts from when on; the first turn has no beginning.

    Args:
        of_pumps: the signs of each pump; of two at the same instant, the later pump's counts.
        first: the pump to which what lies before all signs belongs.
    """
    shown = sorted(
        (sign.at, number, sign.key) for number, found in enumerate(of_pumps) for sign in found
    )
    found = [Turn(EVER, first)]
    for at, number, key in shown:
        if number != found[-1].pump:
            found.append(Turn(at, number, key))
    return found


def owner(taken: Sequence[Turn], at: datetime) -> int:
    """Return the pump whose basal counts at an instant."""
    return taken[bisect_right(taken, at, key=lambda turn: turn.at) - 1].pump


def owns_since(taken: Sequence[Turn], pump: int, at: datetime) -> bool:
    """Tell whether the basal of a pump counts at an instant or some time later."""
    return owner(taken, at) == pump or any(it.pump == pump for it in taken if it.at > at)


def claimed(
    basals: Iterable[Basal], own_signs: Sequence[Sign], pump: int, taken: Sequence[Turn]
) -> list[Basal]:
    """Return the basals of a pump without the time that others claim, in time order.

    A basal that loses its end is cut, one that loses its beginning is left without duration, so
    that what is stored of it goes, and what is left of it is one with a name of its own: that of
    the pump's sign with which it begins.
    """
    found: list[Basal] = []
    for basal in basals:
        found += _left(basal, own_signs, pump, taken)
    return sorted(found, key=lambda basal: basal.start)


def _left(
    basal: Basal, own_signs: Sequence[Sign], pump: int, taken: Sequence[Turn]
) -> Iterator[Basal]:
    pieces = {begin: (end, key) for begin, end, key in _pieces(basal, pump, taken)}
    if basal.start in pieces:
        yield _piece(basal, basal.key, basal.start, pieces.pop(basal.start)[0])
    else:
        yield _piece(basal, basal.key, basal.start, basal.start)
    # A piece that an earlier run has written may be lost by what is known now, or be part of the
    # whole again: the clock of another pump may have been wrong.
    begun = {key for _, key in pieces.values()}
    first = bisect_right(own_signs, basal.start, key=lambda sign: sign.at)
    for sign in own_signs[first:]:
        if sign.at >= basal.ends:
            break
        if sign.key not in begun:
            yield _piece(basal, f"{basal.key} from {sign.key}", sign.at, sign.at)
    for begin, (end, key) in pieces.items():
        yield _piece(basal, f"{basal.key} from {key}", begin, end)


def _pieces(
    basal: Basal, pump: int, taken: Sequence[Turn]
) -> Iterator[tuple[datetime, datetime, str]]:
    """Yield from when until when a basal counts, and the sign with which that begins."""
    number = bisect_right(taken, basal.start, key=lambda turn: turn.at) - 1
    while number < len(taken) and taken[number].at < basal.ends:
        turn = taken[number]
        number += 1
        until = taken[number].at if number < len(taken) else basal.ends
        begin, end = max(turn.at, basal.start), min(until, basal.ends)
        if turn.pump == pump and begin < end:
            yield begin, end, turn.key


def _piece(basal: Basal, key: str, begin: datetime, end: datetime) -> Basal:
    is_cut = end < basal.ends
    return replace(
        basal,
        key=key,
        start=begin,
        duration=max(end - begin, timedelta(0)),
        cut=is_cut,
        running=basal.running and not is_cut,
    )


def _counts(entry: Entry) -> bool:
    is_fill = entry.code in (CANNULA_FILLED, TUBING_FILLED)
    return not (is_fill and whole(entry.values, "completionstatus") in ABORTED)
