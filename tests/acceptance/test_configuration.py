"""Where settings come from, and what holds when nothing is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tconnectsync.config import VARIABLES, Configuration, env_files, read_env_files
from tests.acceptance.cases import cases, is_different, load

DEFAULTS = "config_defaults.expected.json"
KNOWN = {variable.name: variable for variable in VARIABLES}


@pytest.mark.parametrize("case", cases("config_files.cases.json"))
def test_settings_come_from_the_place_recorded(case: dict[str, Any], tmp_path: Path) -> None:
    working, elsewhere = tmp_path / "work", tmp_path / "home"
    for name, content in case["files_below_working_directory"].items():
        file = working / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    home = working if case["home_directory_is_working_directory"] else elsewhere
    files = read_env_files(env_files(home, working))
    values = Configuration(case["environment"], files).values
    assert {name: values[name] for name in case["expected"]} == case["expected"]


@pytest.mark.parametrize(
    ("name", "default"),
    [(n, d) for n, d in load(DEFAULTS).items() if not is_different(DEFAULTS, n)],
)
def test_a_setting_has_the_default_recorded(name: str, default: Any) -> None:
    assert Configuration({}, {}).values[name] == default


@pytest.mark.parametrize(
    "name", ["TCONNECT_EMAIL", "TCONNECT_PASSWORD", "PUMP_SERIAL_NUMBER", "NS_URL", "NS_SECRET"]
)
def test_the_default_recorded_is_our_placeholder(name: str) -> None:
    assert KNOWN[name].placeholder == str(load(DEFAULTS)[name])
    assert not KNOWN[name].default


def test_the_time_zone_has_no_default() -> None:
    assert KNOWN["TIMEZONE_NAME"].default is None


def test_the_limits_of_the_loop_fit_hourly_uploads() -> None:
    names = ["AUTOUPDATE_FAILURE_MINUTES", "AUTOUPDATE_RESTART_ON_FAILURE"]
    values = Configuration({}, {}).values
    assert [values[name] for name in names] == [75, False]


@pytest.mark.parametrize("name", ["NS_IGNORE_CONN_ERRORS", "SKIP_NS_LAST_UPLOADED_CHECK"])
def test_a_setting_that_has_no_effect_any_more_is_named(name: str) -> None:
    assert name not in KNOWN
    (notice,) = Configuration({name: "true"}, {}).notices()
    assert notice.startswith(f"{name} has no effect any more")
