"""The house: who may know whom, and what nobody does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tconnectsync"
ANYWHERE = {"errors", "redact", "config", "files", ""}
"""What every room may use; the empty name is the package itself, for its version."""
MAY_KNOW = {
    "domain": set(),
    "errors": set(),
    "redact": set(),
    "config": set(),
    "http": set(),
    "stop": set(),
    "files": set(),
    "lock": set(),
    "backlog": {"domain"},
    "api": {"http"},
    "sources": {"api", "domain"},
    "nightscout": {"domain", "http"},
    "sync": {"sources", "nightscout", "domain", "http"},
    # It wants to see what came, not what a source makes of it: hence api.
    "check": {"api", "sources", "nightscout", "domain"},
    "demo": {"domain", "sync"},
    "util": {"sources", "api"},
    "cli": {"stop", "lock", "backlog", "sync", "check", "sources", "domain", "util", "demo"},
    "__main__": {"cli"},
    "": {"util"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((PACKAGE.parent / "tests").rglob("*.py"))
RUNS_AT_IMPORT = (ast.For, ast.While, ast.With, ast.Try)


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tconnectsync"):
            parts = (node.module or "").split(".")
            yield from [parts[1]] if len(parts) > 1 else _names_in_package(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("tconnectsync"):
                    yield (*alias.name.split("."), "")[1]


def _names_in_package(node: ast.ImportFrom) -> list[str]:
    rooms = {room(path) for path in MODULES}
    return [alias.name if alias.name in rooms else "" for alias in node.names]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    tree = ast.parse(path.read_text())
    allowed = MAY_KNOW[room(path)] | ANYWHERE | {room(path)}
    assert set(imported_rooms(tree)) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_importing_a_module_does_nothing(path: Path) -> None:
    statements = ast.parse(path.read_text()).body[1:]
    calls = [n for n in statements if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    assert not calls
    assert not [node for node in statements if isinstance(node, RUNS_AT_IMPORT)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if room(path) in ("cli", "__main__"):
        return
    calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    names = {f.id if isinstance(f, ast.Name) else getattr(f, "attr", "") for f in calls}
    assert not names & {"print", "exit", "_exit"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_no_test_is_needed_for_another(path: Path) -> None:
    """What several tests use stands in `tests/support`, where it can be found."""
    imported = (
        node.module or ""
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
    )
    assert not [name for name in imported if name.startswith("tests.") and ".test_" in name]
