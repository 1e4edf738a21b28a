"""The settings: every variable, validated.

Values come from the environment, else from the first ``.env`` file found. Nothing is read before
:func:`load` is called, and all problems are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tconnectsync.config.variables import (
    RETIRED,
    VARIABLES,
    Variable,
)
from tconnectsync.errors import ConfigError
from tconnectsync.sources.registry import cloud_named

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

NEAR = tuple(
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
class Settings:
    """Every setting, validated; the fields are the variables of :data:`VARIABLES`."""

    tconnect_email: str = field(repr=False)
    tconnect_password: str = field(repr=False)
    ns_url: str = field(repr=False)
    ns_secret: str = field(repr=False)
    timezone_name: ZoneInfo
    tconnect_source: str
    tconnect_region: str
    pump_serial_number: str = field(repr=False)
    cache_credentials: bool
    fetch_all_event_types: bool
    ignore_zero_unit_basal: bool
    catch_up_days: float
    sync_gaps: bool
    alarm_safe_minutes: float
    nightscout_profile_upload_mode: str
    nightscout_profile_targets: str
    nightscout_profile_carbs_hr_value: str
    nightscout_profile_delay_value: str
    autoupdate_default_sleep_seconds: float
    autoupdate_max_sleep_seconds: float
    autoupdate_unexpected_no_index_sleep_seconds: float
    autoupdate_use_fixed_sleep: bool
    autoupdate_no_data_failure_minutes: float
    autoupdate_failure_minutes: float
    autoupdate_api_failure_minutes: float
    autoupdate_restart_on_failure: bool
    autoupdate_max_loop_invocations: int
    enable_testing_modes: bool
    ns_skip_tls_verify: bool
    requests_proxy: str = field(repr=False)
    tandem_sso_url: str
    tandem_accounts_url: str
    tandem_source_url: str
    tconnect_web_url: str
    tconnect_services_url: str
    tconnect_ws2_url: str

    @property
    def secrets(self) -> dict[str, str]:
        """What must not be shown, by the variable's name."""
        return secrets(vars(self))


@dataclass(frozen=True)
class LoopSettings:
    """The variables ``AUTOUPDATE_…``, by the rest of their names."""

    default_sleep_seconds: float
    max_sleep_seconds: float
    unexpected_no_index_sleep_seconds: float
    use_fixed_sleep: bool
    no_data_failure_minutes: float
    failure_minutes: float
    api_failure_minutes: float
    restart_on_failure: bool
    max_loop_invocations: int

    @classmethod
    def of(cls, settings: Settings) -> LoopSettings:
        """Take them from all the settings."""
        return cls(
            **{each.name: getattr(settings, f"autoupdate_{each.name}") for each in fields(cls)}
        )


def secrets(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what must not be shown of settings by field name, by the variable's name.

    An address is no secret unless it holds a user and password.
    """
    return {
        variable.name: values[variable.field]
        for variable in VARIABLES
        if variable.field in values
        and (variable.secret or (variable.name == "NS_URL" and "@" in values["ns_url"]))
    }


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


def load(environment: Mapping[str, str], from_file: Mapping[str, str]) -> Settings:
    """Make settings of the environment and, for what it does not set, of ``from_file``.

    Raises:
        ConfigError: with one sentence for every variable that is missing or wrong.
    """
    values, problems = readable(environment, from_file)
    if problems:
        raise ConfigError(problems)
    return Settings(**values)


def readable(
    environment: Mapping[str, str], from_file: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that can be used, by field name, and what is wrong with the others."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable in VARIABLES:
        try:
            values |= read([variable], environment, from_file)
        except ConfigError as error:
            problems += error.problems
    if "tconnect_source" in values:
        needs = cloud_named(values["tconnect_source"]).needs
        problems += [
            f"{name} is not set. {reason}"
            for name, reason in needs.items()
            if values.get(name.lower()) == ""
        ]
    return values, problems


def read(
    variables: Iterable[Variable], environment: Mapping[str, str], from_file: Mapping[str, str]
) -> dict[str, Any]:
    """Return the values of some variables by field name. Raises as :func:`load`."""
    values, problems = {}, []
    for variable in variables:
        given = _given(variable, environment, from_file)
        text = variable.default if given is None else given[1]
        if text is None:
            problems.append(_missing(variable))
            continue
        try:
            values[variable.field] = variable.parse(text)
        except ValueError as error:
            problems.append(f"{variable.name} is not usable: {error}.")
    if problems:
        raise ConfigError(problems)
    return values


def notices(environment: Mapping[str, str], from_file: Mapping[str, str]) -> list[str]:
    """Return what the user should know about how the settings were understood."""
    sentences = []
    for variable in VARIABLES:
        given = _given(variable, environment, from_file)
        if given and given[0] != variable.name:
            sentences.append(f"{variable.name} is not set; {given[0]} is used instead.")
        if given and variable.name == "NS_URL" and "#" in given[1]:
            sentences.append(
                "What follows # in NS_URL is only for a browser and is left out. Write NS_URL "
                "without it."
            )
    for name, reason in RETIRED.items():
        if name in environment or name in from_file:
            sentences.append(f"{name} has no effect any more: {reason}.")
    return [*sentences, *_risks(readable(environment, from_file)[0])]


def _risks(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes the connection to Nightscout less safe than it could be."""
    url = values.get("ns_url", "")
    if url.lower().startswith("http:") and not _is_near(url):
        yield (
            "NS_URL begins with http://, so NS_SECRET and all data travel to your site "
            "unencrypted, and others on the way can read and use them. Write https:// if your "
            "site offers it."
        )
    if values.get("ns_skip_tls_verify"):
        yield (
            "NS_SKIP_TLS_VERIFY is on: nothing proves that what answers at NS_URL is your site, "
            "and it gets NS_SECRET all the same. Only for a site in your own network."
        )


def _is_near(url: str) -> bool:
    """Tell whether a web address is one of this computer or of the network that it is in."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    return any(address in network for network in NEAR if network.version == address.version)


def _given(
    variable: Variable, environment: Mapping[str, str], from_file: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the name and value that the user set; ``None`` for a blank or the placeholder."""
    for name in filter(None, (variable.name, variable.instead)):
        value = _unquoted(environment[name] if name in environment else from_file.get(name, ""))
        if value and value != variable.placeholder:
            return name, value
    return None


def _unquoted(value: str) -> str:
    """Drop the quotation marks that ``docker --env-file`` leaves around a value."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _missing(variable: Variable) -> str:
    alternative = f" (or {variable.instead})" if variable.instead else ""
    return f"{variable.name}{alternative} is not set. {variable.meaning}"
