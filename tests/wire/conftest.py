"""What the tests of real clients on loopback share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.command import SECRET
from tests.support.virtual_home import Make, homes
from tests.wire.fake_tconnect import Bench, serve


@pytest.fixture
def make_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Make]:
    """Give what makes a home for a source and a history."""
    with homes(tmp_path, capsys) as make:
        yield make


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def site(request: pytest.FixtureRequest) -> Iterator[SmallNightscout]:
    """Give an empty small Nightscout of each generation."""
    with SmallNightscout(SECRET, keyed_by_identifier=request.param) as server:
        yield server


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a t:connect whose answers the test decides, and a client of it."""
    with serve() as bench:
        yield bench
