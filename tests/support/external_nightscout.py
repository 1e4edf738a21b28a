"""A Nightscout that somebody else started; tests that need more of it than its API are skipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.real_nightscout import Document, NightscoutSite


class GivenSite(NightscoutSite):
    """A site somebody else started: reachable through its API only."""

    @property
    def log(self) -> Path:
        _skip_for_given_site("log")

    def dump(self) -> list[Document]:
        _skip_for_given_site("database")

    def insert_raw(self, documents: Sequence[Document]) -> None:
        _skip_for_given_site("database")


def _skip_for_given_site(what: str) -> NoReturn:
    pytest.skip(
        f"This test needs the {what} of the site, which E2E_NS_URL does not give access to."
    )
