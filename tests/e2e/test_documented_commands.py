"""What README and docs ask people to type does what they say, typed as it is printed there.

The program is installed as the README says, in a copy of the checkout, with nothing from the
internet. A cloud and a site are simulated for each person.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from site import getsitepackages
from zoneinfo import ZoneInfo

import pytest

from tests.support.forked_command import CHECKOUT
from tests.support.pages import PAGES, Block, blocks
from tests.support.people import PEOPLE, household, write_settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("bash"), reason="the commands are those of a shell"),
    pytest.mark.timeout(900),
]
TIME_LIMIT = 600
PHOENIX = "America/Phoenix"
"""A zone whose clocks are never set."""
README = "README.md"
IN_PYTHON = "docs/python.md"
"""Its examples name days; ``wire/test_python_interface.py`` runs them with data of these days."""
OTHERS = [
    name
    for name in PAGES
    if name not in (README, IN_PYTHON) and any(it.kind in ("sh", "python") for it in blocks(name))
]
NOT_NEEDED = shutil.ignore_patterns(".*_cache", ".git", ".cache", ".venv", "tests", "__pycache__")
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # In pip's own words: no isolation.
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}


@dataclass(frozen=True)
class Desk:
    """Where a person types: the folder of the program, and all variables that are set."""

    folder: Path
    variables: Mapping[str, str]

    def type(self, block: Block) -> None:
        """Run a block as it is printed; insist that every command in it succeeds."""
        shell = ["bash", "-e", "-o", "pipefail"]
        program = shell if block.kind == "sh" else [".venv/bin/python"]
        run = subprocess.run(
            [*program, "-c", block.text],
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            encoding="utf-8",
            timeout=TIME_LIMIT,
        )
        said = f"{run.stdout}{run.stderr}"
        assert run.returncode == 0, f"{block}:\n{block.text}\n{said}"
        assert "Traceback" not in said, f"{block}:\n{said}"

    def enter(self, command: str) -> None:
        """Run one command that stands on no page as a block."""
        self.type(Block("a command", 0, "sh", "", command, ""))

    def type_all(self, name: str) -> None:
        """Run all blocks of a page, one after the other."""
        for block in blocks(name):
            if block.kind in ("sh", "python"):
                self.type(block)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Give a desk at which everything of the README has been typed."""
    top = tmp_path_factory.mktemp("docs")
    folder = top / "tconnectsync"
    shutil.copytree(CHECKOUT, folder, ignore=NOT_NEEDED)
    (top / "bin").mkdir()
    python = top / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    variables = {
        "PATH": f"{top / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(top),
        "TMPDIR": str(top),
        # What the program needs is there, but not the program.
        "PYTHONPATH": os.pathsep.join(getsitepackages()),
        "AUTOUPDATE_MAX_LOOP_INVOCATIONS": "1",
        **OFFLINE,
    }
    now = datetime.now(ZoneInfo(PHOENIX)).replace(tzinfo=None)
    first, until = now.date() - timedelta(days=1), now - timedelta(minutes=5)
    with household(folder, first, 3, "anna", "ben", "robin", until=until, zone=PHOENIX) as people:
        (folder / PEOPLE / "robin.env").unlink()
        write_settings(folder / ".env", {**people["robin"].variables, "TIMEZONE_NAME": PHOENIX})
        desk = Desk(folder, variables)
        desk.type_all(README)
        assert people["robin"].site.treatments
        desk.enter(f".venv/bin/tconnectsync --accounts {PEOPLE}")
        yield desk


def test_what_the_readme_installs_is_what_runs(desk: Desk) -> None:
    desk.enter(
        f"cd / && {desk.folder}/.venv/bin/python -c "
        f"'import tconnectsync; assert \"{desk.folder}/.venv/\" in tconnectsync.__file__'"
    )


def test_a_command_that_fails_is_noticed(desk: Desk) -> None:
    with pytest.raises(AssertionError, match="README"):
        desk.type(Block(README, 1, "sh", "", ".venv/bin/tconnectsync --dayz 3\ntrue\n", ""))


@pytest.mark.parametrize("name", OTHERS)
def test_commands_run_as_they_are_printed(desk: Desk, name: str, tmp_path: Path) -> None:
    # With what the README's runs have left, also if another page has it removed.
    shutil.copytree(Path(desk.variables["HOME"]) / ".cache", tmp_path / ".cache")
    Desk(desk.folder, {**desk.variables, "HOME": str(tmp_path)}).type_all(name)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_demo_runs_in_what_is_installed(desk: Desk) -> None:
    desk.enter("make demo")
