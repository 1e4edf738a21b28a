"""What a release is made of, and that anybody can build the same one."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tconnectsync import __version__
from tests.support.lockfiles import pins
from tests.support.release import ROOT, built_twice, sbom

pytestmark = pytest.mark.skipif(
    not (shutil.which("git") and (ROOT / ".git").exists()),
    reason="a release is built from a clone made by git, and this is none",
)


def tracked() -> set[str]:
    """Return the files that git knows and that are still there."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return {each for each in run.stdout.decode().split("\0") if each and (ROOT / each).exists()}


def test_two_builds_in_other_surroundings_are_the_same_and_hold_what_they_should(
    tmp_path: Path,
) -> None:
    one, other = built_twice(tmp_path)
    name = f"tconnectsync-{__version__}"
    assert one == other
    assert sorted(one) == [f"{name}-py3-none-any.whl", f"{name}.tar.gz"]

    (wheel,) = tmp_path.glob("*0/*.whl")
    with zipfile.ZipFile(wheel) as whole:
        in_wheel = {each for each in whole.namelist() if ".dist-info/" not in each}
    (archive,) = tmp_path.glob("*0/*.tar.gz")
    with tarfile.open(archive) as whole_source:
        members = whole_source.getmembers()
    in_archive = {each.name.removeprefix(f"{name}/") for each in members if each.isfile()}
    package = {each for each in in_archive if each.startswith("tconnectsync/")}
    assert in_wheel == package, "the wheel is the package and nothing else"
    assert tracked() - in_archive == set(), "packagers need all of it; see MANIFEST.in"
    assert {(each.uid, each.uname, each.gid, each.gname) for each in members} == {(0, "", 0, "")}


def test_the_list_of_components_is_whole_valid_and_names_nobody_s_computer() -> None:
    # Takes a second to import, which every process that collects the tests would spend.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = sbom()
    assert text == sbom()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    about = document["metadata"]
    assert (about["component"]["name"], about["component"]["version"]) == (
        "tconnectsync",
        __version__,
    )
    listed = {(each["name"], each["version"]) for each in document["components"]}
    locked = {
        (name, it.version) for name, found in pins("requirements.lock").items() for it in found
    }
    assert listed == locked
    root = next(it for it in document["dependencies"] if "dependsOn" in it)
    assert any(each.startswith("pkg:pypi/urllib3@") for each in root["dependsOn"])
    assert str(ROOT) not in text
    assert "://" not in text.replace(document["$schema"], "")


def test_what_a_run_leaves_here_gets_into_no_commit_and_no_release() -> None:
    left = [
        *(".env", ".env.bak", ".env.bak.1", "deploy/.env", "people/anna.env", "..env.a.new"),
        *("tconnectsync-check-output-anna.log", "tconnectsync-shapes.txt"),
        *("tconnectsync-report.html", "tconnectsync-demo-report.html"),
    ]
    run = subprocess.run(
        ["git", "check-ignore", "--no-index", *left, ".env.example"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert run.stdout.splitlines() == left
    excluded = (ROOT / "MANIFEST.in").read_text("utf-8").partition("global-exclude")[2].split()
    assert {".env", ".env.bak*", "*.env"} <= set(excluded)
