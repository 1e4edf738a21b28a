"""The command as a user runs it: a process of its own, with nothing of the tester's settings.

The process is a copy of one that has loaded the program, unless a test asks for another command.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tconnectsync.clouds import TANDEM_SOURCE, TCONNECT
from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tests.support.forked_command import CHECKOUT, TIME_LIMIT, run_forked

EMAIL = "robin.sample@example.org"
PASSWORD = 'correct "horse" & 100%'
SERIAL = "90210042"
SECRET = "a secret of good length"
NEW_YORK = "America/New_York"

AS_MODULE = (sys.executable, "-m", "tconnectsync")
AS_FILE = (sys.executable, str(CHECKOUT / "main.py"))
SCRIPT = shutil.which("tconnectsync", path=str(Path(sys.executable).parent))
COMMAND = (SCRIPT,) if SCRIPT else AS_MODULE
"""The installed command, or the module where the tests run on a checkout alone."""

HOST_ZONE = {"TZ": os.environ["E2E_HOST_TZ"]} if "E2E_HOST_TZ" in os.environ else {}
"""Sets the time zone of the computer, which must make no difference, if one is given."""

ALL_FEATURES = ("--features", "BASAL", "BOLUS", "PUMP_EVENTS")

_RESULT = re.compile(r"(?:^|INFO +)(N(?:ew: |othing (?:new|was written)\.).*)$", re.MULTILINE)
"""What a run says of all that it wrote, or would have; the last such line counts."""
_SENTENCE = re.compile(r"(New|Changed|Removed|Unchanged): (.+?)\.(?= |$)")
_REPEAT = re.compile(r"^To repeat what failed: tconnectsync (.+)$", re.MULTILINE)


class Counts(NamedTuple):
    """What a run did, in treatments, as its result says."""

    created: int
    updated: int
    unchanged: int


def counts_in(result: str) -> Counts:
    """Return the numbers of documents that the words of a result name."""
    found = dict.fromkeys(("New", "Changed", "Removed", "Unchanged"), 0)
    for name, text in _SENTENCE.findall(re.sub(r" \([^)]*\)", "", result)):
        found[name] = sum(map(int, re.findall(r"\d+", text)))
    return Counts(found["New"], found["Changed"] + found["Removed"], found["Unchanged"])


@dataclass(frozen=True)
class Finished:
    """A run that is over."""

    code: int
    output: str
    errors: str

    @property
    def counts(self) -> Counts:
        """What the run says it did."""
        found = _RESULT.findall(self.output) or _RESULT.findall(self.errors)
        assert found, f"The run did not say what it did:\n{self.output}{self.errors}"
        return counts_in(found[-1])

    @property
    def repeats(self) -> list[list[str]]:
        """The arguments of the commands that the run says will repeat what failed."""
        return [shlex.split(command) for command in _REPEAT.findall(self.errors)]


@dataclass(frozen=True)
class Computer:
    """Where a user runs the command.

    ``folder`` is the working directory and the home; ``variables`` are all that is set besides
    where programs are found. Its time zone is that of the tester's computer unless ``E2E_HOST_TZ``
    names another. ``moment``, ``haste`` and ``patch`` are those of :func:`run_forked`.
    """

    folder: Path
    variables: Mapping[str, str]
    moment: datetime | None = None
    haste: float = 0
    patch: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """All that a process here finds set."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "PYTHONPATH": str(CHECKOUT),
            **HOST_ZONE,
            **self.variables,
        }

    def without_nightscout(self) -> Computer:
        """Return the same computer, where nothing of a Nightscout is set."""
        kept = {name: it for name, it in self.variables.items() if not name.startswith("NS_")}
        return replace(self, variables=kept)

    def run(
        self,
        *arguments: str,
        command: Sequence[str] = (),
        **changes: str | None,
    ) -> Finished:
        """Run the command; ``changes`` are variables set otherwise, or unset, this time."""
        changed = {**self.environment, **changes}
        environment = {name: value for name, value in changed.items() if value is not None}
        if not command:
            return Finished(
                *run_forked(
                    self.folder,
                    environment,
                    arguments,
                    moment=self.moment,
                    haste=self.haste,
                    patch=self.patch,
                )
            )
        run = subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=TIME_LIMIT,
        )
        return Finished(run.returncode, run.stdout, run.stderr)

    def sync(self, *arguments: str) -> Counts:
        """Run the command for all features; return its counts, and insist that it succeeds."""
        finished = self.run(*arguments, *ALL_FEATURES)
        assert finished.code == 0, finished.errors
        return finished.counts


Cloud = SimulatedTConnect | SimulatedTandemSource


def cloud(history: PumpHistory) -> SimulatedTConnect:
    """Return a simulated t:connect that knows our account."""
    return SimulatedTConnect(history, email=EMAIL, password=PASSWORD)


def tandem_source(history: PumpHistory, zone: str = NEW_YORK) -> SimulatedTandemSource:
    """Return a simulated Tandem Source that knows our account."""
    return SimulatedTandemSource(history, email=EMAIL, password=PASSWORD, zone=ZoneInfo(zone))


CLOUDS: dict[str, Callable[[PumpHistory], Cloud]] = {
    TCONNECT.name: cloud,
    TANDEM_SOURCE.name: tandem_source,
}
"""The simulated clouds, each as its TCONNECT_SOURCE is called."""


def computer(
    folder: Path,
    tandem: Cloud,
    nightscout_url: str,
    secret: str,
    zone: str = NEW_YORK,
) -> Computer:
    """Return a computer that is set up for these services."""
    variables = {
        "TCONNECT_EMAIL": EMAIL,
        "TCONNECT_PASSWORD": PASSWORD,
        "PUMP_SERIAL_NUMBER": SERIAL,
        "NS_URL": nightscout_url,
        "NS_SECRET": secret,
        "TIMEZONE_NAME": zone,
        **addresses(tandem),
    }
    return Computer(folder, variables)


def addresses(tandem: Cloud) -> dict[str, str]:
    """Return the settings that lead to a simulated cloud."""
    cloud = TCONNECT if isinstance(tandem, SimulatedTConnect) else TANDEM_SOURCE
    return {"TCONNECT_SOURCE": cloud.name, **tandem.variables}


def days(first: date, last: date) -> tuple[str, ...]:
    """Return the options for these days, both included."""
    return ("--start-date", str(first), "--end-date", str(last))


def free_port() -> int:
    """Return a port of this computer at which nothing answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port
