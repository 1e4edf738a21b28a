"""The program as a user runs it, in a process of its own, and what that takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

CHECKOUT = Path(__file__).parents[2]
PATIENCE = 300.0
"""Seconds after which a run is broken off."""
HELP_TRIES = 5
STATUS_TRIES = 20
SHOWN_IMPORTS = 12


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds on the clock, seconds of processor, and MB (10⁶) at its peak."""

    seconds: float
    processor: float
    megabytes: float


def run(arguments: Sequence[str], settings: Mapping[str, str] | None = None) -> Cost:
    """Run tconnectsync with nothing but these settings.

    Raises:
        RuntimeError: it did not end well.
    """
    command = [sys.executable, "-m", "tconnectsync", *arguments]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as output:
        environment = {"HOME": home, "PYTHONPATH": str(CHECKOUT), **(settings or {})}
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, cwd=home, stdout=output, stderr=subprocess.STDOUT
        )
        limit = Timer(PATIENCE, process.kill)
        limit.start()
        # The peak is never less than what this process held when it started the other one, so
        # nothing big may ever be kept here.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"tconnectsync failed:\n{output.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


def fastest_help() -> float:
    """Return the seconds that ``--help`` takes, the best of some tries."""
    return min(run(["--help"]).seconds for _ in range(HELP_TRIES))


def status_in_starts() -> float:
    """Return how many times as much processor ``--status`` takes as Python that does nothing."""
    nothing = [sys.executable, "-c", "pass"]
    status = [sys.executable, "-m", "tconnectsync", "--status"]
    least = [min(_processor(command) for _ in range(STATUS_TRIES)) for command in (nothing, status)]
    return least[1] / least[0]


def _processor(command: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "PYTHONPATH": str(CHECKOUT)}
        process = subprocess.Popen(
            command, env=environment, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def slowest_imports() -> list[str]:
    """Return Python's report of the imports that ``--help`` spends the most time in, by itself."""
    command = [sys.executable, "-X", "importtime", "-m", "tconnectsync", "--help"]
    report = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stderr.splitlines()
    return sorted(report[1:], key=_own_time, reverse=True)[:SHOWN_IMPORTS]


def _own_time(line: str) -> int:
    return int(line.removeprefix("import time:").split("|")[0])
