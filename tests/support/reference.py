"""What docs, CONTRIBUTING, .env.example and deploy take from the code.

``make docs`` (``python -m tests.support.reference``) writes it; a test compares.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from tconnectsync.config import REQUIRED, RETIRED, VARIABLES, Variable
from tconnectsync.export.columns import KINDS
from tconnectsync.export.fileformat import COMMON
from tconnectsync.setup.keeprunning import LABEL, cron_line, launchd_plist, windows_task
from tconnectsync.sync.features import FEATURES, Feature

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tconnectsync"


def env_example() -> str:
    """Return the whole text of ``.env.example``."""
    return "\n".join(_env_lines()) + "\n"


def _env_lines() -> Iterator[str]:
    yield "# Copy this file to .env in the folder where tconnectsync runs, or to"
    yield "# ~/.config/tconnectsync/.env, and fill in the first part. Put single quotation marks"
    yield "# around values with blanks, quotation marks or #. On Linux and macOS: chmod 600 .env"
    for heading, variables in groupby(VARIABLES, key=lambda variable: variable.heading):
        yield ""
        yield f"# --- {heading} ---"
        for variable in variables:
            yield ""
            yield from _wrapped(variable.meaning)
            if heading == REQUIRED:
                yield f"{variable.name}={variable.placeholder}"
            else:
                yield f"#{variable.name}={variable.default}"


def _wrapped(text: str) -> Iterator[str]:
    line = "#"
    for word in text.split():
        if len(line) + 1 + len(word) > 88:
            yield line
            line = "#"
        line += f" {word}"
    yield line


def settings_tables() -> str:
    """Return the tables of variables."""
    lines: list[str] = []
    for heading, variables in groupby(VARIABLES, key=lambda variable: variable.heading):
        lines += [f"**{heading}**", "", "| variable | meaning | default |", "|---|---|---|"]
        lines += [_row(variable) for variable in variables]
        lines.append("")
    in_files = [f"`{variable.name}`" for variable in VARIABLES if variable.may_be_in_file]
    lines.append(
        f"Instead of {', '.join(in_files[:-1])} or {in_files[-1]}, a variable with `_FILE` at the "
        "end of its name may name a file that holds the value, such as a secret of Docker or a "
        "credential of systemd."
    )
    lines.append("")
    lines += ["**Without effect any more** (older versions had them)", ""]
    lines += ["| variable | why |", "|---|---|"]
    lines += [f"| `{name}` | {reason} |" for name, reason in RETIRED.items()]
    return "\n".join(lines)


def _row(variable: Variable) -> str:
    others = ", ".join(f"`{name}`" for name in variable.instead)
    name = f"`{variable.name}`" + (f" (or {others})" if others else "")
    default = f"`{variable.default}`" if variable.default else ""
    return f"| {name} | {variable.meaning} | {default} |"


def feature_table() -> str:
    """Return the table of features."""
    lines = ["| feature | on by default | what appears in Nightscout |", "|---|---|---|"]
    for feature in FEATURES.values():
        default = "yes" if feature.default else ""
        lines.append(f"| `{feature.name}` | {default} | {feature.meaning}{_where(feature)} |")
    return "\n".join(lines)


def _where(feature: Feature) -> str:
    if feature.lacking:
        return f" (not on {', '.join(feature.lacking)})"
    return f" (testing on {' and '.join(feature.testing)})" if feature.testing else ""


def export_columns() -> str:
    """Return the tables of the columns of exported files."""
    common, others = KINDS[0].columns[:COMMON], [kind.columns[COMMON:] for kind in KINDS]
    titled = [("All files begin with", "What every row says.", common)]
    titled += [(it.name, it.meaning, own) for it, own in zip(KINDS, others, strict=True)]
    lines: list[str] = []
    for title, meaning, columns in titled:
        lines += [f"### {title}", "", meaning, "", "| column | type | what it says |"]
        lines += ["|---|---|---|"]
        lines += [f"| `{it.name}` | {it.type} | {it.meaning} |" for it in columns]
        lines.append("")
    return "\n".join(lines[:-1])


def rooms() -> str:
    """Return CONTRIBUTING's list of every folder and file, each with what it says of itself."""
    lines: list[str] = []
    for folder in sorted({path.parent for path in PACKAGE.rglob("*.py")}):
        lines += [f"**`{folder.relative_to(ROOT)}/`** {_purpose(folder / '__init__.py')}", ""]
        lines += ["| file | what it is for |", "|---|---|"]
        lines += [
            f"| `{path.name}` | {_purpose(path)} |"
            for path in sorted(folder.glob("*.py"))
            if path.name != "__init__.py"
        ]
        lines.append("")
    return "\n".join(lines[:-1])


def _purpose(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace(":func:", "")


GENERATED: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/settings.md": {"settings": settings_tables},
    "docs/nightscout.md": {"features": feature_table},
    "docs/export.md": {"columns": export_columns},
    "CONTRIBUTING.md": {"rooms": rooms},
}
"""The pages with parts that are made of the code: the name of each part, and what makes it."""


def page(file: str) -> str:
    """Return one of these pages with its parts made anew."""
    whole = (ROOT / file).read_text(encoding="utf-8")
    for name, text in GENERATED[file].items():
        begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
        before, _, rest = whole.partition(begin)
        whole = f"{before}{begin}\n{text()}\n{end}{rest.partition(end)[2]}"
    return whole


CRONTAB = """\
# Add these lines to your own: run crontab -e, paste them, adapt the folder, which holds .venv and
# .env. (crontab FILE would replace all that you have there.) --quiet says only what needs you, so
# cron mails nothing on a good day.
{}
# Once a week the last two weeks, for data that reached Tandem late.
{} --days 14
"""
PLIST = """\
<!-- Runs continuously while you are logged in. Replace YOU by your name, copy it to
     ~/Library/LaunchAgents, then:
     launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/{}.plist -->
"""
TASK = """\
<!-- Runs every 15 minutes while you are logged in. Replace YOU by your name, then:
     schtasks /Create /TN tconnectsync /XML windows-task.xml -->
"""


def deploy_files() -> dict[str, str]:
    """Return the files of ``deploy/`` that are made of the texts of ``--setup``, by their names."""
    line = cron_line(_installed("/opt/tconnectsync/.venv/bin/tconnectsync"))
    home = "/Users/YOU"
    mac = _installed(f"{home}/tconnectsync/.venv/bin/tconnectsync")
    windows = r"C:\Users\YOU\tconnectsync"
    task = windows_task(
        [rf"{windows}\.venv\Scripts\tconnectsync.exe", "--env-file", rf"{windows}\.env"]
    )
    plist = launchd_plist(mac, f"{home}/Library/Logs/tconnectsync.log")
    return {
        "crontab": CRONTAB.format(line, line.replace("*/15 * * * *", "5 3 * * 0")),
        f"{LABEL}.plist": plist.replace("<plist ", f"{PLIST.format(LABEL)}<plist "),
        "windows-task.xml": task.replace("<Task ", f"{TASK}<Task "),
    }


def _installed(program: str) -> list[str]:
    """Return the words that start a program with the settings in the folder of its ``.venv``."""
    return [program, "--env-file", f"{program.partition('/.venv')[0]}/.env"]


def main() -> None:
    """Write all of these files."""
    for file, text in deploy_files().items():
        (ROOT / "deploy" / file).write_text(text, encoding="utf-8")
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
    for file in GENERATED:
        (ROOT / file).write_text(page(file), encoding="utf-8")


if __name__ == "__main__":
    main()
