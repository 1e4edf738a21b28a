"""--check-login against a real Nightscout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.demo.person import live
from tconnectsync.demo.tconnect import SimulatedTConnect
from tests.support.command import EMAIL, NEW_YORK, PASSWORD, SERIAL, Finished, cloud, computer
from tests.support.real_nightscout import NightscoutSite, RealNightscout

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)


@pytest.fixture
def tconnect() -> Iterator[SimulatedTConnect]:
    with cloud(live(NOW.date() - timedelta(days=1), 3)) as server:
        server.uploaded_until = NOW - timedelta(minutes=12)
        yield server


def check(
    folder: Path, tconnect: SimulatedTConnect, site: NightscoutSite, secret: str = ""
) -> Finished:
    home = computer(folder, tconnect, site.url, secret or site.secret)
    return home.run("--check-login")


def state(run: Finished, step: str) -> str:
    """Return how a step ended and what is said about it."""
    found = re.search(rf"^{re.escape(step)}: +(.+)$", run.output, re.MULTILINE)
    assert found, run.output + run.errors
    return found[1]


def test_all_is_well_and_nothing_is_written(
    tmp_path: Path, tconnect: SimulatedTConnect, nightscout: NightscoutSite
) -> None:
    run = check(tmp_path, tconnect, nightscout)

    assert run.code == 0, run.output
    assert "None of the steps failed." in run.output
    assert state(run, "Nightscout secret") == "ok. It may create and update treatments."
    assert nightscout.treatments() == []
    report = (tmp_path / "tconnectsync-check-output.log").read_text(encoding="utf-8")
    assert "=== Nightscout status ===" in report
    personal = (EMAIL, PASSWORD, SERIAL, nightscout.secret, nightscout.url, tconnect.user_guid)
    assert not [secret for secret in personal if secret.lower() in report.lower()]


def test_a_wrong_secret_is_named(
    tmp_path: Path, tconnect: SimulatedTConnect, nightscout: NightscoutSite
) -> None:
    run = check(tmp_path, tconnect, nightscout, secret="quite another secret")

    assert run.code == 1
    assert "failed. NS_SECRET is wrong." in run.output
    assert "1 of the steps failed." in run.output


@pytest.mark.usefixtures("real_nightscout_installed")
def test_a_wrong_secret_is_named_also_where_everybody_may_read(
    tmp_path: Path, tconnect: SimulatedTConnect
) -> None:
    with RealNightscout({"AUTH_DEFAULT_ROLES": "readable"}) as site:
        run = check(tmp_path, tconnect, site, secret="quite another secret")
        right = check(tmp_path, tconnect, site)

    assert (run.code, right.code) == (1, 0)
    assert state(run, "Nightscout").startswith("ok.")
    assert state(run, "Nightscout secret").startswith("failed. NS_SECRET is wrong.")


@pytest.mark.usefixtures("real_nightscout_installed")
def test_careportal_that_is_off_is_named(tmp_path: Path, tconnect: SimulatedTConnect) -> None:
    # Newer versions switch it on by themselves; only DISABLE keeps it off there.
    with RealNightscout({"ENABLE": "basal iob", "DISABLE": "careportal"}) as site:
        run = check(tmp_path, tconnect, site)

    assert run.code == 1
    assert "Add careportal to ENABLE" in state(run, "Nightscout careportal")
