"""A PostgreSQL for tests: Debian's, on a socket in a private folder, with nothing on the network.

Running this module (`python -m tests.support.postgres`) installs it where that needs no person: on
Debian, as root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tests.support.provision import UnavailableError, main_of

PLACES = "/usr/lib/postgresql/*/bin/initdb"
OTHER_USER = "nobody"
"""PostgreSQL refuses to run as root."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
}
PATIENCE = 300.0


def programs() -> Path:
    """Return the folder with PostgreSQL's programs.

    Raises:
        UnavailableError: there is none.
    """
    found = sorted(Path("/").glob(PLACES.lstrip("/")), key=lambda path: path.parts[-3])
    if not found or shutil.which("setpriv") is None:
        raise UnavailableError("The tests of the fleet need PostgreSQL: install postgresql.")
    return found[-1].parent


@dataclass(frozen=True)
class Postgres:
    """A server that runs."""

    bin: Path
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What leads a program to it."""
        name = _user()
        return {"PGHOST": str(self.folder), "PGUSER": name, "PGDATABASE": "fleet"}

    def run(self, program: str, *arguments: str) -> str:
        """Run one of its programs; return what it says."""
        return _run(self.bin / program, arguments, self.variables)

    def control(self, *arguments: str) -> None:
        """Run ``pg_ctl``."""
        log = ["-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log")]
        self.run("pg_ctl", *log, *arguments)

    def start(self) -> None:
        """Start it."""
        settings = {**SETTINGS, "unix_socket_directories": str(self.folder)}
        self.control("start", "-o", " ".join(f"-c {k}='{v}'" for k, v in settings.items()))

    def new_database(self) -> None:
        """Make the database anew, and empty."""
        self.run("dropdb", "--if-exists", "--force", "fleet")
        self.run("createdb", "fleet")

    def restart(self) -> None:
        """Restart it as after a power cut."""
        self.control("restart", "-m", "immediate")


@contextmanager
def serving() -> Iterator[Postgres]:
    """Run a new server without any database of ours beside the block.

    Raises:
        UnavailableError: there is none here.
    """
    found = programs()
    # Not below pytest's folder, in which another user may not look.
    folder = Path(mkdtemp(prefix="tconnectsync-postgres-"))
    try:
        os.chown(folder, pwd.getpwnam(_user()).pw_uid, -1)
        server = Postgres(found, folder)
        given = ["-D", f"{folder}/data", "-U", _user(), "-A", "trust", "-E", "UTF8", "-N"]
        server.run("initdb", *given, "--locale=C")
        server.start()
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str:
    return OTHER_USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _run(program: Path, arguments: Sequence[str], variables: dict[str, str]) -> str:
    """Run a program as a user who is not root."""
    start = ["setpriv", f"--reuid={OTHER_USER}", "--clear-groups"] if os.geteuid() == 0 else []
    run = subprocess.run(
        [*start, program, *arguments],
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    if run.returncode:
        raise RuntimeError(f"{program.name} failed:\n{run.stdout}")
    return run.stdout


def main() -> int:
    """Have PostgreSQL, or say in one line why not; return the exit code."""
    return main_of("PostgreSQL for the tests of the fleet", programs, "postgresql")


if __name__ == "__main__":
    sys.exit(main())
