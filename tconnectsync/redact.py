"""Hides secrets and personal data: one redactor for logs, errors and reports."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime, tzinfo
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SHORTEST = 6
"""A value shorter than this is replaced only where it stands as a word of its own."""

SHORTEST_PART = 8
"""A shorter part of a secret address is hidden only within it."""

WORTH_LEARNING = 3
"""A shorter value found on the way is hidden in its place but not looked for elsewhere."""

OUR_OWN_WORDS = ("nightscout", "tandem", "tconnect", "tconnectsync")
"""A user of such a name is no secret, and without these words our messages are unreadable."""

_QUOTATION = r"""\[[A-Z0-9_ -]+\]|"[^"\n]*"|“[^”\n]*”|(?<!\w)'[^'\n]*'(?!\w)"""
"""What a sentence quotes, and what is hidden already."""
_AFTER_DATA = r"(?:(?<=[=/@&?%#+{}<>\\|~^*$\d])|(?<=\w[:.]))"
_BEFORE_DATA = r"(?=[=/@&?%#+{}<>\\|~^*$\d]|[:.]\w)"
"""Beside these, a word is no prose: in an address, a query, an assignment."""

MOST_BACKSLASHES = 15
"""More than a JSON text in a repr of a repr has before a quotation mark."""

# Keys under which something personal stands, written small and without punctuation.
_BIRTH = r"birth|dob$"
_PERSON = r"(first|middle|last|full|given|family|sur|nick|maiden|display|user)name$"
_OWN = (
    r"mail|secret|answer|password|passphrase|token|cookie|authorization|apikey|guid|uuid|serial"
    r"|(user|account|patient|person|customer|transmitter)id$"
)
_OTHERS = (
    r"^(patient|caregiver|guardian|parent|physician|doctor|clinic)|^(age|sn|sub|user|zip|city)$"
    r"|(address|phone|mobile|host|hostname|title|urls?\d*|framename\d*)$"
)
_OF_A_LOGIN = r"^(code|codeverifier|state|session)$"

# A key and its value as they stand in a payload, or in the text of an error that quotes one: in
# JSON, in a repr (of JSON too, so that backslashes double); and in a query, a form or a cookie.
_QUOTED = re.compile(
    r"""(?P<before>(?P<mark>\\{0,4}["'])(?P<key>[\w .#/-]{2,40})(?P=mark)\s*:\s*[bu]?)"""
    r"""(?P<value>(?P<quote>\\{0,4}["'])(?:(?!(?<!\\)(?P=quote)).)*(?P=quote)?|[\d.]+)""",
    re.DOTALL,
)
_QUERY = re.compile(
    r"""(?P<before>[?&;'"]\s?(?P<key>[\w.-]{2,40})=)(?P<value>[^\s&;,'"<>()\[\]]+)"""
)


class _Form(NamedTuple):
    """Something to look for, and what stands in its place."""

    title: str
    pattern: str
    part: str
    """What every text that fits has in it, folded: looking for this costs little."""


_SHAPES = [
    _Form(title, pattern, "")
    for title, pattern in {
        "GUID": r"(?<![0-9a-z])[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}(?![0-9a-z])",
        "EMAIL": r"(?<![\w.+-])[\w.+-]+(?:@|%40|&#64;|\\u0040)[\w-]+(?:\.[\w-]+)+",
        "TOKEN": r"(?<!\w)eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|(?<=Bearer )[\w.~+/=-]{16,}",
        "LOGIN": r"(?<=://)[^\s/?#@]+(?=@)",
    }.items()
]
"""Patterns of values that are always personal."""


