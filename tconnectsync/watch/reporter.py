"""Reports each run record: to a monitor, people, Prometheus and systemd."""

from __future__ import annotations

import logging
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.clock import Clock
from tconnectsync.config.settings import WatchSettings
from tconnectsync.state.files import own_file, write_atomically
from tconnectsync.state.record import RunRecord, State
from tconnectsync.watch.systemd import Systemd
from tconnectsync.watch.words import meaning

if TYPE_CHECKING:
    from tconnectsync.sync.loop.failures import ThrottledLog
    from tconnectsync.watch.ping import Pings

METRICS_MODE = 0o644
"""Prometheus' exporter is another user; the file says nothing about treatments."""


class RunReporter:
    """Reports one person's runs, as the settings say; nothing that fails here ends a run.

    Args:
        settings: where to report.
        clock: measures.
        zone: that of times in messages.
        systemd: the manager of the service, if it is one.
        person: the name of the person's settings; empty where there is one only.
    """

    def __init__(
        self,
        settings: WatchSettings,
        clock: Clock,
        zone: tzinfo,
        systemd: Systemd,
        person: str = "",
    ) -> None:
        self._settings = settings
        self._systemd = systemd
        self._clock = clock
        self._zone = zone
        self._person = person
        self._pings: Pings | None = None
        if settings.ping_url:
            from tconnectsync.watch.ping import Pings

            self._pings = Pings(settings.ping_url, clock)

    def waiting(self) -> None:
        """Report to systemd that the service runs, although a person has to correct something."""
        self._systemd.notify("READY=1")

    def started(self) -> None:
        """Report to systemd and the monitor that a run begins, without waiting for it."""
        self._systemd.notify("READY=1")
        if self._pings:
            self._pings.start()

    def recorded(self, record: RunRecord) -> None:
        """Write the metrics, and report the record to systemd and the monitor."""
        name = f"{record.person}: " if record.person else ""
        self._systemd.notify(f"STATUS={name}{meaning(record.state)}")
        if self._settings.notify_urls:
            from tconnectsync.watch.messages import why_not_sent

            self._warn(why_not_sent(self._settings.notify_urls))
        if self._settings.metrics_file:
            self._write_metrics(record)
        if self._pings:
            self._warn(self._pings.result(record))

    def notified(self, record: RunRecord, *, ended: bool) -> State | None:
        """Send a message if one is due; return the state of the last message."""
        settings, now = self._settings, self._clock.now()
        if not settings.notify_urls:
            return record.notified
        from tconnectsync.watch.messages import is_due, send, text_of

        after = settings.notify_after_minutes
        if not is_due(record, now, after, ended=ended):
            return record.notified
        problem = send(settings.notify_urls, *text_of(record, now, self._zone))
        self._warn(problem)
        return record.notified if problem else record.state

    def _write_metrics(self, record: RunRecord) -> None:
        path = own_file(Path(self._settings.metrics_file), self._person)
        if not path.parent.exists():
            # A new folder would be one that Prometheus does not read.
            self._warn(f"METRICS_FILE cannot be written: there is no folder {path.parent}.")
            return
        from tconnectsync.watch.metrics import metrics

        try:
            write_atomically(path, metrics(record), METRICS_MODE)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no name of a file"
            self._warn(f"METRICS_FILE cannot be written: {reason}.")

    @cached_property
    def _lines(self) -> ThrottledLog:
        from tconnectsync.sync.loop.failures import ThrottledLog

        return ThrottledLog()

    def _warn(self, problem: str) -> None:
        if problem:
            self._lines.log(logging.WARNING, problem)
