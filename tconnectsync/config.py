"""The settings: one table of every variable, which also drives the documentation.

Values come from the environment, else from the first ``.env`` file found. Nothing is read before
:func:`load` is called, and all problems are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from tconnectsync.errors import ConfigError


def _text(value: str) -> str:
    return value


def _switch(value: str) -> bool:
    if value.lower() in ("true", "1", "yes", "on"):
        return True
    if value.lower() in ("false", "0", "no", "off", ""):
        return False
    raise ValueError("write true or false")


def _days(value: str) -> float:
    try:
        days = float(value)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 3650:
        raise ValueError("write a number of days, for example 14")
    return days


def _amount(value: str) -> float:
    try:
        amount = float(value)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= 1_000_000:
        raise ValueError("write a number that is not negative, for example 300")
    return amount


def _limit(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError("write a whole number; 0 or less means no limit") from None


def _serial(value: str) -> str:
    if not re.fullmatch(r"\d{4,12}", value):
        raise ValueError("write the digits of the serial number, as on the back of the pump")
    return value


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write a whole address, for example https://my-site.example.com")
    if parts.username or parts.query or parts.fragment:
        raise ValueError(
            "write the address alone, without name, password or anything after a question mark "
            "(a token belongs into NS_SECRET)"
        )
    return value


def _zone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value.removeprefix(":"))
    except (ValueError, OSError, LookupError) as error:
        raise ValueError(
            "write the name of a time zone, for example America/New_York or Europe/Berlin"
        ) from error


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"write one of: {', '.join(choices)}")
        return value.lower()

    return parse


def _written(value: str) -> str:
    _amount(value)
    return value


SOURCES = ("tconnect",)
"""The clouds that can be synced from."""

REQUIRED = "Required"
OPTIONAL = "Optional"
ADVANCED = "For tests and proxies"


@dataclass(frozen=True)
class Variable:
    """One variable: what it is called, what it means, how it is read.

    ``placeholder`` is an example that counts as "not set". ``instead`` is another variable that is
    used when this one is not set. A required variable has no default.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any] = _text
    default: str | None = None
    placeholder: str = ""
    instead: str = ""
    secret: bool = False
    group: str = OPTIONAL

    @property
    def field(self) -> str:
        """The name of the field of :class:`Settings`."""
        return self.name.lower()


VARIABLES = (
    Variable(
        "TCONNECT_EMAIL",
        "The e-mail address of your Tandem account.",
        placeholder="email@email.com",
        secret=True,
        group=REQUIRED,
    ),
    Variable(
        "TCONNECT_PASSWORD",
        "The password of your Tandem account.",
        placeholder="password",
        secret=True,
        group=REQUIRED,
    ),
    Variable(
        "PUMP_SERIAL_NUMBER",
        "The serial number of your pump, with its leading zeros.",
        parse=_serial,
        placeholder="11111111",
        secret=True,
        group=REQUIRED,
    ),
    Variable(
        "NS_URL",
        "The address of your Nightscout site; it may have a path.",
        parse=_address,
        placeholder="https://yournightscouturl/",
        group=REQUIRED,
    ),
    Variable(
        "NS_SECRET",
        "The API secret of your Nightscout site, or an access token whose role may read, create "
        "and update treatments.",
        placeholder="apisecret",
        instead="API_SECRET",
        secret=True,
        group=REQUIRED,
    ),
    Variable(
        "TIMEZONE_NAME",
        "The time zone that your pump's clock is set to, for example America/New_York.",
        parse=_zone,
        instead="TZ",
        group=REQUIRED,
    ),
    Variable(
        "TCONNECT_SOURCE",
        f"The cloud to sync from: {', '.join(SOURCES)}.",
        parse=_one_of(*SOURCES),
        default="tconnect",
    ),
    Variable(
        "CATCH_UP_DAYS",
        "How many days a run without dates reaches back at the most to fill in what an outage "
        "left out; 0 never reaches back further than --days.",
        parse=_days,
        default="14",
    ),
    Variable(
        "SYNC_GAPS",
        "false creates only what is newer than the newest treatment of its kind, and so leaves "
        "older gaps as they are.",
        parse=_switch,
        default="true",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_UPLOAD_MODE",
        "add stores a changed profile as a new record, valid from now on; replace overwrites the "
        "record in force.",
        parse=_one_of("add", "replace"),
        default="add",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_TARGETS",
        "segments shows the target glucose of each segment of a profile, which the pump aims at; "
        "alerts shows the limits of the pump's glucose alerts, as older versions did.",
        parse=_one_of("segments", "alerts"),
        default="segments",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_CARBS_HR_VALUE",
        "The carbs absorbed per hour (g/h) in profiles; the pump does not know it.",
        parse=_written,
        default="20",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_DELAY_VALUE",
        "The delay (minutes) in profiles; the pump does not know it.",
        parse=_written,
        default="20",
    ),
    Variable(
        "AUTOUPDATE_DEFAULT_SLEEP_SECONDS",
        "How long --auto-update waits before it asks again whether the pump has uploaded, until it "
        "knows the rhythm of the uploads.",
        parse=_amount,
        default="300",
    ),
    Variable(
        "AUTOUPDATE_MAX_SLEEP_SECONDS",
        "The longest that --auto-update waits before it asks again, whatever the rhythm.",
        parse=_amount,
        default="1500",
    ),
    Variable(
        "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS",
        "How long --auto-update waits while an upload is due or overdue.",
        parse=_amount,
        default="60",
    ),
    Variable(
        "AUTOUPDATE_USE_FIXED_SLEEP",
        "true takes no notice of the rhythm of the uploads and always waits for the default time, "
        "as long as nothing is overdue.",
        parse=_switch,
        default="false",
    ),
    Variable(
        "AUTOUPDATE_NO_DATA_FAILURE_MINUTES",
        "After so long without an upload, --auto-update reports an error: usually the phone is off "
        "or without connection.",
        parse=_amount,
        default="180",
    ),
    Variable(
        "AUTOUPDATE_FAILURE_MINUTES",
        "After so long with uploads that bring nothing new to Nightscout, --auto-update reports an "
        "error.",
        parse=_amount,
        default="75",
    ),
    Variable(
        "AUTOUPDATE_API_FAILURE_MINUTES",
        "After so long without any success, because Tandem or Nightscout cannot be reached, "
        "--auto-update ends with exit code 1; 0 goes on for ever.",
        parse=_amount,
        default="45",
    ),
    Variable(
        "AUTOUPDATE_RESTART_ON_FAILURE",
        "true ends --auto-update with exit code 1 when it reports one of the errors about uploads, "
        "so that what started it can start it anew.",
        parse=_switch,
        default="false",
    ),
    Variable(
        "AUTOUPDATE_MAX_LOOP_INVOCATIONS",
        "--auto-update ends with exit code 0 after so many rounds; 0 or less means no limit.",
        parse=_limit,
        default="-1",
    ),
    Variable(
        "ENABLE_TESTING_MODES",
        "true allows the features that are still being tested: BOLUS_BG and CGM.",
        parse=_switch,
        default="false",
    ),
    Variable(
        "NS_SKIP_TLS_VERIFY",
        "true accepts any certificate of the Nightscout site. Only for a site in your own network.",
        parse=_switch,
        default="false",
    ),
    Variable(
        "REQUESTS_PROXY",
        "A proxy for all requests to Tandem, for example http://proxy.example.com:8080. SOCKS "
        'proxies need `pip install ".[socks]"`.',
        default="",
        secret=True,
    ),
    Variable(
        "TCONNECT_WEB_URL",
        "Where t:connect's login and pages are.",
        parse=_address,
        default="https://tconnect.tandemdiabetes.com",
        group=ADVANCED,
    ),
    Variable(
        "TCONNECT_SERVICES_URL",
        "Where t:connect's controliq and android services are.",
        parse=_address,
        default="https://tdcservices.tandemdiabetes.com",
        group=ADVANCED,
    ),
    Variable(
        "TCONNECT_WS2_URL",
        "Where t:connect's ws2 service is.",
        parse=_address,
        default="https://tconnectws2.tandemdiabetes.com",
        group=ADVANCED,
    ),
)

