"""Entries that may be insulin, carbs or glucose and cannot be read, or that are lost.

See docs/protocol/tandem-event-log.md §9, §10.6 and §15. Each kind is worth a warning, not silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tconnectsync.domain.words import times_in_words
from tconnectsync.sources.base import Remark
from tconnectsync.sources.leftout import MAYBE_DOSES
from tconnectsync.sources.tandemsource.log.codes import (
    BASAL_IQ,
    LOG_DAMAGED,
    LOG_ERASED,
    OTHER_SENSORS,
    SENSORS,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry
from tconnectsync.sources.tandemsource.log.records import whole

LOST = {LOG_ERASED: "its log was erased", LOG_DAMAGED: "a part of its log was damaged"}
CODES = (*LOST, BASAL_IQ, *OTHER_SENSORS)
WITH_READING = (1, 2)
"""What Basal-IQ's entries say when they hold a reading of the sensor."""


def remarks(entries: Sequence[Entry], skipped: Counter[str]) -> list[Remark]:
    """Return remarks about a log: lost parts, and unreadable entries that may be insulin."""
    codes = Counter(entry.code for entry in entries)
    found = [
        Remark(
            f"The pump reports that {what} ({times_in_words(codes[code])}). Insulin of that time "
            "may be missing, and cannot be recovered. Compare the totals with the "
            "pump's own.",
            missing=False,
        )
        for code, what in LOST.items()
        if codes[code]
    ]
    unread = {what: times for what, times in skipped.items() if what.startswith(MAYBE_DOSES)}
    if unread:
        named = ", ".join(what.removeprefix(MAYBE_DOSES) for what in sorted(unread)[:5])
        found.append(
            Remark(
                "The pump's log has entries that this version of tconnectsync cannot read and "
                "that may be about insulin, carbs or glucose "
                f"({times_in_words(sum(unread.values()))}): {named}. Compare the totals "
                "with the pump's, and look for a newer version of tconnectsync.",
                changed=True,
            )
        )
    return found


def glucose_remarks(entries: Iterable[Entry]) -> list[Remark]:
    """Return what people have to know of glucose values that are not shown as readings.

    Basal-IQ logs each sensor reading a second time, which matters only if the first is missing.
    """
    codes: Counter[int] = Counter()
    for entry in entries:
        if entry.code != BASAL_IQ or whole(entry.values, "fmrstatus") in WITH_READING:
            codes[entry.code] += 1
    unread = sum(codes[code] for code in OTHER_SENSORS)
    if not any(codes[code] for code in SENSORS):
        unread += codes[BASAL_IQ]
    if not unread:
        return []
    return [
        Remark(
            "The pump's log has glucose values of a sensor in a form that this version of "
            f"tconnectsync cannot show ({times_in_words(unread)}). No insulin is missing because "
            "of that. Look for a newer version.",
            missing=False,
        )
    ]
