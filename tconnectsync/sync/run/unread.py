"""What a history could not read or understand, in sentences with the level to log each at."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.sources.leftout import left_out_in_words
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
    "DEVICE_STATUS": "battery and reservoir",
}
"""What people call what a feature brings."""


def sentences(outcome: Outcome, clock: PumpClock) -> dict[str, int]:
    """Return what could not be read, what was left out, and what else is to be known.

    With each sentence comes the level at which it is logged.
    """
    return {text: level for level, text in _sentences(outcome, clock)}


def _sentences(outcome: Outcome, clock: PumpClock) -> Iterator[tuple[int, str]]:
    failed: dict[tuple[TimeRange, str], list[str]] = {}
    for failure in outcome.failures:
        failed.setdefault((failure.window, str(failure.error)), []).extend(failure.features)
    for (window, error), names in failed.items():
        yield logging.ERROR, f"{_what(names)}{_when(window, clock)} could not be read. {error}"
    yield from left_out_in_words(outcome.skipped)
    for remark in outcome.remarks:
        yield remark.level, remark.text


def _what(names: Sequence[str]) -> str:
    """Return what some features bring, as the beginning of a sentence."""
    nouns = [NOUNS.get(name, name) for name in dict.fromkeys(names)]
    # It comes with the boluses and the readings.
    nouns = [noun for noun in nouns if noun != NOUNS["BOLUS_BG"] or len(nouns) == 1]
    text = " and ".join([", ".join(nouns[:-1]), nouns[-1]] if len(nouns) > 1 else nouns)
    return f"{text[0].upper()}{text[1:]}"


def _when(window: TimeRange, clock: PumpClock) -> str:
    if window.start == window.end:
        return ""  # Something of today, such as what the pump is set to.
    first, last = clock.days(window)
    return f" of {first}" if first == last else f" from {first} to {last}"
