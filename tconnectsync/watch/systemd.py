"""Reports to systemd how a ``Type=notify`` service is doing and that it lives (``WatchdogSec``)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from math import inf

from tconnectsync.clock import Clock

BEATS = 3
"""How often a sign of life is given in the time that systemd waits for one."""


class Systemd:
    """The manager of the service; elsewhere everything is left out.

    Args:
        environment: the variables that are set.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        asks = bool(self._address) and is_ours and microseconds.isdecimal()
        self.interval = int(microseconds) / 1e6 / BEATS if asks and int(microseconds) else inf
        """Seconds between two signs of life; infinite if none is asked for."""

    def notify(self, *lines: str) -> None:
        """Send lines such as ``READY=1``; one that cannot be sent is left out."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        # A name that begins so is in no folder.
        name = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        plain = [line.replace("\n", " ") for line in lines]
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(1)
            sender.sendto("\n".join(plain).encode(), name)

    def watched(self, clock: Clock) -> Clock:
        """Return a clock that gives signs of life whenever the program waits, or looks at it.

        That happens with every part of an answer, so that a long sync is no standstill; a wait is
        cut into pieces.
        """
        if self.interval == inf:
            return clock
        last = -inf

        def monotonic() -> float:
            nonlocal last
            now = clock.monotonic()
            if now - last >= self.interval:
                last = now
                self.notify("WATCHDOG=1")
            return now

        def sleep(seconds: float) -> None:
            end = monotonic() + seconds
            while (left := end - monotonic()) > 0:
                clock.sleep(min(left, self.interval))

        return replace(clock, monotonic=monotonic, sleep=sleep)
