"""``tconnectsync-fleet``: the commands, for those who host many."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import psycopg

from tconnectsync.app import Host, this_computer
from tconnectsync.cli.configure import show_log
from tconnectsync.cli.options import Options
from tconnectsync.cli.say import print_result, say_why
from tconnectsync.cli.status import show
from tconnectsync.config.settings import Configuration
from tconnectsync.errors import TconnectsyncError, UsageError
from tconnectsync.fleet import accounts
from tconnectsync.fleet.database import Connection, connect, migrate
from tconnectsync.fleet.status import serve_metrics, statuses
from tconnectsync.fleet.vault import Vault
from tconnectsync.redact import JointRedactor

log = logging.getLogger(__name__)

COMMANDS = {
    "migrate": "make the tables of the database, or bring them up to date",
    "rotate-key": "encrypt all accounts with the first key",
    "add": "add an account",
    "change": "give an account other settings or another queue",
    "pause": "sync an account no more, until resume",
    "resume": "sync an account again",
    "remove": "forget an account; its Nightscout stays as it is",
    "status": "say who is not well",
    "worker": "take the steps of a queue, until asked to stop",
    "metrics": "answer Prometheus",
}


def run(arguments: Sequence[str] | None, host: Host | None) -> int:
    """Do what is asked for; return 0 when done, 1 when something failed, 2 for wrong use."""
    options, host, redactor = (
        parser().parse_args(arguments),
        host or this_computer(),
        JointRedactor(),
    )
    show_log(Options(), Configuration(host.environment), redactor, None)
    # What other libraries say of errors may hold what a step was about.
    logging.getLogger().handlers = logging.getLogger("tconnectsync").handlers
    try:
        return _carry_out(options, host, redactor)
    except TconnectsyncError as error:
        return say_why(error)
    except psycopg.Error as error:
        why = " ".join(f"{error}.".split())
        log.error("The database has refused, or cannot be reached: %s See docs/fleet.md.", why)
        return 1


def _carry_out(options: Namespace, host: Host, redactor: JointRedactor) -> int:
    if options.command == "worker":
        from tconnectsync.fleet.worker import work

        return work(
            host, Vault(host.environment), options.queue, max(options.concurrency, 1), redactor
        )
    if options.command == "metrics":
        serve_metrics(options.host, options.port, host.clock.now)
    with connect() as connection:
        if options.command == "status":
            found = statuses(connection, host.clock.now())
            unwell = [each for each in found if not each["ok"]]
            well = f"{len(found) - len(unwell)} of {len(found)} accounts are well."
            total = {"ok": not unwell, "text": well}
            return show(found if options.json else [*unwell, total], as_json=options.json)
        if options.command == "migrate":
            print_result(f"Done: {migrate(connection)} changes.")
            return 0
        with connection.transaction():
            said = _change(connection, options, host)
        print_result(f"Done: {said}.")
    return 0


def _change(connection: Connection, options: Namespace, host: Host) -> str:
    command, name, queue, settings = options.command, options.name, options.queue, None
    if command == "rotate-key":
        number = accounts.rotate(connection, Vault(host.environment))
        return f"{number} accounts are encrypted with the first key"
    if queue and not accounts.QUEUE.fullmatch(queue):
        raise UsageError("The name of a queue has up to 40 letters, digits, dots, - and _.")
    if options.env_file:
        file = Path(host.folder, options.env_file)
        settings = accounts.sealed(connection, Vault(host.environment), name, file)
    if command == "add" and settings:
        accounts.add(connection, name, settings, queue or "default")
    elif command == "remove":
        accounts.remove(connection, name)
    else:
        paused = {"pause": True, "resume": False}.get(command)
        accounts.change(connection, name, queue, settings, paused)
    return f"{command} {name}"


def parser() -> ArgumentParser:
    """Return what reads the command and its options."""
    found = ArgumentParser("tconnectsync-fleet", description="See docs/fleet.md.")
    found.set_defaults(name=None, env_file=None, queue=None)
    actions = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = {name: actions.add_parser(name, help=it).add_argument for name, it in COMMANDS.items()}
    for name in "add", "change", "pause", "resume", "remove":
        add[name]("name", metavar="NAME", help="the account")
    for name in "add", "change":
        add[name]("--env-file", metavar="FILE", help="its settings", required=name == "add")
        add[name]("--queue", metavar="NAME", help="names the address that the account uses")
    add["status"]("--json", action="store_true", help="for a program to read")
    add["worker"]("--queue", default="default", metavar="NAME", help="whose accounts")
    add["worker"]("--concurrency", type=int, default=8, metavar="N", help="steps at a time")
    add["metrics"]("--port", type=int, required=True)
    add["metrics"]("--host", default="127.0.0.1", help="the address to listen at")
    return found
