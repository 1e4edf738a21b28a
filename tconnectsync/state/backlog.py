"""State shared by runs against one site: missing ranges, and tasks that are done once.

The newest document in Nightscout shows how far earlier runs got, but not what they had to skip: a
day that Tandem could not serve, a range that was broken off, the days beyond ``CATCH_UP_DAYS``, the
last hours of a replaced pump that have not been uploaded yet.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tconnectsync.domain.clock import TimeRange, merged, without
from tconnectsync.state.files import is_private, make_private, site_file, write_atomically

log = logging.getLogger(__name__)

Missing = Mapping[str, Sequence[TimeRange]]
"""Ranges that are not in Nightscout yet, by feature."""
MOST_RANGES = 50
"""How many ranges are kept per feature; beyond that, those nearest to each other become one."""


class _State(NamedTuple):
    """The content of the file; see the methods of :class:`Backlog`."""

    missing: Mapping[str, tuple[TimeRange, ...]] = {}
    refused: Mapping[str, tuple[TimeRange, ...]] = {}
    log_ends: Mapping[str, datetime] = {}
    newest: Mapping[str, datetime | None] = {}
    sent: Mapping[str, datetime] = {}
    done: frozenset[str] = frozenset()


class Backlog:
    """What is still missing on one Nightscout site.

    It is read from the file each time, because other runs change it too; the caller must hold the
    lock of the site. Where no file can be written, at least this process remembers.

    Args:
        url: the site's address.
        folders: where the file may be, the first that can be used.
        keep: whether anything is kept; a run that only looks changes nothing.
    """

    def __init__(self, url: str, folders: Iterable[Path], *, keep: bool = True) -> None:
        self._paths = [folder / site_file(url, "unfinished") for folder in folders]
        self._keep = keep
        self._remembered = _State()
        self.is_saved = keep
        """Whether the next run finds what this one has remembered."""

    def missing(self, features: Iterable[str]) -> dict[str, tuple[TimeRange, ...]]:
        """Return the ranges that are missing of some features, in time order."""
        known = self._read().missing
        return {name: known[name] for name in features if name in known}

    def add(self, missing: Missing) -> None:
        """Remember further ranges that are missing."""
        self._update(missing=_joined(self._read().missing, missing))

    def refused(self, features: Iterable[str]) -> dict[str, tuple[TimeRange, ...]]:
        """Return the ranges of some features that the cloud did not give when last asked."""
        known = self._read().refused
        return {name: known[name] for name in features if name in known}

    def resolve(
        self,
        covered: TimeRange,
        features: Iterable[str],
        left: Missing,
        refused: Missing | None = None,
    ) -> None:
        """Remember that ``covered`` is synced for some features, except what is ``left``.

        Of that, the cloud ``refused`` some, so that asking again will hardly help.
        """
        known, cut = self._read(), {name: [covered] for name in features}
        self._update(
            missing=_joined(reduced(known.missing, cut), left),
            refused=_joined(reduced(known.refused, cut), refused or {}),
        )

    def log_ends(self) -> dict[str, datetime]:
        """Return up to when the log of each pump was known at the last run, by the pump's mark."""
        return dict(self._read().log_ends)

    def remember_log_ends(self, ends: Mapping[str, datetime]) -> None:
        """Remember up to when the logs of some pumps are known."""
        self._update(log_ends={**self._read().log_ends, **ends})

    def newest(self) -> dict[str, datetime | None]:
        """Return when the newest treatment or entry was that runs have seen, by its type.

        ``None`` for a type of which there was none. A type that is not in it was not looked for.
        """
        return dict(self._read().newest)

    def remember_newest(self, newest: Mapping[str, datetime], of: Iterable[str] = ()) -> None:
        """Remember when the newest of some types are, unless later ones are known.

        Only types that are known already count, and those in ``of``, which the site was asked for.
        """
        known = dict(self._read().newest)
        for event_type in (*known, *of):
            found = (known.get(event_type), newest.get(event_type))
            known[event_type] = max(filter(None, found), default=None)
        self._update(newest=known)

    def forget_site(self) -> None:
        """Forget what the site held, was sent and was searched for: it is another one now."""
        self._update(newest={}, sent={}, done=frozenset())

    def last_sent(self, what: str) -> datetime | None:
        """Return the instant of the newest data of a kind, such as ``IOB``, that were sent."""
        return self._read().sent.get(what)

    def remember_sent(self, what: str, at: datetime) -> None:
        """Remember the instant of the newest data of a kind that were sent."""
        self._update(sent={**self._read().sent, what: at})

    def is_done(self, task: str) -> bool:
        """Return whether a task that is done once per site has been done."""
        return task in self._read().done

    def remember_done(self, task: str) -> None:
        """Remember that a task has been done."""
        self._update(done=self._read().done | {task})

    def _read(self) -> _State:
        for path in self._paths:
            try:
                if not is_private(path):
                    continue  # Others may have written it.
                changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                return _parsed(path.read_text(encoding="utf-8"), changed)
            except OSError:
                continue
            except (ValueError, TypeError, AttributeError, RecursionError, KeyError):
                log.debug("The backlog of earlier runs cannot be read and is ignored.")
                return _State()
        return self._remembered

    def _update(self, **changes: Any) -> None:
        known = self._read()
        state = known._replace(**changes)
        if not self._keep or state == known:
            return
        self._remembered = state
        text = _text(state)
        for path in self._paths:
            try:
                make_private(path.parent)
                write_atomically(path, text)
            except OSError:
                continue
            self.is_saved = True
            return
        self.is_saved = False
        log.debug("The backlog cannot be saved for the next run.")


