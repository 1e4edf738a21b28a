"""Commands to paste that do what a run could not do, from where and to where that run did it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from tconnectsync.cli.options import Options
    from tconnectsync.domain.clock import PumpClock
    from tconnectsync.sync.run.outcome import Failure


def commands(failures: Sequence[Failure], options: Options, clock: PumpClock) -> list[str]:
    """Return the commands that repeat failed windows; windows in a row share one command."""
    by_window: dict[tuple[date, date], list[str]] = {}
    for failure in failures:
        names = by_window.setdefault(clock.days(failure.window), [])
        names += [name for name in failure.features if name not in names]
    spans: list[tuple[date, date, list[str]]] = []
    for (first, last), names in sorted(by_window.items(), key=lambda item: (item[1], item[0])):
        if spans and spans[-1][2] == names and (first - spans[-1][1]).days <= 1:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]), names)
        else:
            spans.append((first, last, names))
    spans.sort(key=lambda span: span[:2])
    return [command(first, last, names, options) for first, last, names in spans]


def command(first: date, last: date, features: Sequence[str], options: Options) -> str:
    """Return the command that syncs some days, from where and to where this run does."""
    words = ["tconnectsync", "--start-date", f"{first}", "--end-date", f"{last}"]
    words += ["--features", *features]
    for name in ("env_file", "accounts", "person", "source", "region", "import_log"):
        if value := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, "--pretend"] if options.pretend else words)
