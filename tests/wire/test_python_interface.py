"""The Python interface from outside: the built wheel, its types, and docs/python.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

import tconnectsync
from tconnectsync.domain import events
from tconnectsync.simulators.history import bolus_insulin
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tandemsource.query import LogQuery
from tests.support.command import EMAIL, NEW_YORK, PASSWORD, addresses, tandem_source
from tests.support.pages import ROOT, blocks, text_of
from tests.support.world import FIRST, at

LIFE = live(FIRST, 3)
EXAMPLE, *SHORT = (block.text for block in blocks("docs/python.md") if block.kind == "python")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
FROM_THE_WHEEL = """
import sys
loaded = [it.__file__ for name, it in sys.modules.items() if name.startswith("tconnectsync")]
assert loaded and all(path.startswith(sys.argv[1]) for path in loaded), loaded
assert "bs4" not in sys.modules
"""
NOTHING_AT_IMPORT = """
import os, sys
os.environ.clear()
import tconnectsync
loaded = sorted(name for name in sys.modules if name.startswith("tconnectsync"))
assert loaded == ["tconnectsync"], loaded
assert {"open_source", "Bolus", "util"} <= set(dir(tconnectsync))
for name in tconnectsync.__all__:
    getattr(tconnectsync, name)
try:
    tconnectsync.open_source()
except tconnectsync.ConfigError as error:
    print(error)
