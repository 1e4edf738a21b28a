"""``tconnectsync-fleet``: the commands, for those who host many."""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from cryptography.fernet import Fernet

from tconnectsync.app import Host, this_computer
from tconnectsync.cli.outputs import lasting_outputs
from tconnectsync.cli.say import print_result, say_why
from tconnectsync.config.envfile import read_env_file
from tconnectsync.config.settings import Configuration, WatchSettings
from tconnectsync.errors import TconnectsyncError, UsageError
from tconnectsync.fleet.accounts import Accounts
from tconnectsync.fleet.database import Connection, connect, migrate
from tconnectsync.fleet.status import serve_metrics, statuses
from tconnectsync.fleet.vault import vault_of
from tconnectsync.logoutput import enable_logging
from tconnectsync.redact import JointRedactor

log = logging.getLogger(__name__)

COMMANDS = {
    "migrate": "make the tables of the database, or bring them up to date",
    "new-key": "print a new key for FLEET_KEY_FILE",
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
    watch = Configuration(host.environment).usable(WatchSettings)
    level = logging.getLevelNamesMapping()[watch.log_level.upper()]
    enable_logging(level, redactor, as_json=watch.log_format == "json")
    # What Procrastinate says of errors may hold what a step was about.
    jobs = logging.getLogger("procrastinate")
    jobs.handlers, jobs.propagate = logging.getLogger("tconnectsync").handlers, False
    jobs.setLevel(logging.WARNING)
    with lasting_outputs():
        try:
            return _carry_out(options, host, redactor)
        except TconnectsyncError as error:
            return say_why(error)
        except psycopg.Error as error:
            log.error(
                "The database has refused, or cannot be reached: %s Check PGHOST, PGDATABASE, "
                "PGUSER and PGPASSFILE; after an update, run tconnectsync-fleet migrate.",
                " ".join(f"{error}.".split()),
            )
            return 1


def _carry_out(options: Namespace, host: Host, redactor: JointRedactor) -> int:
    if options.command == "new-key":
        print_result(Fernet.generate_key().decode())
        return 0
    if options.command == "worker":
        from tconnectsync.fleet.worker import work

        vault = vault_of(host.environment)
        return work(host, vault, options.queue, options.concurrency, redactor)
    if options.command == "metrics":
        serve_metrics((options.host, options.port), host.clock.now).serve_forever()
    with connect() as connection:
        if options.command == "status":
            return _status(statuses(connection, host.clock.now(), options.name), options)
        if options.command == "migrate":
            print_result(f"Done: {len(migrate(connection))} changes.")
        else:
            print_result(_change(connection, options, host))
    return 0


def _change(connection: Connection, options: Namespace, host: Host) -> str:
    accounts = Accounts(connection, vault_of(host.environment), host.clock.now())
    command, name, file = options.command, options.name, options.env_file
    settings = read_env_file(Path(host.folder, file)) if file else None
    if command == "rotate-key":
        return f"Encrypted anew with the first key: {accounts.rotate_key()} accounts."
    if command == "add" and settings is not None:
        accounts.add(name, settings, options.queue or "default")
    elif command == "change" and (settings is not None or options.queue):
        accounts.change(name, settings=settings, queue=options.queue)
    elif command in ("pause", "resume"):
        accounts.change(name, paused=command == "pause")
    elif command == "remove":
        accounts.remove(name)
    else:
        raise UsageError("Give --env-file with the settings, or --queue to change.")
    return f"Done: {command} {name}."


def _status(found: Sequence[dict[str, Any]], options: Namespace) -> int:
    if options.name and not found:
        raise UsageError(f"There is no account {options.name}.")
    unwell = [each for each in found if not each["ok"]]
    if options.json:
        print_result(json.dumps({"ok": not unwell, "people": found}, indent=1))
    else:
        shown = [each["text"] for each in (found if options.name else unwell)]
        well = f"{len(found) - len(unwell)} of {len(found)} accounts are well."
        print_result("\n".join([*shown, well]))
    return 1 if unwell else 0


def parser() -> ArgumentParser:
    """Return what reads the command and its options."""
    found = ArgumentParser("tconnectsync-fleet", description="See docs/fleet.md.")
    found.set_defaults(name=None, env_file=None, queue=None)
    actions = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = {name: actions.add_parser(name, help=it).add_argument for name, it in COMMANDS.items()}
    for name in "add", "change", "pause", "resume", "remove":
        add[name]("name", metavar="NAME", help="the account")
    for name in "add", "change":
        add[name]("--env-file", metavar="FILE", help="the account's settings")
        add[name]("--queue", metavar="NAME", help="names the address that the account uses")
    add["status"]("name", nargs="?", metavar="NAME", help="one account alone")
    add["status"]("--json", action="store_true", help="for a program to read")
    add["worker"]("--queue", default="default", metavar="NAME", help="whose accounts")
    add["worker"]("--concurrency", type=int, default=8, metavar="N", help="steps at a time")
    add["metrics"]("--port", type=int, required=True)
    add["metrics"]("--host", default="127.0.0.1", help="the address to listen at")
    return found
