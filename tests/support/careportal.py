"""What a person does to a treatment in Nightscout's own pages (nightscout-api §7.6).

Works on any site: all of it is requests, as the pages send them; where they speak over a websocket,
it has the same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import requests

from tests.support.real_nightscout import Document

EVERYTHING = {"find[created_at][$gte]": "1970-01-01", "count": "1000000"}
FIELDS = (
    *("eventType", "glucose", "glucoseType", "carbs", "protein", "fat", "insulin", "duration"),
    *("percent", "absolute", "profile", "notes", "enteredBy"),
)
"""What the dialog has a field for, besides date and time; what is not known is sent empty."""


class Pages:
    """Nightscout's pages for a site, opened by somebody who knows the secret.

    ``add`` stores documents beside whatever there is, as the websocket does.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        add: Callable[[list[Document]], None],
        units: str = "mmol",
    ) -> None:
        self._url = f"{url}/api/v1/treatments"
        self._http = requests.Session()
        self._http.headers["api-secret"] = hashlib.sha1(secret.encode()).hexdigest()
        self._units = units
        self.add = add
        """Stores documents beside whatever there is, as the websocket does."""

    def treatments(self) -> list[Document]:
        """Return all treatments, oldest first."""
        found: list[Document] = self._ask("GET", ".json", params=EVERYTHING).json()
        return sorted(found, key=lambda it: (str(it["created_at"]), str(it["_id"])))

    def save(self, treatment: Document, at: datetime | None = None, **changes: Any) -> None:
        """Save a treatment in the edit dialog of the reports, with some fields changed.

        The time is what the dialog has room for: whole minutes.
        """
        moment = at or datetime.fromisoformat(treatment["created_at"])
        form = {k: v for k, v in treatment.items() if k not in ("created_at", "mills")}
        for name in FIELDS:
            form[name] = changes.get(name, treatment.get(name) or "")
        if "absolute" in treatment and "absolute" not in changes:
            form["absolute"] = treatment["absolute"]
        if form["absolute"] == "":
            del form["absolute"]
        form["units"] = self._units
        form["eventTime"] = _iso(moment.replace(second=0, microsecond=0))
        self._ask(
            "PUT",
            "/",
            data=urlencode(list(_form(form))),
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"},
        )

    def drag(self, treatment: Document, at: datetime) -> None:
        """Move a treatment on the chart: only its time changes."""
        self._ask("PUT", "/", json=_known(treatment) | {"created_at": _iso(at)})

    def drag_insulin(self, treatment: Document, at: datetime) -> None:
        """Move the insulin of a treatment on the chart: it goes to a copy, name and all."""
        left = {k: v for k, v in _known(treatment).items() if k != "insulin"}
        self._ask("PUT", "/", json=left)
        copy = {k: v for k, v in _known(treatment).items() if k not in ("_id", "carbs")}
        self.add([copy | {"created_at": _iso(at)}])

    def delete(self, treatment: Document) -> None:
        """Delete a treatment in the reports."""
        self._ask("DELETE", f"/{treatment['_id']}")

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self._http.request(method, self._url + path, timeout=300, **options)
        answer.raise_for_status()
        return answer


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _known(treatment: Document) -> Document:
    return {name: value for name, value in treatment.items() if value is not None}


def _form(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return fields as jQuery writes them into a form."""
    return [(name, _text(value)) for name, value in fields.items()]


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
