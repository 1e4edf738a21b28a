"""The files of an export: what is replaced, what stays, and how values are written."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tconnectsync.app import open_file
from tconnectsync.clock import Clock
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import Basal, Bolus, CarbEntry, Reading, UserMode
from tconnectsync.domain.profiles import BrokenProfile, Profile, PumpSettings, Segment
from tconnectsync.errors import ApiError, UsageError
from tconnectsync.export.columns import BASALS, EVENTS, KINDS
from tconnectsync.export.fileformat import CSV, FORMATS, JSONL, FileFormat, number_text
from tconnectsync.export.folder import LONGEST_WAIT, Folder
from tconnectsync.export.rangeexport import Export
from tconnectsync.history import History
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.sources.base import PumpSpan, Reader, SavedLog, Source
from tconnectsync.state.lock import TakenError
from tests.support.binary_log import binary_log
from tests.support.command import EMAIL, NEW_YORK, PASSWORD
from tests.support.event_builders import NOON, at, basal, bolus, sleep
from tests.support.pages import ROOT
from tests.support.settings import COMPLETE, host
from tests.support.virtual_home import sparse

CLOCK = PumpClock(ZoneInfo(NEW_YORK))
NOW = datetime(2024, 12, 1, 17, tzinfo=UTC)
FIRST = date(2024, 10, 31)
"""Two months, and the day on which clocks are set back."""
DAYS = 4
HOUR = timedelta(hours=1)
UPLOADED = "t:slim X2 …0042"


@dataclass
class StoryReader(Reader):
    """What a cloud says of one range."""

    story: Story
    skipped: Counter[str] = field(default_factory=Counter)
    remarks: list[Any] = field(default_factory=list)

    def basals(self) -> list[Basal]:
        if self.story.fails:
            raise ApiError("Tandem does not answer", 503)
        return [it for it in self.story.events if isinstance(it, Basal)]

    def boluses(self) -> Sequence[Bolus | CarbEntry]:
        return [it for it in self.story.events if isinstance(it, Bolus | CarbEntry)]

    def user_modes(self) -> list[UserMode]:
        return [it for it in self.story.events if isinstance(it, UserMode)]

    def readings(self) -> list[Reading]:
        return [it for it in self.story.events if isinstance(it, Reading)]

    def pump_of(self, event: object) -> str:
        return self.story.pump


@dataclass
class Story(Source):
    """A cloud that knows these events."""

    events: list[Any]
    name: str = "tandem-source"
    window_days: int = 7
    fails: bool = False
    pump: str = UPLOADED
    since: datetime = NOON - timedelta(days=40)
    is_read: bool = True

    def pumps(self, time_range: TimeRange) -> Sequence[PumpSpan]:
        last = NOON + timedelta(days=80)
        return [PumpSpan(self.pump, self.pump, self.since, last, self.is_read, in_use=True)]

    def read(self, time_range: TimeRange) -> StoryReader:
        return StoryReader(self)


def exported(
    story: Source, folder: Path, start: datetime, end: datetime, how: FileFormat = CSV
) -> Export:
    history = History(story, CLOCK, lambda: NOW)
    work = Export(history, TimeRange(start, end), Folder(folder, how))
    folder.mkdir(exist_ok=True)
    work.run(lambda windows: windows)
    return work


def keys(folder: Path, kind: str) -> list[str]:
    """Return the keys of all rows in all files of a kind, with the month of each file."""
    return [
        f"{path.stem[-2:]} {row['key']}"
        for path in sorted(folder.glob(f"{kind}-*.csv"))
        for row in csv.DictReader(path.read_text("utf-8").splitlines())
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# -- ranges and runs ---------------------------------------------------------------------------


@cache
def saved_log() -> SavedLog:
    life = sparse(live(FIRST, DAYS))
    tandem = SimulatedTandemSource(
        life,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(NEW_YORK),
        clock_changes=[(datetime(2024, 11, 3, 2), datetime(2024, 11, 3, 1))],
    )
    here = host(variables={**COMPLETE, "TIMEZONE_NAME": NEW_YORK})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pump.log"
        path.write_bytes(binary_log(tandem.log_of_pump.entries))
        return open_file(path, here.configuration().completed(), here)


HOURS = st.integers(0, 24 * DAYS)


@settings(max_examples=6)
@given(
    borders=st.lists(HOURS, min_size=4, max_size=4, unique=True).map(sorted),
    nested=st.booleans(),
    swapped=st.booleans(),
    days=st.sampled_from([2, 7]),
    how=st.sampled_from([CSV, JSONL]),
)
def test_two_overlapping_ranges_in_any_order_give_what_one_export_of_both_gives(
    borders: list[int], nested: bool, swapped: bool, days: int, how: FileFormat
) -> None:
    log = saved_log()
    log.window_days = days
    begin = log.covered.start
    a, b, c, d = (begin + hours * HOUR for hours in borders)
    ranges = [(a, d), (b, c)] if nested else [(a, c), (b, d)]
    with TemporaryDirectory() as folder:
        one, both = Path(folder) / "one", Path(folder) / "both"
        for start, end in reversed(ranges) if swapped else ranges:
            exported(log, both, start, end, how)
        exported(log, one, a, d, how)
        assert contents(both) == contents(one) != {}


def test_what_moved_or_was_deleted_leaves_no_row_and_other_days_stay(tmp_path: Path) -> None:
    last_of_march = datetime(2024, 3, 31, 23, 30, tzinfo=CLOCK.here(NOON).tzinfo)
    moved = replace(bolus(0, 2.0, key="moved"), requested_at=last_of_march, completed=None)
    story = Story([bolus(0, 1.0, key="stays"), bolus(600, 1.0, key="deleted"), moved])
    end = last_of_march + timedelta(days=1)
    exported(story, tmp_path, NOON, end)
    assert keys(tmp_path, "boluses") == ["03 stays", "03 deleted", "03 moved"]
    story.events = [replace(moved, requested_at=last_of_march + HOUR)]
    exported(story, tmp_path, at(300), end)
    assert keys(tmp_path, "boluses") == ["03 stays", "04 moved"]


def test_what_reaches_into_the_range_belongs_to_the_month_in_which_it_began(
    tmp_path: Path,
) -> None:
    april = CLOCK.midnight(date(2024, 4, 1))
    early = replace(basal(0, 60), start=april - HOUR / 2, duration=HOUR / 4, running=True)
    story = Story([early])
    exported(story, tmp_path, april - HOUR, april)
    story.events = [replace(early, duration=HOUR, running=False)]
    exported(story, tmp_path, april, april + HOUR)
    assert keys(tmp_path, "basals") == ["03 basal 0"]
    assert ",60,0.8,0.8," in (tmp_path / "basals-2024-03.csv").read_text("utf-8")


@pytest.mark.parametrize("how", FORMATS.values(), ids=FORMATS)
def test_what_goes_on_at_the_end_of_the_range_keeps_the_end_that_is_known(
    tmp_path: Path, how: FileFormat
) -> None:
    whole, mode = basal(0, 300), replace(sleep(0, 300), running=False)
    story = Story([whole, mode])
    exported(story, tmp_path, NOON, at(600), how)
    before = contents(tmp_path)
    cut = [replace(it, duration=HOUR, running=True) for it in (whole, mode)]
    story.events = list(cut)
    exported(story, tmp_path, NOON, at(60), how)
    assert contents(tmp_path) == before
    # What is over after all, or goes on for longer, is as it is now.
    story.events = [replace(cut[0], running=False), replace(cut[1], duration=10 * HOUR)]
    exported(story, tmp_path, NOON, at(60), how)
    exported(story, tmp_path / "fresh", NOON, at(60), how)
    fresh = contents(tmp_path / "fresh")
    assert {name: (tmp_path / name).read_bytes() for name in fresh} == fresh


def test_rows_of_what_could_not_be_read_are_kept(tmp_path: Path) -> None:
    story = Story([basal(0, 5), bolus(0, 1.0)])
    exported(story, tmp_path, NOON, at(60))
    story.fails, story.events = True, []
    work = exported(story, tmp_path, NOON, at(60))
    assert [failure.features for failure in work.history.outcome.failures] == [("BASAL",)]
    assert keys(tmp_path, "basals") == ["03 basal 0"]
    assert keys(tmp_path, "boluses") == []


def test_rows_of_a_pump_that_the_account_has_no_more_are_kept(tmp_path: Path) -> None:
    exported(Story([bolus(0, 1.0)], pump="t:slim X2 …0001"), tmp_path, NOON, at(60))
    exported(Story([bolus(5, 1.0)], pump="Mobi …0002"), tmp_path, NOON, at(60))
    assert keys(tmp_path, "boluses") == ["03 bolus 0", "03 bolus 5"]


def test_rows_of_days_that_the_cloud_has_no_more_are_kept(tmp_path: Path) -> None:
    exported(Story([bolus(0, 1.0), bolus(600, 1.0)]), tmp_path, NOON, at(700))
    exported(Story([], since=at(300)), tmp_path, NOON, at(700))
    assert keys(tmp_path, "boluses") == ["03 bolus 0"]


def test_rows_of_days_of_which_a_cloud_that_names_no_pumps_has_nothing_are_kept(
    tmp_path: Path,
) -> None:
    class Nameless(Story):
        def pumps(self, time_range: TimeRange) -> Sequence[PumpSpan]:
            return []

    day, first = 24 * 60, CLOCK.day(NOON)
    midnights = CLOCK.midnight(first), CLOCK.midnight(first + timedelta(days=2))
    story = Nameless([bolus(0, 1.0), bolus(day, 1.0), bolus(day + 60, 1.0)], pump="")
    work = exported(story, tmp_path, *midnights)
    assert work.history.outcome.is_complete
    story.events = story.events[1:2]
    work = exported(story, tmp_path, *midnights)
    assert keys(tmp_path, "boluses") == ["03 bolus 0", f"03 bolus {day}"]
    assert not work.history.outcome.is_complete


def test_rows_without_a_pump_are_kept_where_no_pump_of_the_account_is_read(tmp_path: Path) -> None:
    exported(Story([bolus(0, 1.0)], pump=""), tmp_path, NOON, at(60))
    exported(Story([], is_read=False), tmp_path, NOON, at(60))
    assert keys(tmp_path, "boluses") == ["03 bolus 0"]
    exported(Story([]), tmp_path, NOON, at(60))
    assert keys(tmp_path, "boluses") == []


def test_profiles_are_added_only_when_the_pump_is_set_to_others(tmp_path: Path) -> None:
    work = exported(Story([]), tmp_path, NOON, at(60))
    segment = Segment(datetime.min.time(), 0.7, 40, 8, 0)
    profile = Profile("=Every day", (segment,), 5 * HOUR, carbs_enabled=True, active=True)
    for _ in range(2):
        work.write_profiles(PumpSettings((profile,)))
    file = tmp_path / "profiles-2024-12.csv"
    first = file.read_text("utf-8")
    assert ",'=Every day,true,00:00,0.7,40,8,,300,true" in first
    assert len(first.splitlines()) == 2
    work.history = replace(work.history, now=lambda: NOW + HOUR)
    broken = BrokenProfile("Night", "its basal rate is 99 U/h", active=False, place=0)
    work.write_profiles(PumpSettings((replace(profile, active=False),), broken=(broken,)))
    assert len(file.read_text("utf-8").splitlines()) == 3
    assert not work.history.outcome.is_complete


# -- how values are written --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.1 + 0.2, "0.3"), (1e-9, "0"), (-1e-9, "0"), (5.0, "5"), (48, "48"), (0.05, "0.05")],
)
def test_numbers_have_no_errors_of_calculation(number: float, text: str) -> None:
    assert number_text(number) == text


TEXTS = st.text(max_size=30) | st.sampled_from(["=1+1", "@x", "\r", "a\nb", "\ud800", '"', "-"])


@given(TEXTS, TEXTS, st.sampled_from(list(FORMATS.values())))
def test_every_text_comes_back_and_none_is_a_formula(
    key: str, reason: str, how: FileFormat
) -> None:
    row = how.row(BASALS, replace(basal(0, 5), key=key, reason=reason))
    text = how.heading(BASALS.names) + row.line
    [again] = how.parse(text.encode().decode(), BASALS.names)
    assert (again.at, again.line) == (row.at, row.line)
    if how is CSV:
        [values] = csv.reader(StringIO(row.line, newline=""))
        assert not any(value[:1] in set("=+-@\t\r\n") - {""} for value in values)
    else:
        kept = reason.encode("utf-8", "replace").decode()
        assert json.loads(row.line)["reason"] == (kept or None)


def test_all_kinds_begin_with_the_same_columns_and_name_their_units() -> None:
    for kind in KINDS:
        assert kind.names[:4] == ["time_utc", "time_pump", "pump", "key"]
        assert len(set(kind.names)) == len(kind.names)
        for column in kind.columns:
            is_number = column.type == "number"
            units = ("_u", "_u_per_h", "_g", "_mg_dl", "_min", "_percent", "_v", "_per_u")
            assert column.name.endswith(units) == is_number, column
    entry = CarbEntry("carbs 1", NOON, 12.0)
    assert [column.of(entry) for column in EVENTS.columns][4:8] == ["carbs", None, None, 12.0]


# -- files and folders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"date,what\r\n", "it has other columns"),
        (b"\xff\xfe\x00", "it is no text"),
        (CSV.heading([*BASALS.names, "more"]).encode(), "of a newer version or added by somebody"),
        (b"\xef\xbb\xbf" + CSV.heading(BASALS.names).encode(), "such as a spreadsheet"),
        (CSV.heading(BASALS.names).replace(",", ";").encode(), "such as a spreadsheet"),
        (CSV.heading(BASALS.names).encode() + b"x,y\r\n", "line 2 has another number"),
        (CSV.heading(BASALS.names).encode() + b"1.3.24" + b"," * 11 + b"\r\n", "its times"),
        (
            CSV.heading(BASALS.names).encode() + b"0001-01-01T00:00:00+14" + b"," * 11 + b"\r\n",
            "its times",
        ),
        (None, "it is no ordinary file"),
    ],
)
def test_a_file_that_is_not_ours_is_left_as_it_is(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "basals-2024-03.csv"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        Folder(tmp_path, CSV).check([(2024, 3)])
    with pytest.raises(UsageError, match=why):
        exported(Story([basal(0, 5)]), tmp_path, NOON, at(60))
    assert content is None or file.read_bytes() == content


@pytest.mark.parametrize("how", FORMATS.values(), ids=FORMATS)
def test_a_file_of_an_older_version_gets_the_new_columns(tmp_path: Path, how: FileFormat) -> None:
    exported(Story([basal(0, 5), basal(60, 5)]), tmp_path, NOON, at(90), how)
    file = tmp_path / f"basals-2024-03.{how.name}"
    older = replace(BASALS, columns=BASALS.columns[:7])
    rows = [how.row(older, replace(each, pump=UPLOADED)) for each in (basal(0, 5), basal(60, 5))]
    file.write_bytes((how.heading(older.names) + "".join(row.line for row in rows)).encode())
    exported(Story([basal(60, 5)]), tmp_path, at(30), at(90), how)
    lines = file.read_bytes().decode().splitlines()
    if how is CSV:
        assert [len(row) for row in csv.reader(lines)] == [len(BASALS.names)] * 3
        assert lines[1].endswith(",5,0.8,,,,,")
    else:
        assert [list(json.loads(line)) for line in lines] == [BASALS.names] * 2
        assert json.loads(lines[0])["insulin_u"] is None


def test_two_exports_to_one_folder_wait_for_each_other(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new", CSV)
    with ExitStack() as other:
        other.enter_context(folder.held(Clock()))
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
        waits: list[float] = []
        with (
            pytest.raises(TakenError, match="start this one again"),
            folder.held(replace(Clock(), sleep=waits.append)),
        ):
            pass
        assert sum(waits) >= LONGEST_WAIT
        unfinished = tmp_path / "new" / ".basals-2024-03.csv.abc.new"
        unfinished.touch()
        with folder.held(replace(Clock(), sleep=lambda seconds: other.close())):
            assert not unfinished.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit here")
def test_a_full_disk_leaves_the_file_as_it_was_and_names_it(tmp_path: Path) -> None:
    exported(Story([bolus(0, 1.0)]), tmp_path, NOON, at(60))
    before = contents(tmp_path)
    write = (
        "import resource, signal; from pathlib import Path\n"
        "from datetime import *\n"
        "from tconnectsync.export.columns import BOLUSES\n"
        "from tconnectsync.export.fileformat import CSV, Row\n"
        "from tconnectsync.export.folder import Folder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))\n"
        "row = Row(datetime.now(UTC), 'a', '', 'a\\r\\n')\n"
        f"Folder(Path({str(tmp_path)!r}), CSV).replace(BOLUSES, (2024, 3), [row], bool)"
    )
    run = subprocess.run(
        [sys.executable, "-c", write], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert "boluses-2024-03.csv cannot be written (File too large)" in run.stderr
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["boluses-2024-03.csv"]
