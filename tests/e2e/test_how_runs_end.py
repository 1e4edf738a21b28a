"""Runs that are asked to end, or whose output, disk or folder is taken away, as processes."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import (
    COMMAND,
    NEW_YORK,
    SECRET,
    Computer,
    computer,
    days,
    tandem_source,
)
from tests.support.fast_process import HASTE, HASTY, OFTEN, soon
from tests.support.forked_command import TIME_LIMIT

TODAY = datetime.now(ZoneInfo(NEW_YORK)).date()
DAY = timedelta(days=1)
LENGTH = 22
FIRST = TODAY - (LENGTH - 1) * DAY
TWO_WEEKS_AGO = TODAY - 14 * DAY
FEATURES = ("--features", "BASAL", "BOLUS")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
EVERY_SIGNAL = pytest.mark.parametrize("number", SIGNALS, ids=["Ctrl-C", "TERM", "HUP"])


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(FIRST, LENGTH)


@pytest.fixture
def tandem(life: PumpHistory) -> Iterator[SimulatedTandemSource]:
    with tandem_source(life) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tandem, site.url, SECRET)


@dataclass
class Started:
    """A command that runs beside a test, and what it has said so far."""

    process: subprocess.Popen[str]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def end(self, number: int) -> int:
        """Send a signal; return the exit code that follows it soon."""
        self.process.send_signal(number)
        return self.process.wait(timeout=300)


def reset_signals() -> None:
    """Be as a shell in front of a person, however the tests were started."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else _DEFAULT_INT)


_DEFAULT_INT = signal.default_int_handler


@contextmanager
def started(home: Computer, *arguments: str, nohup: bool = False) -> Iterator[Started]:
    """Have the command run beside the block."""

    def prepare() -> None:
        reset_signals()
        if nohup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    log = home.folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=home.folder,
            env=home.environment,
            stdout=output,
            stderr=output,
            text=True,
            preexec_fn=prepare,
        )
        try:
            yield Started(process, log)
        finally:
            process.kill()
            process.wait()


def shell(
    home: Computer, line: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell, in which ``$T`` stands for the command."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder or home.folder,
        env={**home.environment, "T": shlex.join(COMMAND)},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )


def hang_at(site: SmallNightscout, number: int) -> list[Request]:
    """Let the site never answer from its ``number``-th write on; return its writes so far."""
    writes: list[Request] = []

    def slow(request: Request) -> Response | None:
        if request.method == "GET":
            return None
        writes.append(request)
        if len(writes) >= number and site.fault:
            time.sleep(3)
        return None

    site.fault = slow
    return writes


def everything(home: Computer, site: SmallNightscout) -> int:
    """Return how many treatments of two weeks are missing in Nightscout."""
    site.fault = None
    ran = home.run(*days(TWO_WEEKS_AGO, TODAY), *FEATURES, "--pretend")
    assert ran.code == 0, ran.errors
    return ran.counts.created


def rest_of(text: str) -> list[str]:
    """Return the commands for the rest that a run has said."""
    _, _, after = text.partition("To sync the rest, run:\n")
    return [line for line in after.splitlines() if "--start-date" in line]


@EVERY_SIGNAL
def test_a_range_that_is_broken_off_says_what_brings_the_rest(
    home: Computer, site: SmallNightscout, tmp_path: Path, number: int
) -> None:
    writes = hang_at(site, 28)
    with started(home, *days(TWO_WEEKS_AGO, TODAY - DAY), *FEATURES) as run:
        soon(lambda: len(writes) >= 28)
        assert run.end(number) == 1
        said = run.said()
    assert "Traceback" not in said
    assert "Going back" not in said
    assert "next run continues" not in said
    (rest,) = rest_of(said)
    # From the last finished window on, not all of it.
    (first,) = re.findall(r"--start-date (\S+)", rest)
    assert TWO_WEEKS_AGO < date.fromisoformat(first) < TODAY - 5 * DAY
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    site.fault = None
    assert shell(home, rest, elsewhere).returncode == 0
    assert home.run(*days(TWO_WEEKS_AGO, TODAY), *FEATURES).code == 0
    assert everything(home, site) == 0


def test_more_days_than_a_run_may_catch_up_are_named_until_they_are_there(
    home: Computer, site: SmallNightscout
) -> None:
    writes = hang_at(site, 2)
    with started(home, "--days", "20", *FEATURES) as run:
        soon(lambda: len(writes) >= 2)
        assert run.end(signal.SIGTERM) == 1
        assert rest_of(run.said())
    site.fault = None
    for _ in range(2):
        following = home.run(*FEATURES, command=COMMAND)
        assert following.code == 1
        assert "are not in Nightscout" in following.errors
    (command,) = re.findall(r"To sync them, run: (.*)", following.errors)
    assert shell(home, command).returncode == 0
    assert home.run(*FEATURES).code == 0


