"""More than one hand on a site: two runs at once, and a person who edits and deletes meanwhile."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from signal import SIGTERM
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import (
    ALL_FEATURES,
    COMMAND,
    NEW_YORK,
    SECRET,
    Computer,
    Finished,
    cloud,
    computer,
    days,
    tandem_source,
)
from tests.support.expected import as_of, expected, shown
from tests.support.external_nightscout import GivenSite
from tests.support.fast_process import ends_when_asked, is_idle, running, said, soon
from tests.support.real_nightscout import NightscoutSite
from tests.support.treatments import by_id, doubled

# The first installation of the real Nightscout is limited by itself.
pytestmark = pytest.mark.timeout(func_only=True)

FIRST = date(2024, 5, 6)
ONE_DAY = days(FIRST, FIRST)
NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
LIMIT = 300.0
"""Longest time (seconds) that one waits for the other."""
LEFT = re.compile(
    r"INFO +Another tconnectsync \(process (\d+)\) has been syncing this site since \d\d:\d\d; "
    r"that run does the work, so this one ends\.\n$"
)


# Two runs on one computer


@dataclass
class Desk:
    """A computer, its two services, and a hand that holds a write back on its way."""

    tandem: SimulatedTandemSource
    site: SmallNightscout
    home: Computer
    holding: threading.Event
    go_on: threading.Event

    def hold_writes(self) -> None:
        """Let the next write wait until asked to go on."""

        def hold(request: Request) -> Response | None:
            if request.method != "GET" and not self.holding.is_set():
                self.holding.set()
                self.go_on.wait(LIMIT)
            return None

        self.site.fault = hold

    @contextmanager
    def writing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Have a run that is in the middle of writing; the block may ask it to go on."""
        self.hold_writes()
        with self.started(*arguments) as process:
            assert self.holding.wait(LIMIT)
            yield process

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Have a run go on beside the block."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.home.folder,
            env=self.home.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            self.go_on.set()
            process.kill()
            process.communicate(timeout=LIMIT)

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Let a run go on to its end; return what it said, and insist that it succeeds."""
        self.go_on.set()
        text, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, text
        return text

    def requests(self) -> int:
        """Count what both services have been asked."""
        return len(self.tandem.log) + len(self.site.log)


@pytest.fixture(scope="module")
def last_days() -> PumpHistory:
    return live(NOW.date() - timedelta(days=2), 3)


@pytest.fixture
def desk(tmp_path: Path, last_days: PumpHistory) -> Iterator[Desk]:
    with tandem_source(last_days) as tandem, SmallNightscout(SECRET) as site:
        tandem.uploaded_until = NOW - timedelta(hours=2)
        home = computer(tmp_path, tandem, site.url, SECRET)
        desk = Desk(tandem, site, home, threading.Event(), threading.Event())
        yield desk
        desk.go_on.set()


@pytest.fixture
def backfill(last_days: PumpHistory) -> tuple[str, ...]:
    return days(last_days.first_day, last_days.first_day)


def waits(process: subprocess.Popen[str]) -> bool:
    """Return whether a process says that it waits, reading up to the line that does."""
    assert process.stdout
    return any("Waiting until it has ended." in line for line in process.stdout)


def test_cron_beside_a_long_backfill_leaves_it_to_that_one(
    desk: Desk, backfill: tuple[str, ...]
) -> None:
    with desk.writing(*backfill) as other:
        before = desk.requests()
        cron = desk.home.run()

        assert (cron.code, cron.output) == (0, "")
        found = LEFT.search(cron.errors)
        assert found, cron.errors
        assert int(found[1]) == other.pid
        assert not re.search(r"WARNING|ERROR", cron.errors)
        assert desk.requests() == before
        desk.finish(other)
    stored = len(desk.site.treatments)
    assert desk.home.run().counts.created == len(desk.site.treatments) - stored > 0


def test_a_killed_run_blocks_nothing(desk: Desk, backfill: tuple[str, ...]) -> None:
    with desk.writing(*backfill) as killed:
        killed.kill()
        killed.wait(LIMIT)
        desk.go_on.set()
        run = desk.home.run(*backfill)
    assert run.code == 0
    assert "Another tconnectsync" not in run.errors
    assert doubled(desk.site.treatments) == {}


@pytest.mark.parametrize("option", ["--pretend", "--check-login"])
def test_who_only_looks_does_not_wait(desk: Desk, backfill: tuple[str, ...], option: str) -> None:
    with desk.writing(*backfill) as other:
        looking = desk.home.run(option)
        assert looking.code == 0
        assert "Another tconnectsync" not in looking.errors
        desk.finish(other)


def test_looking_keeps_no_run_from_writing(desk: Desk, backfill: tuple[str, ...]) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def hold(request: Request) -> Response | None:
        if not looking.is_set():
            looking.set()
            go_on.wait(LIMIT)
        return None

    desk.site.fault = hold
    with desk.started("--pretend", *backfill) as other:
        assert looking.wait(LIMIT)
        assert desk.home.run().counts.created > 0
        go_on.set()
        desk.finish(other)


def test_two_sites_are_synced_at_once(desk: Desk, backfill: tuple[str, ...]) -> None:
    with SmallNightscout(SECRET) as second, desk.writing(*backfill) as other:
        run = desk.home.run(*backfill, NS_URL=second.url)
        desk.finish(other)
        assert (run.code, run.counts.created) == (0, len(second.treatments))
        assert shown(second.treatments) == shown(desk.site.treatments) != []


def test_a_log_that_is_imported_waits_and_says_so(
    desk: Desk, backfill: tuple[str, ...], tmp_path: Path
) -> None:
    no_log = tmp_path / "no log"
    no_log.write_text("[]")
    with desk.writing(*backfill) as other, desk.started("--import-log", str(no_log)) as importing:
        assert waits(importing)
        assert importing.poll() is None
        desk.finish(other)
        importing.wait(LIMIT)
    assert importing.returncode == 2


def test_a_backfill_that_waits_in_vain_fails_and_says_what_to_do(
    desk: Desk, backfill: tuple[str, ...]
) -> None:
    with desk.writing(*backfill) as other:
        before = desk.requests()
        run = replace(desk.home, haste=100).run(*backfill)
        assert desk.requests() == before
        desk.finish(other)
    *_, waiting, failing = run.errors.splitlines()
    assert (run.code, run.output) == (1, "")
    assert waiting.endswith("Waiting until it has ended.")
    assert failing.startswith(f"tconnectsync: Another tconnectsync (process {other.pid}) has been ")
    assert failing.endswith("Nothing was done; start this run again when the other one has ended.")


def test_a_backfill_by_hand_waits_for_a_cycle_of_the_loop(
    desk: Desk, backfill: tuple[str, ...]
) -> None:
    desk.hold_writes()
    with running(desk.home, haste=1):
        assert desk.holding.wait(LIMIT)
        with desk.started(*backfill) as by_hand:
            assert waits(by_hand)
            text = desk.finish(by_hand)
    assert re.search(r"New: \d+ basals", text)
    assert doubled(desk.site.treatments) == {}


def test_between_its_cycles_the_loop_lets_others_write(
    desk: Desk, backfill: tuple[str, ...]
) -> None:
    with running(desk.home) as loop:
        soon(lambda: is_idle(desk.tandem))
        run = desk.home.run(*backfill)
        assert "Another tconnectsync" not in run.errors
        assert run.counts.created > 0
        assert loop.poll() is None


def test_the_loop_waits_for_a_long_backfill_and_counts_no_failure(
    desk: Desk, backfill: tuple[str, ...]
) -> None:
    with desk.writing(*backfill) as other, running(desk.home) as loop:
        soon(lambda: "Waiting until it has ended." in said(desk.home))
        assert f"(process {other.pid})" in said(desk.home)
        assert "New: " not in said(desk.home)
        desk.finish(other)
        soon(lambda: re.search("New: |Nothing new", said(desk.home)))
        ends_when_asked(desk.home, loop, SIGTERM)
    assert not re.search(r"WARNING|ERROR|Trying again", said(desk.home))
    assert doubled(desk.site.treatments) == {}


def test_the_loop_ends_at_once_while_it_waits_for_another(
    desk: Desk, backfill: tuple[str, ...]
) -> None:
    with desk.writing(*backfill) as other, running(desk.home) as loop:
        soon(lambda: "Waiting until it has ended." in said(desk.home))
        ends_when_asked(desk.home, loop, SIGTERM)
        assert "Nothing is lost" in said(desk.home)
        desk.finish(other)


def test_where_only_the_temporary_folder_can_be_written_to_the_lock_is_there(
    desk: Desk, backfill: tuple[str, ...], tmp_path: Path
) -> None:
    (temporary := tmp_path / "tmp").mkdir()
    places = {"XDG_CACHE_HOME": "/dev/null/nothing", "TMPDIR": str(temporary)}
    home = Computer(desk.home.folder, {**desk.home.variables, **places})
    desk.home = home
    with desk.writing(*backfill) as other:
        cron = home.run()
        assert LEFT.search(cron.errors)
        desk.finish(other)
    (file,) = temporary.rglob("site-*.lock")
    assert file.stat().st_mode & 0o777 == 0o600


# A person who edits and deletes meanwhile


@pytest.fixture(
    params=["15.0.7 (small)", "0.12.8 (small)", pytest.param("real", marks=pytest.mark.slow)]
)
def site(request: pytest.FixtureRequest) -> Iterator[NightscoutSite]:
    """Give a site of every kind, without treatments."""
    if request.param == "real":
        yield request.getfixturevalue("nightscout")
        return
    with SmallNightscout(SECRET, keyed_by_identifier=request.param.startswith("15")) as small:
        yield GivenSite(small.url, SECRET)


class Front(LoopbackServer):
    """Stands in front of a site, and lets something happen right before the first write."""

    def __init__(self, site: NightscoutSite, before_first_write: Callable[[], None]) -> None:
        super().__init__(self._pass_on)
        self._site = site
        self._before_first_write = before_first_write
        self._has_written = False

    def _pass_on(self, request: Request) -> Response:
        if request.method != "GET" and not self._has_written:
            self._has_written = True
            self._before_first_write()
        return self._site.pass_on(request)


def of_kind(treatments: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    found = [t for t in treatments if t["eventType"] == kind]
    return sorted(found, key=lambda treatment: str(treatment["created_at"]))


def test_what_a_person_does_between_plan_and_write_stays(
    site: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST, 1)
    late = life.boluses[-1]
    with cloud(life) as tandem:
        tandem.hidden = {late}
        home = computer(tmp_path, tandem, site.url, site.secret)
        home.sync(*ONE_DAY)
        stored = site.treatments()
        boluses, basals = of_kind(stored, "Combo Bolus"), of_kind(stored, "Temp Basal")
        instant = datetime.fromisoformat(boluses[1]["created_at"])
        own = {
            "eventType": "Combo Bolus",
            "created_at": (instant + timedelta(seconds=1)).isoformat(),
            "enteredBy": "Mum",
            "insulin": 0.5,
        }

        def meanwhile() -> None:
            site.edit(boluses[0], insulin=boluses[0]["insulin"] + 1, notes="two slices")
            site.delete(basals[3])
            site.insert("treatments", [own])

        tandem.hidden = set()
        with Front(site, meanwhile) as front:
            counts = home.run(*ONE_DAY, *ALL_FEATURES, NS_URL=front.url).counts
        after = site.treatments()
        again = home.sync(*ONE_DAY)
        at_the_end = site.treatments()

    assert counts == (1, 0, len(stored))
    edited = by_id(after)[boluses[0]["_id"]]
    assert (edited["insulin"], edited["notes"]) == (boluses[0]["insulin"] + 1, "two slices")
    assert basals[3]["_id"] not in by_id(after)
    assert len(of_kind(after, "Combo Bolus")) == len(boluses) + 2
    assert [t["insulin"] for t in after if t["enteredBy"] == "Mum"] == [0.5]
    # Only what was deleted comes back.
    assert again == (1, 0, len(stored))
    assert by_id(after).items() <= by_id(at_the_end).items()
    (back,) = [t for t in at_the_end if t not in after]
    assert same(back, basals[3])
    assert doubled(at_the_end) == {}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two treatments differ at most in the name that the database gave them."""
    return one | {"_id": ""} == other | {"_id": ""}


