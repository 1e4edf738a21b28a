"""What stands on the screen, in the log and in cron's mail after an ordinary run and a bad one."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tandemsource.oidc import LoginService
from tests.support.command import (
    ALL_FEATURES,
    COMMAND,
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    Computer,
    computer,
    days,
    free_port,
    tandem_source,
)

NOW = datetime(2024, 6, 20, 12, 7, tzinfo=ZoneInfo(NEW_YORK))
DAYS = 60
LIMIT = 300.0
"""Longest time (seconds) that a run on a terminal may take."""
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:INFO|DEBUG) +(.+)$")


@dataclass(frozen=True)
class Desk:
    """A computer far from the pump, a cloud with two months of its log, and an empty site."""

    tandem: SimulatedTandemSource
    site: SmallNightscout
    home: Computer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    life = live((NOW - timedelta(days=DAYS)).date(), DAYS + 1)
    with tandem_source(life) as tandem, SmallNightscout(SECRET, now=lambda: NOW) as site:
        tandem.login = LoginService(EMAIL, PASSWORD, now=lambda: NOW)
        tandem.uploaded_until = NOW.replace(tzinfo=None)
        home = computer(tmp_path, tandem, site.url, SECRET)
        variables = {**home.variables, "TZ": "Pacific/Auckland"}
        yield Desk(tandem, site, replace(home, variables=variables, moment=NOW))


def test_an_ordinary_run_is_a_few_lines_of_log_in_the_pumps_zone_without_a_warning(
    desk: Desk,
) -> None:
    run = desk.home.run(*ALL_FEATURES)
    assert (run.code, run.output) == (0, "")
    found = [STAMP.match(line) for line in run.errors.splitlines()]
    lines = [each[2] for each in found if each]
    assert len(lines) == len(found) < 9, run.errors
    for each in filter(None, found):
        logged = datetime.fromisoformat(each[1]).replace(tzinfo=NOW.tzinfo)
        assert abs(logged.astimezone(UTC) - datetime.now(UTC)) < timedelta(minutes=30)
    assert re.fullmatch(
        r"tconnectsync \S+: Tandem Source to 127\.0\.0\.1:\d+; BASAL, BOLUS, PUMP_EVENTS\. Times "
        r"are those of the pump, America/New_York\. (No file with settings was found: .*|The "
        r"settings come from .*)",
        lines[0],
    )
    assert "Pump: t:slim X2 Insulin Pump …0042." in lines
    assert re.fullmatch(
        r"New: \d+ basals, \d+ bolus(es)? \(\d+\.\d\d U\)(, \d+ [a-z ]+)*\.", lines[-1]
    )
    assert run.counts.created == len(desk.site.treatments)
    assert NEW_YORK in run.errors
    assert run.errors.count(NEW_YORK) == 1


def test_cron_has_nothing_to_mail_on_a_good_day(desk: Desk) -> None:
    quiet = [desk.home.run("--quiet", *more) for more in ((), (), ("--days", "3"))]
    assert [(run.code, run.output, run.errors) for run in quiet] == [(0, "", "")] * 3
    assert desk.site.treatments


def test_cron_has_nothing_to_mail_about_settings_that_a_person_chose(desk: Desk) -> None:
    loud = desk.home.run(NS_SKIP_TLS_VERIFY="true")
    quiet = desk.home.run("--quiet", NS_SKIP_TLS_VERIFY="true")
    assert "NS_SKIP_TLS_VERIFY is on" in loud.errors
    assert (quiet.code, quiet.errors) == (0, "")


def test_a_quiet_check_shows_only_what_is_wrong(desk: Desk) -> None:
    good = desk.home.run("--check-login", "--quiet")
    wrong = desk.home.run("--check-login", "--quiet", NS_SECRET="quite another secret")
    assert (good.code, good.output) == (0, "")
    assert wrong.code != 0
    first, *_ = wrong.output.splitlines()
    assert "failed" in first
    assert not re.search(r"^.+: +ok", wrong.output, re.MULTILINE)


def test_a_quiet_run_that_fails_says_what_a_loud_one_does(desk: Desk) -> None:
    broken = {"NS_URL": f"http://127.0.0.1:{free_port()}"}
    home = replace(desk.home, haste=1000)
    loud, quiet = home.run(**broken), home.run("--quiet", **broken)
    assert (loud.code, quiet.code) == (1, 1)
    said = [line for line in loud.errors.splitlines() if not STAMP.match(line)]
    assert quiet.errors.splitlines() == said != []


def test_a_quiet_plan_is_a_plan_and_nothing_else(desk: Desk) -> None:
    quiet = desk.home.run("--quiet", "--pretend")
    assert (quiet.code, quiet.errors) == (0, "")
    assert quiet.counts.created > 100


def test_a_plan_of_two_weeks_is_short_lines_under_a_heading_per_day(desk: Desk) -> None:
    run = desk.home.run("--pretend", "--days", "14", *ALL_FEATURES)
    assert run.code == 0
    lines = run.output.splitlines()
    shown = [line for line in lines if re.match(r"^[ ~-] \d\d:\d\d  ", line)]
    headings = [
        line for line in lines if re.fullmatch(r"[A-Z][a-z]{2} \d+ [A-Z][a-z]{2} \d{4}", line)
    ]
    assert len(shown) == run.counts.created
    assert 14 <= len(set(headings)) <= 16
    assert max(map(len, shown)) <= 100
    assert len(lines) - len(shown) - len(headings) < 12
    assert not re.search(r"identifier|checksum|enteredBy|pump_event_id", run.output)
    long = desk.home.run("--pretend", "-v", *ALL_FEATURES)
    assert len(re.findall(r"identifier: .+, checksum: ", long.output)) == long.counts.created


def test_details_name_the_kind_of_each_request(desk: Desk) -> None:
    run = desk.home.run("-v")
    for what in (
        "GET Tandem Source pump-logs: HTTP 200",
        "GET Nightscout treatments: HTTP 200",
        "POST Nightscout treatments: HTTP 200",
    ):
        assert what in run.errors


def on_a_terminal(desk: Desk, *arguments: str) -> str:
    """Return what the installed command shows on a terminal today."""
    home, desk.tandem.login = desk.home, LoginService(EMAIL, PASSWORD)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=home.folder,
        env={**home.environment, "TERM": "xterm", "COLUMNS": "80"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown, end = b"", time.monotonic() + LIMIT
        with suppress(OSError):  # The other side is closed.
            while select.select([ours], [], [], max(0.0, end - time.monotonic()))[0]:
                if not (part := os.read(ours, 4096)):
                    break
                shown += part
        process.kill()
    os.close(ours)
    return shown.decode()


def test_a_terminal_shows_a_bar_that_counts_days(desk: Desk) -> None:
    total = DAYS - 2
    last = NOW.date() - timedelta(days=1)
    shown = on_a_terminal(desk, *days(last - timedelta(days=total - 1), last), *ALL_FEATURES)
    counted = [int(day) for day in re.findall(rf"\rDay (\d+) of {total} \|", shown)]
    assert counted == sorted(counted)
    assert len(set(counted)) > 2
    assert re.search(r"New: \d+ basals", shown)
    assert "window" not in shown


def test_a_terminal_shows_no_bar_for_a_day_nor_for_a_quiet_run(desk: Desk) -> None:
    last = NOW.date()
    for first, more in ((last, ()), (last - timedelta(days=20), ("--quiet",))):
        shown = on_a_terminal(desk, *days(first, last), *more)
        assert ("New: " in shown) == (more == ())
        assert "Day 1 of" not in shown
