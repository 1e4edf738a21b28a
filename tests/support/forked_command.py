"""The command many times over, quickly: a process that has loaded it runs it in copies of itself.

A copy is a process as any other: it has its own environment and folder, and can be killed.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

CHECKOUT = Path(__file__).resolve().parents[2]

TIME_LIMIT = 300.0
"""Longest time (seconds) the command may take."""

LAUNCHER = """
import dataclasses, datetime, gc, importlib, json, os, pkgutil, sys, time, zoneinfo
import arrow, authlib.oauth2.client, bs4, dotenv.main, encodings.idna
import encodings.utf_8_sig, joserfc.jwt, platformdirs, re, tzdata, urllib3
import tconnectsync
for module in pkgutil.walk_packages(tconnectsync.__path__, "tconnectsync."):
    if not module.name.startswith(("tconnectsync.simulators", "tconnectsync.__main__")):
        importlib.import_module(module.name)
from tconnectsync.app import this_computer
from tconnectsync.cli import main
from tconnectsync.cli.options import parse
from tconnectsync.clock import Clock
from tconnectsync.config.settings import Configuration
from tconnectsync.redact import Redactor
from tconnectsync.sources import tandemsource, tconnect
from tconnectsync.sources.tandemsource.clock.zonerules import zone_rules

send = urllib3.PoolManager.urlopen

def send_with_patience(self, method, url, *, timeout, **options):
    read = min(timeout.read_timeout, job["patience"])
    patient = urllib3.Timeout(connect=timeout.connect_timeout, read=read)
    return send(self, method, url, timeout=patient, **options)

def clock_of(moment, haste):
    given = {}
    if moment:
        stands = datetime.datetime.fromisoformat(moment)
        given["now"] = lambda: stands
    if haste:
        given["sleep"] = lambda seconds: time.sleep(seconds / haste)
        given["monotonic"] = lambda: time.monotonic() * haste
    return Clock(**given)

urllib3.PoolManager.urlopen = send_with_patience
zone_rules(zoneinfo.ZoneInfo("America/New_York"))
bs4.BeautifulSoup("&amp;", "html.parser").select("a[href='b'] > i.c, #d:not(e)")
parse(["--start-date", "2024-05-06", "--end-date", "2024-05-06", "--features", "BASAL"])
Configuration({"TCONNECT_EMAIL": "a@example.org", "PUMP_SERIAL_NUMBER": "90210042"})
Redactor({"": "some secret 1"}).sentence("a@example.org")
for each in *tandemsource.shapes.endpoints(), *tconnect.shapes.endpoints():
    re.search(each.path, "/")
gc.freeze()
for line in sys.stdin:
    job = json.loads(line)
    process = os.fork()
    if not process:
        os.chdir(job["folder"])
        os.environ.clear()
        os.environ.update(job["variables"])
        time.tzset()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in (1, job["output"]), (2, job["errors"]):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        names = {"Clock": Clock, "clock": clock_of(job["moment"], job["haste"])}
        exec(job["patch"], names)
        code = main(job["arguments"], dataclasses.replace(this_computer(), clock=names["clock"]))
        sys.stdout.flush()
        os._exit(code)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""A request that sets itself no time limit is an error.

Patterns and tables that each copy would make for itself are made before.
"""


class _Launcher:
    """Runs the command again and again, one run at a time; ends when this process does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        atexit.register(self._process.communicate)

    def run(self, job: Mapping[str, object], started: Callable[[int], None]) -> int:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        process = self._number()
        limit = Timer(TIME_LIMIT, os.kill, (process, 9))
        limit.start()
        started(process)
        code = self._number()
        limit.cancel()
        return code

    def _number(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


_idle: list[_Launcher] = []


def run_forked(
    folder: Path,
    variables: Mapping[str, str],
    arguments: Sequence[str],
    *,
    moment: datetime | None = None,
    haste: float = 0,
    patch: str = "",
    patience: float = TIME_LIMIT,
    started: Callable[[int], None] = lambda process: None,
) -> tuple[int, str, str]:
    """Run the command in a folder; return its exit code, output and errors.

    Args:
        folder: the working directory.
        variables: all that is set.
        arguments: what follows the name of the command.
        moment: when the run takes place, if not now.
        haste: how many times as fast as ours its clock is, if it is.
        patch: Python that is run before; it may change the `clock`.
        patience: the longest time (seconds) a request may wait for an answer where it would wait
            longer.
        started: is told the number of the process. A run that takes too long is killed.
    """
    launcher = _idle.pop() if _idle else _Launcher()
    with TemporaryDirectory() as said:
        output, errors = Path(said, "output"), Path(said, "errors")
        job = {
            "folder": str(folder),
            "variables": dict(variables),
            "arguments": list(arguments),
            "moment": moment and moment.isoformat(),
            "haste": haste,
            "patch": patch,
            "patience": patience,
            "output": str(output),
            "errors": str(errors),
        }
        code = launcher.run(job, started)
        _idle.append(launcher)
        return code, output.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8")