@pytest.mark.parametrize("meddle", ["edits", "deletes"])
def test_what_was_going_on_is_there_once_whatever_a_person_does_to_it_meanwhile(
    site: NightscoutSite, tmp_path: Path, meddle: str
) -> None:
    life = live(FIRST, 1)
    moment = life.basal[5].start + timedelta(minutes=2)
    with cloud(life) as tandem:
        tandem.uploaded_until = moment
        home = computer(tmp_path, tandem, site.url, site.secret)
        home.sync(*ONE_DAY)
        stored = site.treatments()
        assert shown(stored) == expected(as_of(life, moment), NEW_YORK)
        running_one = of_kind(stored, "Temp Basal")[-1]

        def meanwhile() -> None:
            if meddle == "edits":
                site.edit(running_one, notes="on the way")
            else:
                site.delete(running_one)

        tandem.uploaded_until = None
        with Front(site, meanwhile) as front:
            run = home.run(*ONE_DAY, *ALL_FEATURES, NS_URL=front.url)
        after = site.treatments()
        again = home.sync(*ONE_DAY)

    # Nightscout knows no write on condition: in these milliseconds the pump has the last word.
    assert run.counts.updated == 1
    assert shown(after) == expected(life, NEW_YORK)
    assert again == (0, 0, len(after))


