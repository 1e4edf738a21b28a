"""Reading requests and making answers as Nightscout does. Serves the small Nightscout."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from tconnectsync.simulators.loopback import Request, Response, read_query
from tconnectsync.simulators.nightscout.find import Document
from tconnectsync.simulators.nightscout.store import Host

_SCRIPT = re.compile(r"<(script|style)\b.*?(</\1>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?P<closes>/?)(?P<name>[a-z][^\s<>/]*)[^<>]*(?P<end>>|$)", re.IGNORECASE)


class CrashError(Exception):
    """Nightscout ends without an answer; its host starts it again."""


def read_body(request: Request, *, strict: bool = True) -> Any:
    """Return the JSON or the web form sent; what is neither is no body, and no body is ``{}``.

    Of a form, as Nightscout's own pages send it, all values are texts.

    Without ``strict`` an array may hold anything.

    Raises:
        json.JSONDecodeError: it is not JSON, or neither an object nor an array of objects.
    """
    if "x-www-form-urlencoded" in request.headers.get("content-type", ""):
        fields, lists = read_query(request.body.decode())
        return fields | {name.removesuffix("[]"): values for name, values in lists.items()}
    if "json" not in request.headers.get("content-type", "") or not request.body:
        return {}
    text = request.body.decode()
    body = json.loads(text)
    documents = body if isinstance(body, list) and request.method == "POST" else [body]
    if isinstance(body, list) and not strict:
        return body
    if not all(isinstance(document, dict) for document in documents):
        raise json.JSONDecodeError("An object is expected", text, 0)
    return body


def read_documents(request: Request, *, strict: bool = True) -> list[Document]:
    """Return the documents of a POST, which may be one or an array; raises as `read_body`."""
    body = read_body(request, strict=strict)
    return body if isinstance(body, list) else [body]


def sanitised(value: Any) -> Any:
    """Return a value with its texts made safe for a web page; keys stay as they are.

    A text without ``<`` is not touched. What of another one is no tag is escaped; a tag that does
    not end takes the rest of the text with it (docs/protocol/nightscout-api.md §7.7).
    """
    match value:
        case str():
            return _as_page(value) if "<" in value else value
        case list():
            return [sanitised(item) for item in value]
        case dict():
            return {name: sanitised(item) for name, item in value.items()}
    return value


def _as_page(text: str) -> str:
    text = _SCRIPT.sub("", text)
    parts, end, still_open = [], 0, []
    for tag in _TAG.finditer(text):
        parts.append(_escaped(text[end : tag.start()]))
        end = tag.end()
        if not tag["end"]:
            break
        parts.append(tag[0])
        if not tag["closes"]:
            still_open.append(tag["name"])
        elif tag["name"] in still_open:
            still_open.remove(tag["name"])
    parts.append(_escaped(text[end:]))
    return "".join([*parts, *(f"</{name}>" for name in reversed(still_open))])


def _escaped(text: str) -> str:
    return html.escape(html.unescape(text), quote=False)


def wants_json(request: Request) -> bool:
    """Return whether the client has asked for JSON in one of the two ways."""
    return request.path.endswith(".json") or "json" in request.headers.get("accept", "")


def json_answer(value: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(json.dumps(value).encode(), status, "application/json; charset=utf-8")


def deletion(host: Host, number: int) -> Response:
    """Answer what the database says about a deletion."""
    if host.keyed_by_identifier:
        return json_answer({"acknowledged": True, "deletedCount": number})
    return json_answer({"n": number, "ok": 1})


def problem(status: int, message: str, description: str) -> Response:
    """Answer with an error in Nightscout's own form."""
    return json_answer({"status": status, "message": message, "description": description}, status)


def failure(request: Request, error: Exception) -> Response:
    """Answer that something went wrong unexpectedly, in the form the client asked for."""
    if wants_json(request):
        return json_answer({"error": {"message": str(error)}}, 500)
    return page(500, f"Error: {error}")


def page(status: int, text: str) -> Response:
    """Answer with a web page."""
    body = f"<!DOCTYPE html>\n<title>Nightscout</title>\n<pre>{html.escape(text)}</pre>\n"
    return Response(body.encode(), status, "text/html; charset=utf-8")


def not_found(request: Request) -> Response:
    """Answer that nothing is there."""
    return page(404, f"Cannot {request.method} {request.path}")