class Redactor:
    """Replaces in a text what must not be shown by its name in brackets.

    ``secrets`` maps a name (``TCONNECT_PASSWORD``) to what it stands for. A secret is found as it
    is, as it looks in a URL, in JSON or HTML, in Base64 and as its hash; upper and lower case do
    not matter. GUIDs, e-mail addresses and web tokens are hidden whosever they are. More can be
    learned at any time.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        self._forms: list[_Form] = []
        self._words: dict[str, str] = {}
        """Secrets of letters alone, which may be words of our messages, in small letters."""
        for name, whole in (secrets or {}).items():
            for secret in _secrets_in(whole):
                self.learn(name, secret)
                if secret.isalpha():
                    self._words[secret.lower()] = name
                for form in _digests(secret):
                    self.learn(name, form)

    def __call__(self, text: str) -> str:
        """Return the text without what must not be shown.

        What it quotes under the personal keys of a payload is learned on the way.
        """
        return self._hide(text, ())

    def sentence(self, text: str) -> str:
        """Return a sentence of ours without what must not be shown.

        What it takes from elsewhere must be quoted or redacted already: a secret that is a word of
        our messages is hidden only in quotation marks and beside what is no prose, as in a URL.
        """
        folded = _folded(text) if self._words else ""
        # The source is searched for a word only when a sentence has it: that takes a while.
        ours = [it for it in self._words if _folded(it) in folded and _is_in_our_texts(it)]
        hidden = self._hide(text, ours)
        if not ours:
            return hidden
        words = "|".join(map(_as_pattern, sorted(ours, key=len, reverse=True)))
        beside = f"{_AFTER_DATA}(?:{words})|(?:{words}){_BEFORE_DATA}"
        shown, end = [], 0
        for quoted in re.finditer(_QUOTATION, hidden):
            shown.append(self._hide_words(beside, hidden[end : quoted.start()]))
            is_hidden = quoted[0].startswith("[")
            shown.append(quoted[0] if is_hidden else self._hide_words(words, quoted[0]))
            end = quoted.end()
        return "".join([*shown, self._hide_words(beside, hidden[end:])])

    def _hide_words(self, pattern: str, text: str) -> str:
        def title(found: re.Match[str]) -> str:
            return f"[{self._words[found[0].lower()]}]"

        return re.sub(pattern, title, text, flags=re.IGNORECASE)

    def _hide(self, text: str, left: Collection[str]) -> str:
        """Return the text without what must not be shown, except the words that are ``left``."""
        for quotation in (_QUOTED, _QUERY):
            text = quotation.sub(self._without_value, text)
        folded = _folded(text)
        forms = [form for form in self._in_order() if form.part in folded]

        def title(found: re.Match[str]) -> str:
            is_left = found[0].lower() in left
            return found[0] if is_left else f"[{forms[(found.lastindex or 0) - 1].title}]"

        choices = "|".join(f"({form.pattern})" for form in forms)
        return re.sub(choices, title, text, flags=re.IGNORECASE)

    def learn(self, name: str, value: str) -> None:
        """Hide a value from now on, under this name."""
        if value and value.lower() not in self._known:
            self._known[value.lower()] = (name, value)

    def may_find(self, text: str) -> bool:
        """Return whether a text may hold something that it was given or has learned."""
        folded = _folded(text)
        return any(form.part in folded and form not in _SHAPES for form in self._in_order())

    def learn_address(self, name: str, url: str) -> None:
        """Hide a web address, and its host wherever that stands.

        A host without a dot, as in a network of containers, says nothing about anybody and is
        often an ordinary word; it stays.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        whole = url.partition("://")[2].rstrip("/")
        place, path = parts.netloc.rpartition("@")[2], parts.path.rstrip("/")
        forms = [url.rstrip("/"), whole, parts.netloc, place, f"{place}{path}", host]
        with suppress(UnicodeError):
            forms.append(host.encode("idna").decode())
        for form in forms:
            if len(form) >= SHORTEST and (form != host or "." in host):
                self.learn(name, form)

    def learn_from(self, payload: object) -> None:
        """Hide from now on what stands under the personal keys of a payload, at any depth."""
        for key, text in _texts(payload):
            plain = _plain(key)
            if re.search(_BIRTH, plain):
                found = _dates(text)
            elif re.search(_PERSON, plain):
                found = [text, *re.split(r"[\s,]+", text)]
            else:
                found = [text] if re.search(_OWN, plain) else []
            for value in found:
                if len(value) >= WORTH_LEARNING + value.isdecimal():
                    self.learn(_title(key), value)

    def clean(self, payload: object) -> object:
        """Return a copy of a payload that has names instead of values under personal keys."""
        match payload:
            case Mapping():
                return {
                    key: f"[{_title(key)}]" if _is_personal(key, value) else self.clean(value)
                    for key, value in payload.items()
                }
            case list():
                return [self.clean(item) for item in payload]
        return payload

    def _without_value(self, found: re.Match[str]) -> str:
        """Return a quotation without its value, if that is personal; it may quote others itself."""
        before, key, quoted = found["before"], found["key"], found["value"]
        value = quoted.strip("\\\"'")
        if value.startswith("[") and value.endswith("]"):
            return found[0]  # It is hidden already.
        is_of_a_login = found.re is _QUERY and re.search(_OF_A_LOGIN, _plain(key))
        if not (_is_personal(key, value) or is_of_a_login):
            return before + found.re.sub(self._without_value, quoted)
        self.learn_from({key: value})
        mark = quoted[: len(quoted) - len(quoted.lstrip("\\\"'"))]
        return f"{before}{mark}[{_title(key)}]{mark}"

    def _in_order(self) -> list[_Form]:
        """Return all that is looked for, what is to be found rather than another thing first."""
        if len(self._forms) != len(self._known) + len(_SHAPES):
            # The longest first: a whole address before the host in it. Plain words come last,
            # because a name may be a part of somebody's e-mail address.
            known = sorted(self._known.values(), key=lambda item: -len(item[1]))
            words = [_form(*item) for item in known if item[1].isalpha()]
            others = [_form(*item) for item in known if not item[1].isalpha()]
            self._forms = [*others, *_SHAPES, *words]
        return self._forms


