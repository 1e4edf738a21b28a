"""The command line: options in, sentences and an exit code out.

The only place that prints, sets up logging and decides the exit code. What takes long to import is
imported when it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from tconnectsync import __version__
from tconnectsync.errors import ConfigError, TconnectsyncError, UsageError
from tconnectsync.sync.features import DEFAULT, FEATURES

if TYPE_CHECKING:
    from datetime import date

    from tconnectsync.config import Settings
    from tconnectsync.domain.clock import PumpClock, TimeRange
    from tconnectsync.sync.cycle import Cycle, Failure, Outcome
    from tconnectsync.sync.plan import Plan

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return 0 when done, 1 when something failed, 2 for wrong use."""
    try:
        options = parse(arguments)
        if options.demo:
            from tconnectsync.demo.show import demo

            demo(print)
            return 0
        return sync(options)
    except ConfigError as error:
        _say("tconnectsync cannot start, because of its configuration:")
        for problem in error.problems:
            _say(f"  {problem}")
        _say("Set it in the environment, in .env here or in ~/.config/tconnectsync/.env.")
        return error.exit_code
    except TconnectsyncError as error:
        _say(f"tconnectsync: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("Stopped. Nothing is lost: the next run goes on from here.")
        return 1
    except Exception:
        log.exception("This should not have happened. Please report it with the lines below.")
        return 1


def _say(text: str) -> None:
    print(text, file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message.removeprefix('argument ')}. See tconnectsync --help.")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the options.

    Raises:
        UsageError: an option is unknown, unreadable or does not go with another.
    """
    options = _parser().parse_args(arguments)
    options.features = [name for group in options.features for name in group.split(",") if name]
    _check_features(options.features)
    _check_dates(options)
    if options.auto_update or options.check_login:
        name = "--auto-update" if options.auto_update else "--check-login"
        raise UsageError(f"{name} is not available yet in version {__version__}.")
    return options


def _check_dates(options: argparse.Namespace) -> None:
    first, last = options.start_date, options.end_date
    if (first is None) != (last is None):
        raise UsageError("--start-date and --end-date belong together: give both or neither.")
    if first is None:
        return
    if options.days is not None:
        raise UsageError("--days cannot be combined with --start-date and --end-date.")
    if options.auto_update:
        raise UsageError("--auto-update cannot be combined with --start-date and --end-date.")
    if last < first:
        raise UsageError(f"--end-date {last} lies before --start-date {first}.")


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {feature.name:<29} {feature.meaning}" for feature in FEATURES.values())
    parser = _Parser(
        prog="tconnectsync",
        description="Copies what a Tandem insulin pump did from Tandem's cloud into Nightscout.",
        epilog=f"features:\n{names}\n\nexit codes: 0 done, 1 something failed, 2 wrong use",
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
    add("--source", help="the cloud to sync from, instead of TCONNECT_SOURCE: tconnect")
    add("--demo", action="store_true", help="try it with a simulated pump; needs no account")
    add("--auto-update", action="store_true", help="(not available yet)")
    add("--check-login", action="store_true", help="(not available yet)")
    add("-v", "--verbose", action="store_true", help="say more about what is done")
    return parser


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


def _check_features(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in FEATURES]
    if unknown or not names:
        raise UsageError(
            f"{', '.join(unknown) or 'nothing'} is not a feature. Choose from: "
            f"{', '.join(FEATURES)}."
        )


def sync(options: argparse.Namespace) -> int:
    """Run one cycle as the options and the configuration say; return the exit code."""
    from tconnectsync.sync.assemble import assemble

    settings = _settings(options)
    cycle = assemble(
        settings,
        options.features,
        pretend=options.pretend,
        on_plan=_print_plan if options.pretend else _keep_quiet,
    )
    wanted = _range(options, settings, cycle)
    log.info(
        "Syncing %s from %s to %s%s.",
        ", ".join(options.features),
        cycle.clock.here(wanted.start).isoformat(" ", "minutes"),
        cycle.clock.here(wanted.end).isoformat(" ", "minutes"),
        " (pretend)" if options.pretend else "",
    )
    return report(cycle.run(wanted, _progress), options, cycle.clock)


def _settings(options: argparse.Namespace) -> Settings:
    from tconnectsync import config
    from tconnectsync.util.cli import enable_logging, given_values

    environment, files = given_values()
    if options.source:
        environment["TCONNECT_SOURCE"] = options.source
    settings = config.load(environment, files)
    enable_logging(logging.DEBUG if options.verbose else logging.INFO, settings.secrets)
    for notice in config.notices(environment, files):
        log.warning(notice)
    return settings


def _range(options: argparse.Namespace, settings: Settings, cycle: Cycle) -> TimeRange:
    from tconnectsync.sync.window import caught_up, date_range, last_days

    clock, now = cycle.clock, cycle.now()
    if options.start_date is not None:
        return date_range(options.start_date, options.end_date, clock, now)
    wanted = last_days(options.days or 1, now)
    regular = {FEATURES[name].regular for name in options.features} - {""}
    newest = [cycle.nightscout.newest(event_type) for event_type in sorted(regular)]
    extended, cut_off = caught_up(wanted, newest, settings.catch_up_days)
    if extended.start < wanted.start:
        log.info("The last sync was longer ago; reaching back to %s.", clock.day(extended.start))
    if cut_off:
        log.warning(
            "The last sync was more than CATCH_UP_DAYS ago. For what is older, run tconnectsync "
            "with --start-date and --end-date."
        )
    return extended


def _progress(windows: list[TimeRange]) -> Iterable[TimeRange]:
    """Hand on the windows, with a bar on a terminal when there are several."""
    if len(windows) < 2 or not sys.stderr.isatty():
        yield from windows
        return
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    with logging_redirect_tqdm([logging.getLogger("tconnectsync")]):
        yield from tqdm(windows, unit="window", desc="Syncing")


def _print_plan(window: TimeRange, plan: Plan) -> None:
    from tconnectsync.sync.show import lines

    print(f"From {window.start:%Y-%m-%d %H:%M %z} to {window.end:%Y-%m-%d %H:%M %z}:")
    for line in lines(plan):
        print(line)


def _keep_quiet(window: TimeRange, plan: Plan) -> None:
    """Show nothing of a plan that is carried out anyway."""


def report(outcome: Outcome, options: argparse.Namespace, clock: PumpClock) -> int:
    """Say what was done and what was not; return the exit code."""
    done = f"{outcome.created} created, {outcome.updated} updated, {outcome.kept} unchanged"
    if options.pretend:
        print(f"Nothing was written (--pretend). Treatments that would be: {done}.")
    else:
        print(f"Treatments: {done}.")
    for what, times in outcome.skipped.most_common():
        log.warning("Left out because it is not understood: %s (%d times).", what, times)
    for failure in outcome.failures:
        log.error("%s failed. %s", _what(failure, clock), failure.reason)
    for command in commands(outcome.failures, options.pretend, clock):
        _say(f"To repeat what failed: {command}")
    return 1 if outcome.failures else 0


def _what(failure: Failure, clock: PumpClock) -> str:
    first, last = _days_of(failure.window, clock)
    return f"{' '.join(failure.features)} from {first} to {last}"


def _days_of(window: TimeRange, clock: PumpClock) -> tuple[date, date]:
    from datetime import timedelta

    return clock.day(window.start), clock.day(window.end - timedelta(microseconds=1))


def commands(failures: Sequence[Failure], pretend: bool, clock: PumpClock) -> list[str]:
    """Return the commands that repeat what failed, one for windows that follow each other."""
    by_window: dict[tuple[date, date], list[str]] = {}
    for failure in failures:
        names = by_window.setdefault(_days_of(failure.window, clock), [])
        names += [name for name in failure.features if name not in names]
    spans: list[tuple[date, date, list[str]]] = []
    for (first, last), names in by_window.items():
        if spans and spans[-1][2] == names and (first - spans[-1][1]).days <= 1:
            spans[-1] = (spans[-1][0], last, names)
        else:
            spans.append((first, last, names))
    return [
        f"tconnectsync --start-date {first} --end-date {last} --features {' '.join(names)}"
        + (" --pretend" if pretend else "")
        for first, last, names in spans
    ]
