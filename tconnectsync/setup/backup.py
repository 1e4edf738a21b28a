"""Replaces a file of settings, with a backup of the one before."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from tconnectsync.state.files import write_atomically


def replace_with_backup(path: Path, text: str) -> Path | None:
    """Replace a file as a whole; only its owner can read it and the copy of the one before.

    Returns:
        The copy of the file as it was, beside it, under a name that nothing had yet; ``None`` if
        there was no file.

    Raises:
        OSError: it cannot be written; then it is as it was.
    """
    path = path.resolve()  # What a link leads to, not the link.
    backup = _copied(path) if path.exists() else None
    try:
        write_atomically(path, text)
    except OSError:
        if backup:
            with suppress(OSError):
                backup.unlink()
        raise
    return backup


def _copied(path: Path) -> Path:
    before = path.read_bytes()
    for ending in chain([".bak"], (f".bak.{number}" for number in count(1))):
        backup = path.with_name(path.name + ending)
        try:
            # Private from the beginning, and never in the place of another file.
            number = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        try:
            with os.fdopen(number, "wb") as file:
                file.write(before)
        except OSError:
            with suppress(OSError):
                backup.unlink()  # A part of it would pass for the file as it was.
            raise
        return backup
    raise AssertionError  # There is always a further number.
