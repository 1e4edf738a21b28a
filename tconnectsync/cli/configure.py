"""From options and settings to what a run needs: checked settings, the log, and the watch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tconnectsync.app import find_site, open_watch
from tconnectsync.cli.options import check_available
from tconnectsync.cli.startline import start_line
from tconnectsync.clouds import clouds_with_files
from tconnectsync.config.settings import WatchSettings
from tconnectsync.errors import ConfigError
from tconnectsync.logoutput import enable_logging
from tconnectsync.redact import Redactor
from tconnectsync.sync.run.window import date_range, last_days

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration, Settings
    from tconnectsync.domain.clock import PumpClock, TimeRange
    from tconnectsync.watch.watch import Watch

log = logging.getLogger(__name__)


def configuration_of(options: Options, host: Host) -> Configuration:
    """Return what is configured; the options overrule it.

    Raises:
        UsageError: the file that was named does not exist.
    """
    source = options.source
    if options.import_log and source is None:
        source = clouds_with_files()[0].name
    chosen = {"TCONNECT_SOURCE": source, "TCONNECT_REGION": options.region}
    if options.features:
        chosen["FEATURES"] = ",".join(options.features)
    return host.configuration(chosen, options.env_file, options.one)


def watch_of(options: Options, configuration: Configuration, host: Host) -> Watch:
    """Return what records how this run goes."""
    name = options.one.name if options.one else ""
    keep = not options.pretend
    return open_watch(configuration, host, person=name, continuous=options.auto_update, keep=keep)


def check_features(options: Options, configuration: Configuration) -> None:
    """Refuse features of the command line that the chosen cloud cannot bring.

    Raises:
        UsageError: the cloud lacks a chosen feature.
    """
    source = configuration.values.get("TCONNECT_SOURCE")
    testing = configuration.values.get("ENABLE_TESTING_MODES", False)
    if options.features and source:
        check_available(options.features, source, testing_enabled=testing)


def range_of(options: Options, clock: PumpClock, now: datetime) -> TimeRange:
    """Return the range that the options name: dates, or the last days."""
    if options.dates:
        return date_range(*options.dates, clock, now)
    return last_days(options.days or 1, now)


def show_log(
    options: Options, configuration: Configuration, redactor: Redactor, zone: tzinfo | None
) -> None:
    """Show the log as the options and the settings say, without what the redactor hides."""
    settings = configuration.usable(WatchSettings)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    if options.verbose or options.quiet:
        level = options.log_level
    enable_logging(level, redactor, zone, as_json=settings.log_format == "json")


def settings_of(options: Options, configuration: Configuration, host: Host) -> Settings:
    """Set up the log, and return the settings with the site's own address.

    Raises:
        ConfigError: a setting is missing or wrong.
        UsageError: the cloud lacks a chosen feature.
        TconnectsyncError: Nightscout cannot be asked where it is.
    """
    try:
        settings = configuration.settings()
    except ConfigError:
        if configuration.usable(WatchSettings).log_format == "json":
            show_log(options, configuration, Redactor(configuration.secrets), configuration.zone)
        raise
    check_features(options, configuration)
    show_log(options, configuration, Redactor(configuration.secrets), settings.tandem.zone)
    log.info("%s %s", start_line(options, settings), configuration.origin)
    for notice in configuration.notices():
        # It says what the person has set: nothing that a job has to report every time.
        log.log(logging.INFO if options.quiet else logging.WARNING, notice)
    for sentence in configuration.information():
        log.info(sentence)
    return find_site(settings, host.clock, patient=options.auto_update)