RETIRED = {
    "SKIP_NS_LAST_UPLOADED_CHECK": "every run compares everything with what Nightscout holds",
    "NS_IGNORE_CONN_ERRORS": "a failed look-up never counts as an empty site",
}
"""Variables of older versions that have nothing left to do, and why."""


@dataclass(frozen=True)
class Settings:
    """Every setting, validated; the fields are the variables of :data:`VARIABLES`."""

    tconnect_email: str = field(repr=False)
    tconnect_password: str = field(repr=False)
    pump_serial_number: str = field(repr=False)
    ns_url: str
    ns_secret: str = field(repr=False)
    timezone_name: ZoneInfo
    tconnect_source: str
    catch_up_days: float
    sync_gaps: bool
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
    tconnect_web_url: str
    tconnect_services_url: str
    tconnect_ws2_url: str

    @property
    def secrets(self) -> dict[str, str]:
        """What must not be shown, by the variable's name."""
        return {
            variable.name: getattr(self, variable.field)
            for variable in VARIABLES
            if variable.secret
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


def load(environment: Mapping[str, str], files: Mapping[str, str]) -> Settings:
    """Make settings of the environment and, for what it does not set, of ``files``.

    Raises:
        ConfigError: with one sentence for every variable that is missing or wrong.
    """
    return Settings(**read(VARIABLES, environment, files))


def read(
    variables: Iterable[Variable], environment: Mapping[str, str], files: Mapping[str, str]
) -> dict[str, Any]:
    """Return the values of some variables by field name. Raises as :func:`load`."""
    values, problems = {}, []
    for variable in variables:
        given = _given(variable, environment, files)
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


def notices(environment: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    """Return what the user should know about how the settings were understood."""
    sentences = []
    for variable in VARIABLES:
        given = _given(variable, environment, files)
        if given and given[0] != variable.name:
            sentences.append(f"{variable.name} is not set; {given[0]} is used instead.")
    for name, reason in RETIRED.items():
        if name in environment or name in files:
            sentences.append(f"{name} has no effect any more: {reason}.")
    return sentences


def _given(
    variable: Variable, environment: Mapping[str, str], files: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the name and value that the user set; ``None`` for a blank or the placeholder."""
    for name in filter(None, (variable.name, variable.instead)):
        value = _unquoted(environment[name] if name in environment else files.get(name, ""))
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
