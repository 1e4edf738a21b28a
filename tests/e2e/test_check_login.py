"""--check-login against a real Nightscout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.person import live
from tests.support.command import (
    EMAIL,
    PASSWORD,
    SERIAL,
    Cloud,
    Finished,
    cloud,
    computer,
    tandem_source,
)
from tests.support.real_nightscout import NightscoutSite, RealNightscout

ZONE = "America/Phoenix"
"""A zone whose clocks are never set, so that a pump whose clock is not set either is right."""
NOW = datetime.now(ZoneInfo(ZONE)).replace(tzinfo=None)


def simulated(source: str) -> Cloud:
    """Return one of Tandem's clouds with an upload of twelve minutes ago."""
    life = live(NOW.date() - timedelta(days=1), 3)
    server = cloud(life) if source == "tconnect" else tandem_source(life, ZONE)
    server.uploaded_until = NOW - timedelta(minutes=12)
    return server


@pytest.fixture
def tandem() -> Iterator[Cloud]:
    with simulated("tandem-source") as server:
        yield server


def check(folder: Path, tandem: Cloud, site: NightscoutSite, secret: str = "") -> Finished:
    home = computer(folder, tandem, site.url, secret or site.secret, ZONE)
    return home.run("--check-login")


def state(run: Finished, step: str) -> str:
    """Return how a step ended and what is said about it."""
    found = re.search(rf"^{re.escape(step)}: +(.+)$", run.output, re.MULTILINE)
    assert found, run.output + run.errors
    return found[1]


@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
def test_all_is_well_and_nothing_is_written(
    tmp_path: Path, nightscout: NightscoutSite, source: str
) -> None:
    with simulated(source) as tandem:
        run = check(tmp_path, tandem, nightscout)

    assert run.code == 0, run.output
    assert f"the source is {source}" in state(run, "Settings")
    assert "No step failed." in run.output
    assert state(run, "Nightscout secret") == "ok. It may create and update treatments."
    assert nightscout.treatments() == []
    report = (tmp_path / "tconnectsync-check-output.log").read_text(encoding="utf-8")
    assert "=== Nightscout status ===" in report
    personal = (EMAIL, PASSWORD, SERIAL, nightscout.secret, nightscout.url)
    assert not [secret for secret in personal if secret.lower() in report.lower()]


def test_a_wrong_secret_is_named(tmp_path: Path, tandem: Cloud, nightscout: NightscoutSite) -> None:
    run = check(tmp_path, tandem, nightscout, secret="quite another secret")

    assert run.code == 1
    assert "failed. NS_SECRET is wrong." in run.output
    assert "1 step failed." in run.output


@pytest.mark.usefixtures("real_nightscout_installed")
def test_a_wrong_secret_is_named_also_where_everybody_may_read(
    tmp_path: Path, tandem: Cloud
) -> None:
    with RealNightscout({"AUTH_DEFAULT_ROLES": "readable"}) as site:
        run = check(tmp_path, tandem, site, secret="quite another secret")
        right = check(tmp_path, tandem, site)

    assert (run.code, right.code) == (1, 0)
    assert state(run, "Nightscout").startswith("ok.")
    assert state(run, "Nightscout secret").startswith("failed. NS_SECRET is wrong.")


@pytest.mark.usefixtures("real_nightscout_installed")
def test_careportal_that_is_off_is_named(tmp_path: Path, tandem: Cloud) -> None:
    # Newer versions switch it on by themselves; only DISABLE keeps it off there.
    with RealNightscout({"ENABLE": "basal iob", "DISABLE": "careportal"}) as site:
        run = check(tmp_path, tandem, site)

    assert run.code == 1
    assert "Add careportal to ENABLE" in state(run, "Nightscout careportal")
