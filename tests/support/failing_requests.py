"""Every request of a run may fail, in every way: makes it fail, runs once more, and looks.

Running this module (`python -m tests.support.failing_requests`) prints what comes of it as a table.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tconnectsync.cli import main
from tconnectsync.nightscout.devicestatus import LEFT, NOT_KNOWN
from tconnectsync.simulators.history import PumpHistory, between
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import CLOUDS, SECRET, Cloud, Computer, Finished, computer, days
from tests.support.expected import began_between
from tests.support.forked_command import TIME_LIMIT, run_forked
from tests.support.real_nightscout import NightscoutSite
from tests.support.settings import host
from tests.support.virtual_home import logging_restored

Document = dict[str, Any]
Contents = dict[str, list[Document]]
"""All that a Nightscout holds, by collection."""

FIRST = date(2024, 5, 6)
LAST = FIRST + timedelta(days=1)
UPLOADED = datetime(2024, 5, 7, 22)
"""When the pump has last uploaded, on its clock."""
TAKES_PASSWORD = "Tandem POST /cloud/oauth2/token"
"""Where 401 is all that t:connect says of a wrong password: a person has to try it once more."""
PATIENCE = 0.25
"""Seconds that the program waits for an answer that comes too late."""


# Ways to fail


@dataclass(frozen=True)
class Way:
    """How a request fails.

    ``answer`` is what the program gets. ``carried_out``: what it asked for is done nonetheless.
    ``kills``: the program gets no answer, because it is killed.
    """

    answer: Response | Fault
    carried_out: bool = False
    kills: bool = False


_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_LOGIN = b"<html><body><h1>Please log in</h1></body></html>"
WAYS = {
    "refused": Way(Fault.REFUSE),
    "dropped": Way(Fault.DROP),
    "reset": Way(Fault.RESET, carried_out=True),
    "late": Way(Response(b"[]", delay=4 * PATIENCE), carried_out=True),
    "401": Way(Response(b'{"status": 401, "message": "Unauthorized"}', 401)),
    "429": Way(Response(b"", 429, headers=[("Retry-After", "7")])),
    "500": Way(Response(b'{"message": "Internal Server Error"}', 500)),
    "502": Way(Response(_HTML, 502, "text/html"), carried_out=True),
    "object": Way(Response(b'{"unexpected": [1, null]}')),
    "list": Way(Response(b'[1, null, "unexpected"]')),
    "nothing": Way(Response(b"[]")),
    "204": Way(Response(b"", 204)),
    "login page": Way(Response(_LOGIN, 200, "text/html")),
    "done, nothing": Way(Response(b"[]"), carried_out=True),
    "done, 204": Way(Response(b"", 204), carried_out=True),
    "done, 500": Way(Response(b'{"message": "Mongo Error"}', 500), carried_out=True),
    "killed before": Way(Fault.DROP, kills=True),
    "killed after": Way(Fault.DROP, kills=True, carried_out=True),
}
LASTING = ("refused", "reset", "500")
"""The ways in which a request, and all of its kind, may also fail until the end of the run."""
UNPROVEN = ("nothing", "204", "login page", "done, nothing", "done, 204", "done, 500")
"""Answers to a write that do not show what was stored; to a read they would be plain lies."""
ONCE = tuple(way for way in WAYS if way not in ("refused", *UNPROVEN))
LIES = ("object", "list", "nothing", "204", "login page")
"""Answers that say that all went well, although nothing was done."""


@dataclass(frozen=True)
class Trouble:
    """Which request of a run fails, counted from 1, how, and whether its like do from then on."""

    number: int
    way: str
    lasting: bool

    @property
    def column(self) -> str:
        """Where it belongs in a table."""
        return f"{self.way}{'…' if self.lasting else ''}"

    def __str__(self) -> str:
        return f"request {self.number} {self.way}{' from then on' if self.lasting else ''}"


def place(service: str, request: Request) -> str:
    """Return what a request is for, without ids and dates."""
    path = re.sub(r"/[^/]*\d\d[^/]*", "/…", request.path)
    return f"{service} {request.method} {path}"


@dataclass
class Saboteur:
    """Sees every request of a run and spoils some; without a trouble it only looks on."""

    trouble: Trouble | None = None
    process: Future[int] = field(default_factory=Future)
    """The number of the run's process."""
    places: list[str] = field(default_factory=list)
    """What the requests were for."""

    def watch(self, service: str, server: LoopbackServer) -> None:
        """Be asked for every request to a server."""
        server.fault = lambda request: self._meet(service, server, request)

    def _meet(
        self, service: str, server: LoopbackServer, request: Request
    ) -> Response | Fault | None:
        self.places.append(place(service, request))
        if not self.trouble or not self._is_meant(self.trouble):
            return None
        way = WAYS[self.trouble.way]
        if way.carried_out:
            server.carry_out(request)
        if way.kills:
            os.kill(self.process.result(PATIENCE * 40), signal.SIGKILL)
        return way.answer

    def _is_meant(self, trouble: Trouble) -> bool:
        if len(self.places) < trouble.number:
            return False
        first = self.places[trouble.number - 1]
        is_first = len(self.places) == trouble.number
        return is_first or (trouble.lasting and self.places[-1] == first)


