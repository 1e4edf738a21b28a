"""``METRICS_FILE``: a run record as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from tconnectsync.state.record import RunRecord, State

Values = list[tuple[dict[str, str], float]]
"""Each value with its labels."""
HELP = {
    "ok": "Whether the last run was ok.",
    "state": "1 for the state of the last run, 0 for all others.",
    "last_run_timestamp_seconds": "When the last run or round ended.",
    "last_ok_timestamp_seconds": "When a run was ok for the last time.",
    "newest_event_timestamp_seconds": "When the newest treatment or entry in Nightscout was.",
    "last_upload_timestamp_seconds": "When the pump uploaded last.",
    "written_documents": "Documents that the last run created or updated, by type.",
    "deferred_documents": "Documents that are held back so that they do not snooze alarms.",
    "missing": "Number of things that are missing in Nightscout.",
}
"""All metrics, which have ``tconnectsync_`` before their name."""


def metrics(record: RunRecord) -> str:
    """Return the text of the file; every value bears the name of the person."""
    values = {
        name: [({"person": record.person, **of}, value) for of, value in each]
        for name, each in _values(record).items()
    }
    return text_of(HELP, values)


def text_of(meanings: Mapping[str, str], values: Mapping[str, Values]) -> str:
    """Return values with their labels by the names of the metrics, as Prometheus reads them."""
    lines = []
    for name, meaning in meanings.items():
        lines += [f"# HELP tconnectsync_{name} {meaning}", f"# TYPE tconnectsync_{name} gauge"]
        lines += [f"tconnectsync_{name}{_labels(of)} {value:.0f}" for of, value in values[name]]
    return "\n".join([*lines, ""])


def _values(record: RunRecord) -> Mapping[str, Values]:
    return {
        "ok": [({}, int(record.state is State.OK))],
        "state": [({"state": each.value}, int(record.state is each)) for each in State],
        "last_run_timestamp_seconds": list(_instant(record.at)),
        "last_ok_timestamp_seconds": list(_instant(record.last_ok)),
        "newest_event_timestamp_seconds": list(_instant(record.newest_event)),
        "last_upload_timestamp_seconds": list(_instant(record.last_upload)),
        "written_documents": [({"type": name}, n) for name, n in sorted(record.written.items())],
        "deferred_documents": [({}, record.deferred)],
        "missing": [({}, len(record.missing))],
    }


def _instant(at: datetime | None) -> Iterator[tuple[dict[str, str], float]]:
    if at:
        yield {}, at.timestamp()


def _labels(of: Mapping[str, str]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in of.items())
    return f"{{{','.join(pairs)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
