"""``--accounts``: the people that a run is for, and what must not be mixed up between them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from posixpath import normpath
from socket import inet_aton, inet_ntoa
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tconnectsync.cli.configure import configuration_of, show_log, watch_of
from tconnectsync.cli.say import say_crash, say_why
from tconnectsync.config.people import ignored_for_all, people_in
from tconnectsync.config.values import nearest
from tconnectsync.errors import ConfigError, TconnectsyncError, UsageError, code_of_all
from tconnectsync.nightscout.address import shorter
from tconnectsync.person import about
from tconnectsync.places import whole_path
from tconnectsync.redact import JointRedactor, Redactor
from tconnectsync.stop import Stopped

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options
    from tconnectsync.config.people import Person
    from tconnectsync.config.settings import Configuration

log = logging.getLogger(__name__)

NOT_BEGUN = (
    "Stopped before anything was done for {}. Start the same command again; for one person alone, "
    "add --person and the name."
)


class People:
    """Those whom a run is for, with what is configured for each.

    Args:
        options: name the folder with their files, and perhaps one of them.
        host: where the program runs.

    Raises:
        UsageError: the folder cannot be read, or has no file of a person, or not the one asked for.
    """

    def __init__(self, options: Options, host: Host) -> None:
        folder = _folder(options, host)
        self._everybody = {person.name: person for person in people_in(folder)}
        self.options = {
            each.name: options._replace(accounts=folder, person=each.name, one=each)
            for each in _chosen(options.person, self._everybody, folder)
        }
        """The options by the names of those whom the run is for, each for that person alone."""
        # Of the others too: the site of one of them must be no other person's.
        self._known: dict[str, Configuration] = {}
        self._host = host
        for name, person in self._everybody.items():
            self.read(options._replace(accounts=folder, person=name, one=person))

    def read(self, options: Options) -> Configuration:
        """Read one person's settings again."""
        configuration = configuration_of(options, self._host)
        self._known[str(options.person)] = configuration
        return configuration

    @property
    def threads(self) -> int:
        """For how many of them the loop may work at the same time."""
        numbers = (each.values.get("AUTOUPDATE_THREADS", 1) for each in self._known.values())
        return int(max(numbers))

    def problem_of(self, name: str) -> str:
        """Return why a person's settings cannot be used beside those of the others, if so."""
        return self._everybody[name].problem or conflict(name, self._known)

    def show_log(self, options: Options) -> None:
        """Show the log, in which what is secret of one person is hidden in the lines of all."""
        redactor, known = JointRedactor(), self._known.values()
        for configuration in known:
            redactor.add(Redactor(configuration.secrets))
        zones = {configuration.zone for configuration in known}
        first, zone = next(iter(known)), zones.pop() if len(zones) == 1 else None
        show_log(options, first, redactor, zone)
        if len(zones) > 1:
            log.info(
                "The pumps are in several zones. The time before each line is this computer's, all "
                "others are those of the person's pump."
            )
        if ignored := ignored_for_all(self._host.environment):
            log.warning(
                "Not used with --accounts, because it is about one person: %s in the environment. "
                "Write it to that person's file.",
                ", ".join(ignored),
            )


def chosen_people(options: Options, host: Host) -> list[Person]:
    """Return those whom a run is for.

    Raises:
        UsageError: the folder cannot be read, or has no file of a person, or not the one asked for.
    """
    folder = _folder(options, host)
    return _chosen(options.person, {person.name: person for person in people_in(folder)}, folder)


def _chosen(name: str | None, everybody: Mapping[str, Person], folder: Path) -> list[Person]:
    if name is None:
        return list(everybody.values())
    if name not in everybody:
        meant = nearest(name, everybody, alike=0.6)
        raise UsageError(
            f"--person: there is no {name}.env in {folder}"
            + (f"; did you mean {meant}?" if meant else ".")
        )
    return [everybody[name]]


