"""The options of the command line, checked."""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from tconnectsync import __version__
from tconnectsync.clouds import CLOUDS, TANDEM_SOURCE, clouds_with_files
from tconnectsync.errors import UsageError
from tconnectsync.sync.features import DEFAULT, FEATURES, Feature

if TYPE_CHECKING:
    from datetime import date

    from tconnectsync.config.people import Person


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        said = message.removeprefix("argument ")
        said = re.sub(r"expected (one|at least one) argument$", "a value must follow it", said)
        said = re.sub(r"ignored explicit argument .*$", "no value may follow it", said)
        raise UsageError(f"{said}. See tconnectsync --help.")

    def unknown(self, word: str) -> str:
        """Return a sentence about a word that is no option, with the one that may be meant."""
        from tconnectsync.config.values import nearest

        if not word.startswith("-"):
            return f"“{word}” belongs to no option. Options begin with --, such as --days 3."
        name = word.partition("=")[0]
        known = [option for option in self._option_string_actions if option.startswith("--")]
        meant = nearest(name, known)
        return f"there is no option {name}" + (f"; did you mean {meant}?" if meant else ".")


class Options(NamedTuple):
    """What was asked for on the command line, checked."""

    features: tuple[str, ...] | None = None
    """Names of :data:`tconnectsync.sync.features.FEATURES`; ``None`` where the settings say it."""
    days: int | None = None
    """Sync so many days up to now; ``None`` is one."""
    dates: tuple[date, date] | None = None
    """The first and the last calendar day of the pump to sync, both whole."""
    pretend: bool = False
    source: str | None = None
    """The cloud to sync from; ``None`` where the settings say it."""
    region: str | None = None
    """Where the account is; ``None`` where the settings say it."""
    env_file: Path | None = None
    """The file with the settings; ``None``: the usual ones."""
    accounts: Path | None = None
    """The folder with a file of settings for each of several people."""
    person: str | None = None
    """The name of the person that is worked for now, or who alone was asked for."""
    one: Person | None = None
    """The person that is worked for now."""
    stay: bool = False
    """Whether the loop waits for other settings instead of ending."""
    folder: Path | None = None
    """The folder to be in, where settings were found in it; ``None`` where it does not matter."""
    import_log: Path | None = None
    """A saved pump log to sync instead of asking a cloud."""
    demo: bool = False
    auto_update: bool = False
    check_login: bool = False
    setup: bool = False
    shape_report: bool = False
    report: bool = False
    output: Path | None = None
    """The file to write the report to; ``None``: the usual one."""
    export: Path | None = None
    """The folder to write files of the pump's data to."""
    format: str | None = None
    """The format of these files; ``None`` is csv."""
    serve: bool = False
    """Whether the demo stays up to be looked at."""
    forget: bool = False
    status: bool = False
    json: bool = False
    """Say the status for a program to read."""
    verbose: bool = False
    quiet: bool = False
    """Say only what a person has to know."""

    @property
    def log_level(self) -> int:
        """The lowest level of what is logged, as the ``logging`` module numbers them."""
        return logging.DEBUG if self.verbose else logging.WARNING if self.quiet else logging.INFO


SETTINGS = frozenset({"--source", "--region", "--env-file", "--features", "--verbose", "--quiet"})
"""Options that go with every action that uses the settings."""
PEOPLE = frozenset({"--accounts", "--person"})
DATES = frozenset({"--days", "--start-date", "--end-date"})

ACTIONS: Mapping[str, frozenset[str]] = {
    "--demo": frozenset({"--source", "--verbose", "--quiet", "--serve", "--output"}),
    "--setup": frozenset({"--source", "--region", "--env-file", "--verbose"}),
    "--check-login": SETTINGS | PEOPLE | DATES,
    "--import-log": SETTINGS
    | {"--start-date", "--end-date", "--pretend", "--report", "--output", "--export", "--format"},
    "--shape-report": SETTINGS | PEOPLE | DATES,
    "--auto-update": SETTINGS | PEOPLE | {"--days", "--pretend", "--stay"},
    "--report": SETTINGS.difference({"--features"}) | PEOPLE | DATES | {"--import-log", "--output"},
    "--export": SETTINGS - {"--features"} | PEOPLE | DATES | {"--import-log", "--format"},
    "--forget": PEOPLE | {"--env-file", "--verbose", "--quiet"},
    "--status": PEOPLE | {"--json", "--env-file", "--verbose", "--quiet"},
}
"""What can be asked for besides a run, and which options go with each."""

