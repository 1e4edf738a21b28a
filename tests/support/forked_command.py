"""The command many times over, quickly: a process that has loaded it runs it in copies of itself.

A copy is a process as any other: it has its own environment and folder, and can be killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Self

from tests.support.command import CHECKOUT, TIME_LIMIT, Computer, Finished

LAUNCHER = """
import dataclasses, gc, json, os, sys
import arrow, authlib.integrations.requests_client, bs4, dotenv.main, joserfc.jwt, netrc
import platformdirs, requests
import tconnectsync.sources.tandemsource, tconnectsync.sources.tconnect, tconnectsync.util.cli
import tconnectsync.sync.run.window
from tconnectsync.app import this_computer
from tconnectsync.cli.main import main
from tests.support.clocks import NO_WAITING

send = requests.Session.request

def send_with_patience(self, method, url, *, timeout, **options):
    connect, read = timeout
    return send(self, method, url, timeout=(connect, min(read, job["patience"])), **options)

requests.Session.request = send_with_patience
bs4.BeautifulSoup("&amp;", "html.parser").select("a[href='b'] > i.c, #d:not(e)")
gc.freeze()
for line in sys.stdin:
    job = json.loads(line)
    process = os.fork()
    if not process:
        os.chdir(job["folder"])
        os.environ.clear()
        os.environ.update(job["variables"])
        for number, name in (1, "output"), (2, "errors"):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = main(job["arguments"], dataclasses.replace(this_computer(), clock=NO_WAITING))
        sys.stdout.flush()
        os._exit(code)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Waits between tries take no time. A request that sets itself no time limit is an error."""


class Launcher:
    """Runs the command again and again, one run at a time; use it with ``with``."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=TIME_LIMIT)

    def run(
        self,
        home: Computer,
        *arguments: str,
        patience: float = TIME_LIMIT,
        started: Callable[[int], None] = lambda process: None,
    ) -> Finished:
        """Run the command on a computer.

        ``patience`` is the longest time (seconds) a request may wait for an answer where it would
        wait longer; ``started`` is told the number of the process. A run that takes too long is
        killed.
        """
        job = {
            "folder": str(home.folder),
            "variables": {"HOME": str(home.folder), **home.variables},
            "arguments": arguments,
            "patience": patience,
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        process = self._number()
        limit = Timer(TIME_LIMIT, os.kill, (process, 9))
        limit.start()
        started(process)
        code = self._number()
        limit.cancel()
        return Finished(code, *(_text(home.folder / name) for name in ("output", "errors")))

    def _number(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
