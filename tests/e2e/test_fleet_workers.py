"""The workers of a fleet under what may happen to them, and what they must not do to Tandem."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tconnectsync.simulators.loopback import Response
from tconnectsync.state.pace import MOST_LOGINS, REST
from tests.support.fast_process import soon
from tests.support.fleet import MINUTE, Fleet, Watched, fleet_of
from tests.support.postgres import Postgres

HOUR = timedelta(hours=1)
LOGIN = "/accounts/api/login"
SEVERAL_WRITES = {"FEATURES": "BASAL,BOLUS,IOB,DEVICE_STATUS"}
BLOCKED = Response(b"<html><h2>The request is blocked.</h2></html>", 403, "text/html")
pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(postgres: Postgres, tmp_path: Path) -> Iterator[Fleet]:
    """Give a fleet of three people and one worker, who have synced."""
    with fleet_of(postgres, tmp_path, "anna", "ben", "cleo") as fleet:
        fleet.add(*fleet.people, **dict.fromkeys(fleet.people, SEVERAL_WRITES))
        fleet.start_worker()
        fleet.until(fleet.now + HOUR)
        assert all(each.site.treatments for each in fleet.people.values())
        yield fleet


def asked(fleet: Fleet) -> dict[str, int]:
    """Return how many requests Tandem had of each person since this was asked last."""
    found = {name: len(each.tandem.log) for name, each in fleet.people.items()}
    for each in fleet.people.values():
        each.tandem.log.clear()
    return found


def hold_a_write(fleet: Fleet, name: str) -> threading.Event:
    """Let the first of many writes for somebody be held; return what lets it be answered."""
    fleet.people[name].site.treatments.clear()
    fleet.ask("UPDATE fleet_account SET memory = NULL WHERE name = %s", name)
    site = Watched(fleet.people[name].site)
    site.held = go_on = threading.Event()
    while not site.holds.is_set():
        fleet.show(fleet.now + 4 * MINUTE)
        soon(lambda: site.holds.is_set() or fleet.is_settled())
    return go_on


# What Tandem sees


def test_after_a_block_all_of_an_address_rest_and_one_tries_for_all(fleet: Fleet) -> None:
    fleet.start_worker()
    clouds = {name: Watched(each.tandem) for name, each in fleet.people.items()}
    for cloud in clouds.values():
        cloud.answer = BLOCKED
    asked(fleet)
    fleet.until(fleet.now + 20 * MINUTE)
    # Several may have asked at the same moment.
    assert 1 <= sum(asked(fleet).values()) <= len(clouds)
    fleet.until(fleet.now + REST)
    assert sum(asked(fleet).values()) == 1, "After the rest one tries, and is blocked again."
    for cloud in clouds.values():
        cloud.answer = None
    fleet.until(fleet.now + 2 * HOUR)
    assert min(asked(fleet).values()) > 1
    assert fleet.run("status") == "3 of 3 accounts are well.\n"


def test_all_workers_of_an_address_share_one_budget_of_logins(fleet: Fleet) -> None:
    fleet.start_worker()
    logins = [[fleet.now.isoformat(), "somebody else"]] * (MOST_LOGINS - 1)
    fleet.ask("UPDATE fleet_address SET pace = %s", json.dumps({"own": {"logins": logins}}))
    asked(fleet)
    fleet.ask("UPDATE fleet_account SET memory = NULL")
    fleet.ask("UPDATE procrastinate_jobs SET scheduled_at = '2020-01-01'")
    fleet.show(fleet.now + 2 * MINUTE)
    soon(fleet.is_settled)
    sent = [it.request.path for each in fleet.people.values() for it in each.tandem.log]
    assert sent.count(LOGIN) == 1
    said = json.loads(fleet.run("status", "--json", code=1))["people"]
    assert sorted(each["state"] for each in said) == ["blocked-for-a-while"] * 2 + ["ok"]
    fleet.until(fleet.now + HOUR)
    sent = [it.request.path for each in fleet.people.values() for it in each.tandem.log]
    assert sent.count(LOGIN) == 3
    assert fleet.run("status") == "3 of 3 accounts are well.\n"


# What happens to an account while its step is taken


@pytest.mark.parametrize("command", ["pause", "remove"])
def test_a_step_writes_no_more_when_its_account_is_paused_or_removed(
    fleet: Fleet, command: str
) -> None:
    go_on = hold_a_write(fleet, "anna")
    fleet.run(command, "anna")
    written = fleet.people["anna"].site.writes
    go_on.set()
    soon(fleet.is_settled)
    fleet.until(fleet.now + HOUR)
    assert fleet.people["anna"].site.writes == written
    assert fleet.ask("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'step'")[0][0] == 2
    if command == "pause":
        fleet.run("resume", "anna")
        fleet.until(fleet.now + HOUR)
    assert fleet.run("status").endswith("accounts are well.\n")
    assert "Traceback" not in fleet.log


def test_a_step_writes_no_more_with_settings_that_were_changed(fleet: Fleet) -> None:
    anna = fleet.people["anna"]
    go_on = hold_a_write(fleet, "anna")
    file = fleet.settings("anna", NS_SECRET="another long secret", **SEVERAL_WRITES)
    fleet.run("change", "anna", "--env-file", file)
    written = anna.site.writes
    go_on.set()
    soon(fleet.is_settled)
    assert anna.site.writes == written
    said = json.loads(fleet.run("status", "--json", code=1))["people"]
    assert [each["state"] for each in said if not each["ok"]] == ["nightscout-refuses"]
    fleet.run("change", "anna", "--env-file", fleet.settings("anna"))
    fleet.until(fleet.now + HOUR)
    assert fleet.run("status") == "3 of 3 accounts are well.\n"


# What happens to a worker


def test_a_worker_that_is_asked_to_end_finishes_its_write_and_leaves_the_rest(fleet: Fleet) -> None:
    (worker,) = fleet.workers
    go_on = hold_a_write(fleet, "anna")
    worker.send_signal(signal.SIGTERM)
    assert worker.poll() is None
    go_on.set()
    assert worker.wait(60) == 0
    assert fleet.ask("SELECT id FROM procrastinate_jobs WHERE status = 'doing'") == []
    assert "Traceback" not in fleet.log
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert fleet.run("status") == "3 of 3 accounts are well.\n"


def test_a_worker_ends_also_while_tandem_does_not_answer(fleet: Fleet) -> None:
    (worker,) = fleet.workers
    waits, go_on = threading.Event(), threading.Event()

    def wait(request: object) -> None:
        waits.set()
        go_on.wait(60)

    fleet.people["anna"].tandem.fault = wait
    while not waits.is_set():
        fleet.show(fleet.now + 4 * MINUTE)
        soon(lambda: waits.is_set() or fleet.is_settled())
    worker.terminate()
    worker.wait(60)
    assert not go_on.is_set()
    fleet.people["anna"].tandem.fault = None
    go_on.set()
    fleet.start_worker()
    fleet.age()
    soon(fleet.sweep)
    fleet.until(fleet.now + HOUR)
    assert fleet.run("status") == "3 of 3 accounts are well.\n"


def test_a_worker_outlives_its_database(fleet: Fleet) -> None:
    (worker,) = fleet.workers
    fleet.postgres.control("stop", "-m", "immediate")
    soon(lambda: "The database cannot be reached" in fleet.log)
    fleet.postgres.start()
    fleet.connection = None
    fleet.age()
    soon(fleet.sweep)
    fleet.until(fleet.now + 2 * HOUR)
    assert worker.poll() is None
    assert fleet.run("status") == "3 of 3 accounts are well.\n"


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_worker_whose_clock_is_wrong_delays_no_step(fleet: Fleet, hours: int) -> None:
    (worker,) = fleet.workers
    wrong = fleet.start_worker(wrong=hours * 3600)
    worker.terminate()
    worker.wait(60)
    fleet.until(fleet.now + HOUR)
    wrong.terminate()
    wrong.wait(60)
    late = fleet.ask("SELECT max(scheduled_at) AS at FROM procrastinate_jobs")[0].at
    assert late <= fleet.now + HOUR
    fleet.start_worker()
    fleet.until(fleet.now + 2 * HOUR)
    assert fleet.run("status") == "3 of 3 accounts are well.\n"


def test_a_database_whose_clock_is_set_back_delays_no_step(fleet: Fleet) -> None:
    fleet.ahead = 30 * HOUR
    fleet.until(fleet.now + 2 * HOUR)
    fleet.ahead *= 0
    fleet.show(fleet.now)
    assert fleet.is_settled()
    fleet.sweep()
    soon(fleet.is_settled)
    fleet.until(fleet.now + 2 * HOUR)
    assert fleet.run("status") == "3 of 3 accounts are well.\n"
