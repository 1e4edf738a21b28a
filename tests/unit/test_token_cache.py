"""The file that keeps a login to Tandem Source."""

from __future__ import annotations

import json
import logging
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.api.session import Token
from tconnectsync.api.tandemsource.tokens import TandemLogin, TokenCache
from tconnectsync.config.settings import TandemSettings
from tests.support.settings import account

EXPIRY = datetime(2026, 11, 2, 20, 0, tzinfo=UTC)
LOGIN = TandemLogin(Token("secret-token", EXPIRY), "pumper-1", "account-1")
ACCOUNT = account("someone@example.org", "correct horse")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".cache" / "tconnectsync"


@pytest.fixture
def cache(folder: Path) -> TokenCache:
    return TokenCache(folder, ACCOUNT)


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def change(folder: Path, **fields: Any) -> None:
    file = file_in(folder)
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_what_was_saved_is_read_back(cache: TokenCache, folder: Path) -> None:
    cache.save(LOGIN)
    assert cache.load() == LOGIN
    assert TokenCache(folder, ACCOUNT).load() == LOGIN


def test_without_a_file_there_is_no_login_and_nothing_is_made(
    cache: TokenCache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert cache.load() is None
    cache.drop()
    assert not folder.exists()
    assert caplog.records == []


def test_a_dropped_login_is_gone(cache: TokenCache, folder: Path) -> None:
    cache.save(LOGIN)
    cache.drop()
    assert cache.load() is None
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="files have no such mode here")
def test_no_other_user_can_read_the_file_with_any_umask(cache: TokenCache, folder: Path) -> None:
    before = os.umask(0)
    try:
        cache.save(LOGIN)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_in(folder).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="files have no such mode here")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_file_open_to_others_is_not_trusted_but_replaced(
    cache: TokenCache, folder: Path, mode: int
) -> None:
    cache.save(LOGIN)
    file_in(folder).chmod(mode)
    assert cache.load() is None
    cache.save(LOGIN)
    assert cache.load() == LOGIN
    assert stat.S_IMODE(file_in(folder).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"\x80\x04\x95cbuiltins\nexec\n",
    ],
)
def test_a_damaged_file_is_no_login_and_quietly_replaced(
    cache: TokenCache, folder: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache.save(LOGIN)
    file_in(folder).write_bytes(content)
    assert cache.load() is None
    cache.save(LOGIN)
    assert cache.load() == LOGIN
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 0},
        {"version": 2},
        {"version": "1"},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "a\nb"},
        {"access_token": "a b"},
        {"access_token": "é"},
        {"pumper_id": 5},
        {"pumper_id": ""},
        {"pumper_id": "\ud800"},
        {"account_id": None},
        {"expires_at": None},
        {"expires_at": "soon"},
        {"expires_at": 1793649600},
        {"expires_at": "2026-11-02T20:00:00"},
    ],
)
def test_a_file_of_another_form_is_no_login(
    cache: TokenCache, folder: Path, fields: dict[str, Any]
) -> None:
    cache.save(LOGIN)
    change(folder, **fields)
    assert cache.load() is None


def test_more_than_is_known_in_the_file_does_not_matter(cache: TokenCache, folder: Path) -> None:
    cache.save(LOGIN)
    change(folder, more=1)
    assert cache.load() == LOGIN


def test_one_person_has_one_file_however_the_address_is_written(
    cache: TokenCache, folder: Path
) -> None:
    cache.save(LOGIN)
    same = account(
        " Someone@Example.org ",
        "another password",
        region="us",
        accounts_url="https://tdcservices.tandemdiabetes.com/accounts/api/",
        source_url="http://elsewhere",
    )
    assert TokenCache(folder, same).load() == LOGIN


@pytest.mark.parametrize(
    "other",
    [
        account("other@example.org", ""),
        account(ACCOUNT.email, "", region="EU"),
        account(ACCOUNT.email, "", accounts_url="http://127.0.0.1:1/accounts/api"),
    ],
    ids=["person", "region", "service"],
)
def test_different_accounts_have_different_files(
    cache: TokenCache, folder: Path, other: TandemSettings
) -> None:
    cache.save(LOGIN)
    assert TokenCache(folder, other).load() is None


def test_the_name_of_the_file_does_not_say_whose_it_is(cache: TokenCache, folder: Path) -> None:
    cache.save(LOGIN)
    name = file_in(folder).name
    assert name.startswith("tandem-source-")
    assert "someone" not in name
    assert "example" not in name


def test_a_write_that_breaks_off_leaves_the_old_login_and_no_rest(
    cache: TokenCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.save(LOGIN)
    newer = TandemLogin(Token("newer", EXPIRY), "pumper-1", "")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    cache.save(newer)
    assert TokenCache(folder, ACCOUNT).load() == LOGIN
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_named_once_and_then_left_alone(
    cache: TokenCache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.parent.mkdir()
    folder.parent.write_text("a file in its place")
    cache.drop()
    cache.save(LOGIN)
    cache.save(LOGIN)
    assert cache.load() is None
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    text = warning.getMessage()
    assert "every start logs in again" in text
    assert str(folder) not in text


def test_a_login_of_unknown_expiry_is_not_saved(cache: TokenCache, folder: Path) -> None:
    cache.save(TandemLogin(Token("secret-token", None), "pumper-1", ""))
    assert not folder.exists()
