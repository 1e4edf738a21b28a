"""From a country, however it is written, to the region of Tandem's clouds that knows its people."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from tconnectsync.config.values import nearest

US, EU = "US", "EU"
WINTER, SUMMER = datetime(2026, 1, 15), datetime(2026, 7, 15)
AMERICAN = frozenset({"US", "CA", "MX", "PR", "VI", "GU", "AS", "MP", "UM"})
"""Countries of the US region, with the territories of the United States; all others are EU."""
ALSO_CALLED = {
    "US": "usa, united states of america, the united states, america, estados unidos, etats-unis",
    "CA": "kanada",
    "MX": "mexiko, mexique",
    "GB": "uk, united kingdom, great britain, england, scotland, wales, northern ireland",
    "DE": "deutschland, allemagne, alemania",
    "AT": "osterreich, oesterreich",
    "CH": "schweiz, suisse, svizzera",
    "ES": "espana, spanien",
    "FR": "frankreich, francia",
    "IT": "italia, italien",
    "NL": "holland, nederland, the netherlands",
    "BE": "belgie, belgique, belgien",
    "SE": "sverige",
    "NO": "norge",
    "DK": "danmark",
    "FI": "suomi",
    "CZ": "czechia, czech republic, cesko",
    "PL": "polska",
    "PT": "portugal",
    "GR": "hellas",
    "IE": "eire, republic of ireland",
    "NZ": "aotearoa",
    "ZA": "rsa",
    "AE": "uae, emirates",
    "SA": "ksa",
    "KR": "korea, south korea",
    "TR": "turkiye",
}
"""What else people call their country, without accents, by its code."""
WRITE = "write the name of a country, such as Canada or Germany, or its two letters"


@dataclass(frozen=True)
class Country:
    """A country as it was understood."""

    code: str
    """Its two letters (ISO 3166); empty if only the region is known."""
    name: str
    region: str
    """Of Tandem's clouds: ``US`` or ``EU``."""


def country(text: str) -> Country:
    """Return the country that somebody has written.

    Raises:
        ValueError: there is none of that name; with what to write instead.
    """
    wanted = _plain(text)
    names = _names()
    if wanted in names:
        return names[wanted]
    meant = nearest(wanted, names) if wanted else ""
    raise ValueError(f"{WRITE} (did you mean {names[meant].name}?)" if meant else WRITE)


def only_zone(code: str) -> str:
    """Return the time zone of a country where all clocks show the same; empty elsewhere."""
    zones = [zone for country, zone in _table("zone.tab") if country == code]
    offsets = {
        tuple(day.replace(tzinfo=ZoneInfo(zone)).utcoffset() for day in (WINTER, SUMMER))
        for zone in zones
    }
    return zones[0] if len(offsets) == 1 else ""


@cache
def _names() -> dict[str, Country]:
    """Return every country by all its names."""
    found: dict[str, Country] = {}
    for code, name in _table("iso3166.tab"):
        each = Country(code, name, US if code in AMERICAN else EU)
        others = ALSO_CALLED.get(code, "").split(", ")
        bare = name.partition(" (")[0]
        found |= {_plain(word): each for word in (code, name, bare, *others) if word}
    # Shown by its usual name, not as "Britain (UK)".
    britain = Country("GB", "United Kingdom", EU)
    found = {word: britain if each.code == "GB" else each for word, each in found.items()}
    elsewhere = Country("", "A country of the EU region", EU)
    return {**found, "eu": elsewhere, "europe": elsewhere}


def _table(file: str) -> list[tuple[str, str]]:
    """Return the first and the last of the columns that matter of a table of the zone database."""
    text = (files("tzdata.zoneinfo") / file).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return [(row[0], row[2] if len(row) > 2 else row[1]) for row in rows]


def _plain(text: str) -> str:
    """Return a name in small letters, without accents, dots and double blanks."""
    bare = text.strip().lower().translate({ord("ø"): "o", ord("."): None, ord("’"): "'"})
    bare = unicodedata.normalize("NFKD", bare)
    return " ".join("".join(char for char in bare if not unicodedata.combining(char)).split())
