"""The settings: every variable, validated, in groups.

Values come from the environment, else from the first ``.env`` file found. All problems are reported
at once; one group can be used while another has problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

from tconnectsync.clouds import cloud_named
from tconnectsync.config.variables import RETIRED, VARIABLES, Variable
from tconnectsync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

Group = TypeVar("Group")

PRIVATE_NETWORKS = tuple(
    map(
        ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("::1/128", "fc00::/7", "fe80::/10"),
        ),
    )
)
"""Addresses of this computer and of private networks."""


@dataclass(frozen=True)
class TandemSettings:
    """The Tandem account, and where Tandem's services are.

    Nothing personal shows in the ``repr``; the address of a proxy can hold a password too. An
    address may end in a slash or not.
    """

    email: str = field(repr=False)
    password: str = field(repr=False)
    region: str
    """Which of Tandem Source's clouds knows the user: ``US`` or ``EU``."""
    zone: ZoneInfo
    """That of the pump's clock, in which the days of requests are."""
    cache_credentials: bool
    proxy: str = field(repr=False)
    sso_url: str
    """The page that logs in to Tandem Source; empty, like the next two: the region's own."""
    accounts_url: str
    """The login service behind it, with ``/accounts/api``; also the issuer of its tokens."""
    source_url: str
    """Where the data of Tandem Source are."""
    web_url: str
    services_url: str
    ws2_url: str


@dataclass(frozen=True)
class SourceSettings:
    """Which cloud and pump to read, and what of it."""

    name: str
    """The name of a cloud in :mod:`tconnectsync.clouds`."""
    serial_number: str = field(repr=False)
    """With its leading zeros; empty: all pumps of the account."""
    fetch_all_event_types: bool


@dataclass(frozen=True)
class NightscoutSettings:
    """The Nightscout site and the login to it."""

    url: str = field(repr=False)
    """The address as it was given; it may have a path, a user and a password."""
    secret: str = field(repr=False)
    """The API secret or an access token."""
    skip_tls_verify: bool


@dataclass(frozen=True)
class SyncSettings:
    """What is synced, and when."""

    catch_up_days: float
    fill_gaps: bool
    alarm_safe_minutes: float
    ignore_zero_unit_basal: bool
    enable_testing_modes: bool


@dataclass(frozen=True)
class ProfileSettings:
    """What profiles in Nightscout show besides what the pump says."""

    upload_mode: str
    """``add`` or ``replace``."""
    targets: str
    """``segments`` or ``alerts``."""
    carbs_hr: str
    """Carbs absorbed per hour, g/h, as it was written."""
    delay: str
    """Minutes, as it was written."""


@dataclass(frozen=True)
class LoopSettings:
    """When ``--auto-update`` waits how long, and when it gives up."""

    default_sleep_seconds: float
    max_sleep_seconds: float
    unexpected_no_index_sleep_seconds: float
    use_fixed_sleep: bool
    no_data_failure_minutes: float
    failure_minutes: float
    api_failure_minutes: float
    restart_on_failure: bool
    max_loop_invocations: int


@dataclass(frozen=True)
class Settings:
    """All settings."""

    tandem: TandemSettings
    source: SourceSettings
    nightscout: NightscoutSettings
    sync: SyncSettings
    profiles: ProfileSettings
    loop: LoopSettings


GROUPS: Mapping[type, str] = {kind: name for name, kind in get_type_hints(Settings).items()}
"""Which field of :class:`Settings` a group is."""


