"""``--check-login``: shows what comes of each step that a sync needs, and writes a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconnectsync.app import open_check
from tconnectsync.check.run import State
from tconnectsync.cli.configure import check_features, configuration_of, range_of
from tconnectsync.cli.people import each_person
from tconnectsync.cli.say import print_result, say
from tconnectsync.domain.words import number_of
from tconnectsync.logoutput import enable_logging

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options


def check_login(options: Options, host: Host) -> int:
    """Try what a sync needs, show what comes of each step, write a report; return the exit code."""
    return each_person(options, host, lambda one: _check(one, host))


def _check(options: Options, host: Host) -> int:
    configuration = configuration_of(options, host)
    check_features(options, configuration)
    check = open_check(configuration, configuration.values.get("FEATURES", ()), host)
    enable_logging(options.log_level, check.redactor, check.clock.zone)
    chosen = range_of(options, check.clock, check.started)
    failed: list[int] = []
    for result in check.run(chosen):
        if not (options.quiet and result.state is State.OK):
            print_result(str(result))
        if result.state is State.FAILED:
            failed.append(result.exit_code)
    is_silent = options.quiet and not failed
    if not is_silent:
        print_result(f"{number_of(len(failed), 'step')} failed." if failed else "No step failed.")
    try:
        path = check.save_report(chosen, host.folder, options.person or "")
    except OSError as error:
        say(f"tconnectsync: The report cannot be written to this folder ({error.strerror}).")
        return 1
    if is_silent:
        return 0
    print_result(
        f"{path.name} holds all answers, for those who help you. Known personal data are "
        "replaced in it. Read it before you share it"
        + ("." if check.owner_known else ": Tandem did not send the names to hide.")
    )
    return max(failed, default=0)
