"""--setup on a terminal: what it asks, tries and writes, and when it writes nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dotenv import dotenv_values

from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedPump
from tests.support.command import (
    EMAIL,
    PASSWORD,
    SECRET,
    SERIAL,
    Cloud,
    Computer,
    addresses,
    cloud,
    tandem_source,
)
from tests.support.conversation import (
    COUNTRY,
    FEATURES,
    QUESTIONS,
    SITE,
    UNIT,
    WHAT_NOW,
    WRITE,
    ZONE,
    Conversation,
    conversation,
)
from tests.support.conversation import EMAIL as EMAIL_ADDRESS
from tests.support.conversation import PASSWORD as ITS_PASSWORD
from tests.support.conversation import SECRET as SITES_SECRET

PHOENIX = "America/Phoenix"
"""A zone whose clocks are never set."""
NOW = datetime.now(ZoneInfo(PHOENIX)).replace(tzinfo=None)
LIFE = live(NOW.date() - timedelta(days=1), 3)


@dataclass(frozen=True)
class Desk:
    """A computer, and the services that its owner knows the passwords of."""

    tandem: Cloud
    site: SmallNightscout
    home: Computer

    @property
    def env_file(self) -> Path:
        return self.home.folder / ".env"

    @property
    def written(self) -> dict[str, str | None]:
        """What the file says."""
        return dict(dotenv_values(self.env_file, interpolate=False))

    @property
    def logins(self) -> int:
        """How often a password was sent to Tandem."""
        return sum(entry.request.path == "/accounts/api/login" for entry in self.tandem.log)

    def answers(self) -> dict[str, str]:
        """Return what the owner answers, by the question."""
        return {
            COUNTRY: "United States",
            EMAIL_ADDRESS: EMAIL,
            ITS_PASSWORD: PASSWORD,
            SITE: self.site.url,
            SITES_SECRET: SECRET,
            ZONE: PHOENIX,
            FEATURES: "",
            WRITE: "",
        }

    def set_up(self, talk: Conversation, **unused: str) -> None:
        """Answer every question rightly."""
        for question, text in self.answers().items():
            talk.answer(question, text)


def desk_with(tandem: Cloud, site: SmallNightscout, folder: Path) -> Desk:
    tandem.uploaded_until = NOW - timedelta(minutes=12)
    # Nothing is on the PATH: neither systemd nor Docker.
    variables = {**addresses(tandem), "TZ": PHOENIX, "PATH": str(folder / "bin")}
    del variables["TCONNECT_SOURCE"]
    return Desk(tandem, site, Computer(folder, variables))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with tandem_source(LIFE, PHOENIX) as tandem, SmallNightscout(SECRET) as site:
        yield desk_with(tandem, site, tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder by their names, but for how many logins were sent when."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_asks_tries_and_writes_what_the_next_run_reads(desk: Desk) -> None:
    with conversation(desk.home) as talk:
        desk.set_up(talk)
        assert talk.end() == 0, talk.text

    assert desk.written == {
        "TIMEZONE_NAME": PHOENIX,
        "TCONNECT_REGION": "US",
        "TCONNECT_EMAIL": EMAIL,
        "TCONNECT_PASSWORD": PASSWORD,
        "NS_URL": desk.site.url,
        "NS_SECRET": SECRET,
        "FEATURES": "BASAL,BOLUS,PUMP_EVENTS,PROFILES,DEVICE_STATUS",
    }
    assert mode(desk.env_file) == 0o600
    assert PASSWORD not in talk.text
    assert SECRET not in talk.text
    assert "…0042, the one in use" in talk.text
    assert f"With {PHOENIX} the newest data were" in talk.text
    assert f"{desk.env_file} --pretend\n" in talk.text
    assert "crontab -e" in talk.text
    assert desk.site.writes == 0

    run = desk.home.run()
    assert run.code == 0, run.errors
    assert {"Temp Basal", "Combo Bolus"} <= {it["eventType"] for it in desk.site.treatments}
    # The first run takes the login that was made here.
    assert desk.logins == 1


def test_a_refused_password_is_not_sent_again(desk: Desk) -> None:
    with conversation(desk.home) as talk:
        talk.answer(COUNTRY, "usa")
        talk.answer(EMAIL_ADDRESS, EMAIL)
        talk.answer(ITS_PASSWORD, "not this one")
        talk.answer(WHAT_NOW, "1")
        talk.answer(ITS_PASSWORD, "not this one")
        talk.answer(WHAT_NOW, "1")
        assert "This was refused a moment ago." in talk.text
        talk.answer(ITS_PASSWORD, PASSWORD)
        talk.hear(SITE)
        assert desk.logins == 2
    assert not desk.env_file.exists()
    assert "Do not simply try again" in talk.text


def test_where_tandem_asks_for_more_the_same_password_can_be_tried_again(desk: Desk) -> None:
    def asks_for_more(request: Request) -> Response | None:
        is_login = request.path == "/accounts/api/login"
        return Response(b'{"status": "NEW_TERMS"}') if is_login else None

    desk.tandem.fault = asks_for_more
    with conversation(desk.home) as talk:
        talk.answer(COUNTRY, "usa")
        talk.answer(EMAIL_ADDRESS, EMAIL)
        talk.answer(ITS_PASSWORD, PASSWORD)
        talk.hear(WHAT_NOW)
        assert "asks for something more" in " ".join(talk.text.split())
        desk.tandem.fault = None
        talk.child.sendline("1")
        talk.hear(SITE)
    assert "Go on without testing this" in talk.text


def test_without_tandem_the_answers_are_written_untested(desk: Desk) -> None:
    desk.tandem.refuse()
    with conversation(desk.home) as talk:
        for question, text in desk.answers().items():
            if question == SITE:
                talk.answer(WHAT_NOW, "5")
            talk.answer(question, text)
        assert talk.end() == 0, talk.text
    assert desk.written["TCONNECT_PASSWORD"] == PASSWORD
    assert "Pump's log" not in talk.text


def test_the_other_region_is_tried_only_if_the_person_says_so(tmp_path: Path) -> None:
    europe = tandem_source(LIFE, PHOENIX)
    europe.login = type(europe.login)(EMAIL, PASSWORD, region="EU")
    with europe, SmallNightscout(SECRET) as site:
        desk = desk_with(europe, site, tmp_path)
        with conversation(desk.home) as talk:
            talk.answer(COUNTRY, "Canada")
            talk.answer(EMAIL_ADDRESS, EMAIL)
            talk.answer(ITS_PASSWORD, PASSWORD)
            talk.hear(WHAT_NOW)
            assert "Try the EU region (all other countries); its accounts are others" in talk.text
            before = len(europe.log)
            talk.child.sendline("4")
            talk.hear(SITE)
            assert "It is an account of the EU region." in talk.text
            assert len(europe.log) > before


def test_countries_are_understood_as_people_write_them(desk: Desk) -> None:
    with conversation(desk.home) as talk:
        talk.answer(COUNTRY, "Untied States")
        talk.answer(COUNTRY, "")
        talk.answer(COUNTRY, "deutschland")
        talk.hear(EMAIL_ADDRESS)
    assert "did you mean United States?" in talk.text
    assert "nothing was typed" in talk.text
    assert "Germany: the EU region (all other countries)." in talk.text


def test_a_wrong_site_and_a_wrong_secret_are_explained_and_asked_again(desk: Desk) -> None:
    with conversation(desk.home) as talk:
        talk.answer(COUNTRY, "us")
        talk.answer(EMAIL_ADDRESS, EMAIL)
        talk.answer(ITS_PASSWORD, PASSWORD)
        talk.answer(SITE, "http://127.0.0.1:9")
        talk.answer(WHAT_NOW, "")
        talk.answer(SITE, f"{desk.tandem.url}/some/where")
        talk.answer(WHAT_NOW, "1")
        talk.answer(SITE, f"{desk.site.url}/?token=abc-0123456789abcdef")
        talk.answer(SITE, f"{desk.site.url}/report")
        talk.hear(SITES_SECRET)
        asked = [entry.request.headers for entry in desk.site.log]
        assert asked
        assert not any("api-secret" in headers for headers in asked)
        talk.child.sendline("quite another secret")
        talk.answer(WHAT_NOW, "1")
        talk.answer(SITES_SECRET, "quite another secret")
        talk.answer(SITES_SECRET, SECRET)
        talk.hear(ZONE)
        verified = [it for it in desk.site.log if it.request.path.endswith("verifyauth")]
    assert len(verified) <= 2
    text = " ".join(talk.text.split())
    assert "nothing answers" in text
    assert "a token belongs in NS_SECRET" in text
    assert "Remove /report from NS_URL" in text
    assert "NS_SECRET is wrong" in text
    assert "The site refused this a moment ago" in text


def test_a_zone_that_the_pump_s_log_contradicts_is_asked_again(desk: Desk) -> None:
    with conversation(desk.home, TZ="Etc/UTC") as talk:
        for question, text in list(desk.answers().items())[:5]:
            talk.answer(question, text)
        talk.answer(ZONE, "Phoenix")
        talk.answer(ZONE, "Europe/Berlin")
        talk.answer("Keep Europe/Berlin all the same", "no")
        talk.answer(ZONE, PHOENIX)
        talk.answer(FEATURES, "basal bolus dreams")
        talk.answer(FEATURES, "basal, bolus")
        talk.answer(WRITE, "yes")
        assert talk.end() == 0
    text = " ".join(talk.text.split())
    assert "UTC-7 would fit" in text
    # That of a computer that names no place is not proposed.
    assert "such as Europe/Berlin: Phoenix" in text
    assert "DREAMS is not a feature" in text
    assert desk.written["TIMEZONE_NAME"] == PHOENIX
    assert desk.written["FEATURES"] == "BASAL,BOLUS"


def test_which_of_two_people_s_pumps_is_meant_says_the_person(desk: Desk) -> None:
    other = SimulatedPump(live(NOW.date() - timedelta(days=1), 3, seed=2), zone=ZoneInfo(PHOENIX))
    other.serial_number, other.assignment_id = "90211122", "11112222-3333-4444-5555-666677778888"
    other.uploaded_until = NOW - timedelta(minutes=5)
    desk.tandem.pumps.append(other)  # type: ignore[union-attr]
    with conversation(desk.home) as talk:
        for question, text in list(desk.answers().items())[:3]:
            talk.answer(question, text)
        talk.hear("Which of them belong")
        assert "…0042" in talk.text
        assert "…1122" in talk.text
        talk.child.sendline("2")
        for question, text in list(desk.answers().items())[3:]:
            talk.answer(question, text)
        assert talk.end() == 0, talk.text
    assert "It is t:slim X2 Insulin Pump …1122" in " ".join(talk.text.split())
    assert desk.written["PUMP_SERIAL_NUMBER"] == "90211122"
    assert "90211122" not in talk.text


def test_what_others_bring_to_the_site_decides_what_is_proposed(desk: Desk) -> None:
    now = datetime.now(UTC)
    entry = {"type": "sgv", "sgv": 120, "date": int(now.timestamp() * 1000), "device": "share2"}
    status = {"created_at": now.isoformat(), "device": "loop://phone", "pump": {"reservoir": 100}}
    bolus = {"eventType": "Meal Bolus", "insulin": 2, "created_at": now.isoformat()}
    desk.site.insert([entry], "entries")
    desk.site.insert([status], "devicestatus")
    desk.site.insert([{**bolus, "enteredBy": "loop://phone"}, {**bolus, "enteredBy": "xdrip"}])
    with conversation(desk.home) as talk:
        desk.set_up(talk)
        assert talk.end() == 0
    text = " ".join(talk.text.split())
    assert "Glucose comes from share2: leave out CGM." in text
    assert "loop://phone also writes basals or boluses." in text
    assert "Insulin was also entered by xdrip." in text
    assert "The state of a pump comes from loop://phone." in text
    assert desk.written["FEATURES"] == "BASAL,BOLUS,PUMP_EVENTS,PROFILES"


def test_a_token_s_missing_rights_decide_too(desk: Desk) -> None:
    rights = "api:treatments:read,create,update,delete api:status:read"
    desk.site.give_token("phone-0123456789abcdef", rights)
    with conversation(desk.home) as talk:
        for question, text in {
            **desk.answers(),
            SITES_SECRET: "phone-0123456789abcdef",
            FEATURES: "BASAL BOLUS PROFILES",
        }.items():
            talk.answer(question, text)
        assert talk.end() == 0, talk.text
    text = " ".join(talk.text.split())
    assert "PROFILES needs a right that the access token does not have." in text
    assert "DEVICE_STATUS needs a right" in text
    assert "[BASAL BOLUS PUMP_EVENTS]" in text
    assert "The role of the access token lacks api:profile:read." in text


OLD = """\
# my notes
TCONNECT_EMAIL=old@example.org
export TCONNECT_PASSWORD="say "hi""
MONGODB_URI=mongodb://elsewhere  # of another program

