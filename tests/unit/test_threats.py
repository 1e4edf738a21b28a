"""What the pages about safety say is true of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tconnectsync.check import checkoutput
from tconnectsync.cli import options, shape_report
from tconnectsync.cli.forget import KINDS
from tconnectsync.config import VARIABLES
from tconnectsync.nightscout.rights import NEEDED
from tconnectsync.sync.features import FEATURES
from tests.support.pages import ROOT, text_of

PACKAGE = ROOT / "tconnectsync"
MODULES = sorted(PACKAGE.rglob("*.py"))
THREATS = text_of("docs/threats.md")
PAGES = ("docs/threats.md", "docs/data.md", "SECURITY.md")
FILES = (
    *(".env", ".env.bak", "METRICS_FILE", checkoutput.FILE_NAME, shape_report.FILE_NAME),
    *(kind.replace("*", "0") for kind in KINDS if kind),
)
"""Files that the program leaves; of the name of some, a part differs."""
LOGINS = {"tconnect/android.py", "tconnect/weblogin.py", "tandemsource/login.py"}
"""Where something else than a plain question is sent to Tandem."""
RUNS_CODE = {
    *("eval", "exec", "compile", "__import__", "system", "popen", "Popen", "check_call"),
    *("check_output", "getoutput", "startfile", "literal_eval"),
}
LOADS_CODE = {"pickle", "marshal", "shelve", "dill", "yaml", "lxml", "ctypes", "code"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls in a file, each with the last part of the name of what is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name, node


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_as_a_proof_exists(page: str) -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text_of(page)))
    assert all((ROOT / each).is_file() for each in named), sorted(named)
    assert len(named) > 30 or page != "docs/threats.md"


def test_every_danger_has_a_proof() -> None:
    """Of the tables under the six headings; what is not in a test is marked with a dash."""
    parts = re.split(r"^## ", THREATS, flags=re.M)
    names = ("Spoofing", "Tampering", "Repudiation", "Information", "Denial", "Elevation")
    found = [part for part in parts if part.startswith(names)]
    assert [part.split()[0] for part in found] == list(names), "STRIDE's order"
    for part in found:
        rows = [row for row in part.splitlines() if row.startswith("| ") and "proof |" not in row]
        assert rows
        assert not [row for row in rows if "`tests/" not in row and not row.endswith("| – |")]


def test_nothing_is_sent_to_tandem_but_logins_and_questions() -> None:
    senders = {
        path.relative_to(PACKAGE / "api").as_posix()
        for path in (PACKAGE / "api").rglob("*.py")
        for name, call in calls(path)
        if name in ("post", "put", "patch", "delete")
        or (name == "request" and not _is_get(call))
        or any(keyword.arg == "post" for keyword in call.keywords)
    }
    assert senders == LOGINS


def _is_get(call: ast.Call) -> bool:
    return any(isinstance(each, ast.Constant) and each.value == "GET" for each in call.args)


def test_nothing_that_comes_from_outside_is_run() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            str(node.module).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and not node.level
        }
        assert not imported & LOADS_CODE, path
        for name, call in calls(path):
            is_pattern = name == "compile" and ast.unparse(call.func) == "re.compile"
            is_program = name == "run" and ast.unparse(call.func) == "subprocess.run"
            assert name not in RUNS_CODE or is_pattern, (path, ast.unparse(call))
            assert not is_program, path


def test_every_page_escapes_what_it_shows() -> None:
    for path in MODULES:
        for name, call in calls(path):
            if name == "Environment":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
                assert given.get("autoescape") == "True", path
            assert name != "Markup", path
    templates = [it for it in PACKAGE.rglob("*") if it.suffix in (".html", ".j2", ".jinja", ".svg")]
    for path in [*MODULES, *templates]:
        assert not re.search(r"\|\s*safe\b|autoescape false", path.read_text(encoding="utf-8")), (
            path
        )


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_is_left_is_named_with_its_mode(name: str) -> None:
    rows = re.findall(r"^\| (.+?) \| .*(?:private|readable by all)", THREATS, re.M)
    patterns = [each.replace("…", "*") for row in rows for each in re.findall(r"`([^`]+)`", row)]
    assert any(fnmatch(name, pattern) for pattern in patterns)


def test_the_least_rights_of_every_feature_are_those_that_the_code_needs() -> None:
    rows = re.findall(
        r"^\| ((?:`[A-Z_]+` ?)+) \| `(api:[\w:,]+)` \|$", text_of("docs/nightscout.md"), re.M
    )
    shown = {name: rights for names, rights in rows for name in re.findall(r"[A-Z_]+", names)}
    assert shown.keys() == FEATURES.keys()
    for name, feature in FEATURES.items():
        # Untouched basals are deleted only where an account has several pumps.
        verbs = [
            verb
            for verb in NEEDED[feature.collection]
            if (feature.collection, verb) != ("treatments", "delete")
        ]
        assert shown[name] == f"api:{feature.collection}:{','.join(verbs)}"


def test_no_option_takes_a_secret() -> None:
    secret = {"password", "secret", "token", "email", "url", "serial", "user", "proxy"}
    named = {
        word
        for action in options._parser()._actions
        for option in action.option_strings
        for word in option.strip("-").split("-")
    }
    assert any(variable.secret for variable in VARIABLES)
    assert not named & secret
