"""Small files of our own in the user's folders, which nobody else may read or write."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from errno import EPERM
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit


def put(path: Path, text: str) -> None:
    """Put a text in a file's place, at once or not at all; only its owner can read it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made with mode 0600, and in the same folder, so that it can take the file's place at once.
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, suffix=".new", delete=False
    ) as new:
        try:
            new.write(text)
            new.close()
            Path(new.name).replace(path)
        except OSError:
            with suppress(OSError):
                Path(new.name).unlink()
            raise


def make_private(folder: Path) -> None:
    """Make the folder, or insist that nobody else could have put something into it.

    Raises:
        OSError: it cannot be made, or others may write to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32":
        status = folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise PermissionError(EPERM, "others may write to its folder")


def site_file(url: str, kind: str) -> str:
    """Return the name of a file about a Nightscout site, which does not tell its address.

    Its scheme, a slash at the end and the login of a proxy make no difference. That what follows
    is of a page, such as ``/report``, has to be found out before: a site may live there.
    """
    site = urlsplit(url)
    where = f"{site.hostname}:{site.port or ''}{site.path.rstrip('/')}"
    return f"site-{sha256(where.encode()).hexdigest()[:32]}.{kind}"


def cache_folder() -> Path:
    """Return where this user's programs keep what they can do without."""
    from platformdirs import user_cache_path

    return user_cache_path("tconnectsync", appauthor=False)
