"""Chooses the pumps of an account whose logs are read, before anything is written.

See tandem-source-api §4.5 and tandem-source-processing §10 and §15. All pumps of one person are
read, or the one that PUMP_SERIAL_NUMBER names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import PumpChoiceError
from tconnectsync.sources.tandemsource.pumps.pumps import (
    Pump,
    configured,
    endings,
    has_data,
    is_automatic,
    named,
    newest_first,
    silence,
)
from tconnectsync.sources.tandemsource.pumps.twopeople import LONGEST_DELIVERY, PairComparison


class Account(NamedTuple):
    """The pumps of an account, as the cloud lists them."""

    pumps: Sequence[Pump]
    is_guardian: bool
    """Whether it belongs to a person who looks after the wearer; such a list has no times."""


@dataclass(frozen=True)
class PumpChoice:
    """Which pumps are read."""

    read: list[Pump]
    meant: list[Pump]
    """Those that the configuration means, also those that have nothing to be read."""
    undecided: dict[str, str] = field(default_factory=dict)
    """Why a pump is not read although it may be the person's, by its assignment."""
    warning: str = ""
    """A likely mistake in the configuration; empty if there is none."""

    @property
    def never_uploaded(self) -> str:
        """Advice if no pump is read; empty otherwise."""
        if self.read:
            return ""
        return (
            f"The pump {', '.join(map(named, self.meant))} has never uploaded. Connect it to "
            "Tandem's app on the phone, or upload it once from a computer."
        )


def choose_pumps(
    account: Account, serial: str, time_range: TimeRange, pairs: PairComparison
) -> PumpChoice:
    """Return which pumps are read for a range.

    Args:
        account: the pumps that there are.
        serial: PUMP_SERIAL_NUMBER; empty for all pumps of one person. With several numbers, two
            pumps may have delivered at the same time for longer: a person says whose they are.
        time_range: the range.
        pairs: compares the logs of two pumps where they may be two people's.

    Raises:
        ApiError: the account has no pump.
        PumpChoiceError: a person has to name the pump.
        TconnectsyncError: going on makes no sense.
    """
    meant = configured(account.pumps, serial)
    if account.is_guardian:
        if len({pump.serial for pump in meant}) > 1:
            raise PumpChoiceError(
                "This is a guardian's account, in which Tandem Source does not say which pump "
                f"is in use. Set PUMP_SERIAL_NUMBER to one of these: {endings(meant)}."
            )
        return PumpChoice(meant, meant)
    read = [pump for pump in meant if has_data(pump)]
    warning = ""
    if not is_automatic(serial):
        newest = newest_first(meant, pairs.clock, pairs.now)[0]
        warning = silence(newest, account.pumps, pairs.clock, pairs.now)
        if len({pump.serial for pump in meant}) < 2:
            return PumpChoice(read, meant, warning=warning)
        # A person says that all of them are theirs; but no person wears two for long.
        pairs = pairs._replace(allowed_days=LONGEST_DELIVERY)
    undecided: dict[str, str] = {}
    for one, other in combinations(read, 2):
        if one.serial != other.serial:
            undecided.update(pairs.compare(one, other, time_range))
    return PumpChoice(
        [pump for pump in read if pump.assignment_id not in undecided],
        meant,
        undecided,
        warning,
    )
