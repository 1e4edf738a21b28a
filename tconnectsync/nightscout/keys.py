"""Names that every Nightscout can store as keys of a record. See nightscout-api §7.5.

Up to 15.0.6 a profile record with a key that holds a dot or begins with ``$`` ends the server's
process. From 14.2 on, texts with ``<`` are changed on their way in but keys are not, so a profile
of such a name is never found. What is wrong in a name is replaced by a letter that looks like it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

LOOK_ALIKES = str.maketrans({".": "．", "<": "‹", "\0": "␀"})
RESERVED = "@@@@@"
"""Nightscout uses names with it for the profiles that it makes."""
LONGEST = 300
"""Letters of a name that is known to be stored."""
FIRST_THAT_TAKES_ANY = (15, 0, 7)
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(\S*)")


def takes_any_key(version: object) -> bool:
    """Return whether a site of this version stores whatever key it is sent.

    One of unknown version, or on the way to the first version that does, is not trusted.
    """
    found = _VERSION.match(version) if isinstance(version, str) else None
    if not found:
        return False
    number = (int(found[1]), int(found[2]), int(found[3]))
    return number > FIRST_THAT_TAKES_ANY or (number == FIRST_THAT_TAKES_ANY and not found[4])


def safe_key(name: str) -> str:
    """Return a name with look-alikes for letters that Nightscout cannot store."""
    shown = name.translate(LOOK_ALIKES)
    return f"＄{shown[1:]}" if shown.startswith("$") else shown


def is_kept(name: str, *, any_key: bool) -> bool:
    """Return whether a profile of this name can be shown by a site.

    Args:
        name: as it would be sent.
        any_key: whether the site stores any key; an older one loses ``__proto__``.
    """
    is_lost = name == "__proto__" and not any_key
    return 0 < len(name) <= LONGEST and RESERVED not in name and not is_lost


def safe_keys(names: Iterable[str], taken: Collection[str] = ()) -> list[str]:
    """Return safe names without repeats: a name equal to an earlier one gets a number.

    Args:
        names: in the order of their right to their name.
        taken: names that may not be used.
    """
    used = set(taken)
    keys = []
    for name in names:
        key, number = safe_key(name), 1
        while key in used:
            number += 1
            key = f"{safe_key(name)} ({number})"
        used.add(key)
        keys.append(key)
    return keys


def with_safe_keys(value: Any) -> Any:
    """Return a value whose objects, at any depth, have safe keys only."""
    if isinstance(value, list):
        return [with_safe_keys(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    keys = renamed(value)
    return {keys[name]: with_safe_keys(item) for name, item in value.items()}


def renamed(names: Iterable[str]) -> dict[str, str]:
    """Return the safe key of each name; those that are safe already keep theirs."""
    names = list(names)
    safe = [name for name in names if safe_key(name) == name]
    others = [name for name in names if safe_key(name) != name]
    return dict(zip([*safe, *others], [*safe, *safe_keys(others, safe)], strict=True))
