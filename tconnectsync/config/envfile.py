"""Reads a ``.env`` file, and explains in plain words what in it cannot be read.

What is said about a line never repeats its value.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Collection, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.config.names import known_names, may_be_shown, meant_by
from tconnectsync.config.variables import VARIABLES
from tconnectsync.places import env_file_paths

if TYPE_CHECKING:
    from dotenv.parser import Binding

_SURROGATE = "[\ud800-\udfff]"
"""Stands for a byte that is no UTF-8."""
_NAME = re.compile(r"[^\w=:]*(?:(?:export|set)\s+)?[^\w=:]*([A-Za-z_]\w*)", re.IGNORECASE)
_SECRET = {name for variable in VARIABLES if variable.secret for name in variable.names}
_SAVE_AS_UTF8 = "Save the file again with the encoding UTF-8 (in Notepad: Save as, Encoding)."


class EnvFile(dict[str, str]):
    """The variables of a ``.env`` file by name, and what is to be said about the file.

    Without any file it is empty, and says where one was looked for.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.path = path
        self.looked_for: tuple[Path, ...] = () if path is None else (path,)
        """Where a file may be."""
        self.unused: tuple[Path, ...] = ()
        """Files that there are and that are not read, because of this one."""
        self.passed_over: tuple[str, ...] = ()
        """A sentence for each place in which there is something else than a file."""
        self.lines: dict[str, int] = {}
        """In which line a variable stands."""
        self.problems: list[tuple[str, str]] = []
        """What has to be corrected: the variable, or nothing for the whole file, and a sentence."""
        self.notices: list[str] = []
        """Sentences about what was read, but may not be what is meant."""

    def line(self, number: int) -> str:
        """Return where a line is, in words."""
        return f"line {number} of {self.path}"

    def without(self, names: Collection[str]) -> EnvFile:
        """Return the same file as if it did not hold these variables."""
        other = EnvFile(self.path)
        other.__dict__.update(self.__dict__)
        other.update({name: value for name, value in self.items() if name not in names})
        return other


def env_files(home: Path, working_directory: Path) -> tuple[Path, Path]:
    """Return where a ``.env`` file is looked for; the first that exists is used, and only that."""
    here, usual = map(Path, env_file_paths(str(home), str(working_directory)))
    return here, usual


def read_env_files(candidates: Sequence[Path]) -> EnvFile:
    """Read the first file that exists; what is wrong with it is in its problems."""
    there = [path for path in candidates if os.path.isfile(path)]  # noqa: PTH113
    file = read_env_file(there[0]) if there else EnvFile()
    file.looked_for, file.unused = tuple(candidates), tuple(there[1:])
    file.passed_over = tuple(filter(None, map(_why_passed_over, candidates)))
    return file


def _why_passed_over(path: Path) -> str:
    """Return why what is in the place of a file is not read; empty if nothing is there."""
    try:
        if path.is_dir():
            return f"{path} is a folder, not a file, so it is not read."
        path.stat()
    except PermissionError:
        return f"The user that runs tconnectsync may not see whether {path} exists."
    except OSError:
        others = [path.with_name(name) for name in (f"{path.name}.txt", "env", "env.txt")]
        if found := next((each for each in others if each.is_file()), None):
            return f"There is {found}: rename it to {path.name}."
    return ""


def read_env_file(path: Path) -> EnvFile:
    """Read one file; what is wrong with it is in its problems."""
    from dotenv.parser import parse_stream

    file = EnvFile(path)
    try:
        text = text_of(path.read_bytes())
    except OSError as error:
        file.problems.append(("", f"{path} cannot be read: {why_not_read(error)}."))
        return file
    except ValueError as error:
        file.problems.append(("", f"{path} cannot be read: {error} {_SAVE_AS_UTF8}"))
        return file
    line = 1
    for binding in parse_stream(StringIO(text)):
        whole = binding.original.string
        start = whole[: len(whole) - len(whole.lstrip())].count("\n") + line
        line += whole.count("\n")
        _take(file, binding, start)
    file.notices += _permissions(path, file)
    return file


