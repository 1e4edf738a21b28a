"""Secrets stay where they belong: in no repr, no library's warning, no unverified connection."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import re
import subprocess
import sys
import warnings
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import tconnectsync
from tconnectsync import config
from tconnectsync.api.clients import TConnectApi
from tconnectsync.app import open_nightscout
from tconnectsync.config.settings import NightscoutSettings
from tconnectsync.errors import ConfigError, LoginError, TconnectsyncError
from tconnectsync.http import HttpClient
from tconnectsync.redact import Redactor
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tests.support.clocks import NO_WAITING
from tests.support.settings import account
from tests.support.tls import new_certificate, over_tls

PACKAGE = Path(tconnectsync.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "simulators" not in path.parts)
EMAIL, PASSWORD = "robin.sample@example.org", "correct horse battery"

# What the classes show of themselves

PERSONAL = re.compile(
    r"mail|password|secret(?!s)|serial|guid|proxy|headers|payload|answers"
    r"|^value$|(^|_)token$|(pumper|account|assignment|user)_id$"
)
HARMLESS = {
    "Variable.secret",  # Whether a variable is one.
}


def dataclasses_of_ours() -> Iterator[type]:
    for found in pkgutil.walk_packages([str(PACKAGE)], "tconnectsync."):
        if ".simulators" in found.name or found.name.endswith("__main__"):
            continue
        for thing in vars(importlib.import_module(found.name)).values():
            is_ours = getattr(thing, "__module__", "") == found.name
            if is_ours and isinstance(thing, type) and dataclasses.is_dataclass(thing):
                yield thing


def test_no_repr_shows_a_field_with_something_personal() -> None:
    fields = [(kind, f) for kind in dataclasses_of_ours() for f in dataclasses.fields(kind)]
    personal = [
        (f"{kind.__name__}.{f.name}", f.repr)
        for kind, f in fields
        if PERSONAL.search(f.name) and "Token" not in str(f.type)
    ]
    assert len(personal) > 10
    assert [name for name, is_shown in personal if is_shown and name not in HARMLESS] == []


# Texts of errors


def test_a_login_page_that_repeats_the_credentials_does_not_get_them_into_an_error() -> None:
    def answer(request: Request) -> Response:
        names = ("__VIEWSTATE", "__VIEWSTATEGENERATOR", "__EVENTVALIDATION")
        page = "".join(f'<input id="{name}" value="x">' for name in names)
        said = " ".join(request.form.values())
        page += f'<p class="notice_error">Nobody is known as {said}.</p>'
        return Response(page.encode(), 200, "text/html")

    with LoopbackServer(answer) as server:
        api = TConnectApi(account(EMAIL, PASSWORD, web_url=server.url), NO_WAITING)
        with pytest.raises(LoginError) as refused:
            assert api.controliq.user_guid
    assert "Nobody is known as" in str(refused.value)
    assert not [told for told in (EMAIL, PASSWORD) if told in str(refused.value)]


LOGINS = [
    "https://robin:correct-horse@example.org",
    "https://:correct-horse@example.org",
    "https://correct-horse@example.org",
]
NO_ADDRESS = [
    "https://correct-horse℀@example.org",
    "https://[correct-horse]/",
    "https://example.org/?token=correct-horse",
]


@pytest.mark.parametrize(
    ("variable", "address"),
    [("NS_URL", each) for each in NO_ADDRESS]
    + [("TANDEM_SOURCE_URL", each) for each in LOGINS + NO_ADDRESS],
)
def test_an_address_with_a_secret_in_it_is_refused_without_repeating_it(
    variable: str, address: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        config.load({variable: address}, {})
    (problem,) = [text for text in refused.value.problems if variable in text]
    assert "not usable" in problem
    assert "correct-horse" not in problem


@pytest.mark.parametrize("address", LOGINS)
def test_the_login_of_a_proxy_in_front_of_nightscout_is_hidden_in_all_its_forms(
    address: str,
) -> None:
    redact = Redactor(config.Configuration({"NS_URL": address}, {}).secrets)
    user, password = "robin", "correct-horse"
    sent = b64encode(f"{user}:{password}".encode()).decode()
    for text in (address, "correct-horse", f"Authorization: Basic {sent}", f"{address}/api/v1/"):
        assert "correct-horse" not in redact(text)
        assert sent[12:24] not in redact(text)
    assert redact("Nightscout is in trouble") == "Nightscout is in trouble"


def test_a_login_named_after_us_does_not_hide_our_own_words() -> None:
    redact = Redactor({"NS_URL": "https://nightscout:correct-horse@example.org"})
    assert redact("Nightscout: correct-horse") == "Nightscout: [NS_URL]"


# Other libraries

NOISE = """
import logging, warnings
from tconnectsync.util.cli import enable_logging
enable_logging(logging.DEBUG)
for name in ("urllib3.connectionpool", "requests"):
    logging.getLogger(name).debug("https://example.org/?secret")
