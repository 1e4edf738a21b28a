"""What was done on a day, as a list to read, with the later part of an extended bolus as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from tconnectsync.domain.events import Bolus, Piece, UserMode, UserModeKind
from tconnectsync.report.model import Day
from tconnectsync.report.wording import delivered, duration, glucose_text, glucose_unit, grams


@dataclass(frozen=True, slots=True)
class LaterPart:
    """The later part of an extended bolus, as far as it is known."""

    start: datetime
    end: datetime
    insulin: float
    """U."""
    requested: float | None
    """U, if known."""
    incomplete: str
    """Why less than requested has been delivered; empty if all has been."""

    @property
    def text(self) -> str:
        """How much over which time."""
        much = delivered(self.insulin, self.requested, self.incomplete)
        return f"{much} over {duration(self.end - self.start)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, with its words."""

    at: datetime
    text: str


MODE_NAMES = {
    UserModeKind.SLEEP: "sleep",
    UserModeKind.EXERCISE: "exercise",
}


def immediate(boluses: Sequence[Bolus]) -> list[Bolus]:
    """Return the boluses without the later parts of extended ones."""
    return [it for it in boluses if not it.is_later_part]


def later_parts(boluses: Sequence[Bolus]) -> Iterator[LaterPart]:
    """Yield the later parts of extended boluses, each once however many pieces it has."""
    for bolus in boluses:
        if bolus.whole_since is not None:
            yield LaterPart(
                bolus.whole_since,
                max(bolus.ends, bolus.whole_since),
                bolus.insulin,
                bolus.requested,
                bolus.incomplete,
            )
    pieces = [(it.piece, it) for it in boluses if it.piece]
    for since, group in groupby(sorted(pieces, key=_since), key=_since):
        yield _joined(since, list(group))


def _since(pair: tuple[Piece, Bolus]) -> datetime:
    return pair[0].since


def _joined(since: datetime, pieces: Sequence[tuple[Piece, Bolus]]) -> LaterPart:
    piece, last = max(pieces, key=lambda pair: pair[0].number)
    parts = sum(bolus.insulin for _, bolus in pieces)
    whole = piece.whole_ended is not None
    return LaterPart(
        since,
        max(since, piece.whole_ended or last.ends),
        piece.whole_insulin if whole else parts,
        last.requested,
        last.incomplete,
    )


def bolus_text(bolus: Bolus, *, mmol: bool) -> str:
    """Return what is known of a bolus, in one line."""
    kind = "Automatic bolus" if bolus.automatic else "Bolus"
    parts = [f"{kind} {delivered(bolus.insulin, bolus.requested, bolus.incomplete)}"]
    if bolus.carbs:
        parts.append(grams(bolus.carbs))
    if bolus.planned:
        parts.append("extended")
    if bolus.override:
        parts.append("amount chosen by the person")
    if bolus.glucose is not None and bolus.glucose_kind is not None:
        glucose = glucose_text(bolus.glucose, mmol=mmol)
        parts.append(f"glucose {glucose} {glucose_unit(mmol=mmol)}")
    return ", ".join([*parts, *filter(None, [bolus.incomplete])])


def mode_text(mode: UserMode) -> str:
    """Return what a mode was, and for how long."""
    return f"{mode.text or MODE_NAMES.get(mode.kind, mode.kind.value)}, {duration(mode.duration)}"


def entries(day: Day, *, mmol: bool) -> list[Entry]:
    """Return all that a day holds but basals and readings, in time order."""
    found = [Entry(it.requested_at, bolus_text(it, mmol=mmol)) for it in immediate(day.boluses)]
    found += [Entry(it.start, f"Extended part, {it.text}") for it in later_parts(day.boluses)]
    found += [Entry(it.at, f"{grams(it.carbs)} without a bolus") for it in day.carbs]
    found += [Entry(it.start, mode_text(it)) for it in day.modes]
    found += [Entry(it.at, it.text) for it in day.events]
    found += [
        Entry(it.start, f"No delivery for {duration(it.end - it.start)}") for it in day.suspended
    ]
    found += [
        Entry(it.start, f"Basal not known for {duration(it.end - it.start)}") for it in day.gaps
    ]
    return sorted(found, key=lambda entry: entry.at)
