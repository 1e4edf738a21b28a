"""The rights of an access token, as far as a site reports them.

See nightscout-api §2, §7.3, §7.4.
"""

from __future__ import annotations

from typing import Any

from tconnectsync.errors import MissingRightError

VERBS = {"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}
"""What a role must be allowed to do for a request with a method."""
NAMES = {
    "entries.json": "entries",
    "devicestatus": "device status",
    "status.json": "status",
    "verifyauth": "rights",
}
"""The words for a collection whose path has another name."""
NEEDED = {
    "treatments": ("read", "create", "update", "delete"),
    "entries": ("read", "create"),
    "activity": ("read", "create", "delete"),
    "profile": ("read", "create", "update"),
    "devicestatus": ("read", "create"),
    "status": ("read",),
}
"""The rights that we need for each collection, by the middle part of a right's name.

Basals are deleted whose time another pump of the person turned out to claim.
"""


def is_admin(rights: Any) -> bool:
    """Return whether everything is allowed, in the words of old sites and of new ones."""
    if isinstance(rights, dict):
        return rights.get("isAdmin") is True or rights.get("canWrite") is True
    return bool(rights == "OK")


def has_role(rights: Any) -> bool:
    """Return whether a site says that it knows the access token; only new ones say so."""
    return isinstance(rights, dict) and rights.get("rolefound") == "FOUND"


def is_known(rights: Any) -> bool | None:
    """Return whether a site knows the secret or token; ``None`` if it does not say.

    ``rights`` is the message of ``verifyauth``: a text on Nightscout 0.12, else an object, in which
    a token with few rights is "UNAUTHORIZED" too.
    """
    if is_admin(rights) or has_role(rights):
        return True
    says_no = rights == "UNAUTHORIZED" or (isinstance(rights, dict) and "rolefound" in rights)
    return False if says_no else None


def right(collection: str, verb: str) -> str:
    """Return the right in the form in which Nightscout's roles list it."""
    return f"api:{collection}:{verb}"


def missing_right(method: str, collection: str) -> MissingRightError:
    """Name the right that a role lacks, in words and as Nightscout lists it."""
    verb, name = VERBS[method], collection.removesuffix(".json")
    needed = right(name, verb)
    return MissingRightError(
        f"Nightscout knows NS_SECRET, but it may not {verb} {NAMES.get(collection, name)}. Add "
        f"{needed} to the role of this access token (in Nightscout: Admin Tools, Roles), or use "
        "the site's API secret.",
        needed,
    )
