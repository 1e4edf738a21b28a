"""Commands to paste that do what a run could not do, from where and to where that run did it.

They run as they are printed, in any folder: with the program's own path, the file with its
settings, and the quotation marks of the system.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from tconnectsync.cli.options import Options
    from tconnectsync.domain.clock import PumpClock
    from tconnectsync.sync.run.outcome import Failure, Work

NAME = "tconnectsync"
CHANGE_FOLDER = ["cd", "/d"] if os.name == "nt" else ["cd"]


def commands(failures: Sequence[Failure], options: Options, clock: PumpClock) -> list[str]:
    """Return the commands that repeat failed windows, except where repeating cannot help."""
    work = [(each.window, each.features) for each in failures if each.error.is_repeatable]
    return commands_for(work, options, clock)


def commands_for(work: Iterable[Work], options: Options, clock: PumpClock) -> list[str]:
    """Return the commands that do some work; ranges in a row share one command."""
    by_days: dict[tuple[date, date], list[str]] = {}
    for window, features in work:
        names = by_days.setdefault(clock.days(window), [])
        names += [name for name in features if name not in names]
    spans: list[tuple[date, date, list[str]]] = []
    for (first, last), names in sorted(by_days.items(), key=lambda item: (item[1], item[0])):
        if spans and spans[-1][2] == names and (first - spans[-1][1]).days <= 1:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]), names)
        else:
            spans.append((first, last, names))
    spans.sort(key=lambda span: span[:2])
    return [command(first, last, names, options) for first, last, names in spans]


def command(first: date, last: date, features: Sequence[str], options: Options) -> str:
    """Return the command that syncs some days, from where and to where this run does."""
    words = [*program(sys.argv[0]), "--start-date", f"{first}", "--end-date", f"{last}"]
    words += ["--features", *features]
    for name in ("env_file", "accounts", "person", "source", "region", "import_log"):
        if value := getattr(options, name):
            shown = _absolute(value) if isinstance(value, Path) else str(value)
            words += [f"--{name.replace('_', '-')}", shown]
    text = quoted([*words, "--pretend"] if options.pretend else words)
    if options.folder is None:
        return text
    # Not --env-file: what that names would come before the environment.
    return f"{quoted([*CHANGE_FOLDER, str(options.folder)])} && {text}"


def quoted(words: Sequence[str], *, for_windows: bool = os.name == "nt") -> str:
    """Return words as they are typed in a command line of this system, or of Windows."""
    if for_windows:
        from subprocess import list2cmdline

        return list2cmdline(words)
    import shlex

    return shlex.join(words)


def program(started_as: str) -> list[str]:
    """Return the words that start this program again, from any folder.

    Args:
        started_as: the first word of the command line, as Python gives it.
    """
    path = Path(started_as)
    package = Path(__file__).parents[1]
    if path.name == "__main__.py" and path.parent.name == package.name:
        is_checkout = all((package.parent / name).is_file() for name in ("main.py", "setup.py"))
        if not is_checkout:
            return [sys.executable, "-m", NAME]
        path = package.parent / "main.py"
    if path.name == "main.py":
        return [sys.executable, _absolute(path)]
    if path.stem != NAME:
        return [NAME]
    import shutil

    found = shutil.which(NAME)
    is_found = found is not None and _without_suffix(found) == _without_suffix(_absolute(path))
    return [NAME if is_found else _absolute(path)]


def _absolute(path: Path) -> str:
    with suppress(OSError):  # The folder may be gone.
        path = path.absolute()
    return str(path)


def _without_suffix(path: str) -> str:
    return os.path.normcase(os.path.realpath(path)).removesuffix(".exe")
