"""``--report``: writes a page with totals, and a picture for each day."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from tconnectsync import __version__
from tconnectsync.app import open_file, open_history, open_nightscout
from tconnectsync.cli.configure import configuration_of, show_log
from tconnectsync.cli.pagefile import file_to_write
from tconnectsync.cli.people import each_person
from tconnectsync.cli.progress import progress
from tconnectsync.cli.say import print_result, say
from tconnectsync.clouds import cloud_named
from tconnectsync.config.settings import NightscoutSettings, ReportSettings, SourceSettings
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.words import ending
from tconnectsync.errors import ApiError, ConfigError
from tconnectsync.redact import Redactor
from tconnectsync.sources.base import Remark
from tconnectsync.state.files import write_atomically
from tconnectsync.sync.run.window import date_range, last_days

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration, Settings
    from tconnectsync.domain.profiles import PumpSettings
    from tconnectsync.history import History
    from tconnectsync.nightscout.api import NightscoutApi
    from tconnectsync.report.model import Report
    from tconnectsync.sources.base import PumpSpan, SavedLog

log = logging.getLogger(__name__)

DAYS = 14
"""How many days a report covers unless told otherwise."""


def report(options: Options, host: Host) -> int:
    """Write the report of the range that the options name; return the exit code.

    It is 1 if something could not be read, which the page then says, or if there was nothing.

    Raises:
        ConfigError: the settings of the Tandem account, or UNITS, are missing or wrong.
        UsageError: the file to write is none that may be replaced.
        TconnectsyncError: the cloud cannot be asked.
    """
    return each_person(options, host, lambda one: _report(one, host))


def _report(options: Options, host: Host) -> int:
    path = file_to_write(options, host)
    configuration = configuration_of(options, host)
    settings = _settings(configuration)
    redactor = Redactor(configuration.secrets)
    show_log(options, configuration, redactor, settings.tandem.zone)
    file = open_file(options.import_log, settings, host) if options.import_log else None
    history = open_history(settings, host, file=file)
    chosen = range_of(options, history, file)
    first, last = history.clock.days(chosen)
    log.info(
        f"tconnectsync {__version__}: a report from {_name_of(options, settings)}, {first} to "
        f"{last}. Times are those of the pump, {settings.tandem.zone.key}. {configuration.origin}"
    )
    for notice in configuration.notices():
        log.log(logging.INFO if options.quiet else logging.WARNING, notice)
    return _read_and_write(path, options, configuration, settings, history, chosen, host)


def _read_and_write(
    path: Path,
    options: Options,
    configuration: Configuration,
    settings: Settings,
    history: History,
    chosen: TimeRange,
    host: Host,
) -> int:
    from tconnectsync.report.figures import has_data, make_report
    from tconnectsync.report.remarks import sentences

    nightscout, why_not = _nightscout(configuration, settings, host)
    pumps = [pump for pump in history.pumps(chosen) if pump.is_read]
    report = make_report(
        history,
        chosen,
        pumps=_names(pumps, settings),
        person=options.person or "",
        mmol=_is_mmol(settings, pumps),
        settings=None if options.import_log else settings_of_pump(history),
        nightscout=nightscout,
        why_not_compared=why_not,
        progress=progress,
    )
    levels = sentences(history.outcome, history.clock)
    for sentence in report.remarks:
        log.log(levels.get(sentence, logging.WARNING), sentence)
    if not has_data(report):
        say(f"tconnectsync: {_nothing(report, pumps, is_read=not history.outcome.failures)}")
        return 1
    has_site = "NS_URL" in configuration.given
    if report.why_not_compared:
        log.log(logging.ERROR if has_site else logging.INFO, report.why_not_compared)
    is_complete = history.outcome.is_complete and not (has_site and report.why_not_compared)
    try:
        _write(path, report, configuration)
    except OSError as error:
        say(f"tconnectsync: The report cannot be written to {path} ({error.strerror}).")
        return 1
    if not options.quiet:
        print_result(f"The report is in {path}.")
    return 0 if is_complete else 1


def settings_of_pump(history: History) -> PumpSettings | None:
    """Return what the pump is set to, ``None`` if unknown.

    Guardians are never shown it, so a report without it is all that there is for them.
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


