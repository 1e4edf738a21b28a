"""A .env file: what is read from it, and what is said about what cannot be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tconnectsync.config import Configuration, env_files, read_env_files
from tests.support.settings import COMPLETE

COMPLETE_FILE = "".join(f"{name}='{value}'\n" for name, value in COMPLETE.items())


def configuration(folder: Path, data: str | bytes, mode: int = 0o600) -> Configuration:
    """Return what a file holds, where nothing else is set."""
    (folder / ".env").write_bytes(data if isinstance(data, bytes) else data.encode())
    (folder / ".env").chmod(mode)
    return Configuration({}, read_env_files(env_files(folder / "home", folder)))


def said(found: Configuration) -> str:
    """Return all that is said about settings."""
    return "\n".join([*found.problems, *found.notices(), *found.information()])


PASSWORDS = (
    *("hunter2", "a b", "a#b", "x #y", "it's", 'say "hi"', "end\\", "$HOME${x}", "a=b"),
    *("back\\new", "two\\\\of them", "pässwört", "“printed”", "'", '"', "%41&amp;", " leading"),
    *("trailing ", "#first", "tail\\\\", "export x"),
)
SPELLINGS = ("{}", "'{}'", '"{}"')


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_is_read_as_it_is_typed_or_it_is_said_where_it_is_not(
    tmp_path: Path, password: str, spelling: str
) -> None:
    line = f"TCONNECT_PASSWORD={spelling.format(password)}\n"
    found = configuration(tmp_path, f"{COMPLETE_FILE}{line}".replace("'correct horse'", "''"))
    number = len(COMPLETE) + 1
    is_blank_end = spelling == "{}" and password != password.strip()
    if found.values.get("TCONNECT_PASSWORD") != password and not is_blank_end:
        assert f"TCONNECT_PASSWORD in line {number} of {tmp_path}" in said(found) or (
            f"TCONNECT_PASSWORD (line {number} of {tmp_path}" in said(found)
        )
    if len(password) > 4:
        assert password not in said(found)


def test_most_spellings_are_read_as_they_are_typed(tmp_path: Path) -> None:
    as_typed = [
        found.values.get("TCONNECT_PASSWORD") == password
        for password in PASSWORDS
        for spelling in SPELLINGS
        if (found := configuration(tmp_path, f"TCONNECT_PASSWORD={spelling.format(password)}"))
    ]
    assert (len(as_typed), sum(as_typed)) == (63, 40)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_of_any_editor_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    text = (mark + COMPLETE_FILE + "TCONNECT_PASSWORD='käse'\n").replace("\n", end)
    found = configuration(tmp_path, text.encode(encoding))
    assert found.settings().tandem.password == "käse"
    assert found.given["TCONNECT_PASSWORD"].where == f"line 7 of {tmp_path / '.env'}"


LINES = {
    "TCONNECT_PASSWORD: s3cret-word": "there is a colon where an equals sign must be",
    "TCONNECT_PASSWORD:s3cret-word": "there is a colon where an equals sign must be",
    "TCONNECT_PASSWORD s3cret-word": "there is no equals sign",
    "TCONNECT_PASSWORD": "there is no equals sign",
    "set TCONNECT_PASSWORD=s3cret-word": "there is no equals sign",
    "- TCONNECT_PASSWORD=s3cret-word": "there is no equals sign",
    "TCONNECT_PASSWORD='s3cret-word": "the single quotation mark at the beginning of the value",
    'TCONNECT_PASSWORD="s3cret-word': "the double quotation mark at the beginning of the value",
    'TCONNECT_PASSWORD="s3cret-word\nX="1"': "the double quotation mark at the beginning",
    'TCONNECT_PASSWORD="s3cret-word\nNS_SECRET=1"': "quotation mark is closed in another line",
    "TCONNECT_PASSWORD='s3cret'word'": 'there is a single quotation mark within the value. Put "',
    'TCONNECT_PASSWORD="s3cret "word""': "there is a double quotation mark within the value. Put '",
    "TCONNECT_PASSWORD='s3cret-word\\'": "Write two backslashes for one",
    'TCONNECT_PASSWORD="s3cret-\\new-word"': "Put single quotation marks around the value",
    "TCONNECT_PASSWORD=“s3cret-word”": "typographic quotation marks",
    "TCONNECT_PASSWORD=‘s3cret-word’": "typographic quotation marks",
    "TCONNECT_PASSWORD=„s3cret-word“": "typographic quotation marks",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_cannot_be_read_is_explained_with_its_number_and_without_its_value(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    others = COMPLETE_FILE.replace("TCONNECT_PASSWORD='correct horse'\n", "")
    found = configuration(tmp_path, f"{others}\n# a comment\n\n{line}\n")
    (problem,) = found.problems
    assert problem.startswith("TCONNECT_PASSWORD ")
    assert f"line {len(COMPLETE) + 3} of {tmp_path / '.env'}" in problem
    assert LINES[line] in problem
    assert "s3cret" not in said(found)
    assert caplog.text == ""


def test_a_file_in_another_encoding_is_explained_with_the_line(tmp_path: Path) -> None:
    text = f"# Schl\u00fcssel\n{COMPLETE_FILE}NS_SECRET='schl\u00fcssel-wort'\n"
    found = configuration(tmp_path, text.encode("latin-1"))
    (problem,) = found.problems
    assert problem.startswith(f"NS_SECRET in line 8 of {tmp_path / '.env'} cannot be read")
    assert "not in UTF-8. Save the file again with the encoding UTF-8" in problem
    assert "wort" not in said(found)


def test_letters_of_another_encoding_in_a_comment_do_no_harm(tmp_path: Path) -> None:
    text = f"# Schl\u00fcssel\n{COMPLETE_FILE}"
    assert configuration(tmp_path, text.encode("latin-1")).settings()


@pytest.mark.parametrize("data", [COMPLETE_FILE.encode("utf-16-be"), b"\xff\xfe\xfa", b"a\0b"])
def test_what_is_no_text_is_one_problem_with_the_name_of_the_file(
    tmp_path: Path, data: bytes
) -> None:
    (problem,) = configuration(tmp_path, data).problems
    assert problem.startswith(f"{tmp_path / '.env'} cannot be read: it ")
    assert "UTF-16" in problem
    assert "Error" not in problem


@pytest.fixture
def not_root() -> Iterator[Path]:
    """Give a folder, and be a user who may not read everything."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name)).chmod(0o777)
        if before == 0:
            os.seteuid(65534)
        yield folder
        os.seteuid(before)


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
def test_a_file_that_may_not_be_read_is_one_problem(not_root: Path) -> None:
    (problem,) = configuration(not_root, COMPLETE_FILE, mode=0).problems
    assert problem.endswith("cannot be read: the user that runs tconnectsync may not read it.")


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
def test_a_folder_that_may_not_be_entered_is_said(not_root: Path) -> None:
    (home := not_root / "home").mkdir(mode=0)
    found = Configuration({}, read_env_files(env_files(home, not_root)))
    home.chmod(0o700)
    assert f"may not see whether {home / '.config/tconnectsync/.env'} exists" in found.origin


