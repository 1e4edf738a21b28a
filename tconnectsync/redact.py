"""What must not be shown: one redactor for logs, errors and reports."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""A secret shorter than this is replaced only where it stands as a word of its own."""


def make_redactor(secrets: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that replaces every secret in a text by its name in brackets.

    ``secrets`` maps a name (``TCONNECT_PASSWORD``) to what it stands for. Each is found as it is,
    as it looks inside a URL or in JSON, and as its SHA-1; upper and lower case do not matter.
    """
    names: dict[str, str] = {}
    for name, secret in secrets.items():
        for form in _forms(secret) if secret else ():
            names.setdefault(form.lower(), name)
    if not names:
        return lambda text: text
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile("|".join(map(_as_pattern, longest_first)), re.IGNORECASE)
    return lambda text: pattern.sub(
        lambda found: f"[{names.get(found.group().lower(), 'SECRET')}]", text
    )


def _forms(secret: str) -> set[str]:
    sha1 = hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest()
    as_json = json.dumps(secret)[1:-1]
    return {secret, quote(secret, safe=""), quote_plus(secret), as_json, sha1}


def _as_pattern(form: str) -> str:
    escaped = re.escape(form)
    return rf"(?<!\w){escaped}(?!\w)" if len(form) < SHORTEST else escaped


class RedactingFormatter(logging.Formatter):
    """A log formatter that lets no secret through, tracebacks included."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(message)s", "%Y-%m-%d %H:%M:%S")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Format the record and replace what must not be shown."""
        return self._redact(super().format(record))
