"""Each state in words: what it means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from tconnectsync.state.states import State

TEXTS: Mapping[State, tuple[str, str]] = {
    State.OK: ("All that the pump has uploaded is in Nightscout", ""),
    State.INCOMPLETE: (
        "Something is missing in Nightscout",
        "Do what the cause says; the next run tries again. tconnectsync --check-login looks at "
        "every part.",
    ),
    State.NOT_UPLOADING: (
        "The phone does not upload the pump's data",
        "Check that the phone is on and connected, and that Tandem's app runs on it and sees the "
        "pump.",
    ),
    State.LOGIN_REFUSED: (
        "Tandem does not accept the login",
        "Log in on Tandem's web site. If that works, correct TCONNECT_EMAIL and TCONNECT_PASSWORD, "
        "and test them with tconnectsync --check-login.",
    ),
    State.TANDEM_UNREACHABLE: (
        "Tandem cannot be reached, or is in trouble",
        "Check the internet connection of this computer. If that works, wait: the next runs bring "
        "what is missing.",
    ),
    State.TANDEM_CHANGED: (
        "Tandem has changed its service",
        "Update tconnectsync. If there is no newer version yet, run tconnectsync --shape-report "
        "and post the file that it writes.",
    ),
    State.BLOCKED: (
        "Tandem's firewall blocks this address for a while",
        "Wait: the next runs bring what is missing. If it lasts for days, log in less often from "
        "this address.",
    ),
    State.NIGHTSCOUT_UNREACHABLE: (
        "Nightscout cannot be reached, or is in trouble",
        "Open the site in a browser. If it does not open, start it where it is hosted; if it "
        "does, compare its address with NS_URL.",
    ),
    State.NIGHTSCOUT_REFUSES: (
        "Nightscout refuses what is sent to it",
        "Run tconnectsync --check-login: it says whether NS_SECRET is wrong, a right is missing, "
        "or the site is full.",
    ),
    State.PUMP_OR_CLOCK: (
        "The pump has to be chosen, or a clock is wrong",
        "Do what the cause says: set PUMP_SERIAL_NUMBER or TIMEZONE_NAME, or the pump's clock.",
    ),
    State.SETTINGS_WRONG: (
        "The settings cannot be used",
        "Start tconnectsync by hand, or tconnectsync --check-login: it says what to correct, and "
        "where.",
    ),
    State.NEVER_RUN: (
        "No run has left a record yet",
        "Start tconnectsync once. If it has run already, ask in the same folder and as the same "
        "user, or with the same --env-file; if it runs in a container, ask there.",
    ),
}
"""A sentence without full stop on what a state means, and sentences on what to do."""


def meaning(state: State) -> str:
    """Return what a state means, as a sentence without full stop."""
    return TEXTS[state][0]


def action(state: State) -> str:
    """Return what to do about a state, in sentences; nothing if all is well."""
    return TEXTS[state][1]