def test_what_a_person_deleted_stays_away_where_gaps_are_left(tmp_path: Path) -> None:
    life = live(FIRST, 1)
    with cloud(life) as tandem, SmallNightscout(SECRET) as small:
        home = computer(tmp_path, tandem, small.url, SECRET)
        home.sync(*ONE_DAY)
        stored = small.treatments
        GivenSite(small.url, SECRET).delete(of_kind(stored, "Temp Basal")[7])
        left = home.run(*ONE_DAY, *ALL_FEATURES, SYNC_GAPS="false")
        assert left.counts == (0, 0, len(stored) - 1)
        assert len(small.treatments) == len(stored) - 1


# Two computers, which know nothing of each other


def both_at_once(site: NightscoutSite, tandem_home: Callable[[str, str], Computer]) -> None:
    """Sync from two computers, both of which have read before either of them writes."""
    both_have_read = threading.Barrier(2)

    def meet() -> None:
        both_have_read.wait(LIMIT)

    with Front(site, meet) as one, Front(site, meet) as two, ThreadPoolExecutor(2) as pool:
        homes = [tandem_home("one", one.url), tandem_home("two", two.url)]
        runs: list[Finished] = list(pool.map(lambda home: home.run(*ONE_DAY, *ALL_FEATURES), homes))
    assert [run.code for run in runs] == [0, 0], [run.errors for run in runs]
    assert runs[0].counts == runs[1].counts
    assert runs[0].counts.created > 0