class Configuration:
    """What the user has set, read variable by variable.

    Args:
        environment: variables that are set.
        from_file: those of a ``.env`` file, for what the environment does not set.
        file: that file, if there is one.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        from_file: Mapping[str, str],
        file: Path | None = None,
    ) -> None:
        self._places = (environment, from_file)
        self.file = file
        self.values: dict[str, Any] = {}
        """What can be used, by the variable's name."""
        self._problems: list[tuple[str, str]] = []
        for variable in VARIABLES:
            given = self._given(variable)
            text = variable.default if given is None else given[1]
            if text is None:
                alternative = f" (or {variable.instead})" if variable.instead else ""
                problem = f"{variable.name}{alternative} is not set. {variable.meaning}"
                self._problems.append((variable.name, problem))
                continue
            try:
                self.values[variable.name] = variable.parse(text)
            except ValueError as error:
                problem = f"{variable.name} is not usable: {error}."
                self._problems.append((variable.name, problem))
        if cloud := self.values.get("TCONNECT_SOURCE"):
            for name, reason in cloud_named(cloud).needs.items():
                if self.values.get(name) == "":
                    self._problems.append((name, f"{name} is not set. {reason}"))

    @property
    def problems(self) -> list[str]:
        """A sentence for every variable that is missing or wrong."""
        return [problem for _, problem in self._problems]

    def settings(self) -> Settings:
        """Return all settings.

        Raises:
            ConfigError: with all problems.
        """
        if self._problems:
            raise ConfigError(self.problems)
        return self.completed()

    def group(self, kind: type[Group]) -> Group:
        """Return one group of settings, such as :class:`TandemSettings`.

        Raises:
            ConfigError: with the problems of that group.
        """
        names = {variable.name for variable in _variables(kind)}
        if problems := [problem for name, problem in self._problems if name in names]:
            raise ConfigError(problems)
        return self._completed(kind)

    def completed(self) -> Settings:
        """Return all settings for what only reads from the cloud.

        What else cannot be used has its default, or is empty.

        Raises:
            ConfigError: with the problems of the Tandem account.
        """
        self.group(TandemSettings)
        return Settings(**{name: self._completed(kind) for kind, name in GROUPS.items()})

    def _completed(self, kind: type[Group]) -> Group:
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
        environment, _ = self._places
        return str(self.file.absolute()) if self.file else environment.get("NS_URL", "")

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the pump's clock; UTC while ``TIMEZONE_NAME`` cannot be used."""
        from zoneinfo import ZoneInfo

        return self.values.get("TIMEZONE_NAME") or ZoneInfo("UTC")

    @property
    def site_address(self) -> str:
        """The address of the Nightscout site; empty while it cannot be used."""
        return str(self.values.get("NS_URL", ""))

    def shown(self) -> Iterator[tuple[str, Any]]:
        """Yield every variable and what may be shown of its value."""
        for variable in VARIABLES:
            value = self.values.get(variable.name)
            hidden = "(hidden)" if variable.secret and value else value
            yield variable.name, "(not usable)" if value is None else hidden

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
        sentences = []
        for variable in VARIABLES:
            given = self._given(variable)
            if given and given[0] != variable.name:
                sentences.append(f"{variable.name} is not set; {given[0]} is used instead.")
            if given and variable.name == "NS_URL" and "#" in given[1]:
                sentences.append(
                    "The part of NS_URL after # is meant for browsers and is ignored. Write "
                    "NS_URL without it."
                )
        for name, reason in RETIRED.items():
            if any(name in place for place in self._places):
                sentences.append(f"{name} has no effect any more: {reason}.")
        return [*sentences, *self._risks()]

    def _risks(self) -> Iterator[str]:
        """Yield what makes the connection to Nightscout less safe than it could be."""
        url = self.site_address
        if url.lower().startswith("http:") and not _is_private(url):
            yield (
                "NS_URL begins with http://, so NS_SECRET and all data travel to your site "
                "unencrypted, and others on the way can read and use them. Write https:// if your "
                "site offers it."
            )
        if self.values.get("NS_SKIP_TLS_VERIFY"):
            yield (
                "NS_SKIP_TLS_VERIFY is on: another server could pose as your site and would "
                "receive NS_SECRET. Use this only for a site in your own network."
            )

    def _given(self, variable: Variable) -> tuple[str, str] | None:
        """Return the name and value that the user set; ``None`` for a blank or the placeholder."""
        environment, from_file = self._places
        for name in filter(None, (variable.name, variable.instead)):
            value = _unquoted(environment[name] if name in environment else from_file.get(name, ""))
            if value and value != variable.placeholder:
                return name, value
        return None


def load(environment: Mapping[str, str], from_file: Mapping[str, str]) -> Settings:
    """Make settings of the environment and, for what it does not set, of ``from_file``.

    Raises:
        ConfigError: with one sentence for every variable that is missing or wrong.
    """
    return Configuration(environment, from_file).settings()


def env_files(home: Path, working_directory: Path) -> tuple[Path, Path]:
    """Return where a ``.env`` file is looked for; the first that exists is used, and only that."""
    return working_directory / ".env", home / ".config" / "tconnectsync" / ".env"


def read_env_files(candidates: tuple[Path, ...]) -> dict[str, str]:
    """Return the values of the first file that exists, or none.

    Raises:
        ConfigError: the file exists but cannot be read.
    """
    from dotenv import dotenv_values

    for path in candidates:
        if path.is_file():
            try:
                values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                reason = type(error).__name__
                raise ConfigError([f"{path} cannot be read ({reason})."]) from None
            return {name: value for name, value in values.items() if value is not None}
    return {}


def _variables(kind: type) -> list[Variable]:
    return [it for it in VARIABLES if it.field.partition(".")[0] == GROUPS[kind]]


def _is_private(url: str) -> bool:
    """Return whether a web address is one of this computer or of the network that it is in."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    networks = (each for each in PRIVATE_NETWORKS if each.version == address.version)
    return any(address in network for network in networks)


def _unquoted(value: str) -> str:
    """Drop the quotation marks that ``docker --env-file`` leaves around a value."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
