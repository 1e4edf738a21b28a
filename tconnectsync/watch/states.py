"""Which state an outcome or an error leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tconnectsync.errors import (
    ApiError,
    ClockContradictionError,
    ConfigError,
    FirewallError,
    LogFileError,
    LoginError,
    MissingRightError,
    NetworkError,
    NightscoutAddressError,
    NightscoutError,
    NightscoutLoginError,
    PumpChoiceError,
    Side,
    SiteDownError,
    TconnectsyncError,
    UnprovenWriteError,
    UsageError,
)
from tconnectsync.sources.base import Remark
from tconnectsync.state.record import State
from tconnectsync.sync.run.outcome import Outcome

STATES: Mapping[type[TconnectsyncError], tuple[State, State]] = {
    ConfigError: (State.SETTINGS_WRONG, State.SETTINGS_WRONG),
    UsageError: (State.SETTINGS_WRONG, State.SETTINGS_WRONG),
    LogFileError: (State.SETTINGS_WRONG, State.SETTINGS_WRONG),
    PumpChoiceError: (State.PUMP_OR_CLOCK, State.PUMP_OR_CLOCK),
    ClockContradictionError: (State.PUMP_OR_CLOCK, State.PUMP_OR_CLOCK),
    FirewallError: (State.BLOCKED, State.BLOCKED),
    LoginError: (State.LOGIN_REFUSED, State.TANDEM_UNREACHABLE),
    ApiError: (State.INCOMPLETE, State.TANDEM_UNREACHABLE),
    NightscoutAddressError: (State.NIGHTSCOUT_UNREACHABLE, State.NIGHTSCOUT_UNREACHABLE),
    SiteDownError: (State.NIGHTSCOUT_UNREACHABLE, State.NIGHTSCOUT_UNREACHABLE),
    NightscoutLoginError: (State.NIGHTSCOUT_REFUSES, State.NIGHTSCOUT_REFUSES),
    MissingRightError: (State.NIGHTSCOUT_REFUSES, State.NIGHTSCOUT_REFUSES),
    UnprovenWriteError: (State.NIGHTSCOUT_REFUSES, State.NIGHTSCOUT_REFUSES),
    NightscoutError: (State.NIGHTSCOUT_REFUSES, State.NIGHTSCOUT_UNREACHABLE),
}
"""The state that an error of a class leads to, and that of one that may pass by itself."""

UNREACHABLE = {
    Side.TANDEM: State.TANDEM_UNREACHABLE,
    Side.NIGHTSCOUT: State.NIGHTSCOUT_UNREACHABLE,
}

MAYBE_MISSING = "Something was left out that may be insulin; compare the day with the pump"
URGENCY = (
    *(State.SETTINGS_WRONG, State.LOGIN_REFUSED, State.PUMP_OR_CLOCK, State.NIGHTSCOUT_REFUSES),
    *(State.TANDEM_CHANGED, State.BLOCKED, State.TANDEM_UNREACHABLE, State.NIGHTSCOUT_UNREACHABLE),
    *(State.NOT_UPLOADING, State.INCOMPLETE, State.NEVER_RUN, State.OK),
)
"""Of several states at a time the first counts: what needs a person stands before what passes."""


def state_of(error: TconnectsyncError) -> State:
    """Return the state that an error leads to."""
    if isinstance(error, NetworkError):
        return UNREACHABLE[error.side]
    if isinstance(error, ApiError) and error.changed:
        return State.TANDEM_CHANGED
    rows = (STATES[each] for each in type(error).__mro__ if each in STATES)
    lasting, passing = next(rows, (State.INCOMPLETE, State.INCOMPLETE))
    return passing if error.can_retry else lasting


def state_after(outcome: Outcome) -> tuple[State, str]:
    """Return the state that a run leads to, and the sentence on why."""
    found = list(_found(outcome))
    return min(found, key=lambda each: URGENCY.index(each[0]), default=(State.OK, ""))


def what_is_missing(outcome: Outcome) -> list[str]:
    """Return a sentence for each thing that the run did not bring."""
    said = []
    for failure in outcome.failures:
        first, last = failure.window.start, failure.window.end
        names = " ".join(failure.features)
        said.append(f"{names} from {first:%Y-%m-%d} to {last:%Y-%m-%d}: {failure.error}")
    said += [each.text for each in outcome.remarks if each.missing]
    return said + [f"{MAYBE_MISSING} ({what})." for what in outcome.lost_insulin]


def _found(outcome: Outcome) -> Iterator[tuple[State, str]]:
    for failure in outcome.failures:
        yield state_of(failure.error), str(failure.error)
    for remark in outcome.remarks:
        if remark.missing:
            yield _state_of_remark(remark), remark.text
    for what in outcome.lost_insulin:
        yield State.INCOMPLETE, f"{MAYBE_MISSING} ({what})."


def _state_of_remark(remark: Remark) -> State:
    if remark.pump_or_clock:
        return State.PUMP_OR_CLOCK
    return State.TANDEM_CHANGED if remark.changed else State.INCOMPLETE
