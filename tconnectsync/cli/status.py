"""``--status``: says whether syncing is well, and exits with 0 or 1, for people and monitors.

It is asked often, so it imports little: not even the parser of the options, as long as no others
are given than those that it knows itself.
"""

from __future__ import annotations

import json
import os

from tconnectsync.now import now as this_moment
from tconnectsync.places import cache_folders, env_file_paths, key_of, whole_path
from tconnectsync.state.states import record_paths
from tconnectsync.watch.status import status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options


def quick_status(arguments: Sequence[str], host: Host | None = None) -> int | None:
    """Say how syncing is going; return the exit code.

    ``None`` means that nothing was done, because the parser of all options has to look first.
    """
    rest, as_json, env_file = list(arguments), False, ""
    while rest:
        option, _, value = rest.pop(0).partition("=")
        if option == "--env-file" and (value or rest):
            env_file = value or rest.pop(0)
        elif value or option not in ("--status", "--json"):
            return None
        as_json = as_json or option == "--json"
    return status(env_file, host, as_json=as_json)


def status(env_file: str, host: Host | None = None, *, as_json: bool = False) -> int:
    """Say how syncing is going; return 0 if all is well, else 1.

    Args:
        env_file: the file with the settings; empty: the usual ones.
        host: the computer; this one, unless another one is given.
        as_json: whether it is said for programs.
    """
    now = host.clock.now() if host else this_moment()
    environment: Mapping[str, str] = host.environment if host else os.environ
    folder = str(host.folder) if host else _working_folder()
    home = str(host.home) if host else os.path.expanduser("~")
    file = whole_path(env_file, folder) if env_file else ""
    if not file:
        file = next(filter(os.path.isfile, env_file_paths(home, folder)), "")
    caches = map(str, host.caches) if host else cache_folders()
    paths = record_paths(caches, key_of(file, environment))
    settings = f"the settings in {file or 'the environment'}"
    return show([status_of(paths, settings, now)], as_json=as_json)


def status_of_people(options: Options, host: Host) -> int:
    """Say how syncing is going for each of several people; return 0 if all is well with all.

    Raises:
        UsageError: the folder with their settings cannot be read, or a person is not there.
    """
    from tconnectsync.cli.people import chosen_people

    now = host.clock.now()
    found = []
    for person in chosen_people(options, host):
        paths = record_paths(map(str, host.caches), key_of(str(person.file)))
        found.append(status_of(paths, f"the settings in {person.file}", now, person.name))
    return show(found, as_json=options.json)


def show(people: Sequence[Mapping[str, Any]], *, as_json: bool) -> int:
    """Print what is known of each person; return 0 if all is well with all of them, else 1."""
    is_well = all(each["ok"] for each in people)
    text = "\n".join(each["text"] for each in people)
    if as_json:
        text = json.dumps({"ok": is_well, "people": people}, indent=1)
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        # The reader has gone, but the exit code counts: Python must not try again at the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
    return 0 if is_well else 1


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # It was removed.