"""


@dataclass(frozen=True)
class Outside:
    """A folder with nothing of the checkout, in which the files of the wheel can be imported."""

    folder: Path
    wheel: Path

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these variables set and no others."""
        usual = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        paths = {"PYTHONPATH": str(self.wheel), "MYPYPATH": str(self.wheel)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**usual, **paths, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what it is made of, and give the folder with its files."""
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tconnectsync", source / "tconnectsync", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    made = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", BUILD, str(made)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=300)
    (wheel,) = made.glob("*.whl")
    with ZipFile(wheel) as files:
        files.extractall(made / "files")
    return made / "files"


@pytest.fixture
def outside(tmp_path: Path, built: Path) -> Outside:
    return Outside(tmp_path, built)


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedTandemSource]:
    with tandem_source(LIFE) as server:
        yield server


@pytest.fixture
def account(cloud: SimulatedTandemSource) -> Mapping[str, str]:
    """Give the variables of an account; Nightscout's are not among them."""
    cloud.fault = None
    return {
        "TCONNECT_EMAIL": EMAIL,
        "TCONNECT_PASSWORD": PASSWORD,
        "TIMEZONE_NAME": NEW_YORK,
        **addresses(cloud),
    }


def test_the_example_of_the_docs_runs_outside_of_the_package(
    outside: Outside, account: Mapping[str, str]
) -> None:
    program = EXAMPLE + FROM_THE_WHEEL.replace("sys.argv[1]", repr(str(outside.wheel)))
    ran = outside.python("-c", program, **account)
    assert ran.returncode == 0, ran.stderr
    days = re.findall(r"^(\S+): basal (\S+) U, bolus (\S+) U, carbs (\d+) g$", ran.stdout, re.M)
    assert [day for day, *_ in days] == [f"{FIRST + timedelta(days=it)}" for it in range(3)]
    assert sum(float(bolus) for *_, bolus, _ in days) == pytest.approx(
        bolus_insulin(LIFE, at(0, 0), at(3, 0)), abs=0.02
    )
    assert int(days[1][3]) == sum(
        bolus.carbs for bolus in LIFE.boluses if at(1, 0) <= bolus.requested < at(2, 0)
    )
    assert re.search(r"^Mean glucose: 1\d\d mg/dL of 8\d\d readings$", ran.stdout, re.M)


def test_the_other_examples_run_too(outside: Outside, account: Mapping[str, str]) -> None:
    program = "\n".join(SHORT)
    ran = outside.python("-c", program, **account)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("True\n[")


@pytest.mark.slow
def test_strict_types_accept_the_examples_against_the_wheel(outside: Outside) -> None:
    (outside.folder / "example.py").write_text(EXAMPLE, encoding="utf-8")
    (outside.folder / "other.py").write_text("\n".join(SHORT), encoding="utf-8")
    wrong = EXAMPLE.replace("event.insulin", "event.insuline")
    (outside.folder / "wrong.py").write_text(wrong, encoding="utf-8")
    # What it knows of other packages is kept: to read them takes ten seconds.
    cache = str(ROOT / ".cache" / "mypy-outside")
    usual = ("-m", "mypy", "--strict", "--cache-dir", cache, "--follow-imports", "silent")
    ran = outside.python(*usual, "example.py", "other.py", "wrong.py")
    assert "wrong.py" in ran.stdout
    assert 'has no attribute "insuline"' in ran.stdout
    others = [line for line in ran.stdout.splitlines()[:-1] if not line.startswith("wrong.py")]
    assert others == [], ran.stdout + ran.stderr


def test_importing_reads_nothing_and_missing_settings_are_said_in_sentences(
    outside: Outside,
) -> None:
    ran = outside.python("-c", NOTHING_AT_IMPORT, TCONNECT_PASSWORD="secret-of-the-environment")
    assert ran.returncode == 0, ran.stderr
    assert "TCONNECT_EMAIL is not set" in ran.stdout
    assert "NS_URL" not in ran.stdout


@pytest.fixture
def data(
    cloud: SimulatedTandemSource,
    account: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tconnectsync.PumpData:
    """Give what an .env file names, although the environment is about somebody else."""
    monkeypatch.setenv("TCONNECT_EMAIL", "another@example.org")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "robin.env"
    file.write_text("".join(f"{name}='{value}'\n" for name, value in account.items()), "utf-8")
    file.chmod(0o600)
    return tconnectsync.open_source(file)


def test_what_is_missing_is_raised_after_all_the_rest_has_come(
    data: tconnectsync.PumpData, cloud: SimulatedTandemSource
) -> None:
    whole = list(data.history(FIRST, FIRST + timedelta(days=2)))
    assert data.problems == ()

    def fault(request: Request) -> Response | None:
        is_first = "2024-06-02" in str(request.query) and "pump-logs" in request.path
        return Response(b'{"status": "error"}') if is_first else None

    cloud.fault = fault
    found: list[tconnectsync.Event] = []
    with pytest.raises(tconnectsync.IncompleteError, match="2024-06-03 could not be read") as error:
        found.extend(data.history(FIRST, FIRST + timedelta(days=2)))
    assert 0 < len(found) < len(whole)
    assert all(event in whole for event in found)
    assert set(error.value.problems) <= set(data.problems)
    assert list(data.history(FIRST, FIRST + timedelta(days=2), partial=True)) == found


@pytest.mark.parametrize(
    ("first", "last", "count", "sentence"),
    [
        (-32, 0, 1, "There are no data for 2024-05-02 to 2024-06-02"),
        (-32, -30, 0, "There are no data for 2024-05-02 to 2024-05-04"),
        (2, 40, 1, "The pump has uploaded nothing after 2024-06-"),
        (40, 50, 0, "The pump has uploaded nothing after 2024-06-"),
    ],
)
def test_days_for_which_the_pump_has_no_data_are_missing(
    data: tconnectsync.PumpData, first: int, last: int, count: int, sentence: str
) -> None:
    found: list[tconnectsync.Event] = []
    with pytest.raises(tconnectsync.IncompleteError, match=sentence):
        found.extend(data.history(FIRST + timedelta(days=first), FIRST + timedelta(days=last)))
    assert min(len(found), 1) == count
    assert len(data.problems) == 1


def test_a_pass_over_windows_gives_all_of_it_and_each_method_its_part(
    data: tconnectsync.PumpData,
) -> None:
    days = (FIRST, FIRST + timedelta(days=1))
    windows = list(data.windows(*days))
    assert [it for window in windows for it in window.events] == list(data.history(*days))
    assert [it for window in windows for it in window.readings] == list(data.readings(*days))
    assert [it for window in windows for it in window.statuses] == list(data.statuses(*days))
    (pump,) = data.pumps()
    assert {event.pump for window in windows for event in window.events} == {pump.name}
    assert [profile.active for profile in data.settings().profiles].count(True) == 1
    assert data.covered is None
    assert str(data.zone) == NEW_YORK


def test_a_saved_log_needs_the_zone_alone(
    cloud: SimulatedTandemSource, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.fault = None
    log = outside.folder / "pump.json"
    log.write_text(json.dumps(cloud.pump.log_of_range(LogQuery(at(0, 0), at(3, 0), None))))
    for name in [it for it in os.environ if it.startswith("TCONNECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIMEZONE_NAME", NEW_YORK)
    monkeypatch.chdir(outside.folder)
    requests = len(cloud.log)
    data = tconnectsync.open_source(saved_log=log)
    assert data.covered == (FIRST, FIRST + timedelta(days=3))
    boluses = [it for it in data.history(*data.covered) if isinstance(it, tconnectsync.Bolus)]
    delivered = bolus_insulin(LIFE, at(0, 0), at(3, 0))
    assert sum(bolus.insulin for bolus in boluses) == pytest.approx(delivered)
    with pytest.raises(tconnectsync.TconnectsyncError, match="does not hold the pump's profiles"):
        data.settings()
    assert len(cloud.log) == requests
    monkeypatch.setenv("TIMEZONE_NAME", "Nowhere/Town")
    with pytest.raises(tconnectsync.ConfigError, match="TIMEZONE_NAME"):
        tconnectsync.open_source(saved_log=log)


def test_the_page_names_only_what_is_there() -> None:
    named = re.findall(r"`(?:tconnectsync\.)?([A-Z][a-z]+[A-Za-z]*)`", text_of("docs/python.md"))
    others = {"ValueError", "DeprecationWarning"}
    assert set(named) - others <= set(tconnectsync.__all__)
    methods = re.findall(r"^\| `(\w+)\(", text_of("docs/python.md"), re.M)
    assert set(methods) < {name for name in dir(tconnectsync.PumpData) if name[0] != "_"}


@pytest.mark.parametrize(("first", "last"), [(1, 0), (20_000, 20_000), (-20_000, 0)])
def test_days_that_cannot_be_are_refused(
    data: tconnectsync.PumpData, first: int, last: int
) -> None:
    with pytest.raises(ValueError, match=r"later than|lies in the future|before there were pumps"):
        next(data.history(FIRST + timedelta(days=first), FIRST + timedelta(days=last)))
    with pytest.raises(ValueError, match="'2024-06-03' is no date"):
        next(data.history("2024-06-03", FIRST))  # type: ignore[arg-type]


def test_every_type_that_an_event_can_have_is_a_name_of_the_package() -> None:
    public = {getattr(tconnectsync, name) for name in tconnectsync.__all__}
    kinds = {it for name, it in vars(events).items() if isinstance(it, type) and name[0].isupper()}
    own = {it for it in kinds if it.__module__ == events.__name__}
    assert own - public == {events.InsulinOnBoard}
    assert events.Event in public
