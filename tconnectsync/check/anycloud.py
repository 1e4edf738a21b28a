"""The steps of a check that ask a cloud through its adapter alone, as they suit every cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from tconnectsync.check.results import CheckRequest, Step, age_in_words, in_words
from tconnectsync.clouds import cloud_named
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Event, Reading
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sync.run.window import windows

ALL_THE_TIME = ("basals", "readings")
"""What comes all the time, so that a gap in it means something."""

AnyReader = TypeVar("AnyReader", bound=Reader)


def steps(asked: CheckRequest) -> list[Step]:
    """Return the steps: the pumps of the account, and what happened in the range."""
    cloud = cloud_named(asked.settings.source.name)
    source = cloud.open_source(
        asked.api, asked.settings, asked.pump_clock, asked.clock, needs_readings=True
    )
    readers = [(window, source.read(window)) for window in windows_of(asked, source)]

    def pumps() -> str:
        source.force_login()
        found = [span.name for span in source.pumps(asked.time_range) if span.is_read]
        return f"Read: {', '.join(found)}." if found else f"{cloud.title} answers."

    def data() -> str:
        counts = count(
            asked,
            readers,
            {
                "basals": lambda reader: reader.basals(),
                "boluses": lambda reader: reader.boluses(),
                "readings": lambda reader: reader.readings(),
            },
        )
        asked.findings.asked_for_events = True
        remarks = [remark for _, reader in readers for remark in reader.remarks]
        said = " ".join([counts, *dict.fromkeys(remark.text for remark in remarks)])
        if any(remark.missing for remark in remarks):
            raise TconnectsyncError(said)
        return said

    return [("Account and pumps", pumps), ("Pump's data", data)]


def windows_of(asked: CheckRequest, source: Source) -> list[TimeRange]:
    """Return the windows in which a sync asks for the range."""
    time_range = asked.time_range
    if time_range.end >= asked.clock.now():
        # In a wrong zone, it may already be tomorrow on the pump.
        time_range = TimeRange(time_range.start, time_range.end + timedelta(days=1))
    return list(windows(time_range, source.window_days, asked.pump_clock))


def count(
    asked: CheckRequest,
    readers: Sequence[tuple[TimeRange, AnyReader]],
    parts: Mapping[str, Callable[[AnyReader], Iterable[Event | Reading]]],
) -> str:
    """Return how many events of some kinds there are, and note how far they reach.

    Args:
        asked: knows the time, and where to note it.
        readers: each with its window, of which the events are counted that begin in it.
        parts: by the name of a kind, what reads its events.

    Raises:
        TconnectsyncError: nothing that came can be understood, or it cannot be asked for.
    """
    before = sum((reader.skipped for _, reader in readers), Counter[str]())
    found = {
        name: [
            event
            for window, reader in readers
            for event in read(reader)
            if window.overlaps(event.begins, event.begins)
        ]
        for name, read in parts.items()
    }
    skipped = sum((reader.skipped for _, reader in readers), Counter[str]()) - before
    ends = [event.ends for events in found.values() for event in events]
    not_understood = in_words(skipped, nothing_found=not ends)
    findings, newest = asked.findings, " (nothing was uploaded for these days)"
    if ends:
        findings.gapless |= any(found.get(name) for name in ALL_THE_TIME)
        findings.newest = max([*ends, *filter(None, [findings.newest])])
        age = age_in_words(max(ends), asked.clock.now())
        newest = f", the newest {age} ({asked.pump_clock.here(max(ends)):%Y-%m-%d %H:%M})"
    counts = ", ".join(f"{len(events)} {name}" for name, events in found.items())
    return f"{counts}{newest}.{not_understood}"
