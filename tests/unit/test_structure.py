"""The house: who may know whom, and what nobody does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "tconnectsync"
ANYWHERE = {"clock", "errors", "redact", "config", "registry", ""}
"""What every room may use; the empty name is the package itself, for its version."""
REGISTRY = PACKAGE / "sources" / "registry.py"
"""The table of clouds: a room of its own, which knows the others by name only."""
MAY_KNOW = {
    "clock": set(),
    "domain": set(),
    "errors": set(),
    "redact": set(),
    "config": set(),
    "unreachable": set(),
    "http": {"unreachable"},
    "stop": set(),
    "state": {"domain"},
    "api": {"http", "state"},
    "registry": {"api", "check", "domain", "simulators", "sources"},
    "sources": {"api", "domain", "state"},
    "nightscout": {"domain", "http"},
    "sync": {"sources", "nightscout", "domain", "state", "cli"},
    "app": {"api", "sources", "nightscout", "sync", "domain", "state"},
    "check": {"api", "sources", "nightscout", "sync", "domain", "state"},
    "simulators": {"domain"},
    "util": {"sources", "api"},
    "cli": {
        "app",
        "stop",
        "state",
        "sync",
        "check",
        "sources",
        "nightscout",
        "domain",
        "util",
        "simulators",
    },
    "__main__": {"cli"},
    "": {"util"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((PACKAGE.parent / "tests").rglob("*.py"))
RUNS_AT_IMPORT = (ast.For, ast.While, ast.With, ast.Try)


def room(path: Path) -> str:
    if path == REGISTRY:
        return "registry"
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tconnectsync"):
            parts = (node.module or "").split(".")
            if parts[1:] == ["sources", "registry"]:
                yield "registry"
            else:
                yield from [parts[1]] if len(parts) > 1 else _names_in_package(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("tconnectsync"):
                    yield (*alias.name.split("."), "")[1]


def _names_in_package(node: ast.ImportFrom) -> list[str]:
    rooms = {room(path) for path in MODULES}
    return [alias.name if alias.name in rooms else "" for alias in node.names]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def test_imports_point_one_way() -> None:
    against = {
        name(path): wrong
        for path in MODULES
        if (
            wrong := set(imported_rooms(tree(path)))
            - MAY_KNOW[room(path)]
            - ANYWHERE
            - {room(path)}
        )
    }
    assert against == {}


def test_the_registry_imports_no_room_before_it_is_used() -> None:
    outside_of_types = ast.Module(
        [it for it in tree(REGISTRY).body if not isinstance(it, ast.If)], type_ignores=[]
    )
    assert set(imported_rooms(outside_of_types)) == {"errors"}


def test_no_cloud_is_built_on_another() -> None:
    others = {"tconnect": "tandemsource", "tandemsource": "tconnect"}
    across = [
        name(path)
        for room in ("api", "sources", "simulators")
        for cloud, other in others.items()
        for path in (PACKAGE / room / cloud).rglob("*.py")
        if f"tconnectsync.{room}.{other}" in path.read_text("utf-8")
    ]
    assert across == []


def test_importing_a_module_does_nothing() -> None:
    does_something = [
        f"{name(path)}:{statement.lineno}"
        for path in MODULES
        for statement in tree(path).body[1:]
        if isinstance(statement, RUNS_AT_IMPORT)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call))
    ]
    assert does_something == []


def test_only_the_command_line_prints_and_exits() -> None:
    prints = [
        f"{name(path)}:{call.lineno}"
        for path in MODULES
        if room(path) not in ("cli", "__main__")
        for call in ast.walk(tree(path))
        if isinstance(call, ast.Call)
        and (call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", ""))
        in ("print", "exit", "_exit")
    ]
    assert prints == []


def test_only_one_module_asks_the_computer_for_the_time() -> None:
    """All others are given a `Clock`, so that a test can set it and need not wait."""
    asking = re.compile(
        r"datetime\.(now|utcnow|today)\(|date\.today\(|time\.(time|sleep|monotonic|perf_counter)\b"
        r"|^ *(import|from) random\b",
        re.MULTILINE,
    )
    asks = [
        name(path)
        for path in MODULES
        if room(path) not in ("clock", "simulators") and asking.search(path.read_text("utf-8"))
    ]
    assert asks == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_no_test_is_needed_for_another() -> None:
    """What several tests use stands in `tests/support`, where it can be found."""
    needed = {
        name(path): node.module
        for path in TESTS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("tests.")
        and ".test_" in (node.module or "")
    }
    assert needed == {}
