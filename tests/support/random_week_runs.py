"""Lives through a week of :mod:`tests.support.random_weeks`, and says what is wrong at its end."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.careportal import Pages
from tests.support.command import EMAIL, PASSWORD, SECRET, Finished
from tests.support.command import days as dates
from tests.support.expected import insulin_shown
from tests.support.random_weeks import DAY, HOUR, Week
from tests.support.real_nightscout import Document
from tests.support.treatments import by_id, doubled
from tests.support.virtual_home import EVERY_FEATURE, Home, held

Answer = Response | Fault | None
EDITS: list[dict[str, Any]] = [
    {},
    {"enteredBy": "Mum"},
    {"enteredBy": ""},
    {"notes": "edited"},
    {"insulin": "1.25"},
    {"duration": "3"},
    {"absolute": "0.5"},
    {"eventType": "Meal Bolus"},
]


class LawHome(Home):
    """A home whose pumps upload as a week says."""

    week: Week

    def _move_to(self, moment: datetime) -> None:
        assert moment >= self.now
        self.now = moment
        self.week.upload(self.week.moment(moment))


@contextmanager
def law_home(week: Week, folder: Path, capture: pytest.CaptureFixture[str]) -> Iterator[LawHome]:
    """Give the home of a person who lives through a week."""
    with (
        SimulatedTandemSource(
            week.pumps[0], email=EMAIL, password=PASSWORD, zone=week.zone
        ) as tandem,
        SmallNightscout(
            SECRET, keyed_by_identifier=week.keyed_by_identifier, now=lambda: home.now
        ) as site,
    ):
        tandem.pumps = [*week.pumps[1:]]
        home = LawHome(
            tandem,
            site,
            folder=folder,
            capture=capture,
            features=EVERY_FEATURE["tandem-source"],
            changes={"ENABLE_TESTING_MODES": "true", "TIMEZONE_NAME": str(week.zone)},
        )
        home.week = week
        home.now = week.instant(week.begin)
        if len(week.pumps) > 1:
            home.changes["PUMP_SERIAL_NUMBER"] = None
        yield home


@dataclass
class Trouble:
    """What goes wrong with the requests of one run."""

    chance: Random
    often: float
    """How likely each request is to fail."""
    after: int
    """How many requests go well before."""
    refuses_changes: bool
    seen: int = 0

    def meet(self, server: LoopbackServer) -> Callable[[Request], Answer]:
        """Return a fault for a server."""
        return lambda request: self._answer(server, request)

    def _answer(self, server: LoopbackServer, request: Request) -> Answer:
        self.seen += 1
        if self.refuses_changes and request.method == "PUT":
            return Response(b'{"status": 500, "message": "Mongo Error"}', 500)
        if self.seen <= self.after or self.chance.random() >= self.often:
            return None
        html = Response(b"<html><body>Just a moment</body></html>", 200, "text/html")
        ways: list[Answer] = [Response(b"", 500), Response(b"", 503), Fault.DROP, Fault.RESET, html]
        if request.method == "POST" and "/api/v1/" in request.path:
            ways += 2 * [Response(b"[]")]
        if request.method != "GET" and self.chance.random() < 0.5:
            server.carry_out(request)
        return self.chance.choice(ways)


@dataclass
class Judge:
    """Lives through a week, and notes what is wrong."""

    home: LawHome
    chance: Random
    wrong: list[str] = field(default_factory=list)
    left: dict[str, Document] = field(default_factory=dict)
    """What a person has left of treatments, by their name in the database."""
    runs: list[tuple[datetime, bool, Finished]] = field(default_factory=list)
    """When each run was, by the person's own clock, whether it was disturbed, what it said."""

    def live(self) -> list[str]:
        """Run every one to three hours, then undisturbed; return what is wrong."""
        week, home = self.home.week, self.home
        pages = Pages(home.site.url, SECRET, home.site.insert)
        end = week.instant(week.end)
        home._move_to(week.instant(week.begin) + self.chance.uniform(2, 14) * HOUR)
        while home.now < end:
            disturbed = week.kinds.faults and self.chance.random() < 0.15
            self._run(disturbed)
            if week.kinds.edits and self.chance.random() < 0.1:
                self._edit(pages)
            home._move_to(home.now + timedelta(seconds=self.chance.randrange(3600, 3 * 3600)))
        # Late enough for what waits so that alarms stay loud.
        home.now = max(home.now, end + timedelta(minutes=20))
        week.upload_last()
        for _ in range(2):
            last = home.run()
        if last.code != 0:
            self.wrong.append(f"The last run ended with {last.code}: {last.errors}")
        self._look()
        return self.wrong

    def _run(self, disturbed: bool) -> None:
        home = self.home
        if disturbed:
            trouble = Trouble(
                self.chance,
                often=self.chance.choice((0.1, 0.3, 1.0)),
                after=self.chance.randrange(12),
                refuses_changes=self.chance.random() < 0.3,
            )
            for server in (home.site, home.tandem):
                if self.chance.random() < 0.7:
                    server.fault = trouble.meet(server)
        ran = home.run()
        home.site.fault = home.tandem.fault = None
        home.requests()
        moment = home.week.moment(home.now)
        self.runs.append((moment, disturbed, ran))
        is_fine = disturbed or home.week.kinds.wrong_dates or ran.code == 0
        if not is_fine or ran.code == 2 or "should not have happened" in ran.errors:
            self.wrong.append(f"The run at {moment} ended with {ran.code}: {ran.errors}")

    def _edit(self, pages: Pages) -> None:
        """Edit some treatments, the newest ones above all."""
        ours = [it for it in pages.treatments() if "checksum" in it and it["_id"] not in self.left]
        newest = {it["eventType"]: it for it in ours}
        some = list({it["_id"]: it for it in (*newest.values(), *ours[-40:])}.values())
        chosen = self.chance.sample(some, min(3, len(some)))
        for treatment in chosen:
            at = datetime.fromisoformat(treatment["created_at"]).astimezone(UTC)
            match self.chance.randrange(3):
                case 0:
                    pages.save(treatment, **self.chance.choice(EDITS))
                case 1:
                    pages.save(treatment, at - timedelta(minutes=self.chance.randrange(1, 60)))
                case 2:
                    moved = timedelta(minutes=31, milliseconds=self.chance.randrange(1, 999))
                    pages.drag(treatment, at - moved)
        stands = by_id(pages.treatments())
        self.left |= {it["_id"]: stands[it["_id"]] for it in chosen}

    def _look(self) -> None:
        home, week = self.home, self.home.week
        stands = by_id(Pages(home.site.url, SECRET, home.site.insert).treatments())
        for name, document in self.left.items():
            if stands.get(name) != document:
                self.wrong.append(f"An edit is lost: {document} became {stands.get(name)}")
        if twice := doubled(stands.values()):
            self.wrong.append(f"Doubled: {twice}")
        last = week.life.end.date()
        whole = dates(week.first - DAY, last)
        edited = {each["identifier"] for each in self.left.values()}
        fresh = SmallNightscout(
            SECRET, keyed_by_identifier=week.keyed_by_identifier, now=lambda: home.now
        )
        with fresh as site:
            once = home.run(*whole, NS_URL=site.url)
            wanted = _comparable(site, edited)
            shown = insulin_shown(site.treatments)
        if once.code != 0:
            self.wrong.append(f"The run over all days ended with {once.code}: {once.errors}")
        found = _comparable(home.site, edited)
        if found != wanted:
            self.wrong.append(_difference(found, wanted))
        for place, (is_shown, was_given) in enumerate(zip(shown, week.given(), strict=True)):
            if abs(is_shown - was_given) > 0.01:
                name = ("basal", "bolus")[place]
                self.wrong.append(f"{name}: {is_shown:.3f} U shown, {was_given:.3f} U given")
        written = home.site.writes
        for arguments in ((), whole):
            again = home.run(*arguments)
            if again.counts[:2] != (0, 0) or home.site.writes != written:
                self.wrong.append(f"Another run {arguments} changed {again.counts}: {again.errors}")