def _folder(options: Options, host: Host) -> Path:
    return Path(whole_path(str(options.accounts or Path()), str(host.folder)))


def each_person(options: Options, host: Host, act: Callable[[Options], int]) -> int:
    """Act once, or with --accounts for one person after the other; return the exit code.

    What goes wrong for one person is said, and the others go on; a request to stop ends it for
    all.
    """
    if not options.accounts:
        return act(options)
    people = People(options, host)
    people.show_log(options)
    codes, left = [], list(people.options)
    for name, one in people.options.items():
        left.remove(name)
        try:
            codes.append(_act_for(name, one, people, host, act))
        except Stopped as stopped:
            texts = [f"{name}: {stopped}"] if str(stopped) else []
            if not_begun := left if texts else [name, *left]:
                texts.append(NOT_BEGUN.format(", ".join(not_begun)))
            raise Stopped(stopped.waited, "\n".join(texts)) from None
    return code_of_all(codes)


def _act_for(
    name: str, options: Options, people: People, host: Host, act: Callable[[Options], int]
) -> int:
    with about(name):
        try:
            if problem := people.problem_of(name):
                error = ConfigError([problem])
                watch_of(options, people.read(options), host).after_error(error)
                raise error
            return act(options)
        except TconnectsyncError as error:
            return say_why(error)
        except BrokenPipeError:
            raise  # The pipe was closed: what is shown is not read.
        except Exception as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None  # While something was imported.
            return say_crash()


def conflict(name: str, configurations: dict[str, Configuration]) -> str:
    """Return why one person's data could be mixed with another's; empty if they cannot."""
    mine = configurations[name]
    for other, theirs in configurations.items():
        if other == name:
            continue
        files = f"{_file(mine)} and {_file(theirs)}"
        if sites_of(mine) & sites_of(theirs):
            return (
                f"{files} have the same Nightscout site (NS_URL), which would mix the insulin of "
                "two people. Each person needs a site of their own."
            )
        if _same_pump(mine, theirs):
            return (
                f"{files} have the same Tandem account and not a pump each, so one person's "
                "insulin would be shown as another's. Correct TCONNECT_EMAIL; if two people do "
                "share an account, set PUMP_SERIAL_NUMBER for each."
            )
    return ""


def _file(configuration: Configuration) -> str:
    return configuration.file.name if configuration.file else "?"


def sites_of(configuration: Configuration) -> set[tuple[str, int | None, str]]:
    """Return where the site may be: the address may be that of one of its pages."""
    url = configuration.site_address
    return {_place(each) for each in (url, *shorter(url))} if url else set()


def _place(url: str) -> tuple[str, int | None, str]:
    """Return what is the same for all ways to write the address of one place."""
    parts = urlsplit(url)
    port = None if parts.port in (80, 443) else parts.port
    path = normpath(unquote(f"/{parts.path.strip('/')}"))
    return _host(parts.hostname or ""), port, path


def _host(name: str) -> str:
    plain = name.rstrip(".")
    with suppress(UnicodeError):
        plain = plain.encode("idna").decode()
    with suppress(OSError):
        plain = inet_ntoa(inet_aton(plain))  # Such as 127.1.
    with suppress(ValueError):
        address = ip_address(plain)
        return "localhost" if address.is_loopback else str(address)
    return "localhost" if plain.endswith(".localhost") else plain


def _same_pump(one: Configuration, other: Configuration) -> bool:
    """Return whether both may read one pump; without a number, all of an account are read."""
    emails = {str(it.values.get("TCONNECT_EMAIL", "")).strip().lower() for it in (one, other)}
    texts = [str(it.values.get("PUMP_SERIAL_NUMBER", "")) for it in (one, other)]
    mine, theirs = ({it.lstrip("0") for it in re.findall(r"\d+", text)} for text in texts)
    return len(emails) == 1 and emails != {""} and (not mine or not theirs or bool(mine & theirs))