logging.getLogger("urllib3.connectionpool").warning("https://example.org/?secret")
warnings.warn("Unverified HTTPS request is being made to host 'robin.example.org'.")
logging.getLogger("tconnectsync.http").debug("This is ours.")
"""


def test_even_with_all_lines_of_ours_other_libraries_stay_silent() -> None:
    said = subprocess.run(
        [sys.executable, "-c", NOISE],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        timeout=300,
        check=True,
    )
    assert said.stdout == ""
    assert re.fullmatch(r"\S+ \S+ DEBUG    This is ours\.\n", said.stderr)


# Plain HTTP, and certificates


@pytest.mark.parametrize(
    ("address", "is_warned_about"),
    [
        ("http://robin.example.org", True),
        ("http://93.184.216.34:1337", True),
        ("http://[2606:2800:220:1::1]/", True),
        ("http://172.32.0.1", True),
        ("http://localhost.example.org", True),
        ("https://robin.example.org", False),
        ("http://localhost:1337", False),
        ("http://127.3.2.1", False),
        ("http://[::1]:1337", False),
        ("http://[fd00::7]", False),
        ("http://10.1.2.3", False),
        ("http://172.31.0.1", False),
        ("http://192.168.1.5:8080/ns", False),
        ("http://Raspberry.LOCAL.", False),
        ("http://nightscout:1337", False),
        ("http://host.docker.internal:1337", False),
    ],
)
def test_a_site_that_is_not_near_is_better_reached_over_https(
    address: str, is_warned_about: bool
) -> None:
    notices = " ".join(config.Configuration({"NS_URL": address}, {}).notices())
    assert ("unencrypted" in notices) == is_warned_about
    assert "robin" not in notices


@pytest.mark.parametrize("name", ["TANDEM_ACCOUNTS_URL", "TCONNECT_SERVICES_URL"])
def test_a_password_that_would_travel_unencrypted_is_warned_about(name: str) -> None:
    (notice,) = config.Configuration({name: "http://robin.example.org"}, {}).notices()
    assert notice.startswith(f"{name} begins with http://")
    assert "robin" not in notice
    for near in ("https://robin.example.org", "http://127.0.0.1:8080"):
        assert config.Configuration({name: near}, {}).notices() == []


def test_connections_that_are_not_verified_are_warned_about() -> None:
    given = {"NS_URL": "https://robin.example.org"}
    assert config.Configuration(given, {}).notices() == []
    unverified = config.Configuration({**given, "NS_SKIP_TLS_VERIFY": "true"}, {})
    (notice,) = unverified.notices()
    assert notice.startswith("NS_SKIP_TLS_VERIFY is on")


def test_only_nightscouts_client_can_be_told_not_to_verify_and_only_by_the_setting() -> None:
    told = {}
    for path in MODULES:
        text = path.read_text()
        tricks = r"CERT_NONE|_create_unverified|check_hostname|disable_warnings|InsecureRequest"
        expected = ["CERT_NONE"] if path.name == "exchange.py" else []
        assert re.findall(tricks, text) == expected, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.keyword) and node.arg == "verify":
                told[str(path.relative_to(PACKAGE))] = ast.unparse(node.value)
            if isinstance(node, ast.Attribute) and node.attr == "verify":
                assert path.name == "exchange.py"
    told.pop("http.py")  # It hands on what its caller says; the default is to verify.
    assert told == {"app.py": "not settings.skip_tls_verify"}
    assert HttpClient("anything", NO_WAITING).session.verify is True


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a certificate for 127.0.0.1, signed by itself alone, and its key."""
    return new_certificate(tmp_path_factory.mktemp("tls"))


def nightscout_settings(url: str, *, skip: bool) -> NightscoutSettings:
    return NightscoutSettings(url, "a secret", skip)


TRICKS: dict[str, dict[str, str]] = {
    "nothing": {},
    "REQUESTS_CA_BUNDLE is empty": {"REQUESTS_CA_BUNDLE": ""},
    "CURL_CA_BUNDLE is empty": {"CURL_CA_BUNDLE": ""},
    "both are": {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""},
    "REQUESTS_CA_BUNDLE is no": {"REQUESTS_CA_BUNDLE": "false"},
    "SSL_CERT_FILE names it": {"SSL_CERT_FILE": "{certificate}"},
    "Python shall not": {"PYTHONHTTPSVERIFY": "0"},
    "the setting, which is for Nightscout": {"NS_SKIP_TLS_VERIFY": "true"},
}


@pytest.mark.parametrize("variables", TRICKS.values(), ids=TRICKS)
def test_nobody_takes_a_certificate_that_is_not_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(certificate=certificate))
    with over_tls(certificate) as (url, asked):
        site = open_nightscout(nightscout_settings(url, skip=False), NO_WAITING)
        addresses = ("web_url", "services_url", "ws2_url", "sso_url", "accounts_url", "source_url")
        settings = account(EMAIL, PASSWORD, **dict.fromkeys(addresses, url))
        tandem = TConnectApi(settings, NO_WAITING)
        today = datetime.now(UTC).date()
        for ask in (
            site.status,
            tandem.tandemsource.pumper,
            lambda: tandem.controliq.therapy_timeline(today, today),
            lambda: tandem.android.last_event_uploaded(12345678),
        ):
            with pytest.raises(TconnectsyncError) as refused:
                ask()
            assert "REQUESTS_CA_BUNDLE" in str(refused.value) or "certificate" in str(refused.value)
    assert asked == []


@pytest.mark.parametrize("bundle", [None, "", "{certificate}", "certifi"])
def test_the_setting_takes_any_certificate_of_nightscout(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, bundle: str | None
) -> None:
    import certifi

    if bundle is not None:
        path = certifi.where() if bundle == "certifi" else bundle.format(certificate=certificate)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", path)
    with over_tls(certificate) as (url, asked), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The user is told by the notices.
        open_nightscout(nightscout_settings(url, skip=True), NO_WAITING).status()
    assert asked == ["/api/v1/status.json"]
