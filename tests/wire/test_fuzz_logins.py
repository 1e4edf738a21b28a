"""Whatever the clouds answer to a login: it succeeds, or ends with an error in words, soon."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tconnectsync.api.clients import TConnectApi
from tconnectsync.api.tandemsource.identity import identify
from tconnectsync.api.tandemsource.regions import CLOUDS
from tconnectsync.errors import LoginError, TconnectsyncError
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tests.support.mutations import TEXTS, fuzz, hostile, mutated, mutated_text
from tests.wire import fake_tandem_source, fake_tconnect

MOST_REQUESTS = 40


class Spoiled:
    """A cloud one of whose answers, counted from the beginning of a login, is another one."""

    def __init__(self, server: LoopbackServer, log_in: Callable[[], Any]) -> None:
        self._server = server
        self._log_in = log_in
        self._handle = server._handle
        self._count = 0
        self._real: list[Response] = []
        server.fault = self._note
        log_in()
        self.answers = tuple(self._real)
        """What the cloud answered, unspoiled, in order."""

    def _note(self, request: Request) -> Response:
        answer = self._handle(request)
        self._real.append(answer)
        return answer

    def try_with(self, step: int, answer: Response) -> None:
        """Log in while one answer is this one; anything but an error in words is a failure."""
        self._count = 0

        def fault(request: Request) -> Response | None:
            self._count += 1
            return answer if self._count == step + 1 else None

        self._server.fault = fault
        with suppress(TconnectsyncError):
            self._log_in()
        assert self._count <= MOST_REQUESTS


def _all_of_tconnect(api: TConnectApi) -> None:
    with suppress(TconnectsyncError):
        api.android.last_event_uploaded(1)
    with suppress(TconnectsyncError):
        assert api.controliq.user_guid
    api.controliq.therapy_timeline()


@pytest.fixture(scope="module")
def tconnect() -> Iterator[Spoiled]:
    with fake_tconnect.serve() as bench:
        del bench.fake.cookies["accessToken"]  # Then the app's login is needed, too.
        yield Spoiled(bench.server, lambda: _all_of_tconnect(bench.client()))


@pytest.fixture(scope="module")
def tandem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoiled]:
    with fake_tandem_source.serve(tmp_path_factory.mktemp("logins")) as bench:
        yield Spoiled(bench.server, lambda: bench.client(is_cached=False).tandemsource.pumper())


_latin = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=40)
_header_texts = st.one_of(
    _latin,
    st.sampled_from(
        ["", "/", "//", "http://[", "http://127.0.0.1:99999/", "?code=", "?code=&code=%00"]
    ),
    st.sampled_from([text for text in TEXTS if text.isascii() and text.isprintable()]),
)


@st.composite
def spoiled(draw: st.DrawFn, answers: tuple[Response, ...]) -> tuple[int, Response]:
    """Return which answer is spoiled, and how."""
    step = draw(st.integers(0, len(answers) - 1))
    answer = answers[step]
    body = answer.body.decode(errors="replace")
    match draw(st.integers(0, 3)):
        case 0:
            names = [name for name, _ in answer.headers] or ["Location", "Set-Cookie"]
            name, text = draw(st.sampled_from(names)), draw(_header_texts)
            others = [(key, told) for key, told in answer.headers if key != name]
            return step, replace(answer, headers=[*others, (name, text)] if text else others)
        case 1:
            status = draw(st.sampled_from([200, 201, 204, 301, 302, 307, 400, 401, 403, 404, 500]))
            return step, replace(answer, status=status, headers=list(answer.headers))
        case 2:
            return step, replace(answer, body=_json_like(draw, body).encode(errors="replace"))
    text = draw(mutated_text(body))
    kind = draw(st.sampled_from(["text/html", "application/json", "", "text/html; charset=utf-7"]))
    return step, replace(answer, body=text.encode(errors="replace"), content_type=kind)


def _json_like(draw: st.DrawFn, body: str) -> str:
    try:
        payload = json.loads(body)
    except ValueError:
        payload = {}
    return json.dumps(draw(mutated(payload)))


@given(data=st.data())
@fuzz(80)
def test_a_spoiled_login_to_tconnect_ends_in_words(tconnect: Spoiled, data: st.DataObject) -> None:
    assert len(tconnect.answers) >= 5
    tconnect.try_with(*data.draw(spoiled(tconnect.answers)))


@given(data=st.data())
@fuzz(80)
def test_a_spoiled_login_to_tandem_source_ends_in_words(
    tandem: Spoiled, data: st.DataObject
) -> None:
    assert len(tandem.answers) == 6
    tandem.try_with(*data.draw(spoiled(tandem.answers)))


PIECES = (b"<![", b"<!--", b"<a <", b"&#", b"<div>", b"[", b'{"x":', b"\xff", b"\0", b"")


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_an_endless_repetition_in_the_place_of_any_answer_ends_in_words(
    tconnect: Spoiled, tandem: Spoiled, piece: bytes
) -> None:
    for cloud in (tconnect, tandem):
        for step in range(len(cloud.answers)):
            cloud.try_with(step, replace(cloud.answers[step], body=b"<html>" + piece * 5000))
            cloud.try_with(step, replace(cloud.answers[step], body=piece * 5000))


# -- the proof of identity -----------------------------------------------------------------------

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
CLAIMS = {
    "iss": CLOUDS["US"].accounts_url,
    "aud": CLOUDS["US"].client_id,
    "exp": int((NOW + timedelta(hours=1)).timestamp()),
    "iat": int(NOW.timestamp()),
    "nbf": int(NOW.timestamp()),
    "pumperId": "pumper-1",
    "accountId": "account-1",
}


@cache
def key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


def public() -> dict[str, Any]:
    return key().as_dict(private=False)


def signed(claims: Any, header: dict[str, Any] | None = None) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one", **(header or {})}, claims, key())


def test_the_undamaged_proof_is_accepted() -> None:
    identity = identify(signed(CLAIMS), [public()], CLOUDS["US"], NOW)
    assert (identity.pumper_id, identity.account_id) == ("pumper-1", "account-1")


@given(claims=mutated(CLAIMS))
@fuzz(100)
def test_the_claims_may_say_anything(claims: Any) -> None:
    try:
        token = signed(claims)
    except (JoseError, TypeError, ValueError, AttributeError):
        return  # Not even the library can sign it.
    with suppress(LoginError):
        identity = identify(token, [public()], CLOUDS["US"], NOW)
        assert isinstance(identity.pumper_id, str)
        assert isinstance(identity.account_id, str)


@given(keys=st.deferred(lambda: mutated([public(), {**public(), "kid": "two"}])))
@example(keys=[{"kid": "one", "kty": "oct", "k": "AAAA"}])
@example(keys=[{"kid": "one", "kty": "RSA", "n": "AQAB", "e": "AQAB"}])
@fuzz(100)
def test_the_keys_may_be_anything(keys: Any) -> None:
    with suppress(LoginError):
        identify(signed(CLAIMS), keys, CLOUDS["US"], NOW)


@given(token=st.deferred(lambda: mutated_text(signed(CLAIMS))))
@fuzz(100)
def test_a_damaged_proof_is_refused(token: str) -> None:
    if token != signed(CLAIMS):
        with suppress(LoginError):
            identity = identify(token, [public()], CLOUDS["US"], NOW)
            assert identity.pumper_id == "pumper-1"


@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), hostile)
)
@fuzz(100)
def test_the_header_of_the_proof_may_say_anything(header: dict[str, Any]) -> None:
    head, body, signature = signed(CLAIMS).split(".")
    odd = json.dumps({"alg": "RS256", "kid": "one", **header}).encode(errors="replace")
    from base64 import urlsafe_b64encode

    token = ".".join([urlsafe_b64encode(odd).decode().rstrip("="), body, signature])
    with suppress(LoginError):
        identify(token, [public()], CLOUDS["US"], NOW)
    assert head
