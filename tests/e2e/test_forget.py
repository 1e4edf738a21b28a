"""--forget removes all that earlier runs left, and nothing else; then a run begins anew."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.api import shapes
from tconnectsync.api.tandemsource import extracodes
from tconnectsync.cli.forget import KINDS
from tconnectsync.clock import Clock
from tconnectsync.domain.clock import TimeRange
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sources.tandemsource.pumps import overlaps
from tconnectsync.state import pace, refused
from tconnectsync.state.backlog import Backlog
from tconnectsync.state.lock import SiteLock
from tests.support.command import EMAIL, NEW_YORK, SECRET, Computer, computer, tandem_source
from tests.support.people import Somebody, household, shared_computer
from tests.support.settings import host

FIRST = date(2024, 6, 3)
DAY = ("--start-date", f"{FIRST}", "--end-date", f"{FIRST}")
PEOPLE = ("--accounts", "people")


def files(folder: Path) -> dict[str, bytes]:
    """Return everything below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def kept(home: Computer) -> set[str]:
    """Return the names of the files that runs have left."""
    return {Path(name).name for name in files(home.folder) if ".cache" in name}


def temporary(folder: Path) -> dict[str, str]:
    """Return the variable for temporary files: --forget must see nothing of other tests there."""
    (folder / "tmp").mkdir()
    return {"TMPDIR": str(folder / "tmp")}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Computer, dict[str, Somebody]]]:
    """Give a computer on which data of two people were synced."""
    with household(tmp_path, FIRST, 1, "anna", "ben") as people:
        home = shared_computer(tmp_path, **temporary(tmp_path))
        assert home.run(*PEOPLE, *DAY, "--features", "BASAL", "BOLUS", "PUMP_EVENTS").code == 0
        home.run(*PEOPLE)  # It leaves a record of each, as a range by itself does not.
        yield home, people


def test_alone_it_removes_what_all_runs_of_the_user_left(
    two: tuple[Computer, dict[str, Somebody]],
) -> None:
    home, people = two
    settings = {name: text for name, text in files(home.folder).items() if ".cache" not in name}
    assert len([name for name in kept(home) if name.startswith("tandem-source-")]) == 2
    cache = home.folder / ".cache" / "tconnectsync"
    login = next(cache.glob("tandem-source-*.json"))
    for name in (
        f".{login.name}.abcd1234.new",
        ".tandem-addresses.json.try.a.new",
        "tmpabcd1234.new",
    ):
        (cache / name).write_text("left by a power cut")
    sites = {name: list(each.site.treatments) for name, each in people.items()}
    done = home.run("--forget")
    assert done.code == 0
    assert done.errors.startswith("Some data are still missing in Nightscout")
    for words in ("2 saved logins to Tandem", "2 records of the last run", "3 unfinished files"):
        assert words in done.output
    assert files(home.folder) == settings
    assert not cache.exists()
    assert {name: each.site.treatments for name, each in people.items()} == sites
    personal = {word for each in people.values() for word in each.personal.values()}
    assert not [word for word in personal if word in done.output]
    again = home.run("--forget")
    assert (again.code, again.output) == (0, "There was nothing to remove.\n")
    after = home.run(*PEOPLE, *DAY)
    assert after.code == 0
    assert "Nothing new." in after.errors


def test_with_a_person_it_leaves_what_belongs_to_others(
    two: tuple[Computer, dict[str, Somebody]],
) -> None:
    home, people = two
    cache = home.folder / ".cache" / "tconnectsync"
    for name in kept(home):
        (cache / f".{name}.abcd1234.new").write_text("left by a power cut")
    before = kept(home)
    done = home.run(*PEOPLE, "--person", "anna", "--forget")
    assert done.code == 0
    assert done.output.startswith("anna: Removed: ")
    gone = {name for name in before - kept(home) if not name.startswith(".")}
    assert sorted(name.partition("-")[0] for name in gone) == ["record", "site", "site", "tandem"]
    assert before - kept(home) == gone | {f".{name}.abcd1234.new" for name in gone}
    told = home.run(*PEOPLE, "--status", "--json").output
    states = {each["person"]: each["state"] for each in json.loads(told)["people"]}
    assert states["anna"] == "never-run" != states["ben"]
    logins = len(people["ben"].tandem.log)
    assert home.run(*PEOPLE, "--forget", "--quiet").output == ""
    left = {name.lstrip(".") for name in kept(home)}
    assert {name.partition("-")[0] for name in left} <= {"tandem"}
    assert not [name for name in left if name.startswith("tandem-source-")]
    assert len(people["ben"].tandem.log) == logins


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Computer, SmallNightscout]]:
    """Give a computer with one person's settings in a file, and her site."""
    with tandem_source(live(FIRST, 1)) as tandem, SmallNightscout(SECRET) as site:
        variables = computer(tmp_path, tandem, site.url, SECRET).variables
        text = "".join(f"{name}='{value}'\n" for name, value in variables.items())
        (tmp_path / "robin.env").write_text(text)
        (tmp_path / "robin.env").chmod(0o600)
        yield Computer(tmp_path, temporary(tmp_path)), site


