"""The run record: one small file per person that says how the last run went.

Every run and every round of the loop replaces it. Whatever tells people about the program's health
(``--status``, pings, messages, metrics) reads it and nothing else. It holds no personal data: no
e-mail address, serial number, site or secret, and no single treatment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from tconnectsync.state.files import make_private, write_atomically

FORMAT = 1
"""The format of the file; a file of another format counts as none."""


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


@dataclass(frozen=True)
class RunRecord:
    """How the last run went. All instants are aware, in UTC in the file."""

    at: datetime
    """When the run or round ended."""
    state: State
    since: datetime
    """Since when the state has been the same."""
    cause: str = ""
    """A sentence on why it is not ok; without secrets and personal data."""
    action: str = ""
    """A sentence on what to do."""
    person: str = ""
    """The name given to the person's settings file; empty where there is one person only."""
    continuous: bool = False
    """Whether the loop wrote it, not a single run."""
    last_ok: datetime | None = None
    """When a run was ok for the last time."""
    written: Mapping[str, int] = field(default_factory=dict)
    """Documents created or updated by this run, by type."""
    newest_event: datetime | None = None
    """The newest treatment or entry that Nightscout holds of ours."""
    last_upload: datetime | None = None
    """When the pump uploaded last, as far as is known."""
    deferred: int = 0
    """Treatments held back so that they do not snooze alarms; they follow by themselves."""
    missing: tuple[str, ...] = ()
    """A sentence for each thing that is not in Nightscout."""
    notified: State | None = None
    """The state of which people were sent a message last."""


class RecordFile:
    """The file with the record of one person.

    Args:
        folders: where it may be; the first in which it can be written.
        key: what distinguishes the person on this computer, such as the path of the settings file;
            only its hash is in the file's name.
    """

    def __init__(self, folders: Iterable[Path], key: str) -> None:
        name = f"record-{sha256(key.encode()).hexdigest()[:32]}.json"
        self.paths = [folder / name for folder in folders]

    def load(self) -> RunRecord | None:
        """Return the newest record there is; ``None`` if there is none, or none is readable.

        Raises:
            PermissionError: there is one that this user may not read.
        """
        found = []
        for path in self.paths:
            try:
                found.append(_parsed(path.read_text("utf-8")))
            except PermissionError:
                raise
            except (OSError, ValueError, TypeError, LookupError, RecursionError):
                continue
        return max(found, key=lambda record: record.at, default=None)

    def save(self, record: RunRecord) -> Path:
        """Replace the record, readable by its owner only; return where it is.

        Raises:
            OSError: it can be written nowhere.
        """
        problem = OSError("no folder")
        for path in self.paths:
            try:
                make_private(path.parent)
                write_atomically(path, _text(record))
            except OSError as error:
                problem = error
                continue
            return path
        raise problem


def _text(record: RunRecord) -> str:
    values = {each.name: _plain(getattr(record, each.name)) for each in fields(record)}
    return json.dumps({"format": FORMAT, **values}, indent=1)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Mapping():
            return dict(value)
    return value


def _parsed(text: str) -> RunRecord:
    saved = json.loads(text)
    if saved.pop("format") != FORMAT:
        raise ValueError("another format")
    for name in ("at", "since", "last_ok", "newest_event", "last_upload"):
        if saved[name] is not None:
            saved[name] = datetime.fromisoformat(saved[name])
            if saved[name].tzinfo is None:
                raise ValueError("a time without zone")
    record = RunRecord(**saved)
    return replace(
        record,
        state=State(record.state),
        missing=tuple(record.missing),
        notified=State(record.notified) if record.notified else None,
    )
