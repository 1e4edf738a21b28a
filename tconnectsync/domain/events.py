"""What the pump did and knew: basals, boluses, carbs, user modes, events, glucose readings.

Every event is a frozen value. Times are aware instants, insulin is in units (U), rates in U/h,
carbohydrates in g, glucose in mg/dL. ``key`` names the event as the pump or its cloud does; it
stays the same each time the event is reported, also when the event has grown or its zone was
corrected meanwhile. ``begins`` and ``ends`` are the first and the last instant of the event.
``automatic`` is false for what the person did or asked for; everything else, also of unknown
origin, is automatic. ``log_ids`` are the numbers of the entries of the pump's log that report the
event, the one that gives it its time first; they are empty where the cloud does not hand the log
out. ``pump`` is what people call the pump that it is from, such as ``t:slim X2 …0042``; it is empty
where the cloud does not say that, or was not asked. Events that differ in it alone are equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum


class _Period:
    """Something with a duration from its start."""

    __slots__ = ()
    start: datetime
    duration: timedelta

    @property
    def begins(self) -> datetime:
        """The first instant."""
        return self.start

    @property
    def ends(self) -> datetime:
        """The instant at which it ends, as far as known."""
        return self.start + self.duration


class _Instant:
    """Something without a duration."""

    __slots__ = ()
    at: datetime

    @property
    def begins(self) -> datetime:
        """The instant at which it happened."""
        return self.at

    @property
    def ends(self) -> datetime:
        """The same instant."""
        return self.at


@dataclass(frozen=True, slots=True)
class Basal(_Period):
    """Basal insulin at one rate for a while."""

    key: str
    start: datetime
    duration: timedelta
    rate: float
    """U/h."""
    reason: str
    """Why the pump delivered at that rate, in words to show; may be empty."""
    running: bool = False
    """Whether it may still go on: ``duration`` is then what is known so far."""
    log_ids: tuple[int, ...] = ()
    cut: bool = False
    """Whether another pump claims the rest of its time. A stored treatment that shows more of it is
    shortened, and removed where ``duration`` is zero; a segment without duration is never new."""
    automatic: bool = True
    profile_rate: float | None = field(default=None, compare=False)
    """U/h that the active profile gave for the time at which it began; ``None`` if not known."""
    pump: str = field(default="", compare=False)
    suspended: bool | None = field(default=None, compare=False)
    """Whether the pump itself stood still, such as by the person, an alarm or a change of the site:
    a rate of 0 U/h by its algorithm, a profile or a temporary rate is something else. ``None``
    where the cloud does not say why nothing flowed."""


class ReadingKind(Enum):
    """Where a glucose value comes from."""

    SENSOR = "the glucose sensor"
    FINGER = "a finger stick, or what else a person entered"
    UNKNOWN = "the pump does not say"


@dataclass(frozen=True, slots=True)
class Reading(_Instant):
    """A glucose value of the sensor, or one that a person entered."""

    key: str
    at: datetime
    glucose: int
    """mg/dL."""
    kind: ReadingKind
    log_ids: tuple[int, ...] = ()
    pump: str = field(default="", compare=False)

    @property
    def is_of_sensor(self) -> bool:
        """Whether the sensor measured it; if not, a person entered it."""
        return self.kind is ReadingKind.SENSOR


def newest_reading(readings: Sequence[Reading], at: datetime, max_age: timedelta) -> Reading | None:
    """Return the newest of some readings, given in time order, that is not later than ``at``.

    ``None`` if there is none, or if it is older than ``max_age``.
    """
    later = bisect_right(readings, at, key=lambda reading: reading.at)
    newest = readings[later - 1] if later else None
    return newest if newest and at - newest.at <= max_age else None


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of the later part of an extended bolus, and the key of the whole.

    Where a document already shows the whole later part, no piece of it is written.
    """

    number: int
    """1 for the first."""
    since: datetime
    """When the later part began."""
    whole_key: str = ""
    """The key of the whole later part; empty as long as its end is not known."""
    whole_ended: datetime | None = None
    whole_insulin: float = 0.0
    """U delivered in all pieces together, once the end is known."""
    whole_log_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """How an extended bolus is divided between now and later."""

    total: float | None
    """U requested in both parts together, if known."""
    now_percent: float
    """Share of the immediate part, 0..100."""
    duration: timedelta | None
    """Over how long the rest is to be delivered, if known."""


IN_PROGRESS = "in progress"
"""Why a bolus is incomplete whose end is not known yet."""
EXTENDED_PART = "Extended part"
"""The label of the later part of an extended bolus, where it is reported as a whole."""


