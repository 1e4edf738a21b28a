"""The shapes of Tandem's answers: noticing the day on which Tandem changes them.

A shape is what an answer is made of: the names of its keys, the types of their values and the
numbers of the pump's events, but never a value. It is compared with the shapes that this version
knows. What differs is logged once, and kept for ``--shape-report``.

Names of keys could be somebody's, too. So a name that this version does not know is shown only
if it is built of words that stand in known ones; of others only the length is shown.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tconnectsync import __version__
from tconnectsync.api.answers import payload_of
from tconnectsync.exchange import Answer
from tconnectsync.state.files import write_atomically

log = logging.getLogger(__name__)

FILE_NAME = "tandem-shapes.json"
MOST_DIFFERENCES = 200
"""More of one endpoint say nothing new."""
MOST_LETTERS = 40
MOST_DIGITS = 2
"""Of a name; more could be part of a serial number or of a date."""
GIVEN_NAMES = frozenset({"max", "min"})
"""Words that could be a person's name where they stand alone."""
_PART = re.compile(r"(eventProperties\([0-9]{1,5}\))|([^.\[\]() ]+)")
"""A part of a name, or which event properties belong to."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_TYPES = {
    str: "text",
    bool: "flag",
    int: "number",
    float: "number",
    type(None): "nothing",
    list: "list",
    dict: "object",
}
ANY = "*"
"""In the place of a name: whatever else stands there is not compared."""
COMMON_WORDS = """
account activity alarm alert algorithm assigned assignment available basal battery bg blood
bolus calibration carb carbs cartridge cgm change changes client clock code completed
correction count current daily data date day days delivered delivery details device dose
duration end estimated event events extended food format generation glucose group hash high
history hour id index insulin interval iob is last level limit list log low max message min
minute mobile mode model name new next number offset options page pages part percent
platform pod prior profile properties pump pumps rate raw reading reason remaining remote
requested reservoir response result schedule sensor sequence serial session settings size
sleep software source standard start state status suspend sync system target temp time
timestamp timezone total type unit units update upload uploaded utc value version zone
"""
"""Words that are no person's name; those of the known keys come on top."""
_USUAL_REFUSALS = (401, 403, 404, 429)


class Endpoint(NamedTuple):
    """One kind of request, and the shape of its answer that this version knows.

    Args:
        name: for people, such as ``pump log``.
        path: a pattern for the path of its address.
        known: by the place of an object (``pumps[]``, empty for the outermost one) its keys with
            their types, as in ``serialNumber! text, settings object``. A key with ``!`` has to be
            there; any value may be null, and any other key may be missing.
        special: for a part that is compared in a way of its own: its place, and a function that
            is given it and yields what differs, as a place in it and what is to be said.
    """

    name: str
    path: str
    known: Mapping[str, str]
    special: Mapping[str, Callable[[object], Iterable[tuple[str, str]]]] = {}


class Difference(NamedTuple):
    """Something in an answer that this version does not know, safe to be shown."""

    endpoint: str
    what: str