REASONS = {
    ("--demo", "--pretend"): "--demo writes to a Nightscout of its own only",
    ("--check-login", "--pretend"): "--check-login writes nothing to Nightscout anyway",
    ("--shape-report", "--pretend"): "--shape-report asks Tandem only",
    ("--export", "--features"): "all that the pump did is exported",
    ("--report", "--features"): "a report shows everything",
    ("--import-log", "--accounts"): (
        "a log is one person's; name that person's file with --env-file"
    ),
    ("--import-log", "--days"): (
        "it syncs all of the log; for a part of it, give --start-date and --end-date"
    ),
}
"""Why an option does not go with an action, where that is not clear."""


def parse(arguments: Sequence[str] | None) -> Options:
    """Read and check the options.

    Raises:
        UsageError: an option is unknown, unreadable or does not go with another.
    """
    parser = _parser()
    known, rest = parser.parse_known_args(arguments)
    if rest:
        raise UsageError(f"{parser.unknown(rest[0])} See tconnectsync --help.")
    given = vars(known)
    if given.pop("tandem_source"):
        if given["source"] not in (None, TANDEM_SOURCE.name):
            raise UsageError(f"--tandem-source cannot be combined with --source {given['source']}.")
        given["source"] = TANDEM_SOURCE.name
    _check_combination(given)
    if given["features"]:
        given["features"] = _features(" ".join(given["features"]))
    options = Options(dates=_dates(given), **given)
    clouds = clouds_with_files()
    if options.import_log and options.source not in (None, *(cloud.name for cloud in clouds)):
        titles = " or ".join(cloud.title for cloud in clouds)
        raise UsageError(f"--import-log reads the log of {titles}; leave out --source.")
    if options.json and not options.status:
        raise UsageError("--json goes with --status only.")
    if options.output and not (options.report or options.demo):
        raise UsageError("--output goes with --report and --demo only.")
    if options.format and not options.export:
        raise UsageError("--format goes with --export only.")
    if options.serve and not options.demo:
        raise UsageError("--serve goes with --demo only.")
    if options.quiet and options.verbose:
        raise UsageError("--quiet cannot be combined with --verbose.")
    return options


def _check_combination(given: Mapping[str, Any]) -> None:
    """Refuse options that would have no effect.

    Raises:
        UsageError: an option does not go with another.
    """
    used = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    for action, goes_with in ACTIONS.items():
        others = [option for option in used if option not in goes_with | {action}]
        if action in used and others:
            reason = REASONS.get((action, others[0]), "")
            said = f"{action} cannot be combined with {' and '.join(others)}"
            raise UsageError(f"{said}: {reason}." if reason else f"{said}.")
    if given["accounts"] and given["env_file"]:
        raise UsageError(
            "--accounts cannot be combined with --env-file: the folder holds a file for each "
            "person. For one of them alone, add --person and the name."
        )
    if given["person"] and not given["accounts"]:
        raise UsageError("--person needs --accounts with the folder that holds the person's file.")
    if given["stay"] and not given["auto_update"]:
        raise UsageError("--stay needs --auto-update.")


def check_available(names: Sequence[str], source: str, *, testing_enabled: bool) -> None:
    """Refuse features that a cloud lacks, or that are still being tested there.

    Raises:
        ConfigError: there is no such cloud.
        UsageError: it lacks one of the features, or one is still being tested and
            ``ENABLE_TESTING_MODES`` does not allow that.
    """
    from tconnectsync.config.notices import unavailable

    if problem := unavailable(names, source, testing_enabled=testing_enabled):
        raise UsageError(problem)


def _dates(given: dict[str, Any]) -> tuple[date, date] | None:
    """Take the two dates out of what was given."""
    first, last = given.pop("start_date"), given.pop("end_date")
    if first is None and last is None:
        return None
    if given["days"] is not None:
        raise UsageError(
            "--days cannot be combined with --start-date and --end-date: give either --days, or "
            "both dates."
        )
    if first is None or last is None:
        raise UsageError("--start-date and --end-date belong together: give both or neither.")
    if last < first:
        raise UsageError(f"--end-date {last} lies before --start-date {first}.")
    return first, last


EPILOG = """\
features (those still being tested need ENABLE_TESTING_MODES=true):
{}

exit codes: 0 done, 1 something failed or is missing, 2 wrong options or
settings, a pump that has to be chosen first, a time zone that the pump's
data contradict or a password that Tandem refuses; with --auto-update any
wrong credentials; --status: 0 all is well, 1 not"""


