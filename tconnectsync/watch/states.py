"""Which state an outcome or an error leads to, and what to do about each state."""

from __future__ import annotations

from tconnectsync.errors import (
    ApiError,
    ClockContradictionError,
    ConfigError,
    FirewallError,
    LoginError,
    MissingRightError,
    NightscoutAddressError,
    NightscoutError,
    NightscoutLoginError,
    PumpChoiceError,
    SiteDownError,
    TconnectsyncError,
    UnprovenWriteError,
    UsageError,
)
from tconnectsync.state.record import State

STATES: tuple[tuple[tuple[type[TconnectsyncError], ...], State], ...] = (
    ((ConfigError, UsageError), State.SETTINGS_WRONG),
    ((PumpChoiceError, ClockContradictionError), State.PUMP_OR_CLOCK),
    ((FirewallError,), State.BLOCKED),
    ((NightscoutAddressError, SiteDownError), State.NIGHTSCOUT_UNREACHABLE),
    (
        (NightscoutLoginError, MissingRightError, UnprovenWriteError, NightscoutError),
        State.NIGHTSCOUT_REFUSES,
    ),
)
"""The first row that an error belongs to says its state."""


def state_of(error: TconnectsyncError) -> State:
    """Return the state that an error leads to."""
    if isinstance(error, ApiError) and error.changed:
        return State.TANDEM_CHANGED
    if isinstance(error, LoginError) and not error.can_retry:
        return State.LOGIN_REFUSED
    for kinds, state in STATES:
        if isinstance(error, kinds):
            return state
    return State.TANDEM_UNREACHABLE
