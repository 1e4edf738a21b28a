"""Builds a release so that one commit always gives the same bytes; lists what it depends on.

``make dist``, ``make rebuild-check`` and ``make sbom`` call it. Everything comes from the files
that git knows, so nothing else of this computer can get into a release.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tconnectsync import __version__

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
LOCK = "requirements.lock"
SURROUNDINGS = (
    ({"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"}, 0o022),
    ({"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "2"}, 0o077),
)
"""Variables and umasks of the two builds that are compared; their folders differ too."""


def main(task: str) -> int:
    """Do what a make target asks for; return the exit code."""
    if task == "dist":
        names = build(ROOT, DIST)
    elif task == "sbom":
        DIST.mkdir(exist_ok=True)
        names = [f"tconnectsync-{__version__}.cdx.json"]
        (DIST / names[0]).write_text(sbom(), encoding="utf-8")
    else:
        with TemporaryDirectory() as folder:
            one, other = built_twice(Path(folder))
        for name in sorted(one | other):
            is_same = one.get(name) == other.get(name)
            said = one[name] if is_same else "NOT the same in both builds"
            sys.stdout.write(f"{name}: {said}\n")
        return 0 if one == other else 1
    for name in names:
        checksum = hashlib.sha256((DIST / name).read_bytes()).hexdigest()
        sys.stdout.write(f"dist/{name}: {checksum}\n")
    return 0


def source_date(root: Path) -> str:
    """Return ``SOURCE_DATE_EPOCH`` as it is given, or the time of the last commit."""
    return os.environ.get("SOURCE_DATE_EPOCH") or _git(root, "log", "-1", "--format=%ct").strip()


def build(root: Path, to: Path) -> list[str]:
    """Build the source archive and, from that, the wheel; return their names."""
    moment = source_date(root)
    with TemporaryDirectory() as folder:
        tree, made = Path(folder) / "tree", Path(folder) / "made"
        copy_source(root, tree, int(moment))
        _run(
            *(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(tree)),
            env={**os.environ, "SOURCE_DATE_EPOCH": moment},
            umask=0o022,
        )
        for archive in made.glob("*.tar.gz"):
            archive.write_bytes(normalized(archive.read_bytes(), int(moment)))
        to.mkdir(parents=True, exist_ok=True)
        for path in made.iterdir():
            shutil.copy(path, to)
        return sorted(path.name for path in made.iterdir())


def copy_source(root: Path, to: Path, moment: int) -> None:
    """Copy what git knows, with modes and times that do not depend on this computer."""
    for line in _git(root, "ls-files", "--stage", "-z").split("\0")[:-1]:
        about, _, name = line.partition("\t")
        path = to / name
        if not (root / name).exists():
            continue  # It is being removed.
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, path)
        path.chmod(0o755 if about.startswith("100755") else 0o644)
        os.utime(path, (moment, moment))


def normalized(archive: bytes, moment: int) -> bytes:
    """Return a source archive without what differs from build to build: order, owners, times."""
    plain = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as before,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for member in sorted(before.getmembers(), key=lambda each: each.name):
            one = tarfile.TarInfo(member.name)
            one.type, one.size, one.mtime = member.type, member.size, moment
            one.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            after.addfile(one, before.extractfile(member) if member.isfile() else None)
    return gzip.compress(plain.getvalue(), mtime=moment)


def built_twice(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Build in two folders under different surroundings; return the checksums by file."""
    found = []
    for number, (variables, umask) in enumerate(SURROUNDINGS):
        to, scratch = folder / f"build number {number}", folder / ("t" * (9 * number + 1))
        scratch.mkdir()
        _run(
            *(sys.executable, "-c", _BUILD, str(ROOT), str(to)),
            env={**os.environ, **variables, "TMPDIR": str(scratch)},
            umask=umask,
        )
        found.append(
            {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in to.iterdir()}
        )
    return found[0], found[1]


_BUILD = (
    "import sys, pathlib, tests.support.release as r; r.build(*map(pathlib.Path, sys.argv[1:]))"
)


def sbom() -> str:
    """Return what a release depends on, as CycloneDX in JSON: every package of the lock.

    It is the same whenever and wherever it is made, and names no place to download from.
    """
    made = _run(
        *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", LOCK),
        *(
            "--pyproject",
            "pyproject.toml",
            "--output-reproducible",
            "--no-validate",
            "--of",
            "JSON",
        ),
        env={**os.environ, "SOURCE_DATE_EPOCH": source_date(ROOT)},
    )
    document = json.loads(made)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    root = document["metadata"]["component"] | {"version": __version__}
    document["metadata"]["component"] = root
    for tool in document["metadata"]["tools"]["components"]:
        tool.pop("externalReferences", None)
    only_to_build = {name_of(each) for each in project["dependency-groups"]["build"]}
    for component in document["components"]:
        component["bom-ref"] = component["purl"]
        component.pop("description", None)
        for reference in component.get("externalReferences", ()):
            reference |= {"url": component["purl"], "comment": "the files of this version"}
        if component["name"] in only_to_build:
            component["scope"] = "excluded"
    document["components"].sort(key=lambda each: each["purl"])
    document["dependencies"] = list(_dependencies(document, project["project"]))
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _dependencies(document: Mapping[str, Any], project: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what the program needs itself; what those packages need is among the components."""
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["notify"], *extras["socks"]]
    named = {name_of(each) for each in wanted}
    components = document["components"]
    direct = [each["purl"] for each in components if each["name"] in named]
    yield {"ref": document["metadata"]["component"]["bom-ref"], "dependsOn": direct}
    yield from ({"ref": each["purl"]} for each in components)


def name_of(requirement: str) -> str:
    """Return the name of a package, in the one spelling that stands for all."""
    name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(*words: str, env: Mapping[str, str], umask: int = -1) -> str:
    run = subprocess.run(
        words, cwd=ROOT, env=env, umask=umask, capture_output=True, encoding="utf-8", check=False
    )
    if run.returncode:
        sys.exit(run.stdout + run.stderr)
    return run.stdout


def _git(root: Path, *words: str) -> str:
    run = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, encoding="utf-8", check=False
    )
    if run.returncode:
        sys.exit("A release is built from a clone made by git; here, git knows no files.")
    return run.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
