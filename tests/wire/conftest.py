"""What the tests that live through days of a pump's life share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lived import Make, homes


@pytest.fixture
def make_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Make]:
    """Give what makes a home for a source and a history."""
    with homes(tmp_path, monkeypatch, capsys) as make:
        yield make
