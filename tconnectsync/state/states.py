"""How syncing for one person can be going, and the file that says it, as plain as it is stored.

Nothing here takes long to import, so that ``--status`` answers at once.
"""

from __future__ import annotations

import json
import os
from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

FORMAT = 2
"""The format of the file; a file of another format counts as none."""
_START, _FACTOR, _BITS = 0xCBF29CE484222325, 0x100000001B3, 64


class State(StrEnum):
    """How syncing for one person is going; the value stands in the file and in ``--json``."""

    OK = "ok"
    """All that the pump uploaded is in Nightscout."""
    INCOMPLETE = "incomplete"
    """Something is missing although all services answer: the cause says what."""
    NOT_UPLOADING = "phone-not-uploading"
    LOGIN_REFUSED = "login-refused"
    TANDEM_UNREACHABLE = "tandem-unreachable"
    TANDEM_CHANGED = "tandem-changed"
    """Tandem answers in a form that this version does not know; a newer one is needed."""
    BLOCKED = "blocked-for-a-while"
    NIGHTSCOUT_UNREACHABLE = "nightscout-unreachable"
    NIGHTSCOUT_REFUSES = "nightscout-refuses"
    PUMP_OR_CLOCK = "pump-to-be-chosen-or-clock-wrong"
    SETTINGS_WRONG = "settings-wrong"
    NEVER_RUN = "never-run"


def record_paths(folders: Iterable[str], key: str) -> list[str]:
    """Return where the record of one person may be.

    Args:
        folders: where files are kept from run to run.
        key: what distinguishes the person on this computer, such as the path of the settings file;
            only its hash (FNV-1a) is in the file's name.
    """
    number = _START
    for byte in key.encode("utf-8", "surrogateescape"):
        number = (number ^ byte) * _FACTOR % (1 << _BITS)
    return [os.path.join(folder, f"record-{number:016x}.json") for folder in folders]


def newest_record(paths: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return where the newest of some records is, and what it says; nothing if there is none.

    Raises:
        PermissionError: there is one that this user may not read; it names the file.
    """
    newest: tuple[str, dict[str, Any]] = "", {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                if not _may_be_believed(file.fileno()):
                    continue
                found = json.load(file)
            if found.pop("format") != FORMAT:
                continue
            if found["at"] > newest[1].get("at", ""):
                newest = path, found
        except PermissionError:
            raise
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            continue
    return newest


def _may_be_believed(file: int) -> bool:
    """Return whether no other user can have written an open file; its folder may be a public one.

    The superuser may ask for the record of another user.
    """
    if os.name != "posix":
        return True
    status = os.fstat(file)
    return os.getuid() in (0, status.st_uid) and not status.st_mode & 0o022
