"""Which proxy the environment names for an address."""

from __future__ import annotations

import pytest

from tconnectsync.exchange import proxy_of_environment

PROXY, OTHER = "http://proxy.example:3128", "http://other.example:3128"
SITE = "https://site.example.org/api"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, SITE, ""),
        ({"HTTPS_PROXY": PROXY}, SITE, PROXY),
        ({"HTTP_PROXY": PROXY}, SITE, ""),
        ({"HTTP_PROXY": PROXY, "HTTPS_PROXY": OTHER}, "http://site.example.org/", PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": OTHER}, SITE, OTHER),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, SITE, ""),
        ({"ALL_PROXY": PROXY}, SITE, PROXY),
        ({"ALL_PROXY": PROXY, "HTTPS_PROXY": OTHER}, SITE, OTHER),
        ({"ALL_PROXY": PROXY}, "http://127.0.0.1:1337/api", ""),
        ({"ALL_PROXY": PROXY}, "http://127.9.9.9/api", ""),
        ({"ALL_PROXY": PROXY}, "http://localhost:1337/api", ""),
        ({"ALL_PROXY": PROXY}, "http://[::1]:1337/api", ""),
        ({"ALL_PROXY": PROXY}, "http://192.168.1.7:1337/api", PROXY),
    ],
)
def test_a_proxy_is_named_by_scheme_but_never_for_this_computer(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of_environment(url) == proxy


@pytest.mark.parametrize(
    ("excepted", "url", "is_asked"),
    [
        ("", SITE, True),
        ("*", SITE, False),
        ("site.example.org", SITE, False),
        ("SITE.example.org", SITE, False),
        ("example.org", SITE, False),
        (".example.org", SITE, False),
        ("other.org, example.org", SITE, False),
        ("ample.org", SITE, True),
        ("site.example.org:8443", SITE, True),
        ("site.example.org:8443", "https://site.example.org:8443/api", False),
        ("192.168.1.7", "http://192.168.1.7:1337/", False),
        ("192.168.1.7", "http://192.168.1.70:1337/", True),
        ("10.0.0.0/8, 192.168.0.0/16", "http://192.168.1.7:1337/", False),
        ("192.168.1.9/24", "http://192.168.1.7:1337/", False),
        ("10.0.0.0/8", "http://192.168.1.7:1337/", True),
        ("fd00::/8", "http://[fd00::17]:1337/", False),
        ("nonsense/8", "http://192.168.1.7:1337/", True),
        ("10.0.0.0/8", "https://10.example.org/", True),
    ],
)
def test_hosts_domains_and_networks_can_be_excepted(
    monkeypatch: pytest.MonkeyPatch, excepted: str, url: str, is_asked: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_of_environment(url) == (PROXY if is_asked else "")
