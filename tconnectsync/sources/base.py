"""Where the pump's events come from: one small interface, one adapter per cloud.

An adapter subclasses both classes and keeps these defaults for what its cloud lacks.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    DeviceStatus,
    Event,
    InsulinOnBoard,
    PumpEvent,
    Reading,
    UserMode,
)
from tconnectsync.errors import ApiError

if TYPE_CHECKING:
    from tconnectsync.domain.profiles import PumpSettings


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the pump's story that is said to the person, once per run."""

    text: str
    """Sentences: what it is, what it means for the insulin shown, what to do."""
    missing: bool = True
    """Whether part of the story is missing by it; the run then ends with exit code 1."""
    heals: bool = field(default=False, compare=False)
    """Whether asking again later may bring what is missing; the range then stays in the backlog."""
    changed: bool = False
    """Whether the cloud sent something in a form that this version does not know."""
    pump_or_clock: bool = False
    """Whether a person has to choose the pump, or set its clock, before it can be put right."""
    asks_something: bool = True
    """Whether there is something that a person could do about it; else it is only mentioned."""
    is_refusal: bool = field(default=False, compare=False)
    """Whether the cloud did not give what is missing, so that asking again will hardly help."""
    repeat: tuple[TimeRange, tuple[str, ...]] | None = None
    """The range and the features that a person can sync to put it right; a command that does so
    follows the text."""

    @property
    def level(self) -> int:
        """The level at which it is logged."""
        if self.missing:
            return logging.ERROR
        return logging.WARNING if self.asks_something else logging.INFO


class NewestData(NamedTuple):
    """The newest of all that a pump has uploaded."""

    at: datetime
    """Its instant, as far as zone and log show, with the offset that the pump's clock had."""
    uploaded: datetime | None
    """When it was uploaded (aware); ``None`` if the cloud does not say."""


class PumpSpan(NamedTuple):
    """A pump of the account, and the time of which the cloud holds its log."""

    name: str
    """For people: the model and the end of the serial number, such as ``t:slim X2 …0042``."""
    mark: str
    """Names the pump from run to run without saying anything about it or the person."""
    first: datetime | None
    """The first instant of its log; ``None`` if that is not known."""
    last: datetime | None
    """The last instant of its log so far; ``None`` if that is not known."""
    is_read: bool
    """Whether its log is read; false for pumps that the settings leave out."""
    in_use: bool
    """Whether it is the pump that the person wears now, as far as known."""
    uploaded: datetime | None = None
    """When it uploaded last; ``None`` if that is not known."""
    mmol: bool | None = None
    """Whether it shows glucose in mmol/L, not in mg/dL; ``None`` if that is not known."""


class Reader(Protocol):
    """What happened in one range of time.

    Each method asks the cloud for what it needs, at most once, and raises a
    :class:`~tconnectsync.errors.TconnectsyncError` of its own when that fails, so that the others
    can go on. Events may lie somewhat before the range; those that touch it are complete.
    """

    skipped: Counter[str]
    """What could not be understood and was left out, with how often."""
    remarks: list[Remark]
    """What is to be said of the range; complete when all parts of it have been read."""

    def release(self) -> None:
        """Let go of what was fetched; what is asked after that is fetched again."""
        return

    def basals(self) -> list[Basal]:
        """Return the basal segments."""
        ...

    def boluses(self) -> Sequence[Bolus | CarbEntry]:
        """Return the boluses, and the carbs that were entered without one."""
        ...

    def user_modes(self) -> list[UserMode]:
        """Return sleep, exercise and the like."""
        return []

    def suspensions(self) -> list[PumpEvent]:
        """Return when and why delivery was suspended."""
        return []

    def pump_events(self) -> list[PumpEvent]:
        """Return the other events: resumptions, alarms, fills, sensor sessions."""
        return []

    def cgm_alerts(self) -> list[PumpEvent]:
        """Return the alerts about glucose and its sensor."""
        return []

    def readings(self) -> list[Reading]:
        """Return the glucose readings, by the sensor and by the person."""
        return []

    def with_glucose_kind(
        self, boluses: Sequence[Bolus | CarbEntry], readings: Sequence[Reading]
    ) -> Sequence[Bolus | CarbEntry]:
        """Return boluses of the range with where their glucose came from, by its readings.

        Only for a cloud that does not say it: others have it in what :meth:`boluses` returns.
        """
        return boluses

    def statuses(self) -> list[DeviceStatus]:
        """Return what the pump noted of its state within the range, in time order.

        Each has the instant at which it was noted, and of the values only what was noted then.
        """
        return []

    def pump_of(self, event: Event | Reading) -> str:
        """Return what people call the pump that one of the events or readings above is from.

        It is the :attr:`PumpSpan.name`; empty where the cloud does not say which pump it was.
        """
        return ""

    def insulin_on_board(self) -> list[InsulinOnBoard]:
        """Return how much insulin was on board towards the end of the range.

        What is from before a bolus that has begun since is left out.
        """
        return []

    def newest(self) -> datetime | None:
        """Return the newest instant of which anything is known; ``None`` if nothing is."""
        return None

    def newest_data(self) -> NewestData | None:
        """Return the newest data of the pump in use, whatever the range; nothing is fetched.

        ``None`` if it is not known from what has been read.
        """
        return None

    def device_status(self, last: DeviceStatus | None = None) -> DeviceStatus | None:
        """Return the pump's state at the end of the range, ``None`` if nothing is known.

        Also ``None`` if nothing has come since ``last``, the status that was stored last.
        """
        return None


class Source(Protocol):
    """A cloud that holds the pump's data."""

    name: str
    """The name of the cloud; a saved log has that of the cloud it was saved from.

    Treatments remember it: two that name the same cloud never describe one event twice.
    """
    window_days: int
    """The longest range, in days, that one reader should be asked for."""

    def pumps(self, time_range: TimeRange) -> Sequence[PumpSpan]:
        """Return the pumps of the account, those that are read for ``time_range`` and the others.

        Empty where the cloud does not say which pump did what. To be called before anything is
        written.

        Raises:
            PumpChoiceError: a person has to say first which pump is meant.
            TconnectsyncError: the cloud cannot be asked.
        """
        return ()

    def read(self, time_range: TimeRange) -> Reader:
        """Return a reader for ``time_range``; nothing is fetched yet."""
        ...

    def upload_counter(self) -> int | None:
        """Ask, cheaply, for a number that changes when the pump has uploaded.

        ``None`` if the cloud has none. Raises a ``TconnectsyncError`` if it cannot be asked.
        """
        return None

    def force_login(self) -> None:
        """Make the next request begin with a new login."""
        return

    def pump_settings(self) -> PumpSettings:
        """Return what the configured pump is set to.

        Raises:
            ApiError: the account has no such pump, or its settings cannot be read.
        """
        raise ApiError(f"{self.name} does not provide the pump's settings.")


class SavedLog(Source, Protocol):
    """A saved pump log, read like a cloud."""

    @property
    def covered(self) -> TimeRange:
        """What the log covers."""
        ...
