"""Whether the clocks agree: this computer's, Nightscout's and the pump's with its zone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tconnectsync.check.results import Findings, NotTriedError
from tconnectsync.errors import TconnectsyncError

TOLERANCE = timedelta(minutes=2)
"""A difference between clocks that does no harm."""

LONGEST_SILENCE = timedelta(hours=3)
"""A longer time without an upload is worth a word; the app uploads every hour or oftener."""

USUAL_DELAY = timedelta(minutes=65)
"""How old the newest data are at the most where all goes well."""

HOUR = timedelta(hours=1)

ZONES = (
    "Pacific/Honolulu",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/Denver",
    "America/Phoenix",
    "America/Chicago",
    "America/New_York",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Africa/Johannesburg",
    "Asia/Jerusalem",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Australia/Perth",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Brisbane",
    "Australia/Sydney",
    "Pacific/Auckland",
)
"""Zones to name as examples, from west to east."""


def this_computers_clock(findings: Findings) -> str:
    """Compare this computer's clock with Nightscout's.

    Raises:
        TconnectsyncError: they differ by minutes.
        NotTriedError: Nightscout did not tell the time.
    """
    if findings.host_ahead_seconds is None:
        raise NotTriedError("Nightscout did not tell its time.")
    ahead = timedelta(seconds=findings.host_ahead_seconds)
    if abs(ahead) < TOLERANCE:
        return "It agrees with Nightscout's."
    raise TconnectsyncError(
        f"It is {_span(abs(ahead))} {'ahead of' if ahead > timedelta(0) else 'behind'} "
        "Nightscout's. Let this computer set its clock by itself from the network (NTP); if its "
        "clock is right, the Nightscout server's is wrong."
    )


def pumps_clock(findings: Findings, now: datetime, zone: ZoneInfo) -> str:
    """Judge by the newest data whether the pump's clock and zone can be right.

    ``now`` is this computer's time; Nightscout's is trusted more where the two differ.

    Raises:
        TconnectsyncError: the data lie in the future, or are older than an upload explains.
    """
    newest = findings.newest
    if newest is None:
        raise TconnectsyncError(
            "t:connect has nothing newer. Open the t:connect app on the phone and see whether it "
            "uploads; or check days with data: --start-date and --end-date."
        )
    age = now - timedelta(seconds=findings.host_ahead_seconds or 0) - newest
    if age < -TOLERANCE:
        raise TconnectsyncError(
            f"The newest data lie {_span(-age)} in the future. TIMEZONE_NAME ({zone.key}) is not "
            "the zone of the pump's clock, or the pump's clock is wrong by that much or more: "
            f"compare it with a watch.{_fitting(newest, age, zone)}"
        )
    if age > LONGEST_SILENCE and findings.gapless:
        raise TconnectsyncError(
            f"The newest data are {_span(age)} old. Either the pump has not uploaded since: open "
            "the t:connect app on the phone. Or it has, and TIMEZONE_NAME "
            f"({zone.key}) is not the zone of the pump's clock.{_fitting(newest, age, zone)}"
        )
    return f"With {zone.key} the newest data are {_span(max(age, timedelta(0)))} old."


def _fitting(newest: datetime, age: timedelta, zone: ZoneInfo) -> str:
    """Name the offset that makes the data as old as they usually are, if one does alone."""
    shifts = [
        hours
        for hours in range(-26, 27)
        if hours and -TOLERANCE <= age + hours * HOUR <= USUAL_DELAY
    ]
    wall = newest.astimezone(zone).replace(tzinfo=None)
    offset = wall.replace(tzinfo=zone).utcoffset()
    if len(shifts) != 1 or offset is None:
        return ""
    offset += shifts[0] * HOUR
    if not -12 * HOUR <= offset <= 14 * HOUR:
        return ""
    return f" {_written(offset)} would fit{_examples(ZONES, wall, offset)}."


def _examples(names: Iterable[str], wall: datetime, offset: timedelta) -> str:
    fitting = [name for name in names if wall.replace(tzinfo=ZoneInfo(name)).utcoffset() == offset]
    return f", for example {' or '.join(fitting[:2])}" if fitting else ""


def _written(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


def _span(length: timedelta) -> str:
    """Return how long something is in the largest unit that tells enough."""
    whole = round(length.total_seconds() / 60)
    if whole < 120:
        return _minutes(whole)
    hours, rest = divmod(whole, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} hours and {_minutes(rest)}" if rest else f"{hours} hours"


def _minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number} minutes"
