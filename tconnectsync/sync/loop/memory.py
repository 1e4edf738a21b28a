"""What the loop knows about one person as JSON, so that another process can take the next step.

The clock of the steps must be one that all these processes share.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from tconnectsync.sync.loop.step import LoopState

PLAIN = (int, float, type(None))


def remembered(state: LoopState) -> dict[str, Any]:
    """Return what the loop knows, for :func:`recall`."""
    return {
        part: {name: _plain(value) for name, value in vars(it).items() if _is_kept(value)}
        for part, it in _parts(state).items()
    }


def recall(state: LoopState, saved: Mapping[str, Any]) -> None:
    """Let a new state know what an earlier one did, also that of another version."""
    for part, it in _parts(state).items():
        for name, value in saved.get(part, {}).items():
            now = getattr(it, name, ...)
            if isinstance(now, deque):
                now.extend(value)
            elif isinstance(now, Counter):
                now.update(value)
            elif isinstance(now, PLAIN):
                setattr(it, name, value)


def _parts(state: LoopState) -> dict[str, object]:
    """Return the objects that hold it, all of which are made again for a new state."""
    found: dict[str, object] = {"": state}
    found |= {name: getattr(state, name) for name in ("rhythm", "failures", "nothing_new", "lines")}
    return found | {"nothing_new.log": state.nothing_new.log}


def _is_kept(value: object) -> bool:
    return isinstance(value, (*PLAIN, deque, Counter))


def _plain(value: Any) -> Any:
    if isinstance(value, deque):
        return list(value)
    return dict(value) if isinstance(value, Counter) else value
