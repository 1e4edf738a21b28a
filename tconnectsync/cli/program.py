"""The command line: options in, sentences and an exit code out.

The only room that prints, sets up logging and decides the exit code. Each thing that can be asked
for is a file with its name. What takes long to import is imported when it is needed, so that
``--help`` answers at once.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tconnectsync.cli.options import parse
from tconnectsync.cli.outputs import UnreadError, only_shows
from tconnectsync.cli.say import say_crash, say_why
from tconnectsync.errors import TconnectsyncError

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options


def run(arguments: Sequence[str] | None, host: Host | None) -> int:
    """Run the program; return 0 when done, 1 when something failed, 2 for wrong use."""
    try:
        options = parse(arguments)
        return _carry_out(options, host)
    except TconnectsyncError as error:
        return say_why(error)
    except (UnreadError, ModuleNotFoundError):
        raise
    except Exception as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None  # While something was imported.
        return say_crash()


def _carry_out(options: Options, host: Host | None) -> int:
    """Do what is asked for; return the exit code."""
    if options.demo or options.check_login or options.pretend:
        only_shows()
    if host is None:
        from tconnectsync.app import this_computer

        host = this_computer()
        # What is loaded by now stays: whenever garbage is collected, none of it is looked through.
        gc.freeze()
    if options.demo:
        from tconnectsync.cli.demo import demo

        return demo(options, host)
    if options.status:
        from tconnectsync.cli.status import status

        if options.accounts:
            from tconnectsync.cli.status import status_of_people

            return status_of_people(options, host)
        return status(str(options.env_file or ""), host, as_json=options.json)
    if options.setup:
        from tconnectsync.cli.setup import setup

        return setup(options, host)
    if options.check_login:
        from tconnectsync.cli.check_login import check_login

        return check_login(options, host)
    if options.shape_report:
        from tconnectsync.cli.shape_report import shape_report

        return shape_report(options, host)
    if options.report:
        from tconnectsync.cli.report import report

        return report(options, host)
    if options.export:
        from tconnectsync.cli.export import export

        return export(options, host)
    if options.forget:
        from tconnectsync.cli.forget import forget

        return forget(options, host)
    if options.auto_update:
        from tconnectsync.cli.auto_update import auto_update

        return auto_update(options, host)
    from tconnectsync.cli.sync import sync

    return sync(options, host)