class JointRedactor(Redactor):
    """Hides what any of several redactors knows: for what is said about several people."""

    def __init__(self) -> None:
        super().__init__()
        self._others: tuple[Redactor, ...] = ()
        self._changing = Lock()

    def add(self, other: Redactor) -> None:
        """Hide from now on what another one knows, too."""
        self._others += (other,)

    @contextmanager
    def knowing(self, other: Redactor) -> Iterator[None]:
        """Hide what another one knows during the block, which several threads may be in."""
        with self._changing:
            self._others += (other,)
        try:
            yield
        finally:
            with self._changing:
                self._others = tuple(each for each in self._others if each is not other)

    def __call__(self, text: str) -> str:
        """Return the text without what must not be shown."""
        for other in self._others:
            if other.may_find(text):
                text = other(text)
        return super().__call__(text)

    def sentence(self, text: str) -> str:
        """Return a sentence of ours without what must not be shown."""
        for other in self._others:
            if other.may_find(text):
                text = other.sentence(text)
        return super().sentence(text)


class RedactingFormatter(logging.Formatter):
    """A log formatter that lets no secret through, tracebacks included.

    Times are those of ``zone``; with ``None`` those of this computer.
    """

    def __init__(self, redact: Redactor, zone: tzinfo | None = None) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(message)s", "%Y-%m-%d %H:%M:%S")
        self.converter = lambda at: datetime.fromtimestamp(at or 0.0, zone).timetuple()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Format the record and replace what must not be shown."""
        whole = super().format(record)
        said = self.formatMessage(record)
        return self._redact.sentence(said) + self._redact(whole[len(said) :])


@cache
def _is_in_our_texts(word: str) -> bool:
    """Return whether a word, in small letters, is in the source of this program."""
    with suppress(OSError):
        files = Path(__file__).parent.rglob("*.py")
        return any(word in file.read_text("utf-8").lower() for file in files)
    return False


def _secrets_in(secret: str) -> Iterator[str]:
    """Yield a secret, what of it is secret alone, and what others make of it."""
    yield secret
    numbers = secret.split(",")  # Serial numbers, which clouds know as numbers.
    if all(number.isdecimal() for number in numbers):
        for number in (*numbers, *(each.lstrip("0") for each in numbers)):
            if len(number) >= WORTH_LEARNING:
                yield number
    if "://" in secret:
        for address in re.split(r"[\s,]+", secret):
            yield from _parts_of_address(address)
    with suppress(ValueError):
        parts = urlsplit(secret)
        if parts.netloc and parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
            yield f"{user}:{password}"  # As a request has it, in Base64.
            yield password
            if user.lower() not in OUR_OWN_WORDS:
                yield user


def _parts_of_address(address: str) -> Iterator[str]:
    """Yield an address that is secret, and what of it is so alone, as others show it in errors.

    That is its path; and where it is none of the web, in which a host is named, all of it.
    """
    yield address
    with suppress(ValueError):
        parts = urlsplit(address)
        found = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
        if parts.scheme not in ("http", "https", "socks5", "socks5h"):
            found += [parts.netloc, *re.split("[@:]", parts.netloc)]
        yield from (unquote(each) for each in found if len(each) >= SHORTEST_PART)


def _digests(secret: str) -> Iterator[str]:
    """Yield the hashes of a secret, and what is sure to be in the Base64 of a text with it."""
    plain = secret.encode()
    for algorithm in ("md5", "sha1", "sha256", "sha512"):
        yield hashlib.new(algorithm, plain, usedforsecurity=False).hexdigest()
    for before in range(3):
        coded = b64encode(bytes(before) + plain).decode()
        core = coded[(before * 8 + 5) // 6 : (before + len(plain)) * 8 // 6]
        if len(core) >= SHORTEST:
            yield core
            yield core.translate({ord("+"): "-", ord("/"): "_"})


def _form(title: str, value: str) -> _Form:
    """Return what finds a value; its longest part without signs looks the same in every dress."""
    part = max(re.findall("[A-Za-z0-9]+", value), key=len, default="")
    return _Form(title, _as_pattern(value), part.lower())


def _folded(text: str) -> str:
    """Return a text in which a small letter stands for all that it fits where case is ignored."""
    return text.translate(_OTHER_I).casefold()


_OTHER_I = str.maketrans("İı", "ii")
"""What fits an i besides what `casefold` knows."""


def _as_pattern(value: str) -> str:
    pattern = "".join(map(_in_any_dress, value))
    if len(value) <= WORTH_LEARNING and value != value.lower():
        # "May" and "MAY" are somebody, "may" is a word.
        pattern = f"(?-i:{pattern}|{''.join(map(_in_any_dress, value.upper()))})"
    return rf"(?<!\w){pattern}(?!\w)" if len(value) < SHORTEST else pattern


@cache
def _in_any_dress(char: str) -> str:
    """Return a pattern for a character as itself and as URLs, JSON and HTML write it."""
    if char.isascii() and char.isalnum():
        return char
    code = ord(char)
    plain = {char, json.dumps(char)[1:-1], f"\\u{code:04x}"}
    plain |= {f"&#{code};", f"&#{code:03};", f"&#x{code:x};"}
    if name := _entity(char):
        plain.add(f"&{name};")
    in_url = {quote(form, safe="") for form in plain}
    with suppress(UnicodeError):
        in_url.add(quote(char, safe="", encoding="latin-1"))
    forms = plain | in_url | {quote(form, safe="") for form in in_url}
    if char == " ":
        forms.add("+")
    # Each time that somebody quotes a quotation, the backslashes double.
    before = rf"(?:\\|%5C){{0,{MOST_BACKSLASHES}}}"
    choices = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return f"{before}(?:{choices})"


def _entity(char: str) -> str | None:
    """Return the name that HTML has for a character."""
    if char.isascii():
        return {'"': "quot", "&": "amp", "<": "lt", ">": "gt"}.get(char)
    # Loaded where it is needed only: its tables take half a megabyte.
    from html.entities import codepoint2name

    return codepoint2name.get(ord(char))


def _texts(payload: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text and number of a payload with the key that it stands under."""
    match payload:
        case Mapping():
            for name, value in payload.items():
                yield from _texts(value, str(name))
        case list():
            for item in payload:
                yield from _texts(item, key)
        case str() | int() | float() if not isinstance(payload, bool):
            yield key, str(payload).strip()


