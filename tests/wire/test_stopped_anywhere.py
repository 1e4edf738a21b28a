"""A run that is stopped, wherever it is, says what brings the rest, if anything is left."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from tconnectsync.cli import main
from tconnectsync.clock import Clock
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.stop import AGAIN, Stop, Stopped
from tests.support.clocks import NO_WAITING
from tests.support.command import days
from tests.support.fast_process import soon
from tests.support.virtual_home import Home, Make, logging_restored, sparse
from tests.support.world import FIRST

PATIENCE = 120.0
"""Seconds until what should have happened counts as not happening."""
NEED_TIMER = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals come once here")


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
    home = make_home("tandem-source", sparse(live(FIRST, 4)))
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


@NEED_TIMER
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


@NEED_TIMER
def test_a_write_that_has_not_begun_when_the_signal_comes_is_not_begun() -> None:
    stop, begun = Stop(time.monotonic), []

    def write() -> None:
        with stop.listening(), stop.writing():
            os.kill(os.getpid(), signal.SIGTERM)
            stop.clock(NO_WAITING).go_on()
            begun.append("a request")

    with pytest.raises(Stopped):
        write()
    assert not begun


def is_handled() -> bool:
    """Return whether the handler of a signal set its timer; that of a test's limit is longer."""
    return 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= AGAIN


@NEED_TIMER
def test_after_a_signal_nothing_more_is_read_ahead(make_home: Make) -> None:
    home = make_home("tandem-source", sparse(live(FIRST, 15)))
    home.features = ("BASAL",)
    home.go_to(15)
    is_asked, is_told = threading.Event(), threading.Event()
    ahead: list[threading.Thread] = []

    def fail_after_the_signal(request: Request) -> Response | None:
        if request.query.get("startDate", "") <= str(FIRST + timedelta(days=5)):
            return None
        ahead.extend(each for each in threading.enumerate() if each.name == "read ahead")
        is_asked.set()
        assert is_told.wait(PATIENCE)
        return Response(b"", 503)

    def stop_in_the_middle_of_a_write(request: Request) -> Response | None:
        if request.method == "POST" and not is_told.is_set():
            assert is_asked.wait(PATIENCE)
            os.kill(os.getpid(), signal.SIGTERM)
            soon(is_handled)
            is_told.set()
        return None

    home.tandem.fault = fail_after_the_signal
    home.site.fault = stop_in_the_middle_of_a_write
    assert home.run(*days(FIRST, FIRST + timedelta(days=13))).code == 1
    for thread in ahead:
        thread.join(PATIENCE)
    assert len(ahead) == 1
