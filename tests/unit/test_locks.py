"""The lock files: every dependency, one version each, for every system and Python."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.lockfiles import ROOT, Pin, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS, EXTRAS = PROJECT["dependency-groups"], PROJECT["project"]["optional-dependencies"]
RUN = [*PROJECT["project"]["dependencies"], *EXTRAS["notify"], *EXTRAS["socks"], *GROUPS["build"]]
WANTED = {
    "requirements.lock": RUN,
    "requirements-fleet.lock": [*RUN, *EXTRAS["fleet"]],
    "requirements-dev.lock": [*RUN, *(it for each in EXTRAS.values() for it in each)]
    + GROUPS["lock"],
}
IMAGES = {"Dockerfile": "requirements.lock", "deploy/fleet/Dockerfile": "requirements-fleet.lock"}
SYSTEMS = [
    {
        "os_name": "nt" if system == "win32" else "posix",
        "sys_platform": system,
        "platform_system": {"win32": "Windows", "darwin": "Darwin"}.get(system, "Linux"),
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "platform_machine": "x86_64",
        "python_version": python,
        "python_full_version": f"{python}.9",
        "extra": "",
    }
    for system in ("linux", "darwin", "win32")
    for python in ("3.11", "3.12", "3.13", "3.14")
]


def counting(found: list[Pin], system: dict[str, str]) -> list[str]:
    return [it.version for it in found if it.marker is None or it.marker.evaluate(system)]


def needed(wanted: list[str], system: dict[str, str]) -> Iterator[Requirement]:
    """Yield what a system needs, and all that this needs itself, as far as it is known here."""
    left, seen = [Requirement(each) for each in wanted], set[str]()
    while left:
        one = left.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        yield one
        try:
            inner = [Requirement(each) for each in requires(one.name) or ()]
        except PackageNotFoundError:
            continue  # Of another system.
        left += [
            each
            for each in inner
            if not each.marker
            or any(each.marker.evaluate({**system, "extra": it}) for it in ("", *one.extras))
        ]


@pytest.mark.parametrize("name", WANTED)
def test_every_system_gets_one_version_of_all_that_it_needs(name: str) -> None:
    locked = pins(name)
    for system in SYSTEMS:
        here = [
            it
            for it in map(Requirement, WANTED[name])
            if not it.marker or it.marker.evaluate(system)
        ]
        for one in needed(list(map(str, here)), system):
            versions = counting(locked.get(canonicalize_name(one.name), []), system)
            where = f"{one} on {system['sys_platform']}, Python {system['python_version']}"
            assert len(versions) == 1, f"{name} has {versions} of {where}. Run: make lock"
            assert one.specifier.contains(versions[0], prereleases=True), (
                f"{name} has {versions[0]} of {where}. Run: make lock"
            )


def test_the_tests_run_with_the_versions_that_people_install() -> None:
    tests = pins("requirements-dev.lock")
    for lock in IMAGES.values():
        for name, found in pins(lock).items():
            for system in SYSTEMS:
                assert counting(tests[name], system) == counting(found, system), name


@pytest.mark.parametrize("name", WANTED)
def test_a_lock_file_names_no_place_to_download_from(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"--(?!hash=)|@|\.(org|com|whl|gz)\b", text)


def test_what_builds_the_package_is_locked_too() -> None:
    assert PROJECT["build-system"]["requires"] == GROUPS["build"]


def test_the_image_and_the_tests_install_nothing_without_a_checksum() -> None:
    for name, lock in {**IMAGES, "Makefile": "requirements-dev.lock"}.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        if name == "Makefile":
            text = text.replace("$(PIP_INSTALL)", "pip install")
            text = text[text.index("\n.venv/installed-for-tests:") : text.index("\nclean:")]
        found = re.findall(r"\bpip install ([^&\n]+)", text)
        assert len(found) == 2, name
        assert re.search(rf"--require-hashes -r {re.escape(lock)}\b", found[0]), name
        assert re.search(r"--no-deps --no-build-isolation (-e )?\.\s*$", found[1]), name


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_given_all_that_it_copies(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    copied = [
        each for line in re.findall(r"^COPY (?!--)(.+)$", text, re.M) for each in line.split()[:-1]
    ]
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert IMAGES[name] in copied
    assert all((ROOT / each).exists() and f"!{each}" in let_through for each in copied)
