"""The Nightscout the end-to-end tests run against: our own, or one named in the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.command import SECRET
from tests.support.external_nightscout import GivenSite
from tests.support.postgres import Postgres, serving
from tests.support.provision import UnavailableError, nightscout_home
from tests.support.real_nightscout import NightscoutSite, RealNightscout


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the first installation of Nightscout, limited by itself, off the clock of a test."""
    for item in items:
        if "any_nightscout" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(func_only=True))


@pytest.fixture(scope="session")
def real_nightscout_installed() -> None:
    """Have the real Nightscout installed; skip where that is impossible, but fail there in CI."""
    try:
        nightscout_home()
    except UnavailableError as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture
def nightscout(any_nightscout: NightscoutSite) -> NightscoutSite:
    """Give a Nightscout that is empty, and was not started anew for that.

    When `E2E_NS_URL` and `E2E_NS_SECRET` are set it is that site instead, which must be a
    throw-away one: ALL ITS TREATMENTS ARE DELETED before each test. Tests that need its database or
    log are skipped then.
    """
    any_nightscout.empty()
    return any_nightscout


@pytest.fixture
def site() -> Iterator[SmallNightscout]:
    """Give a small Nightscout, unless a module gives another site."""
    with SmallNightscout(SECRET) as server:
        yield server


@pytest.fixture(scope="session")
def any_nightscout(request: pytest.FixtureRequest) -> Iterator[NightscoutSite]:
    """Give the Nightscout that all tests share, as the test before has left it."""
    if url := os.environ.get("E2E_NS_URL"):
        yield GivenSite(url.rstrip("/"), os.environ["E2E_NS_SECRET"])
        return
    request.getfixturevalue("real_nightscout_installed")
    with RealNightscout() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give a PostgreSQL; skip where there is none, but fail there in CI."""
    try:
        with serving() as server:
            yield server
    except UnavailableError as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
