"""Which range a run covers: what was asked for, and what earlier runs have left to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tconnectsync.cli.options import Options
from tconnectsync.cli.report import command, days_of
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import NightscoutError, TconnectsyncError
from tconnectsync.sources.base import PumpSpan, Remark
from tconnectsync.state.backlog import Backlog
from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.run.coverage import late_since
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.window import caught_up, last_days

log = logging.getLogger(__name__)

LONGEST_MOVED = timedelta(days=31)
"""So long before the last treatment that moved, others are supposed to have to move as well."""


def reaching_back(
    options: Options,
    settings: Settings,
    cycle: Cycle,
    backlog: Backlog,
    *,
    anew: bool = False,
    announced: datetime | None = None,
) -> TimeRange:
    """Return the last days, or more where earlier runs left something undone.

    What lies further back than ``CATCH_UP_DAYS`` goes into the backlog. With ``anew``, Nightscout
    is asked also for what earlier runs have left there. The log says how far the run reaches back,
    unless it was ``announced`` from as early on.

    Raises:
        NightscoutError, NetworkError: Nightscout did not say how far they got.
    """
    wanted = last_days(options.days or 1, cycle.now())
    earliest = earliest_of(cycle, settings)
    regular = _regular(options)
    known = {} if anew else backlog.newest()
    newest = [_newest(cycle, kinds, regular, known, backlog) for kinds in regular]
    missing = [each for ranges in backlog.missing(options.features).values() for each in ranges]
    since = min((each.start for each in missing if each.end > earliest), default=None)
    extended, cut_off = caught_up(wanted, newest, settings.catch_up_days, since)
    if cut_off:
        left_off = max(filter(None, newest))
        backlog.add(_for_features(options, TimeRange(left_off, extended.start)))
    if extended.start < (announced or wanted.start):
        day = cycle.clock.day(extended.start)
        log.info("Reaching back to %s, for what earlier runs have not brought.", day)
    return extended


def is_remembered(options: Options, backlog: Backlog) -> bool:
    """Tell whether how far earlier runs got is known without asking Nightscout."""
    return set().union(*_regular(options)) <= backlog.newest().keys()


def with_late_uploads(
    wanted: TimeRange, spans: Sequence[PumpSpan], earliest: datetime, backlog: Backlog, cycle: Cycle
) -> TimeRange:
    """Return a range that also holds what replaced pumps have uploaded since the last run."""
    start = late_since(spans, backlog.log_ends(), wanted, earliest)
    if start < wanted.start:
        log.info("Reaching back to %s, for what was uploaded late.", cycle.clock.day(start))
    return TimeRange(start, wanted.end)


def beyond_catch_up(
    options: Options, cycle: Cycle, backlog: Backlog, start: datetime
) -> list[Remark]:
    """Return what there is to say of ranges in the backlog that lie before ``start``.

    A run without dates does not bring them.
    """
    by_range: dict[TimeRange, list[str]] = {}
    for name, ranges in backlog.missing(options.features).items():
        for each in ranges:
            if each.start < start:
                by_range.setdefault(TimeRange(each.start, min(each.end, start)), []).append(name)
    remarks = []
    for each, names in sorted(by_range.items(), key=lambda item: item[0].start):
        first, last = days_of(each, cycle.clock)
        remarks.append(
            Remark(
                f"{' '.join(names)} from {first} to {last} {'is' if len(names) == 1 else 'are'} "
                "not all in Nightscout; that is more than CATCH_UP_DAYS ago, further than a run "
                f"reaches back by itself. To bring it, run: {command(first, last, names, options)}"
            )
        )
    return remarks


def still_moved(options: Options, cycle: Cycle, backlog: Backlog, before: datetime) -> Remark:
    """Return what there is to say of treatments that stand at the time of a clock put right since.

    They may do so before an instant up to which the run was allowed to go back.
    """
    supposed = TimeRange(before - LONGEST_MOVED, before)
    backlog.add(_for_features(options, supposed))
    first, last = days_of(supposed, cycle.clock)
    return Remark(
        f"Treatments before {cycle.clock.day(before)} may still stand at the time that the pump's "
        "clock was believed to show before it was put right; that is longer ago than this run may "
        f"reach back. To move them, run: {command(first, last, options.features, options)}"
    )


def left_behind(
    options: Options,
    settings: Settings,
    cycle: Cycle,
    wanted: TimeRange,
    backlog: Backlog,
) -> dict[str, list[TimeRange]]:
    """Return what is missing before a range that was asked for.

    After it, its own documents are the newest ones, and hide what lies before it. What lies before
    the limit of catching up is not looked for anyway.

    Raises:
        NightscoutLoginError: Nightscout does not accept the secret.
    """
    earliest = earliest_of(cycle, settings)
    if wanted.start <= earliest:
        return {}
    newest: dict[tuple[str, ...], datetime | None] = {}
    regular = _regular(options)
    for kinds in regular:
        try:
            newest[kinds] = _newest(cycle, kinds, regular, backlog.newest())
        except TconnectsyncError as error:
            if error.fatal:
                raise
            log.debug("How far the last sync got is not known. %s", error)
            # A day later than that, so that the next run can still bring all of it.
            newest[kinds] = earliest + timedelta(days=1)
    reached = {name: newest.get(FEATURES[name].regular) for name in options.features}
    return {
        name: [TimeRange(at, wanted.start)]
        for name, at in reached.items()
        if at and at < wanted.start
    }


def earliest_of(cycle: Cycle, settings: Settings) -> datetime:
    """Return how far a run reaches back at the most (``CATCH_UP_DAYS``)."""
    return cycle.now() - timedelta(days=settings.catch_up_days)


def _for_features(options: Options, missing: TimeRange) -> dict[str, list[TimeRange]]:
    return {name: [missing] for name in options.features if FEATURES[name].parts}


def _regular(options: Options) -> list[tuple[str, ...]]:
    return sorted({FEATURES[name].regular for name in options.features} - {()})


def _newest(
    cycle: Cycle,
    kinds: Sequence[str],
    regular: Sequence[Sequence[str]],
    known: Mapping[str, datetime | None],
    backlog: Backlog | None = None,
) -> datetime | None:
    """Return when our newest document of some kinds is; ``None`` if that may not be asked.

    Nightscout is asked for what is not ``known``, and its answer goes into the ``backlog``. A role
    that may not read entries says nothing against the secret if others of the ``regular`` kinds,
    which come first, could be asked for.
    """
    try:
        asked = {kind: cycle.nightscout.newest(kind) for kind in kinds if kind not in known}
    except NightscoutError as error:
        is_refused = error.fatal and (kinds != FEATURES["CGM"].regular or len(regular) == 1)
        if is_refused or error.can_retry or error.status is None:
            raise
        # A secret is judged by what else it is good for; here it may have been tried first.
        why = "" if error.fatal else f" {error}"
        log.warning("How far the last sync got is not known for %s.%s", " ".join(kinds), why)
        return None
    if backlog:
        backlog.remember_newest({kind: at for kind, at in asked.items() if at}, of=asked)
    found = (asked.get(kind, known.get(kind)) for kind in kinds)
    return max(filter(None, found), default=None)
