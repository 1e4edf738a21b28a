"""Shows what the program logs on the standard error output, without secrets."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tconnectsync.redact import RedactingFormatter, Redactor

PERSON: ContextVar[str] = ContextVar("PERSON", default="")
"""Whose work this thread does, where one process works for several people."""


@contextmanager
def about(name: str) -> Iterator[None]:
    """Let all that is said in this thread during the block bear a person's name."""
    before = PERSON.set(name)
    try:
        yield
    finally:
        PERSON.reset(before)


def named(text: str) -> str:
    """Return a text with the person's name before each line, if there are several people."""
    name = PERSON.get()
    return "\n".join(f"{name}: {line}" for line in text.split("\n")) if name else text


class LogFormatter(RedactingFormatter):
    """Puts the person's name before what is logged, and keeps it as ``person`` of the record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format a line."""
        message, record.person = record.message, PERSON.get()
        record.message = f"{record.person}: {message}" if record.person else message
        try:
            return super().formatMessage(record)
        finally:
            record.message = message


def enable_logging(level: int = logging.INFO, redactor: Redactor | None = None) -> None:
    """Show what the program does on the standard error output.

    What the redactor knows is not shown. Calling it again changes the level and the redactor.
    Other libraries stay silent: their warnings name whole addresses, with what is in them.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter(redactor or Redactor()))
    logger = logging.getLogger("tconnectsync")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