@dataclass(frozen=True, slots=True)
class Bolus:
    """A bolus, or one part of an extended bolus: the immediate part or the later part.

    The later part is a bolus of its own: as a whole it has ``whole_since``; in pieces, where the
    cloud reports its progress, each has its ``piece``.
    """

    key: str
    requested_at: datetime
    completed: datetime | None
    """When it ended; ``None`` while it is running."""
    insulin: float
    """U delivered, so far if still running."""
    requested: float | None
    """U requested, if known."""
    carbs: float
    """g entered; 0 when none were."""
    description: str
    """The kind of bolus, in words to show."""
    incomplete: str
    """Why less than requested has been delivered, in words to show; empty if all has been."""
    override: bool
    """Whether the person chose another amount than the pump had calculated."""
    automatic: bool = False
    label: str = ""
    """Text to show after the description of an extended bolus; may be empty."""
    planned: Split | None = None
    """How an extended bolus was to be divided; ``None`` for any other, and for a later part."""
    glucose: float | None = None
    """The glucose (mg/dL) that the amount was calculated with, from the person or the sensor."""
    glucose_kind: ReadingKind | None = None
    """Where ``glucose`` comes from; with ``None`` the glucose is not shown."""
    declined_correction: bool = False
    """Whether the person refused the correction that the pump recommended."""
    log_ids: tuple[int, ...] = ()
    piece: Piece | None = None
    """Which piece of a later part it is; ``None`` for anything else."""
    whole_since: datetime | None = None
    """When the later part began of which it is the whole; ``None`` for anything else."""
    other_key: str = ""
    """The key under which it was reported as long as its end was missing; may be empty."""
    pump: str = field(default="", compare=False)

    @property
    def is_later_part(self) -> bool:
        """Whether it is the later part of an extended bolus, as a whole or a piece of it."""
        return self.piece is not None or self.whole_since is not None

    @property
    def begins(self) -> datetime:
        """The instant of the request."""
        return self.requested_at

    @property
    def ends(self) -> datetime:
        """The instant at which it ended, as far as known."""
        return max(self.requested_at, self.completed or self.requested_at)


class UserModeKind(Enum):
    """What a period is for."""

    SLEEP = "sleep"
    EXERCISE = "exercise"
    OTHER = "another period"


@dataclass(frozen=True, slots=True)
class UserMode(_Period):
    """A period in a mode of the pump: sleep, exercise and the like.

    It is reported with its duration so far while it goes on.
    """

    key: str
    kind: UserModeKind
    start: datetime
    duration: timedelta
    text: str
    """What to show."""
    automatic: bool
    running: bool = True
    """Whether it may still go on, as far as the cloud says."""
    log_ids: tuple[int, ...] = ()
    pump: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class CarbEntry(_Instant):
    """Carbohydrates that the person entered without a bolus."""

    key: str
    at: datetime
    carbs: float
    """g."""
    log_ids: tuple[int, ...] = ()
    automatic: bool = False
    pump: str = field(default="", compare=False)


class PumpEventKind(Enum):
    """What happened at one instant."""

    SUSPENSION = "delivery was suspended"
    RESUME = "delivery was resumed"
    ALARM = "an alarm or a malfunction"
    CARTRIDGE = "a cartridge was filled"
    TUBING = "the tubing was filled"
    SITE_CHANGE = "the infusion site was changed"
    NO_CHANGE = "a fill that was broken off, or a cartridge put in again"
    SENSOR_START = "a sensor session began"
    SENSOR_STOP = "a sensor session ended"
    CGM_ALERT = "an alert about glucose or its sensor"


@dataclass(frozen=True, slots=True)
class PumpEvent(_Instant):
    """Something other than insulin and carbs that happened at one instant."""

    key: str
    at: datetime
    kind: PumpEventKind
    text: str
    """What to show, in words that a parent uses."""
    automatic: bool
    log_ids: tuple[int, ...] = ()
    noted_at: datetime | None = None
    """When the pump noted it, if that is later than it happened."""
    pump: str = field(default="", compare=False)

    @property
    def ends(self) -> datetime:
        """The instant at which the pump noted it."""
        return self.noted_at or self.at


@dataclass(frozen=True, slots=True)
class DeviceStatus(_Instant):
    """The state of the pump at an instant, as far as known."""

    at: datetime
    """The instant of the newest data that it is made of."""
    battery_percent: int | None
    """0..100."""
    battery_volts: float | None
    reservoir: float | None
    """U left, as exactly as known."""
    iob: float | None
    """U."""
    suspended: bool | None
    log_ids: tuple[int, ...]
    """The newest entry first, then those that the values are from."""
    iob_at: datetime | None = None
    """When the pump noted ``iob``; ``None`` is ``at``."""
    reservoir_is_reported: bool = True
    """Whether the pump reported that amount, and nothing was delivered since."""
    reservoir_is_searched: bool = True
    """Whether every source of the amount left was tried, so that a later status can build on it."""
    pump: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class InsulinOnBoard:
    """How much insulin was still at work in the body."""

    at: datetime
    units: float
    """U."""


Event = Basal | Bolus | CarbEntry | UserMode | PumpEvent
