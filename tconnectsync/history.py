"""Reads what a pump did over a range of any length, window by window; no Nightscout is needed.

The report, the export and the Python interface are built on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import DeviceStatus, Event, Reading
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.base import PumpSpan
from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.run.collect import collect
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.parts import ReadingParts
from tconnectsync.sync.run.window import windows


@dataclass(frozen=True, slots=True)
class Window:
    """What a pump did in one window of a range."""

    range: TimeRange
    events: Sequence[Event]
    """In order of their beginnings. In all windows together each event stands once, in the window
    in which it begins; the first window also has those that began before it and reach into it."""
    readings: Sequence[Reading]
    """The glucose readings in time order, each once."""
    status: DeviceStatus | None
    """The pump's state at the end of the window, as far as known."""


@dataclass(frozen=True)
class History(ReadingParts):
    """The story of the pumps of one account, or of one saved log."""

    lacking: frozenset[str] = frozenset()
    """The features that the cloud has no data for."""
    outcome: Outcome = field(default_factory=Outcome, compare=False)
    """What of all that was asked for could not be read or understood."""

    @property
    def features(self) -> list[str]:
        """The features of which the events are read."""
        return [
            name for name, feature in FEATURES.items() if feature.parts and name not in self.lacking
        ]

    def pumps(self, time_range: TimeRange) -> Sequence[PumpSpan]:
        """Return the pumps of the account.

        Raises:
            PumpChoiceError: a person has to say first which pump is meant.
            TconnectsyncError: the cloud cannot be asked.
        """
        return self.source.pumps(time_range)

    def settings(self) -> PumpSettings | None:
        """Return what the pump is set to now; ``None``, with a note in the outcome, if unknown."""
        try:
            return self.source.pump_settings()
        except TconnectsyncError as error:
            if error.fatal:
                raise
            now = self.now()
            self.outcome.failed(TimeRange(now, now), ["PROFILES"], error)
            return None

    def windows(self, time_range: TimeRange) -> Iterator[Window]:
        """Yield what happened, window by window in time order; one is kept in memory at a time.

        What cannot be read is noted in :attr:`outcome`, and the rest goes on.

        Raises:
            TconnectsyncError: going on makes no sense.
        """
        for window in windows(time_range, self.source.window_days, self.clock):
            begins = time_range.start == window.start
            reader = self.source.read(window)
            found = collect(self, reader, window, self.features, self.outcome)
            readings = found.pop("readings", [])
            events = [
                event
                for part in found.values()
                for event in part
                if window.start <= event.begins < window.end
                or (begins and event.begins < window.start < event.ends)
            ]
            yield Window(
                window,
                sorted(events, key=attrgetter("begins")),
                sorted(
                    (it for it in readings if window.start <= it.at < window.end),
                    key=attrgetter("at"),
                ),
                reader.device_status(),
            )
