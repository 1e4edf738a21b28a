"""What the examples in deploy/ run, under what runs it: Docker's user, supervisord."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from site import getsitepackages
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import EMAIL, PASSWORD, SECRET, Cloud, Computer, computer, tandem_source
from tests.support.deployment import (
    COMPOSE_FILES,
    INSTALLED,
    dockerfile,
    exec_form,
    service,
    text_of,
    unit,
)
from tests.support.fast_process import soon
from tests.support.forked_command import CHECKOUT

LIFE = live(date(2024, 5, 6), 1)
ZONE = ZoneInfo("America/New_York")
PHOENIX = "America/Phoenix"
BO = "bo.sample@example.org"
PACKAGES = {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), *getsitepackages()])}
"""Where another Python finds the program and what it needs."""
SUPERVISORD = shutil.which("supervisord", path=str(Path(sys.executable).parent))


def logins(tandem: Cloud) -> int:
    """Return how often a password was sent."""
    return sum(entry.request.path == "/accounts/api/login" for entry in tandem.log)


def as_image_user() -> tuple[list[str], dict[str, Any]]:
    """Return a command, and how to start it as the user of the image where that is possible here.

    A Python below root's own folder cannot be run by anybody else; one of the system may.
    """
    here = [sys.executable, "-m", "tconnectsync"]
    if os.geteuid() != 0:
        return here, {}
    user, group = map(int, dockerfile("USER")[0].split(":"))
    options: dict[str, Any] = {"user": user, "group": group, "extra_groups": []}
    same = "python{}.{}".format(*sys.version_info)
    for python in filter(None, (sys.executable, shutil.which(same, path="/usr/bin"))):
        command = [python, "-m", "tconnectsync"]
        with suppress(OSError, subprocess.CalledProcessError), TemporaryDirectory() as folder:
            os.chown(folder, user, group)
            subprocess.run(
                [*command, "--demo"],
                **options,
                cwd=folder,
                env=PACKAGES,
                capture_output=True,
                timeout=300,
                check=True,
            )
            return command, options
    return here, {}


@contextmanager
def container(tandem: Cloud, site: str, options: list[str], **changes: str) -> Iterator[Container]:
    """Run what the image runs with these options beside the block, in a home of its own."""
    assert exec_form(dockerfile("ENTRYPOINT")[0]) == ["tconnectsync"]
    command, user = as_image_user()
    with TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / ".cache").mkdir(mode=0o700)
        if user:
            os.chown(home / ".cache", user["user"], user["group"])
        given = computer(home, tandem, site, SECRET).environment
        with (home / "log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [*command, *options],
                cwd=home,
                env={**given, **PACKAGES, **changes},
                stdout=log,
                stderr=log,
                **user,
            )
        again = {"cwd": home, "env": {**given, **PACKAGES, **changes}, **user}
        try:
            yield Container(process, home, command, again)
        finally:
            process.kill()
            process.wait()


class Container:
    """A process that runs what a container would."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        home: Path,
        command: list[str],
        again: dict[str, Any],
    ) -> None:
        self.process = process
        self.home = home
        self._command = command
        self._again = again

    def health(self) -> tuple[int, str]:
        """Run the health check as Docker does; return its exit code and what it says."""
        program, *options = exec_form(dockerfile("HEALTHCHECK")[0])
        assert program == "tconnectsync"
        assert service("docker-compose.yml")["healthcheck"]["test"][1:] == [program, *options]
        run = subprocess.run(
            [*self._command, *options],
            **self._again,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        return run.returncode, run.stdout + run.stderr

    @property
    def user(self) -> int:
        """The number of the user that it runs as."""
        return Path(f"/proc/{self.process.pid}").stat().st_uid

    def said(self) -> str:
        """Return what it has said so far."""
        return (self.home / "log").read_text(encoding="utf-8")

    def ends_when_asked(self) -> None:
        """Ask for the end as Docker does; insist that it comes at once, and well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=300) == 0


def test_wrong_credentials_are_sent_once_and_then_waited_with() -> None:
    options = service("docker-compose.yml")["command"]
    with (
        tandem_source(LIFE) as tandem,
        SmallNightscout(SECRET) as site,
        container(tandem, site.url, options, TCONNECT_PASSWORD="wrong") as running,
    ):
        soon(lambda: "does not accept the e-mail address and password" in running.said())
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(timeout=2)
        code, said = running.health()
        assert code == 1
        assert "password" in said
        running.ends_when_asked()
        assert logins(tandem) == 1


def test_a_container_is_healthy_and_keeps_its_login_in_the_volume() -> None:
    options = service("docker-compose.yml")["command"]
    # A zone whose clocks are never set; the pump has uploaded a moment ago.
    now = datetime.now(ZoneInfo(PHOENIX)).replace(tzinfo=None)
    with (
        tandem_source(live(now.date() - timedelta(days=1), 3), PHOENIX) as tandem,
        SmallNightscout(SECRET) as site,
    ):
        tandem.uploaded_until = now - timedelta(minutes=5)
        with container(tandem, site.url, options, TIMEZONE_NAME=PHOENIX) as running:
            soon(lambda: site.treatments)
            soon(lambda: running.health()[0] == 0)
            user = running.user
            running.ends_when_asked()
            files = {
                path.name: path.stat().st_uid for path in (running.home / ".cache").rglob("*.json")
            }
        assert any(name.startswith("tandem-source-") for name in files)
        assert set(files.values()) == {user}


def test_two_people_s_container_finds_both(tmp_path: Path) -> None:
    options = list(service("docker-compose.two-people.yml")["command"])
    people = tmp_path / "accounts"
    people.mkdir()
    with (
        tandem_source(LIFE) as tandem,
        SimulatedTandemSource(LIFE, email=BO, password=PASSWORD, zone=ZONE) as another,
        SmallNightscout(SECRET) as one,
        SmallNightscout(SECRET) as two,
    ):
        for name, email, source, site in (("ada", EMAIL, tandem, one), ("bo", BO, another, two)):
            given = {
                **computer(tmp_path, source, site.url, SECRET).variables,
                "TCONNECT_EMAIL": email,
            }
            text = "".join(f"{key}='{value}'\n" for key, value in given.items())
            (people / f"{name}.env").write_text(text, encoding="utf-8")
            (people / f"{name}.env").chmod(0o600)
        options[options.index("--accounts") + 1] = str(people)
        run = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "main.py"), *options],
            cwd=tmp_path,
            env=Computer(tmp_path, {}).environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            soon(lambda: one.log and two.log)
            run.send_signal(signal.SIGTERM)
            assert run.wait(timeout=300) == 0
        finally:
            run.kill()
            run.wait()


def test_compose_files_are_all_tried() -> None:
    assert COMPOSE_FILES == ["docker-compose.two-people.yml", "docker-compose.yml"]


def test_systemd_hears_when_it_is_ready_and_that_it_runs(tmp_path: Path) -> None:
    options = shlex.split(unit("tconnectsync.service")["ExecStart"][0])[1:]
    with (
        tandem_source(LIFE) as tandem,
        SmallNightscout(SECRET) as site,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(300)
        home = computer(tmp_path, tandem, site.url, SECRET)
        options[options.index("--env-file") + 1] = settings_of(home)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
        run = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "main.py"), *options],
            cwd=tmp_path,
            env={**Computer(tmp_path, {}).environment, **told},
            stderr=subprocess.DEVNULL,
        )
        try:
            heard = ""
            while "READY=1" not in heard or "WATCHDOG=1" not in heard.partition("READY=1")[2]:
                heard += manager.recv(10_000).decode() + "\n"
            run.send_signal(signal.SIGTERM)
            assert run.wait(timeout=300) == 0
        finally:
            run.kill()
            run.wait()


def settings_of(home: Computer) -> str:
    """Write a computer's settings to the usual file; return where it is."""
    file = home.folder / ".env"
    text = "".join(f"{name}='{value}'\n" for name, value in home.variables.items())
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return str(file)


# supervisord

FOREGROUND = """\
[supervisord]
nodaemon=true
user={user}
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[unix_http_server]
file={folder}/socket
[supervisorctl]
serverurl=unix://{folder}/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""


@contextmanager
def supervised(home: Computer) -> Iterator[Supervisor]:
    """Have supervisord run the file of ``deploy/`` beside the block, with the folder adapted."""
    me = subprocess.run(["id", "-un"], capture_output=True, encoding="utf-8", check=True)
    user = me.stdout.strip()
    folder = home.folder
    program = f"{sys.executable} {CHECKOUT / 'main.py'}"
    text = text_of("supervisord.conf").replace(INSTALLED, program)
    text = text.replace("/opt/tconnectsync", str(folder)).replace(
        "user=tconnectsync", f"user={user}"
    )
    text = text.replace("/var/log/tconnectsync.log", f"{folder}/tconnectsync.log")
    conf = folder / "supervisord.conf"
    conf.write_text(FOREGROUND.format(user=user, folder=folder) + text, encoding="utf-8")
    settings_of(home)
    assert SUPERVISORD
    process = subprocess.Popen(
        [SUPERVISORD, "-c", str(conf)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield Supervisor(conf)
    finally:
        process.terminate()
        process.wait(timeout=300)


class Supervisor:
    """A running supervisord."""

    def __init__(self, conf: Path) -> None:
        self._conf = conf

    def ask(self, *words: str) -> str:
        """Return what supervisorctl answers."""
        control = str(Path(str(SUPERVISORD)).with_name("supervisorctl"))
        run = subprocess.run(
            [control, "-c", str(self._conf), *words],
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        return run.stdout

    def log(self) -> str:
        """Return what supervisord has noted of its program."""
        return self._conf.with_name("supervisord.log").read_text(encoding="utf-8")


@pytest.mark.skipif(not SUPERVISORD, reason="supervisord is not installed")
def test_under_supervisord_a_wrong_password_ends_it_and_is_not_sent_again(tmp_path: Path) -> None:
    with tandem_source(LIFE) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        wrong = {**home.variables, "TCONNECT_PASSWORD": "wrong"}
        with supervised(Computer(tmp_path, wrong)) as supervisor:
            soon(lambda: "FATAL" in supervisor.ask("status"))
            time.sleep(2)
            assert "FATAL" in supervisor.ask("status")
            assert supervisor.log().count("spawned: 'tconnectsync'") == 1
        assert "exit status 2" in supervisor.log()
        assert logins(tandem) == 1


@pytest.mark.skipif(not SUPERVISORD, reason="supervisord is not installed")
def test_under_supervisord_it_runs_and_stops_well(tmp_path: Path) -> None:
    with tandem_source(LIFE) as tandem, SmallNightscout(SECRET) as site:
        with supervised(computer(tmp_path, tandem, site.url, SECRET)) as supervisor:
            soon(lambda: "RUNNING" in supervisor.ask("status"))
            assert "stopped" in supervisor.ask("stop", "tconnectsync")
            assert "STOPPED" in supervisor.ask("status")
        assert "(exit status 0; expected)" in supervisor.log() or "stopped: " in supervisor.log()
        assert (tmp_path / ".cache" / "tconnectsync").is_dir()
