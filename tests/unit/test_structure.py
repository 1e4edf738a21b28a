"""The house: who may know whom, and what no room does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from tconnectsync.nightscout import eventtypes

PACKAGE = Path(__file__).parents[2] / "tconnectsync"
ANYWHERE = {"clock", "errors", "redact", "config", "clouds", "places", "now", ""}
"""What every room may use; the empty name is the package itself, for its version."""
MAY_KNOW = {
    "clock": set(),
    "now": set(),
    "places": set(),
    "domain": set(),
    "errors": set(),
    "redact": set(),
    "config": set(),
    "person": set(),
    "logoutput": {"person"},
    "exchange": set(),
    "unreachable": {"exchange"},
    "http": {"exchange", "unreachable"},
    "stop": set(),
    "state": {"domain"},
    "api": {"http", "exchange", "state"},
    "clouds": set(),
    "sources": {"api", "domain", "state"},
    "nightscout": {"domain", "http", "exchange"},
    "sync": {"sources", "nightscout", "domain", "state"},
    "history": {"sync", "sources", "domain"},
    "report": {"history", "nightscout", "sync", "domain"},
    "export": {"history", "sources", "sync", "domain", "state"},
    "watch": {"sync", "sources", "domain", "state", "http"},
    "app": {
        "history",
        "api",
        "sources",
        "nightscout",
        "sync",
        "check",
        "watch",
        "domain",
        "state",
        "http",
    },
    "check": {"api", "sources", "nightscout", "sync", "domain", "state"},
    "setup": {"api", "check", "nightscout", "sync", "domain", "state"},
    "simulators": {"domain"},
    "util": {"app", "api", "logoutput"},
    "cli": {
        "api",
        "app",
        "stop",
        "state",
        "sync",
        "check",
        "setup",
        "history",
        "report",
        "export",
        "watch",
        "sources",
        "nightscout",
        "domain",
        "logoutput",
        "person",
        "simulators",
    },
    "fleet": {"cli", "app", "sync", "watch", "state", "stop", "person", "logoutput"},
    "__main__": {"cli"},
    "pumpdata": {"app", "history", "sources", "sync", "domain"},
    "": {"util", "pumpdata", "history", "sources", "domain"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((PACKAGE.parent / "tests").rglob("*.py"))
WORDS_OF_A_CLOUD = (
    *("tandem", "t:connect", "tconnect ", "control-iq", "mobi", "nightscout", "json"),
    *('completed"', "aborted", "terminated", "(manual)", "(scheduled)", "carbonly", "autobolus"),
    *("deliveryevents", "temprate", "egv", "lid_", "standard/"),
)
"""Names of clouds, and what they call things; in small letters."""
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


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def nodes(path: Path) -> Sequence[ast.AST]:
    return [*ast.walk(tree(path))]


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


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


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {module_name(path): path for path in MODULES if path.stem != "__init__"}
    graph = {
        module: {
            found
            for node in nodes(path)
            if isinstance(node, ast.ImportFrom) and node.module
            for found in (node.module, *(f"{node.module}.{it.name}" for it in node.names))
            if found in modules
        }
        for module, path in modules.items()
    }
    assert list(TopologicalSorter(graph).static_order())


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
        for call in nodes(path)
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
        if room(path) not in ("clock", "now", "simulators")
        and asking.search(path.read_text("utf-8"))
    ]
    assert asks == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_the_domain_has_no_word_of_a_cloud() -> None:
    words = {
        name(path): found
        for path in MODULES
        if room(path) == "domain"
        if (found := {word for word in WORDS_OF_A_CLOUD if word in path.read_text("utf-8").lower()})
    }
    assert words == {}


def test_a_type_of_treatment_is_spelt_in_one_place() -> None:
    """Words like "Sleep" also mean other things; two of them together do not."""
    types = {value for value in vars(eventtypes).values() if isinstance(value, str)}
    types = {value for value in types if value.count(" ") == 1 and value != "CGM Alert"}
    assert len(types) > 8
    elsewhere = [
        f"{name(path)}:{node.lineno}"
        for path in MODULES
        if path != Path(eventtypes.__file__) and room(path) != "simulators"
        for node in nodes(path)
        if isinstance(node, ast.Constant) and node.value in types
    ]
    assert elsewhere == []


def test_no_test_is_needed_for_another() -> None:
    """What several tests use stands in `tests/support`, where it can be found."""
    needed = {
        name(path): node.module
        for path in TESTS
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("tests.")
        and ".test_" in (node.module or "")
    }
    assert needed == {}


def test_no_test_patches_the_program_or_the_time() -> None:
    """What a test replaces is passed in: a `Clock`, a `Host`, a function."""
    patched = {}
    for path in TESTS:
        text = path.read_text("utf-8")
        ours = {"time", "datetime"} | {
            alias.asname or alias.name
            for node in nodes(path)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tconnectsync")
            for alias in node.names
        }
        found = [
            ast.unparse(call)
            for call in nodes(path)
            if isinstance(call, ast.Call)
            and getattr(call.func, "attr", "") in ("setattr", "delattr", "setitem")
            and _is_patched(call.args[0], ours)
        ]
        found += re.findall(r"\b(?:time\.(?:sleep|monotonic|time)|datetime\.datetime) = .*", text)
        if found:
            patched[name(path)] = found
    assert patched == {}


def _is_patched(target: ast.expr, ours: set[str]) -> bool:
    if isinstance(target, ast.Constant):
        return str(target.value).startswith("tconnectsync")
    names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return bool(names & ours) or "__kwdefaults__" in ast.unparse(target)
