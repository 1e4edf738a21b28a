"""The kinds of files of an export, and their columns: the one table that files and docs follow.

Later versions only add columns, each at the end: people read these files with programs of their
own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tconnectsync.domain.clock import HOUR, MINUTE
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    DeviceStatus,
    Event,
    PumpEvent,
    PumpEventKind,
    UserMode,
    UserModeKind,
)

Value = str | float | datetime | None
"""What stands in a column: a text, a number, true or false, an instant, or nothing."""
Type = Literal["time", "text", "number", "true or false"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    """With the unit, where there is one."""
    type: Type
    meaning: str
    """A sentence for the documentation."""
    of: Callable[[Any], Value]
    """Returns what stands in it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of files."""

    name: str
    """How the names of the files begin, such as ``basals``."""
    noun: str
    """What one row is called."""
    meaning: str
    """A sentence for the documentation."""
    features: frozenset[str]
    """The features that read the rows: where one of them fails, rows may be missing."""
    columns: Sequence[Column]

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]


def kind_of(event: Event) -> Kind:
    """Return the kind of files that an event belongs to."""
    if isinstance(event, Basal):
        return BASALS
    return BOLUSES if isinstance(event, Bolus) else EVENTS


def _event(event: CarbEntry | UserMode | PumpEvent) -> str:
    if isinstance(event, CarbEntry):
        return "carbs"
    return OTHER_MODE if event.kind is UserModeKind.OTHER else event.kind.name.lower()


OTHER_MODE = "other_mode"
EVENT_NAMES = (
    *("carbs", "sleep", "exercise", OTHER_MODE),
    *(kind.name.lower() for kind in PumpEventKind),
)
"""All that may stand in the column ``event``."""


def _common(time: str, key: Callable[[Any], str]) -> list[Column]:
    """Return the first columns, which all kinds share; ``time`` is the attribute with the time."""

    def instant(it: Any) -> datetime:
        found: datetime = getattr(it, time)
        return found

    return [
        Column(
            "time_utc",
            "time",
            "When it happened or began, in UTC. Rows are in the order of this time.",
            lambda it: instant(it).astimezone(UTC),
        ),
        Column(
            "time_pump",
            "time",
            "The same instant as the pump's clock showed it, with its offset from UTC; in UTC "
            "where the pump showed a wrong date.",
            instant,
        ),
        Column(
            "pump",
            "text",
            "The pump: its model and the end of its serial number, if known.",
            lambda it: it.pump or None,
        ),
        Column(
            "key",
            "text",
            "A name for the row, which stays the same when the same thing is exported again.",
            key,
        ),
    ]


def _status_key(status: DeviceStatus) -> str:
    """Return a name without the zone, which may be corrected later."""
    return f"status {' '.join(map(str, status.log_ids))} {status.at.replace(tzinfo=None)}"


def _utc(instant: datetime | None) -> datetime | None:
    return instant.astimezone(UTC) if instant else None


def _minutes(span: timedelta | None) -> float | None:
    return span / MINUTE if span is not None else None


def _source(kind: Any) -> str | None:
    return kind.name.lower() if kind else None


def _part(bolus: Bolus) -> str | None:
    if bolus.planned:
        return "now"
    return "later" if bolus.is_later_part else None


_AUTOMATIC = Column(
    "automatic",
    "true or false",
    "False for what the person did or asked for; all else is automatic.",
    lambda it: it.automatic,
)
_OF_EVENTS = _common("begins", lambda it: it.key)

BASALS = Kind(
    "basals",
    "basal",
    "Basal insulin: one row for each time at one rate.",
    frozenset({"BASAL"}),
    [
        *_OF_EVENTS,
        Column("end_utc", "time", "When it ended, in UTC.", lambda it: _utc(it.ends)),
        Column("duration_min", "number", "How long, in minutes.", lambda it: _minutes(it.duration)),
        Column("rate_u_per_h", "number", "The rate, in U/h.", lambda it: it.rate),
        Column(
            "insulin_u",
            "number",
            "The insulin delivered, in U: the rate times the duration.",
            lambda it: it.rate * (it.duration / HOUR),
        ),
        Column(
            "profile_rate_u_per_h",
            "number",
            "The rate of the pump's profile at that time, in U/h, if the pump noted it.",
            lambda it: it.profile_rate,
        ),
        Column("reason", "text", "Why the pump had that rate, in its words.", lambda it: it.reason),
        _AUTOMATIC,
        Column(
            "running",
            "true or false",
            "Whether it may still go on: what is known so far is shown then.",
            lambda it: it.running,
        ),
    ],
)
BOLUSES = Kind(
    "boluses",
    "bolus",
    "Boluses, with what was asked for and what was delivered. An extended bolus has one row for "
    "the part that was given at once, and one or more for the later part.",
    frozenset({"BOLUS"}),
    [
        *_OF_EVENTS,
        Column(
            "end_utc",
            "time",
            "When it ended, in UTC; empty while it is running.",
            lambda it: _utc(it.completed),
        ),
        Column("insulin_u", "number", "The insulin delivered, in U.", lambda it: it.insulin),
        Column("requested_u", "number", "The insulin asked for, in U.", lambda it: it.requested),
        Column("carbs_g", "number", "The carbs entered, in g; 0 if none.", lambda it: it.carbs),
        Column(
            "description",
            "text",
            "The kind of bolus, in the pump's words.",
            lambda it: it.description,
        ),
        _AUTOMATIC,
        Column(
            "override",
            "true or false",
            "Whether the person chose another amount than the pump had calculated.",
            lambda it: it.override,
        ),
        Column(
            "declined_correction",
            "true or false",
            "Whether the person refused the correction that the pump recommended.",
            lambda it: it.declined_correction,
        ),
        Column(
            "incomplete",
            "text",
            "Why less was delivered than asked for; empty if all was.",
            lambda it: it.incomplete,
        ),
        Column(
            "glucose_mg_dl",
            "number",
            "The glucose that the amount was calculated with, in mg/dL.",
            lambda it: it.glucose,
        ),
        Column(
            "glucose_source",
            "text",
            "Where that glucose is from: `sensor`, `finger` or `unknown`.",
            lambda it: _source(it.glucose_kind),
        ),
        Column(
            "part",
            "text",
            "`now` or `later` for a part of an extended bolus; empty for any other bolus.",
            _part,
        ),
        Column(
            "total_requested_u",
            "number",
            "With `now`: the insulin asked for in both parts together, in U.",
            lambda it: it.planned.total if it.planned else None,
        ),
        Column(
            "now_percent",
            "number",
            "With `now`: how much of it was to be given at once, in percent.",
            lambda it: it.planned.now_percent if it.planned else None,
        ),
        Column(
            "later_duration_min",
            "number",
            "With `now`: over how long the rest was to be given, in minutes.",
            lambda it: _minutes(it.planned.duration) if it.planned else None,
        ),
    ],
)
EVENTS = Kind(
    "events",
    "event",
    "All else that happened: carbs without a bolus, sleep, exercise, suspensions, alarms, fills, "
    "site changes, sensor sessions, alerts.",
    frozenset({"BOLUS", "PUMP_EVENTS", "PUMP_EVENTS_BASAL_SUSPENSION", "CGM_ALERTS"}),
    [
        *_OF_EVENTS,
        Column(
            "event",
            "text",
            f"What it is: {', '.join(f'`{name}`' for name in EVENT_NAMES)}.",
            _event,
        ),
        Column(
            "end_utc",
            "time",
            "When a period such as sleep ended, in UTC; empty for what has no duration.",
            lambda it: _utc(it.ends) if isinstance(it, UserMode) else None,
        ),
        Column(
            "duration_min",
            "number",
            "How long a period lasted, in minutes.",
            lambda it: _minutes(it.duration) if isinstance(it, UserMode) else None,
        ),
        Column(
            "carbs_g",
            "number",
            "With `carbs`: the carbs, in g.",
            lambda it: it.carbs if isinstance(it, CarbEntry) else None,
        ),
        Column(
            "text",
            "text",
            "What it was, in words, such as the name of an alarm.",
            lambda it: getattr(it, "text", None),
        ),
        _AUTOMATIC,
        Column(
            "running",
            "true or false",
            "For a period: whether it may still go on, as far as the cloud says.",
            lambda it: it.running if isinstance(it, UserMode) else None,
        ),
    ],
)
READINGS = Kind(
    "readings",
    "reading",
    "Glucose readings, of the sensor and entered by the person.",
    frozenset({"CGM"}),
    [
        *_common("at", lambda it: it.key),
        Column("glucose_mg_dl", "number", "The glucose, in mg/dL.", lambda it: it.glucose),
        Column(
            "glucose_source",
            "text",
            "Where it is from: `sensor`, `finger` or `unknown`.",
            lambda it: _source(it.kind),
        ),
    ],
)
STATUS = Kind(
    "status",
    "state",
    "What the pump noted of its state at some times; a row has only what was noted then.",
    frozenset({"DEVICE_STATUS"}),
    [
        *_common("at", _status_key),
        Column(
            "battery_percent",
            "number",
            "How full the battery was, in percent.",
            lambda it: it.battery_percent,
        ),
        Column("battery_v", "number", "Its voltage, in V.", lambda it: it.battery_volts),
        Column("reservoir_u", "number", "The insulin left, in U.", lambda it: it.reservoir),
        Column("iob_u", "number", "The insulin on board, in U.", lambda it: it.iob),
        Column(
            "suspended",
            "true or false",
            "Whether delivery was suspended.",
            lambda it: it.suspended,
        ),
    ],
)
PROFILES = Kind(
    "profiles",
    "profile segment",
    "What the pump is set to: one row for each segment of each profile. The cloud knows only the "
    "settings of today; rows are added in the month in which other ones are read.",
    frozenset({"PROFILES"}),
    [
        *_common("at", lambda it: it.key),
        Column("profile", "text", "The name of the profile.", lambda it: it.profile.name),
        Column(
            "active",
            "true or false",
            "Whether the pump followed this profile.",
            lambda it: it.profile.active,
        ),
        Column(
            "from_pump_time",
            "text",
            "The time of the day from which the segment holds, such as `06:30`.",
            lambda it: f"{it.segment.start:%H:%M}",
        ),
        Column("rate_u_per_h", "number", "Basal, in U/h.", lambda it: it.segment.basal_rate),
        Column(
            "correction_mg_dl_per_u",
            "number",
            "By how many mg/dL 1 U lowers the glucose; empty if it is not set.",
            lambda it: it.segment.correction_factor or None,
        ),
        Column(
            "carb_ratio_g_per_u",
            "number",
            "How many g of carbs 1 U covers; empty if it is not set.",
            lambda it: it.segment.carb_ratio or None,
        ),
        Column(
            "target_mg_dl",
            "number",
            "The glucose aimed at, in mg/dL; empty if it is not set.",
            lambda it: it.segment.target or None,
        ),
        Column(
            "insulin_duration_min",
            "number",
            "How long insulin is taken to act, in minutes.",
            lambda it: _minutes(it.profile.insulin_duration),
        ),
        Column(
            "carbs_enabled",
            "true or false",
            "Whether the pump asks for carbs, and so uses the carb ratios.",
            lambda it: it.profile.carbs_enabled,
        ),
    ],
)
KINDS = (BASALS, BOLUSES, EVENTS, READINGS, STATUS, PROFILES)
