"""The one place that puts the program together from the settings and the computer it runs on.

The command line, the demo, the Python shell and the tests take the parts from here. No function
sends anything, unless its description says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.api.clients import TConnectApi
from tconnectsync.api.guard import open_guard
from tconnectsync.api.shapes import Shapes
from tconnectsync.clock import Clock
from tconnectsync.clouds import cloud_named, known_shapes
from tconnectsync.config.envfile import env_files, read_env_file, read_env_files
from tconnectsync.config.given import CommandLine
from tconnectsync.config.people import Person, places_of
from tconnectsync.config.settings import (
    Configuration,
    LoopSettings,
    NightscoutSettings,
    Settings,
    TandemSettings,
    WatchSettings,
)
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import Side, TconnectsyncError, UsageError
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.places import cache_folders, whole_path
from tconnectsync.redact import Redactor
from tconnectsync.sources.base import Reader, SavedLog, Source
from tconnectsync.state.backlog import Backlog
from tconnectsync.state.lock import SiteLock, WriteLock
from tconnectsync.state.record import RecordFile
from tconnectsync.state.refused import FILE_NAME as REFUSED_FILE
from tconnectsync.state.refused import RefusedPasswords
from tconnectsync.state.shared import SharedFile
from tconnectsync.sync.features import parts_of
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.run.catchup import CatchUp
from tconnectsync.sync.run.cycle import Cycle, Progress

if TYPE_CHECKING:
    from tconnectsync.check.run import Check
    from tconnectsync.history import History
    from tconnectsync.watch.watch import Watch

NIGHTSCOUT_TIMEOUT = 60.0
"""Seconds; after a wrong login Nightscout delays every answer for a while."""


@dataclass(frozen=True)
class Host:
    """The computer that the program runs on: its variables, folders and clock."""

    clock: Clock
    environment: Mapping[str, str]
    """The variables that are set."""
    home: Path
    """The user's own folder."""
    folder: Path
    """The folder in which the program was started."""
    caches: Sequence[Path]
    """Where files may be kept from run to run; of those about a site, the first that works."""
    shared: dict[str, SharedFile] = field(default_factory=dict, repr=False, compare=False)
    """The files that all persons share, by name; see :meth:`shared_file`."""

    @property
    def cache(self) -> Path | None:
        """Where files about a Tandem account are kept, if anywhere."""
        return next(iter(self.caches), None)

    def shared_file(self, name: str) -> SharedFile:
        """Return a file that threads and processes change one after the other.

        What ``shared`` has under the plain name stands for it.
        """
        if name in self.shared:
            return self.shared[name]
        file = SharedFile(name, self.caches, self.clock.sleep)
        return self.shared.setdefault(f"{name} in {list(self.caches)}", file)

    def configuration(
        self,
        chosen: Mapping[str, str | None] | None = None,
        env_file: Path | None = None,
        person: Person | None = None,
    ) -> Configuration:
        """Return what is configured, of several people for one of them.

        Variables that are ``chosen`` overrule everything. A file that a person has named comes
        before the environment, which may be about another person; one that was found comes after
        it.

        Raises:
            UsageError: there is no file ``env_file``.
        """
        given = {name: value for name, value in (chosen or {}).items() if value is not None}
        options = CommandLine(given)
        if person:
            return Configuration(options, *places_of(person, self.environment))
        if env_file is None:
            file = read_env_files(env_files(self.home, self.folder))
            return Configuration(options, self.environment, file)
        path = Path(whole_path(str(env_file), str(self.folder)))
        if not path.exists():
            raise UsageError(f"--env-file: there is no file {path}.")
        return Configuration(options, read_env_file(path), self.environment)


def this_computer() -> Host:
    """Return the computer that this process runs on."""
    folder = Path()  # Where nothing is found if it was removed meanwhile.
    with suppress(OSError):
        folder = Path.cwd()
    return Host(Clock(), dict(os.environ), Path.home(), folder, list(map(Path, cache_folders())))


def open_tandem(settings: TandemSettings, host: Host, *, insist: bool = False) -> TConnectApi:
    """Return Tandem's clients; they log in when they are first asked.

    With ``insist``, because a person wants to know, also with a password that was refused before.
    """
    guard = open_guard(settings, host.clock.now, host.shared_file, insist=insist)
    shapes = Shapes(known_shapes, host.cache)
    return TConnectApi(settings, host.clock, host.cache, guard, shapes=shapes)


