"""How far back a run reaches: the range asked for, or all that earlier runs have left undone.

A run over a range covers that range. A run up to now begins with the earliest of

1. the last days that were asked for, one if none were,
2. our newest treatment of each kind that comes every day, and our newest entry: earlier runs ended
   there,
3. the ranges in the backlog, which earlier runs could not bring,
4. what replaced pumps have uploaded since the last run,

but not earlier than ``CATCH_UP_DAYS`` ago. What lies before that stays in the backlog, and a remark
names what brings it. Three rules elsewhere reach further back than this beginning:

- ``firstwindow.py``: every run begins a window earlier, within the same limit, while treatments of
  its first day stand at the time of a clock that was put right since. A run up to now begins again
  with what Nightscout says if nothing stands in its first window although the backlog remembers
  earlier runs: it is another site.
- ``windowplan.py`` (``look_back``): a run up to now also writes what touches the last minutes
  before its first window, since it may have been deferred.
- ``firstlook.py``: once per site, the last site, cartridge and sensor changes are looked for
  before the range, within the same limit, if Nightscout holds none by anyone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from tconnectsync.domain.clock import DAY, LONG_AGO, TimeRange
from tconnectsync.errors import NightscoutError, PumpChoiceError, TconnectsyncError
from tconnectsync.nightscout.eventtypes import SGV
from tconnectsync.sources.base import PumpSpan, Remark
from tconnectsync.state.backlog import Backlog, Missing, reduced
from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.run.coverage import coverage, empty_log, late_since, newest_entries
from tconnectsync.sync.run.cycle import Cycle, Progress
from tconnectsync.sync.run.firstlook import look_once
from tconnectsync.sync.run.outcome import Outcome, Work

log = logging.getLogger(__name__)

LONGEST_MOVED = timedelta(days=31)
"""How far before it the remark asks people to sync again."""
Kinds = tuple[str, ...]
"""Types of treatments or entries that show together how far earlier runs got."""
ENTRIES: Kinds = (SGV,)


@dataclass(eq=False)
class CatchUp:
    """A cycle and the backlog of its site."""

    cycle: Cycle
    backlog: Backlog
    limit_days: float
    """How far back a run reaches at the most (``CATCH_UP_DAYS``)."""
    progress: Progress = lambda windows: windows

    def sync_range(self, time_range: TimeRange) -> Outcome:
        """Sync a range. What is missing before it goes into the backlog.

        Otherwise its own documents, now the newest, would hide the gap before it.

        Raises:
            PumpChoiceError: a person has to say first which pump is meant.
            ClockContradictionError: what would be written has the times of a wrong zone.
        """
        self._announce(time_range)
        self.remember(time_range)
        outcome, spans = self._pumps(time_range)
        if outcome.failures:
            return outcome
        work = (time_range, self.cycle.features)
        with outcome.recording_failures(work, rest=work):
            self.backlog.add(self._missing_before(time_range))
        return outcome if outcome.failures else self._run(time_range, spans)

    def sync_up_to_now(self, asked_for: TimeRange) -> Outcome:
        """Sync a range that ends now, and before it what earlier runs left undone.

        Raises:
            PumpChoiceError: a person has to say first which pump is meant.
            ClockContradictionError: what would be written has the times of a wrong zone.
            NightscoutError, NetworkError: Nightscout did not say how far earlier runs got.
        """
        cycle, backlog = self.cycle, self.backlog
        earliest = self._earliest()
        self.remember(asked_for)
        known = backlog.newest()
        time_range = self._reaching_back(asked_for, known)
        outcome, spans = self._pumps(time_range)
        if not outcome.failures:
            late = late_since(spans, backlog.log_ends(), time_range, earliest)
            if late < time_range.start:
                log.info("Going back to %s for data that was uploaded late.", cycle.clock.day(late))
            time_range = TimeRange(late, time_range.end)
            self._announce(time_range)
            nothing_to_ask = set().union(*self._regular) <= known.keys()
            ask_how_far = partial(self._asked_again, asked_for, time_range.start)
            outcome = self._run(
                time_range,
                spans,
                in_order=True,
                ask_how_far=ask_how_far if nothing_to_ask else None,
            )
            backlog.remember_log_ends(newest_entries(spans))
            if not outcome.failures:
                look_once(cycle, backlog, time_range, earliest, outcome)
        outcome.remark(self._out_of_reach(min(time_range.start, earliest)))
        return outcome

    def remember(self, time_range: TimeRange) -> None:
        """Put a range into the backlog: should this run break off, the next one knows."""
        self.backlog.add({name: [time_range] for name in self.cycle.windowed})

    def unfinished(self, within: TimeRange | None = None) -> list[Work]:
        """Return what is missing, also while a run is under way; of a range or of all time."""
        return _by_range(self.backlog.missing(self.cycle.features), within)

    def follows_automatically(self, work: Sequence[Work]) -> bool:
        """Return whether the next run up to now does all of some work automatically."""
        is_near = all(part.start >= self._earliest() for part, _ in work)
        return not work or (self.backlog.is_saved and is_near)

    def _resolve(self, window: TimeRange, features: Sequence[str], result: Outcome) -> None:
        self.backlog.resolve(window, features, result.missing, result.refused)

    def _asked_again(self, asked_for: TimeRange, announced: datetime) -> datetime:
        """Return where to begin on a site that holds nothing of earlier runs: it is another one."""
        self.backlog.forget_site()
        return self._reaching_back(asked_for, {}, announced).start

    @property
    def _regular(self) -> list[Kinds]:
        return regular_kinds(self.cycle.features)

    def _earliest(self) -> datetime:
        return self.cycle.now() - timedelta(days=self.limit_days)

    def _announce(self, time_range: TimeRange) -> None:
        here = self.cycle.clock.here
        log.info(
            "%s from %s to %s.",
            "Looking" if self.cycle.pretend else "Syncing",
            f"{here(time_range.start):%Y-%m-%d %H:%M}",
            f"{here(time_range.end):%Y-%m-%d %H:%M}",
        )

    def _pumps(self, time_range: TimeRange) -> tuple[Outcome, Sequence[PumpSpan]]:
        """Return the pumps of the account; the outcome is empty unless that fails."""
        outcome = Outcome()
        try:
            return outcome, self.cycle.source.pumps(time_range)
        except PumpChoiceError:
            raise
        except TconnectsyncError as error:
            outcome.failed(time_range, self.cycle.features, error)
        self.backlog.add(outcome.missing)
        return outcome, ()

    def _run(
        self,
        time_range: TimeRange,
        spans: Sequence[PumpSpan],
        *,
        in_order: bool = False,
        ask_how_far: Callable[[], datetime] | None = None,
    ) -> Outcome:
        """Run the cycle over a range and keep the backlog by what becomes of it."""
        cycle, backlog = self.cycle, self.backlog
        self.remember(time_range)
        outcome = cycle.run(
            time_range,
            self.progress,
            in_order=in_order,
            earliest=min(time_range.start, self._earliest()),
            ask_how_far=ask_how_far,
            is_known=any(backlog.newest().values()),
            after_window=self._resolve,
        )
        if "BASAL" in cycle.windowed and not (outcome.newest or outcome.failures):
            work = (time_range, cycle.windowed)
            outcome.remark(empty_log(spans, time_range, cycle.clock), work)
        self._resolve(time_range, cycle.windowed, outcome)
        backlog.remember_newest(outcome.newest)
        outcome.remark(coverage(spans, time_range, cycle.clock))
        uploads = [span.uploaded or span.last for span in spans if span.is_read]
        outcome.last_upload = max(filter(None, uploads), default=None)
        if outcome.moved_before:
            outcome.remark([self._still_moved(outcome.moved_before)])
        return outcome

    def _reaching_back(
        self,
        time_range: TimeRange,
        known: Mapping[str, datetime | None],
        announced: datetime | None = None,
    ) -> TimeRange:
        """Return a range up to now, or more where earlier runs left something undone.

        What lies further back than the limit goes into the backlog. The log says how far the run
        reaches back, unless it was ``announced`` from as early on.
        """
        cycle, backlog = self.cycle, self.backlog
        earliest = self._earliest()
        newest = [self._newest(kinds, known, remember=True) for kinds in self._regular]
        missing = [each for found in backlog.missing(cycle.features).values() for each in found]
        since = min((each.start for each in missing if each.end > earliest), default=None)
        extended, cut_off = caught_up(time_range, newest, self.limit_days, since)
        if cut_off:
            beyond = TimeRange(max(filter(None, newest)), extended.start)
            backlog.add({name: [beyond] for name in cycle.windowed})
        if extended.start < (announced or time_range.start):
            day = cycle.clock.day(extended.start)
            log.info("Going back to %s for data that earlier runs could not sync.", day)
        return extended

    def _missing_before(self, time_range: TimeRange) -> dict[str, list[TimeRange]]:
        """Return what is missing before a range, by feature, as far back as a run reaches.

        Raises:
            NightscoutLoginError: Nightscout does not accept the secret.
        """
        earliest, known = self._earliest(), self.backlog.newest()
        if time_range.start <= earliest:
            return {}
        reached: dict[Kinds, datetime | None] = {}
        for kinds in self._regular:
            try:
                reached[kinds] = self._newest(kinds, known, remember=False)
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                log.debug("It is not known how far the last sync got. %s", error)
                # A day later than that, so that the next run can still bring all of it.
                reached[kinds] = earliest + DAY
        return {
            name: [TimeRange(at, time_range.start)]
            for name in self.cycle.features
            if (at := reached.get(FEATURES[name].regular)) and at < time_range.start
        }

    def _newest(
        self, kinds: Kinds, known: Mapping[str, datetime | None], *, remember: bool
    ) -> datetime | None:
        """Return when our newest document of some kinds is; ``None`` if that may not be asked.

        Nightscout is asked for what is not ``known``.

        Raises:
            NightscoutError, NetworkError: it did not answer, or does not accept the secret.
        """
        asked: dict[str, datetime | None] = {}
        try:
            for kind in kinds:
                if kind not in known:
                    asked[kind] = self.cycle.nightscout.newest(kind)
        except NightscoutError as error:
            # If the secret is wrong, the treatments that are read next show that.
            is_refused = error.fatal and (kinds != ENTRIES or self._regular == [ENTRIES])
            if is_refused or error.can_retry or error.status is None:
                raise
            why = "" if error.fatal else f" {error}"
            log.warning("It is not known how far the last sync got for %s.%s", " ".join(kinds), why)
            return None
        if remember:
            self.backlog.remember_newest({kind: at for kind, at in asked.items() if at}, of=asked)
        return max(filter(None, (({**known, **asked}).get(kind) for kind in kinds)), default=None)

    def _out_of_reach(self, start: datetime) -> list[Remark]:
        """Return remarks on ranges in the backlog that lie before ``start``.

        Runs up to now do not bring them.
        """
        features, before = self.cycle.features, TimeRange(LONG_AGO, start)
        missing, refused = self.backlog.missing(features), self.backlog.refused(features)
        can_be_asked_for = reduced(missing, refused)
        in_vain = reduced(missing, can_be_asked_for)
        remarks = []
        for part, names in _by_range(can_be_asked_for, before):
            text = (
                f"{self._not_there(part, names)} They are older than CATCH_UP_DAYS, so a run "
                "without dates does not look for them. To sync them, run:"
            )
            remarks.append(Remark(text, repeat=(part, tuple(names))))
        for part, names in _by_range(in_vain, before):
            text = (
                f"{self._not_there(part, names)} The cloud did not give them when it was "
                "last asked. Look whether its web site shows these days; if it does, try again "
                "with --start-date and --end-date, or with a newer tconnectsync."
            )
            remarks.append(Remark(text))
        return remarks

    def _not_there(self, part: TimeRange, names: Sequence[str]) -> str:
        first, last = self.cycle.clock.days(part)
        return f"Some data of {' '.join(names)} from {first} to {last} are not in Nightscout."

    def _still_moved(self, before: datetime) -> Remark:
        """Return a remark on treatments that may have the time of a clock that is corrected now.

        They lie before an instant up to which the run was allowed to go back.
        """
        affected = TimeRange(before - LONGEST_MOVED, before)
        self.backlog.add({name: [affected] for name in self.cycle.windowed})
        return Remark(
            f"Treatments before {self.cycle.clock.day(before)} may still be at a wrong time, "
            "which followed from the pump's clock before it was corrected. This run may not go "
            "back that far. To move them, run:",
            repeat=(affected, tuple(self.cycle.features)),
        )


def _by_range(missing: Missing, within: TimeRange | None) -> list[Work]:
    """Return what is missing of a range, or of all time, with the features it is missing of."""
    by_range: dict[TimeRange, list[str]] = {}
    for name, ranges in missing.items():
        for each in ranges:
            start = max(each.start, within.start) if within else each.start
            end = min(each.end, within.end) if within else each.end
            if start < end:
                by_range.setdefault(TimeRange(start, end), []).append(name)
    return sorted(by_range.items(), key=lambda item: item[0].start)


def regular_kinds(features: Iterable[str]) -> list[Kinds]:
    """Return the kinds by which features show how far earlier runs got, entries last.

    In this order Nightscout is asked, since treatments show whether it accepts the secret; entries
    may be all that the role of a token may not read.
    """
    found = {FEATURES[name].regular for name in features} - {()}
    return sorted(found, key=lambda kinds: (kinds == ENTRIES, kinds))


def caught_up(
    time_range: TimeRange,
    newest: Iterable[datetime | None],
    limit_days: float,
    unfinished_since: datetime | None = None,
) -> tuple[TimeRange, bool]:
    """Extend a range back to where earlier runs left off.

    Args:
        time_range: the range asked for.
        newest: the newest document of ours per regular kind; ``None`` for a kind without any.
        limit_days: how far before its end the range may begin at the most.
        unfinished_since: from when on earlier runs could not bring everything.

    Returns:
        The range, and whether the limit kept it from reaching back to the newest document.
    """
    known = [instant for instant in newest if instant]
    earliest = min(time_range.start, time_range.end - timedelta(days=limit_days))
    if known and max(known) < earliest:
        return TimeRange(earliest, time_range.end), True
    # Example, limit 14 days: the last site change 20 days ago, the last basal today. The site
    # change is ignored, or every run would reach back 14 days. One day past the limit still counts,
    # because the limit moves on between runs.
    left_off = [instant for instant in known if instant >= earliest - DAY]
    if unfinished_since:
        left_off.append(unfinished_since)
    return TimeRange(max(min([time_range.start, *left_off]), earliest), time_range.end), False
