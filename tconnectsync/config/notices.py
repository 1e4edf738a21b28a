"""What is said about settings: where they come from, what is missing, what may be a mistake."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from tconnectsync.clouds import cloud_named
from tconnectsync.config.envfile import EnvFile
from tconnectsync.config.given import CommandLine, Given, hidden, where
from tconnectsync.config.names import (
    known_names,
    may_be_shown,
    mistyped,
)
from tconnectsync.config.variables import ADVANCED, RETIRED, VARIABLES, Variable

Places = Sequence[Mapping[str, str]]

PRIVATE_NETWORKS = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
    *("::1/128", "fc00::/7", "fe80::/10"),
)
"""Addresses of this computer and of private networks."""

WITHOUT_SUMMER_TIME = {
    "EST": "America/New_York",
    "MST": "America/Denver",
}
"""Names of zones that never change their clocks, and a place whose clock is probably meant."""
_FIXED = r"(Etc/.+|UTC|UCT|GMT(0|[+-]0)?|Zulu|Universal|Greenwich|EST|MST)"
SHORTEST_SECRET = 12
"""Characters; a Nightscout with a shorter API secret does not start, and tokens are longer."""
MOST_SHOWN = 40
"""Characters of a value that is quoted."""


def origin(files: Sequence[EnvFile], given: Mapping[str, Given]) -> str:
    """Return sentences that say which files the settings come from, or that there is none."""
    environment = any(
        not isinstance(found.place, (EnvFile, CommandLine)) for found in given.values()
    )
    sources = [str(file.path) for file in files if file.path]
    looked_for = [path for file in files for path in file.looked_for]
    said = []
    if not sources and looked_for:
        said.append(f"No file with settings was found: there is no {_or(looked_for)}.")
    if environment or not (sources or said):
        sources.append("the environment")
    if sources:
        said.append(f"The settings come from {' and '.join(sources)}.")
    for file in files:
        said += [f"{path} is not used, because there is {file.path}." for path in file.unused]
        said += file.passed_over
    return " ".join(said)


def _or(things: Sequence[object]) -> str:
    return " and no ".join(map(str, things))


def not_set(variable: Variable, places: Places) -> str:
    """Return sentences about a variable that is missing, and what was perhaps meant for it."""
    others = f" (or {', '.join(variable.instead)})" if variable.instead else ""
    said = [f"{variable.name}{others} is not set. {variable.meaning}"]
    for place in places:
        found = mistyped(place, in_environment=not isinstance(place, EnvFile))
        said += [
            f"{_start(where(name, place)[0])} has {_hint(name, meant)}"
            for name, meant in found.items()
            if meant in variable.all_names
        ]
    for name in variable.instead:
        place = next((place for place in places if place.get(name, "").strip()), {})
        value = place.get(name, "").strip()
        if why := variable.why_not_instead(value) if value else "":
            said.append(f"{name} is {shortened(value)} in {where(name, place)[0]}, but {why}.")
    said += [hint for name in variable.names if (hint := hidden(name, places))]
    return " ".join(said)


def _start(text: str) -> str:
    return text[:1].upper() + text[1:]


def _hint(name: str, meant: str) -> str:
    if name.upper() == meant:
        return f"{name}: names are in capitals."
    return f"{name}; did you mean {meant}?"


def shortened(value: str) -> str:
    """Return a value in quotation marks, shortened, in plain characters."""
    text = value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}…"
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return f'"{plain}"'


def unavailable(names: Sequence[str], source: str, *, testing_enabled: bool) -> str:
    """Return why a cloud cannot bring some features; empty if it can.

    Raises:
        ConfigError: there is no such cloud.
    """
    cloud = cloud_named(source)
    lacking = [name for name in names if name in cloud.lacks]
    if lacking:
        return f"{source} has no data for {', '.join(lacking)}. Leave it out."
    testing = [name for name in names if name in cloud.tests]
    if testing and not testing_enabled:
        return (
            f"Still being tested: {', '.join(testing)}. To use that all the same, set "
            "ENABLE_TESTING_MODES=true in the environment or in .env."
        )
    return ""


def notices(places: Places, given: Mapping[str, Given], values: Mapping[str, Any]) -> list[str]:
    """Return sentences for the user about the meaning of their settings."""
    sentences = []
    for variable in VARIABLES:
        found = given.get(variable.name)
        if found and found.name not in (variable.name, f"{variable.name}_FILE"):
            sentences.append(f"{variable.name} is not set; {found.name} is used instead.")
        if found and variable.name == "NS_URL" and "#" in found.value:
            sentences.append(
                "The part of NS_URL after # is meant for browsers and is ignored. Write NS_URL "
                "without it."
            )
    for name, reason in RETIRED.items():
        if any(name in place for place in places):
            sentences.append(f"{name} has no effect any more: {reason}.")
    sentences += _unused(places, given)
    missing = {
        name
        for variable in VARIABLES
        if variable.default is None and variable.name not in given
        for name in variable.all_names
    }
    for place in places:
        sentences += place.notices if isinstance(place, EnvFile) else []
        sentences += _unknown(place, missing)
    sentences += _odd_secrets(given)
    sentences += _zone(given)
    return [*sentences, *_risks(values)]


def _unused(places: Places, given: Mapping[str, Given]) -> Iterator[str]:
    """Yield which values are not used because of another place."""
    for variable in VARIABLES:
        for name in variable.names:
            if variable.name not in given and variable.default is not None:
                yield from filter(None, [hidden(name, places)])
    for found in given.values():
        number = next(n for n, place in enumerate(places) if place is found.place)
        later = [place for place in places[number + 1 :] if not isinstance(place, EnvFile)]
        others = [place.get(found.name, "").strip() for place in later]
        if isinstance(found.place, EnvFile) and set(others) - {"", found.value}:
            yield f"{found.name} in the environment is not used: it is set in {found.where}."


def _unknown(place: Mapping[str, str], missing: Collection[str]) -> Iterator[str]:
    """Yield which names in a place have no meaning, so far as that may be a mistake.

    What may be meant for a variable that is missing is said where that is missed.
    """
    found = mistyped(place, in_environment=not isinstance(place, EnvFile))
    for name, meant in found.items():
        at = where(name, place)[0]
        if meant in missing:
            continue
        if meant:
            yield f"{name} ({at}) is unknown; did you mean {meant}?"
        else:
            yield f"{name} ({at}) is unknown and has no effect."


def foreign_names(file: EnvFile) -> str:
    """Return a sentence about names in a file that are not ours; empty if there are none."""
    others = set(file) - known_names() - set(mistyped(file, in_environment=False))
    names = [
        name if may_be_shown(name) else f"(line {file.lines[name]})"
        for name in sorted(others, key=lambda name: file.lines[name])
    ]
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"{file.path} also holds what tconnectsync does not use: {shown}." if names else ""


def _odd_secrets(given: Mapping[str, Given]) -> Iterator[str]:
    """Yield which secrets hold what cannot be seen or was left out, without showing them."""
    for variable in VARIABLES:
        found = given.get(variable.name)
        if not found or not variable.secret:
            continue
        if not found.value.isprintable():
            yield (
                f"{found.name} ({found.where}) holds a character that cannot be seen, as it may "
                "come from copying. Type the value by hand if the login is refused."
            )
        if variable.name == "NS_SECRET" and len(found.value) < SHORTEST_SECRET:
            yield (
                f"{found.name} ({found.where}) has fewer than {SHORTEST_SECRET} characters, which "
                "no secret or token of Nightscout has. Perhaps a part of it is missing."
            )
        is_direct = found.name in variable.names and not isinstance(found.place, EnvFile)
        if is_direct and found.place[found.name].strip("\r\n") != found.place[found.name].strip():
            yield (
                f"{found.name} ({found.where}) has blanks at its beginning or end; they are left "
                f"out. If they belong to it, write it to a file and name that in {found.name}_FILE."
            )


def _zone(given: Mapping[str, Given]) -> Iterator[str]:
    """Yield a warning about a zone whose clocks never change."""
    zone = given.get("TIMEZONE_NAME")
    if zone and re.fullmatch(_FIXED, zone.value.removeprefix(":"), re.IGNORECASE):
        place = WITHOUT_SUMMER_TIME.get(zone.value.upper(), "America/New_York or Europe/Berlin")
        yield (
            f"TIMEZONE_NAME is {zone.value} ({zone.where}), which never changes to daylight saving "
            "time. If the pump's clock is changed in spring and autumn, write the place, such as "
            f"{place}; otherwise insulin is shown an hour off for half of the year."
        )


def _risks(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes a connection less safe than it could be."""
    url = str(values.get("NS_URL", ""))
    if url.lower().startswith("http:") and not _is_private(url):
        yield (
            "NS_URL begins with http://, so NS_SECRET and all data travel to your site "
            "unencrypted, and others on the way can read and use them. Write https:// if your "
            "site offers it."
        )
    for variable in VARIABLES:
        url = str(values.get(variable.name, "")) if variable.heading == ADVANCED else ""
        if url.lower().startswith("http:") and not _is_private(url):
            yield (
                f"{variable.name} begins with http://, so what is sent there, such as the password "
                "of your Tandem account, travels unencrypted, and others on the way can read and "
                "use it. Write https://."
            )
    if values.get("NS_SKIP_TLS_VERIFY"):
        yield (
            "NS_SKIP_TLS_VERIFY is on: another server could pose as your site and would "
            "receive NS_SECRET. Use this only for a site in your own network."
        )


def _is_private(url: str) -> bool:
    """Return whether a web address is one of this computer or of the network that it is in."""
    from ipaddress import ip_address, ip_network

    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    return any(address in ip_network(network) for network in PRIVATE_NETWORKS)
