"""What all levels of tests share."""

import gc
import logging
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

# Nearly all of the many objects stay, or go without being searched for.
gc.set_threshold(100_000, 50, 50)

# What goes wrong in a helper is shown as well as in a test.
pytest.register_assert_rewrite("tests.support")

# What the tester's computer asks of connections means nothing to servers on loopback.
for certificates in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(certificates, None)

settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


ROOMS = ("e2e", "browser", "wire", "acceptance", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that take long first, so that at the end no process is left alone with one."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        of_module = item.getparent(pytest.Module)
        is_slow = of_module is not None and of_module.get_closest_marker("slow") is not None
        room = item.path.parent.name
        return not is_slow, ROOMS.index(room) if room in ROOMS else len(ROOMS)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Let Python no longer search what stays to the end: thousands of tests, and all modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Undo what a test, as the command does, has set up for the log of the whole process."""
    logger = logging.getLogger("tconnectsync")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape half characters in what was logged: no report with them leaves a worker process."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report