# What is run


def quiet_days() -> PumpHistory:
    """Return two days of which only an evening and a night are busy.

    What is to be written of them takes two requests for each kind of which there is most.
    """
    life = live(FIRST - timedelta(days=1), 3)
    life = began_between(life, datetime(2024, 5, 6, 18, 30), datetime(2024, 5, 7, 4))
    return replace(life, first_day=FIRST, days=2)


def quieter_days() -> PumpHistory:
    """Return the same days with little basal and few readings, all of it around midnight.

    There is as much of everything else. One request takes all of a kind: where it makes no
    difference how many there are, fewer are written and read sooner.
    """
    life = quiet_days()
    start, end = datetime(2024, 5, 6, 23, 20), datetime(2024, 5, 7, 0, 5)
    return replace(
        life, basal=between(life.basal, start, end), readings=between(life.readings, start, end)
    )


EVERY_FEATURE = {
    "tconnect": ("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB"),
    "tandem-source": (
        *("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB"),
        *("CGM", "CGM_ALERTS", "DEVICE_STATUS"),
    ),
}


def contents(site: SmallNightscout) -> Contents:
    """Return all that a small Nightscout holds."""
    return {
        "treatments": site.treatments,
        "entries": site.entries,
        "activity": site.activity,
        "profile": site.profiles,
        "devicestatus": site.device_statuses,
    }


def meaning(held: Contents) -> Contents:
    """Return what a Nightscout shows: without the names and times that it or the moment gave.

    That a reservoir was looked for in vain is a note for the next device status, which is left out.
    """
    given = {"profile": ("_id", "startDate", "created_at")}
    return {
        collection: sorted(
            (_without(d, (*given.get(collection, ("_id",)), *_in_vain(d))) for d in documents),
            key=repr,
        )
        for collection, documents in held.items()
    }


def _in_vain(document: Document) -> tuple[str, ...]:
    return (LEFT,) if document.get(LEFT) == NOT_KNOWN else ()


def _without(document: Document, names: Sequence[str]) -> Document:
    return {name: value for name, value in sorted(document.items()) if name not in names}


@dataclass(frozen=True)
class Result:
    """What came of a trouble: the first run's exit code, and what is wrong, if anything is."""

    trouble: Trouble
    place: str
    code: int
    wrong: str

    @property
    def mark(self) -> str:
        """What came of it, in one character of :func:`table`."""
        if self.wrong:
            return "!"
        return "+" if self.code == 0 else ">"

    def __str__(self) -> str:
        return f"{self.trouble} ({self.place}): {self.wrong}"


