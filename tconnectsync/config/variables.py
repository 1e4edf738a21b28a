"""The table of every variable, which also drives the documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tconnectsync.clouds import CLOUDS
from tconnectsync.config.values import (
    address,
    alarm_safe_minutes,
    amount,
    days,
    email,
    features,
    glucose_unit,
    limit,
    log_level,
    notify_addresses,
    number_as_written,
    one_of,
    optional,
    pause,
    ping_address,
    proxy,
    region,
    serial,
    site,
    switch,
    text,
    threads,
    why_no_place,
    zone,
)

REQUIRED = "Required"
OPTIONAL = "Optional"
ADVANCED = "For tests and proxies"


class Variable(NamedTuple):
    """One variable: its name, its place in :class:`Settings`, what it means and how it is read.

    ``field`` names a group of settings and a field of it, such as ``tandem.email``.
    ``placeholder`` is an example that counts as "not set". ``instead`` are other variables, the
    first of which is used when this one is not set. A required variable has no default.
    """

    name: str
    field: str
    meaning: str
    parse: Callable[[str], Any] = text
    default: str | None = None
    placeholder: str = ""
    instead: tuple[str, ...] = ()
    why_not_instead: Callable[[str], str] = lambda value: ""
    """Returns why the value of another variable cannot stand in; empty if it can."""
    secret: bool = False
    personal: bool = False
    """Whether it is about one person, so that among several people it cannot be said for all."""
    heading: str = OPTIONAL
    """The heading in the documentation."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name and those of the variables that may stand in."""
        return self.name, *self.instead

    @property
    def all_names(self) -> tuple[str, ...]:
        """Its names, and those of variables that name a file with its value."""
        return *self.names, *(f"{each}_FILE" for each in self.names if self.may_be_in_file)

    @property
    def is_address(self) -> bool:
        """Whether it is a web address: that of a site is personal, and may hold a password."""
        return self.name.endswith("_URL")

    @property
    def may_be_in_file(self) -> bool:
        """Whether ``NAME_FILE`` may name a file with the value, as Docker's secrets are given."""
        return self.secret or self.name == "NS_URL"


def _with_serial() -> str:
    """Return the clouds that have to know which pump."""
    clouds = [cloud.title for cloud in CLOUDS.values() if "PUMP_SERIAL_NUMBER" in cloud.needs]
    return " or ".join(clouds)


def _tested() -> str:
    """Return the features that are still being tested, those of all clouds first."""
    everywhere = frozenset.intersection(*(cloud.tests for cloud in CLOUDS.values()))
    others = (
        f"{name} on {cloud.title}"
        for cloud in CLOUDS.values()
        for name in sorted(cloud.tests - everywhere)
    )
    return ", and ".join([*sorted(everywhere), *others])


