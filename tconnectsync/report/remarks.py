"""What could not be read or understood, in sentences for the screen and for the page."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.words import times_in_words
from tconnectsync.sources.leftout import NO_DOSES, may_be_missing
from tconnectsync.sync.run.outcome import Outcome

NOUNS = {
    "BASAL": "basal insulin",
    "BOLUS": "boluses",
    "BOLUS_BG": "the glucose of boluses",
    "PUMP_EVENTS": "events of the pump",
    "PUMP_EVENTS_BASAL_SUSPENSION": "suspensions",
    "PROFILES": "the pump's profiles",
    "CGM": "glucose readings",
    "CGM_ALERTS": "glucose alerts",
}
"""What people call what a feature brings."""
LEFT_OUT = {
    "insulin": "Insulin may be missing because of that: compare the day with the pump's own "
    "history.",
    "carbs": "Carbs may be missing because of that, but no insulin.",
    "": "No insulin is missing because of that.",
}
"""What follows from what was left out, by what may be missing."""


def sentences(outcome: Outcome, clock: PumpClock) -> dict[str, int]:
    """Return what could not be read, what was left out, and what else is to be known.

    With each sentence comes the level at which it is logged.
    """
    return {text: level for level, text in _sentences(outcome, clock)}


def _sentences(outcome: Outcome, clock: PumpClock) -> Iterator[tuple[int, str]]:
    for failure in outcome.failures:
        names = list(dict.fromkeys(NOUNS.get(name, name) for name in failure.features))
        what = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        first, last = clock.days(failure.window)
        days = f"of {first}" if first == last else f"from {first} to {last}"
        if failure.window.start == failure.window.end:
            days = ""  # Something of today, such as what the pump is set to.
        subject = f"{what[0].upper()}{what[1:]} {days}".strip()
        yield logging.ERROR, f"{subject} could not be read. {failure.error}"
    found: dict[str, list[str]] = {}
    for what, number in outcome.skipped.most_common():
        text = f"{what.removesuffix(NO_DOSES)} ({times_in_words(number)})"
        found.setdefault(may_be_missing(what), []).append(text)
    for missing, consequence in LEFT_OUT.items():
        if missing in found:
            level = logging.WARNING if missing else logging.INFO
            yield level, f"Left out: {'; '.join(found[missing])}. {consequence}"
    for remark in outcome.remarks:
        level = logging.WARNING if remark.asks_something else logging.INFO
        yield logging.ERROR if remark.missing else level, remark.text