def test_a_plain_run_that_is_broken_off_is_continued_by_the_next(
    home: Computer, site: SmallNightscout
) -> None:
    writes = hang_at(site, 1)
    with started(home, *FEATURES) as run:
        soon(lambda: writes)
        assert run.end(signal.SIGHUP) == 1
        assert "the next run continues from here" in run.said()
    site.fault = None
    assert home.run(*FEATURES).code == 0


def test_a_run_that_has_not_begun_says_so(home: Computer, tandem: SimulatedTandemSource) -> None:
    asked: list[Request] = []

    def hang(request: Request) -> Response | None:
        asked.append(request)
        return Response(b"{}", delay=60)

    tandem.fault = hang
    with started(home, *days(FIRST, TODAY), *FEATURES) as run:
        soon(lambda: asked)
        assert run.end(signal.SIGTERM) == 1
        assert rest_of(run.said()) != []
    # It is in the backlog although nothing was read.
    tandem.fault = None
    following = home.run(*FEATURES)
    assert following.code == 1
    assert f"from {FIRST}" in following.errors


def test_a_second_signal_does_not_wait_for_a_write(home: Computer, site: SmallNightscout) -> None:
    writes = hang_at(site, 1)
    with started(home, *FEATURES) as run:
        soon(lambda: writes)
        run.process.send_signal(signal.SIGTERM)
        assert run.end(signal.SIGTERM) == 1
        assert "Traceback" not in run.said()


def test_what_nohup_has_started_outlives_its_window(home: Computer, site: SmallNightscout) -> None:
    writes = hang_at(site, 1)
    with started(home, *FEATURES, nohup=True) as run:
        soon(lambda: writes)
        run.process.send_signal(signal.SIGHUP)
        site.fault = None
        assert run.process.wait(timeout=300) == 0


def test_the_loop_ends_with_its_window(home: Computer, site: SmallNightscout) -> None:
    with started(home, "--auto-update", *FEATURES) as run:
        soon(lambda: "Next look at" in run.said())
        assert run.end(signal.SIGHUP) == 0
        assert "the next run continues from here" in run.said()


@pytest.mark.parametrize("delay", [0.02, 0.05, 0.08, 0.11, 0.15, 0.2])
def test_ctrl_c_at_the_very_beginning_shows_no_traceback(home: Computer, delay: float) -> None:
    with started(home, "--demo") as run:
        time.sleep(delay)
        run.end(signal.SIGINT)
        said = run.said()
    # Before our first line, Python itself says what it wants.
    assert "tconnectsync/cli/program" not in said, said
    assert "should not have happened" not in said, said


@pytest.mark.parametrize(
    "arguments",
    [
        ("--pretend", "--days", "14", *FEATURES),
        ("--check-login",),
        ("--demo",),
        ("--help",),
    ],
)
def test_a_reader_that_has_seen_enough_ends_what_only_shows(
    home: Computer, arguments: Sequence[str]
) -> None:
    ran = shell(home, f"$T {shlex.join(arguments)} 2>errors | head -n 1")
    errors = (home.folder / "errors").read_text()
    assert ran.stdout
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert "should not have happened" not in errors


@pytest.mark.parametrize(
    "where",
    [
        "> /dev/full",
        "2> /dev/full",
        "> /dev/full 2>&1",
        ">&-",
        "2>&-",
        ">&- 2>&- <&-",
        "| true",
        "2>&1 | true",
    ],
)
def test_an_output_that_cannot_be_written_to_ends_no_sync(
    home: Computer, site: SmallNightscout, where: str
) -> None:
    ran = shell(home, f"$T {shlex.join(FEATURES)} {where}; exit ${{PIPESTATUS[0]}}")
    assert ran.returncode == 0, ran.stderr
    assert len(site.treatments) > 50
    for text in (ran.stdout, ran.stderr):
        assert "Traceback" not in text
        assert "Exception ignored" not in text
        assert "Logging error" not in text


def test_a_folder_that_was_removed_ends_no_sync(home: Computer, site: SmallNightscout) -> None:
    line = f"mkdir gone && cd gone && rmdir ../gone && $T {shlex.join(FEATURES)}"
    ran = shell(home, line)
    assert ran.returncode == 0, ran.stderr
    assert site.treatments