def _is_personal(key: object, value: object) -> bool:
    if value is None or value == "" or isinstance(value, bool):
        return False
    plain = _plain(str(key))
    return any(re.search(pattern, plain) for pattern in (_BIRTH, _PERSON, _OWN, _OTHERS))


def _plain(key: str) -> str:
    return re.sub(r"[\W_]", "", key).lower()


def _title(key: object) -> str:
    """Return ``patientFullName`` as ``PATIENT_FULL_NAME``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(key))
    return re.sub(r"\W+", "_", words).strip("_").upper()


def _dates(text: str) -> list[str]:
    """Return the ways in which a date may be written; none for a date that stands for "none"."""
    found = re.match(r"(?:(\d{4})-(\d\d?)-(\d\d?)|(\d\d?)/(\d\d?)/(\d{4}))", text)
    if not found:
        return [text]
    year, month, day = (int(found[i] or found[j]) for i, j in ((1, 6), (2, 4), (3, 5)))
    try:
        born = date(year, month, day)
    except ValueError:
        return [text]
    if year < 1900:
        return []
    plain, padded = (f"{month}", f"{day}"), (f"{month:02}", f"{day:02}")
    pairs = (plain, plain[::-1], padded, padded[::-1])
    numbers = [f"{a}{mark}{b}{mark}{year}" for mark in "/-." for a, b in pairs]
    words = [f"{born:{form}} {day}, {year}" for form in ("%b", "%B")]
    words += [f"{born:{form}} {day:02}, {year}" for form in ("%b", "%B")]
    words += [f"{day} {born:{form}} {year}" for form in ("%b", "%B")]
    return [text, f"{born}", f"{born:%Y%m%d}", f"{born:%Y/%m/%d}", *numbers, *words]
