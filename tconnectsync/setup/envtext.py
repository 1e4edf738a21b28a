"""The text of a ``.env`` file: changed line by line, quoted so that it is read as it was typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from tconnectsync.config.variables import VARIABLES

if TYPE_CHECKING:
    from dotenv.parser import Binding

HEAD = "# Settings of tconnectsync, written by tconnectsync --setup; docs/settings.md names all.\n"
_PLAIN = re.compile(r"[^\s'\"#$]+")
"""Values that every program which reads such files takes as they are."""
_READ_AS_ESCAPE = re.compile(r"\\(?=[\\']|$)|'")
"""What would not be taken as it is between single quotation marks."""


def quoted(value: str) -> str:
    """Return a value as it stands in the file, in the plainest form that is read back unchanged.

    Docker knows no escapes in such files, so they are used only where nothing else will do. There
    must be no line end in the value.
    """
    if _PLAIN.fullmatch(value):
        return value
    escaped = _READ_AS_ESCAPE.sub(lambda found: f"\\{found[0]}", value)
    if escaped != value and not re.search(r'["\\$]', value):
        return f'"{value}"'
    return f"'{escaped}'"


def changed(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a file with some variables set; all other lines stay as they are.

    A variable is set in its first line; further lines of it, of its ``NAME_FILE`` and lines of it
    that cannot be read are left out. What has no line yet is added at the end.
    """
    from dotenv.parser import parse_stream

    left = dict(values)
    parts: list[str] = []
    for binding in parse_stream(StringIO(text)):
        name = _about(binding, values)
        if not name:
            parts.append(binding.original.string)
        elif name in left and not (binding.key or "").endswith("_FILE"):
            parts.append(f"{_before(binding)}{name}={quoted(left.pop(name))}\n")
        else:
            parts.append(_before(binding))
    whole = "".join(parts) or HEAD
    if left and not whole.endswith("\n"):
        whole += "\n"
    return whole + "".join(f"{name}={quoted(value)}\n" for name, value in left.items())


def _before(binding: Binding) -> str:
    """Return the empty lines before the variable of a binding."""
    whole = binding.original.string
    return "\n" * whole[: len(whole) - len(whole.lstrip())].count("\n")


def _about(binding: Binding, names: Mapping[str, str]) -> str:
    """Return which of some variables a line sets, also by naming a file, or fails to set."""
    key = binding.key or ""
    if binding.error:
        found = re.match(r"\s*(?:export\s+)?(\w+)\s*[=:]", binding.original.string)
        key = found[1] if found else ""
    return next((name for name in names if key in (name, *_files(name))), "")


def _files(name: str) -> Sequence[str]:
    """Return the variables that name a file with the value of a variable."""
    return [
        f"{each}_FILE"
        for variable in VARIABLES
        if variable.name == name and variable.may_be_in_file
        for each in variable.names
    ]
