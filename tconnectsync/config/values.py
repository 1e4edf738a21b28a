"""How the text of a variable is read: each function returns a value or says what to write instead.

A ``ValueError`` carries that advice; it completes the sentence "NAME is not usable: …".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

SHORTEST_PAUSE = 10
"""Seconds; asking more often brings nothing sooner and looks like an attack."""
MOST_ALARM_SAFE_MINUTES = 60
"""Automatic treatments that are held back for longer would be shown too late."""
LOG_LEVELS = {
    "debug": "debug",
    "trace": "debug",
    "verbose": "debug",
    "info": "info",
    "notice": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "critical": "error",
    "fatal": "error",
}
"""What may be written for a level of the log, and which one it means."""
_TYPOGRAPHIC = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u2039\u203a"
"""Quotation marks of printed text."""
MOST_THREADS = 64
PROXY_KINDS = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PLACE = r"(?!Etc/|SystemV/)[A-Z][A-Za-z_]+(/[A-Z][\w+-]*)+"
"""The name of a zone that is called after a place, such as ``America/Indiana/Knox``."""
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%\w+)?", re.IGNORECASE)
"""What can be the name or number of a computer."""


def text(value: str) -> str:
    """Return the text as it is."""
    return value


def is_in_typographic_marks(value: str) -> bool:
    """Return whether a text stands in quotation marks that are none for a computer."""
    return len(value) > 1 and value[0] in _TYPOGRAPHIC and value[-1] in _TYPOGRAPHIC


def switch(value: str) -> bool:
    """Read a yes or no."""
    if value.lower() in ("true", "1", "yes", "on"):
        return True
    if value.lower() in ("false", "0", "no", "off", ""):
        return False
    raise ValueError("write true or false")


def _number(value: str, most: float, advice: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise ValueError(advice)
    return number


def days(value: str) -> float:
    """Read a number of days."""
    return _number(value, 3650, "write a number of days, for example 14")


def amount(value: str) -> float:
    """Read a number that is not negative."""
    return _number(value, 1_000_000, "write a number, 0 or more")


def alarm_safe_minutes(value: str) -> float:
    """Read the minutes for which automatic treatments are deferred."""
    most = MOST_ALARM_SAFE_MINUTES
    return _number(value, most, f"write a number of minutes from 0 to {most}")


def pause(value: str) -> float:
    """Read a number of seconds that is long enough for a wait."""
    try:
        seconds = amount(value)
    except ValueError:
        seconds = -1.0
    if seconds < SHORTEST_PAUSE:
        raise ValueError(f"write a number of seconds, {SHORTEST_PAUSE} or more")
    return seconds


def limit(value: str) -> int:
    """Read a whole number; 0 or less means no limit."""
    try:
        return int(value)
    except ValueError:
        raise ValueError("write a whole number; 0 or less means no limit") from None


def glucose_unit(value: str) -> str:
    """Read a unit of glucose as people and pumps spell it: ``mg/dL`` or ``mmol/L``."""
    units = {"mg": "mg/dL", "mgdl": "mg/dL", "mmol": "mmol/L", "mmoll": "mmol/L"}
    letters = "".join(filter(str.isalpha, value.lower()))
    if letters not in units:
        raise ValueError("write mg/dL or mmol/L")
    return units[letters]


def threads(value: str) -> int:
    """Read a number of threads."""
    if not value.isdecimal() or not 1 <= int(value) <= MOST_THREADS:
        raise ValueError(f"write a whole number from 1 to {MOST_THREADS}")
    return int(value)


def serial(value: str) -> str:
    """Read the serial number of a pump, leading zeros count, or those of several with commas."""
    numbers = re.split(r"[\s,;]+", value.strip())
    if not all(re.fullmatch(r"\d{4,12}", number) for number in numbers):
        raise ValueError("write the digits of the serial number, as on the back of the pump")
    return ",".join(dict.fromkeys(numbers))


def address(value: str) -> str:
    """Read a web address; it may have a path."""
    parts = _web_address(value)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "write the address alone, without name, password or anything after a question mark "
            "(a token belongs in NS_SECRET)"
        )
    return value


def site(value: str) -> str:
    """Read the address of a Nightscout site; it may have a path, and a user and password.

    What only a browser needs, after ``#``, is left out.
    """
    parts = _web_address(value)
    behind = value.partition(parts.netloc)[2]
    is_cut_login = ":" in parts.netloc and "@" in behind.removeprefix("/@")
    if parts.query or is_cut_login:
        raise ValueError(
            "write the address alone, without anything after a question mark (a token belongs "
            "in NS_SECRET), and / ? # @ in a user or password as %2F %3F %23 %40"
        )
    return value.partition("#")[0]


def email(value: str) -> str:
    """Read an e-mail address: Tandem knows people by nothing else."""
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", value):
        raise ValueError("write the whole e-mail address, such as name@example.com")
    return value


def proxy(value: str) -> str:
    """Read the address of a proxy, which may hold a user and password."""
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in PROXY_KINDS:
        raise ValueError(
            "write a whole address, with http:// or socks5h:// at its beginning, for example "
            "http://proxy.example.com:8080"
        )
    return value


def ping_address(value: str) -> str:
    """Read a web address that a monitor is called at; all of it may be secret."""
    _web_address(value)
    return value


def notify_addresses(value: str) -> str:
    """Read one or several addresses of apprise, separated by blanks or commas."""
    for each in re.split(r"[\s,]+(?=[\w+.-]+://)", value):
        if not re.match(r"[\w+.-]+://.", each) or re.search(r"\s", each):
            raise ValueError(
                "write addresses of apprise, such as ntfy://topic or mailto://user:password@"
                "example.com, separated by blanks, with a blank in a password as %20"
            )
    return value


def log_level(value: str) -> str:
    """Read how much is logged; other programs' words for it are understood."""
    return LOG_LEVELS.get(value.lower()) or one_of(dict.fromkeys(LOG_LEVELS.values()))(value)


