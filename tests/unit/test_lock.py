"""The lock that keeps two runs from writing to one site at the same time."""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tconnectsync.clock import Clock
from tconnectsync.state.lock import REMINDER, SIZE, SiteLock, TakenError, try_lock
from tconnectsync.state.shared import SharedFile

URL = "https://my-site.example.org/nightscout"
NOON = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
ON_POSIX = pytest.mark.skipif(os.name != "posix", reason="files have no such mode here")

ANOTHER_PROCESS = """
import sys, time
from pathlib import Path
from tconnectsync.clock import Clock
from tconnectsync.state.lock import SiteLock
lock = SiteLock(sys.argv[1], [Path(sys.argv[2])], Clock())
with lock.held(0):
    print("held", flush=True)
    time.sleep(60)
"""

A_CHILD_THAT_STAYS = """
import os, signal, sys, time
from pathlib import Path
from tconnectsync.clock import Clock
from tconnectsync.state.lock import SiteLock
lock = SiteLock(sys.argv[1], [Path(sys.argv[2])], Clock())
with lock.held(0):
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
try:
    with lock.held(0):
        pass
finally:
    os.kill(child, signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".cache" / "tconnectsync"


def impatient(seconds: float) -> None:
    raise AssertionError("It waits.")


def site_lock(*folders: Path, url: str = URL, now: datetime = NOON) -> SiteLock:
    return SiteLock(url, folders, Clock(now=lambda: now, sleep=impatient))


def is_free(*folders: Path, url: str = URL) -> bool:
    try:
        with site_lock(*folders, url=url).held(0):
            return True
    except TakenError:
        return False


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold the lock during the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANOTHER_PROCESS, URL, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=300)


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def here(at: datetime, form: str) -> str:
    return at.astimezone().strftime(form)


def test_only_one_holds_it_and_the_other_learns_who_and_since_when(folder: Path) -> None:
    with (
        site_lock(folder).held(0),
        pytest.raises(TakenError) as caught,
        site_lock(folder, now=NOON + timedelta(minutes=1)).held(0),
    ):
        pass
    assert str(caught.value) == (
        f"Another tconnectsync (process {os.getpid()}) has been syncing this site since "
        f"{here(NOON, '%H:%M')}"
    )
    assert is_free(folder)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/New_York"])
def test_since_when_is_said_in_the_pumps_zone_wherever_the_computer_is(
    folder: Path, zone: str
) -> None:
    waiting = SiteLock(URL, [folder], Clock(now=lambda: NOON), zone=ZoneInfo(zone))
    since = f"{NOON.astimezone(ZoneInfo(zone)):%H:%M}"
    with (
        site_lock(folder).held(0),
        pytest.raises(TakenError, match=f"syncing this site since {since}$"),
        waiting.held(0),
    ):
        pass


def test_the_date_is_shown_of_a_run_that_began_on_another_day(folder: Path) -> None:
    with (
        site_lock(folder).held(0),
        pytest.raises(TakenError, match=here(NOON, "since %Y-%m-%d %H:%M")),
        site_lock(folder, now=NOON + timedelta(days=2)).held(0),
    ):
        pass


def test_it_is_free_again_after_an_error(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), site_lock(folder).held(0):
        raise KeyboardInterrupt
    assert is_free(folder)
    assert file_in(folder).read_text().strip() == ""


def test_one_lock_serves_many_times(folder: Path) -> None:
    again = site_lock(folder)
    for _ in range(3):
        with again.held(0):
            assert not is_free(folder)
        assert is_free(folder)


@pytest.mark.parametrize(
    "url",
    [
        f"{URL}/",
        URL.replace("https", "http"),
        URL.replace("my-site", "My-Site"),
        URL.replace("://", "://robin:secret@"),
    ],
    ids=["slash", "http", "capitals", "login"],
)
def test_a_site_is_the_same_however_its_address_is_written(folder: Path, url: str) -> None:
    with site_lock(folder).held(0):
        assert not is_free(folder, url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.org/nightscout",
        "https://my-site.example.org",
        "https://my-site.example.org:1337/nightscout",
        "https://my-site.example.org/Nightscout",
    ],
)
def test_two_sites_may_be_written_to_at_once(folder: Path, url: str) -> None:
    with site_lock(folder).held(0):
        assert is_free(folder, url=url)


def test_another_process_is_kept_out_and_named(folder: Path) -> None:
    with (
        another_process(folder) as other,
        pytest.raises(TakenError, match=rf"\(process {other.pid}\)"),
        site_lock(folder).held(0),
    ):
        pass
    assert is_free(folder)


def test_a_killed_process_leaves_nothing_that_blocks(folder: Path) -> None:
    with another_process(folder) as other:
        other.kill()
        other.wait(timeout=300)
        assert str(other.pid) in file_in(folder).read_text()
        assert is_free(folder)


@ON_POSIX
def test_it_is_the_lock_that_every_version_of_the_program_has_taken(folder: Path) -> None:
    import fcntl

    assert is_free(folder)
    with file_in(folder).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not is_free(folder)
        fcntl.flock(file, fcntl.LOCK_UN)
        with site_lock(folder).held(0), pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes have no such children here")
def test_a_child_process_does_not_keep_what_was_given_back(folder: Path) -> None:
    command = [sys.executable, "-c", A_CHILD_THAT_STAYS, URL, str(folder)]
    subprocess.run(command, timeout=300, check=True)


@pytest.mark.parametrize("pid", [1, os.getpid()], ids=["1", "our own"])
def test_a_left_file_is_stale_even_if_a_process_of_its_number_runs(folder: Path, pid: int) -> None:
    assert is_free(folder)
    said = {"pid": pid, "host": platform.node(), "since": NOON.isoformat()}
    file_in(folder).write_text(json.dumps(said))
    assert is_free(folder)


# Waiting


@contextmanager
def taken_for(seconds: int, folder: Path) -> Iterator[tuple[SiteLock, list[float]]]:
    """Give a lock that another one holds for so long, and the list of its waits."""
    waits: list[float] = []
    with ExitStack() as other:
        other.enter_context(site_lock(folder).held(0))

        def wait(pause: float) -> None:
            waits.append(pause)
            if sum(waits) >= seconds:
                other.close()

        yield SiteLock(URL, [folder], Clock(now=lambda: NOON, sleep=wait)), waits


def test_a_patient_run_gets_it_as_soon_as_it_is_free(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with taken_for(5, folder) as (patient, waits), patient.held(120):
        assert not is_free(folder)
    assert sum(waits) == 5
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith(". Waiting until it has ended.")


def test_patience_ends(folder: Path) -> None:
    with taken_for(121, folder) as (patient, waits):
        with pytest.raises(TakenError), patient.held(120):
            pass
        assert sum(waits) == 120


def test_a_run_that_waits_for_hours_says_so_now_and_then(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with taken_for(2 * REMINDER + 10, folder) as (patient, _), patient.held(float("inf")):
        pass
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "WARNING", "WARNING"]


# Files and folders


@given(said=st.binary(max_size=2 * SIZE) | st.text(max_size=SIZE).map(str.encode))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_the_file_may_say_does_harm(folder: Path, said: bytes) -> None:
    assert is_free(folder)
    file_in(folder).write_bytes(said)
    with site_lock(folder).held(0):
        file_in(folder).write_bytes(said)
        assert not is_free(folder)


OWNER = st.fixed_dictionaries(
    {},
    optional={
        "pid": st.integers() | st.floats() | st.text(max_size=5) | st.none(),
        "host": st.just(platform.node()) | st.text(max_size=5),
        "since": st.datetimes().map(datetime.isoformat) | st.sampled_from(["", 7, "0001-01-01"]),
    },
)


@given(owner=OWNER)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_owner_left_in_the_file_becomes_a_sentence(
    folder: Path, owner: dict[str, Any]
) -> None:
    with site_lock(folder).held(0):
        file_in(folder).write_text(json.dumps(owner))
        with pytest.raises(TakenError) as caught, site_lock(folder).held(0):
            pass
    assert str(caught.value).startswith("Another tconnectsync ")
    assert "\n" not in str(caught.value)


def test_the_process_number_of_an_owner_in_another_container_is_not_shown(folder: Path) -> None:
    with site_lock(folder).held(0):
        said = {"pid": 1, "host": "0a1b2c3d", "since": NOON.isoformat()}
        file_in(folder).write_text(json.dumps(said))
        with pytest.raises(TakenError) as caught, site_lock(folder).held(0):
            pass
    assert "in another container" in str(caught.value)
    assert "process 1" not in str(caught.value)
    assert "0a1b2c3d" not in str(caught.value)


@ON_POSIX
def test_only_its_owner_can_open_the_file_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        assert is_free(folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_in(folder).stat().st_mode) == 0o600
    made = (folder, *folder.parents[:2])
    assert {stat.S_IMODE(each.stat().st_mode) for each in made} == {0o700}


def test_the_file_does_not_name_the_site(folder: Path) -> None:
    with site_lock(folder).held(0):
        file = file_in(folder)
        assert "my-site" not in file.name + file.read_text()


def test_a_file_that_was_removed_meanwhile_counts_for_nothing(folder: Path) -> None:
    lock = SiteLock(URL, [folder], Clock())
    (path,) = lock._paths

    def removed_before_it_is_locked(file: int) -> bool:
        if not (folder / "removed").exists():
            (folder / "removed").touch()
            path.unlink()
        return try_lock(file)

    with SiteLock(URL, [folder], Clock(), removed_before_it_is_locked).held(0):
        with pytest.raises(TakenError), lock.held(0):
            pass
        assert path.exists()


def test_where_the_first_folder_cannot_be_used_the_second_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    no_folder, second = tmp_path / "no folder", tmp_path / "second"
    no_folder.touch()
    with site_lock(no_folder / "below", second).held(0):
        assert not is_free(no_folder / "below", second)
    assert is_free(no_folder / "below", second)
    assert caplog.records == []


def test_where_a_disk_knows_no_locks_the_second_folder_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = tmp_path / "on the network", tmp_path / "here"

    def no_lock_on_the_first(file: int) -> bool:
        if os.fstat(file).st_ino in {path.stat().st_ino for path in first.iterdir()}:
            raise OSError(errno.ENOLCK, "No locks available")
        return try_lock(file)

    clock = Clock(now=lambda: NOON, sleep=impatient)
    lock = SiteLock(URL, [first, second], clock, no_lock_on_the_first)
    with lock.held(0):
        assert not is_free(second)
        with pytest.raises(TakenError), lock.held(0):
            pass
    assert caplog.records == []


def test_without_any_usable_folder_the_block_runs_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    no_folder = tmp_path / "no folder"
    no_folder.touch()
    unusable = site_lock(no_folder, no_folder / "below")
    for _ in range(3):
        with unusable.held(0):
            pass
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "two runs could write to this site at the same time" in record.message


@ON_POSIX
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o703])
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    shared.chmod(mode)
    with site_lock(shared, own).held(0):
        assert list(shared.iterdir()) == []
        file_in(own)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    theirs, own = tmp_path / "theirs", tmp_path / "own"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 12345, 12345)
    with site_lock(theirs, own).held(0):
        assert list(theirs.iterdir()) == []
        file_in(own)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_on_a_full_disk_the_lock_works_and_only_its_owner_is_unknown(folder: Path) -> None:
    assert is_free(folder)
    name = file_in(folder)
    name.unlink()
    name.symlink_to("/dev/full")
    with (
        site_lock(folder).held(0),
        pytest.raises(TakenError, match=r"^Another tconnectsync is syncing this site$"),
        site_lock(folder).held(0),
    ):
        pass


@ON_POSIX
def test_a_lock_that_is_removed_while_it_is_waited_for_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "tandem-things.lock"
    path.parent.chmod(0o700)
    before = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    assert try_lock(before)

    def removed(_: float) -> None:
        path.unlink(missing_ok=True)
        os.close(before)

    with SharedFile("tandem-things.json", [tmp_path], removed).change() as content:
        content["a"] = 1
        other = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        assert not try_lock(other)
        os.close(other)
