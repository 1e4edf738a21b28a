"""Who may do what, in both generations of Nightscout (nightscout-api §1.6, §2, §7.3, §7.4).

Serves the small Nightscout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tconnectsync.simulators.loopback import Request
from tconnectsync.simulators.nightscout.find import Document

ROLES: Mapping[str, tuple[str, ...]] = {
    "admin": ("*",),
    "denied": (),
    "status-only": ("api:status:read",),
    "readable": ("*:*:read",),
    "careportal": ("api:treatments:create",),
    "devicestatus-upload": ("api:devicestatus:create",),
    "activity": ("api:activity:create",),
}
"""The roles that every site has, and what they allow."""
_VERBS = {"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}


@dataclass(frozen=True)
class Visitor:
    """Who sends a request: what it may do, and how the site has come to know it."""

    permissions: tuple[str, ...]
    has_token: bool = False
    is_unknown: bool = False

    def may(self, needed: str) -> bool:
        """Return whether one of the permissions covers this one."""
        return any(_covers(permission, needed) for permission in self.permissions)

    def may_send(self, request: Request, collection: str) -> bool:
        """Return whether a request is allowed; writing needs the right to read, too."""
        verbs = {"read", _VERBS.get(request.method, "read")}
        return all(self.may(f"api:{collection}:{verb}") for verb in verbs)


class Rights:
    """The secret, the access tokens and the roles of a site.

    Args:
        secret: the site's ``API_SECRET``.
        tokens: roles and permissions such as ``api:treatments:read,create``, separated by blanks,
            by access token. 0.12.8 does not take tokens in the header.
        default_roles: what everybody may do, as ``AUTH_DEFAULT_ROLES`` says it.
        knows_tokens: whether it is 15.0.7; else it is 0.12.8.
    """

    def __init__(
        self, secret: str, tokens: Mapping[str, str], default_roles: str, *, knows_tokens: bool
    ) -> None:
        self._secret = _sha1(secret)
        self._tokens = dict(tokens)
        self._default = tuple(_permissions(default_roles or "readable"))
        self._is_new = knows_tokens

    def give(self, token: str, roles: str) -> None:
        """Let an access token have these roles and permissions from now on."""
        self._tokens[token] = roles

    def visitor(self, request: Request) -> Visitor:
        """Return who sends a request, by its header alone.

        To 15.0.7 a secret that it does not know may nothing; to 0.12.8 it is as good as none.
        """
        given = request.headers.get("api-secret")
        if given == self._secret:
            return Visitor(ROLES["admin"])
        for token, roles in self._tokens.items():
            if self._is_new and given in (token, _sha1(token)):
                return Visitor((*_permissions(roles), *self._default), has_token=True)
        if given is not None and self._is_new:
            return Visitor((), is_unknown=True)
        return Visitor(self._default, is_unknown=True)

    def answer_to(self, visitor: Visitor) -> str | Document:
        """Return what ``verifyauth`` says."""
        reads_all = visitor.may("*:*:read")
        said = "OK" if reads_all and not visitor.is_unknown else "UNAUTHORIZED"
        if not self._is_new:
            return said
        return {
            "canRead": reads_all,
            "canWrite": visitor.may("*:*:write"),
            "isAdmin": visitor.may("*:*:admin"),
            "message": said,
            "rolefound": "FOUND" if visitor.has_token else "NOTFOUND",
            "permissions": "DEFAULT" if visitor.is_unknown else "ROLE",
        }


def _permissions(roles: str) -> Iterable[str]:
    for name in roles.split():
        yield from ROLES.get(name, (name,))


def _covers(permission: str, needed: str) -> bool:
    """Compare part by part; a part may list several, and one that is not there covers all."""
    parts = permission.split(":")
    return all(
        "*" in part.split(",") or asked in part.split(",")
        for part, asked in zip(parts, needed.split(":"), strict=False)
    )


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
