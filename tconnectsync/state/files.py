"""Small private files in the user's folders, written atomically."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from errno import EPERM
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

NEW = ".new"
"""The end of the names of files that are being written; they begin with a point and the name."""


def write_atomically(
    path: Path, text: str, mode: int = 0o600, *, newline: str | None = None
) -> None:
    """Replace a file as a whole, or leave it as it is; only its owner can read the new one.

    That holds also if others could read the one before: it is replaced, not written to. With
    another ``mode``, others can read it, too.

    Raises:
        OSError: it cannot be written.
    """
    make_folder(path.parent)
    # Made with mode 0600 from the beginning. In the same folder, since only there it can be renamed
    # atomically.
    with NamedTemporaryFile(
        "w",
        encoding="utf-8",
        newline=newline,
        dir=path.parent,
        prefix=f".{path.name}.",
        suffix=NEW,
        delete=False,
    ) as new:
        try:
            new.write(text)
            new.close()
            if mode != 0o600:
                Path(new.name).chmod(mode)
            Path(new.name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(new.name).unlink()
            raise


def make_folder(folder: Path) -> None:
    """Make the folder if there is none, and those above it; only their owner can look into them.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.exists():
        # With parents=True, those above would be as the umask says.
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def make_private(folder: Path) -> None:
    """Make the folder, or make sure that only its owner can write to it.

    Raises:
        OSError: it cannot be made, or others may write to it.
    """
    make_folder(folder)
    if not is_private(folder):
        raise PermissionError(EPERM, "others may write to its folder")


def is_private(path: Path) -> bool:
    """Return whether a file or folder is the user's own and no other user may write to it.

    Raises:
        OSError: it cannot be looked at.
    """
    if sys.platform == "win32":
        return True
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def own_file(path: Path, person: str) -> Path:
    """Return the file of one of several people, such as ``report-anna.log``."""
    return path.with_stem(f"{path.stem}-{person}") if person else path


def unfinished(name: str) -> str:
    """Return the pattern of the names of what a killed run had begun to write to a file."""
    return f".{name}.*{NEW}"


def site_file(url: str, kind: str) -> str:
    """Return the name of a file about a Nightscout site, from which its address cannot be seen.

    Its scheme, a slash at the end and the login of a proxy make no difference. The address of a
    page of the site, such as ``/report``, has to be resolved before: a site may be there, too.
    """
    site = urlsplit(url)
    where = f"{site.hostname}:{site.port or ''}{site.path.rstrip('/')}"
    return f"site-{sha256(where.encode()).hexdigest()[:32]}.{kind}"
