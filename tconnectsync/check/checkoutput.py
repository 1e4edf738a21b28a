"""The report of a check: a text to share when asking for help, without anything personal."""

from __future__ import annotations

import json
import platform
import ssl
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tconnectsync import __version__
from tconnectsync.check.results import Findings, Result
from tconnectsync.domain.clock import TimeRange

FILE_NAME = "tconnectsync-check-output.log"
LIBRARIES = ("requests", "urllib3", "beautifulsoup4", "arrow", "tzdata")


def report(
    results: Sequence[Result],
    findings: Findings,
    settings: Iterable[tuple[str, Any]],
    time_range: TimeRange,
    now: datetime,
) -> str:
    """Return the text of the report, with nothing in it that the redactor knows.

    The results are redacted already, as sentences of ours.
    """
    said = "\n".join([*_head(time_range, now), "", *map(str, results)])
    lines = ["", "", "Settings:", *(f"  {name}={value}" for name, value in settings)]
    for what, payload in findings.answers:
        clean = findings.redactor.clean(payload)
        if not isinstance(clean, str):
            clean = json.dumps(clean, indent=2, ensure_ascii=False, default=str)
        lines += ["", f"=== {what} ===", clean]
    text = "\n".join(lines) + "\n"
    # Payloads repeat many lines thousands of times.
    redact = cache(findings.redactor.__call__)
    return said + "".join(map(redact, text.splitlines(keepends=True)))


def _head(time_range: TimeRange, now: datetime) -> Iterator[str]:
    yield f"tconnectsync {__version__}, check of {now.isoformat(' ', 'seconds')}"
    yield f"Python {platform.python_version()} on {platform.platform()}, {ssl.OPENSSL_VERSION}"
    yield ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    yield f"Time zone of this computer: {now.astimezone():%Z (%z)}"
    yield f"Range: {time_range.start.isoformat(' ')} to {time_range.end.isoformat(' ')}"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
