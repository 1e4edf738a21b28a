"""The browser that all tests of this folder share."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import Watched, browser
from tests.support.command import COMMAND
from tests.support.forked_command import CHECKOUT
from tests.support.provision import UnavailableError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Watched]


@dataclass(frozen=True)
class Demo:
    """A demo that stays up: the command ``--demo --serve``."""

    process: subprocess.Popen[str]
    folder: Path
    """Where it was started."""
    said: str

    @property
    def url(self) -> str:
        """The address that it said."""
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/", self.said)
        return str(url)


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


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Give a demo that has finished its runs and waits to be looked at."""
    folder = tmp_path_factory.mktemp("demo")
    process = subprocess.Popen(
        [*COMMAND, "--demo", "--serve"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    try:
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        yield Demo(process, folder, "".join(said))
    finally:
        process.kill()
        process.wait()