ROBIN = ("--env-file", "robin.env")


def test_a_refused_password_may_be_sent_again(alone: tuple[Computer, SmallNightscout]) -> None:
    home, _ = alone
    file = home.folder / "robin.env"
    right = file.read_text()
    wrong = right.replace("TCONNECT_PASSWORD='", "TCONNECT_PASSWORD='x")
    file.write_text(wrong)
    assert home.run(*ROBIN, *DAY).code == 2
    assert "not sent again" in home.run(*ROBIN, *DAY).errors
    done = home.run(*ROBIN, "--forget")
    assert done.code == 0
    assert "1 refused password" in done.output
    assert "not sent again" not in home.run(*ROBIN, *DAY).errors.partition("Tandem refused")[2]


def test_it_names_days_that_no_run_will_know_of_any_more(
    alone: tuple[Computer, SmallNightscout],
) -> None:
    home, site = alone
    zone = ZoneInfo(NEW_YORK)
    begin = datetime(2024, 6, 3, tzinfo=zone)
    for options in (ROBIN, ()):
        backlog = Backlog(site.url, host(home.folder).caches)
        backlog.add({"BASAL": [TimeRange(begin, begin + timedelta(days=2))]})
        done = home.run(*options, "--forget")
        assert done.code == 0
        assert "Some data are still missing in Nightscout" in done.errors
        assert "--start-date 2024-06-0" in done.errors
        assert ("--env-file" in done.errors) == bool(options)
        assert not kept(home)


def test_every_file_that_is_kept_is_of_a_kind_that_it_knows() -> None:
    names = (shapes.FILE_NAME, pace.FILE_NAME, refused.FILE_NAME, extracodes.NAME, overlaps.FILE)
    assert [name for name in names if name not in KINDS] == []


@pytest.mark.parametrize("options", [ROBIN, ()])
def test_it_removes_nothing_while_another_run_writes(
    alone: tuple[Computer, SmallNightscout], options: tuple[str, ...]
) -> None:
    home, site = alone
    assert home.run(*ROBIN, *DAY).code == 0
    before = files(home.folder)
    with SiteLock(site.url, host(home.folder).caches, Clock()).held(0):
        refused = home.run(*options, "--forget")
    assert refused.code == 1
    assert f"(process {os.getpid()})" in refused.errors
    assert "Nothing was removed" in refused.errors
    assert files(home.folder).keys() == before.keys()
    assert home.run(*options, "--forget").code == 0
    assert not [name for name in kept(home) if name.startswith(("site-", "record-"))]


def test_it_says_that_something_may_still_run_and_leave_files_again(
    alone: tuple[Computer, SmallNightscout],
) -> None:
    home, _ = alone
    home.run(*ROBIN, "--auto-update", AUTOUPDATE_MAX_LOOP_INVOCATIONS="1")
    done = home.run(*ROBIN, "--forget")
    assert done.code == 0
    assert "--auto-update was at work" in done.errors
    assert "at work" not in home.run(*ROBIN, "--forget").errors


def test_files_of_others_in_the_folder_and_behind_links_stay(
    alone: tuple[Computer, SmallNightscout],
) -> None:
    home, _ = alone
    cache = home.folder / ".cache" / "tconnectsync"
    cache.mkdir(parents=True, mode=0o700)
    mine = {"diary.json", "diary.try", "tmp.new", ".diary.json.a.new"}
    for name in mine:
        (cache / name).write_text("mine")
    os.mkfifo(cache / "record-2.json")
    secret, nothing = home.folder / "elsewhere.json", home.folder / "nothing"
    secret.write_text("kept")
    for name in ("record-1.json", "site-1.lock", "site-1.unfinished"):
        (cache / name).symlink_to(secret)
    (cache / "site-2.lock").symlink_to(nothing)
    done = home.run("--forget")
    assert done.code == 0
    assert "also holds 5 files of other programs" in done.errors
    assert {path.name for path in cache.iterdir()} == mine | {"record-2.json"}
    assert secret.read_text() == "kept"
    assert not nothing.exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_left_alone_and_named(
    alone: tuple[Computer, SmallNightscout],
) -> None:
    home, _ = alone
    assert home.run(*ROBIN, *DAY).code == 0
    cache, before = home.folder / ".cache" / "tconnectsync", kept(home)
    os.chown(cache, 12345, 12345)
    done = home.run("--forget")
    assert (done.code, kept(home)) == (1, before)
    assert f"{cache} belongs to another user" in done.errors


def test_settings_that_do_not_show_what_is_theirs_are_refused(
    alone: tuple[Computer, SmallNightscout],
) -> None:
    home, _ = alone
    assert home.run(*ROBIN, *DAY).code == 0
    before = files(home.folder)
    with (home.folder / "robin.env").open("a") as file:
        file.write("TCONNECT_REGION=Mars\n")
    before = {**files(home.folder)}
    refused = home.run(*ROBIN, "--forget")
    assert refused.code == 2
    assert "TCONNECT_REGION is not usable" in refused.errors
    assert EMAIL not in refused.errors
    assert files(home.folder) == before
    assert home.run("--env-file", "nobody.env", "--forget").code == 2
