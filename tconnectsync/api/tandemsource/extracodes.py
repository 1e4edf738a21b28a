"""Kinds of log entries that Tandem's web app does not ask for, and whether the cloud gives them.

See tandem-source-api §4.4: a strict service may refuse a list that contains them. A refusal is
remembered for a month, so that not every run begins with a refused request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from tconnectsync.errors import ApiError
from tconnectsync.state.files import write_atomically

PARAMETER = "eventCodes"
REMEMBERED = timedelta(days=30)
NAME = "tandem-refused-codes.json"
MOST_CHARACTERS = 200


class Refusals:
    """Remembers which lists of extra kinds the cloud has refused.

    ``folder`` keeps that from run to run; ``None``: nothing is kept. ``now`` returns the current
    instant, aware.
    """

    def __init__(self, folder: Path | None, now: Callable[[], datetime]) -> None:
        self._now = now
        self._path = folder / NAME if folder else None
        self._refused: set[int] | None = None

    def holds(self, extra: Sequence[int]) -> bool:
        """Return whether all of these kinds have been refused lately."""
        if self._refused is None:
            self._refused = self._read()
        return self._refused.issuperset(extra)

    def note(self, extra: Sequence[int]) -> None:
        """Remember that these kinds were refused."""
        self._refused = {*(self._refused or ()), *extra}
        until = self._now() + REMEMBERED
        content = {"codes": sorted(self._refused), "until": until.isoformat(timespec="seconds")}
        if self._path:
            with suppress(OSError):
                write_atomically(self._path, json.dumps(content))

    def _read(self) -> set[int]:
        if not self._path:
            return set()
        try:
            content = json.loads(self._path.read_text("utf-8"))
            until = datetime.fromisoformat(content["until"])
            if self._now() > until:
                return set()
            return {code for code in content["codes"] if isinstance(code, int)}
        except (OSError, ValueError, TypeError, KeyError):
            return set()


def refuses_codes(error: ApiError) -> bool:
    """Return whether the cloud refused a request because of the kinds that it asked for."""
    return error.status == 400 and PARAMETER.lower() in str(error).lower()


def words_of(text: str) -> str:
    """Return what a refusal says, in short; it holds nothing personal."""
    try:
        content = json.loads(text)
        content = content.get("error", content)
        issues = content.get("issues") or ()
        words = "; ".join(_issue(issue) for issue in issues if isinstance(issue, dict))
        words = words or str(content.get("message") or "")
    except (ValueError, TypeError, AttributeError):
        words = ""
    return " ".join((words or text).split())[:MOST_CHARACTERS]


def _issue(issue: dict[str, object]) -> str:
    path = issue.get("path")
    where = ".".join(map(str, path)) if isinstance(path, list) else ""
    what = " ".join(map(str, filter(None, (issue.get("message"), issue.get("keys")))))
    return f"{where}: {what}" if where else what