@dataclass(frozen=True)
class Site:
    """A Nightscout that is reached through ``server``, and what it holds."""

    server: LoopbackServer
    secret: str
    contents: Callable[[], Contents]


Sites = Callable[[], AbstractContextManager[Site]]
"""Gives a Nightscout as it is before the first run, as often as wanted."""


def small_sites(before: Contents, *, keyed_by_identifier: bool = True) -> Sites:
    """Return what gives small Nightscouts that hold something already, under new ids."""

    @contextmanager
    def fresh() -> Iterator[Site]:
        site = SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier)
        for collection, documents in before.items():
            site.insert([_without(document, ["_id"]) for document in documents], collection)
        with site:
            yield Site(site, SECRET, lambda: contents(site))

    return fresh


def real_sites(real: NightscoutSite) -> Sites:
    """Return what empties a real Nightscout and gives it through a server that may fail."""

    @contextmanager
    def fresh() -> Iterator[Site]:
        real.empty()
        with LoopbackServer(real.pass_on) as server:
            yield Site(server, real.secret, real.contents)

    return fresh


def run_here(home: Computer, arguments: Sequence[str]) -> Finished:
    """Run the command in this process, where it starts faster and its waiting takes no time."""
    output, errors = StringIO(), StringIO()
    with redirect_stdout(output), redirect_stderr(errors), logging_restored():
        code = main(arguments, host(home.folder, variables=home.variables))
    return Finished(code, output.getvalue(), errors.getvalue())


class Stage:
    """A simulated cloud and a Nightscout, and the program between them.

    ``places`` are what the requests of an undisturbed run are for, ``undisturbed`` is what
    Nightscout holds after it.
    """

    def __init__(self, tandem: Cloud, sites: Sites, folder: Path) -> None:
        self._tandem = tandem
        self._sites = sites
        self._folder = folder
        self._runs = 0
        with sites() as site:
            onlooker = Saboteur()
            finished = self._run(self._home(site), site, onlooker)
            assert finished.code == 0, finished.errors
            self.undisturbed = site.contents()
        self._due = meaning(self.undisturbed)
        self.places = onlooker.places

    def meet(self, trouble: Trouble) -> Result:
        """Run with a trouble, and once more without."""
        with self._sites() as site:
            home = self._home(site)
            first = self._run(home, site, Saboteur(trouble))
            after_first = meaning(site.contents())
            self._tandem.reopen()
            site.server.reopen()
            if first.code == 0 and after_first == self._due:
                second, after_second = first, after_first  # Nothing is left to catch up with.
            else:
                if self._is_refused(trouble):
                    run_here(home, ["--check-login"])
                second = self._run(home, site, Saboteur())
                after_second = meaning(site.contents())
        wrong = ". ".join(self._faults(trouble, first, after_first, second, after_second))
        return Result(trouble, self.places[trouble.number - 1], first.code, wrong)

    def _is_refused(self, trouble: Trouble) -> bool:
        return trouble.way == "401" and self.places[trouble.number - 1] == TAKES_PASSWORD

    def _faults(
        self,
        trouble: Trouble,
        first: Finished,
        after_first: Contents,
        second: Finished,
        after_second: Contents,
    ) -> Iterator[str]:
        killed = WAYS[trouble.way].kills
        usual = (2,) if self._is_refused(trouble) else (0, 1)
        if first.code not in ((-signal.SIGKILL,) if killed else usual):
            yield f"The first run ended with {first.code}: {first.errors}"
        for run in (first, second):
            if "Traceback" in run.errors or "should not have happened" in run.errors:
                yield run.errors
        if first.code == 1 and not re.search(r"failed\. \S.{20,}", first.errors):
            yield f"The first run did not say why it failed: {first.errors}"
        # Only what became of a deletion is not looked for: another run removes what is left.
        lied_to = trouble.way in LIES and " DELETE " in self.places[trouble.number - 1]
        if first.code == 0 and not lied_to:
            yield from self._differences("the first run", after_first)
        if second.code != 0:
            yield f"The second run ended with {second.code}: {second.errors}"
        yield from self._differences("the second run", after_second)

    def _differences(self, run: str, is_there: Contents) -> Iterator[str]:
        for name, due in self._due.items():
            if is_there[name] != due:
                missing = [document for document in due if document not in is_there[name]]
                extra = [document for document in is_there[name] if document not in due]
                yield (
                    f"After {run} {name} has {len(is_there[name])} documents instead of "
                    f"{len(due)}; missing: {missing[:2]}, not due: {extra[:2]}"
                )

    def _run(self, home: Computer, site: Site, saboteur: Saboteur) -> Finished:
        saboteur.watch("Tandem", self._tandem)
        saboteur.watch("Nightscout", site.server)
        source = home.variables["TCONNECT_SOURCE"]
        arguments = [*days(FIRST, LAST), "--features", *EVERY_FEATURE[source]]
        way = saboteur.trouble and saboteur.trouble.way
        if not way or (way != "late" and not WAYS[way].kills):
            return run_here(home, arguments)
        finished = run_forked(
            home.folder,
            home.environment,
            arguments,
            haste=1000,
            patience=PATIENCE if way == "late" else TIME_LIMIT,
            started=saboteur.process.set_result,
        )
        return Finished(*finished)

    def _home(self, site: Site) -> Computer:
        self._runs += 1
        folder = self._folder / str(self._runs)
        folder.mkdir(parents=True)
        home = computer(folder, self._tandem, site.server.url, site.secret)
        return replace(home, variables={**home.variables, "ENABLE_TESTING_MODES": "true"})


