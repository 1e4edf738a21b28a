"""What keeps the program running on a system, ready to paste.

The examples in ``deploy/`` are made of the same texts.
"""

from __future__ import annotations

import plistlib
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

EVERY_MINUTES = 15
LABEL = "org.tconnectsync"
USER_UNIT = Path(".config/systemd/user/tconnectsync.service")
"""Where the user's own systemd looks for it, below the user's folder."""

UNIT = """\
[Unit]
Description=Copy insulin pump data from Tandem's cloud to Nightscout

[Service]
Type=notify
ExecStart={command}
WatchdogSec=15min
Restart=on-failure
# Exit code 2 means that a setting or a password has to be corrected first.
RestartPreventExitStatus=2
RestartSec=10min

[Install]
WantedBy=default.target
"""

TASK = """\
<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Copies insulin pump data from Tandem's cloud to Nightscout.</Description>
  </RegistrationInfo>
  <Triggers>
    <TimeTrigger>
      <Repetition><Interval>PT{minutes}M</Interval></Repetition>
      <StartBoundary>2026-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>true</RunOnlyIfNetworkAvailable>
    <ExecutionTimeLimit>PT6H</ExecutionTimeLimit>
    <Enabled>true</Enabled>
  </Settings>
  <Actions>
    <Exec>
      <Command>{command}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""


def cron_line(program: Sequence[str]) -> str:
    """Return the line for ``crontab -e``; in it, a percent sign would end the command."""
    command = shlex.join([*program, "--quiet"]).replace("%", r"\%")
    return f"*/{EVERY_MINUTES} * * * * {command}"


def user_unit(program: Sequence[str]) -> str:
    """Return the unit that a user's own systemd runs."""
    return UNIT.format(command=" ".join(map(_unit_word, [*program, "--auto-update"])))


def _unit_word(word: str) -> str:
    """Quote a word for systemd, which also replaces what follows ``%`` and ``$``."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def launchd_plist(program: Sequence[str], log: str) -> str:
    """Return the agent of macOS, which runs in the background while the user is logged in."""
    agent = {
        "Label": LABEL,
        # launchd would start it again whatever it says; with --stay it waits for a person.
        "ProgramArguments": [*program, "--auto-update", "--stay"],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 600,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    return plistlib.dumps(agent, sort_keys=False).decode()


def windows_task(program: Sequence[str]) -> str:
    """Return the task for the Task Scheduler of Windows."""
    command, *arguments = [*program, "--quiet"]
    return TASK.format(
        minutes=EVERY_MINUTES,
        command=escape(command),
        arguments=escape(subprocess.list2cmdline(arguments)),
    )


def windows_command(program: Sequence[str]) -> str:
    """Return the command that makes the same task."""
    command = subprocess.list2cmdline([*program, "--quiet"])
    words = ["schtasks", "/Create", "/TN", "tconnectsync", "/SC", "MINUTE"]
    return subprocess.list2cmdline([*words, "/MO", str(EVERY_MINUTES), "/TR", command])


def docker_command(env_file: str) -> str:
    """Return the command that starts a container; the image is that of the Dockerfile."""
    return (
        "docker run --detach --name tconnectsync --restart unless-stopped \\\n"
        f"  --env-file {shlex.quote(env_file)} \\\n"
        "  --volume tconnectsync-cache:/home/tconnectsync/.cache \\\n"
        "  tconnectsync --auto-update --stay"
    )


def to_paste(
    system: str, program: Sequence[str], env_file: Path, home: Path, *, has_docker: bool
) -> list[tuple[str, str]]:
    """Return what keeps it running, each with a sentence that says where it belongs.

    Args:
        system: as ``sys.platform`` names it.
        program: the words that start the program with the settings.
        env_file: the settings.
        home: the user's folder.
        has_docker: whether there is Docker.
    """
    if system == "win32":
        title = f"Every {EVERY_MINUTES} minutes, by Windows itself. Paste into a command prompt:"
        found = [(title, windows_command(program))]
    elif system == "darwin":
        plist = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        text = launchd_plist(program, str(home / "Library" / "Logs" / "tconnectsync.log"))
        load = f"launchctl bootstrap gui/$(id -u) {shlex.quote(str(plist))}"
        title = "Continuously, while you are logged in. Paste into a terminal:"
        found = [(title, f"{_here(plist, text)}\n{load}")]
    else:
        title = f"Every {EVERY_MINUTES} minutes, by cron. Run crontab -e and add the line:"
        found = [(title, cron_line(program))]
    if has_docker:
        title = "Or in a container. Build the image from a checkout (docker build -t tconnectsync"
        found.append((f"{title} .), then:", docker_command(str(env_file))))
    return found


def unit_to_paste(program: Sequence[str], home: Path) -> tuple[str, str]:
    """Return what writes the unit and switches it on."""
    text = f"{_here(home / USER_UNIT, user_unit(program))}\n{ENABLE}"
    return "Continuously, by systemd. Paste into a terminal:", text


ENABLE = """\
systemctl --user daemon-reload
systemctl --user enable --now tconnectsync
loginctl enable-linger   # so that it also runs while you are not logged in"""
"""What switches the unit on."""


def _here(path: Path, text: str) -> str:
    """Return shell commands that write a file."""
    folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    return f"mkdir -p {folder}\ncat > {file} <<'END'\n{text.rstrip()}\nEND"