def open_refused(host: Host) -> RefusedPasswords:
    """Return what is known of passwords that Tandem refused."""
    return RefusedPasswords(host.shared_file(REFUSED_FILE), host.clock.now)


def open_nightscout(
    settings: NightscoutSettings,
    clock: Clock,
    writing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> NightscoutApi:
    """Return the client of the site; what may change it is sent within a ``writing`` block."""
    http = HttpClient(
        "Nightscout",
        clock,
        read_timeout=NIGHTSCOUT_TIMEOUT,
        verify=not settings.skip_tls_verify,
        writing=writing,
        side=Side.NIGHTSCOUT,
        given_in="NS_URL",
    )
    return NightscoutApi(settings.url, settings.secret, http)


def open_check(configuration: Configuration, features: Sequence[str], host: Host) -> Check:
    """Return the check of all parts, as far as the configuration can be used."""
    from tconnectsync.check.run import Check

    return Check(
        configuration,
        features,
        host.clock,
        tandem=lambda settings: open_tandem(settings, host, insist=True),
        nightscout=lambda settings: open_nightscout(settings, host.clock),
    )


def open_watch(
    configuration: Configuration,
    host: Host,
    *,
    person: str = "",
    continuous: bool = False,
    keep: bool = True,
) -> Watch:
    """Return what records how runs with these settings go, and reports it.

    The settings may be wrong: what can be used of them is used.

    Args:
        configuration: the settings.
        host: where the runs are.
        person: the name of the person's settings; empty where there is one only.
        continuous: whether the loop runs, not a single run.
        keep: whether anything is recorded and reported.
    """
    from tconnectsync.watch.reporter import RunReporter
    from tconnectsync.watch.systemd import Systemd
    from tconnectsync.watch.watch import Watch

    redact = Redactor(configuration.secrets)
    if configuration.site_address:
        redact.learn_address("NS_URL", configuration.site_address)
    settings = configuration.usable(WatchSettings)
    return Watch(
        RecordFile(host.caches, configuration.key),
        settings,
        configuration.usable(LoopSettings),
        host.clock.now,
        lambda text: configuration.without_folders(redact.sentence(text)),
        RunReporter(settings, host.clock, configuration.zone, Systemd(host.environment), person),
        person=person,
        continuous=continuous,
        keep=keep,
    )


def find_site(settings: Settings, clock: Clock, *, patient: bool) -> Settings:
    """Return settings in which NS_URL is the site's own address, not that of one of its pages.

    Files about a site have its address in their names, so it has to be known before any is opened.
    The site is asked only where the address may be that of a page.

    Args:
        settings: as they were given.
        clock: waits between tries.
        patient: whether they are left as they are while the site cannot be asked.

    Raises:
        NightscoutError: what answers is not Nightscout.
        NetworkError: Nightscout could not be reached.
    """
    nightscout = open_nightscout(settings.nightscout, clock)
    try:
        nightscout.find_site()
    except TconnectsyncError:
        if patient:
            return settings
        raise
    return replace(settings, nightscout=replace(settings.nightscout, url=nightscout.site.url))


def write_lock(settings: Settings, host: Host, *, pretend: bool) -> WriteLock:
    """Return the lock that a run waits for before it writes; a run that only looks never waits."""
    if pretend:
        return nullcontext
    site, zone = settings.nightscout.url, settings.tandem.zone
    return SiteLock(site, host.caches, host.clock, zone=zone).held


def open_file(path: Path, settings: Settings, host: Host) -> SavedLog:
    """Return a saved pump log of the cloud that the settings choose, to be read instead of it.

    Raises:
        UsageError: logs of that cloud cannot be read.
        LogFileError: the file cannot be read, or holds no log.
    """
    cloud = cloud_named(settings.source.name)
    if cloud.open_file is None:
        raise UsageError(f"Logs of {cloud.title} cannot be read from a file.")
    log: SavedLog = cloud.open_file(path, settings, PumpClock(settings.tandem.zone), host.clock)
    return log


def open_history(
    settings: Settings, host: Host, *, file: SavedLog | None = None, every_day: bool = True
) -> History:
    """Return the story of the pumps of the account that the settings name, or of a saved log.

    Of the settings, those of the Tandem account are enough. With ``every_day``, days before the
    account's first data count as missing.
    """
    from tconnectsync.history import History

    clock, cloud = PumpClock(settings.tandem.zone), cloud_named(settings.source.name)
    source: Source | None = file
    if source is None:
        api = open_tandem(settings.tandem, host)
        source = cloud.open_source(api, settings, clock, host.clock, needs_readings=True)
    covered = file.covered if file else None
    return History(source, clock, host.clock.now, cloud.lacks, covered, every_day)


def open_catch_up(
    settings: Settings,
    features: Sequence[str],
    host: Host,
    *,
    source: Source | None = None,
    pretend: bool,
    on_plan: Callable[[TimeRange, Plan], None] = lambda window, plan: None,
    progress: Progress = lambda windows: windows,
    writing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> CatchUp:
    """Return the cycle of :func:`assemble` with its site's backlog, kept unless it pretends."""
    backlog = Backlog(settings.nightscout.url, host.caches, keep=not pretend)
    cycle = assemble(
        settings,
        features,
        host,
        source=source,
        backlog=backlog,
        pretend=pretend,
        on_plan=on_plan,
        writing=writing,
    )
    return CatchUp(cycle, backlog, settings.sync.catch_up_days, progress)


def assemble(
    settings: Settings,
    features: Sequence[str],
    host: Host,
    *,
    source: Source | None = None,
    backlog: Backlog | None = None,
    pretend: bool = False,
    on_plan: Callable[[TimeRange, Plan], None] = lambda window, plan: None,
    writing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Cycle:
    """Return the cycle that the settings describe.

    ``source`` replaces the cloud that the settings choose. Every request that changes Nightscout is
    sent within a ``writing`` block. With a ``backlog``, Nightscout is asked for the pump's state
    and its insulin on board only if the pump has uploaded something since.
    """
    clock, pump_clock = host.clock, PumpClock(settings.tandem.zone)
    nightscout = open_nightscout(settings.nightscout, clock, writing)
    if source is None:
        api, needs_readings = open_tandem(settings.tandem, host), "readings" in parts_of(features)
        cloud = cloud_named(settings.source.name)
        source = cloud.open_source(api, settings, pump_clock, clock, needs_readings=needs_readings)
    once = _once_features(settings, source, nightscout, clock, backlog, pretend=pretend)
    return Cycle(
        source=source,
        nightscout=nightscout,
        clock=pump_clock,
        features=features,
        now=clock.now,
        pretend=pretend,
        fill_gaps=settings.sync.fill_gaps,
        on_plan=on_plan,
        at_the_end={name: sync for name, sync in once.items() if name in features},
        alarm_safe=timedelta(minutes=settings.sync.alarm_safe_minutes),
    )


def _once_features(
    settings: Settings,
    source: Source,
    nightscout: NightscoutApi,
    clock: Clock,
    backlog: Backlog | None,
    *,
    pretend: bool,
) -> dict[str, Callable[[Reader], list[str]]]:
    """Return what syncs the features that are synced once, after all windows."""

    def profiles(reader: Reader) -> list[str]:
        from tconnectsync.nightscout.profiles import ProfileStyle
        from tconnectsync.sync.run.sync_profiles import sync_profiles

        chosen = settings.profiles
        # What remains to be given depends on the site.
        style = partial(
            ProfileStyle,
            timezone=settings.tandem.zone.key,
            targets=chosen.targets,
            carbs_hr=chosen.carbs_hr,
            delay=chosen.delay,
        )
        pump, mode = source.pump_settings(), chosen.upload_mode
        return sync_profiles(pump, nightscout, style, mode=mode, now=clock.now, pretend=pretend)

    def iob(reader: Reader) -> list[str]:
        from tconnectsync.sync.run.sync_iob import sync_iob

        return sync_iob(reader.insulin_on_board(), nightscout, backlog, pretend=pretend)

    def device_status(reader: Reader) -> list[str]:
        from tconnectsync.sync.run.sync_device_status import sync_device_status

        return sync_device_status(reader, nightscout, backlog, pretend=pretend)

    return {"PROFILES": profiles, "IOB": iob, "DEVICE_STATUS": device_status}
