"""``--status``: what the run record of a person says, in words and as JSON.

It reads the record and nothing else: no settings, which may be wrong, and no service. So it answers
at once.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from tconnectsync.state.states import State, newest_record
from tconnectsync.watch.words import action, meaning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

UNKNOWN = "unknown"
"""In the place of a state: there is a record that may not be read."""
MINUTES_IN_A_DAY = 24 * 60
SOON = timedelta(minutes=5)
"""How far a clock may be wrong without being noticed."""


def status_of(
    paths: Sequence[str], settings: str, now: datetime, person: str = ""
) -> dict[str, Any]:
    """Return what is known of one person, as ``--json`` shows it.

    That is what the record holds (see :class:`~tconnectsync.state.record.RunRecord`), and:
    ``ok``, whether the last run was ok and is not too long ago; ``fresh``, whether it is not;
    ``age_seconds`` since it; ``text``, all of it in words; ``file``, the record that was read.

    Args:
        paths: where the record may be.
        settings: which settings it is about, for people, such as ``the settings in /x/.env``.
        now: the current instant, aware.
        person: the name of the person's settings; empty where there is one only.
    """
    path, record, fresh, text = _looked_up(paths, settings, now)
    record.pop("notified", None)
    age = now - datetime.fromisoformat(record["at"]) if "at" in record else None
    return {
        **record,
        "person": person,
        "ok": fresh and record["state"] == State.OK,
        "fresh": fresh,
        "age_seconds": None if age is None else round(age.total_seconds()),
        "text": f"{person}: {text}" if person else text,
        "file": path or None,
    }


def _looked_up(
    paths: Sequence[str], settings: str, now: datetime
) -> tuple[str, dict[str, Any], bool, str]:
    """Return where the newest record is, what it says, whether it is fresh, and it in words."""
    try:
        path, record = newest_record(paths)
        fresh = bool(path) and is_fresh(record, now)
        text = sentences(record, now, fresh) if path else ""
    except PermissionError as error:
        path, record, fresh = str(error.filename), {"state": UNKNOWN}, False
        text = (
            f"The record of the last run, {path}, belongs to another user and cannot be read. "
            "Ask as the user that tconnectsync runs as."
        )
    except (ValueError, LookupError, TypeError):
        path = ""
    if not path:
        folders = " and ".join(map(os.path.dirname, paths)) or "no folder"
        where = f"for {settings} (looked in {folders})"
        record, fresh = {"state": State.NEVER_RUN.value}, False
        text = f"{meaning(State.NEVER_RUN)} {where}. {action(State.NEVER_RUN)}"
        if damaged := next((each for each in paths if os.path.isfile(each)), None):
            text = (
                f"The record of the last run, {damaged}, cannot be read: it is damaged, or of "
                "another version. The next run writes a new one."
            )
    elif "at" in record:
        text += f" (About {settings}; from {path}.)"
    return path, record, fresh, text


def is_fresh(record: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a record says something about now; how old one from the future is, is open."""
    at = datetime.fromisoformat(record["at"])
    return at - SOON <= now <= datetime.fromisoformat(record["fresh_until"])


def sentences(
    record: Mapping[str, Any], now: datetime, fresh: bool, runs: str = "tconnectsync --auto-update"
) -> str:
    """Return in words what a record says that is ``fresh`` or not, of what ``runs`` always."""

    def ago(name: str) -> str:
        return f"{_span(now - datetime.fromisoformat(record[name]))} ago"

    state, ran = State(record["state"]), f"last run {ago('at')}"
    ahead = datetime.fromisoformat(record["at"]) - now
    if ahead > SOON:
        return (
            f"This computer's clock was {_span(ahead)} ahead when the last run ended, or is wrong "
            "now, so it is not known how long ago that was. The next run will show it; check "
            "the clock."
        )
    if not fresh:
        ended = "" if state is State.OK else f" It ended so: {meaning(state)}."
        advice = f"Check that {runs} still runs."
        if not record["continuous"]:
            advice = (
                "Check that the planned runs take place. If they come less often than that, set "
                "STATUS_MAX_AGE_MINUTES."
            )
        return f"Nothing has run since the {ran}.{ended} {advice}"
    if state is State.OK:
        newest = f"; newest data {ago('newest_event')}" if record["newest_event"] else ""
        waiting = f"; {record['deferred']} held back for a moment" if record["deferred"] else ""
        return f"ok: {meaning(State.OK)}, {ran}{newest}{waiting}."
    said = [
        f"{meaning(state)} (for {_span(now - datetime.fromisoformat(record['since']))}, {ran})."
    ]
    if cause := record["cause"]:
        said.append(cause if cause.endswith((".", "!", "?")) else f"{cause}.")
    return " ".join([*said, record["action"]]).rstrip()


def _span(span: timedelta) -> str:
    """Return how long something is; not from ``domain``, which takes long to import."""
    minutes = max(int(span.total_seconds() // 60), 0)
    if minutes >= 2 * MINUTES_IN_A_DAY:
        return f"{minutes // MINUTES_IN_A_DAY} days"
    if minutes >= 120:
        return f"{minutes // 60} hours"
    if minutes == 0:
        return "less than a minute"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