NS_URL=http://127.0.0.1:9
API_SECRET='{secret}'
NS_SKIP_TLS_VERIFY=true
TZ=America/Phoenix
"""


@pytest.mark.parametrize("question", [*QUESTIONS, WHAT_NOW])
def test_ctrl_c_at_any_question_leaves_everything_as_it_was(desk: Desk, question: str) -> None:
    desk.env_file.write_text(OLD, encoding="utf-8")
    before = files(desk.home.folder)
    with conversation(desk.home) as talk:
        answers = desk.answers()
        for each, text in answers.items():
            if each == question or (each == SITE and question == WHAT_NOW):
                break
            talk.answer(each, text)
        if question == WHAT_NOW:
            talk.answer(SITE, "http://127.0.0.1:9")
        talk.hear(question)
        assert talk.press_until_it_ends(talk.child.sendintr) == 1
    assert talk.text.endswith("\nStopped. Nothing was written; everything is as it was.\n")
    assert files(desk.home.folder) == before


@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGHUP", "hang up"])
@pytest.mark.parametrize("question", [ITS_PASSWORD, ZONE])
def test_whatever_else_ends_it_changes_nothing(desk: Desk, question: str, how: str) -> None:
    desk.env_file.write_text(OLD, encoding="utf-8")
    before = files(desk.home.folder)
    with conversation(desk.home) as talk:
        for each, text in desk.answers().items():
            if each == question:
                break
            talk.answer(each, text)
        talk.hear(question)
        if how == "hang up":
            talk.child.close(force=False)
        else:
            press = {"end of input": talk.child.sendeof}.get(
                how, lambda: talk.child.kill(getattr(signal, how))
            )
            assert talk.press_until_it_ends(press) == 1
            assert "Stopped. Nothing was written" in talk.text
    assert files(desk.home.folder) == before


def test_what_the_file_holds_besides_stays_and_the_old_one_is_kept(desk: Desk) -> None:
    old = OLD.format(secret=SECRET)
    desk.env_file.write_text(old, encoding="utf-8")
    desk.env_file.chmod(0o644)
    Path(f"{desk.env_file}.bak").write_text("older still", encoding="utf-8")
    with conversation(desk.home) as talk:
        talk.answer(COUNTRY, "us")
        talk.hear(EMAIL_ADDRESS)
        assert "[old@example.org]" in talk.text
        talk.child.sendline(EMAIL)
        talk.answer(ITS_PASSWORD, PASSWORD)
        talk.answer(SITE, desk.site.url)
        talk.hear(SITES_SECRET)
        assert "[kept as it is]" in talk.text
        talk.child.sendline("")
        talk.answer(ZONE, "")
        talk.answer(FEATURES, "BASAL BOLUS")
        talk.answer(WRITE, "y")
        assert talk.end() == 0, talk.text

    copy = Path(f"{desk.env_file}.bak.1")
    assert copy.read_text(encoding="utf-8") == old
    assert [mode(copy), mode(desk.env_file)] == [0o600, 0o600]
    assert Path(f"{desk.env_file}.bak").read_text(encoding="utf-8") == "older still"
    lines = desk.env_file.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == [
        "# my notes",
        f"TCONNECT_EMAIL={EMAIL}",
        f"TCONNECT_PASSWORD='{PASSWORD}'",
    ]
    assert "MONGODB_URI=mongodb://elsewhere  # of another program" in lines
    assert "TZ=America/Phoenix" in lines
    assert f"API_SECRET='{SECRET}'" in lines
    assert "NS_SECRET" not in desk.written
    assert desk.home.run("--pretend").code == 0


@pytest.mark.parametrize(
    "password",
    [
        "it's",
        'say "hi"',
        "both ' and \"",
        "ends with \\",
        "\\'\\\\\"",
        "$HOME ${HOME} `id`",
        "x #y",
        "#z",
        "=",
        "'quoted'",
        '"quoted"',
        "naïve pässwörd €",
        "\\n\\t%41",
    ],
)
def test_an_awkward_password_is_read_back_as_it_was_typed(tmp_path: Path, password: str) -> None:
    tandem = tandem_source(LIFE, PHOENIX)
    tandem.login = type(tandem.login)(EMAIL, password)
    with tandem, SmallNightscout(password) as site:
        desk = desk_with(tandem, site, tmp_path)
        changed = {ITS_PASSWORD: password, SITES_SECRET: password}
        with conversation(desk.home, "--env-file", "settings of mine.env") as talk:
            for question, text in {**desk.answers(), **changed}.items():
                talk.answer(question, text)
            assert talk.end() == 0, talk.text
        assert not desk.env_file.exists()
        written = dotenv_values(tmp_path / "settings of mine.env", interpolate=False)
        assert written["TCONNECT_PASSWORD"] == written["NS_SECRET"] == password
        tandem.login.tokens.clear()
        run = desk.home.run("--env-file", "settings of mine.env", CACHE_CREDENTIALS="false")
        assert run.code == 0, run.errors


def test_settings_in_the_user_s_folder_are_offered(desk: Desk) -> None:
    usual = desk.home.folder / ".config" / "tconnectsync" / ".env"
    usual.parent.mkdir(parents=True)
    usual.write_text(f"TCONNECT_EMAIL={EMAIL}\n", encoding="utf-8")
    folder = desk.home.folder / "elsewhere"
    folder.mkdir()
    variables = {**desk.home.variables, "HOME": str(desk.home.folder)}
    with conversation(Computer(folder, variables)) as talk:
        talk.answer("Which file", "")
        talk.answer(COUNTRY, "us")
        talk.answer(EMAIL_ADDRESS, "")
        for question, text in list(desk.answers().items())[2:]:
            talk.answer(question, text)
        assert talk.end() == 0, talk.text
    assert f"Change {usual}" in talk.text
    assert f"TCONNECT_PASSWORD='{PASSWORD}'" in usual.read_text(encoding="utf-8")
    assert list(folder.iterdir()) == []


def test_another_program_s_file_is_not_changed_unasked(desk: Desk) -> None:
    desk.env_file.write_text("API_SECRET=of another program\n", encoding="utf-8")
    with conversation(desk.home) as talk:
        talk.answer("Add those of tconnectsync to it", "")
        assert talk.end() == 2
    assert desk.env_file.read_text(encoding="utf-8") == "API_SECRET=of another program\n"


def test_it_needs_a_terminal(desk: Desk) -> None:
    run = desk.home.run("--setup")
    assert (run.code, run.output) == (2, "")
    assert run.errors.startswith("tconnectsync: --setup asks questions, so it needs a terminal.")
    assert run.errors.count("\n") == 1


def test_the_systemd_unit_is_written_only_when_asked(desk: Desk) -> None:
    program = desk.home.folder / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    unit = desk.home.folder / ".config" / "systemd" / "user" / "tconnectsync.service"
    for answer, is_there in (("", False), ("yes", True)):
        with conversation(desk.home) as talk:
            for question, text in desk.answers().items():
                if question == WRITE:
                    talk.answer(UNIT, answer)
                if answer and question == EMAIL_ADDRESS:
                    text = ""
                talk.answer(question, text)
            assert talk.end() == 0, talk.text
        assert unit.exists() is is_there
        assert "systemctl --user enable --now tconnectsync" in talk.text
    text = unit.read_text(encoding="utf-8")
    assert f"--env-file {desk.env_file} --auto-update\n" in text
    assert "RestartPreventExitStatus=2" in text


def test_t_connect_asks_for_the_pump_it_needs(tmp_path: Path) -> None:
    with cloud(LIFE) as tconnect, SmallNightscout(SECRET) as site:
        desk = desk_with(tconnect, site, tmp_path)
        with conversation(desk.home, "--source", "tconnect") as talk:
            for question, text in list(desk.answers().items())[1:]:
                if question == SITE:
                    talk.answer("Which of them belong", "1")
                talk.answer(question, text)
            assert talk.end() == 0, talk.text
        assert desk.written["TCONNECT_SOURCE"] == "tconnect"
        assert (desk.written["PUMP_SERIAL_NUMBER"] or "").lstrip("0") == SERIAL
        assert "TCONNECT_REGION" not in desk.written
        assert replace(desk.home).run().code == 0
