"""Which range a run covers: what was asked for, and what earlier runs have left to it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from tconnectsync.cli.report import command
from tconnectsync.config import Settings
from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import NightscoutError, TconnectsyncError
from tconnectsync.sync.cycle import Cycle
from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.window import caught_up, last_days

log = logging.getLogger(__name__)


def reaching_back(
    options: argparse.Namespace,
    settings: Settings,
    cycle: Cycle,
    unfinished_since: datetime | None,
) -> TimeRange:
    """Return the last days, or more where earlier runs left something undone.

    Raises:
        NightscoutError, NetworkError: Nightscout did not say how far they got.
    """
    wanted = last_days(options.days or 1, cycle.now())
    earliest = _earliest(wanted.end, settings)
    regular = _regular(options)
    newest = [_newest(cycle, kinds, regular, min(earliest, wanted.start)) for kinds in regular]
    extended, cut_off = caught_up(wanted, newest, settings.catch_up_days, unfinished_since)
    day = cycle.clock.day
    if extended.start < wanted.start:
        log.info("The last sync was longer ago; reaching back to %s.", day(extended.start))
    if cut_off:
        left_off = day(max(filter(None, newest)))
        log.warning(
            "The last sync was more than CATCH_UP_DAYS ago. For what is older, run: %s",
            command(left_off, day(extended.start), options.features, options),
        )
    return extended


def left_behind(
    options: argparse.Namespace, settings: Settings, cycle: Cycle, wanted: TimeRange
) -> dict[str, datetime]:
    """Return since when features are unfinished, if this range begins later than that.

    After it, its own documents are the newest ones, and hide what lies before it. What lies before
    the limit of catching up is not looked for anyway.

    Raises:
        NightscoutLoginError: Nightscout does not accept the secret.
    """
    earliest = _earliest(cycle.now(), settings)
    if wanted.start <= earliest:
        return {}
    newest: dict[tuple[str, ...], datetime | None] = {}
    regular = _regular(options)
    for kinds in regular:
        try:
            newest[kinds] = _newest(cycle, kinds, regular, earliest)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            log.debug("How far the last sync got is not known. %s", error)
            newest[kinds] = earliest
    reached = {name: newest.get(FEATURES[name].regular) for name in options.features}
    return {name: at for name, at in reached.items() if at and at < wanted.start}


def _regular(options: argparse.Namespace) -> list[tuple[str, ...]]:
    return sorted({FEATURES[name].regular for name in options.features} - {()})


def _earliest(now: datetime, settings: Settings) -> datetime:
    return now - timedelta(days=settings.catch_up_days)


def _newest(
    cycle: Cycle, kinds: Sequence[str], regular: Sequence[Sequence[str]], earliest: datetime
) -> datetime | None:
    """Return when our newest document of some kinds is; ``earliest`` if that may not be asked.

    A role that may not read entries says nothing against the secret if others of the ``regular``
    kinds, which come first, could be asked for.
    """
    try:
        found = [at for kind in kinds if (at := cycle.nightscout.newest(kind))]
    except NightscoutError as error:
        is_refused = error.fatal and (kinds != FEATURES["CGM"].regular or len(regular) == 1)
        if is_refused or error.can_retry or error.status is None:
            raise
        log.warning("How far the last sync got is not known for %s. %s", " ".join(kinds), error)
        return earliest
    return max(found, default=None)
