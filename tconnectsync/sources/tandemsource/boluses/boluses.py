"""Boluses from the pump's log: what was delivered, joined with what was requested.

See tandem-source-processing §6 and §19, tandem-event-log §7 (20, 21 and 64 to 66) and §10.3.
The immediate and the later part of an extended bolus are boluses of their own here, and the later
part comes in pieces where the log reports its progress.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from tconnectsync.domain.clock import MINUTE
from tconnectsync.domain.events import Bolus, Piece, Split
from tconnectsync.domain.limits import MOST_BOLUS_MINUTES, MOST_INSULIN, ROUNDING
from tconnectsync.sources.tandemsource.boluses import extended
from tconnectsync.sources.tandemsource.boluses.doses import (
    OVER,
    REQUESTS,
    RUNNING,
    STARTS,
    Dose,
    Given,
    doses,
    now_part,
)
from tconnectsync.sources.tandemsource.log.codes import (
    BOLUS_ENDED,
    BOLUS_OPTIONS,
    BOLUS_PROGRESS,
    BOLUS_STARTED,
    LATER_PART_ENDED,
    LATER_PART_STARTED,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.records import flag, number, whole

NO_END_FOR = timedelta(hours=4)
"""When the log has gone on for this long without the end of a bolus, it will not come."""
NO_ENTRY_FOR = timedelta(minutes=15)
"""The same, where the progress of the bolus shows that it is over."""
SOON = MINUTE

KINDS = {
    0: "Standard Bolus",
    1: "Extended Bolus",
    2: "Quick Bolus",
    3: "Automatic Bolus",
    4: "BLE Standard Bolus",
    5: "BLE Extended Bolus",
    6: "Eating Soon Automatic Bolus",
    7: "Late Bolus",
    8: "Phone Bolus (Recommended)",
}
EXTENDED_KINDS = (1, 5)
MAYBE_EXTENDED = 8
"""It may be either: what was requested decides."""
AUTOMATIC_KINDS = (3, 6)
COMPLETED = ""
ENDS = {
    0: "User Aborted",
    1: "Terminated by Alarm",
    2: "Terminated by Malfunction",
    3: COMPLETED,
    5: "Bolus rejected",
    6: "Aborted by PLGS",
}
"""Why less than requested was given, by the status of the end."""
INCOMPLETE, NO_END = "Incomplete", "End not reported"


def boluses(log: Log, skipped: Counter[str]) -> list[Bolus]:
    """Return what was delivered, in time order; amounts to the thousandth of a unit.

    A part without an end gets the amount of its last progress report, once the log has gone on so
    long that no end will come. A part of unknown amount is counted in ``skipped``.
    """
    known_until = max((entries[-1].at for entries in log.values() if entries), default=None)
    if known_until is None:
        return []
    found: list[Bolus] = []
    for dose in doses(log):
        found += _now(dose, known_until, skipped)
        found += _later(dose, known_until, skipped)
    without_id = (
        entry
        for entry in entries_of(log, BOLUS_ENDED, LATER_PART_ENDED)
        if whole(entry.values, "bolusid") is None
    )
    for entry in without_id:
        found += _ended(Dose([entry]), entry, skipped)
    return sorted(found, key=lambda bolus: (bolus.completed or bolus.requested_at, bolus.log_ids))


# -- the part that is given at once ----------------------------------------------------------------


def _now(dose: Dose, known_until: datetime, skipped: Counter[str]) -> Iterator[Bolus]:
    ended = dose.first(BOLUS_ENDED)
    if ended:
        yield from _ended(dose, ended, skipped)
        return
    over, last, is_late = _last_word(dose, known_until)
    begun = dose.first(LATER_PART_STARTED)
    if begun and last and known_until - begun.at > SOON:
        # The later part has begun, so all of the other has been given.
        given, status = Given(begun.at, now_part(dose), last.sequence), COMPLETED
    elif not is_late or dose.first(LATER_PART_ENDED) or not (over or dose.first(*STARTS)):
        return
    elif last and last.milliunits:
        given = last._replace(milliunits=now_part(dose))
        asked_for = dose.most("requestednow")
        is_all = over and asked_for is not None and given.milliunits >= asked_for
        status = COMPLETED if is_all else INCOMPLETE if over else NO_END
    else:
        if dose.first(BOLUS_STARTED, BOLUS_PROGRESS) and not over:
            skipped["bolus of which the pump's log does not say how much was delivered"] += 1
        return
    yield _as_requested_bolus(dose, given, status)


def _last_word(dose: Dose, known_until: datetime) -> tuple[bool, Given | None, bool]:
    """Return whether the progress says that a bolus is over, the last progress, and if it is final.

    It is final when the log has gone on for so long that nothing more will come.
    """
    over, running = dose.progress(OVER), dose.progress(RUNNING)
    last = max([*over[-1:], *running[-1:]], default=None)
    since = last.at if last else dose.entries[-1].at
    return bool(over), last, known_until - since >= (NO_ENTRY_FOR if over else NO_END_FOR)


def _as_requested_bolus(dose: Dose, given: Given, status: str) -> Bolus:
    """Return the immediate part of a bolus whose end is missing."""
    messages = [dose.first(code) for code in REQUESTS]
    asked_for = dose.most("requestednow")
    return Bolus(
        key=f"{dose.name} without end",
        requested_at=dose.began,
        completed=given.at,
        insulin=given.milliunits / 1000,
        requested=None if asked_for is None else asked_for / 1000,
        incomplete=status,
        **_as_requested(*({} if message is None else message.values for message in messages)),
        log_ids=(given.sequence, *(message.sequence for message in messages if message)),
    )


def _ended(dose: Dose, entry: Entry, skipped: Counter[str]) -> Iterator[Bolus]:
    """Yield the part that ended with an entry, if it says how much was delivered."""
    insulin = number(entry.values, "insulindelivered")
    if insulin is None or not 0 <= insulin <= MOST_INSULIN:
        skipped["bolus without a plausible amount of insulin"] += 1
        return
    messages = [dose.first(code) for code in REQUESTS]
    begins = [message.at for message in messages if message]
    requested = number(entry.values, "insulinrequested")
    common: dict[str, Any] = {
        "key": entry.key,
        "requested_at": min(begins, default=entry.at),
        "completed": entry.at,
        "insulin": round(insulin, 3),
        "requested": None if requested is None else round(requested, 3),
        "incomplete": _status(entry, insulin, requested),
    }
    if entry.code == LATER_PART_ENDED:
        yield Bolus(
            **common,
            carbs=0,
            description=KINDS[1],
            override=False,
            automatic=True,
            log_ids=(entry.sequence,),
            whole_since=dose.began,
        )
        return
    yield Bolus(
        **common,
        **_as_requested(*({} if message is None else message.values for message in messages)),
        log_ids=(entry.sequence, *(message.sequence for message in messages if message)),
        other_key=f"{dose.name} without end",
    )


def _as_requested(
    request: dict[str, Any], options: dict[str, Any], sizes: dict[str, Any]
) -> dict[str, Any]:
    """Return what the three messages of a request say; a missing one says nothing."""
    kind = whole(options, "options")
    is_extended = kind in EXTENDED_KINDS
    if kind == MAYBE_EXTENDED and whole(options, "duration"):
        now_percent = number(options, "standardpercent")
        is_extended = now_percent is not None and now_percent < 100
    planned = _split(options, sizes) if is_extended else None
    return {
        "carbs": whole(request, "carbamount") or 0,
        "glucose": whole(request, "bg") or None,
        "description": KINDS.get(-1 if kind is None else kind, ""),
        "override": flag(options, "useroverride") is True,
        "declined_correction": flag(options, "declinedcorrection") is True,
        "planned": planned,
        "label": "Extended" if planned and kind == MAYBE_EXTENDED else "",
        # Unknown counts as automatic.
        "automatic": kind not in KINDS or kind in AUTOMATIC_KINDS,
    }


def _split(options: dict[str, Any], sizes: dict[str, Any]) -> Split | None:
    now_percent, minutes = number(options, "standardpercent"), whole(options, "duration")
    total = number(sizes, "totalbolussize")
    if now_percent is None or not 0 <= now_percent <= 100:
        return None
    if minutes is not None and not 0 < minutes <= MOST_BOLUS_MINUTES:
        minutes = None
    return Split(
        total=None if total is None else round(total, 3),
        now_percent=now_percent,
        duration=timedelta(minutes=minutes) if minutes else None,
    )


def _status(entry: Entry, insulin: float, requested: float | None) -> str:
    end = whole(entry.values, "completionstatus")
    if end in ENDS:
        return ENDS[end]
    complete = requested is None or insulin >= requested - ROUNDING
    return COMPLETED if complete else INCOMPLETE


# -- the later part --------------------------------------------------------------------------------


def _later(dose: Dose, known_until: datetime, skipped: Counter[str]) -> Iterator[Bolus]:
    """Yield the later part: in pieces where the log reports its progress, else as a whole."""
    ended = dose.first(LATER_PART_ENDED)
    progress = _progress_of_later(dose)
    start = dose.first(LATER_PART_STARTED) or dose.first(BOLUS_ENDED) or dose.first(BOLUS_STARTED)
    if ended and (dose.ended(LATER_PART_ENDED) is None or not progress or start is None):
        yield from _ended(dose, ended, skipped)
    elif start and (ended or progress):
        end, status = _end_of_later(dose, progress, known_until)
        yield from _in_pieces(dose, start, progress, end, status)
    elif dose.first(LATER_PART_STARTED) and known_until - dose.entries[-1].at >= NO_END_FOR:
        skipped["extended bolus of which the pump's log does not say how much was delivered"] += 1


def _progress_of_later(dose: Dose) -> list[Given]:
    """Return how much of the later part had been given by when, while it was running."""
    begun, ended = dose.first(LATER_PART_STARTED, BOLUS_ENDED), dose.first(LATER_PART_ENDED)
    before, planned = now_part(dose), dose.most("requestedlater")
    if not (dose.first(LATER_PART_STARTED) or planned or ended):
        return []
    most, progress = 0, []
    for at, total, sequence in dose.progress(RUNNING):
        is_within = begun is None or (at, sequence) >= (begun.at, begun.sequence)
        if is_within and (ended is None or sequence < ended.sequence):
            most = max(most, total - before)
            progress.append(Given(at, most, sequence))
    return progress


def _end_of_later(
    dose: Dose, progress: Sequence[Given], known_until: datetime
) -> tuple[Given | None, str]:
    """Return the end of a later part, and how it ended; ``None`` while it is running.

    Where no end will come, the last progress report counts as the end.
    """
    ended, end = dose.first(LATER_PART_ENDED), dose.ended(LATER_PART_ENDED)
    if ended and end:
        insulin, requested = end.milliunits / 1000, number(ended.values, "insulinrequested")
        return end, _status(ended, insulin, requested)
    over, last, is_late = _last_word(dose, known_until)
    if not is_late or not last:
        return None, ""
    amount = max(0, last.milliunits - now_part(dose), *(each.milliunits for each in progress))
    is_all = over and amount >= (dose.most("requestedlater") or 0)
    return last._replace(milliunits=amount), COMPLETED if is_all else INCOMPLETE if over else NO_END


def _plan_of_later(dose: Dose) -> tuple[int | None, int | None]:
    """Return how much of a later part was asked for (mU), and over how many minutes."""
    size = dose.most("requestedlater")
    begun, request = dose.first(LATER_PART_STARTED), dose.first(BOLUS_OPTIONS)
    units = number(begun.values, "bolexsize") if begun else None
    if units and 0 < units <= MOST_INSULIN:
        size = round(units * 1000)
    for minutes in (
        whole(request.values, "duration") if request else None,
        dose.most("extendeddurationrequested"),
    ):
        if minutes is not None and 0 < minutes <= MOST_BOLUS_MINUTES:
            return size, minutes
    return size, None


def _in_pieces(
    dose: Dose, start: Entry, progress: Sequence[Given], end: Given | None, status: str
) -> Iterator[Bolus]:
    size, minutes = _plan_of_later(dose)
    planned = extended.plan(minutes, size)
    ended = dose.first(LATER_PART_ENDED)
    for cut in extended.cuts(start.at, planned.step, progress, end):
        if not cut.milliunits:
            continue
        middle = cut.begins + (cut.ends - cut.begins) / 2
        last_known = max(
            (each for each in progress if each.at <= middle), default=Given(start.at, 0, 0)
        )
        middle = middle.replace(microsecond=0).astimezone(last_known.at.tzinfo)
        is_planned = planned.pieces and cut.number <= planned.pieces
        of = f" of {planned.pieces}" if is_planned else ""
        yield Bolus(
            key=f"{start.key} part {cut.number}",
            requested_at=middle,
            completed=middle,
            insulin=cut.milliunits / 1000,
            requested=size / 1000 if size else None,
            carbs=0,
            description=f"{KINDS[1]} (part {cut.number}{of}{', the last' if cut.is_last else ''})",
            incomplete=status if cut.is_last else COMPLETED,
            override=False,
            log_ids=(cut.sequence,),
            automatic=True,
            piece=Piece(
                number=cut.number,
                since=start.at,
                whole_key=ended.key if ended else "",
                whole_ended=ended.at if ended else None,
                whole_insulin=end.milliunits / 1000 if end else 0.0,
                whole_log_ids=(ended.sequence,) if ended else (),
            ),
        )
