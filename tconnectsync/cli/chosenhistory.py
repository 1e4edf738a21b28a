"""What ``--report`` and ``--export`` have in common: which days they read, and with which settings.

Both read a range of the pump's history, from the cloud or a saved log, and need no Nightscout.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from tconnectsync import __version__
from tconnectsync.cli.startline import source_in_words
from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import ApiError, UsageError
from tconnectsync.sources.base import Remark
from tconnectsync.sync.run.window import date_range, last_days

if TYPE_CHECKING:
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration, Settings
    from tconnectsync.domain.profiles import PumpSettings
    from tconnectsync.history import History
    from tconnectsync.sources.base import SavedLog

log = logging.getLogger(__name__)

DAYS = 14
"""How many days are read unless others are asked for."""


def settings_to_read(options: Options, configuration: Configuration) -> Settings:
    """Return the settings; basals without insulin are read too, whatever is set for Nightscout.

    Raises:
        ConfigError: the settings of the Tandem account, for a saved log the time zone, are missing
            or wrong.
    """
    settings = configuration.completed(with_account=options.import_log is None)
    return replace(settings, sync=replace(settings.sync, ignore_zero_unit_basal=False))


def range_of(options: Options, history: History, file: SavedLog | None) -> TimeRange:
    """Return the range to read: whole days of the pump's calendar, up to now at most.

    The day on which the last days begin is taken whole: a part of it would only mislead.

    Raises:
        UsageError: the dates lie in the future, or a saved log is about other days.
    """
    clock, now = history.clock, history.now()
    if options.dates:
        chosen = date_range(*options.dates, clock, now)
        if file and (chosen.start >= file.covered.end or chosen.end <= file.covered.start):
            first, last = clock.days(file.covered)
            raise UsageError(f"The saved log is about {first} to {last}; give dates of that time.")
        return chosen
    chosen = file.covered if file else last_days(options.days or DAYS, now)
    return TimeRange(clock.midnight(clock.day(chosen.start)), chosen.end)


def say_start(
    what: str,
    options: Options,
    configuration: Configuration,
    settings: Settings,
    history: History,
    time_range: TimeRange,
) -> None:
    """Say which version makes ``what`` from which source and days, and what settings call for."""
    first, last = history.clock.days(time_range)
    log.info(
        f"tconnectsync {__version__}: {what} from {source_in_words(options, settings)}, {first} to "
        f"{last}. Times are those of the pump, {settings.tandem.zone.key}. {configuration.origin}"
    )
    for notice in configuration.notices():
        log.log(logging.INFO if options.quiet else logging.WARNING, notice)


def settings_of_pump(history: History) -> PumpSettings | None:
    """Return what the pump is set to, ``None`` if unknown.

    Guardians are never shown it, so without it they still have all that there is for them.
    """
    found = history.settings()
    for failure in list(history.outcome.failures):
        error = failure.error
        is_lacking = isinstance(error, ApiError) and not (error.can_retry or error.changed)
        if failure.features == ("PROFILES",) and is_lacking:
            history.outcome.failures.remove(failure)
            text = "The pump's basal profile is not shown: Tandem does not give it to this account."
            history.outcome.remark([Remark(text, missing=False, asks_something=False)])
    return found