def _web_address(value: str) -> SplitResult:
    """Split a web address; the text of an error must not repeat what may be a password."""
    try:
        parts = urlsplit(value)
        host, _ = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        host = ""
    if not _HOST.fullmatch(host) or parts.scheme not in ("http", "https"):
        start = "" if "://" in value else ", with https:// at its beginning"
        raise ValueError(f"write a whole address{start}, for example https://my-site.example.com")
    return parts


def optional(parse: Callable[[str], str]) -> Callable[[str], str]:
    """Return what reads an empty value as it is, and any other as ``parse`` does."""
    return lambda value: parse(value) if value else ""


def region(value: str) -> str:
    """Read the region of a Tandem account, in capitals."""
    if value.upper() not in ("US", "EU"):
        raise ValueError(
            "write US or EU. US is for accounts in the United States, Canada and Mexico, EU for "
            "all others"
        )
    return value.upper()


def zone(value: str) -> ZoneInfo:
    """Read the name of a time zone."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(value.removeprefix(":"))
    except (ValueError, OSError, LookupError) as error:
        raise ValueError(
            "write the name of a time zone, for example America/New_York or Europe/Berlin"
        ) from error


def why_no_place(value: str) -> str:
    """Return why the zone of a computer cannot be that of a pump; empty if it names a place."""
    if re.fullmatch(_PLACE, value.removeprefix(":")):
        return ""
    return "it names no place such as Europe/Berlin, so it says nothing about your pump"


def features(value: str) -> tuple[str, ...]:
    """Read names of features, separated by commas or blanks; each counts once."""
    known = tuple(import_module("tconnectsync.sync.features").FEATURES)
    names = tuple(dict.fromkeys(value.upper().replace(",", " ").split()))
    unknown = [name for name in names if name not in known]
    choices = f"Choose from: {', '.join(known)}"
    if not names:
        raise ValueError(f"no feature is named. {choices}")
    if unknown:
        are = "is not a feature" if len(unknown) == 1 else "are not features"
        meant = dict.fromkeys(filter(None, (nearest(name, known) for name in unknown)))
        hint = f"; did you mean {' and '.join(meant)}?" if meant else "."
        raise ValueError(f"{' and '.join(unknown)} {are}{hint} {choices}")
    return names


def nearest(word: str, choices: Iterable[str], alike: float = 0.8) -> str:
    """Return the choice that a mistyped word is most likely meant for; empty if none is near.

    ``alike`` is how much of both has to be the same, up to 1.
    """
    from difflib import get_close_matches

    by_form = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word.lower(), by_form, 1, alike)
    return by_form[found[0]] if found else ""


def one_of(choices: Collection[str]) -> Callable[[str], str]:
    """Return what reads one of these words, in small letters."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            meant = nearest(value, choices) or next(
                (each for each in choices if value and each.startswith(value.lower())), ""
            )
            hint = f" (did you mean {meant}?)" if meant else ""
            raise ValueError(f"write one of: {', '.join(choices)}{hint}")
        return value.lower()

    return parse


def number_as_written(value: str) -> str:
    """Check that a number is not negative, and leave it as it is written."""
    amount(value)
    return value
