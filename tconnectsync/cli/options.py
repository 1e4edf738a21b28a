"""The options of the command line, checked."""

from __future__ import annotations

import argparse
import logging
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tconnectsync import __version__
from tconnectsync.clouds import CLOUDS, TANDEM_SOURCE, cloud_named, clouds_with_files
from tconnectsync.errors import UsageError
from tconnectsync.sync.features import DEFAULT, FEATURES, Feature

if TYPE_CHECKING:
    from datetime import date


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message.removeprefix('argument ')}. See tconnectsync --help.")


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line, checked."""

    features: tuple[str, ...] = DEFAULT
    """Names of :data:`tconnectsync.sync.features.FEATURES`."""
    days: int | None = None
    """Sync so many days up to now; ``None`` is one."""
    dates: tuple[date, date] | None = None
    """The first and the last calendar day of the pump to sync, both whole."""
    pretend: bool = False
    source: str | None = None
    """The cloud to sync from; ``None`` where the settings say it."""
    region: str | None = None
    """Where the account is; ``None`` where the settings say it."""
    import_log: Path | None = None
    """A saved pump log to sync instead of asking a cloud."""
    demo: bool = False
    auto_update: bool = False
    check_login: bool = False
    verbose: bool = False
    quiet: bool = False
    """Say only what a person has to know."""

    @property
    def log_level(self) -> int:
        """The lowest level of what is logged, as the ``logging`` module numbers them."""
        return logging.DEBUG if self.verbose else logging.WARNING if self.quiet else logging.INFO


def parse(arguments: Sequence[str] | None) -> Options:
    """Read and check the options.

    Raises:
        UsageError: an option is unknown, unreadable or does not go with another.
    """
    given = vars(_parser().parse_args(arguments))
    if given.pop("tandem_source"):
        if given["source"] not in (None, TANDEM_SOURCE.name):
            raise UsageError(f"--tandem-source cannot be combined with --source {given['source']}.")
        given["source"] = TANDEM_SOURCE.name
    given["features"] = tuple(
        name for group in given["features"] for name in group.split(",") if name
    )
    options = Options(dates=_dates(given), **given)
    unknown = [name for name in options.features if name not in FEATURES]
    if unknown or not options.features:
        raise UsageError(
            f"{', '.join(unknown) or 'nothing'} is not a feature. Choose from: "
            f"{', '.join(FEATURES)}."
        )
    if options.import_log is not None:
        _check_import(options)
    if options.check_login and options.auto_update:
        raise UsageError("--check-login cannot be combined with --auto-update.")
    if options.quiet and options.verbose:
        raise UsageError("--quiet cannot be combined with --verbose.")
    return options


def _check_import(options: Options) -> None:
    for name in ("auto_update", "check_login", "demo"):
        if getattr(options, name):
            raise UsageError(f"--import-log cannot be combined with --{name.replace('_', '-')}.")
    clouds = clouds_with_files()
    if options.source not in (None, *(cloud.name for cloud in clouds)):
        titles = " or ".join(cloud.title for cloud in clouds)
        raise UsageError(f"--import-log reads the log of {titles}; leave out --source.")
    if options.days is not None:
        raise UsageError(
            "--import-log syncs all of the log; for a part of it, give --start-date and --end-date."
        )


def check_available(names: Sequence[str], source: str, *, testing_enabled: bool) -> None:
    """Refuse features that a cloud lacks, or that are still being tested there.

    Raises:
        ConfigError: there is no such cloud.
        UsageError: it lacks one of the features, or one is still being tested and
            ``ENABLE_TESTING_MODES`` does not allow that.
    """
    cloud = cloud_named(source)
    lacking = [name for name in names if name in cloud.lacks]
    if lacking:
        raise UsageError(f"{source} has no data for {', '.join(lacking)}. Leave it out.")
    testing = [name for name in names if name in cloud.tests]
    if testing and not testing_enabled:
        raise UsageError(
            f"Still being tested: {', '.join(testing)}. To use that all the same, set "
            "ENABLE_TESTING_MODES=true in the environment or in .env."
        )


def _dates(given: dict[str, Any]) -> tuple[date, date] | None:
    """Take the two dates out of what was given."""
    first, last = given.pop("start_date"), given.pop("end_date")
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise UsageError("--start-date and --end-date belong together: give both or neither.")
    if given["days"] is not None:
        raise UsageError("--days cannot be combined with --start-date and --end-date.")
    if given["auto_update"]:
        raise UsageError("--auto-update cannot be combined with --start-date and --end-date.")
    if last < first:
        raise UsageError(f"--end-date {last} lies before --start-date {first}.")
    return first, last


EPILOG = """\
features (those still being tested need ENABLE_TESTING_MODES=true):
{}

exit codes: 0 done, 1 something failed or is missing, 2 wrong options or
settings, or a pump that has to be chosen first; with --auto-update also a
refused login"""


def _parser() -> argparse.ArgumentParser:
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
    add("--days", type=_days, metavar="N", help="sync the last N days (default: 1)")
    add("--start-date", type=_date, metavar="DATE", help="sync from this day on (YYYY-MM-DD)")
    add("--end-date", type=_date, metavar="DATE", help="sync to the end of this day")
    add(
        "--features",
        nargs="+",
        default=list(DEFAULT),
        metavar="F",
        help=f"what to sync (default: {' '.join(DEFAULT)})",
    )
    add("--pretend", action="store_true", help="show what would be written, write nothing")
    add("--source", help=f"the cloud to sync from: {default} (default) or {others}")
    # What older versions had before there was a choice; it goes on working.
    add("--tandem-source", action="store_true", help=argparse.SUPPRESS)
    add("--region", help="the region of your account: US (default) or EU")
    what = "sync a saved pump log instead of the data of a cloud"
    add("--import-log", type=Path, metavar="FILE", help=what)
    add("--demo", action="store_true", help="try it with a simulated pump; needs no account")
    add("--auto-update", action="store_true", help="run continuously: sync when the pump uploads")
    add(
        "--check-login",
        action="store_true",
        help="test every login and service, and say what is wrong",
    )
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
