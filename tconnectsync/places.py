"""Where the settings and the state of runs are kept on this computer.

``--status`` needs no more than this, so that it answers at once: what takes long to import is
imported where it is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def env_files(home: Path, working_directory: Path) -> tuple[Path, Path]:
    """Return where a ``.env`` file is looked for; the first that exists is used, and only that."""
    return working_directory / ".env", home / ".config" / "tconnectsync" / ".env"


def files_among(candidates: Sequence[Path]) -> list[Path]:
    """Return which of some files exist."""
    return [path for path in candidates if _is_file(path)]


def named_file(path: Path, folder: Path) -> Path:
    """Return the whole path of a file that a person has named in ``folder``."""
    return Path(os.path.normpath(folder / path.expanduser()))


def key_of(file: Path | None, *places: Mapping[str, str]) -> str:
    """Return what distinguishes settings from those of others on this computer.

    It stays the same when a value is corrected.

    Args:
        file: the file that they come from, if there is one.
        places: where variables are given otherwise.
    """
    if file:
        return str(file.absolute())
    return next((place["NS_URL"] for place in places if "NS_URL" in place), "")


def cache_folders() -> list[Path]:
    """Return the folders in which files may be kept from run to run; the first that works counts.

    They are the same in a user's cron jobs, services and shells; so the runtime folder of a login
    session is not used. The second one is for containers in which nothing else can be written;
    other users may have theirs beside it.
    """
    if sys.platform in ("win32", "darwin"):
        from tempfile import gettempdir

        from platformdirs import user_cache_path

        name = "tconnectsync" if sys.platform == "win32" else f"tconnectsync-{os.getuid()}"
        return [user_cache_path("tconnectsync", appauthor=False), Path(gettempdir()) / name]
    # What these two would say, too.
    cache = os.environ.get("XDG_CACHE_HOME", "").strip()
    place = Path(cache if cache.startswith("/") else os.path.expanduser("~/.cache"))  # noqa: PTH111
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108
    return [place / "tconnectsync", temporary / f"tconnectsync-{os.getuid()}"]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
