"""Basals of days whose log has only changes of the rate, and remarks about days without basals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from tconnectsync.domain.events import Basal
from tconnectsync.sources.base import Remark
from tconnectsync.sources.tandemsource.basals import ratechanges
from tconnectsync.sources.tandemsource.basals.basals import SUSPENSIONS
from tconnectsync.sources.tandemsource.basals.ratechanges import Section
from tconnectsync.sources.tandemsource.basals.rates import RATE_CODES, rate_of
from tconnectsync.sources.tandemsource.log.codes import BASAL_RATE, NEW_DAY, RATE_CHANGE
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of

REFUSED = "Tandem's cloud does not provide the whole log, and changes of the rate may be missing"
MOST_DAYS = 10
"""So many days are named."""


class SlowDays(NamedTuple):
    """Days of rate changes in a log."""

    sections: Sequence[Section]
    """Those that are to be read, in the order of the log, others between them included."""
    rejections: Mapping[date, str]
    """Why no basal can be made of a day."""


def slow_days(log: Log, days: set[date], whole: Callable[[], Log | None]) -> SlowDays:
    """Return what the whole log says about some days.

    Args:
        log: the entries that are read else.
        days: those for which it has only changes of the rate.
        whole: gets entries of all kinds; ``None`` if the cloud refuses that.
    """
    updates = dict.fromkeys(ratechanges.days_of_an_update(log), ratechanges.BOTH_WAYS)
    if not days:
        return SlowDays((), updates)
    complete = whole()
    if complete is None:
        return SlowDays((), updates | dict.fromkeys(days, REFUSED))
    found = ratechanges.sections(complete)
    rejections = {day: each.rejection for each in found for day in each.days if each.rejection}
    of_days = {day: reason for day, reason in rejections.items() if day in days}
    return SlowDays(found, updates | of_days)


def opens_at_zero(log: Log) -> bool:
    """Return whether the log opens with a rate of zero: perhaps a suspension that began before.

    Only where rates are reported by changes: others say why they are zero.
    """
    codes = (BASAL_RATE, RATE_CHANGE, NEW_DAY, *SUSPENSIONS)
    first = next(iter(entries_of(log, *codes)), None)
    return first is not None and first.code in RATE_CODES and rate_of(first) == 0


def with_insulin(changes: Iterable[Entry], basals: Iterable[Basal]) -> list[Entry]:
    """Return the entries that state a rate while the pump was not suspended.

    A day that begins without any insulin, and has no change, misses none.
    """
    stops = [basal for basal in basals if basal.suspended]
    return [
        entry
        for entry in changes
        if (entry.code == RATE_CHANGE or rate_of(entry) != 0)
        and not any(ratechanges.is_within(entry, stop) for stop in stops)
    ]


def remarks(rejections: Mapping[date, str], changes: Iterable[Entry]) -> list[Remark]:
    """Return what people must know about days without basal, one remark per reason.

    ``changes`` are the entries that state rates; a day without any has nothing to miss.
    """
    counted = [entry.wall.date() for entry in changes]
    rejections = {day: reason for day, reason in rejections.items() if day in counted}
    found = []
    for reason in sorted(set(rejections.values())):
        days = sorted(day for day, why in rejections.items() if why == reason)
        number = sum(day in days for day in counted)
        named = ", ".join(map(str, days[:MOST_DAYS]))
        more = f" and {len(days) - MOST_DAYS} more" if len(days) > MOST_DAYS else ""
        changes_are = "change of the rate is" if number == 1 else "changes of the rate are"
        found.append(
            Remark(
                f"The basal insulin of {named}{more} is not shown in full: {reason}. The pump "
                f"notes a rate only when it changes ({number} {changes_are} left out), so part of "
                "a log does not say how much was delivered. Boluses and suspensions are shown. "
                "Upload the pump again, then get these days with --start-date and --end-date.",
                missing=True,
            )
        )
    return found


def unclear(entries: Sequence[Entry]) -> list[Remark]:
    """Return what people must know about entries after which no basal rate is known."""
    if not entries:
        return []
    changes = [entry for entry in entries if entry.code in RATE_CODES]
    names = sorted({name for entry in changes for name in entry.values})
    said = f" They report: {', '.join(names[:MOST_DAYS]) or 'nothing'}." if changes else ""
    return [
        Remark(
            f"After {len(entries)} entries of the pump's log, the first at {entries[0].wall}, "
            f"the basal rate is not known until the next change, and is not shown.{said} If this "
            "happens again with a newer version of tconnectsync, run --check-login and report "
            "it.",
            missing=True,
        )
    ]
