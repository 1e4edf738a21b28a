"""README, docs, .env.example and help say what the code does, and lead to what there is."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser, _SubParsersAction
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

from tconnectsync.cli import main, options
from tconnectsync.config import VARIABLES, load
from tconnectsync.config.envfile import read_env_file
from tconnectsync.config.names import known_names
from tconnectsync.config.settings import Configuration
from tconnectsync.domain.profiles import MGDL_PER_MMOL
from tconnectsync.errors import ConfigError
from tconnectsync.fleet.command import parser as fleet_parser
from tconnectsync.report.glucosefigures import GMI_BASE, GMI_PER_MGDL
from tconnectsync.report.model import BANDS
from tconnectsync.sync.features import FEATURES
from tests.support.pages import PAGES, ROOT, blocks, prose, text_of
from tests.support.reference import GENERATED, env_example, page
from tests.support.settings import COMPLETE

GUIDES = [name for name in PAGES if "protocol/" not in name]
"""Those that say what to do; the others are about how Tandem's clouds and Nightscout behave."""
REACHED_FROM = {"README.md", "docs/README.md"}
MOST_LINES = 150
"""Of the README: a tired parent reads no more."""


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_made_of_the_code_is_today_s(name: str) -> None:
    assert page(name) == text_of(name), "run: make docs"


def test_every_setting_and_feature_is_explained() -> None:
    assert all(f"| `{variable.name}`" in text_of("docs/settings.md") for variable in VARIABLES)
    assert all(f"| `{name}` |" in text_of("docs/nightscout.md") for name in FEATURES)


def test_contributing_lists_every_folder_and_file_of_today() -> None:
    text = text_of("CONTRIBUTING.md")
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


# --- what pages say ---


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    readme = text_of("README.md")
    assert len(readme.splitlines()) <= MOST_LINES
    first = blocks("README.md")[0]
    assert [line.split("#")[0].strip() for line in first.text.splitlines()] == [
        "make demo",
        "make test",
    ]
    assert "about an hour old" in readme[: readme.index("## Set it up")]


def test_clinicians_read_the_definitions_that_the_report_uses() -> None:
    text = text_of("docs/for-clinicians.md")
    assert f"{GMI_BASE} + {GMI_PER_MGDL} × mean" in text
    assert f"{MGDL_PER_MMOL} mg/dL" in text
    very_low, low, in_range, high, very_high = BANDS
    assert f"from {in_range.low} to {in_range.high - 1} mg/dL" in text
    assert f"from {low.low} to {low.high - 1} mg/dL" in text
    assert f"from {high.low} to {high.high - 1} mg/dL" in text
    assert f"below {very_low.high} mg/dL" in text
    assert f"above {very_high.low - 1} mg/dL" in text


def of_a_fleet() -> list[ArgumentParser]:
    actions = fleet_parser()._actions
    (commands,) = (each for each in actions if isinstance(each, _SubParsersAction))
    return list(commands.choices.values())


@pytest.mark.parametrize("name", GUIDES)
def test_every_option_that_a_page_names_exists(name: str) -> None:
    others = {"--rm", "--volumes", "--install", "--now", "--save"}  # Those of other programs.
    others |= {"--no-deps", "--no-build-isolation", "--require-hashes", "--strict"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text_of(name)))
    known = {option for action in options._parser()._actions for option in action.option_strings}
    known |= set(re.findall(r"--[a-z-]+", " ".join(map(ArgumentParser.format_help, of_a_fleet()))))
    assert named - others <= known


@pytest.mark.parametrize("name", GUIDES)
def test_commands_within_a_sentence_can_be_given(name: str) -> None:
    for command in re.findall(r"`(tconnectsync(?: [^`]*)?)`", text_of(name)):
        words = shlex.split(command)[1:]
        if not {"--help", "--version"} & set(words) and "…" not in command:
            options.parse(words)


@pytest.mark.parametrize("name", GUIDES)
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    """What looks like one of ours: in code marks, in capital letters, with our beginnings."""
    ours = "TCONNECT_|TANDEM_|NS_|PUMP_S|AUTOUPDATE_|NIGHTSCOUT_|NOTIFY_|PING_|METRICS_|ALARM_"
    named = set(re.findall(rf"`((?:{ours})[A-Z_]+)(?:=[^`]*)?`", text_of(name)))
    assert named <= known_names()


# --- links ---


def anchors(name: str) -> set[str]:
    """Return where a link into a page may lead: its headings, as web sites of code name them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(name), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(name: str) -> list[str]:
    """Return where the links and pictures of a page lead."""
    without_code = re.sub(r"`[^`\n]*`", "", prose(name))
    return re.findall(r"\]\(([^)\s]+)\)", without_code)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    broken = []
    for link in links(name):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / name).parent / unquote(path)).resolve() if path else ROOT / name
        inside = target.relative_to(ROOT).as_posix()
        is_there = target.exists() and (not anchor or anchor in anchors(inside))
        if not is_there:
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_readme_or_the_contents() -> None:
    reached = set()
    for name in REACHED_FROM:
        for link in links(name):
            target = ((ROOT / name).parent / link.partition("#")[0]).resolve()
            reached.add(target.relative_to(ROOT).as_posix() if target.is_file() else link)
    assert set(GUIDES) - reached <= {"README.md"}
    contents = {link for link in links("docs/README.md") if re.fullmatch(r"[a-z-]+\.md", link)} | {
        "README.md"
    }
    assert {path.name for path in (ROOT / "docs").glob("*.md")} == contents


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_has_words_for_those_who_do_not_see_it(name: str) -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\(", prose(name))
    assert all(len(words.split()) >= 8 for words in pictures)


# --- what is to be run ---


def check_settings(text: str, folder: Path) -> None:
    """Insist that some lines are settings that can be used, beside all that a user has to set."""
    for name in re.findall(r"^(\w+_FILE)=", text, re.MULTILINE):
        (folder / name).write_text("a value of good length")
        text = re.sub(rf"^{name}=.*", f"{name}={folder / name}", text, flags=re.MULTILINE)
    (folder / ".env").write_text(text)
    (folder / ".env").chmod(0o600)
    file = read_env_file(folder / ".env")
    assert set(file) <= known_names()
    given = {name.removesuffix("_FILE") for name in file}
    rest = {name: value for name, value in COMPLETE.items() if name not in given}
    configuration = Configuration(file, rest)
    assert (configuration.problems, configuration.notices()) == ([], [])


@pytest.mark.parametrize("name", GUIDES)
def test_every_block_says_what_it_is_and_why_it_is_not_run(name: str, tmp_path: Path) -> None:
    kinds = {"sh", "python", "env", "console", "text", "json", "html", "csv"}
    for block in blocks(name):
        assert block.kind in kinds, block
        assert bool(block.reason) == (block.kind == "console"), block
        if block.kind == "env":
            check_settings(block.text, tmp_path)
    # A block that is only set further in would go unseen.
    assert not re.search(r"^\n {4}(?![ -])\S", re.sub(r"^ {3}\S.*", "-", prose(name), flags=re.M))