def _parser() -> _Parser:
    default, *rest = CLOUDS
    others = ", ".join(rest)
    names = "\n".join(map(_described, FEATURES.values()))
    parser = _Parser(
        prog="tconnectsync",
        description="Copies what a Tandem insulin pump did from Tandem's cloud into Nightscout.",
        epilog=EPILOG.format(names),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"tconnectsync {__version__}")
    days = (
        "sync the last N times 24 hours (default: 1); with --report and --export, N days (default: "
        "14) and today so far"
    )
    add("--days", type=_days, metavar="N", help=days)
    add("--start-date", type=_date, metavar="DATE", help="sync from this day on (YYYY-MM-DD)")
    add("--end-date", type=_date, metavar="DATE", help="sync to the end of this day")
    add(
        "--features",
        nargs="+",
        metavar="F",
        help=f"what to sync (default: FEATURES in the settings, else {' '.join(DEFAULT)})",
    )
    add("--pretend", action="store_true", help="show what would be written, write nothing")
    add("--source", type=_source, help=f"the cloud to sync from: {default} (default) or {others}")
    # What older versions had before there was a choice; it goes on working.
    add("--tandem-source", action="store_true", help=argparse.SUPPRESS)
    add("--region", type=_region, help="the region of your account: US (default) or EU")
    where = "take the settings from this file first, before the environment"
    add("--env-file", type=_path, metavar="FILE", help=where)
    people = "sync several people: this folder holds a file NAME.env for each"
    add("--accounts", type=_path, metavar="DIR", help=people)
    add("--person", metavar="NAME", help="with --accounts: only this one of them")
    what = "sync a saved pump log instead of the data of a cloud"
    add("--import-log", type=_path, metavar="FILE", help=what)
    add("--demo", action="store_true", help="try it with a simulated pump; needs no account")
    add("--auto-update", action="store_true", help="run continuously: sync when the pump uploads")
    add("--setup", action="store_true", help="ask for the settings, try them, write them to .env")
    add(
        "--stay",
        action="store_true",
        help="with --auto-update: where it would end, wait until the settings are corrected",
    )
    add(
        "--check-login",
        action="store_true",
        help="test every login and service, and say what is wrong",
    )
    add(
        "--shape-report",
        action="store_true",
        help="write what Tandem's answers are made of, without values, to a file",
    )
    page = "write a page with totals and a picture per day"
    add("--report", action="store_true", help=page)
    where = "the file for it (default: tconnectsync-report.html)"
    add("--output", type=_path, metavar="FILE", help=where)
    what = "write the pump's data to files in this folder"
    add("--export", type=_path, metavar="DIR", help=what)
    add("--format", type=_format, help="with --export: csv (default) or jsonl")
    add("--serve", action="store_true", help="with --demo: stay up, to be looked at")
    add("--forget", action="store_true", help="remove saved logins and what earlier runs left")
    add("--status", action="store_true", help="say how the last run went; exit code 0 if well")
    add("--json", action="store_true", help="with --status: say it as JSON")
    add("-v", "--verbose", action="store_true", help="log more details")
    add("-q", "--quiet", action="store_true", help="say only what needs a person")
    return parser


def _described(feature: Feature) -> str:
    """Return the lines of the help about a feature, as wide as the terminal."""
    name, indent = f"  {feature.name:<29} ", " " * 6
    width = max(40, shutil.get_terminal_size().columns - 2)
    return textwrap.fill(
        feature.meaning + _restriction(feature),
        width,
        initial_indent=name,
        subsequent_indent=" " * len(name) if width > 60 else indent,
    )


def _restriction(feature: Feature) -> str:
    if feature.lacking:
        return f" (not on {', '.join(feature.lacking)})"
    return f" (testing on {', '.join(feature.testing)})" if feature.testing else ""


# What reads a variable is imported when an option is given: --help must answer at once.


def _features(text: str) -> tuple[str, ...]:
    from tconnectsync.config.values import features

    try:
        return features(text)
    except ValueError as error:
        raise UsageError(f"--features: {error}.") from None


def _source(text: str) -> str:
    from tconnectsync.config.values import one_of

    return _read(one_of(CLOUDS), text)


def _format(text: str) -> str:
    from tconnectsync.config.values import one_of

    return _read(one_of(("csv", "jsonl")), text)


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of a file or folder must follow it")
    return Path(text)


def _region(text: str) -> str:
    from tconnectsync.config.values import region

    return _read(region, text)


def _read(parse: Callable[[str], str], text: str) -> str:
    try:
        return parse(text.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: {error}") from None


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to 3650")
    return int(text)


def _date(text: str) -> date:
    import arrow

    try:
        return arrow.get(text.strip(), ["YYYY-MM-DD", "MM-DD-YYYY"]).date()
    except (ValueError, arrow.ParserError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date; write it like 2024-01-31"
        ) from None