def _write(path: Path, report: Report, configuration: Configuration) -> None:
    """Write the page, without anything in its sentences that must not be shown."""
    from tconnectsync.report.page import render

    redactor = Redactor(configuration.secrets)
    if configuration.site_address:
        redactor.learn_address("NS_URL", configuration.site_address)

    def shown(text: str) -> str:
        return configuration.without_folders(redactor.sentence(text))

    report = replace(
        report,
        remarks=[shown(text) for text in report.remarks],
        why_not_compared=shown(report.why_not_compared),
    )
    write_atomically(path, render(report))


def range_of(options: Options, history: History, file: SavedLog | None) -> TimeRange:
    """Return the range of the report: whole days of the pump's calendar, up to now at most.

    The day on which the last days begin is taken whole: a part of it would only mislead.
    """
    clock, now = history.clock, history.now()
    if options.dates:
        return date_range(*options.dates, clock, now)
    chosen = file.covered if file else last_days(options.days or DAYS, now)
    return TimeRange(clock.midnight(clock.day(chosen.start)), chosen.end)


def _settings(configuration: Configuration) -> Settings:
    """Return the settings for a report; of basals without insulin, it has to know.

    Raises:
        ConfigError: the settings of the Tandem account, or UNITS, are missing or wrong.
    """
    settings = configuration.completed()
    configuration.group(SourceSettings)
    configuration.group(ReportSettings)
    return replace(settings, sync=replace(settings.sync, ignore_zero_unit_basal=False))


def _nightscout(
    configuration: Configuration, settings: Settings, host: Host
) -> tuple[NightscoutApi | None, str]:
    """Return the site to compare with; if there is none, ``None`` and why."""
    from tconnectsync.report.figures import NO_SITE

    if "NS_URL" not in configuration.given:
        return None, NO_SITE
    try:
        configuration.group(NightscoutSettings)
    except ConfigError as error:
        problems = " ".join(error.problems)
        return None, f"The settings of Nightscout cannot be used for a comparison. {problems}"
    return open_nightscout(settings.nightscout, host.clock), ""


def _is_mmol(settings: Settings, pumps: Sequence[PumpSpan]) -> bool:
    """Return whether glucose is shown in mmol/L: as UNITS says, else the pump in use, if known."""
    if settings.report.units:
        return settings.report.units == "mmol/L"
    in_use = sorted(pumps, key=lambda pump: not pump.in_use)
    return next((pump.mmol for pump in in_use if pump.mmol is not None), False)


def _names(pumps: Sequence[PumpSpan], settings: Settings) -> list[str]:
    """Return the names of the pumps; where the cloud has none, the end of the serial number."""
    number = settings.source.serial_number
    return [pump.name for pump in pumps] or ([ending(number)] if number else [])


def _name_of(options: Options, settings: Settings) -> str:
    title = cloud_named(settings.source.name).title
    if options.import_log:
        return f"{options.import_log.name}, a saved log of {title}"
    return title


def _nothing(report: Report, pumps: Sequence[PumpSpan], *, is_read: bool) -> str:
    """Say that there is nothing to show, and what days there would be."""
    days = f"{report.first} to {report.last}"
    if not is_read:
        return f"Nothing could be read of {days}, so no report was written."
    first = min((pump.first for pump in pumps if pump.first), default=None)
    last = max((pump.last for pump in pumps if pump.last), default=None)
    known = f" The cloud has data from {first.date()} to {last.date()}." if first and last else ""
    return f"There are no data of the pump from {days}, so no report was written.{known}"
