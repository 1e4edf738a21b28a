"""From when on something is still to be brought, kept from one run to the next.

The newest document in Nightscout tells how far the runs before got, but not what they had to leave
out on the way: a day that Tandem could not serve, the weeks before a range that a person asked for.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from tconnectsync.files import make_private, put, site_file

log = logging.getLogger(__name__)

Marks = dict[str, datetime]
"""Since when something is missing, by feature."""


class Unfinished:
    """What is unfinished on one Nightscout site.

    It is looked up in the file each time, because other runs change it too; who asks must hold the
    lock of the site. Where no file can be kept, at least this process remembers.

    Args:
        url: the site's address.
        folders: where the file may be, the first that can be used.
        keep: whether anything is kept; a run that only looks changes nothing.
    """

    def __init__(self, url: str, folders: Iterable[Path], *, keep: bool = True) -> None:
        self._paths = [folder / site_file(url, "unfinished") for folder in folders]
        self._keep = keep
        self._remembered: Marks = {}

    def since(self, features: Iterable[str]) -> datetime | None:
        """Return the instant from which some features are unfinished; ``None`` if they are not."""
        marks = self._read()
        return min((marks[name] for name in features if name in marks), default=None)

    def add(self, marks: Mapping[str, datetime]) -> None:
        """Note since when features are unfinished, unless they have been for longer."""
        known = self._read()
        earlier = {name: min(at, known.get(name, at)) for name, at in marks.items()}
        self._replace(known, {**known, **earlier})

    def settle(self, features: Iterable[str], left: Mapping[str, datetime]) -> None:
        """Note that of some features only what is ``left`` is unfinished any more."""
        known, settled = self._read(), set(features)
        others = {name: at for name, at in known.items() if name not in settled}
        self._replace(known, {**others, **left})

    def _read(self) -> Marks:
        for path in self._paths:
            try:
                return _parsed(path.read_text(encoding="utf-8"))
            except OSError:
                continue
            except (ValueError, TypeError, AttributeError, RecursionError):
                log.debug("What was unfinished cannot be read any more.")
                return {}
        return self._remembered

    def _replace(self, known: Marks, marks: Marks) -> None:
        if not self._keep or marks == known:
            return
        self._remembered = marks
        text = json.dumps({name: at.isoformat() for name, at in marks.items()})
        for path in self._paths:
            try:
                make_private(path.parent)
                put(path, text)
            except OSError:
                continue
            return
        log.debug("What is unfinished cannot be kept for the next start.")


def _parsed(text: str) -> Marks:
    marks = {name: datetime.fromisoformat(at) for name, at in json.loads(text).items()}
    return {name: at for name, at in marks.items() if at.tzinfo}
