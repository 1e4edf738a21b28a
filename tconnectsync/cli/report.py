"""What the command line says: progress, plans, results, and what to do about failures."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tconnectsync.logoutput import named

if TYPE_CHECKING:
    from datetime import date

    from tconnectsync.cli.options import Options
    from tconnectsync.domain.clock import PumpClock, TimeRange
    from tconnectsync.sync.plan import Plan
    from tconnectsync.sync.run.outcome import Failure, Outcome

log = logging.getLogger(__name__)


def say(text: str) -> None:
    """Print for a person, not for a pipe."""
    print(named(text), file=sys.stderr)


def print_result(text: str) -> None:
    """Print a result at once, so that its place among the log lines is right in a file, too."""
    print(named(text), flush=True)


def progress(windows: list[TimeRange]) -> Iterable[TimeRange]:
    """Hand on the windows, with a bar on a terminal when there are several."""
    if len(windows) < 2 or not sys.stderr.isatty():
        yield from windows
        return
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    with logging_redirect_tqdm([logging.getLogger("tconnectsync")]):
        yield from tqdm(windows, unit="window", desc="Syncing")


def print_plan(window: TimeRange, plan: Plan) -> None:
    """Show what would be written for one window."""
    from tconnectsync.cli.planview import lines

    title = f"From {window.start:%Y-%m-%d %H:%M %z} to {window.end:%Y-%m-%d %H:%M %z}:"
    print_result("\n".join([title, *lines(plan)]))


def ignore(window: TimeRange, plan: Plan) -> None:
    """Show nothing: the plan is carried out anyway."""


def report(outcome: Outcome, options: Options, clock: PumpClock) -> int:
    """Say what was done and what was not; return the exit code."""
    say_what_was_done(outcome, options, clock)
    for failure in outcome.failures:
        first, last = clock.days(failure.window)
        names = " ".join(failure.features)
        log.error("%s from %s to %s failed. %s", names, first, last, failure.error)
    # Nothing that the same command could change.
    is_pointless = outcome.ended_by is not None and outcome.ended_by.needs_a_person
    for command in () if is_pointless else commands(outcome.failures, options, clock):
        say(f"To repeat what failed: {command}")
    if outcome.ended_by:
        return outcome.ended_by.exit_code
    return 0 if outcome.is_complete else 1


def say_what_was_done(outcome: Outcome, options: Options, clock: PumpClock) -> None:
    """Say what was written, or would be, and what was left out."""
    from tconnectsync.sync.features import features_of_entries

    done = f"{outcome.created} created, {outcome.updated} updated, {outcome.kept} unchanged"
    documents = (
        "Treatments and entries" if features_of_entries(options.features or ()) else "Treatments"
    )
    if options.pretend:
        print_result(f"Nothing was written (--pretend). {documents} in a real run: {done}.")
    else:
        print_result(f"{documents}: {done}.")
    for line in outcome.others:
        print_result(f"{line}{' (not written: --pretend)' if options.pretend else '.'}")
    for what, times in outcome.skipped.most_common():
        log.warning("Left out because it is unknown or cannot be true: %s (%d times).", what, times)
    for remark in outcome.remarks:
        text = remark.text
        if remark.repeat:
            window, features = remark.repeat
            text += f" {command(*clock.days(window), features, options)}"
        log.log(logging.ERROR if remark.missing else logging.WARNING, text)


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