VARIABLES = (
    Variable(
        "TCONNECT_EMAIL",
        "tandem.email",
        "The e-mail address of your Tandem account.",
        parse=email,
        placeholder="email@email.com",
        secret=True,
        personal=True,
        heading=REQUIRED,
    ),
    Variable(
        "TCONNECT_PASSWORD",
        "tandem.password",
        "The password of your Tandem account.",
        placeholder="password",
        secret=True,
        personal=True,
        heading=REQUIRED,
    ),
    Variable(
        "NS_URL",
        "nightscout.url",
        "The address of your Nightscout site, for example https://my-site.example.com. It may "
        "have a path. If a proxy in front of it asks for a user and password, write them before "
        "the name of the site, as user:password@.",
        parse=site,
        placeholder="https://yournightscouturl/",
        personal=True,
        heading=REQUIRED,
    ),
    Variable(
        "NS_SECRET",
        "nightscout.secret",
        "The API secret of your Nightscout site, or an access token whose role may read, create "
        "and update treatments, and delete them where the account has several pumps.",
        placeholder="apisecret",
        instead=("API_SECRET", "NS_API_SECRET"),
        secret=True,
        personal=True,
        heading=REQUIRED,
    ),
    Variable(
        "TIMEZONE_NAME",
        "tandem.zone",
        "The time zone that your pump's clock is set to, for example America/New_York. TZ is used "
        "only where it names such a place.",
        parse=zone,
        instead=("TZ",),
        why_not_instead=why_no_place,
        heading=REQUIRED,
    ),
    Variable(
        "TCONNECT_SOURCE",
        "source.name",
        f"The cloud to sync from: {', '.join(CLOUDS)}.",
        parse=one_of(CLOUDS),
        default=next(iter(CLOUDS)),
    ),
    Variable(
        "TCONNECT_REGION",
        "tandem.region",
        "The region of your account: US (with Canada and Mexico) or EU (everywhere else).",
        parse=region,
        default="US",
    ),
    Variable(
        "PUMP_SERIAL_NUMBER",
        "source.serial_number",
        "The serial number of your pump, with its leading zeros. When it is not set, Tandem Source "
        f"reads all pumps of the account, which must be one person's; {_with_serial()} needs it. "
        "Several numbers, with commas between them, are for one person whose old pump still "
        "delivers (Tandem Source only).",
        parse=optional(serial),
        default="",
        placeholder="11111111",
        secret=True,
        personal=True,
    ),
    Variable(
        "FEATURES",
        "sync.features",
        "What is synced, for example BASAL, BOLUS, PUMP_EVENTS, PROFILES; see the table of "
        "features. The option --features overrules it.",
        parse=features,
        default="BASAL, BOLUS",
    ),
    Variable(
        "CACHE_CREDENTIALS",
        "tandem.cache_credentials",
        "false keeps the access token of Tandem Source in memory only. Otherwise it is stored in "
        "your cache folder, readable by you alone, so that not every run has to log in.",
        parse=switch,
        default="true",
    ),
    Variable(
        "FETCH_ALL_EVENT_TYPES",
        "source.fetch_all_event_types",
        "true asks Tandem Source for log entries of every kind, not only for those that are used.",
        parse=switch,
        default="false",
    ),
    Variable(
        "IGNORE_ZERO_UNIT_BASAL",
        "sync.ignore_zero_unit_basal",
        "true leaves out basals of the profile below 0.01 U/h; those of Control-IQ and suspensions "
        "stay (Tandem Source only).",
        parse=switch,
        default="false",
    ),
    Variable(
        "CATCH_UP_DAYS",
        "sync.catch_up_days",
        "How many days a run without dates may go back to fill in what an outage left out; with "
        "0 it never goes back further than --days.",
        parse=days,
        default="14",
    ),
    Variable(
        "SYNC_GAPS",
        "sync.fill_gaps",
        "false creates only treatments that are newer than the newest one of their kind, and "
        "leaves older gaps as they are.",
        parse=switch,
        default="true",
    ),
    Variable(
        "ALARM_SAFE_MINUTES",
        "sync.alarm_safe_minutes",
        "How old automatic treatments must be before they are written, in minutes: treatments "
        "younger than 10 minutes snooze Nightscout's glucose alarms. 0 writes everything at "
        "once.",
        parse=alarm_safe_minutes,
        default="10",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_UPLOAD_MODE",
        "profiles.upload_mode",
        "add stores a changed profile as a new record, valid from now on; replace overwrites the "
        "record in force.",
        parse=one_of(("add", "replace")),
        default="add",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_TARGETS",
        "profiles.targets",
        "segments shows the target glucose of each segment of a profile, which the pump aims at; "
        "alerts shows the limits of the pump's glucose alerts, as older versions did.",
        parse=one_of(("segments", "alerts")),
        default="segments",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_CARBS_HR_VALUE",
        "profiles.carbs_hr",
        "The carbs absorbed per hour (g/h) in profiles; the pump has no such setting.",
        parse=number_as_written,
        default="20",
    ),
    Variable(
        "NIGHTSCOUT_PROFILE_DELAY_VALUE",
        "profiles.delay",
        "The delay (minutes) in profiles; the pump has no such setting.",
        parse=number_as_written,
        default="20",
    ),
    Variable(
        "AUTOUPDATE_DEFAULT_SLEEP_SECONDS",
        "loop.default_sleep_seconds",
        "How long --auto-update waits between two checks for an upload, until it knows the "
        "rhythm of the uploads.",
        parse=pause,
        default="300",
    ),
    Variable(
        "AUTOUPDATE_MAX_SLEEP_SECONDS",
        "loop.max_sleep_seconds",
        "The longest wait of --auto-update between two checks for an upload.",
        parse=pause,
        default="1500",
    ),
    Variable(
        "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS",
        "loop.unexpected_no_index_sleep_seconds",
        "How long --auto-update waits while an upload is due or overdue.",
        parse=pause,
        default="60",
    ),
    Variable(
        "AUTOUPDATE_USE_FIXED_SLEEP",
        "loop.use_fixed_sleep",
        "true ignores the rhythm of the uploads: --auto-update always waits for the default "
        "time, unless an upload is overdue.",
        parse=switch,
        default="false",
    ),
    Variable(
        "AUTOUPDATE_NO_DATA_FAILURE_MINUTES",
        "loop.no_data_failure_minutes",
        "After this many minutes without an upload, --auto-update reports an error: usually the "
        "phone is off or without connection.",
        parse=amount,
        default="180",
    ),
    Variable(
        "AUTOUPDATE_FAILURE_MINUTES",
        "loop.failure_minutes",
        "After this many minutes with uploads that contain nothing new for Nightscout, "
        "--auto-update reports an error.",
        parse=amount,
        default="75",
    ),
    Variable(
        "AUTOUPDATE_API_FAILURE_MINUTES",
        "loop.api_failure_minutes",
        "After this many minutes without any success, because Tandem or Nightscout cannot be "
        "reached, --auto-update ends with exit code 1; 0 never gives up.",
        parse=amount,
        default="45",
    ),
    Variable(
        "AUTOUPDATE_RESTART_ON_FAILURE",
        "loop.restart_on_failure",
        "true ends --auto-update with exit code 1 when it reports one of the errors about "
        "uploads, so that systemd, Docker or supervisord can start it again.",
        parse=switch,
        default="false",
    ),
    Variable(
        "AUTOUPDATE_MAX_LOOP_INVOCATIONS",
        "loop.max_loop_invocations",
        "--auto-update ends with exit code 0 after this many rounds; 0 or less means no limit.",
        parse=limit,
        default="-1",
    ),
    Variable(
        "AUTOUPDATE_THREADS",
        "loop.threads",
        "With --accounts, for how many people --auto-update may work at the same time. The highest "
        "number that one of them has counts.",
        parse=threads,
        default="4",
    ),
    Variable(
        "PING_URL",
        "watch.ping_url",
        "An address of a monitor such as healthchecks.io or Uptime Kuma that is called after every "
        "run and every round of --auto-update: as it is when all is well, with /fail otherwise, "
        "and with /start at the beginning. One with /api/push/ gets status=up or status=down.",
        parse=optional(ping_address),
        default="",
        secret=True,
        personal=True,
    ),
    Variable(
        "NOTIFY_URLS",
        "watch.notify_urls",
        "Where messages go when syncing stops and when it is well again: addresses of apprise "
        "(e-mail, ntfy, Telegram, Pushover …), separated by blanks. It needs "
        '`pip install ".[notify]"`.',
        parse=optional(notify_addresses),
        default="",
        secret=True,
    ),
    Variable(
        "NOTIFY_AFTER_MINUTES",
        "watch.notify_after_minutes",
        "How long something must have been wrong before a message is sent, in minutes; 0 sends it "
        "at once.",
        parse=amount,
        default="60",
    ),
    Variable(
        "STATUS_MAX_AGE_MINUTES",
        "watch.status_max_age_minutes",
        "After this many minutes without a run, --status says that nothing runs. 0: for "
        "--auto-update twice its longest wait and 15 more, for single runs 180; if yours come less "
        "often, set it.",
        parse=amount,
        default="0",
    ),
    Variable(
        "METRICS_FILE",
        "watch.metrics_file",
        "A file that is written after every run for Prometheus' node exporter, which reads files "
        "ending in .prom in its textfile folder. With several people each has one: the name is "
        "added to it.",
        default="",
    ),
    Variable(
        "LOG_FORMAT",
        "watch.log_format",
        "text, or json for one JSON object per line.",
        parse=one_of(("text", "json")),
        default="text",
    ),
    Variable(
        "LOG_LEVEL",
        "watch.log_level",
        "How much is logged: debug, info, warning or error. The options -v and -q overrule it.",
        parse=log_level,
        default="info",
    ),
    Variable(
        "UNITS",
        "report.units",
        "The unit of glucose in reports: mg/dL or mmol/L. When it is not set, the one that Tandem "
        "Source gives for the pump. If it gives none: mg/dL, in which the pump's log is, since the "
        "region of an account does not show what people use.",
        parse=optional(glucose_unit),
        default="",
    ),
    Variable(
        "ENABLE_TESTING_MODES",
        "sync.enable_testing_modes",
        f"true allows the features that are still being tested: {_tested()}.",
        parse=switch,
        default="false",
    ),
    Variable(
        "NS_SKIP_TLS_VERIFY",
        "nightscout.skip_tls_verify",
        "true accepts any certificate of the Nightscout site. Only for a site in your own network.",
        parse=switch,
        default="false",
    ),
    Variable(
        "REQUESTS_PROXY",
        "tandem.proxy",
        "A proxy for all requests to Tandem, for example http://proxy.example.com:8080. SOCKS "
        'proxies need `pip install ".[socks]"`.',
        parse=optional(proxy),
        default="",
        secret=True,
    ),
    Variable(
        "TANDEM_SSO_URL",
        "tandem.sso_url",
        "The address of Tandem Source's login page. Empty: that of the region.",
        parse=optional(address),
        default="",
        heading=ADVANCED,
    ),
    Variable(
        "TANDEM_ACCOUNTS_URL",
        "tandem.accounts_url",
        "The address of Tandem Source's accounts, with /accounts/api. Empty: that of the region.",
        parse=optional(address),
        default="",
        heading=ADVANCED,
    ),
    Variable(
        "TANDEM_SOURCE_URL",
        "tandem.source_url",
        "The address of Tandem Source's data. Empty: that of the region.",
        parse=optional(address),
        default="",
        heading=ADVANCED,
    ),
    Variable(
        "TCONNECT_WEB_URL",
        "tandem.web_url",
        "The address of t:connect's login and pages.",
        parse=address,
        default="https://tconnect.tandemdiabetes.com",
        heading=ADVANCED,
    ),
    Variable(
        "TCONNECT_SERVICES_URL",
        "tandem.services_url",
        "The address of t:connect's controliq and android services.",
        parse=address,
        default="https://tdcservices.tandemdiabetes.com",
        heading=ADVANCED,
    ),
    Variable(
        "TCONNECT_WS2_URL",
        "tandem.ws2_url",
        "The address of t:connect's ws2 service.",
        parse=address,
        default="https://tconnectws2.tandemdiabetes.com",
        heading=ADVANCED,
    ),
)

RETIRED = {
    "SKIP_NS_LAST_UPLOADED_CHECK": "every run compares everything with what Nightscout holds",
    "NS_IGNORE_CONN_ERRORS": "a failed look-up never counts as an empty site",
}
"""Variables of older versions that have no effect any more, and why."""
