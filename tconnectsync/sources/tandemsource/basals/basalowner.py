"""Which pump's basal insulin counts at a time, where several pumps of a person deliver.

See tandem-source-api §4.5 and tandem-source-processing §15. From a pump's sign of being worn, its
basal counts until another pump shows a sign; what other pumps deliver meanwhile does not reach the
body. A suspended pump in a drawer shows nothing. Boluses have no owner: each reaches the person who
asked for it.

An example: pump A gives a bolus at 8:00, B is filled at 9:10 and A at 11:00. A basal of A from 8:55
to 9:15 then ends at 9:10, and one of B from 10:58 to 11:03 ends at 11:00.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.clock import LONG_AGO
from tconnectsync.domain.events import Basal
from tconnectsync.sources.tandemsource.pumps.wornsigns import Sign


class Owner(NamedTuple):
    """From when on a pump's basal counts, the number of the pump, and the sign that shows it."""

    since: datetime
    pump: int
    key: str = ""
    """Names the entry of the log that shows it."""


def owners(signs_of_pumps: Sequence[Iterable[Sign]], first: int) -> list[Owner]:
    """Return the owners of basal in time order; the first one has no beginning.

    Args:
        signs_of_pumps: the signs of each pump; of two at one instant, the later pump's counts.
        first: the pump to which what lies before all signs belongs.
    """
    shown = sorted(
        (sign.at, number, sign.key) for number, signs in enumerate(signs_of_pumps) for sign in signs
    )
    found = [Owner(LONG_AGO, first)]
    for at, number, key in shown:
        if number != found[-1].pump:
            found.append(Owner(at, number, key))
    return found


def owner_at(owners: Sequence[Owner], at: datetime) -> int:
    """Return the pump whose basal counts at an instant."""
    return owners[_index_at(owners, at)].pump


def owns_since(owners: Sequence[Owner], pump: int, at: datetime) -> bool:
    """Return whether the basal of a pump counts at an instant or some time later."""
    return owner_at(owners, at) == pump or any(it.pump == pump for it in owners if it.since > at)


def owned_parts(
    basals: Iterable[Basal], own_signs: Sequence[Sign], pump: int, owners: Sequence[Owner]
) -> list[Basal]:
    """Return the basals of a pump without the time that others own, in time order.

    A basal that loses its end is cut. One that loses its beginning keeps no duration, so that its
    stored treatment is removed; the rest becomes a basal of its own, named after the pump's sign
    with which it begins.
    """
    found = [part for basal in basals for part in _parts(basal, own_signs, pump, owners)]
    return sorted(found, key=lambda basal: basal.start)


def _parts(
    basal: Basal, own_signs: Sequence[Sign], pump: int, owners: Sequence[Owner]
) -> Iterator[Basal]:
    owned = {begin: (end, key) for begin, end, key in _owned_times(basal, pump, owners)}
    end, _ = owned.pop(basal.start, (basal.start, ""))
    yield _part(basal, basal.key, basal.start, end)
    # A part that an earlier run has written may be lost by what is known now, or be part of the
    # whole again: the clock of another pump may have been wrong.
    begun = {key for _, key in owned.values()}
    first = bisect_right(own_signs, basal.start, key=lambda sign: sign.at)
    for sign in own_signs[first:]:
        if sign.at >= basal.ends:
            break
        if sign.key not in begun:
            yield _part(basal, f"{basal.key} from {sign.key}", sign.at, sign.at)
    for begin, (end, key) in owned.items():
        yield _part(basal, f"{basal.key} from {key}", begin, end)


def _owned_times(
    basal: Basal, pump: int, owners: Sequence[Owner]
) -> Iterator[tuple[datetime, datetime, str]]:
    """Yield the spans in which a basal counts, each with the sign that begins it."""
    number = _index_at(owners, basal.start)
    while number < len(owners) and owners[number].since < basal.ends:
        owner = owners[number]
        number += 1
        until = owners[number].since if number < len(owners) else basal.ends
        begin, end = max(owner.since, basal.start), min(until, basal.ends)
        if owner.pump == pump and begin < end:
            yield begin, end, owner.key


def _index_at(owners: Sequence[Owner], at: datetime) -> int:
    return bisect_right(owners, at, key=lambda owner: owner.since) - 1


def _part(basal: Basal, key: str, begin: datetime, end: datetime) -> Basal:
    is_cut = end < basal.ends
    return replace(
        basal,
        key=key,
        start=begin,
        duration=max(end - begin, timedelta(0)),
        cut=is_cut,
        running=basal.running and not is_cut,
    )
