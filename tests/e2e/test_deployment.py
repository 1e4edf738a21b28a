"""What Docker Compose runs, as far as it is a shell's work: when it goes on, waits and ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest

from tconnectsync.simulators.person import live
from tests.support.command import SECRET, Computer, computer, tandem_source
from tests.support.fast_process import said, soon
from tests.support.forked_command import CHECKOUT

COMPOSE = (CHECKOUT / "deploy" / "docker-compose.yml").read_text(encoding="utf-8")
ENTRYPOINT = re.compile(r"^ {4}entrypoint:\n {6}- sh\n {6}- -c\n {6}- \|\n((?: {8}.*\n)+)", re.M)


@dataclass(frozen=True)
class Container:
    """A computer with programs of its own, which are found before all others."""

    home: Computer

    def install(self, name: str, *lines: str) -> None:
        """Put a program there."""
        path = self.home.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Run what the Compose file says beside the block; nothing of it is left behind."""
        with (self.home.folder / "log").open("w") as log:
            process = subprocess.Popen(
                ["sh", "-c", script()],
                cwd=self.home.folder,
                env=self.home.environment,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
            process.wait(timeout=10)
            with pytest.raises(ProcessLookupError):
                os.killpg(process.pid, 0)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def said(self) -> str:
        """Return what has come out so far."""
        return said(self.home)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return inside(Computer(tmp_path, {}))


def inside(home: Computer) -> Container:
    path = f"{home.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Container(replace(home, variables={**home.variables, "PATH": path}))


def script() -> str:
    """Return what the shell is given, after Compose has replaced what it replaces."""
    found = ENTRYPOINT.search(COMPOSE)
    assert found
    assert "$" not in found[1].replace("$$", ""), "Compose would put a variable of its own there."
    return dedent(found[1]).replace("$$", "$")


def ends_at_once(process: subprocess.Popen[str]) -> int:
    """Ask for the end as Docker does; return the exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=2)


def test_docker_runs_it_again_after_a_restart_of_the_computer() -> None:
    # on-failure would not, because what is asked to stop ends with exit code 0.
    assert re.search(r"^ {4}restart: unless-stopped$", COMPOSE, re.M)
    assert re.search(r"^ {4}init: true$", COMPOSE, re.M)


def test_what_runs_keep_is_in_a_folder_that_the_image_gives_its_user() -> None:
    volume = re.search(r'^ {4}volumes: \["cache:(.+)"\]$', COMPOSE, re.M)
    assert volume
    dockerfile = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
    assert f"--owner tconnectsync --mode 700 {volume[1]}\n" in dockerfile
    assert volume[1] == "/home/tconnectsync/.cache"


def test_wrong_credentials_are_tried_once_and_then_waited_with(tmp_path: Path) -> None:
    with tandem_source(live(date(2024, 5, 6), 1)) as tandem:
        container = inside(computer(tmp_path, tandem, "http://127.0.0.1:9", SECRET))
        container.install(
            "tconnectsync", f'TCONNECT_PASSWORD=wrong exec {sys.executable} -m tconnectsync "$@"'
        )
        with container.running() as process:
            soon(lambda: "--force-recreate" in container.said())
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
            ends_at_once(process)
        tried = [entry for entry in tandem.log if entry.request.path == "/accounts/api/login"]
    assert len(tried) == 1
    assert "does not accept the e-mail address and password" in container.said()


@pytest.mark.parametrize("code", [0, 1, 137])
def test_whatever_else_ends_it_is_left_to_docker_to_start_again_after_a_pause(
    container: Container, code: int
) -> None:
    container.install("tconnectsync", f'echo "options: $@"; exit {code}')
    container.install("sleep", 'echo "slept for $@"')
    with container.running() as process:
        assert process.wait(timeout=10) == code
    assert container.said().splitlines() == [
        "options: --auto-update",
        f"tconnectsync has ended with exit code {code}. It starts again in 10 minutes.",
        "slept for 600",
    ]


def test_the_pause_ends_at_once_when_it_is_stopped(container: Container) -> None:
    container.install("tconnectsync", "exit 1")
    with container.running() as process:
        soon(lambda: "10 minutes" in container.said())
        ends_at_once(process)


def test_a_wish_to_stop_is_handed_on_and_the_last_write_waited_for(
    container: Container,
) -> None:
    container.install(
        "tconnectsync",
        "trap 'sleep 0.3; echo written; exit 0' TERM",
        "echo writing",
        "while :; do sleep 0.05; done",
    )
    with container.running() as process:
        soon(lambda: "writing" in container.said())
        assert ends_at_once(process) == 0
    assert container.said().splitlines() == ["writing", "written"]
