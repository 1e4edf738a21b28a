"""``--forget``: removes what earlier runs left on this computer.

That is what lies in the cache folders: of one configuration, or of all that this user has.
Settings, reports and exported files lie elsewhere and stay, as does all that is in Nightscout.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.api.tandemsource.tokens import TokenCache
from tconnectsync.app import find_site, open_tandem
from tconnectsync.cli.commands import commands_for
from tconnectsync.cli.configure import configuration_of
from tconnectsync.cli.people import chosen_people
from tconnectsync.cli.say import print_result, say, say_why
from tconnectsync.config.settings import GROUPS, Settings, TandemSettings
from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.words import number_of
from tconnectsync.errors import ConfigError, TconnectsyncError, code_of_all
from tconnectsync.nightscout.address import shorter
from tconnectsync.person import about
from tconnectsync.state.backlog import missing_in
from tconnectsync.state.files import site_file, unfinished
from tconnectsync.state.lock import SiteLock, TakenError
from tconnectsync.state.states import newest_record, record_paths

if TYPE_CHECKING:
    from datetime import datetime

    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Configuration
    from tconnectsync.sync.run.outcome import Work

RECORD, BACKLOG, LOCK = "record-*.json", "site-*.unfinished", "site-*.lock"
REFUSED = ""
"""A line in the list of refused passwords, which is no file."""
UNFINISHED = "unfinished file", "unfinished files"
FILES = {
    "tandem-source-*.json": ("saved login to Tandem", "saved logins to Tandem"),
    RECORD: ("record of the last run", "records of the last run"),
    BACKLOG: ("list of what is missing", "lists of what is missing"),
    LOCK: ("lock file", "lock files"),
    "tandem-refused-passwords.json": ("list of refused passwords", "lists of refused passwords"),
    "tandem-addresses.json": ("list of times of logins", "lists of times of logins"),
    "tandem-shapes.json": ("note on Tandem's answers", "notes on Tandem's answers"),
    "tandem-refused-codes.json": ("note on Tandem's answers", "notes on Tandem's answers"),
    "pumps-in-use.json": ("list of days of pumps", "lists of days of pumps"),
    "tandem-*.lock": ("lock file", "lock files"),
}
KINDS = {
    **FILES,
    "tandem-*.json.try": UNFINISHED,
    **{unfinished(name): UNFINISHED for name in FILES},
    "tmp????????.new": UNFINISHED,  # As older versions named all of them.
    REFUSED: ("refused password", "refused passwords"),
}
"""What runs leave: patterns of names, and what the file is, for one and for several of them."""
SOON = timedelta(days=1)
"""What is missing for less than this is looked at by every run."""


def forget(options: Options, host: Host) -> int:
    """Remove saved logins and the files of earlier runs; return the exit code.

    Without a person or a file of settings, it removes those of all runs of this computer's user.

    Raises:
        UsageError: there is no such file, folder or person.
        ConfigError: the settings do not show what belongs to them.
        TconnectsyncError: another run is at work, or Nightscout had to be asked and cannot be.
    """
    if options.accounts:
        people = chosen_people(options, host)
        each = [options._replace(person=person.name, one=person) for person in people]
        return code_of_all(_forget_person(one, host) for one in each)
    if options.env_file:
        return _forget_one(options, host)
    try:
        found = [path for folder in _own_folders(host) for path in sorted(folder.iterdir())]
        files = [path for path in found if _is_ours(path)]
    except OSError as error:
        raise TconnectsyncError(
            f"{error.filename} cannot be read ({error.strerror}), so nothing was removed."
        ) from None
    code = _forget_files(files, options, host, host.configuration())
    for folder in _own_folders(host):
        if number := sum(1 for path in folder.iterdir() if not _is_ours(path)):
            say(f"{folder} also holds {number_of(number, 'file')} of other programs, which stay.")
    return code


def _forget_person(options: Options, host: Host) -> int:
    with about(options.person or ""):
        try:
            return _forget_one(options, host)
        except TconnectsyncError as error:
            return say_why(error)


def _forget_one(options: Options, host: Host) -> int:
    """Remove what belongs to one configuration."""
    configuration = configuration_of(options, host)
    _require_owner(configuration)
    url = _site(configuration, host)
    folders, names = _own_folders(host), []
    if url:
        names += [site_file(url, kind) for kind in ("unfinished", "lock")]
    else:
        say("NS_URL is not set, so nothing that is kept about a site was looked for.")
    account = None
    if "TCONNECT_EMAIL" in configuration.given:
        account = configuration.usable(TandemSettings)
        names.append(TokenCache(Path(), account).path.name)
    else:
        say("TCONNECT_EMAIL is not set, so no saved login was looked for.")
    names += [Path(each).name for each in record_paths([""], configuration.key)]
    files = [
        path
        for folder in folders
        for name in names
        for path in (folder / name, *sorted(folder.glob(unfinished(name))))
    ]
    return _forget_files(files, options, host, configuration, account)


def _require_owner(configuration: Configuration) -> None:
    """Insist on the settings that show which files belong to a configuration.

    Raises:
        ConfigError: one of them is wrong.
    """
    needed = {"", "TCONNECT_EMAIL", "TCONNECT_REGION", "TANDEM_ACCOUNTS_URL", "NS_URL"}
    try:
        configuration.settings()
    except ConfigError as error:
        # What is not set at all has left nothing.
        wrong = [
            (name, text)
            for name, text in zip(error.variables, error.problems, strict=True)
            if name in needed
            and (not name or any({name, f"{name}_FILE"} & {*it} for it in configuration.places))
        ]
        if wrong:
            advice = (
                "Nothing was removed. To remove what all runs of this user left: --forget alone."
            )
            raise ConfigError(
                [text for _, text in wrong], [configuration.origin, advice], [n for n, _ in wrong]
            ) from None


def _site(configuration: Configuration, host: Host) -> str:
    """Return the site's own address, by which its files are named; empty if none is set.

    Raises:
        TconnectsyncError: it may be the address of a page, and the site cannot be asked.
    """
    url = configuration.site_address
    if not url or not any(shorter(url)):
        return url
    settings = Settings(**{name: configuration.usable(kind) for kind, name in GROUPS.items()})
    try:
        return find_site(settings, host.clock, patient=False).nightscout.url
    except TconnectsyncError as error:
        raise error.reworded(
            f"{error} Nothing was removed: NS_URL may be the address of a page of the site, and "
            "its files are named after the site's own. Set NS_URL to that, or try again later."
        ) from None


def _own_folders(host: Host) -> list[Path]:
    """Return the cache folders that there are; in a public place there may be another user's."""
    return [folder for folder in host.caches if folder.is_dir() and _is_own(folder)]


