"""Two people's pumps in one account never end up in one Nightscout, and one person's all do."""

from __future__ import annotations

import json
import stat
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tconnectsync.errors import LoginError, NetworkError, PumpChoiceError
from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.pumps import PumpChange, SimulatedPump, change_pumps
from tconnectsync.sources.tandemsource.pumps.overlaps import FILE
from tests.support.accounts import DAY, FIRST, ZONE, Account, span, wall

LIFE, OTHER_LIFE = live(FIRST, 8, seed=3), live(FIRST, 8, seed=11)
SERIALS = ("90210042", "90211717")
LAST_DAY = span(7, 8)


def two_people(
    together_from: float = 0, until: float = 8, *, other: PumpHistory = OTHER_LIFE
) -> Account:
    """Return the account of two people, of whom the second has a pump for some days only."""
    one = SimulatedPump(LIFE, zone=ZONE, serial=SERIALS[0], uploaded_until=wall(8))
    two = SimulatedPump(
        other, zone=ZONE, serial=SERIALS[1], began=wall(together_from), ended=wall(until)
    )
    two.uploaded_until = wall(min(until + 0.1, 8))
    return Account(one, two)


def choice_of(account: Account, now: float = 8, **options: object) -> set[str]:
    """Return the ends of the serial numbers of the pumps that are read for the last day."""
    source = account.source(wall(now), **options)  # type: ignore[arg-type]
    spans = source.pumps(span(now - 1, now))
    return {it.name[-4:] for it in spans if it.is_read}


def test_two_people_are_asked_to_name_the_pump_with_all_that_they_need_to_know() -> None:
    with pytest.raises(PumpChoiceError) as raised:
        choice_of(two_people())
    text = str(raised.value)
    assert "…0042" in text
    assert "…1717" in text
    assert "PUMP_SERIAL_NUMBER" in text
    assert "two people" in text
    assert not any(serial in text for serial in SERIALS)
    assert (raised.value.exit_code, raised.value.fatal, raised.value.can_retry) == (2, True, False)


@pytest.mark.parametrize("days", [0, 1, 2, 2.5])
def test_two_people_are_recognised_however_few_days_a_run_may_catch_up(days: float) -> None:
    with pytest.raises(PumpChoiceError, match="two people"):
        choice_of(two_people(), catch_up_days=days)


def test_with_a_serial_number_no_one_is_asked_and_only_that_pump_is_read() -> None:
    account = two_people()
    source = account.source(wall(8), serial=SERIALS[1])
    spans = source.pumps(LAST_DAY)
    assert [(it.name[-4:], it.is_read) for it in spans] == [("0042", False), ("1717", True)]
    assert account.asked == ["pumper"]
    source.read(LAST_DAY).boluses()
    assert account.asked == ["pumper", "1717"]


def test_a_serial_number_that_the_account_does_not_have_is_one_request() -> None:
    account = two_people()
    for ask in ("pumps", "upload_counter"):
        source = account.source(wall(8), serial="12345678")
        with pytest.raises(PumpChoiceError, match="…0042, …1717"):
            source.pumps(LAST_DAY) if ask == "pumps" else source.upload_counter()
    assert account.asked == ["pumper", "pumper"]


@pytest.mark.parametrize("days", [1, 1.9])
def test_logs_that_share_no_more_than_two_days_raise_no_question(days: float) -> None:
    account = two_people(8 - days)
    assert choice_of(account) == {"0042", "1717"}
    assert account.asked == ["pumper"]


def test_a_replaced_pump_raises_no_question() -> None:
    account = Account(*change_pumps(LIFE, PumpChange(wall(4.4)), zone=ZONE))
    assert choice_of(account) == {"0042", "1717"}
    assert account.asked == ["pumper"]


def test_a_suspended_pump_in_a_drawer_is_one_person_s() -> None:
    change = PumpChange(wall(2.4), in_drawer=7 * DAY)
    account = Account(*change_pumps(LIFE, change, zone=ZONE))
    assert choice_of(account) == {"0042", "1717"}
    assert sorted(account.asked) == ["0042", "1717", "pumper"]


