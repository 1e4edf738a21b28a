"""The recipe of docs/python.md for a Python shell."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

from tconnectsync.simulators.person import live
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect

RECIPE = """
import tconnectsync
tconnectsync.util.cli.enable_logging()
api = tconnectsync.util.cli.get_api()
timeline = api.controliq.therapy_timeline('2022-08-01', '2022-08-02')
print(len(timeline['basal']['algorithmDeliveryEvents']))
"""


def run_recipe(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    package = str(Path(__file__).parents[2])
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": package}
    return subprocess.run(
        [sys.executable, "-c", RECIPE],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_recipe_gives_payloads_with_only_the_tandem_account_set(tmp_path: Path) -> None:
    history = live(date(2022, 8, 1), 2)
    with SimulatedTConnect(history, email="a@example.org", password="correct horse") as tconnect:
        ran = run_recipe(
            tmp_path,
            TCONNECT_EMAIL="a@example.org",
            TCONNECT_PASSWORD="correct horse",
            TIMEZONE_NAME="America/New_York",
            TCONNECT_WEB_URL=tconnect.url,
            TCONNECT_SERVICES_URL=tconnect.url,
            TCONNECT_WS2_URL=tconnect.url,
        )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 300


def test_the_recipe_says_what_is_not_set(tmp_path: Path) -> None:
    ran = run_recipe(tmp_path)
    assert "TCONNECT_EMAIL is not set" in ran.stderr
    assert "NS_URL" not in ran.stderr
