"""Per day, the insulin that the pump reported and that Nightscout holds.

All that stands in Nightscout counts: also what a person entered or edited there,
and what other programs wrote. Two records of the same insulin count twice, so that nothing doubled
can hide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from tconnectsync.domain.clock import DAY, TimeRange
from tconnectsync.domain.numbers import as_number
from tconnectsync.domain.words import number_of
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.eventtypes import TEMP_BASAL
from tconnectsync.nightscout.stored import StoredTreatment, stored_treatments
from tconnectsync.report.insulin import exact_sum, insulin_of_rates, overlap
from tconnectsync.report.model import Compared, Day

NO_SITE = "No Nightscout site is set (NS_URL and NS_SECRET), so there is nothing to compare with."
HOW_IT_COUNTS = (
    "Everything that stands in Nightscout counts: also what was entered or "
    "edited there by hand, and what other programs wrote. + means that Nightscout holds more: "
    "something was added there, or stands there twice. − means that it holds less: something was "
    "removed there, or has not been synced yet."
)
"""What a person has to know to read the comparison."""
AT_ONCE = 7
"""Days asked for at once."""
LOOK_BEFORE, LOOK_AFTER = timedelta(hours=36), DAY
"""How much more is read: a basal lasts from one day into the next, and Nightscout sorts times that
some programs write in another form up to a day away."""
STOPPED_PERCENT = -100
"""The percentage of a temporary basal that stops delivery."""


def compare(days: Sequence[Day], nightscout: NightscoutApi) -> tuple[list[Compared], list[str]]:
    """Return both amounts for each of some days in time order, and sentences about what is unclear.

    Days that are not whole are left out: Nightscout may hold more of them than the pump's log does.

    Raises:
        TconnectsyncError: Nightscout cannot be asked.
    """
    nightscout.find_site()
    found, unclear = [], 0
    for first in range(0, len(days), AT_ONCE):
        few = [day for day in days[first : first + AT_ONCE] if day.is_whole]
        if not few:
            continue
        since, until = few[0].range.start - LOOK_BEFORE, few[-1].range.end + LOOK_AFTER
        stored = stored_treatments(nightscout.treatments(since, until))
        whole = TimeRange(few[0].range.start, few[-1].range.end)
        unclear += sum(_is_unclear(each) for each in _within(stored, whole))
        found += [_compared(day, stored) for day in few]
    remarks = []
    if unclear:
        remarks.append(
            f"Of {number_of(unclear, 'temporary basal')}, Nightscout holds only a percentage, not "
            "an amount: that insulin is not counted in what Nightscout holds."
        )
    return found, remarks


def _compared(day: Day, stored: Sequence[StoredTreatment]) -> Compared:
    basals, later_parts = [], []
    for it in stored:
        if it.at is None or not it.minutes:
            continue
        span = overlap(it.at, it.at + it.duration, day.range)
        if not span:
            continue
        if it.event_type == TEMP_BASAL and it.rate is not None:
            basals.append((it.rate, span))
        # Other programs show the later part of a bolus as a rate.
        if (rate := as_number(it.body.get("relative"))) is not None:
            later_parts.append((rate, span))
    boluses = exact_sum(it.insulin for it in _within(stored, day.range) if it.insulin is not None)
    return Compared(
        date=day.date,
        pump_basal=day.totals.basal,
        pump_bolus=day.totals.bolus,
        nightscout_basal=insulin_of_rates(basals),
        nightscout_bolus=boluses + insulin_of_rates(later_parts),
    )


def _within(stored: Sequence[StoredTreatment], time_range: TimeRange) -> Iterator[StoredTreatment]:
    return (it for it in stored if it.at and it.at in time_range)


def _is_unclear(treatment: StoredTreatment) -> bool:
    """Return whether a treatment is a temporary basal of an unknown amount."""
    percent = as_number(treatment.body.get("percent"))
    is_unknown = treatment.rate is None and percent is not None and percent != STOPPED_PERCENT
    return treatment.event_type == TEMP_BASAL and is_unknown and treatment.minutes > 0