def missing_in(path: Path) -> dict[str, tuple[TimeRange, ...]]:
    """Return the ranges that the file of a backlog names, whichever site it is of."""
    backlog = Backlog("", ())
    backlog._paths = [path]
    return dict(backlog._read().missing)


def _joined(one: Missing, other: Missing) -> dict[str, tuple[TimeRange, ...]]:
    """Return the ranges of both; those that touch become one."""
    names = dict.fromkeys([*one, *other])
    found = {name: _merged([*one.get(name, ()), *other.get(name, ())]) for name in names}
    return {name: ranges for name, ranges in found.items() if ranges}


def reduced(ranges: Missing, by: Missing) -> dict[str, list[TimeRange]]:
    """Return ranges by feature without those of another such collection."""
    return {
        name: [TimeRange(*it) for it in without(_pairs(each), _pairs(by.get(name, ())))]
        for name, each in ranges.items()
    }


def _pairs(ranges: Iterable[TimeRange]) -> list[tuple[datetime, datetime]]:
    return [(each.start, each.end) for each in ranges]


def _merged(ranges: Iterable[TimeRange]) -> tuple[TimeRange, ...]:
    apart = [TimeRange(*it) for it in merged(_pairs(ranges))]
    while len(apart) > MOST_RANGES:
        gaps = [later.start - earlier.end for earlier, later in pairwise(apart)]
        index = gaps.index(min(gaps))
        apart[index : index + 2] = [TimeRange(apart[index].start, apart[index + 1].end)]
    return tuple(apart)


def _text(state: _State) -> str:
    return json.dumps(
        {
            "missing": _ranges_text(state.missing),
            **({"refused": _ranges_text(state.refused)} if state.refused else {}),
            "pumps": {mark: at.isoformat() for mark, at in state.log_ends.items()},
            "newest": {name: at and at.isoformat() for name, at in state.newest.items()},
            "told": {name: at.isoformat() for name, at in state.sent.items()},
            "asked": sorted(state.done),
        }
    )


def _ranges_text(ranges: Missing) -> dict[str, list[list[str]]]:
    return {
        name: [[each.start.isoformat(), each.end.isoformat()] for each in found]
        for name, found in ranges.items()
    }


def _ranges(saved: Mapping[str, Any]) -> dict[str, tuple[TimeRange, ...]]:
    return {
        str(name): _merged(TimeRange(_aware(first), _aware(last)) for first, last in ranges)
        for name, ranges in saved.items()
    }


def _parsed(text: str, changed: datetime) -> _State:
    """Read the file; version 0.1.0 wrote only since when each feature was unfinished."""
    saved = json.loads(text)
    if saved and not saved.keys() & {"missing", "pumps", "newest", "told", "asked"}:
        since = {name: _aware(at) for name, at in saved.items()}
        return _State({name: (TimeRange(at, max(at, changed)),) for name, at in since.items()})
    return _State(
        _ranges(saved.get("missing", {})),
        _ranges(saved.get("refused", {})),
        log_ends={str(mark): _aware(at) for mark, at in saved.get("pumps", {}).items()},
        newest={str(name): at and _aware(at) for name, at in saved.get("newest", {}).items()},
        sent={str(name): _aware(at) for name, at in saved.get("told", {}).items()},
        done=frozenset(map(str, saved.get("asked", ()))),
    )


def _aware(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without zone")
    return at
