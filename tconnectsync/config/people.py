"""Several people: one file with settings for each, in one folder, over settings that all share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tconnectsync.config.envfile import EnvFile, read_env_file, why_not_read
from tconnectsync.config.variables import VARIABLES
from tconnectsync.errors import UsageError

SUFFIX = ".env"
HIDDEN_ENDING = ".txt"
"""Editors of Windows add it, and its file manager does not show it."""
LONGEST_NAME = 40
NAME = re.compile(rf"\w[\w .-]{{0,{LONGEST_NAME - 1}}}")
"""What a person may be called: the name stands in the log."""


class Person(NamedTuple):
    """Somebody whose settings stand in a file of their own, from which they have their name."""

    name: str
    file: Path
    problem: str = ""
    """A sentence on why the file cannot be used, if that is seen from its name."""

    @property
    def common(self) -> Path:
        """The file with settings that all share; there need not be one."""
        return self.file.parent / SUFFIX


def people_in(folder: Path) -> list[Person]:
    """Return the people with a file in a folder, by name. Hidden files are left out.

    Raises:
        UsageError: the folder cannot be read, or has no file of a person.
    """
    try:
        there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except NotADirectoryError:
        raise UsageError(
            f"--accounts: {folder} is a file. Name the folder in which each person has a file."
        ) from None
    except FileNotFoundError:
        raise UsageError(f"--accounts: there is no folder {folder}.") from None
    except OSError as error:
        raise UsageError(f"--accounts: {folder} cannot be read: {why_not_read(error)}.") from None
    files = [path for path in there if path.name.endswith(SUFFIX)]
    misnamed = [
        _misnamed(path)
        for path in there
        if path.name.endswith(SUFFIX + HIDDEN_ENDING) and path.with_suffix("") not in files
    ]
    if not (files or misnamed):
        raise UsageError(
            f"--accounts: no settings were found in {folder}. Write a file for each person there, "
            "named after that person, such as anna.env."
        )
    return [*map(_person, files), *misnamed]


def _person(path: Path) -> Person:
    name = path.name.removesuffix(SUFFIX)
    if NAME.fullmatch(name):
        return Person(name, path)
    shown = re.sub(r"[^\w .-]", "_", name)[:LONGEST_NAME]
    return Person(
        shown,
        path,
        f"The name of this person's file cannot be used (shown here as {shown}{SUFFIX}), because "
        "it stands in the log. Take one of letters, digits, dots, blanks, - and _, of at most "
        f"{LONGEST_NAME} characters, and no e-mail address.",
    )


def _misnamed(path: Path) -> Person:
    person = _person(path.with_suffix(""))
    rename = f"Rename {path.name} to {path.stem}: the file of a person ends in {SUFFIX}."
    return Person(person.name, path, person.problem or rename)


def places_of(
    person: Person, environment: Mapping[str, str]
) -> tuple[EnvFile, EnvFile, Mapping[str, str]]:
    """Return where the person's settings are given: their own file, the common one, the rest.

    What is about one person is never taken from the environment, which is the same for all: a
    password that is missing in one file must not be replaced by that of somebody else.
    """
    own, common = read_env_file(person.file), EnvFile()
    if person.common.exists():
        common = read_env_file(person.common)
    shared = for_all(environment)
    # Another name for what the person's own file says, such as API_SECRET for NS_SECRET, would
    # otherwise count before it.
    common = common.without(_other_names(own))
    said = _other_names(own) | _other_names(common)
    return own, common, {name: value for name, value in shared.items() if name not in said}


def for_all(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the environment that are not about one person."""
    ignored = set(ignored_for_all(environment))
    return {name: value for name, value in environment.items() if name not in ignored}


def ignored_for_all(environment: Mapping[str, str]) -> list[str]:
    """Return which variables of the environment are not used because they are about one person."""
    personal = _names(variable.name for variable in VARIABLES if variable.personal)
    return [name for name in environment if name in personal]


def _names(variables: Iterable[str]) -> set[str]:
    """Return all names under which the values of some variables may be given."""
    chosen = set(variables)
    return {name for it in VARIABLES if it.name in chosen for name in it.all_names}


def _other_names(place: Mapping[str, str]) -> set[str]:
    """Return the names that a place does not use for the variables that it sets."""
    given = {it.name for it in VARIABLES if any(each in place for each in it.all_names)}
    return _names(given) - set(place)