@contextmanager
def stage(
    source: str,
    folder: Path,
    sites: Sites,
    life: PumpHistory,
    until: datetime = UPLOADED,
) -> Iterator[Stage]:
    """Give a stage for a source and a life; ``folder`` is for what its runs leave behind."""
    with CLOUDS[source](life) as tandem:
        tandem.uploaded_until = until
        yield Stage(tandem, sites, folder)


def results(
    source: str,
    ways: Iterable[tuple[str, bool]],
    folder: Path,
    sites: Sites,
    life: PumpHistory,
    wanted: Callable[[str], bool] = lambda place: True,
) -> list[Result]:
    """Let every wanted request fail in each of the ways, with lasting or not; return what came."""

    with stage(source, folder, sites, life) as scene:
        return [
            scene.meet(Trouble(number, way, lasting))
            for way, lasting in ways
            for number, where in enumerate(scene.places, 1)
            if wanted(where)
        ]


def table(found: Iterable[Result]) -> str:
    """Return results as a table: a line for every request, a column for every way it failed.

    ``+``: the run itself made it good. ``>``: the run said that it failed, or was killed, and the
    next one made it good. ``!``: something is wrong.
    """
    cells = {(r.trouble.number, r.trouble.column): r.mark for r in found}
    places = {r.trouble.number: r.place for r in found}
    columns = list(dict.fromkeys(r.trouble.column for r in sorted(found, key=_column_order)))
    lines = [" | ".join(["", "request", *columns]), "|".join(["---"] * (len(columns) + 2))]
    for number, where in sorted(places.items()):
        marks = [cells.get((number, column), "") for column in columns]
        lines.append(" | ".join([str(number), where, *marks]))
    return "\n".join(lines)


def _column_order(result: Result) -> tuple[bool, int]:
    return result.trouble.lasting, list(WAYS).index(result.trouble.way)


EVERY_WAY = [*((way, False) for way in ONCE), *((way, True) for way in LASTING)]


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        for source in EVERY_FEATURE:
            found = results(source, EVERY_WAY, Path(folder) / source, small_sites({}), quiet_days())
            sys.stdout.write(f"{source}\n{table(found)}\n")
            sys.stdout.writelines(f"{result}\n" for result in found if result.wrong)
