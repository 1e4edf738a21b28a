"""The files of ``deploy/`` and the Dockerfile, read as the programs that they are for read them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from tests.support.forked_command import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
INSTALLED = "/opt/tconnectsync/.venv/bin/tconnectsync"
"""Where the examples have the program."""
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer"))
COMPOSE_FILES = sorted(path.name for path in DEPLOY.glob("docker-compose*.yml"))


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def service(compose_file: str) -> dict[str, Any]:
    """Return the only service of a Compose file."""
    (found,) = yaml.safe_load(text_of(compose_file))["services"].values()
    assert isinstance(found, dict)
    return found


def unit(name: str) -> dict[str, list[str]]:
    """Return the settings of a unit of systemd, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in text_of(name).splitlines():
        if match := re.match(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def cron_commands(name: str) -> list[list[str]]:
    """Return the commands of a crontab."""
    lines = [line for line in text_of(name).splitlines() if not line.startswith("#")]
    return [shlex.split(line.split(maxsplit=5)[5]) for line in lines]


def dockerfile(instruction: str) -> list[str]:
    """Return what follows an instruction in the Dockerfile's last stage, each time."""
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{instruction} +(.+)$", text[text.rindex("\nFROM ") :], re.M)


def exec_form(text: str) -> list[str]:
    """Return the words of a command of the Dockerfile."""
    found = json.loads(text[text.index("[") :])
    assert isinstance(found, list)
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield what the examples have the program do: the file, and the options."""
    for name in UNITS:
        for line in unit(name).get("ExecStart", ()):
            yield name, shlex.split(line)[1:]
    for command in cron_commands("crontab"):
        yield "crontab", command[1:]
    for name in COMPOSE_FILES:
        yield name, service(name)["command"]
        yield name, service(name)["healthcheck"]["test"][2:]
    yield "Dockerfile", exec_form(dockerfile("HEALTHCHECK")[0])[1:]
