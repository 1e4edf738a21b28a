"""What a run says: its first line, results by kind, progress, what is missing, and when."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tconnectsync import __version__
from tconnectsync.cli.options import Options, parse
from tconnectsync.cli.progress import progress
from tconnectsync.cli.results import documents_in_words
from tconnectsync.cli.say import NextLook, say_what_was_done, say_what_was_left_out
from tconnectsync.cli.startline import start_line
from tconnectsync.config.settings import Configuration, Settings
from tconnectsync.domain.clock import DAY, TimeRange
from tconnectsync.domain.words import number_of, wait_in_words
from tconnectsync.errors import NetworkError, UsageError
from tconnectsync.http import kind_of
from tconnectsync.logoutput import enable_logging
from tconnectsync.nightscout.eventtypes import COMBO_BOLUS, NOUNS, SGV, SITE_CHANGE, TEMP_BASAL
from tconnectsync.sources.base import Remark
from tconnectsync.sources.leftout import may_be_missing
from tconnectsync.sources.tandemsource.log.records import unknown_event
from tconnectsync.sync.loop.step import Next, Round
from tconnectsync.sync.run.outcome import Failure, Outcome
from tests.support.event_builders import NEW_YORK

NOON = datetime(2024, 3, 5, 12, tzinfo=UTC)
FAILURE = Failure(TimeRange(NOON - DAY, NOON), ("BASAL",), NetworkError("no answer"))


# -- the first line ------------------------------------------------------------------------------


def settings(**changes: str) -> Settings:
    variables = {
        "TCONNECT_EMAIL": "someone@example.org",
        "TCONNECT_PASSWORD": "correct horse",
        "NS_URL": "https://my-site.example.org/",
        "NS_SECRET": "a secret of good length",
        "TIMEZONE_NAME": "Europe/Berlin",
        "FEATURES": "BASAL,BOLUS",
    }
    return Configuration({**variables, **changes}, {}).settings()


def test_the_first_line_says_from_where_to_where_what_is_synced_and_in_which_zone() -> None:
    assert start_line(parse([]), settings()) == (
        f"tconnectsync {__version__}: Tandem Source to my-site.example.org; BASAL, BOLUS. "
        "Times are those of the pump, Europe/Berlin."
    )


def test_the_first_line_names_the_pump_where_the_cloud_does_not() -> None:
    line = start_line(
        parse([]), settings(TCONNECT_SOURCE="tconnect", PUMP_SERIAL_NUMBER="90210042")
    )
    assert "t:connect, pump …0042, to my-site" in line
    assert "90210042" not in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pretend"], ", nothing is written (--pretend);"),
        (["--auto-update"], " to my-site.example.org, continuously;"),
        (["--import-log", "/home/robin/my log.json"], ": my log.json, a saved log of Tandem Sou"),
    ],
)
def test_the_first_line_says_what_kind_of_run_it_is(arguments: list[str], words: str) -> None:
    line = start_line(parse(arguments), settings())
    assert words in line
    assert "robin" not in line


def test_the_first_line_shows_no_login_of_the_sites_address() -> None:
    line = start_line(parse([]), settings(NS_URL="https://robin:pass%40word@my-site.example.org"))
    assert " to my-site.example.org;" in line
    assert "robin" not in line


# -- results -------------------------------------------------------------------------------------


def test_a_result_counts_documents_by_kind_in_peoples_words() -> None:
    said = documents_in_words(
        {SITE_CHANGE: 1, COMBO_BOLUS: 6, TEMP_BASAL: 288},
        {TEMP_BASAL: 2},
        removed=1,
        unchanged=20,
        insulin={COMBO_BOLUS: 23.4},
    )
    assert said == (
        "New: 288 basals, 6 boluses (23.40 U), 1 site change. Changed: 2 basals. Removed: 1 basal, "
        "because another pump was in use. Unchanged: 20."
    )


def test_a_result_without_anything_new_says_so() -> None:
    assert documents_in_words({}, {}, removed=0, unchanged=3, insulin={}) == (
        "Nothing new. Unchanged: 3."
    )
    assert documents_in_words({}, {}, removed=0, unchanged=0, insulin={}) == "Nothing new."


def test_a_kind_without_a_word_of_its_own_is_not_forgotten() -> None:
    assert "2 Odd Things" in documents_in_words(
        {"Odd Thing": 2}, {}, removed=0, unchanged=0, insulin={}
    )


def test_every_kind_that_is_written_has_a_plural() -> None:
    assert {number_of(2, noun) for noun in NOUNS.values()} >= {
        "2 boluses",
        "2 carb entries",
        "2 activities",
        "2 glucose alerts",
        "2 finger sticks",
    }
    assert number_of(1, "bolus") == "1 bolus"
    assert number_of(2, "day") == "2 days"


def test_the_result_of_a_run_is_a_line_of_the_log_and_nothing_else(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome(
        created=7,
        updated=1,
        written=Counter({TEMP_BASAL: 6, COMBO_BOLUS: 2}),
        new=Counter({TEMP_BASAL: 5, COMBO_BOLUS: 2}),
        new_insulin={TEMP_BASAL: 1.0, COMBO_BOLUS: 3.25},
    )
    with caplog.at_level(logging.INFO, "tconnectsync"):
        say_what_was_done(outcome, Options(), NEW_YORK)
    assert caplog.messages == ["New: 5 basals, 2 boluses (3.25 U). Changed: 1 basal."]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(), "Nothing new."),
        (Outcome(kept=3), "Nothing new. Unchanged: 3."),
        (Outcome(failures=[FAILURE]), "Nothing was written."),
        (Outcome(kept=3, failures=[FAILURE]), "Nothing was written. Unchanged: 3."),
        (Outcome(others=["Profile: written"], failures=[FAILURE]), "Nothing new."),
    ],
)
def test_what_failed_is_not_said_to_hold_nothing_new(
    outcome: Outcome, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tconnectsync"):
        say_what_was_done(outcome, Options(), NEW_YORK)
    assert caplog.messages[0] == said


def test_what_was_pretended_ends_with_the_totals_of_basal_and_bolus(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = Outcome(
        written=Counter({TEMP_BASAL: 5, SGV: 1}),
        new=Counter({TEMP_BASAL: 5, SGV: 1}),
        new_insulin={TEMP_BASAL: 1.234},
        others=["Insulin on board: 1.2 U"],
    )
    say_what_was_done(outcome, Options(pretend=True), NEW_YORK)
    assert capsys.readouterr().out.splitlines() == [
        "Nothing was written (--pretend). In a real run:",
        "New: 5 basals (1.23 U), 1 sensor reading.",
        "Insulin on board: 1.2 U (not written: --pretend)",
    ]


# -- what is missing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "missing"),
    [
        (unknown_event(999, []), ""),
        (unknown_event(999, ["insulindelivered"]), "insulin"),
        (unknown_event(999), "insulin"),
        ("bolus without a plausible amount of insulin", "insulin"),
        ("basal with an impossible rate", "insulin"),
        ("unreadable bolus row", "insulin"),
        ("pump log entry without a time", "insulin"),
        ("therapy event of unknown type 'X'", "insulin"),
        ("something that nobody has thought of", "insulin"),
        ("carb entry with an impossible amount of carbs", "carbs"),
        ("impossible value of a bolus: carbs", "carbs"),
        ("impossible value of a bolus: glucose", ""),
        ("reading with an impossible value", ""),
        ("sleep whose end is not in the pump's log", ""),
    ],
)
def test_what_is_left_out_hides_insulin_unless_it_is_known_not_to(what: str, missing: str) -> None:
    assert may_be_missing(what) == missing


def test_what_is_left_out_says_whether_insulin_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    skipped = {
        unknown_event(999, []): 5,
        "unreadable bolus": 1,
        "carb entry with an impossible amount of carbs": 2,
    }
    with caplog.at_level(logging.INFO, "tconnectsync"):
        say_what_was_left_out(Outcome(skipped=Counter(skipped)))
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        (
            "WARNING",
            "Left out: unreadable bolus (once). Insulin may be missing in Nightscout because of "
            "that: compare the day with the pump's own history.",
        ),
        (
            "WARNING",
            "Left out: carb entry with an impossible amount of carbs (2 times). Carbs may be "
            "missing in Nightscout because of that, but no insulin.",
        ),
        (
            "INFO",
            "Left out: unknown pump log event 999 (5 times). No insulin is missing because of "
            "that.",
        ),
    ]


def test_only_what_a_person_can_do_something_about_is_more_than_information(
    caplog: pytest.LogCaptureFixture,
) -> None:
    remarks = [
        Remark("Missing."),
        Remark("Odd.", missing=False),
        Remark("Fine.", missing=False, asks_something=False),
    ]
    with caplog.at_level(logging.DEBUG, "tconnectsync"):
        say_what_was_done(Outcome(remarks=remarks), Options(), NEW_YORK)
    assert [each.levelname for each in caplog.records[1:]] == ["ERROR", "WARNING", "INFO"]


# -- --quiet -------------------------------------------------------------------------------------


def test_quiet_says_what_needs_a_person_and_verbose_says_all() -> None:
    levels = [parse(each).log_level for each in (["--quiet"], ["-q"], [], ["-v"])]
    assert levels == [logging.WARNING, logging.WARNING, logging.INFO, logging.DEBUG]
    with pytest.raises(UsageError, match="--quiet cannot be combined with --verbose"):
        parse(["--quiet", "--verbose"])


@pytest.mark.parametrize(
    "others",
    ["--pretend", "--auto-update", "--check-login", "--demo", "--days 3", "--import-log x"],
)
def test_quiet_goes_with_every_way_of_running(others: str) -> None:
    assert parse(["--quiet", *others.split()]).quiet


# -- progress ------------------------------------------------------------------------------------


def weeks(days: int) -> list[TimeRange]:
    starts = [*range(0, days, 7), days]
    return [TimeRange(NOON + one * DAY, NOON + other * DAY) for one, other in pairwise(starts)]


@pytest.mark.parametrize("days", [1, 7, 30, 90, 3650])
def test_a_log_says_now_and_then_how_many_days_are_done_and_left(
    days: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tconnectsync"):
        assert list(progress(weeks(days))) == weeks(days)
    assert len(caplog.messages) <= 20
    assert bool(caplog.messages) == (days > 28)
    if days == 90:
        assert caplog.messages == [
            "Day 28 of 90 is done; 62 days left.",
            "Day 56 of 90 is done; 34 days left.",
            "Day 84 of 90 is done; 6 days left.",
        ]


# -- the next look -------------------------------------------------------------------------------


def test_the_loop_says_when_it_looks_again_after_each_sync_and_hourly_while_it_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [NOON]
    look = NextLook(lambda: now[0], NEW_YORK)
    with caplog.at_level(logging.INFO, "tconnectsync"):
        for minutes in range(0, 125, 5):
            now[0] = NOON + timedelta(minutes=minutes)
            outcome = Outcome() if minutes in (0, 20) else None
            look.after_step(Next(300.0, round=Round(outcome)))
    assert caplog.messages == [f"Next look at {at}." for at in ("07:05", "07:25", "08:25")]


def test_the_loop_does_not_say_it_where_something_else_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    look = NextLook(lambda: NOON, NEW_YORK)
    with caplog.at_level(logging.INFO, "tconnectsync"):
        look.after_step(Next(30.0, round=Round(error=NetworkError("no answer"))))
        look.after_step(Next(exit_code=2))
    assert caplog.messages == []


def test_a_wait_is_in_seconds_as_long_as_people_count_them() -> None:
    assert [wait_in_words(each) for each in (35.4, 119, 600, 7200)] == [
        "35 s",
        "119 s",
        "10 minutes",
        "2 hours",
    ]


# -- the log -------------------------------------------------------------------------------------


@contextmanager
def restored_logging() -> Iterator[None]:
    logger = logging.getLogger("tconnectsync")
    before = logger.handlers, logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers, logger.level, logger.propagate = before


@pytest.mark.parametrize(
    ("zone", "shown"), [("America/New_York", "2024-03-05 07:00:00"), ("UTC", "2024-03-05 12:00:00")]
)
def test_the_log_shows_times_in_the_pumps_zone(zone: str, shown: str) -> None:
    with restored_logging():
        enable_logging(zone=ZoneInfo(zone))
        (handler,) = logging.getLogger("tconnectsync").handlers
        record = logging.LogRecord("tconnectsync", logging.INFO, "", 0, "Hello.", None, None)
        record.created = NOON.timestamp()
        assert handler.format(record) == f"{shown} INFO     Hello."


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://my-site.example.org/api/v1/treatments.json?find[x]=y", "treatments"),
        ("https://my-site.example.org/robin/api/v1/treatments/5f0e6a5c3f0b", "treatments"),
        ("https://source.example/api/reports/bff/pump-logs/1234?pumperId=5", "pump-logs"),
        ("https://example.org/cloud/usersettings/api/UserProfile?userId=7", "userprofile"),
        ("https://robin:secret@example.org/robin/90210042", "other"),
        ("https://example.org", "other"),
    ],
)
def test_the_log_says_what_a_request_is_for_and_nothing_personal(url: str, kind: str) -> None:
    assert kind_of(url) == kind


def test_a_letter_that_an_output_cannot_take_has_a_plain_one_instead() -> None:
    script = (
        "import sys\nfrom tconnectsync.cli.letters import take_plain_letters\n"
        "for stream in (sys.stdout, sys.stderr):\n    take_plain_letters(stream)\n"
        "print('It is \\u20260042 \\u2013 \\u201cf\\xfcr\\u201d')\n"
        "print('\\u20260042', file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert ran.stdout == 'It is ...0042 - "f\\xfcr"\n'
    assert ran.stderr == "...0042\n"


@pytest.mark.parametrize("columns", [80, 60, 132])
def test_the_help_is_no_wider_than_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) < max(columns, 80)