def test_two_computers_that_write_at_once_double_nothing(
    site: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST, 1)
    with cloud(life) as tandem:

        def home(name: str, url: str) -> Computer:
            (folder := tmp_path / name).mkdir(exist_ok=True)
            return computer(folder, tandem, url, site.secret)

        tandem.uploaded_until = life.basal[len(life.basal) // 2].start + timedelta(minutes=2)
        both_at_once(site, home)
        half = site.treatments()
        assert doubled(half) == {}
        assert shown(half) == expected(as_of(life, tandem.uploaded_until), NEW_YORK)

        tandem.uploaded_until = None
        both_at_once(site, home)
        everything = site.treatments()
        assert by_id(half).keys() <= by_id(everything).keys()
        assert doubled(everything) == {}
        assert shown(everything) == expected(life, NEW_YORK)
        assert home("one", site.url).sync(*ONE_DAY) == (0, 0, len(everything))
    assert site.treatments() == everything


def test_what_a_site_holds_twice_is_not_made_worse(tmp_path: Path) -> None:
    life = live(FIRST, 1)
    with cloud(life) as tandem, SmallNightscout(SECRET) as small:
        home = computer(tmp_path, tandem, small.url, SECRET)
        tandem.uploaded_until = life.basal[5].start + timedelta(minutes=2)
        home.sync(*ONE_DAY)
        stored = small.treatments
        small.insert({name: t[name] for name in t if name != "_id"} for t in stored)

        tandem.uploaded_until = None
        home.sync(*ONE_DAY)
        everything = small.treatments
        assert len(everything) == len(expected(life, NEW_YORK)) + len(stored)
        assert home.sync(*ONE_DAY)[:2] == (0, 0)
        assert small.treatments == everything
