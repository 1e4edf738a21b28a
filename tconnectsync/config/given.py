"""Finds the value that a variable was given, and says where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tconnectsync.config.envfile import EnvFile, text_of, why_not_read
from tconnectsync.config.variables import Variable

LONGEST_SECRET = 65_536
"""Bytes; a longer file was not meant to hold a secret."""


class CommandLine(dict[str, str]):
    """Variables that are given by options of the command line."""


@dataclass(frozen=True)
class Given:
    """A value, and where it was given."""

    name: str
    """The variable, or another one that stands in for it."""
    value: str = field(repr=False)
    place: Mapping[str, str] = field(repr=False)
    where: str
    """Such as ``line 3 of /home/robin/.env``."""
    brief: str
    """The same without names of folders, which may be personal."""


def find(variable: Variable, places: Sequence[Mapping[str, str]]) -> Given | None:
    """Return what a variable was given in the first place that has it; ``None`` if nothing.

    Raises:
        ValueError: a sentence why it cannot be known.
    """
    for name in variable.names:
        direct = _set(name, variable, places)
        named = _set(f"{name}_FILE", variable, places) if variable.may_be_in_file else None
        if direct and named:
            raise ValueError(
                f"{name} ({direct.where}) and {named.name} ({named.where}) are both set. Remove "
                "one of them."
            )
        if direct and (name == variable.name or not variable.why_not_instead(direct.value)):
            return direct
        if named:
            return _content(named)
    return None


def hidden(name: str, places: Sequence[Mapping[str, str]]) -> str:
    """Return a sentence if a variable is empty in one place and so hides its value in another."""
    having = [place for place in places if name in place]
    for number, place in enumerate(having):
        if place[name].strip():
            return ""
        others = [where(name, other)[0] for other in having[number + 1 :] if other[name].strip()]
        if others:
            return (
                f"{name} is empty in {where(name, place)[0]}, so its value in {others[0]} is not "
                "used. Remove the empty one."
            )
    return ""


def where(name: str, place: Mapping[str, str]) -> tuple[str, str]:
    """Return where a variable is given, with and without names of folders."""
    if isinstance(place, EnvFile) and place.path:
        line = place.lines.get(name, 0)
        return place.line(line), f"line {line} of {place.path.name}"
    if isinstance(place, CommandLine):
        return "the command line", "the command line"
    return "the environment", "the environment"


def _set(name: str, variable: Variable, places: Sequence[Mapping[str, str]]) -> Given | None:
    """Return what one name was given; ``None`` for a blank or the placeholder."""
    place = next((place for place in places if name in place), None)
    if place is None:
        return None
    value = place[name].strip()
    if not isinstance(place, EnvFile):
        value = _unquoted(value)
    if not value or value == variable.placeholder:
        return None
    return Given(name, value, place, *where(name, place))


def _content(named: Given) -> Given:
    """Return the secret in a file that a variable names, without the end of its line."""
    path = Path(named.value)
    with suppress(RuntimeError):  # The user's folder is not known.
        path = path.expanduser()
    if isinstance(named.place, EnvFile) and named.place.path:
        path = named.place.path.parent / path
    problem = f"{named.name} ({named.where}) names {path}, "
    try:
        if path.exists() and not path.is_file():
            raise IsADirectoryError
        with path.open("rb") as file:
            text = text_of(file.read(LONGEST_SECRET + 1))
        value = text.rstrip("\n")
        value.encode()
    except OSError as error:
        raise ValueError(f"{problem}which cannot be read: {why_not_read(error)}.") from None
    except ValueError:
        raise ValueError(f"{problem}which holds no text in UTF-8.") from None
    if not value.strip():
        raise ValueError(f"{problem}which is empty.")
    if "\n" in value or len(text) > LONGEST_SECRET:
        raise ValueError(f"{problem}which holds more than one line. Leave only the value in it.")
    at = f"{path} ({named.name})"
    return Given(named.name, value, named.place, at, f"{path.name} ({named.name})")


def _unquoted(value: str) -> str:
    """Drop the quotation marks that ``docker --env-file`` leaves around a value."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
