"""The settings: every variable, read and validated.

All problems are reported at once; one group can be used while another has problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tconnectsync.clouds import cloud_named
from tconnectsync.config.envfile import EnvFile, env_files, read_env_files
from tconnectsync.config.given import CommandLine, Given, find
from tconnectsync.config.groups import (
    GROUPS,
    LoopSettings,
    NightscoutSettings,
    ProfileSettings,
    ReportSettings,
    Settings,
    SourceSettings,
    SyncSettings,
    TandemSettings,
    WatchSettings,
)
from tconnectsync.config.names import known_names
from tconnectsync.config.notices import (
    foreign_names,
    not_set,
    notices,
    origin,
    shortened,
    unavailable,
)
from tconnectsync.config.values import is_in_typographic_marks
from tconnectsync.config.variables import VARIABLES, Variable
from tconnectsync.errors import ConfigError
from tconnectsync.places import key_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = [
    "GROUPS",
    "CommandLine",
    "Configuration",
    "EnvFile",
    "LoopSettings",
    "NightscoutSettings",
    "ProfileSettings",
    "ReportSettings",
    "Settings",
    "SourceSettings",
    "SyncSettings",
    "TandemSettings",
    "WatchSettings",
    "env_files",
    "load",
    "read_env_files",
]

Group = TypeVar("Group")


class Configuration:
    """What the user has set, read variable by variable.

    Args:
        places: where variables are given; the first that has one counts. What is neither an
            :class:`EnvFile` nor a :class:`CommandLine` is the environment.
    """

    def __init__(self, *places: Mapping[str, str]) -> None:
        self.places = places
        self._files = [place for place in places if isinstance(place, EnvFile)]
        self.env_file = self._files[0] if self._files else EnvFile()
        """The file of settings that was read, or that was looked for."""
        self.values: dict[str, Any] = {}
        """What can be used, by the variable's name."""
        self.given: dict[str, Given] = {}
        """What somebody has set, by the variable's name; the rest has its default."""
        self._problems = [problem for file in self._files for problem in file.problems]
        self._missing: set[str] = set()
        """What has to be set and is not."""
        misread = {name for name, _ in self._problems}
        for variable in VARIABLES:
            problem = self._read(variable)
            # A file that cannot be read is one problem, not one for each variable in it.
            is_missing = variable.name not in self.given
            if problem and not (is_missing and misread & {"", variable.name}):
                self._problems.append((variable.name, problem))
            else:
                self._missing.discard(variable.name)
        self._problems += self._not_of_this_cloud()

    def _read(self, variable: Variable) -> str:
        """Read one variable; return a sentence if it is missing or cannot be used."""
        try:
            given = find(variable, self.places)
        except ValueError as error:
            return str(error)
        text = variable.default if given is None else given.value
        if given:
            self.given[variable.name] = given
        if text is None:
            self._missing.add(variable.name)
            return not_set(variable, self.places)
        if given and given.name in variable.names and is_in_typographic_marks(text):
            return (
                f"{variable.name} ({given.where}) is not usable: it stands in typographic "
                "quotation marks, as word processors write them. Write plain ones (') or none."
            )
        try:
            self.values[variable.name] = variable.parse(text)
        except ValueError as error:
            said = f"{variable.name} is not usable: {str(error).removesuffix('.')}."
            return f"{said} {self._now(variable, text)}"
        return ""

    def _now(self, variable: Variable, text: str) -> str:
        """Return where a value is given that cannot be used, and the value unless it is secret."""
        where = self.where(variable.name)
        others = {each.value for name, each in self.given.items() if name != variable.name}
        if variable.secret or variable.is_address or text in others:
            return f"It is given in {where}."
        return f"Now it is {shortened(text)} ({where})."

    def _not_of_this_cloud(self) -> Iterator[tuple[str, str]]:
        """Yield what the chosen cloud needs and does not get, or is asked for and does not have."""
        if "TCONNECT_SOURCE" not in self.values:
            return
        cloud = cloud_named(self.values["TCONNECT_SOURCE"])
        for name, reason in cloud.needs.items():
            if self.values.get(name) == "":
                self._missing.add(name)
                yield name, f"{name} is not set. {reason}"
            elif name == "PUMP_SERIAL_NUMBER" and "," in self.values.get(name, ""):
                yield (
                    name,
                    f"{name} is not usable: {cloud.title} reads one pump, so give one number.",
                )
        given = self.given.get("FEATURES")
        # What is wrong with an option is said about the option.
        if given and not isinstance(given.place, CommandLine):
            features = self.values.get("FEATURES", ())
            if problem := unavailable(
                features, cloud.name, testing_enabled=self.values.get("ENABLE_TESTING_MODES", False)
            ):
                yield "FEATURES", f"FEATURES ({given.where}) is not usable: {problem}"

    @property
    def problems(self) -> list[str]:
        """A sentence for every variable that is missing or wrong."""
        return [problem for _, problem in self._problems]

    @property
    def file(self) -> Path | None:
        """The file of settings that was read, if one was."""
        return self.env_file.path

    def where(self, name: str) -> str:
        """Return where a variable is given, such as ``line 3 of /home/robin/.env``."""
        return self.given[name].where if name in self.given else "its default"

    @property
    def origin(self) -> str:
        """Sentences that say which file the settings come from, or that there is none."""
        return origin(self._files, self.given)

    @property
    def advice(self) -> tuple[str, ...]:
        """Sentences below problems: what else is odd, which file was read, and where to set it."""
        return *self.notices(), self.origin, *self._where_to_set()

    def _where_to_set(self) -> Iterator[str]:
        """Yield where to set what is missing; what is wrong is said with its place."""
        if not self._missing:
            return
        file = self.env_file
        paths = [file.path] if file.path else file.looked_for
        files = f", or in {' or '.join(map(str, paths))}" if paths else ""
        where = f"the environment{files}"
        if len(self._files) > 1:
            # One of several people, for whom the environment does not say everything.
            where = " or ".join(str(each.path) for each in self._files if each.path)
        yield f"Set {'it' if len(self._missing) == 1 else 'them'} in {where}."
        if not file.path and {"TCONNECT_EMAIL", "NS_URL"} <= self._missing:
            yield "Or start tconnectsync --setup: it asks for all of them and tries each answer."

    def settings(self) -> Settings:
        """Return all settings.

        Raises:
            ConfigError: with all problems.
        """
        if self._problems:
            raise ConfigError(self.problems, self.advice, [name for name, _ in self._problems])
        return self.completed()

    def group(self, kind: type[Group]) -> Group:
        """Return one group of settings, such as :class:`TandemSettings`.

        Raises:
            ConfigError: with the problems of that group.
        """
        self._require({variable.name for variable in _variables(kind)})
        return self.usable(kind)

    def _require(self, names: set[str]) -> None:
        names = {"", *names}
        if found := [(name, problem) for name, problem in self._problems if name in names]:
            raise ConfigError([text for _, text in found], self.advice, [name for name, _ in found])

    def completed(self, *, with_account: bool = True, with_pump: bool = True) -> Settings:
        """Return all settings for what only reads: the cloud, or a saved log.

        What else cannot be used has its default, or is empty.

        Args:
            with_account: whether the Tandem account is needed; a saved log needs only the zone.
            with_pump: whether it has to be known which pump of the account is meant.

        Raises:
            ConfigError: with the problems of what is needed.
        """
        needed = {variable.name for variable in _variables(SourceSettings)}
        if not (with_account and with_pump):
            needed.remove("PUMP_SERIAL_NUMBER")
        account = {variable.name for variable in _variables(TandemSettings)}
        self._require(needed | (account if with_account else {"TIMEZONE_NAME"}))
        return Settings(**{name: self.usable(kind) for kind, name in GROUPS.items()})

    def usable(self, kind: type[Group]) -> Group:
        """Return one group of settings; what cannot be used has its default, or is empty."""
        found = {}
        for variable in _variables(kind):
            default = variable.parse(variable.default) if variable.default else ""
            name = variable.field.partition(".")[2]
            found[name] = self.values.get(variable.name, default)
        return kind(**found)

    @property
    def key(self) -> str:
        """What distinguishes these settings from those of others on this computer.

        It stays the same when a value is corrected.
        """
        return key_of(str(self.file or ""), *self.places)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the pump's clock; UTC while ``TIMEZONE_NAME`` cannot be used."""
        from zoneinfo import ZoneInfo

        return self.values.get("TIMEZONE_NAME") or ZoneInfo("UTC")

    @property
    def site_address(self) -> str:
        """The address of the Nightscout site; empty while it cannot be used."""
        return str(self.values.get("NS_URL", ""))

    def shown(self) -> Iterator[tuple[str, str]]:
        """Yield every variable, and what may be shown of its value and of where it is given."""
        for variable in VARIABLES:
            value = self.values.get(variable.name)
            text = ", ".join(value) if isinstance(value, tuple) else f"{value}"
            hidden = "(hidden)" if variable.secret and value else text
            given = self.given.get(variable.name)
            shown = "(not usable)" if value is None else hidden
            yield variable.name, f"{shown} ({given.brief})" if given else shown

    def without_folders(self, text: str) -> str:
        """Return a text without the folders of the files of settings, which may be personal."""
        files = [path for file in self._files for path in file.looked_for]
        files += [
            Path(place[name])
            for place in self.places
            for name in set(place) & known_names()
            if name.endswith("_FILE")
        ]
        folders = {f"{file.parent}/" for file in files if len(file.parts) > 2}
        for folder in sorted(folders, key=len, reverse=True):
            usual = ".config/tconnectsync/"
            text = text.replace(folder, f"~/{usual}" if folder.endswith(f"/{usual}") else "")
        return text

    @property
    def secrets(self) -> dict[str, str]:
        """What must not be shown, by the variable's name.

        An address is no secret unless it holds a user and password.
        """
        return {
            variable.name: value
            for variable in VARIABLES
            if (value := self.values.get(variable.name)) is not None
            and (variable.secret or (variable.name == "NS_URL" and "@" in value))
        }

    def notices(self) -> list[str]:
        """Return notices for the user about the meaning of their settings."""
        return notices(self.places, self.given, self.values)

    def information(self) -> list[str]:
        """Return what is worth a line but no warning: names in the file that are not ours."""
        return list(filter(None, map(foreign_names, self._files)))


def load(environment: Mapping[str, str], from_file: Mapping[str, str]) -> Settings:
    """Make settings of the environment and, for what it does not set, of ``from_file``.

    Raises:
        ConfigError: with one sentence for every variable that is missing or wrong.
    """
    return Configuration(environment, from_file).settings()


def _variables(kind: type) -> list[Variable]:
    return [it for it in VARIABLES if it.field.partition(".")[0] == GROUPS[kind]]