def test_a_person_may_say_that_both_pumps_are_theirs() -> None:
    account = two_people(3, 7)
    with pytest.raises(PumpChoiceError, match="set PUMP_SERIAL_NUMBER to both numbers"):
        choice_of(account)
    both = ",".join(SERIALS)
    assert choice_of(account, serial=both) == {"0042", "1717"}
    with pytest.raises(PumpChoiceError, match="has no pump with the serial number"):
        choice_of(account, serial=f"{SERIALS[0]},12345678")


def test_no_one_can_say_that_two_pumps_which_are_both_worn_are_theirs() -> None:
    account = two_people()
    with pytest.raises(PumpChoiceError, match="two people"):
        choice_of(account, serial=",".join(SERIALS))


def test_an_overlap_long_ago_stops_no_run_but_one_for_a_range_that_has_it() -> None:
    account = two_people(1, 6)
    assert choice_of(replaced_life(account), catch_up_days=1) == {"0042", "1717"}
    source = account.source(wall(8), catch_up_days=1)
    with pytest.raises(PumpChoiceError):
        source.pumps(span(1, 6))


def replaced_life(account: Account) -> Account:
    account.asked.clear()
    return account


def test_an_overlap_out_of_the_days_of_catching_up_costs_nothing() -> None:
    account = two_people(1, 6)
    choice_of(account, catch_up_days=1)
    assert account.asked == ["pumper"]


# While it cannot be decided


def test_while_it_cannot_be_decided_only_the_pump_in_use_is_read_and_this_is_said() -> None:
    left_running = SimulatedPump(LIFE, zone=ZONE, began=wall(5), uploaded_until=wall(8))
    suspended = SimulatedPump(
        stopped_for_a_while(OTHER_LIFE, 5.5, 7.2),
        zone=ZONE,
        serial=SERIALS[1],
        began=wall(5),
        uploaded_until=wall(8),
    )
    account = Account(left_running, suspended)
    source = account.source(wall(8))
    spans = {it.name[-4:]: it for it in source.pumps(LAST_DAY)}
    (read,) = [name for name, it in spans.items() if it.is_read]
    reader = source.read(LAST_DAY)
    assert reader.boluses()
    (remark,) = reader.remarks
    assert (remark.missing, remark.heals) == (True, True)
    assert "not clear yet whether two people" in remark.text
    assert f"insulin of …{next(name for name in spans if name != read)} is missing" in remark.text


def stopped_for_a_while(life: PumpHistory, begin: float, end: float) -> PumpHistory:
    basal = [it for it in life.basal if it.end <= wall(begin) or it.start >= wall(end)]
    boluses = [it for it in life.boluses if not wall(begin) <= it.requested < wall(end)]
    return replace(life, basal=basal, boluses=boluses, suspensions=())


def test_a_log_that_cannot_be_compared_leaves_only_the_pump_in_use() -> None:
    account = two_people(1)
    account.failing[SERIALS[0]] = NetworkError("No answer")
    source = account.source(wall(8))
    spans = source.pumps(LAST_DAY)
    assert [it.is_read for it in spans].count(True) == 1
    reader = source.read(LAST_DAY)
    reader_remarks = _remarks(reader)
    assert "because a log cannot be read: No answer" in reader_remarks


def _remarks(reader: object) -> str:
    from tconnectsync.sources.tandemsource.pumps.allpumps import AllPumpsReader

    assert isinstance(reader, AllPumpsReader)
    with suppress(NetworkError):
        reader.boluses()
    return " ".join(it.text for it in reader.remarks)


def test_a_login_that_is_refused_ends_the_comparison() -> None:
    account = two_people(1)
    account.failing[SERIALS[0]] = LoginError("Wrong password", 401)
    with pytest.raises(LoginError):
        choice_of(account)


# From run to run


