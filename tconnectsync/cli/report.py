"""``--report``: writes a page with totals, and a picture for each day."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from tconnectsync.app import open_file, open_history, open_nightscout
from tconnectsync.cli.chosenhistory import (
    range_of,
    say_start,
    settings_of_pump,
    settings_to_read,
)
from tconnectsync.cli.configure import configuration_of, show_log
from tconnectsync.cli.pagefile import file_to_write, write_page
from tconnectsync.cli.people import each_person
from tconnectsync.cli.progress import progress
from tconnectsync.cli.say import print_result, say
from tconnectsync.config.settings import NightscoutSettings, ReportSettings
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.words import ending
from tconnectsync.errors import ConfigError
from tconnectsync.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration, Settings
    from tconnectsync.history import History
    from tconnectsync.nightscout.api import NightscoutApi
    from tconnectsync.report.model import Report
    from tconnectsync.sources.base import PumpSpan

log = logging.getLogger(__name__)


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
    settings = settings_to_read(options, configuration)
    configuration.group(ReportSettings)
    redactor = Redactor(configuration.secrets)
    show_log(options, configuration, redactor, settings.tandem.zone)
    file = open_file(options.import_log, settings, host) if options.import_log else None
    every_day = options.dates is not None
    history = open_history(settings, host, file=file, every_day=every_day)
    chosen = range_of(options, history, file)
    say_start("a report", options, configuration, settings, history, chosen)
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
    from tconnectsync.report.figures import make_report
    from tconnectsync.report.page import render
    from tconnectsync.sync.run.unread import sentences

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
    if not any(day.has_data for day in report.days):
        say(f"tconnectsync: {_nothing(report, pumps, is_read=not history.outcome.failures)}")
        return 1
    has_site = "NS_URL" in configuration.given
    if report.why_not_compared:
        log.log(logging.ERROR if has_site else logging.INFO, report.why_not_compared)
    is_complete = history.outcome.is_complete and not (has_site and report.why_not_compared)
    if not write_page(path, render(_without_secrets(report, configuration))):
        return 1
    if not options.quiet:
        print_result(f"The report is in {path}.")
    return 0 if is_complete else 1


def _without_secrets(report: Report, configuration: Configuration) -> Report:
    """Return a report without anything in its sentences that must not be shown."""
    redactor = Redactor(configuration.secrets)
    if configuration.site_address:
        redactor.learn_address("NS_URL", configuration.site_address)

    def shown(text: str) -> str:
        return configuration.without_folders(redactor.sentence(text))

    return replace(
        report,
        remarks=[shown(text) for text in report.remarks],
        why_not_compared=shown(report.why_not_compared),
    )


def _nightscout(
    configuration: Configuration, settings: Settings, host: Host
) -> tuple[NightscoutApi | None, str]:
    """Return the site to compare with; if there is none, ``None`` and why."""
    from tconnectsync.report.compare import NO_SITE

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


def _nothing(report: Report, pumps: Sequence[PumpSpan], *, is_read: bool) -> str:
    """Say that there is nothing to show, and what days there would be."""
    days = f"{report.first} to {report.last}"
    if not is_read:
        return f"Nothing could be read of {days}, so no report was written."
    first = min((pump.first for pump in pumps if pump.first), default=None)
    last = max((pump.last for pump in pumps if pump.last), default=None)
    known = f" The cloud has data from {first.date()} to {last.date()}." if first and last else ""
    return f"There are no data of the pump from {days}, so no report was written.{known}"
