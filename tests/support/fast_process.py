"""The command as a process whose clock runs fast, and what is asked of --auto-update so run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tests.support.command import SERIAL, Cloud, Computer

HASTY = """
import dataclasses, http.client, signal, sys, threading, time
from tconnectsync.app import this_computer
from tconnectsync.clock import Clock
haste = float(sys.argv.pop(1))
asked_to_end = []
this_thread = threading.local()

def look():
    this_thread.may_begin = not asked_to_end

def refuse_after_signal(what, do):
    def watched(*args, **options):
        if asked_to_end and not getattr(this_thread, "may_begin", False):
            sys.stderr.write(f"{what} after the signal\\n")
        this_thread.may_begin = False
        return do(*args, **options)
    return watched

def listen(number, handler):
    def heard(*args):
        try:
            handler(*args)
        finally:
            if number != signal.SIGALRM:
                asked_to_end.append(number)
    return set_handler(number, heard if callable(handler) else handler)

set_handler, signal.signal = signal.signal, listen
http.client.HTTPConnection.putrequest = refuse_after_signal(
    "A request", http.client.HTTPConnection.putrequest
)
clock = Clock(
    sleep=refuse_after_signal("A wait", lambda seconds: time.sleep(seconds / haste)),
    monotonic=lambda: time.monotonic() * haste,
    go_on=look,
)
from tconnectsync.cli import main
sys.exit(main(host=dataclasses.replace(this_computer(), clock=clock)))
"""
"""Writes to the log what begins after a signal to end, and must not.

A request, or a wait, begins where its thread looks whether it may: a signal that comes between that
and the first byte finds it already begun.
"""

HASTE = 50.0
"""How many times as fast as ours the clock of a :func:`running` command usually is."""

OFTEN = {
    "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "10",
    "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "10",
}


@contextmanager
def running(
    home: Computer, *options: str, haste: float = HASTE, **changes: str
) -> Iterator[subprocess.Popen[str]]:
    """Have --auto-update run beside the block, on a fast clock and polling often."""
    with (home.folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", HASTY, str(haste), "--auto-update", *options],
            cwd=home.folder,
            # The serial number with its leading zeros, as users are asked to give it.
            env={**home.environment, "PUMP_SERIAL_NUMBER": f"00{SERIAL}", **OFTEN, **changes},
            stdout=log,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def said(home: Computer) -> str:
    """Return what the newest :func:`running` has said so far."""
    return (home.folder / "log").read_text()


def is_idle(tandem: Cloud) -> bool:
    """Return whether everything has been read, and the loop only asks for what is new."""
    reading, polling = "pump-logs", "bff/pumper"
    if isinstance(tandem, SimulatedTConnect):
        reading, polling = "therapytimeline", "lasteventuploaded"
    paths = [entry.request.path for entry in tandem.log]
    return any(reading in path for path in paths) and all(polling in path for path in paths[-2:])


def soon(condition: Callable[[], object]) -> None:
    """Wait until something has come true; what does not within five minutes never will."""
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "It has not happened in time."
        time.sleep(0.02)


def ends_when_asked(home: Computer, process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a :func:`running` command; insist that it ends at once, and well.

    At once: it begins nothing any more. What it waits for must be what never comes, so that it ends
    only if it does not wait.
    """
    process.send_signal(number)
    assert process.wait(timeout=300) == 0
    assert "after the signal" not in said(home)