def test_the_logs_are_not_compared_again_before_another_day_has_passed(tmp_path: Path) -> None:
    drawer = PumpChange(wall(1.4), in_drawer=7 * DAY)
    old, new = change_pumps(LIFE, drawer, zone=ZONE)
    account = Account(old, new)
    asked = []
    for hours in (120, 121, 130, 143, 145, 146):
        now = hours / 24
        old.uploaded_until = new.uploaded_until = wall(now)
        account.asked.clear()
        assert choice_of(account, now, folder=tmp_path) == {"0042", "1717"}
        asked.append(len(account.asked))
    assert asked == [3, 1, 1, 1, 3, 1]


def test_two_people_stay_two_until_the_overlap_is_out_of_the_days_of_catching_up(
    tmp_path: Path,
) -> None:
    account = two_people(0, 3.5)
    for now, days in ((4.2, 14), (5, 3), (6, 3), (6.9, 3)):
        account.asked.clear()
        with pytest.raises(PumpChoiceError):
            choice_of(account, now, folder=tmp_path, catch_up_days=days)
        assert len(account.asked) == (3 if now == 4.2 else 1)
    assert choice_of(account, 8, folder=tmp_path, catch_up_days=2) == {"0042", "1717"}


def test_what_is_kept_is_private_and_says_nothing_about_pumps_or_people(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with pytest.raises(PumpChoiceError):
        choice_of(two_people(), folder=folder)
    path = folder / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    (kept,) = json.loads(text).values()
    assert set(kept) == {"first", "last", "both", "worn"}
    assert not any(part in text for part in ("0042", "1717", "slim", "Sample"))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": {}}', '{"x": {"first": 5}}', "null"])
def test_a_file_that_is_damaged_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(PumpChoiceError):
        choice_of(two_people(), folder=tmp_path)


def test_where_no_file_can_be_kept_the_process_remembers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    drawer = PumpChange(wall(2.4), in_drawer=7 * DAY)
    account = Account(*change_pumps(LIFE, drawer, zone=ZONE))
    source = account.source(wall(8), folder=tmp_path / "file")
    source.pumps(LAST_DAY)
    account.asked.clear()
    source.pumps(LAST_DAY)
    assert account.asked == ["pumper"]


def test_a_long_overlap_costs_no_more_than_two_weeks_of_log() -> None:
    life = live(FIRST, 40, seed=3)
    drawer = PumpChange(wall(2.4), in_drawer=60 * DAY)
    account = Account(*change_pumps(life, drawer, zone=ZONE))
    choice_of(account, 40, catch_up_days=35)
    assert sorted(account.asked) == ["0042", "1717", "pumper"]
    assert all(last - first <= timedelta(days=16) for first, last in account.wanted)


# Guardians


def test_a_guardian_with_several_pumps_has_to_name_one() -> None:
    account = two_people()
    account.guardian = True
    with pytest.raises(PumpChoiceError, match=r"guardian's account.*…0042, …1717"):
        choice_of(account)
    assert account.asked == ["pumper", "account"]
    assert choice_of(account, serial=SERIALS[0]) == {"0042"}


def test_a_guardian_with_one_pump_need_not() -> None:
    account = Account(two_people().pumps[0], guardian=True)
    source = account.source(wall(8))
    (pump,) = source.pumps(LAST_DAY)
    assert (pump.first, pump.last, pump.is_read, pump.in_use) == (None, None, True, True)
    assert source.read(LAST_DAY).boluses()
    assert source.upload_counter() is None


def test_what_two_pumps_deliver_within_an_hour_of_a_change_is_no_second_person() -> None:
    """A person who wears them in turn changes every day, and more often than that."""
    halves = [
        replace(LIFE, basal=[it for it in LIFE.basal if (it.start.hour < 12) is morning])
        for morning in (True, False)
    ]
    parts = [
        replace(
            half,
            boluses=[it for it in half.boluses if (it.requested.hour < 12) is (not number)],
            suspensions=(),
        )
        for number, half in enumerate(halves)
    ]
    pumps = [
        SimulatedPump(part, zone=ZONE, serial=serial, uploaded_until=wall(8))
        for part, serial in zip(parts, SERIALS, strict=True)
    ]
    assert choice_of(Account(*pumps)) == {"0042", "1717"}