def _comparable(site: SmallNightscout, edited: set[str]) -> Counter[str]:
    """Return what a site holds to the second, without what a person edited."""
    kept: Counter[str] = Counter()
    for text, times in held(site).items():
        kind, document = json.loads(text)
        if document.get("eventType") == "Sensor Start":
            # Several pumps may have joined it, and any of their entries shows it.
            document.pop("pump_event_id", None)
        if document.get("identifier") not in edited:
            told = json.dumps([kind, document])
            kept[re.sub(r'("created_at": "[^"]*)\.\d{3}Z', r"\1Z", told)] += times
    return kept


def _difference(found: Counter[str], wanted: Counter[str]) -> str:
    missing, extra = wanted - found, found - wanted
    lines = [f"{missing.total()} missing, {extra.total()} not due"]
    lines += [f"- {each}" for each in sorted(missing, key=_when)[:8]]
    lines += [f"+ {each}" for each in sorted(extra, key=_when)[:8]]
    return "\n".join(lines)


def _when(text: str) -> str:
    document = json.loads(text)[1]
    return str(document.get("created_at") or document.get("dateString"))


def judged(week: Week, folder: Path, capture: pytest.CaptureFixture[str]) -> Judge:
    """Live through a week and return what became of it."""
    with law_home(week, folder, capture) as home:
        judge = Judge(home, Random(f"runs {week.seed}"))
        judge.live()
        return judge