def text_of(data: bytes) -> str:
    """Return what is in a file of settings, with plain line ends.

    A byte that is no UTF-8 becomes half of a surrogate pair.

    Raises:
        ValueError: it is no text, or one in an encoding that cannot be known.
    """
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in data:
        raise ValueError("it is not a text in UTF-8, but perhaps one in UTF-16.")
    try:
        errors = "strict" if encoding == "utf-16" else "surrogateescape"
        text = data.decode(encoding, errors)
    except UnicodeDecodeError:
        raise ValueError("it begins like a text in UTF-16 and is none.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def why_not_read(error: OSError) -> str:
    """Return in words why a file cannot be read."""
    if isinstance(error, PermissionError):
        return "the user that runs tconnectsync may not read it"
    if isinstance(error, IsADirectoryError):
        return "it is a folder (Docker makes one where the file to mount does not exist)"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return (error.strerror or "it is not a usual file").lower()


def _take(file: EnvFile, binding: Binding, number: int) -> None:
    """Keep the variable of a line, or say why it cannot be read."""
    whole, name, value = binding.original.string.strip(), binding.key, binding.value
    if not binding.error and name is None:
        return  # A comment, or the end.
    ours = _our_name(whole)
    if binding.error or name is None or value is None:
        reason = _why_unreadable(whole, number)
    elif re.search(_SURROGATE, name + value):
        reason = f"it holds letters that are not in UTF-8. {_SAVE_AS_UTF8}"
    elif name in known_names() and (odd := _odd_value(whole, value)):
        reason = odd
    else:
        if name in file:
            lines = f"lines {file.lines[name]} and {number}"
            shown = name if name in known_names() or may_be_shown(name) else "A name"
            file.notices.append(f"{shown} stands twice in {file.path} ({lines}); the last counts.")
        file[name], file.lines[name] = value, number
        file.notices += _cut(name, value, whole, file.line(number))
        return
    where = file.line(number)
    if ours:
        file.problems.append((ours, f"{ours} in {where} cannot be read: {reason}"))
    elif "\n" in whole:
        file.problems.append(("", f"What begins in {where} cannot be read: {reason}"))
    else:
        file.notices.append(f"{where[0].upper()}{where[1:]} has no effect: {reason}")


def _our_name(text: str) -> str:
    """Return the variable of ours that a line is about, also if it is mistyped; or nothing."""
    found = _NAME.match(text)
    names = known_names()
    if not found:
        return ""
    return found[1] if found[1] in names else meant_by(found[1], names)


def _why_unreadable(text: str, number: int) -> str:
    """Return what is wrong with a line, and what to write."""
    found = _NAME.match(text)
    name = found[1] if found and _our_name(text) else "NAME"
    rest = text[found.end() :] if found else text
    form = f"write {name}=value, in a line of its own."
    mark = re.match(r"""\s*=\s*(["'])""", rest)
    if mark:
        first = rest[mark.end() :].partition("\n")[0]
        quote, other = mark[1], {'"': "'", "'": '"'}[mark[1]]
        kind = "double" if quote == '"' else "single"
        if quote not in first:
            return f"the {kind} quotation mark at the beginning of the value is never closed."
        if first.rstrip().endswith(f"\\{quote}"):
            return (
                "a backslash before a quotation mark makes it a part of the value, so that the "
                "end is missing. Write two backslashes for one."
            )
        return (
            f"there is a {kind} quotation mark within the value. Put {other} around the value "
            "instead, or a backslash before each mark within it."
        )
    if re.match(r"\s*:", rest):
        return f"there is a colon where an equals sign must be; {form}"
    return f"there is no equals sign after the name; {form}"


def _odd_value(text: str, value: str) -> str:
    """Return what is wrong with the value of a variable of ours, that no value can hold."""
    if "\n" in text:
        return "its quotation mark is closed in another line only."
    if any(ord(char) < ord(" ") or ord(char) == 127 for char in value):
        return (
            "within double quotation marks a backslash and a letter stand for another character, "
            "such as a new line. Put single quotation marks around the value."
        )
    return ""


def _cut(name: str, value: str, text: str, where: str) -> list[str]:
    """Return a notice about a secret that is perhaps not read as it was meant."""
    given = text.partition("=")[2].strip()
    if name not in _SECRET or not value:
        return []
    if given[:1] not in ("'", '"'):
        if given == value:
            return []
        return [
            f"{name} in {where} ends before a blank and #, where a comment begins. If that belongs "
            "to the value, put single quotation marks around it; else around the rest."
        ]
    if "\\\\" in given:
        return [
            f"{name} in {where} has two backslashes within quotation marks, which stand for one. "
            "If the value has two, put single quotation marks around it and write four."
        ]
    if value != value.strip():
        return [
            f"{name} in {where} has blanks at its beginning or end; they are left out. If they "
            f"belong to it, write it to a file of its own and name that in {name}_FILE."
        ]
    return []


def _permissions(path: Path, names: Iterable[str]) -> list[str]:
    """Return a warning if other users of this computer can read the secrets of a file."""
    if os.name != "posix" or not _SECRET.intersection(names):
        return []
    try:
        mode = path.stat().st_mode
    except OSError:
        return []
    if not mode & 0o077:
        return []
    import shlex

    return [
        f"Other users of this computer may read {path}, which holds your passwords. Run: "
        f"chmod 600 {shlex.quote(str(path))}"
    ]
