"""The browser that all tests of this folder share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import Watched, browser
from tests.support.provision import UnavailableError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Watched]


# Not for the session: while Playwright runs, nothing else in this process can use asyncio.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Give the browser; skip where there is none, but fail there in CI."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(browser())
        except UnavailableError as reason:
            if os.environ.get("CI") == "true":
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))
        yield started


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Give what opens an address in a new window of the browser, until the test is over."""
    opened: list[Watched] = []

    def open_in_window(url: str, *, width: int = 1400, dark: bool = False) -> Watched:
        opened.append(Watched(chromium, url, width=width, dark=dark))
        return opened[-1]

    yield open_in_window
    for watched in opened:
        watched.page.close()
