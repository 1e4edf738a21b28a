"""``--shape-report``: writes what Tandem's answers are made of, for those who adapt the program.

The file holds names of keys, types, and numbers of the pump's events with how often they came; no
value of any answer (see :mod:`tconnectsync.api.shapes`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tconnectsync import __version__
from tconnectsync.api.shapes import Shapes
from tconnectsync.app import open_tandem
from tconnectsync.cli.configure import configuration_of, range_of
from tconnectsync.cli.people import each_person
from tconnectsync.cli.say import print_result, say
from tconnectsync.clouds import cloud_named
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.words import times_in_words
from tconnectsync.errors import TconnectsyncError
from tconnectsync.logoutput import enable_logging
from tconnectsync.redact import Redactor
from tconnectsync.state.files import own_file, write_atomically
from tconnectsync.sync.features import FEATURES, parts_of

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.sources.base import Source

FILE_NAME = "tconnectsync-shapes.txt"


def shape_report(options: Options, host: Host) -> int:
    """Ask the cloud for the days that the options say, and write the report; return the exit code.

    It is 0 also if something differs: the file is what was asked for.

    Raises:
        ConfigError: the settings of the Tandem account are missing or wrong.
    """
    return each_person(options, host, lambda one: _report(one, host))


def _report(options: Options, host: Host) -> int:
    configuration = configuration_of(options, host)
    settings = configuration.completed(with_pump=False)
    redactor = Redactor(configuration.secrets)
    level = logging.DEBUG if options.verbose else logging.ERROR
    enable_logging(level, redactor, settings.tandem.zone)
    cloud, clock = cloud_named(settings.source.name), PumpClock(settings.tandem.zone)
    api = open_tandem(settings.tandem, host)
    source = cloud.open_source(api, settings, clock, host.clock, needs_readings=True)
    chosen = range_of(options, clock, host.clock.now())
    problems = list(_ask(source, chosen))
    lines = [
        f"Shapes of {cloud.title}'s answers, seen by tconnectsync {__version__}.",
        "Names of keys, types and numbers of events only; names that this version does not know",
        "are shown only if they are built of common words.",
        "",
        *_lines(api.shapes or Shapes(list)),
        *(f"problem: {kind}" for kind in problems),
    ]
    try:
        path = own_file(host.folder / FILE_NAME, options.person or "")
        write_atomically(path, "\n".join([*lines, ""]))
    except OSError as error:
        say(f"tconnectsync: The report cannot be written to this folder ({error.strerror}).")
        return 1
    print_result("\n".join(lines))
    print_result(f"Written to {path.name}. It holds no values, so it can be posted in public.")
    if problems:
        say("Not everything could be asked for; tconnectsync --check-login says why.")
    return 0


def _ask(source: Source, chosen: TimeRange) -> Iterator[str]:
    """Ask for everything that a sync may need; yield the kinds of what fails."""
    reader = source.read(chosen)
    questions: list[Callable[[], object]] = [
        lambda: source.pumps(chosen),
        source.upload_counter,
        *(getattr(reader, part) for part in parts_of(FEATURES)),
        source.pump_settings,
    ]
    for question in questions:
        try:
            question()
        except TconnectsyncError as error:
            status = getattr(error, "status", None)
            yield f"{type(error).__name__}{f' (HTTP {status})' if status else ''}"
            if error.fatal:
                return


def _lines(shapes: Shapes) -> Iterator[str]:
    differences = shapes.found()
    for (endpoint, status), times in sorted(shapes.asked.items()):
        yield f"{endpoint}: HTTP {status}, {times_in_words(times)}"
    yield ""
    if not differences:
        yield "Nothing differs from what this version knows."
    for each in differences:
        seen = shapes.times[each]
        yield f"{each.endpoint}: {each.what}" + (
            f" ({times_in_words(seen)})" if seen else " (earlier)"
        )
