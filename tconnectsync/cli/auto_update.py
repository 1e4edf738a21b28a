"""``--auto-update``: syncs whenever the pump has uploaded, until asked to stop."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tconnectsync.cli.outputs import UnreadError
from tconnectsync.cli.people import People
from tconnectsync.cli.personloop import REFUSED, REST, PersonLoop
from tconnectsync.cli.sync import NOTHING_LOST
from tconnectsync.logoutput import enable_logging
from tconnectsync.person import about
from tconnectsync.stop import Stop, Stopped, StopTogether
from tconnectsync.sync.loop.loop import Turn, run_alone, run_together
from tconnectsync.sync.loop.step import Next
from tconnectsync.watch.systemd import Systemd

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options

log = logging.getLogger(__name__)


def auto_update(options: Options, host: Host) -> int:
    """Sync whenever a pump has uploaded, until asked to stop; return the exit code."""
    systemd = Systemd(host.environment)
    host = replace(host, clock=systemd.watched(host.clock))
    together = StopTogether()
    stop = Stop(host.clock.monotonic, on_request=together.ask)
    loops: dict[str, PersonLoop] = {}
    try:
        with stop.listening():
            if options.accounts:
                people = People(options, host)
                loops = _loops(people, options, host, together)
                turns = _turns(loops, options, together)
                code = run_together(turns, host.clock, people.threads)
            else:
                host = replace(host, clock=stop.clock(host.clock))
                loop = PersonLoop(options, host, stop.writing, stays=options.stay)
                loops = {"": loop}
                code = _run_alone(loop, options, host)
            if code == REFUSED and any(loop.is_unremembered for loop in loops.values()):
                log.error(
                    "No file can be written that remembers the refused password, so the next start "
                    "would send it again, and Tandem locks accounts. Ending in %.0f minutes.",
                    REST / 60,
                )
                host.clock.sleep(REST)
            return code
    except Stopped as stopped:
        together.wait()
        if stopped.waited:
            log.debug("A write could go on for %.2f s.", stopped.waited)
        _say_what_is_left(loops)
        return 0
    finally:
        systemd.notify("STOPPING=1")


def _say_what_is_left(loops: Mapping[str, PersonLoop]) -> None:
    """Say what the next run has to do, once if it is the same for all."""
    left = {name: loop.what_is_left() for name, loop in loops.items()}
    if len(set(left.values())) <= 1:
        log.info(next(iter(left.values()), NOTHING_LOST))
        return
    for name, text in left.items():
        with about(name):
            log.info(text)


def _run_alone(loop: PersonLoop, options: Options, host: Host) -> int:
    if not options.stay:
        return run_alone(loop.turn, host.clock)
    enable_logging(options.log_level)
    return run_alone(_lasting(loop), host.clock)


def _loops(
    people: People, options: Options, host: Host, together: StopTogether
) -> dict[str, PersonLoop]:
    people.show_log(options)
    host = replace(host, clock=together.clock(host.clock))
    return {
        name: PersonLoop(
            one,
            host,
            together.writing,
            stays=True,
            read=people.read,
            problem=partial(people.problem_of, name),
        )
        for name, one in people.options.items()
    }


def _turns(
    loops: dict[str, PersonLoop], options: Options, together: StopTogether
) -> dict[str, Turn]:
    """Return what each person's turn is, as it is taken in any thread."""

    def turn_of(name: str, loop: PersonLoop) -> Turn:
        lasting = _lasting(loop)

        def turn() -> Next:
            try:
                with together.working(), about(name):
                    following = lasting()
            except Stopped:
                return Next(exit_code=0)
            except UnreadError:
                return Next(exit_code=1)
            nothing_left = all(each.exit_code in (0, REFUSED) for each in loops.values())
            if nothing_left and loop.exit_code == REFUSED and not options.stay:
                return Next(exit_code=REFUSED)
            return following

        return turn

    return {name: turn_of(name, loop) for name, loop in loops.items()}


def _lasting(loop: PersonLoop) -> Turn:
    """Return the turns of a loop that goes on after an error of the program's own, too."""

    def turn() -> Next:
        try:
            return loop.turn()
        except UnreadError:
            raise
        except Exception:
            return loop.crashed()

    return turn
