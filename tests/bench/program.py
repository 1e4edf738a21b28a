"""The program as a user runs it, in a process of its own, and what that takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

CHECKOUT = Path(__file__).parents[2]
PATIENCE = 300.0
"""Seconds after which a run is broken off."""
YARDSTICK_TRIES = 3
SHOWN_IMPORTS = 12
LAUNCHER = """
import os, sys, time
began = time.perf_counter()
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
seconds = time.perf_counter() - began
print("", f"{seconds} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}", sep="\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds on the clock, seconds of processor, and MB (10⁶) at its peak."""

    seconds: float
    processor: float
    megabytes: float


def run(arguments: Sequence[str], settings: Mapping[str, str] | None = None) -> Cost:
    """Run tconnectsync with nothing but these settings; ``HOME`` may be one of them.

    Raises:
        RuntimeError: it did not end well.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, **(settings or {})}
        return _run([sys.executable, "-m", "tconnectsync", *arguments], environment)


def yardstick(code: str) -> float:
    """Return the seconds of processor that Python takes for some code, the best of some tries."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-c", code]
        return min(_run(command, {"HOME": home}).processor for _ in range(YARDSTICK_TRIES))


def _run(command: Sequence[str], settings: Mapping[str, str]) -> Cost:
    with tempfile.TemporaryFile() as output:
        environment = {"PYTHONPATH": str(CHECKOUT), **settings}
        # The peak of a process is never less than that of the one which started it: so a small one.
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", LAUNCHER, *command],
            env=environment,
            cwd=settings["HOME"],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        limit = Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        process.wait()
        limit.cancel()
        output.seek(0)
        text = output.read().decode()
    # --status says with 1 that there has been no run yet.
    if process.returncode and "--status" not in command:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{text}")
    seconds, processor, peak = map(float, text.splitlines()[-1].split())
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, processor, peak * unit / 1e6)


def slowest_imports() -> list[str]:
    """Return Python's report of the imports that ``--help`` spends the most time in, by itself."""
    command = [sys.executable, "-X", "importtime", "-m", "tconnectsync", "--help"]
    report = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stderr.splitlines()
    return sorted(report[1:], key=_own_time, reverse=True)[:SHOWN_IMPORTS]


def _own_time(line: str) -> int:
    return int(line.removeprefix("import time:").split("|")[0])
