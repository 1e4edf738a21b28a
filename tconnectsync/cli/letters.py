"""Letters that a terminal or a file cannot take, such as … in ASCII: the nearest that it can."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

PLAIN = str.maketrans(
    {"…": "...", "“": '"', "”": '"', "‘": "'", "’": "'", "→": "->", "–": "-", "≤": "<=", "≥": ">="}
)


def take_plain_letters(stream: TextIO) -> None:
    """Let no write to a stream fail for a letter, as in a profile's name."""
    codecs.register_error("plain", _plain)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle an error of an encoder, as :func:`codecs.register_error` describes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end].translate(PLAIN)
    return letters.encode("ascii", "backslashreplace").decode(), error.end
