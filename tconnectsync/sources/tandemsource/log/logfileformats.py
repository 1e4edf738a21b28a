"""Reads a pump log that was saved to a file, in any known form.

Either JSON: an answer of pump-logs as it came (tandem-source-api §4.2), a list of such
answers, or a list of events. Or the old 26-byte records (tandem-event-log §1–2): as they
are, in base64, or in base64 as a JSON string, which is what the old endpoint answered.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tconnectsync.errors import LogFileError
from tconnectsync.sources.tandemsource.log.binarylog import decode, is_plausible
from tconnectsync.sources.tandemsource.log.records import EVERY_CODE, Record, records_of

MOST_BYTES = 500_000_000
"""A log of years is smaller; a bigger file is no log."""

EXPECTED = (
    "A pump log is needed: a saved pump-logs answer (JSON with events), or the older records of "
    "26 bytes each, as they are or in base64."
)
_LISTS = ("events", "clockChanges")
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_log(path: Path, skipped: Counter[str]) -> list[Record]:
    """Return the entries of a saved log, changes of the clock among them, in its order.

    What cannot be used of it is counted in ``skipped``.

    Raises:
        LogFileError: the file cannot be read, holds something else, or is damaged or cut short.
    """
    data = _bytes_of(path)
    text = _text_of(data)
    if text is None:
        is_packed = data.startswith(_COMPRESSED)
        seems = "a compressed file; unpack it first" if is_packed else "of another kind, or damaged"
        return _from_binary(data, skipped, seems)
    text = text.strip()
    if not text:
        raise LogFileError(f"The log file is empty. {EXPECTED}")
    if text[0] in '{["':
        return _from_json(text, skipped)
    return _from_base64(text, skipped)


def _bytes_of(path: Path) -> bytes:
    """Read the file.

    Raises:
        LogFileError: it cannot be read, is no file, or is too big.
    """
    try:
        if path.is_dir():
            raise _no_log("a folder")
        if path.exists() and not path.is_file():
            raise _no_log("a device")
        if path.stat().st_size > MOST_BYTES:
            raise LogFileError(
                f"The log file is bigger than {MOST_BYTES // 10**6} MB, too big for a pump log. "
                f"{EXPECTED}"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "its name cannot be used"
    raise LogFileError(f"The log file {path} cannot be read: {reason}.")


def _text_of(data: bytes) -> str | None:
    """Return the bytes as text; ``None`` if they are not text."""
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _from_json(text: str, skipped: Counter[str]) -> list[Record]:
    """Read what came as JSON.

    Raises:
        LogFileError: the JSON is damaged, or is something else than a log.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if content is None:
        raise LogFileError(
            "The log file begins like JSON, but is damaged, cut short, or more than one JSON "
            f"value. Save it again, whole. {EXPECTED}"
        )
    if isinstance(content, str):
        return _from_base64(content, skipped)
    parts = content if isinstance(content, list) else [content]
    is_log = any(_is_answer(it) or (isinstance(it, dict) and "eventCode" in it) for it in parts)
    if parts and not is_log:
        raise _no_log("JSON without events of a pump")
    return records_of(_events(parts), EVERY_CODE, skipped)


def _is_answer(part: object) -> bool:
    return isinstance(part, dict) and any(isinstance(part.get(name), list) for name in _LISTS)


def _events(parts: Iterable[Any]) -> Iterator[object]:
    for part in parts:
        if _is_answer(part):
            for items in map(part.get, _LISTS):
                yield from items if isinstance(items, list) else ()
        else:
            yield part


def _from_base64(text: str, skipped: Counter[str]) -> list[Record]:
    """Read the old records from base64, with or without line breaks.

    Raises:
        LogFileError: it is something else, or is cut short.
    """
    seems = "a web page" if text.startswith("<") else "some other text"
    letters = "".join(text.split())
    if not letters:
        # What the old endpoint answered where there was nothing.
        return []
    surplus = len(letters) % 4
    try:
        data = b64decode(letters[: len(letters) - surplus], validate=True)
    except ValueError:
        raise _no_log(seems) from None
    if surplus and is_plausible(data):
        raise LogFileError(
            "The log file is base64 that is cut short, within a group of four letters. "
            "Save it again, whole."
        )
    return _from_binary(data, skipped, seems)


def _from_binary(data: bytes, skipped: Counter[str], seems: str) -> list[Record]:
    """Read the old records; ``seems`` says what the file is if it does not look like them.

    Raises:
        LogFileError: they are something else, or are cut short.
    """
    if not is_plausible(data):
        raise _no_log(seems)
    return decode(data, skipped)


def _no_log(seems: str) -> LogFileError:
    return LogFileError(f"The log file seems to be {seems}. {EXPECTED}")
