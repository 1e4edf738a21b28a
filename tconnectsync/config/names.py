"""Which names of variables are ours, and what a mistyped one may mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from tconnectsync.config.values import nearest
from tconnectsync.config.variables import RETIRED, VARIABLES

PREFIXES = (
    *("TCONNECT_", "TANDEM_", "NS_", "NIGHTSCOUT_", "AUTOUPDATE_", "ALARM_SAFE_", "TIMEZONE"),
    *("PUMP_SERIAL", "TCONNECTSYNC_", "PING_URL", "NOTIFY_", "STATUS_MAX_", "METRICS_FILE"),
)
"""A variable whose name begins so was most likely meant for us."""

OFTEN_MEANT = {
    "EMAIL": "TCONNECT_EMAIL",
    "PASSWORD": "TCONNECT_PASSWORD",
    "TCONNECT_USER": "TCONNECT_EMAIL",
    "TCONNECT_USERNAME": "TCONNECT_EMAIL",
    "TANDEM_USERNAME": "TCONNECT_EMAIL",
    "TANDEM_EMAIL": "TCONNECT_EMAIL",
    "TANDEM_PASSWORD": "TCONNECT_PASSWORD",
    "TANDEM_REGION": "TCONNECT_REGION",
    "REGION": "TCONNECT_REGION",
    "NIGHTSCOUT_URL": "NS_URL",
    "NIGHTSCOUT_SECRET": "NS_SECRET",
    "NIGHTSCOUT_API_SECRET": "NS_SECRET",
    "NIGHTSCOUT_TOKEN": "NS_SECRET",
    "NS_TOKEN": "NS_SECRET",
    "SECRET": "NS_SECRET",
    "SERIAL": "PUMP_SERIAL_NUMBER",
    "PUMP_SERIAL": "PUMP_SERIAL_NUMBER",
    "SERIAL_NUMBER": "PUMP_SERIAL_NUMBER",
    "TIMEZONE": "TIMEZONE_NAME",
    "TIME_ZONE": "TIMEZONE_NAME",
}
"""What people write for ours, although it does not look like it."""

# Docker's links and Kubernetes set these for a service that is called "ns" or "nightscout".
_OF_A_SERVICE = r"(NS|NIGHTSCOUT)(_SERVICE_(HOST|PORT)\w*|_PORT(_\d+_(TCP|UDP)\w*)?|_NAME|_ENV_\w+)"
_USUAL_NAME = r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|[A-Z]{2,12}"
_LEAST_LETTERS = 5
_ALIKE = 0.85


@cache
def known_names() -> frozenset[str]:
    """Return all names that have a meaning for us, or had one."""
    ours = [name for variable in VARIABLES for name in variable.all_names]
    return frozenset((*ours, *RETIRED))


def meant_by(name: str, names: Iterable[str]) -> str:
    """Return which of our ``names`` a mistyped one is most likely meant for; empty if none."""
    plain = re.sub(r"[\W_]", "", name).upper()
    by_letters = {re.sub("_", "", each): each for each in (*names, *OFTEN_MEANT)}
    if len(plain) < _LEAST_LETTERS and plain not in by_letters:
        return ""
    found = by_letters.get(plain) or by_letters.get(nearest(plain, by_letters, _ALIKE), "")
    return OFTEN_MEANT.get(found, found)


def is_of_our_kind(name: str) -> bool:
    """Return whether the beginning of a name says that it was meant for us."""
    return name.upper().startswith(PREFIXES) and not re.fullmatch(_OF_A_SERVICE, name)


def may_be_shown(name: str) -> bool:
    """Return whether a name is one, and not a line of a password that was cut in two."""
    return bool(re.fullmatch(_USUAL_NAME, name))


def mistyped(names: Iterable[str], *, in_environment: bool) -> dict[str, str]:
    """Return the names that are not ours but were meant to be, with what they may mean.

    In the environment there are many names of other programs: there, one counts only if it begins
    like one of ours.

    Returns:
        By each such name the one that it may mean; empty if it only begins like ours.
    """
    ours = known_names()
    starts = {each[:2] for each in ours}
    found = {}
    for name in names:
        if name in ours or not name:
            continue
        kind = is_of_our_kind(name)
        if (
            in_environment
            and not kind
            and (name[:2].upper() not in starts or name.upper() in OFTEN_MEANT)
        ):
            continue
        meant = "" if re.fullmatch(_OF_A_SERVICE, name) else meant_by(name, ours)
        if meant or kind:
            found[name] = meant
    return found
