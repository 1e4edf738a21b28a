"""README, .env.example and help say what the tables in the code say."""

from __future__ import annotations

import re

import pytest

from tconnectsync.cli import main, options
from tconnectsync.config import VARIABLES, load
from tconnectsync.errors import ConfigError
from tconnectsync.sync.features import FEATURES
from tests.support.reference import ROOT, contributing, env_example, readme

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_today_s_settings_and_features() -> None:
    assert readme() == README, "run: make docs"
    assert all(f"`{variable.name}`" in README for variable in VARIABLES)
    assert all(f"`{name}`" in README for name in FEATURES)


def test_contributing_lists_every_folder_and_file_of_today() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert contributing() == text, "run: make docs"
    modules = [path for path in (ROOT / "tconnectsync").rglob("*.py") if path.stem != "__init__"]
    assert all(f"| `{path.name}` |" in text for path in modules)
    assert all(f"**`{path.parent.relative_to(ROOT)}/`**" in text for path in modules)


def test_the_example_configuration_is_today_s() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), "run: make docs"


def test_the_example_configuration_as_it_is_counts_as_not_filled_in() -> None:
    lines = [line for line in env_example().splitlines() if re.match(r"\w", line)]
    given = dict(line.split("=", 1) for line in lines)
    with pytest.raises(ConfigError) as caught:
        load(given, {})
    assert len(caught.value.problems) == len(given)


def test_the_help_names_every_feature(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in FEATURES)


def test_the_readme_s_options_exist() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    others = {"--rm", "--env-file"}  # docker's
    known = {option for action in options._parser()._actions for option in action.option_strings}
    assert named - others <= known


def test_the_two_commands_stand_at_the_top_of_the_readme() -> None:
    top = README[:900]
    assert "make demo" in top
    assert "make test" in top
