"""The files in deploy/ are what the programs that read them expect, and ask for what there is."""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
import sys
import tomllib
from configparser import RawConfigParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tconnectsync import __version__
from tconnectsync.cli.options import parse
from tconnectsync.fleet.command import parser as fleet_parser
from tconnectsync.setup.keeprunning import LABEL, user_unit
from tests.support.deployment import (
    COMPOSE_FILES,
    DEPLOY,
    INSTALLED,
    UNITS,
    commands,
    cron_commands,
    dockerfile,
    exec_form,
    service,
    text_of,
    unit,
)
from tests.support.forked_command import CHECKOUT
from tests.support.reference import deploy_files

CACHE = "/home/tconnectsync/.cache"


@pytest.mark.parametrize("name", sorted(deploy_files()))
def test_examples_are_made_of_the_texts_of_setup(name: str) -> None:
    assert text_of(name) == deploy_files()[name], "run: make docs"


@pytest.mark.parametrize(("name", "options"), list(commands()))
def test_every_command_of_the_examples_can_be_given(name: str, options: list[str]) -> None:
    assert options
    parse(options)


def test_the_crontab_is_to_be_added_and_says_nothing_on_a_good_day() -> None:
    assert "crontab -e" in text_of("crontab")
    for command in cron_commands("crontab"):
        assert command[0] == INSTALLED
        assert "--quiet" in command


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_compose_keeps_the_cache_and_has_no_script(name: str) -> None:
    found = service(name)
    assert "entrypoint" not in found
    assert found["restart"] == "unless-stopped"
    assert found["init"] is True
    assert {"--auto-update", "--stay"} <= set(found["command"])
    assert "--status" in found["healthcheck"]["test"]
    assert f"cache:{CACHE}" in found["volumes"]
    assert not [word for word in ("sh -c", "tail -f", "sleep") if word in text_of(name)]


def test_two_people_in_one_container_have_a_folder_of_settings() -> None:
    found = service("docker-compose.two-people.yml")
    folder = found["command"][found["command"].index("--accounts") + 1]
    assert any(volume.endswith(f":{folder}:ro") for volume in found["volumes"])
    assert folder in found["healthcheck"]["test"]


def test_the_image_s_user_is_a_number_who_owns_the_cache() -> None:
    assert dockerfile("USER") == ["1000:1000"]
    (made,) = dockerfile("RUN")
    assert "--uid 1000 tconnectsync" in made
    assert f"--owner tconnectsync --mode 700 {CACHE}" in made
    assert exec_form(dockerfile("ENTRYPOINT")[0]) == ["tconnectsync"]
    assert f'org.opencontainers.image.version="{__version__}"' in dockerfile("LABEL")[0]


def test_the_agent_of_macos_and_the_task_of_windows_can_be_read() -> None:
    agent = plistlib.loads((DEPLOY / f"{LABEL}.plist").read_bytes())
    assert agent["Label"] == LABEL
    parse(agent["ProgramArguments"][1:])
    task = ElementTree.parse(DEPLOY / "windows-task.xml").getroot()
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert task.tag == f"{space}Task"
    parse((task.findtext(f".//{space}Arguments") or "").split())


def test_units_work_for_an_installation_below_home_and_end_on_wrong_settings() -> None:
    for name in UNITS:
        found = unit(name)
        if "ExecStart" not in found:
            assert found["Unit"] == ["tconnectsync-once.service"]
            continue
        assert found["ProtectHome"] == ["read-only"]
        assert found["CacheDirectory"] == ["tconnectsync"]
        assert "XDG_CACHE_HOME=/var/cache" in found["Environment"]
        if "--auto-update" in found["ExecStart"][0]:
            assert (found["Type"], found["WatchdogSec"]) == (["notify"], ["15min"])
            assert found["RestartPreventExitStatus"] == ["2"]
        else:
            assert found["Type"] == ["oneshot"]
    assert "accounts/%i.env" in unit("tconnectsync@.service")["ExecStart"][0]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = tmp_path / "bin of mine" / "tconnectsync"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    paths = []
    for name in UNITS:
        paths.append(tmp_path / name.replace("@.", "@robin."))
        # The template as well, under the name of one person.
        text = text_of(name).replace(INSTALLED, "/bin/true").replace("%i", "robin")
        paths[-1].write_text(text, encoding="utf-8")
    own = tmp_path / "own.service"
    own.write_text(user_unit([str(program), "--env-file", "/a b/100%.env"]), encoding="utf-8")
    for options in (["--system", *map(str, paths)], ["--user", str(own)]):
        run = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *options],
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
        )
        said = [line for line in run.stderr.splitlines() if "tconnectsync" in line or "own" in line]
        assert said == []


def test_supervisord_can_read_its_file() -> None:
    parser = RawConfigParser()
    parser.read_string(text_of("supervisord.conf"))
    found = parser["program:tconnectsync"]
    assert found["command"].split(maxsplit=1)[0] == INSTALLED
    parse(found["command"].split()[1:])


def test_pipenv_takes_any_python() -> None:
    assert "requires" not in tomllib.loads((CHECKOUT / "Pipfile").read_text(encoding="utf-8"))


def test_the_newest_changes_are_those_of_this_version() -> None:
    changes = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert changes.startswith(f"# Changes\n\n## {__version__} ")


@pytest.mark.parametrize("start", [["main.py"], ["-m", "tconnectsync"]])
def test_without_its_packages_it_says_what_to_install(start: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WITHOUT_PACKAGES, *start],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("tconnectsync cannot start: a Python package that it needs is not")
    assert ".venv/bin/pip install ." in run.stderr
    assert "Traceback" not in run.stderr


WITHOUT_PACKAGES = """
import os, runpy, sys
sys.path.insert(0, os.getcwd())
word, *rest = sys.argv[1:]
sys.argv = ["main.py", "--check-login"]
run, name = (runpy.run_module, rest[0]) if rest else (runpy.run_path, word)
run(name, run_name="__main__")
"""


def test_a_fleet_migrates_before_it_works_and_has_its_secrets_in_files() -> None:
    whole = yaml.safe_load(text_of("fleet/docker-compose.yml"))
    services = whole["services"]
    image = (DEPLOY / "fleet" / "Dockerfile").read_text(encoding="utf-8")
    assert exec_form(image[image.index("ENTRYPOINT") :]) == ["tconnectsync-fleet"]
    for name in ("migrate", "worker", "metrics"):
        given = fleet_parser().parse_args(services[name]["command"])
        assert given.command == name
        needs_key = ["fleet-key"] if name == "worker" else []
        assert services[name]["secrets"] == ["pgpass", *needs_key]
        if name != "migrate":
            done = services[name]["depends_on"]["migrate"]["condition"]
            assert done == "service_completed_successfully"
    assert all(port.startswith("127.0.0.1:") for port in services["metrics"]["ports"])
    assert {each["file"][2:] for each in whole["secrets"].values()} <= set(
        re.findall(r"> ([\w-]+)$", (DEPLOY.parent / "docs" / "fleet.md").read_text("utf-8"), re.M)
    )
