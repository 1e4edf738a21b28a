"""What the acceptance tests share: a t:connect on loopback and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.fake_tconnect import Bench, serve


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Serve a t:connect whose answers the test decides."""
    with serve() as bench:
        yield bench
