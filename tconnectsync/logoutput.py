"""Shows what the program logs on the standard error output, without secrets."""

from __future__ import annotations

import logging
import sys
import warnings
from datetime import UTC, datetime, tzinfo

from tconnectsync.person import PERSON
from tconnectsync.redact import JointRedactor, RedactingFormatter, Redactor


class LogFormatter(RedactingFormatter):
    """Puts the person's name before what is logged, and keeps it as ``person`` of the record."""

    def __init__(self, redactor: Redactor, zone: tzinfo | None) -> None:
        super().__init__(redactor, zone)
        self.redactor = redactor
        self._zone = zone

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format a line."""
        message, name = record.message, PERSON.get()
        record.__dict__["person"] = name
        record.message = f"{name}: {message}" if name else message
        try:
            return super().formatMessage(record)
        finally:
            record.message = message


class JsonFormatter(LogFormatter):
    """Writes each record as one line of JSON: time, level, message, and the person's name."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record and replace what must not be shown."""
        import json

        at = datetime.fromtimestamp(record.created, self._zone or UTC)
        said = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": self.redactor.sentence(record.getMessage()),
        }
        if name := PERSON.get():
            said["person"] = name
        if record.exc_info:
            said["traceback"] = self.redactor(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)


def as_line(text: str) -> str:
    """Return a text for people in the form of the log, where that is one for programs."""
    logger = logging.getLogger("tconnectsync")
    formatter = logger.handlers[0].formatter if logger.handlers else None
    if not isinstance(formatter, JsonFormatter):
        return text
    record = logging.LogRecord(logger.name, logging.ERROR, "", 0, text, None, None)
    return formatter.format(record)


def enable_logging(
    level: int = logging.INFO,
    redactor: Redactor | None = None,
    zone: tzinfo | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Show what the program does on the standard error output, ``as_json`` for programs.

    Times are those of ``zone``, or of this computer as long as none is known. What the redactor
    knows is not shown. Calling it again changes all of that. Other libraries stay silent: their
    warnings name whole addresses, with what is in them.

    While this thread works for one of several people, it only adds what the redactor hides: the
    log is that of all of them.
    """
    logger, redactor = logging.getLogger("tconnectsync"), redactor or Redactor()
    for handler in logger.handlers if PERSON.get() else ():
        shown = getattr(handler.formatter, "redactor", None)
        if isinstance(shown, JointRedactor):
            shown.add(redactor)
            return
    handler = logging.StreamHandler(sys.stderr)
    formatter = JsonFormatter if as_json else LogFormatter
    handler.setFormatter(formatter(redactor, zone))
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
