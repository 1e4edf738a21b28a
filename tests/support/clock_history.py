"""The life of a pump's clock in true time, and what its log says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tconnectsync.domain.clock import PumpClock
from tconnectsync.sources.tandemsource.clock.changes import ClockChange, LogPosition
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.clock.zonerules import zone_rules
from tconnectsync.sources.tandemsource.pumps.clockmessages import disagreement

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEW_YORK = ZoneInfo("America/New_York")
ZONES = [
    NEW_YORK,
    ZoneInfo("America/Los_Angeles"),
    ZoneInfo("America/St_Johns"),
    ZoneInfo("Europe/London"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Asia/Kolkata"),
    ZoneInfo("Australia/Sydney"),
    ZoneInfo("Australia/Lord_Howe"),
    ZoneInfo("Pacific/Auckland"),
    ZoneInfo("America/Santiago"),
]


@dataclass(frozen=True)
class Setting:
    """A person sets the pump's clock; ``at`` is UTC."""

    at: datetime
    offset: timedelta
    on_record: bool = True


@dataclass
class Life:
    """A pump's life in true time (naive UTC): its clock as it was set, and what it logged."""

    zone: ZoneInfo
    start: datetime
    end: datetime
    set_to: list[Setting]
    first_offset: timedelta | None = None
    every: timedelta = timedelta(hours=7)
    upload_after: timedelta | None = 4 * MINUTE
    newest: datetime | None = None
    truth: list[datetime] = field(init=False, default_factory=list)
    entries: list[tuple[LogPosition, datetime]] = field(init=False, default_factory=list)
    changes: list[ClockChange] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        offset = self.first_offset
        if offset is None:
            offset = zone_rules(self.zone).at(self.start)
        settings = sorted(self.set_to, key=lambda setting: setting.at)
        moments = [(at, None) for at in self._moments(settings)]
        both = [*moments, *((setting.at, setting) for setting in settings)]
        both.sort(key=lambda each: (each[0], each[1] is None))
        for number, (at, setting) in enumerate(both):
            position = 0, 100 + number
            if setting:
                if setting.on_record:
                    change = ClockChange(position, at + offset, at + setting.offset)
                    self.changes.append(change)
                offset = setting.offset
            self.entries.append((position, at + offset))
            self.truth.append(at)

    def _moments(self, settings: Sequence[Setting]) -> list[datetime]:
        count = (self.end - self.start) // self.every
        regular = [self.start + number * self.every for number in range(count + 1)]
        dense = [
            setting.at + minutes * MINUTE
            for setting in settings
            for minutes in range(-180, 181, 5)
            if minutes
        ]
        switches = [
            switch + minutes * MINUTE
            for switch in zone_rules(self.zone).switches
            for minutes in range(-90, 95, 5)
        ]
        return [at for at in {*regular, *dense, *switches} if self.start <= at < self.end]

    def clock(self) -> LogClock:
        uploaded = None
        if self.upload_after is not None:
            uploaded = (self.truth[-1] + self.upload_after).replace(tzinfo=UTC)
        newest = self.newest or max(wall for _, wall in self.entries[-20:])
        oldest = min(wall for _, wall in self.entries)
        return LogClock(
            PumpClock(self.zone), self.changes, newest=newest, uploaded=uploaded, oldest=oldest
        )

    def disagreement(self) -> str:
        """Return what people read about where pump, record and zone differ."""
        return disagreement(self.clock())

    def errors(self) -> list[timedelta]:
        """Return by how much each entry is put too late."""
        instants = self.clock().instants(self.entries)
        pairs = zip(instants, self.truth, strict=True)
        return [
            instant.replace(tzinfo=None) - (instant.utcoffset() or 0 * DAY) - at
            for instant, at in pairs
        ]


def right(life: Life) -> bool:
    return not any(life.errors())


def summer_time(zone: ZoneInfo, start: datetime, end: datetime, late: timedelta) -> list[Setting]:
    """Return how a person puts the clock over who is late by so much, each time."""
    rules = zone_rules(zone)
    return [
        Setting(switch + late, rules.offsets[index + 1])
        for index, switch in enumerate(rules.switches)
        if start < switch + late < end
    ]
