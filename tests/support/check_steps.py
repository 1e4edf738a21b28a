"""What tests of a check share: its moment, the names of its steps, and what came of each."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tconnectsync.check.run import State
from tests.support.command import NEW_YORK, days
from tests.support.world import FIRST

WALL_NOW = datetime.combine(FIRST, time(15, 0)) + timedelta(days=1)
NOW = WALL_NOW.replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)

NIGHTSCOUT = (
    "Nightscout",
    "Nightscout careportal",
    "Nightscout secret",
    "Nightscout treatments",
)
CLOCKS = ("This computer's clock", "Pump's clock and zone")
CHECK_FIRST_DAY = ("--check-login", *days(FIRST, FIRST))


def only_failed(results: dict[str, tuple[State, str]], *steps: str) -> str:
    """Insist that exactly these steps failed; return what is said about the first."""
    assert [name for name, (state, _) in results.items() if state is State.FAILED] == list(steps)
    return results[steps[0]][1]


def not_tried(results: dict[str, tuple[State, str]]) -> list[str]:
    """Return the steps that were left out."""
    return [name for name, (state, _) in results.items() if state is State.NOT_TRIED]