def test_a_folder_in_the_place_of_the_file_is_passed_over_and_said(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (home := tmp_path / "home/.config/tconnectsync").mkdir(parents=True)
    (home / ".env").write_text(COMPLETE_FILE)
    found = Configuration({}, read_env_files(env_files(tmp_path / "home", tmp_path)))
    assert found.settings()
    assert f"{tmp_path / '.env'} is a folder, not a file" in found.origin


def test_the_file_that_is_read_and_the_one_that_it_hides_are_said(tmp_path: Path) -> None:
    (home := tmp_path / "home/.config/tconnectsync").mkdir(parents=True)
    (home / ".env").write_text(COMPLETE_FILE)
    found = configuration(tmp_path, "API_SECRET=of-nightscout-itself\nMONGODB_URI=mongodb://x\n")
    here = tmp_path / ".env"
    assert found.origin == (
        f"The settings come from {here}. {home / '.env'} is not used, because there is {here}."
    )
    assert found.advice[-2:] == (found.origin, f"Set them in the environment, or in {here}.")
    assert found.information()[-1].endswith("does not use: MONGODB_URI.")
    assert "mongodb://" not in said(found)


def test_that_there_is_no_file_is_said_with_the_places_where_one_may_be(tmp_path: Path) -> None:
    found = Configuration({"NS_URL": "x"}, read_env_files(env_files(tmp_path / "home", tmp_path)))
    home = tmp_path / "home" / ".config" / "tconnectsync" / ".env"
    assert found.origin == (
        f"No file with settings was found: there is no {tmp_path / '.env'} and no {home}. "
        "The settings come from the environment."
    )
    where = f"Set them in the environment, or in {tmp_path / '.env'} or {home}."
    assert found.advice[-1] == where
    assert (found.key, found.file) == ("x", None)
    nothing = Configuration(
        {"TZ": "Etc/UTC"}, read_env_files(env_files(tmp_path / "home", tmp_path))
    )
    assert nothing.advice[-2] == where
    assert "tconnectsync --setup" in nothing.advice[-1]


def test_where_to_set_it_is_said_of_what_is_missing_only(tmp_path: Path) -> None:
    wrong = configuration(tmp_path, COMPLETE_FILE + "LOG_LEVEL=loud\n")
    assert wrong.problems
    assert wrong.advice[-1] == wrong.origin
    lines = [line for line in COMPLETE_FILE.splitlines() if not line.startswith("NS_URL")]
    missing = configuration(tmp_path, "\n".join(lines))
    assert missing.advice[-1] == f"Set it in the environment, or in {tmp_path / '.env'}."


@pytest.mark.parametrize("name", [".env.txt", "env", "env.txt"])
def test_a_file_with_almost_the_right_name_is_pointed_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(COMPLETE_FILE)
    places = env_files(tmp_path / "home", tmp_path)
    sentence = f"There is {tmp_path / name}: rename it to .env."
    assert sentence in Configuration({}, read_env_files(places)).origin
    (tmp_path / ".env").write_text(COMPLETE_FILE)
    assert sentence not in Configuration({}, read_env_files(places)).origin


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_with_passwords_that_others_can_read_is_a_warning(
    tmp_path: Path, mode: int, is_open: bool
) -> None:
    (folder := tmp_path / "my files").mkdir()
    notices = configuration(folder, COMPLETE_FILE, mode).notices()
    assert [f"chmod 600 '{folder / '.env'}'" in notice for notice in notices] == [True] * is_open
    assert configuration(folder, "CATCH_UP_DAYS=3\n", mode).notices() == []


def test_a_line_that_is_perhaps_the_rest_of_a_password_is_never_shown(tmp_path: Path) -> None:
    text = "TCONNECT_PASSWORD=\nhunter2-hunter2\nHunter2Hunter2=\nTXlTZWNyZXQ==\n"
    found = configuration(tmp_path, text)
    everything = said(found) + found.origin
    assert f"Line 2 of {tmp_path / '.env'} has no effect" in everything
    assert "(line 3), (line 4)" in everything
    assert not any(part in everything.lower() for part in ("hunter2", "txltz"))


def test_a_name_that_stands_twice_is_said(tmp_path: Path) -> None:
    found = configuration(tmp_path, f"{COMPLETE_FILE}CATCH_UP_DAYS=3\nCATCH_UP_DAYS=4\n")
    assert found.settings().sync.catch_up_days == 4
    (notice,) = found.notices()
    assert notice.startswith("CATCH_UP_DAYS stands twice")
    assert "(lines 7 and 8); the last counts" in notice
