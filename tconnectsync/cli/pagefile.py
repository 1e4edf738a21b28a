"""The file that a page with a report is written to: a new one, or an earlier report of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.cli.say import say
from tconnectsync.errors import UsageError
from tconnectsync.places import whole_path
from tconnectsync.state.files import own_file, write_atomically

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options

FILE_NAME = "tconnectsync-report.html"
DOCTYPE = b"<!doctype html>"
MARK = b'<meta name="generator" content="tconnectsync '
"""What only our pages have in their first lines; see ``report/templates/report.html``."""
FIRST_LINES = 300
"""Bytes in which both stand."""
MOST_LINKS = 40
"""More links in a row lead in a circle."""


def file_to_write(options: Options, host: Host) -> Path:
    """Return the file for a report, of several people the one of this person.

    Where a link stands, it is the file that the link leads to.

    Raises:
        UsageError: it is a folder, may not be written, or is a file that is no report.
    """
    named = Path(whole_path(str(options.output or FILE_NAME), str(host.folder)))
    try:
        if problem := _problem_of(_target(named)):
            raise UsageError(f"--output: {problem}")
        path = _target(own_file(named, options.person or ""))
        if problem := _problem_of(path):
            raise UsageError(f"--output: {problem}")
    except OSError as error:
        raise UsageError(f"--output: {named} cannot be written ({error.strerror}).") from None
    return path


def write_page(path: Path, page: str) -> bool:
    """Write a page, or say why it cannot be written; return whether it was."""
    try:
        write_atomically(path, page)
    except OSError as error:
        say(f"tconnectsync: The report cannot be written to {path} ({error.strerror}).")
        return False
    return True


def _target(path: Path) -> Path:
    """Return where the links lead that begin at a path.

    Those of the system, such as ``/dev/stdout``, are returned as they are: they may lead to a file.

    Raises:
        UsageError: they lead in a circle.
    """
    for _ in range(MOST_LINKS):
        if _is_of_the_system(path) or not path.is_symlink():
            return path
        path = Path(os.path.normpath(path.parent.resolve() / path.readlink()))
    raise UsageError(f"--output: {path} is a link that leads nowhere. Name another file.")


def _is_of_the_system(path: Path) -> bool:
    return path.parts[:2] in (("/", "dev"), ("/", "proc"))


def _problem_of(path: Path) -> str:
    """Return why a report cannot be written to a path; empty if it can."""
    if path.is_dir():
        return f"{path} is a folder. Name a file in it, such as {path / FILE_NAME}."
    if _is_of_the_system(path) and path.is_symlink():
        return f"{path} is no ordinary file. Name another one."
    if not path.exists():
        folder = next(each for each in path.parents if each.exists())
        if not folder.is_dir():
            return f"{folder} is no folder, so there can be no file in it."
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"the folder {folder} is not writable for you. Name a file somewhere else."
        return ""
    if not path.is_file():
        return f"{path} is no ordinary file. Name another one."
    if not os.access(path, os.W_OK):
        return f"{path} is not writable for you. Name another file."
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"the folder {path.parent} is not writable for you. Name a file somewhere else."
    with path.open("rb") as file:
        begins = file.read(FIRST_LINES)
    if begins and not (begins.lower().startswith(DOCTYPE) and MARK in begins):
        return f"{path} exists and is no report, so it is not replaced. Name another file."
    return ""
