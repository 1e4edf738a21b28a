"""The run record: one small file per person that says how the last run went.

Every run and every round of the loop replaces it. Whatever reports the program's health
(``--status``, pings, messages, metrics) reads it and nothing else. It holds no personal data: no
e-mail address, serial number, site or secret, and no single treatment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tconnectsync.state.files import make_private, write_atomically
from tconnectsync.state.states import FORMAT, State, newest_record, record_paths

__all__ = ["RecordFile", "RunRecord", "State"]

INSTANTS = (
    *("at", "since", "fresh_until", "bad_since", "last_ok", "newest_event", "last_upload"),
    "deferred_until",
)


class RunRecord(NamedTuple):
    """How the last run went. All instants are aware, in UTC in the file."""

    at: datetime
    """When the run or round ended."""
    state: State
    since: datetime
    """Since when the state has been the same."""
    fresh_until: datetime
    """When the next run should have ended; later, the record says nothing about now."""
    cause: str = ""
    """A sentence on why it is not ok; without secrets and personal data."""
    action: str = ""
    """A sentence on what to do."""
    person: str = ""
    """The name given to the person's settings file; empty where there is one person only."""
    continuous: bool = False
    """Whether the loop wrote it, not a single run."""
    bad_since: datetime | None = None
    """Since when the state has not been ok, whatever else it was; ``None`` while it is."""
    last_ok: datetime | None = None
    """When a run was ok for the last time."""
    written: Mapping[str, int] = {}
    """Documents created or updated by this run, by type."""
    newest_event: datetime | None = None
    """The newest treatment or entry that Nightscout holds of ours."""
    last_upload: datetime | None = None
    """When the pump uploaded last, as far as is known."""
    deferred: int = 0
    """Treatments held back so that they do not snooze alarms; they follow by themselves."""
    deferred_until: datetime | None = None
    """When all of these may be written."""
    missing: tuple[str, ...] = ()
    """A sentence for each thing that is not in Nightscout."""
    notified: State | None = None
    """The state of which people were sent a message last."""


class RecordFile:
    """The file with the record of one person.

    Args:
        folders: where it may be; the first in which it can be written.
        key: what distinguishes the person on this computer, as :func:`record_paths` takes it.
    """

    def __init__(self, folders: Iterable[Path], key: str) -> None:
        self.paths = [Path(each) for each in record_paths(map(str, folders), key)]

    def load(self) -> RunRecord | None:
        """Return the newest record there is; ``None`` if there is none, or none is readable.

        Raises:
            PermissionError: there is one that this user may not read.
        """
        path, found = newest_record([str(each) for each in self.paths])
        try:
            return _parsed(found) if path else None
        except (ValueError, TypeError, LookupError):
            return None

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
            for other in self.paths:
                # It would count if this computer's clock has been set back since.
                with suppress(OSError):
                    if other != path:
                        other.unlink()
            return path
        raise problem


def _text(record: RunRecord) -> str:
    values = {name: _plain(value) for name, value in record._asdict().items()}
    return json.dumps({"format": FORMAT, **values}, indent=1)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    return dict(value) if isinstance(value, Mapping) else value


def _parsed(saved: dict[str, Any]) -> RunRecord:
    for name in INSTANTS:
        if saved[name] is not None:
            saved[name] = datetime.fromisoformat(saved[name])
            if saved[name].tzinfo is None:
                raise ValueError("a time without zone")
    record = RunRecord(**saved)
    return record._replace(
        state=State(record.state),
        missing=tuple(record.missing),
        notified=State(record.notified) if record.notified else None,
    )
