"""`--setup`: asks, tries each answer at once, writes the settings, shows how to keep it running."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.app import open_nightscout, open_tandem
from tconnectsync.cli.ask import choose, confirm
from tconnectsync.cli.commands import program, quoted
from tconnectsync.cli.interview import Interview
from tconnectsync.cli.say import say
from tconnectsync.config.envfile import env_files
from tconnectsync.errors import UsageError
from tconnectsync.logoutput import enable_logging
from tconnectsync.setup.backup import replace_with_backup
from tconnectsync.setup.draft import Draft
from tconnectsync.setup.keeprunning import (
    ENABLE,
    USER_UNIT,
    to_paste,
    unit_to_paste,
    user_unit,
)
from tconnectsync.setup.trials import Trials
from tconnectsync.stop import Stop, Stopped

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options

WELCOME = """\
This asks for what tconnectsync needs, and tries every answer at once. Nothing is written before
the last question; Ctrl-C ends it at any time and changes nothing. In square brackets stands what
you get by pressing Enter."""


def setup(options: Options, host: Host) -> int:
    """Ask the questions, write the settings; return the exit code.

    Raises:
        UsageError: there is no terminal, or the file cannot be changed.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            "--setup asks questions, so it needs a terminal. In Docker: docker run -it. Without "
            "one, copy .env.example to .env and fill it in."
        )
    stop = Stop(host.clock.monotonic)
    with stop.listening():
        try:
            return _converse(options, host, stop)
        except (Stopped, EOFError):
            say("\nStopped. Nothing was written; everything is as it was.")
            return 1


def _converse(options: Options, host: Host, stop: Stop) -> int:
    trials = Trials(
        host.clock,
        lambda settings: open_tandem(settings, host, insist=True),
        lambda settings: open_nightscout(settings, host.clock),
    )
    # What is to be said is said between the questions.
    enable_logging(logging.DEBUG if options.verbose else logging.CRITICAL, trials.redactor)
    print(WELCOME)
    draft = Draft(_file(options, host), host.environment)
    if draft.is_foreign:
        print(f"{draft.path} holds settings, but not of tconnectsync; they stay as they are.")
        if not confirm("Add those of tconnectsync to it", proposed=False):
            raise UsageError("Nothing was written. Choose another file with --env-file.")
    interview = Interview(draft, trials, options.source, options.region)
    interview.run()
    words = [*_program(), "--env-file", str(draft.path)]
    unit = host.home / USER_UNIT if sys.platform == "linux" and shutil.which("systemctl") else None
    writes_unit = unit is not None and confirm(
        f"Write {unit}, so that systemd can run it continuously",
        proposed=False,
    )
    if not confirm(f"Write the settings to {draft.path}", proposed=True):
        raise EOFError
    try:
        with stop.writing():
            _write(draft)
            if interview.is_logged_in:
                trials.keep_login(draft.configuration())
            if unit and writes_unit:
                _write_unit(unit, words)
    except Stopped:
        if draft.is_written:
            say(f"Stopped. The settings are in {draft.path} already.")
            return 1
        raise
    _say_how_to_go_on(words, draft.path, host.home, unit, is_written=writes_unit)
    return 0


def _file(options: Options, host: Host) -> Path:
    """Return where the settings are to be written."""
    if options.env_file:
        return (host.folder / options.env_file.expanduser()).absolute()
    here, usual = env_files(host.home, host.folder)
    if here.exists() or not usual.exists():
        return here
    print("There are settings already, and none in this folder:")
    return (usual, here)[choose("Which file", [f"Change {usual}", f"Write a new one, {here}"]) - 1]


def _write(draft: Draft) -> None:
    try:
        backup = draft.write()
    except OSError as error:
        raise UsageError(
            f"{draft.path} cannot be written ({error.strerror}). Choose another with --env-file."
        ) from None
    print(f"\nWritten: {draft.path}; only you can read it.")
    if backup:
        print(f"What it held before is in {backup}.")
    for name in draft.overruled():
        print(f"Warning: {name} is set in the environment too, and overrules the file. Remove it.")
    for sentence in draft.configuration().notices():
        print(f"Note: {sentence}")


def _write_unit(unit: Path, words: list[str]) -> None:
    try:
        backup = replace_with_backup(unit, user_unit(words))
    except OSError as error:
        say(f"{unit} cannot be written ({error.strerror}). The settings are written.")
        return
    print(f"Written: {unit}." + (f" What it held before is in {backup}." if backup else ""))


def _say_how_to_go_on(
    words: list[str], env_file: Path, home: Path, unit: Path | None, *, is_written: bool
) -> None:
    print("\nLook first; this writes nothing:")
    print(f"\n{quoted([*words, '--pretend'])}\n")
    print("Sync once:")
    print(f"\n{quoted(words)}\n")
    print("To keep Nightscout up to date, choose one:")
    found = to_paste(
        sys.platform, words, env_file, home, has_docker=shutil.which("docker") is not None
    )
    if is_written:
        found.insert(0, ("Continuously, by systemd, which has the file now:", ENABLE))
    elif unit:
        found.insert(0, unit_to_paste(words, home))
    for title, text in found:
        print(f"\n{title}\n\n{text}")
    print(f"\nWhether all is well, at any time:\n\n{quoted([*words, '--status'])}")


def _program() -> list[str]:
    """Return the words that start this program, also where no PATH is set, as in cron."""
    command, *others = program(sys.argv[0])
    return [shutil.which(command) or command, *others]
