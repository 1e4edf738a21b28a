"""Services that are full of personal data, and a search for it in what --check-login says."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.check_steps import CHECK_FIRST_DAY
from tests.support.command import EMAIL, PASSWORD, SECRET, SERIAL, Cloud, computer
from tests.support.world import Answer, AnyCloud, World

SET = {"e-mail": EMAIL, "password": PASSWORD, "secret": SECRET, "serial": SERIAL}
"""What the settings hold of a person."""
OWNER = {
    "first name": "Robin",
    "last name": "Sample",
    "birth date": "1990-01-01",
    "birth date in the export": "1/1/1990",
    "question": "Which pump?",
    "answer": "A simulated one",
}
"""What the account says about its owner."""
FAMILY = "robins-sugar"
"""What Nightscout calls itself."""


def leaked(text: str, personal: dict[str, str]) -> list[str]:
    """Return what of somebody's data a text holds, in any encoding."""
    lowered = text.lower()
    return [
        f"{name} as {form}"
        for name, value in personal.items()
        for form in dresses(value, hashed=name in SET)
        if form.lower() in lowered
    ]


def dresses(value: str, *, hashed: bool) -> set[str]:
    """Return the forms in which a value might be met; those of a secret include its hashes."""
    as_json = json.dumps(value)[1:-1]
    forms = {value, quote(value, safe=""), as_json, quote(as_json, safe=""), html.escape(value)}
    if hashed:
        forms |= {hashlib.new(name, value.encode()).hexdigest() for name in ("sha1", "sha512")}
        forms.add(base64.b64encode(value.encode()).decode().rstrip("="))
    return forms


def revealing(
    server: Cloud | SmallNightscout, broken: str, personal: dict[str, str]
) -> Callable[[Request], Answer]:
    """Return a fault by which every answer, be it an error, is full of personal data.

    What begins with the path ``broken`` is an error; only a login page has to be shown first.
    Some of it stands under keys that say what it is, the most under those that do not.
    """

    def fault(request: Request) -> Answer:
        remarks = [f"<{f}>" for n, v in personal.items() for f in dresses(v, hashed=n in SET)]
        extra = {"remarks": [*remarks, dict(request.headers), request.path, request.query]}
        if request.path.startswith(broken) and (server.log or request.path != "/login.aspx"):
            page = f'<div class="notice_error">{" ".join(remarks)} {json.dumps(extra)}</div>'
            return Response(page.encode(), 200 if request.method == "POST" else 403, "text/html")
        answer = server._handle(request)
        try:
            payload = json.loads(answer.body)
        except ValueError:
            return answer
        if not isinstance(payload, dict) or request.path.endswith("token"):
            return answer
        settings: dict[str, Any] = {
            "customTitle": FAMILY,
            "baseURL": f"https://{FAMILY}.example.org",
        }
        settings |= {"subject": {"sub": FAMILY, "emailAddress": f"x@{FAMILY}.example.org"}}
        body = json.dumps({**payload, **extra, "settings": settings}).encode()
        return replace(answer, body=body)

    return fault


def told(folder: Path, world: World[AnyCloud], broken: str) -> str:
    """Run --check-login at -v; return all that it shows and reports.

    Insist that the step ``broken`` fails, if one is named.
    """
    home = computer(folder, world.tandem, world.site.url, SECRET)
    run = home.run(*CHECK_FIRST_DAY, "-v")
    report = (folder / "tconnectsync-check-output.log").read_text(encoding="utf-8")
    assert broken in ("", *re.findall(r"(?m)^(.+?): +failed", run.output))
    assert "DEBUG" in run.errors
    assert "Traceback" not in run.errors + report
    return run.output + run.errors + report