@pytest.mark.parametrize("output", ["> /dev/full 2>&1", "2>&1 | true"])
def test_the_loop_outlives_a_full_disk_and_a_closed_pipe(
    home: Computer, site: SmallNightscout, tandem: SimulatedTandemSource, output: str
) -> None:
    command = [sys.executable, "-c", HASTY, str(HASTE), "--auto-update", "-v", *FEATURES]
    process = subprocess.Popen(
        ["bash", "-c", f"{shlex.join(command)} {output}; true"],
        cwd=home.folder,
        env={**home.environment, **OFTEN},
        start_new_session=True,
    )

    def polls() -> int:
        return sum("bff/pumper" in entry.request.path for entry in tandem.log)

    try:
        soon(lambda: len(site.treatments) > 50)
        before = polls()
        soon(lambda: polls() > before + 2)
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=300)


@pytest.mark.parametrize("option", ["--days=14", "--auto-update"])
def test_a_wrong_serial_number_costs_few_requests_and_ends_a_run(
    home: Computer, tandem: SimulatedTandemSource, option: str
) -> None:
    features = ("--features", "BASAL", "BOLUS", "PUMP_EVENTS")
    ran = home.run(option, *features, PUMP_SERIAL_NUMBER="12345678")
    assert ran.code == 2
    assert ran.errors.count("no pump with the serial number in PUMP_SERIAL_NUMBER") == 1
    assert "To repeat" not in ran.errors
    assert sum("pump-logs" in entry.request.path for entry in tandem.log) == 0
    assert len(tandem.log) < 10


def test_a_loop_soon_finds_the_site_again_after_another_server_answered(
    home: Computer, site: SmallNightscout
) -> None:
    """NS_URL is the address of the interface, and at first something else answers in JSON."""
    others: list[Request] = []

    def another(request: Request) -> Response:
        others.append(request)
        return Response(b'{"status": "starting", "version": "1.0"}')

    site.fault = another
    command = [sys.executable, "-c", HASTY, str(HASTE), "--auto-update", *FEATURES]
    with (home.folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=home.folder,
            env={**home.environment, **OFTEN, "NS_URL": f"{site.url}/api/v1"},
            stdout=log,
            stderr=log,
        )
        try:
            soon(lambda: len(others) > 4)
            site.fault = None
            soon(lambda: len(site.treatments) > 50)
        finally:
            process.terminate()
            process.wait(timeout=300)


def test_what_is_no_nightscout_is_not_called_one(home: Computer, site: SmallNightscout) -> None:
    site.fault = lambda request: Response(b'{"status": "ok", "version": "1.0"}')
    ran = home.run("--check-login", *FEATURES)
    assert ran.code == 1
    (line,) = [line for line in ran.output.splitlines() if line.startswith("Nightscout:")]
    assert "failed. What answers at NS_URL is not Nightscout" in line


def test_a_question_mark_in_the_address_is_the_same_mistake_for_sync_and_check(
    home: Computer, site: SmallNightscout
) -> None:
    for option in ("--days=1", "--check-login"):
        ran = home.run(option, *FEATURES, NS_URL=f"{site.url}/?token=abc")
        assert ran.code == 2
        assert "NS_URL" in ran.errors + ran.output


def test_a_range_waits_for_its_turn_however_it_was_given(
    home: Computer, site: SmallNightscout
) -> None:
    writes = hang_at(site, 1)
    with started(home, *FEATURES) as run:
        soon(lambda: writes)
        other = subprocess.Popen(
            [*COMMAND, "--days", "3", *FEATURES],
            cwd=home.folder,
            env=home.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(1)
        site.fault = None
        assert run.process.wait(timeout=300) == 0
        output, _ = other.communicate(timeout=300)
    assert other.returncode == 0, output
    assert "Waiting until it has ended" in output
    days_there = {document["created_at"][:10] for document in site.treatments}
    assert str(TODAY - 2 * DAY) in days_there


def test_settings_of_a_folder_are_found_from_another_one(
    home: Computer, site: SmallNightscout, tmp_path: Path
) -> None:
    folder = home.folder / "my pump"
    folder.mkdir()
    lines = [f"{name}='{value}'" for name, value in home.variables.items()]
    (folder / ".env").write_text("\n".join(lines))
    (folder / ".env").chmod(0o600)
    bare = Computer(folder, {})
    site.fault = lambda request: Response(b"", 403) if request.method == "POST" else None
    ran = bare.run(*days(TODAY - 3 * DAY, TODAY - 2 * DAY), "--features", "BOLUS", command=COMMAND)
    (command,) = re.findall(r"To repeat what failed: (.*)", ran.errors)
    assert command.startswith(f"cd {shlex.quote(str(folder))} && ")
    site.fault = None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert shell(bare, command, elsewhere).returncode == 0
    assert site.treatments


def test_a_run_that_found_nothing_left_undone_does_not_speak_of_earlier_runs(
    home: Computer, tandem: SimulatedTandemSource
) -> None:
    tandem.uploaded_until = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
    for _ in range(2):
        ran = home.run(*FEATURES)
        assert ran.code == 0, ran.errors
        assert "Going back" not in ran.errors
