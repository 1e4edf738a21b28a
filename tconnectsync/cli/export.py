"""``--export``: writes the data of the pump to files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync import __version__
from tconnectsync.app import open_file, open_history
from tconnectsync.cli.configure import configuration_of, range_of, show_log
from tconnectsync.cli.people import each_person
from tconnectsync.cli.progress import progress_of
from tconnectsync.cli.say import level_of, say, say_what_was_left_out
from tconnectsync.clouds import cloud_named
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.words import number_of
from tconnectsync.errors import TconnectsyncError, UsageError
from tconnectsync.export.columns import KINDS
from tconnectsync.export.export import Export
from tconnectsync.export.fileformat import CSV, FORMATS
from tconnectsync.export.folder import Folder, month_of
from tconnectsync.places import whole_path
from tconnectsync.redact import Redactor
from tconnectsync.sources.base import Remark
from tconnectsync.stop import Stop, Stopped

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.history import History
    from tconnectsync.sources.base import SavedLog
    from tconnectsync.sync.run.outcome import Failure

log = logging.getLogger(__name__)

STOPPED = "Stopped. Each file is whole, the old one or the new one. Start the same command again."
NOUNS = {
    "basals": "basal",
    "boluses": "bolus",
    "events": "event",
    "readings": "reading",
    "status": "status",
    "profiles": "profile segment",
}
"""What a row of a kind is called."""


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
    settings = configuration.completed()
    show_log(options, configuration, Redactor(configuration.secrets), settings.tandem.zone)
    folder = _folder(options, host)
    file = open_file(options.import_log, settings, host) if options.import_log else None
    file_name = options.import_log.name if options.import_log else ""
    log.info(
        "tconnectsync %s: %s to files in %s. Times are those of the pump, %s.",
        __version__,
        f"the saved log {file_name}" if file_name else cloud_named(settings.source.name).title,
        folder.path,
        settings.tandem.zone.key,
    )
    history = open_history(settings, host, file=file)
    work = Export(history, _range(options, history, file), folder)
    with folder.held(host.clock):
        folder.check({*work.months, month_of(history.clock.day(history.now()))})
        try:
            work.run(progress_of(options))
            if not file and (found := history.settings()):
                work.write_profiles(found)
                for broken in found.broken:
                    text = f"The profile {broken.name or 'without a name'} is left out"
                    history.outcome.remark([Remark(f"{text}: {broken.why}.")])
        except TconnectsyncError:
            _say_outcome(work, folder, history)
            raise
    return _say_outcome(work, folder, history)


def _folder(options: Options, host: Host) -> Folder:
    path = Path(whole_path(str(options.export), str(host.folder)))
    return Folder(path / (options.person or ""), FORMATS[options.format or CSV.name])


def _range(options: Options, history: History, file: SavedLog | None) -> TimeRange:
    """Return the range to export: of a saved log all, or what it holds of the dates.

    Raises:
        UsageError: it holds nothing of them, or they lie in the future.
    """
    if file is None:
        return range_of(options, history.clock, history.now())
    covered = file.covered
    if not options.dates:
        return covered
    asked = range_of(options, history.clock, history.now())
    both = TimeRange(max(asked.start, covered.start), min(asked.end, covered.end))
    if both.start >= both.end:
        first, last = history.clock.days(covered)
        raise UsageError(f"The saved log is about {first} to {last}; give dates of that time.")
    return both


def _say_outcome(work: Export, folder: Folder, history: History) -> int:
    """Say what was exported and what was not; return the exit code."""
    counted = [number_of(work.rows[kind.name], NOUNS[kind.name]) for kind in KINDS]
    found = [text for kind, text in zip(KINDS, counted, strict=True) if work.rows[kind.name]]
    if found:
        files = number_of(len(work.files), "file")
        log.info("Exported: %s, in %s in %s.", ", ".join(found), files, folder.path)
    else:
        log.info("Nothing to export: the pump did nothing in that time that is known.")
    outcome = history.outcome
    say_what_was_left_out(outcome, "the files")
    for remark in outcome.remarks:
        # They are about the site that most runs write to.
        log.log(level_of(remark), remark.text.replace("in Nightscout", "in the files"))
    for failure in outcome.failures:
        first, last = history.clock.days(failure.window)
        log.error(
            "%s from %s to %s could not be read. %s", _kinds(failure), first, last, failure.error
        )
    if outcome.failures:
        log.error("What the files held of it before is kept. Start the same command again.")
    return 0 if outcome.is_complete else 1


def _kinds(failure: Failure) -> str:
    names = [kind.name for kind in KINDS if kind.features & {*failure.features}]
    return ", ".join(names).capitalize() or "Something"
