"""The commands of a fleet: accounts, keys, and who is not well."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from cryptography.fernet import Fernet

from tconnectsync.simulators.loopback import Response
from tconnectsync.sync.loop.loop import APART, share_of
from tests.support.fast_process import soon
from tests.support.fleet import MINUTE, Fleet, Watched, fleet_of
from tests.support.postgres import Postgres

HOUR = timedelta(hours=1)
ODD = "a'c\"d $HOME `id` %s {0} #x= 🐴 ümläut \\ 9"
pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(postgres: Postgres, tmp_path: Path) -> Iterator[Fleet]:
    """Give a fleet for two people, neither of whom has been added yet."""
    with fleet_of(postgres, tmp_path, "anna", "ben") as fleet:
        yield fleet


def state_of(fleet: Fleet, name: str) -> dict[str, str]:
    """Return what the status says of somebody who is not well."""
    found = json.loads(fleet.run("status", "--json", code=1))["people"]
    return next(each for each in found if each["person"] == name)


def has_synced(fleet: Fleet, name: str) -> bool:
    return bool(fleet.people[name].site.treatments)


def test_an_account_is_added_once_and_only_if_its_settings_can_be_used(fleet: Fleet) -> None:
    fleet.add("anna")
    anna, ben = fleet.settings("anna"), fleet.settings("ben")
    assert "use change" in fleet.run("add", "anna", "--env-file", anna, code=2)
    assert "same Nightscout" in fleet.run("add", "other", "--env-file", anna, code=2)
    wrong = fleet.settings("ben", TIMEZONE_NAME="Europe/Nowhere")
    assert "TIMEZONE_NAME" in fleet.run("add", "ben", "--env-file", wrong, code=2)
    for variable, value in {"REQUESTS_PROXY": "http://x:1", "METRICS_FILE": "/tmp/x"}.items():
        wrong = fleet.settings("ben", **{variable: value})
        assert f"{variable} belongs" in fleet.run("add", "ben", "--env-file", wrong, code=2)
    ben = fleet.settings("ben")
    for name in "../ben", "ben@example.org":
        assert "The name cannot" in fleet.run("add", name, "--env-file", ben, code=2)
    for queue in "*sweeper", "q" * 41, "two words":
        file = ["--env-file", ben, f"--queue={queue}"]
        assert "The name of a queue" in fleet.run("add", "ben", *file, code=2)
    for command in "pause", "resume", "remove", "change":
        assert "There is no account ben" in fleet.run(command, "ben", code=2)
    assert [row.name for row in fleet.ask("SELECT name FROM fleet_account")] == ["anna"]
    assert len(fleet.ask("SELECT id FROM procrastinate_jobs")) == 1
    fleet.run("add", "ben", "--env-file", ben, "--queue", "q" * 40)


def test_accounts_that_are_added_together_begin_one_after_the_other(fleet: Fleet) -> None:
    fleet.add("anna", "ben")
    rows = fleet.ask(
        "SELECT name, lock, queueing_lock, queue_name, args, scheduled_at FROM fleet_account "
        "JOIN procrastinate_jobs AS job ON job.lock = 'account-' || fleet_account.id ORDER BY name"
    )
    waits = {row.name: (row.scheduled_at - fleet.now).total_seconds() for row in rows}
    assert waits == {"anna": 0, "ben": pytest.approx(share_of("ben") * APART, abs=1e-5)}
    for row in rows:
        assert row.lock == row.queueing_lock
        assert (row.queue_name, list(row.args)) == ("home", ["account"])


def test_a_paused_account_is_left_alone_and_a_removed_one_is_forgotten(fleet: Fleet) -> None:
    fleet.add("anna", "ben")
    fleet.run("pause", "anna")
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert has_synced(fleet, "ben")
    assert not has_synced(fleet, "anna")
    said = json.loads(fleet.run("status", "--json"))["people"]
    assert [each["state"] for each in said] == ["paused", "ok"]
    fleet.run("resume", "anna")
    fleet.until(fleet.now + HOUR)
    assert has_synced(fleet, "anna")
    fleet.run("remove", "anna")
    anna = fleet.people["anna"].tandem
    anna.log.clear()
    fleet.until(fleet.now + HOUR)
    assert anna.log == []
    assert fleet.ask("SELECT id FROM fleet_account WHERE name = 'anna'") == []
    assert len(fleet.ask("SELECT id FROM procrastinate_jobs WHERE task_name = 'step'")) == 1
    assert fleet.run("status") == "1 of 1 accounts are well.\n"
    fleet.run("add", "anna", "--env-file", fleet.settings("anna"), "--queue", "home")


def test_a_password_may_have_any_characters(fleet: Fleet) -> None:
    fleet.people["anna"].tandem.login.accept(ODD)
    fleet.add("anna", anna={"TCONNECT_PASSWORD": ODD})
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert fleet.run("status") == "1 of 1 accounts are well.\n"
    assert ODD not in fleet.log + fleet.postgres.run("pg_dump")


def test_a_worker_with_another_key_says_so_and_spoils_nothing(fleet: Fleet) -> None:
    right, wrong = fleet.key, Fernet.generate_key().decode()
    fleet.add("anna", "ben")
    worker = fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    worker.terminate()
    worker.wait(60)
    before = fleet.ask("SELECT settings, memory FROM fleet_account ORDER BY id")
    fleet.key = wrong
    worker = fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert "What the database holds of anna cannot be decrypted." in fleet.log
    assert state_of(fleet, "anna")["state"] == "settings-wrong"
    worker.terminate()
    worker.wait(60)
    assert fleet.ask("SELECT settings, memory FROM fleet_account ORDER BY id") == before
    for command in f"change ben --env-file {fleet.settings('ben')}", "rotate-key":
        assert "cannot be decrypted" in fleet.run(*command.split(), code=2)
    fleet.key = right
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert fleet.run("status") == "2 of 2 accounts are well.\n"


def test_what_was_encrypted_for_one_account_is_not_taken_for_another(fleet: Fleet) -> None:
    fleet.add("anna", "ben")
    fleet.ask(
        "UPDATE fleet_account SET settings = other.settings FROM fleet_account AS other "
        "WHERE fleet_account.name = 'anna' AND other.name = 'ben'"
    )
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert "What the database holds of anna cannot be decrypted." in fleet.log
    assert state_of(fleet, "anna")["state"] == "settings-wrong"
    assert has_synced(fleet, "ben")
    assert fleet.people["anna"].site.log == []


def test_a_key_is_replaced_while_the_fleet_works(fleet: Fleet) -> None:
    old, new = fleet.key, Fernet.generate_key().decode()
    fleet.add("anna")
    fleet.run("pause", "anna")
    fleet.key = f"{new}\n{old}"
    fleet.add("ben")
    worker = fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    logins = len(fleet.people["ben"].tandem.log)
    assert logins
    fleet.key = new
    assert "What the database holds of anna" in fleet.run("rotate-key", code=2)
    fleet.key = f"{new}\n{old}"
    assert "2 accounts are encrypted with the first key" in fleet.run("rotate-key")
    worker.terminate()
    worker.wait(60)
    fleet.key = new
    fleet.run("resume", "anna")
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert fleet.run("status") == "2 of 2 accounts are well.\n"
    assert has_synced(fleet, "anna")


@pytest.mark.parametrize(
    ("key", "said"),
    [("", "Set FLEET_KEY_FILE"), ("no key", "holds no key"), ("\n", "holds no key")],
    ids=["none", "nonsense", "empty"],
)
def test_a_key_that_is_none_is_refused(fleet: Fleet, key: str, said: str) -> None:
    file = fleet.settings("anna")
    fleet.key = key
    assert said in fleet.run("add", "anna", "--env-file", file, code=2)
    assert said in fleet.run("worker", code=2)
    assert fleet.run("status") == "0 of 0 accounts are well.\n"


def test_the_status_says_that_nothing_runs(fleet: Fleet) -> None:
    fleet.add("anna")
    said = fleet.run("status", code=1)
    assert "anna: No run has left a record yet" in said
    assert "tconnectsync-fleet worker --queue home" in said
    worker = fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    worker.terminate()
    assert worker.wait(60) == 0
    assert fleet.run("status") == "1 of 1 accounts are well.\n"
    fleet.show(fleet.now + 5 * HOUR)
    said = fleet.run("status", code=1)
    assert "anna: Nothing has run since the last run 5 hours ago." in said
    assert said.endswith("0 of 1 accounts are well.\n")
    assert state_of(fleet, "anna")["state"] == "nothing-runs"


def test_prometheus_sees_who_is_not_well_and_how_late_the_steps_are(fleet: Fleet) -> None:
    fleet.add("anna", "ben")
    fleet.run("pause", "ben")
    fleet.show(fleet.now + HOUR)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    fleet.start("metrics", "--port", port)

    def answers() -> str:
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    soon(answers)
    lines = answers().splitlines()
    assert 'tconnectsync_fleet_accounts{queue="home",state="never-run"} 1' in lines
    assert 'tconnectsync_fleet_accounts{queue="home",state="paused"} 1' in lines
    unwell = [line for line in lines if line.startswith("tconnectsync_fleet_not_ok")]
    assert unwell == ['tconnectsync_fleet_not_ok{person="anna",queue="home",state="never-run"} 1']
    (late,) = (line for line in lines if line.startswith("tconnectsync_fleet_late"))
    assert float(late.split()[-1]) > HOUR.total_seconds() - 60


def test_settings_that_no_longer_can_be_used_stop_no_others(fleet: Fleet) -> None:
    fleet.add("anna", "ben", anna={"NS_SECRET": "a wrong one"})
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert state_of(fleet, "anna")["state"] == "nightscout-refuses"
    assert has_synced(fleet, "ben")
    fleet.run("change", "anna", "--env-file", fleet.settings("anna"))
    fleet.until(fleet.now + 5 * MINUTE)
    assert fleet.run("status") == "2 of 2 accounts are well.\n"


def test_a_site_may_answer_anything(fleet: Fleet) -> None:
    """PostgreSQL has no place for the character with the number 0."""
    fleet.add("anna")
    site = Watched(fleet.people["anna"].site)
    site.answer = Response(rb'{"status": 418, "message": "a\u0000b \ud800"}', 418)
    fleet.start_worker()
    fleet.until(fleet.now + HOUR)
    assert state_of(fleet, "anna")["fresh"]
    site.answer = None
    fleet.until(fleet.now + HOUR)
    assert fleet.run("status") == "1 of 1 accounts are well.\n"


def test_commands_say_what_is_wrong_with_the_database(fleet: Fleet) -> None:
    fleet.ask("DROP TABLE fleet_account")
    assert "The database has refused" in fleet.run("status", code=1)
    fleet.postgres.run("dropdb", "--force", "fleet")
    assert "cannot be reached" in fleet.run("status", code=1)
