"""Where the settings and the state of runs are kept on this computer.

``--status`` needs no more than this, so that it answers at once. What takes long to import is left
out or imported where it is used, so paths are plain texts here.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def env_file_paths(home: str, working_directory: str) -> tuple[str, str]:
    """Return where a ``.env`` file is looked for; the first that exists is used, and only that."""
    usual = os.path.join(home, ".config", "tconnectsync", ".env")
    return os.path.join(working_directory, ".env"), usual


def whole_path(path: str, folder: str) -> str:
    """Return the whole path of a file or folder that a person has named in ``folder``."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def key_of(file: str, *places: Mapping[str, str]) -> str:
    """Return what distinguishes settings from those of others on this computer.

    It stays the same when a value is corrected.

    Args:
        file: the file that they come from; empty if there is none.
        places: where variables are given otherwise.
    """
    if file:
        return file if os.path.isabs(file) else os.path.join(os.getcwd(), file)
    names = "NS_URL", "NS_URL_FILE"
    return next((place[name] for name in names for place in places if place.get(name)), "")


def cache_folders() -> list[str]:
    """Return the folders in which files may be kept from run to run; the first that works counts.

    They are the same in a user's cron jobs, services and shells; so the runtime folder of a login
    session is not used. The second one is for containers in which nothing else can be written;
    other users may have theirs beside it.
    """
    if sys.platform in ("win32", "darwin"):
        from tempfile import gettempdir

        from platformdirs import user_cache_dir

        name = "tconnectsync" if sys.platform == "win32" else f"tconnectsync-{os.getuid()}"
        folder = user_cache_dir("tconnectsync", appauthor=False)
        return [folder, os.path.join(gettempdir(), name)]
    # What these two would say, too.
    cache = os.environ.get("XDG_CACHE_HOME", "").strip()
    cache = cache if cache.startswith("/") else os.path.expanduser("~/.cache")
    temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
    names = "tconnectsync", f"tconnectsync-{os.getuid()}"
    return [
        os.path.join(folder, name) for folder, name in zip((cache, temporary), names, strict=True)
    ]
