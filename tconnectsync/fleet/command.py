"""``tconnectsync-fleet``: the commands, for those who host many."""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import psycopg
from cryptography.fernet import Fernet

from tconnectsync import __version__
from tconnectsync.app import Host, this_computer
from tconnectsync.cli.outputs import lasting_outputs
from tconnectsync.cli.say import print_result, say_why
from tconnectsync.config.envfile import read_env_file
from tconnectsync.config.settings import Configuration, WatchSettings
from tconnectsync.errors import TconnectsyncError, UsageError
from tconnectsync.fleet.accounts import Accounts
from tconnectsync.fleet.database import connect, migrate
from tconnectsync.fleet.vault import vault_of
from tconnectsync.logoutput import enable_logging
from tconnectsync.redact import JointRedactor

log = logging.getLogger(__name__)

CONCURRENCY = 8
LOOPBACK = "127.0.0.1"


def run(arguments: Sequence[str] | None, host: Host | None) -> int:
    """Do what is asked for; return 0 when done, 1 when something failed, 2 for wrong use."""
    options, host = _options(arguments), host or this_computer()
    watch = Configuration(host.environment).usable(WatchSettings)
    level, redactor = logging.getLevelNamesMapping()[watch.log_level.upper()], JointRedactor()
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
    command = options.command
    if command == "new-key":
        print_result(Fernet.generate_key().decode())
        return 0
    if command == "worker":
        from tconnectsync.fleet.worker import work

        vault = vault_of(host.environment)
        return work(host, vault, options.queue, options.concurrency, redactor)
    if command == "metrics":
        from tconnectsync.fleet.status import serve_metrics

        serve_metrics((options.host, options.port), host.clock.now).serve_forever()
    with connect() as connection:
        if command == "migrate":
            done = migrate(connection)
            print_result(f"Done: {len(done)} steps." if done else "Nothing to do.")
            return 0
        if command == "status":
            from tconnectsync.fleet.status import statuses

            return _status(statuses(connection, host.clock.now(), options.name), options)
        accounts = Accounts(connection, vault_of(host.environment), host.clock.now())
        if command == "rotate-key":
            print_result(f"Encrypted anew with the first key: {accounts.rotate_key()} accounts.")
            return 0
        _change(accounts, options, host)
    print_result(f"Done: {command} {options.name}.")
    return 0


def _change(accounts: Accounts, options: Namespace, host: Host) -> None:
    settings, file = None, getattr(options, "env_file", None)
    if file:
        settings = read_env_file(Path(host.folder, file))
    if options.command == "add" and settings is not None:
        accounts.add(options.name, settings, options.queue)
    elif options.command == "change":
        if settings is None and options.queue is None:
            raise UsageError("Say what to change: --env-file, --queue, or both.")
        accounts.change(options.name, settings, options.queue)
    elif options.command == "remove":
        accounts.remove(options.name)
    else:
        accounts.pause(options.name, paused=options.command == "pause")


def _status(found: list[dict[str, object]], options: Namespace) -> int:
    if options.name and not found:
        raise UsageError(f"There is no account {options.name}.")
    unwell = [each for each in found if not each["ok"]]
    if options.json:
        print_result(json.dumps({"ok": not unwell, "people": found}, indent=1))
    else:
        shown = found if options.name else unwell
        well = f"{len(found) - len(unwell)} of {len(found)} accounts are well."
        print_result("\n".join([*(str(each["text"]) for each in shown), well]))
    return 1 if unwell else 0


def _options(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="tconnectsync-fleet",
        description="Sync many accounts with workers on several machines; see docs/fleet.md.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    say = commands.add_parser
    say("migrate", help="make the tables of the database, or bring them up to date")
    say("new-key", help="print a new key for FLEET_KEY_FILE")
    say("rotate-key", help="encrypt all accounts with the first key")
    add = say("add", help="add an account")
    change = say("change", help="give an account other settings or another queue")
    add.add_argument("--env-file", required=True, metavar="FILE", help="its settings")
    add.add_argument("--queue", default="default", metavar="NAME", help="whose address it uses")
    change.add_argument("--env-file", metavar="FILE", help="its settings from now on")
    change.add_argument("--queue", metavar="NAME", help="whose address it uses from now on")
    pause = say("pause", help="sync an account no more, until resume")
    resume = say("resume", help="sync an account again")
    remove = say("remove", help="forget an account; its Nightscout stays as it is")
    for each in add, change, pause, resume, remove:
        each.add_argument("name", metavar="NAME", help="the account")
    status = say("status", help="say who is not well")
    status.add_argument("name", nargs="?", metavar="NAME", help="one account alone")
    status.add_argument("--json", action="store_true", help="for a program to read")
    worker = say("worker", help="take the steps of a queue, until asked to stop")
    worker.add_argument("--queue", default="default", metavar="NAME", help="whose accounts")
    worker.add_argument("--concurrency", type=int, default=CONCURRENCY, metavar="N")
    metrics = say("metrics", help="answer Prometheus")
    metrics.add_argument("--port", type=int, required=True)
    metrics.add_argument("--host", default=LOOPBACK, help="the address to listen at")
    return parser.parse_args(arguments)
