"""``--export``: writes the data of the pump to files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.app import open_file, open_history
from tconnectsync.cli.chosenhistory import (
    range_of,
    say_start,
    settings_of_pump,
    settings_to_read,
)
from tconnectsync.cli.configure import configuration_of, show_log
from tconnectsync.cli.people import each_person
from tconnectsync.cli.progress import progress_of
from tconnectsync.cli.say import say
from tconnectsync.domain.words import number_of
from tconnectsync.errors import TconnectsyncError
from tconnectsync.export.columns import KINDS
from tconnectsync.export.fileformat import CSV, FORMATS
from tconnectsync.export.folder import Folder, month_of
from tconnectsync.export.rangeexport import Export
from tconnectsync.places import whole_path
from tconnectsync.redact import Redactor
from tconnectsync.stop import Stop, Stopped
from tconnectsync.sync.run.unread import sentences

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.history import History

log = logging.getLogger(__name__)

STOPPED = "Stopped. Each file is whole, the old one or the new one. Start the same command again."


def export(options: Options, host: Host) -> int:
    """Write the files of the range that the options name; return the exit code.

    Raises:
        ConfigError: the settings of the Tandem account are missing or wrong.
        UsageError: the folder cannot be used, or holds files that are not ours.
        TconnectsyncError: nothing can be read, or files cannot be written.
    """
    stop = Stop(host.clock.monotonic)
    try:
        with stop.listening():
            return each_person(options, host, lambda one: _export(one, host))
    except Stopped as stopped:
        say(str(stopped) or STOPPED)
        return 1


def _export(options: Options, host: Host) -> int:
    configuration = configuration_of(options, host)
    settings = settings_to_read(options, configuration)
    show_log(options, configuration, Redactor(configuration.secrets), settings.tandem.zone)
    folder = _folder(options, host)
    file = open_file(options.import_log, settings, host) if options.import_log else None
    every_day = options.dates is not None
    history = open_history(settings, host, file=file, every_day=every_day)
    work = Export(history, history.as_covered(range_of(options, history, file)), folder)
    say_start("files", options, configuration, settings, history, work.range)
    with folder.held(host.clock):
        folder.check({*work.months, month_of(history.clock.day(history.now()))})
        try:
            work.run(progress_of(options))
            if not file and work.rows and (found := settings_of_pump(history)):
                work.write_profiles(found)
        except TconnectsyncError:
            _say_outcome(work, folder, history)
            raise
    return _say_outcome(work, folder, history)


def _folder(options: Options, host: Host) -> Folder:
    path = Path(whole_path(str(options.export), str(host.folder)))
    return Folder(path / (options.person or ""), FORMATS[options.format or CSV.name])


def _say_outcome(work: Export, folder: Folder, history: History) -> int:
    """Say what was exported and what was not; return the exit code."""
    counted = [number_of(work.rows[kind.name], kind.noun) for kind in KINDS if work.rows[kind.name]]
    if counted:
        files = number_of(len(work.files), "file")
        log.info("Exported: %s, in %s in %s.", ", ".join(counted), files, folder.path)
    else:
        log.info("Nothing was exported.")
    for text, level in sentences(history.outcome, history.clock).items():
        # Most runs write to a site, and this is said of it.
        log.log(level, text.replace("in Nightscout", "in the files"))
    if history.outcome.failures:
        log.error("What the files held of it before is kept. Start the same command again.")
    return 0 if history.outcome.is_complete else 1