class Shapes:
    """Compares answers with the known shapes, and keeps what differs.

    Args:
        endpoints: returns what is known; called when the first answer comes.
        folder: where what was found is kept from run to run; ``None``: only in memory.
    """

    def __init__(
        self, endpoints: Callable[[], Sequence[Endpoint]], folder: Path | None = None
    ) -> None:
        self._load = endpoints
        self._path = folder / FILE_NAME if folder else None
        self._endpoints: Sequence[Endpoint] | None = None
        self._words: set[str] = set()
        self._known: dict[str, dict[str, dict[str, str]]] = {}
        self._seen: set[Difference] = set()
        self.asked: Counter[tuple[str, int]] = Counter()
        """How often each endpoint has answered with which HTTP status."""
        self.times: Counter[Difference] = Counter()
        """How often each difference was seen in the answers so far."""

    def see(self, answer: Answer) -> None:
        """Compare an answer; what is new is logged once. Never raises because of an answer."""
        endpoint = self._endpoint_of(urlsplit(answer.url).path)
        if endpoint is None:
            return
        self.asked[endpoint.name, answer.status_code] += 1
        if answer.status_code in _USUAL_REFUSALS or answer.status_code >= 500:
            return
        try:
            payload = payload_of(answer)
        except (ValueError, RecursionError):
            return
        times = Counter(
            Difference(endpoint.name, what)
            for what in self._walk(payload, "", self._known[endpoint.name], endpoint)
        )
        if len(times) > MOST_DIFFERENCES:
            times = Counter(dict(list(times.items())[:MOST_DIFFERENCES]))
        self.times.update(times)
        found = times.keys() - self._seen
        if found:
            self._report(endpoint, found)

    def found(self) -> list[Difference]:
        """Return what differs, in earlier runs of this version too, in a fixed order."""
        self._seen |= self._remembered()
        return sorted(self._seen)

    def _report(self, endpoint: Endpoint, found: set[Difference]) -> None:
        """Log what no run of this version has logged yet, and remember it."""
        before = self._remembered()
        self._seen |= found
        if not found - before:
            return
        log.warning(
            "Tandem's %s has a form that this version does not know (differences: %d). What can be "
            "read is synced; anything that is missing because of it is named separately. To help "
            "us, run `tconnectsync --shape-report` and send us the file: it holds no values.",
            endpoint.name,
            len(found - before),
        )
        if self._path:
            kept = [[each.endpoint, each.what] for each in sorted(before | self._seen)]
            text = json.dumps({"version": __version__, "found": kept}, indent=1)
            with suppress(OSError):
                write_atomically(self._path, text)

    def _remembered(self) -> set[Difference]:
        if not self._path:
            return set()
        try:
            saved = json.loads(self._path.read_text("utf-8"))
            if saved["version"] != __version__:
                return set()  # A newer version may know them.
            return {Difference(str(name), str(what)) for name, what in saved["found"]}
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            return set()

    def _endpoint_of(self, path: str) -> Endpoint | None:
        if self._endpoints is None:
            self._endpoints = self._load()
            self._known = {each.name: _parsed(each.known) for each in self._endpoints}
            names = {name for it in self._known.values() for keys in it.values() for name in keys}
            self._words = {
                *COMMON_WORDS.split(),
                *(word for name in names for word in _words(name)),
            }
        return next((it for it in self._endpoints if re.search(it.path, path)), None)

    def _walk(
        self,
        value: object,
        place: str,
        known: Mapping[str, Mapping[str, str]],
        endpoint: Endpoint,
    ) -> Iterator[str]:
        """Yield what differs in a value and all that it holds."""
        if place in endpoint.special:
            for inner, what in endpoint.special[place](value):
                yield f"{place}{self._shown(inner)}: {what}"
        elif isinstance(value, list):
            for each in value:
                yield from self._walk(each, f"{place}[]", known, endpoint)
        elif isinstance(value, dict) and place in known:
            yield from self._compare(value, place, known, endpoint)

    def _compare(
        self,
        value: Mapping[str, object],
        place: str,
        known: Mapping[str, Mapping[str, str]],
        endpoint: Endpoint,
    ) -> Iterator[str]:
        """Yield what differs in an object of which the keys are known."""
        keys = known[place]
        before = f"{place}." if place else ""
        for name in keys:
            if name.endswith("!") and value.get(name[:-1]) is None:
                yield f"{before}{name[:-1]}: missing"
        for name, inner in value.items():
            kind = _TYPES.get(type(inner), "something else")
            expected = keys.get(name) or keys.get(f"{name}!")
            if expected is None:
                if ANY not in keys:
                    yield f"{before}{self._shown(name)}: new, {kind}"
                continue
            if kind not in (expected, "nothing"):
                yield f"{before}{name}: {kind} instead of {expected}"
            if kind in ("list", "object"):
                yield from self._walk(inner, f"{before}{name}", known, endpoint)

    def _shown(self, name: str) -> str:
        """Return a name that cannot be a person's."""
        return _PART.sub(lambda part: part[1] or self._safe(part[2]), name)

    def _safe(self, name: str) -> str:
        words = _words(name)
        digits = sum(map(str.isdecimal, name))
        letters = sum(len(word) for word in words)
        is_plain = name.isascii() and digits <= MOST_DIGITS and len(name) <= MOST_LETTERS
        if is_plain and words and letters + digits + name.count("_") == len(name):
            known = self._words - GIVEN_NAMES
            if all(word in self._words for word in words) and not known.isdisjoint(words):
                return name
            shown = [w if w.lower() in known else "?" * len(w) for w in _WORD.findall(name)]
            if any(word.strip("?") for word in shown):
                return "".join(shown)
        return f"(a name of {len(name)} characters)"


def _words(name: str) -> list[str]:
    """Return the words that a name like ``maxDateOfEvents`` is built of, in small letters."""
    return [word.lower() for word in _WORD.findall(name)]


def _parsed(known: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the types by place and key."""
    return {
        place: dict((*item.split(),) for item in text.split(","))  # type: ignore[misc]
        for place, text in known.items()
    }
