"""A run that is stopped, wherever it is, says what brings the rest, if anything is left."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from tconnectsync.cli import main
from tconnectsync.clock import Clock
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.stop import Stop, Stopped
from tests.support.command import days
from tests.support.virtual_home import Home, Make, logging_restored
from tests.support.world import FIRST


@dataclass
class Stopping:
    """A clock that stops the run when it is read for the ``last`` time."""

    clock: Clock
    last: int
    read: int = 0

    def now(self) -> datetime:
        self.read += 1
        if self.read == self.last:
            raise Stopped
        return self.clock.now()


def said_when_stopped(home: Home, last: int, *arguments: str) -> tuple[bool, str]:
    """Run until the clock is read so often; return whether that came, and what was said."""
    stopping = Stopping(home.clock, last)
    here = replace(home.host, clock=replace(home.clock, now=stopping.now))
    with logging_restored():
        code = main([*arguments, "--features", *home.features], here)
    assert code == (1 if stopping.read >= last else 0)
    return stopping.read >= last, home.capture.readouterr().err


@pytest.mark.parametrize("arguments", [("--days", "3"), days(FIRST, FIRST)], ids=["days", "range"])
def test_no_moment_lets_what_a_person_asked_for_be_forgotten(
    make_home: Make, arguments: tuple[str, ...]
) -> None:
    home = make_home("tandem-source", live(FIRST, 4))
    home.features = ("BASAL", "BOLUS")
    home.go_to(3.5)
    assert isinstance(home.tandem, SimulatedTandemSource)
    home.tandem.login.now = lambda: home.now
    last, is_stopped, said = 0, True, set()
    while is_stopped:
        last += 1
        for each in (home.folder / ".cache" / "tconnectsync").glob("*.unfinished"):
            each.unlink()
        is_stopped, errors = said_when_stopped(home, last, *arguments)
        if "Nothing is lost" in errors:
            assert home.run(*arguments).counts[:2] == (0, 0), last
        elif is_stopped:
            said |= {text for text in ("same command again", "--start-date") if text in errors}
            assert "same command again" in errors or "--start-date" in errors, last
    assert said == {"same command again", "--start-date"}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals come once here")
def test_a_request_to_end_that_python_ignores_is_made_again() -> None:
    stop = Stop(time.monotonic)

    def go_on_nonetheless() -> None:
        with stop.listening():
            with suppress(Stopped):  # As while an object is tidied up.
                os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(600):
                time.sleep(0.1)

    with pytest.raises(Stopped):
        go_on_nonetheless()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