def _is_own(folder: Path) -> bool:
    return os.name != "posix" or folder.lstat().st_uid == os.getuid()


def _is_ours(path: Path) -> bool:
    return bool(_pattern(path)) and _is_file(path)


def _is_file(path: Path) -> bool:
    """Return whether it is a file, or a link, of which only the name is removed."""
    return path.is_symlink() or path.is_file()


def _pattern(path: Path) -> str:
    """Return which of :data:`KINDS` a file is of; empty if it is none of ours."""
    return next((pattern for pattern in KINDS if fnmatch(path.name, pattern)), "")


def _forget_files(
    files: Iterable[Path],
    options: Options,
    host: Host,
    configuration: Configuration,
    account: TandemSettings | None = None,
) -> int:
    """Remove those files that are there, say it, and return the exit code.

    Of a file that all accounts share, only what is about ``account`` is removed, if one is given.
    """
    there = [path for path in files if _is_file(path)]
    removed: Counter[str] = Counter()
    zone = configuration.zone if configuration.given.get("TIMEZONE_NAME") else None
    with ExitStack() as locked:
        for path in there:
            # To lock a file is to write to it: what a link leads to must stay as it is.
            if fnmatch(path.name, LOCK) and not path.is_symlink():
                try:
                    locked.enter_context(SiteLock.at(path, host.clock, zone).held(0))
                except TakenError as other:
                    raise TconnectsyncError(
                        f"{other}. Nothing was removed; stop that one, or wait until it has ended."
                    ) from None
        _say_what_still_runs(there, host.clock.now())
        _say_what_is_missing(there, options, host, configuration)
        left = _remove(there)
        if account and open_tandem(account, host).forget_refusals():
            removed[REFUSED] += 1
    # Windows removes no file that is open, as that of a lock that is held.
    left = _remove(left)
    for path in set(there) - set(left):
        removed[_pattern(path)] += 1
        if options.verbose:
            print_result(f"{path.name}: removed.")
    for folder in _own_folders(host):
        with suppress(OSError):
            folder.rmdir()  # Only if it is empty.
    if not options.quiet:
        print_result(_in_words(removed, options))
    for path in left:
        say(f"{path} could not be removed. Remove it by hand.")
    others = [folder for folder in host.caches if folder.is_dir() and not _is_own(folder)]
    for folder in others:
        say(f"{folder} belongs to another user of this computer; nothing in it was removed.")
    return 1 if left or others else 0


def _remove(files: Sequence[Path]) -> list[Path]:
    """Remove files; return those that could not be."""
    left = []
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            left.append(path)
    return left


def _say_what_still_runs(files: Sequence[Path], now: datetime) -> None:
    """Warn if the loop was at work not long ago: it would leave files again."""
    for path in files:
        if not fnmatch(path.name, RECORD):
            continue
        with suppress(PermissionError):
            _, record = newest_record([str(path)])
            if record.get("continuous") and str(record.get("fresh_until")) > now.isoformat():
                say(
                    "Not long ago, --auto-update was at work with these settings. If it still "
                    "runs, it leaves files again: stop it, then start --forget once more."
                )
                return


def _say_what_is_missing(
    files: Sequence[Path], options: Options, host: Host, configuration: Configuration
) -> None:
    """Say which days are missing in Nightscout, since no run will know of them any more."""
    from tconnectsync.sync.features import FEATURES

    begin = host.clock.now() - SOON
    work: list[Work] = [
        (span, [name])
        for path in files
        if fnmatch(path.name, BACKLOG)
        for name, spans in missing_in(path).items()
        for span in spans
        if name in FEATURES and span.start < begin
    ]
    if work:
        one = options.env_file or options.accounts
        say(
            "Some data are still missing in Nightscout, and from now on no run will know of it. "
            f"To bring them{'' if one else ', with the settings of that person'}:"
        )
        for line in commands_for(work, options, PumpClock(configuration.zone)):
            say(f"  {line}")


def _in_words(removed: Counter[str], options: Options) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for pattern, number in removed.items():
        counts[KINDS[pattern]] += number
    parts = [
        f"{number} {one if number == 1 else many}"
        for (one, many), number in counts.items()
        if number
    ]
    if not parts:
        return "There was nothing to remove."
    whose = "" if options.env_file or options.accounts else " all that your runs had left"
    return f"Removed{whose}: {', '.join(parts)}. The settings stay, and all that is in Nightscout."
