"""What is said about settings: where they come from, what is missing, what may be a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from tconnectsync.clouds import cloud_named
from tconnectsync.config.envfile import EnvFile
from tconnectsync.config.given import Given, hidden, where
from tconnectsync.config.names import (
    is_of_our_kind,
    known_names,
    may_be_shown,
    mistyped,
)
from tconnectsync.config.variables import RETIRED, VARIABLES, Variable

Places = Sequence[Mapping[str, str]]

PRIVATE_NETWORKS = tuple(
    map(
        ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("::1/128", "fc00::/7", "fe80::/10"),
        ),
    )
)
"""Addresses of this computer and of private networks."""

WITHOUT_SUMMER_TIME = {
    "EST": "America/New_York",
    "MST": "America/Denver",
}
"""Names of zones that never change their clocks, and a place whose clock is probably meant."""
_FIXED = re.compile(
    r"(Etc/.+|UTC|UCT|GMT(0|[+-]0)?|Zulu|Universal|Greenwich|EST|MST)", re.IGNORECASE
)
MOST_SHOWN = 40
"""Characters of a value that is quoted."""


def origin(places: Places, file: EnvFile) -> str:
    """Return sentences that say which file the settings come from, or that there is none."""
    names = known_names()
    environment = any(
        names.intersection(place) for place in places if not isinstance(place, EnvFile)
    )
    others = " and the environment" if environment else ""
    if file.path:
        said = [f"The settings come from {file.path}{others}."]
        said += [f"{path} is not used, because there is {file.path}." for path in file.unused]
    elif file.looked_for:
        said = [f"No file with settings was found: there is no {_or(file.looked_for)}."]
        said += ["The settings come from the environment."] if environment else []
    else:
        said = ["The settings come from the environment."]
    return " ".join([*said, *file.passed_over])


def _or(things: Sequence[object]) -> str:
    return " and no ".join(map(str, things))


def not_set(variable: Variable, places: Places) -> str:
    """Return sentences about a variable that is missing, and what was perhaps meant for it."""
    others = f" (or {', '.join(variable.instead)})" if variable.instead else ""
    said = [f"{variable.name}{others} is not set. {variable.meaning}"]
    said += [
        f"{_start(where(name, place)[0])} has {_hint(name, variable.name)}"
        for place in places
        for name in place
        if meant_by_mistake(name, place) == variable.name
    ]
    for name in variable.instead:
        place = next((place for place in places if place.get(name, "").strip()), {})
        value = place.get(name, "").strip()
        if why := variable.why_not_instead(value) if value else "":
            said.append(f"{name} is {shortened(value)} in {where(name, place)[0]}, but {why}.")
    said += [hint for name in variable.names if (hint := hidden(name, places))]
    return " ".join(said)


def meant_by_mistake(name: str, place: Mapping[str, str]) -> str:
    """Return which variable a name that is not ours may mean; empty if none."""
    in_environment = not isinstance(place, EnvFile)
    return mistyped([name], in_environment=in_environment).get(name, "")


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
    for place in places:
        sentences += place.notices if isinstance(place, EnvFile) else []
        sentences += _unknown(place)
    sentences += _zone(given)
    return [*sentences, *_risks(values)]


def _unused(places: Places, given: Mapping[str, Given]) -> Iterator[str]:
    """Yield which values are not used because of another place."""
    for variable in VARIABLES:
        for name in variable.names:
            if variable.name not in given and variable.default is not None:
                yield from filter(None, [hidden(name, places)])
    files = [place for place in places if isinstance(place, EnvFile)]
    for found in given.values():
        later = places[next(n for n, each in enumerate(places) if each is found.place) + 1 :]
        for place in later:
            other = place.get(found.name, "").strip()
            is_environment = found.place in files and not isinstance(place, EnvFile)
            if is_environment and other and other != found.value:
                yield f"{found.name} in the environment is not used: it is set in {found.where}."


def _unknown(place: Mapping[str, str]) -> Iterator[str]:
    """Yield which names in a place have no meaning, so far as that may be a mistake."""
    in_file = isinstance(place, EnvFile)
    found = mistyped(place, in_environment=not in_file)
    for name, meant in found.items():
        at = where(name, place)[0]
        if meant:
            yield f"{name} ({at}) is unknown; did you mean {meant}?"
        elif in_file or is_of_our_kind(name):
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


def _zone(given: Mapping[str, Given]) -> Iterator[str]:
    """Yield a warning about a zone whose clocks never change."""
    zone = given.get("TIMEZONE_NAME")
    if zone and _FIXED.fullmatch(zone.value.removeprefix(":")):
        place = WITHOUT_SUMMER_TIME.get(zone.value.upper(), "America/New_York or Europe/Berlin")
        yield (
            f"TIMEZONE_NAME is {zone.value} ({zone.where}), which never changes to daylight saving "
            "time. If the pump's clock is changed in spring and autumn, write the place, such as "
            f"{place}; otherwise insulin is shown an hour off for half of the year."
        )


def _risks(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes the connection to Nightscout less safe than it could be."""
    url = str(values.get("NS_URL", ""))
    if url.lower().startswith("http:") and not _is_private(url):
        yield (
            "NS_URL begins with http://, so NS_SECRET and all data travel to your site "
            "unencrypted, and others on the way can read and use them. Write https:// if your "
            "site offers it."
        )
    if values.get("NS_SKIP_TLS_VERIFY"):
        yield (
            "NS_SKIP_TLS_VERIFY is on: another server could pose as your site and would "
            "receive NS_SECRET. Use this only for a site in your own network."
        )


def _is_private(url: str) -> bool:
    """Return whether a web address is one of this computer or of the network that it is in."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    networks = (each for each in PRIVATE_NETWORKS if each.version == address.version)
    return any(address in network for network in networks)
