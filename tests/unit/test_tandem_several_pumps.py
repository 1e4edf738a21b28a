"""All pumps of a person are read, each with its own log, clock and numbers, and none twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from tconnectsync.domain.events import Basal, Bolus, PumpEventKind
from tconnectsync.errors import ApiError, NetworkError
from tconnectsync.simulators.history import (
    BolusRecord,
    PumpHistory,
    SiteChange,
    SuspensionRecord,
    midnight,
)
from tconnectsync.simulators.person import live
from tconnectsync.simulators.pump import SETTINGS
from tconnectsync.simulators.tandemsource.log import PumpLog
from tconnectsync.simulators.tandemsource.pumps import PumpChange, SimulatedPump, change_pumps
from tconnectsync.sources.tandemsource.source import TandemSource
from tests.support.accounts import (
    DAY,
    FIRST,
    HOUR,
    MINUTE,
    ZONE,
    Account,
    bolus_units,
    off,
    span,
    truth,
    units,
    wall,
)
from tests.support.event_builders import NEW_YORK

LIFE = live(FIRST, 6, seed=3)
SERIALS = ("90210042", "90211717")
CHANGE = PumpChange(wall(2, hours=11, minutes=7))
RUNNING = replace(CHANGE, left_running=True)


def account(*changes: PumpChange, life: PumpHistory = LIFE) -> Account:
    return Account(*change_pumps(life, *changes, zone=ZONE))


def read_whole(source: TandemSource, last: float = 6) -> list[Basal]:
    return source.read(span(0, last)).basals()


# What is asked for


def test_one_pump_costs_one_request_for_the_account_and_one_for_the_log() -> None:
    one = account()
    source = one.source(wall(6))
    source.pumps(span(5, 6))
    reader = source.read(span(5, 6))
    for part in ("basals", "boluses", "pump_events", "device_status", "insulin_on_board"):
        getattr(reader, part)()
    source.pump_settings()
    assert one.asked == ["pumper", "0042"]


def test_a_further_pump_in_the_range_costs_one_more() -> None:
    two = account(CHANGE)
    source = two.source(wall(4))
    assert source.upload_counter()
    source.pumps(span(2, 3))
    reader = source.read(span(2, 3))
    for part in ("basals", "boluses", "pump_events", "device_status", "insulin_on_board"):
        getattr(reader, part)()
    assert two.asked == ["pumper", "0042", "1717"]


def test_a_pump_without_data_in_the_range_is_not_asked_for() -> None:
    two = account(CHANGE)
    for pump in two.pumps:
        pump.uploaded_until = wall(2, hours=17)
    two.pumps[1].uploaded_until = None
    source = two.source(wall(6))
    source.pumps(span(5, 6))
    reader = source.read(span(5, 6))
    assert units(reader.basals(), span(5, 6)) > 10
    assert reader.device_status() is not None
    assert two.asked == ["pumper", "1717"]


def test_a_pump_that_has_never_uploaded_is_not_asked_for() -> None:
    never = SimulatedPump(LIFE, zone=ZONE, serial="90215555", uploaded_until=wall(-1))
    two = Account(never, *account().pumps)
    source = two.source(wall(6))
    source.read(span(5, 6)).boluses()
    assert two.asked == ["pumper", "0042"]


def test_a_pump_whose_newest_date_is_behind_its_upload_is_asked_for() -> None:
    """Its clock may be wrong, and what lies under other days may be of this one."""
    slow = SimulatedPump(
        LIFE,
        zone=ZONE,
        serial="90215555",
        clock_changes=[(wall(0, hours=1), wall(-30, hours=1))],
    )
    two = Account(slow, *account().pumps)
    two.source(wall(6), serial="").read(span(5, 6)).boluses()
    assert "5555" in two.asked


@pytest.mark.parametrize("weeks", [1, 3])
def test_a_suspended_pump_in_a_drawer_is_not_looked_back_for_each_time(weeks: int) -> None:
    life = live(FIRST, 7 * weeks + 4, seed=3)
    drawer = replace(CHANGE, in_drawer=weeks * 7 * DAY)
    two = account(drawer, life=life)
    window = span(7 * weeks, 7 * weeks + 1)
    source = two.source(wall(7 * weeks + 1))
    source.pumps(window)
    two.asked.clear()
    source.read(window).basals()
    assert sorted(two.asked) == ["0042", "1717"]


# Nothing is lost and nothing counts twice


@pytest.mark.parametrize("change", [CHANGE, RUNNING], ids=["suspended", "left running"])
def test_insulin_adds_up_over_a_change_of_the_pump(change: PumpChange) -> None:
    two = account(change)
    source = two.source(wall(7))
    reader = source.read(span(0, 6))
    given = sum(bolus.delivered for pump in two.pumps for bolus in pump.history.boluses)
    assert bolus_units(reader.boluses()) == pytest.approx(given, abs=0.005)
    expected = truth(two.pumps, [change], wall(6))
    assert units(reader.basals(), span(0, 6)) == pytest.approx(expected, abs=0.005)
    assert len({it.key for it in reader.boluses()}) == len(reader.boluses())


def test_three_pumps_follow_one_another() -> None:
    changes = [RUNNING, PumpChange(wall(4, hours=9, minutes=40), left_running=True)]
    three = account(*changes)
    reader = three.source(wall(7)).read(span(0, 6))
    assert units(reader.basals(), span(0, 6)) == pytest.approx(
        truth(three.pumps, changes, wall(6)), abs=0.005
    )


def test_a_date_that_was_wrong_for_hours_makes_no_pump_the_first_one() -> None:
    """The new pump's log then begins in 2008; the old one's first basal is before all signs."""
    old, new = account(CHANGE).pumps
    lost = datetime(2008, 1, 1)
    began = CHANGE.at + MINUTE
    reset = SimulatedPump(
        new.history,
        zone=ZONE,
        serial=new.serial_number,
        clock_changes=[(wall(3), lost), (lost + 5 * HOUR, wall(3, hours=5))],
        began=began,
    )
    reader = Account(old, reset).source(wall(6)).read(span(0, 5))
    assert units(reader.basals(), span(0, 5)) == pytest.approx(
        truth([old, new], [CHANGE], wall(5)), abs=0.005
    )


def test_a_sensor_that_both_pumps_have_joined_began_once() -> None:
    two = account(CHANGE)
    begun = [
        notice.at
        for notice in two.source(wall(7)).read(span(0, 6)).pump_events()
        if notice.kind is PumpEventKind.SENSOR_START
    ]
    joined = {pump.serial_number for pump in two.pumps if 394 in codes_of(pump)}
    assert len(joined) == 2
    assert len(begun) == len(set(begun)) > 0


def codes_of(pump: SimulatedPump) -> set[int]:
    return {entry.code for entry in pump.log_of_pump.entries}


@pytest.mark.parametrize("seed", range(6))
def test_it_makes_no_difference_how_the_range_is_cut(seed: int) -> None:
    random = Random(seed)
    life = live(FIRST, 7, seed=seed + 20)
    changes = [
        PumpChange(
            wall(day, minutes=random.randrange(1440)),
            in_drawer=random.randrange(1, 60) * HOUR,
            left_running=random.random() < 0.6,
        )
        for day in (1, 3)
    ]
    several = account(*changes, life=life)
    source = several.source(wall(8))
    whole = {basal.key: basal for basal in read_whole(source, 7) if basal.duration}
    cut: dict[str, Basal] = {}
    edges = [0, *sorted(random.sample(range(1, 28), 6)), 28]
    for first, last in pairwise(edges):
        window = span(first / 4, last / 4)
        for basal in source.read(window).basals():
            if basal.duration and basal.start < window.end and basal.ends > window.start:
                assert cut.setdefault(basal.key, basal) == basal
    assert cut == whole


def worn_in_turn(quiet: tuple[datetime, datetime] | None = None) -> Account:
    """Return an account of a person who wears one pump by day and another by night."""
    days = LIFE
    turns = [wall(day, hours=hour) for day in range(6) for hour in (8, 20)]
    by_day, by_night = days, days
    for begin, end in zip(turns, [*turns[1:], wall(6)], strict=True):
        if begin.hour == 8:
            by_night = off(by_night, begin, end)
        else:
            by_day = off(by_day, begin, end)
    by_day = off(by_day, wall(0), wall(0, hours=8))
    by_day = with_turns(by_day, [turn for turn in turns if turn.hour == 8])
    by_night = with_turns(by_night, [turn for turn in turns if turn.hour == 20])
    if quiet:
        by_day, by_night = off(by_day, *quiet), off(by_night, *quiet)
    return Account(
        SimulatedPump(by_day, zone=ZONE, first_number=100),
        SimulatedPump(by_night, zone=ZONE, serial="90211717", first_number=100),
    )


def with_turns(history: PumpHistory, turns: list[datetime]) -> PumpHistory:
    """Let a pump be suspended whenever the other one is worn, and resumed when it is."""
    stops = [
        SuspensionRecord(turn + 12 * HOUR, turn + 24 * HOUR + 2 * MINUTE, "manual")
        for turn in turns
    ]
    suspensions = [it for it in history.suspensions if it.reason == "control-iq"]
    basal = [
        it
        for it in history.basal
        if not any(s.start < it.end and it.start < s.end for s in stops if s.end)
    ]
    return replace(history, suspensions=[*suspensions, *stops], basal=basal)


def test_two_pumps_that_are_worn_in_turn_make_one_story() -> None:
    two = worn_in_turn()
    source = two.source(wall(6))
    found = source.read(span(1, 5)).basals()
    delivering = [basal for basal in found if basal.rate and basal.duration]
    for one, other in pairwise(delivering):
        assert one.ends <= other.start
    assert {basal.key for basal in delivering} > set()
    for day in range(1, 5):
        assert units(found, span(day, day + 1)) > 8


# The sign is not in the range


def quiet_account(life: PumpHistory = LIFE) -> Account:
    """Return the account of a person who boluses no more after changing the pump."""
    at = CHANGE.at + CHANGE.worn
    calm = replace(
        life,
        boluses=[it for it in life.boluses if it.requested < at],
        suspensions=[it for it in life.suspensions if it.start < at or it.reason == "control-iq"],
        site_changes=[it for it in life.site_changes if it.at < at],
    )
    return account(replace(RUNNING, in_drawer=45 * HOUR), life=calm)


def test_whose_basal_it_is_follows_from_a_sign_that_lies_days_back() -> None:
    two = quiet_account()
    source = two.source(wall(7))
    window = span(4, 4.5)
    found = source.read(window).basals()
    whole = read_whole(source)
    assert units(found, window) == pytest.approx(units(whole, window), abs=1e-9)
    new = next(pump for pump in two.pumps if pump.serial_number.endswith("1717"))
    assert units(found, window) == pytest.approx(
        sum(
            it.rate * (min(it.end, wall(4.5)) - max(it.start, wall(4))).total_seconds() / 3600
            for it in new.history.basal
            if it.start < wall(4.5) and it.end > wall(4)
        ),
        abs=0.005,
    )


def test_a_pump_that_shows_nothing_claims_nothing_after_the_other_one_has_ended() -> None:
    """A new pump that is switched on but not worn may go on alone for a while."""
    worn = SimulatedPump(LIFE, zone=ZONE, ended=wall(2))
    worn.uploaded_until = wall(2)
    idle = replace(LIFE, boluses=[], suspensions=[], site_changes=[])
    spare = SimulatedPump(idle, zone=ZONE, serial="90211717", began=wall(1))
    source = Account(worn, spare).source(wall(6))
    assert units(source.read(span(4, 5)).basals(), span(4, 5)) == 0
    assert source.read(span(4, 5)).worn().serial == worn.serial_number


# Late uploads


def test_the_tail_of_the_old_pump_arrives_late_and_nothing_counts_twice() -> None:
    two = account(RUNNING)
    old, _ = two.pumps
    old.uploaded_until = CHANGE.at - 3 * HOUR
    source = two.source(wall(5))
    source.pumps(span(0, 5))
    before = {basal.key: basal for basal in source.read(span(0, 5)).basals()}
    old.uploaded_until = wall(4)
    source.pumps(span(0, 5))
    after = source.read(span(0, 5)).basals()
    assert before.keys() <= {basal.key for basal in after}
    expected = truth(two.pumps, [RUNNING]) - truth([two.pumps[1]], [])
    known = [basal for basal in after if basal.start < NEW_YORK.instant(CHANGE.at + CHANGE.filled)]
    assert units(known, span(0, 6)) == pytest.approx(expected, abs=0.005)


def test_the_old_pump_s_basal_is_cut_when_the_new_one_has_uploaded() -> None:
    two = account(RUNNING)
    _, new = two.pumps
    new.uploaded_until = wall(-1)
    source = two.source(wall(3))
    source.pumps(span(0, 3))
    before = {basal.key: basal for basal in source.read(span(0, 3)).basals()}
    new.uploaded_until = wall(3)
    source.pumps(span(0, 3))
    after = {basal.key: basal for basal in source.read(span(0, 3)).basals()}
    lost = [basal for basal in before.values() if after[basal.key].duration < basal.duration]
    assert len(lost) > 40
    assert all(after[basal.key].cut for basal in lost)


# Names


def test_equal_numbers_at_one_time_are_two_events() -> None:
    bolus = BolusRecord(1001, wall(1, hours=9), wall(1, hours=9, minutes=2), 2.0, 2.0)
    twin = replace(LIFE, basal=(), boluses=[bolus], suspensions=(), activities=(), site_changes=())
    twin = replace(twin, readings=(), finger_sticks=(), days=2)
    first, second = (SimulatedPump(twin, zone=ZONE, serial=serial) for serial in SERIALS)
    later = [entry for entry in first.log_of_pump.entries if entry.at >= wall(0, hours=1)]
    second.log_of_pump = PumpLog(later)
    pumps = [first, second]
    source = Account(*pumps).source(wall(2))
    boluses = source.read(span(1, 2)).boluses()
    assert bolus_units(boluses) == 4
    one, other = sorted(bolus.key for bolus in boluses)
    assert other.startswith(f"{one} ")
    alone = Account(pumps[0]).source(wall(2)).read(span(1, 2)).boluses()
    assert [bolus.key for bolus in alone] == [one]
    turned = Account(*reversed(pumps)).source(wall(2)).read(span(1, 2)).boluses()
    assert sorted(bolus.key for bolus in turned) == [one, other]


def test_a_pump_that_was_assigned_again_reports_nothing_twice() -> None:
    once, again = (SimulatedPump(LIFE, zone=ZONE) for _ in range(2))
    again.assignment_id = "assigned anew"
    alone, two = Account(once).source(wall(6)), Account(once, again).source(wall(6))
    for part in ("basals", "boluses", "pump_events", "suspensions", "user_modes"):
        expected = getattr(alone.read(span(1, 3)), part)()
        found = getattr(two.read(span(1, 3)), part)()
        if part == "basals":
            expected = [basal for basal in expected if basal.ends >= found[0].start]
        assert sorted(found, key=lambda it: it.key) == sorted(expected, key=lambda it: it.key)


def test_the_events_of_both_pumps_are_there_in_time_order() -> None:
    source = account(CHANGE).source(wall(6), readings=True)
    reader = source.read(span(0, 6))
    for part in ("suspensions", "pump_events", "user_modes", "boluses"):
        begins = [it.begins for it in getattr(reader, part)()]
        assert begins == sorted(begins)
    fills = [it for it in reader.pump_events() if it.kind is PumpEventKind.CARTRIDGE]
    assert NEW_YORK.instant(CHANGE.at + CHANGE.filled) in [it.at for it in fills]
    readings = reader.readings()
    assert readings == sorted(readings, key=lambda it: it.at)


# The clock of each


def test_each_pump_has_its_own_clock() -> None:
    life = replace(LIFE, basal=LIFE.basal)
    old, new = change_pumps(life, CHANGE, zone=ZONE)
    at = wall(3, hours=15)
    new = SimulatedPump(
        new.history,
        zone=ZONE,
        serial=new.serial_number,
        began=CHANGE.at + MINUTE,
        first_number=3,
        clock_changes=[(at, at - HOUR), (wall(4, hours=-1), wall(4))],
    )
    reader = Account(old, new).source(wall(6)).read(span(0, 6))
    given = sum(bolus.delivered for pump in (old, new) for bolus in pump.history.boluses)
    assert bolus_units(reader.boluses()) == pytest.approx(given, abs=0.005)
    begins = {NEW_YORK.instant(it.requested) for it in (*old.history.boluses, *new.history.boluses)}
    boluses = [it for it in reader.boluses() if isinstance(it, Bolus) and not it.piece]
    assert {it.requested_at for it in boluses} == begins


# A log that cannot be read


def test_boluses_of_the_pump_that_answers_are_not_lost_with_the_other_one_s() -> None:
    two = account(CHANGE)
    old, new = two.pumps
    two.failing[old.serial_number] = NetworkError("No answer")
    reader = two.source(wall(6)).read(span(2, 4))
    given = sum(it.delivered for it in new.history.boluses if it.requested < wall(4))
    assert bolus_units(it for it in reader.boluses() if it.begins < span(2, 4).end) == (
        pytest.approx(given, abs=0.005)
    )
    (remark,) = reader.remarks
    assert (remark.missing, remark.heals) == (True, True)
    assert "…0042 from 2024-05-08 to 2024-05-09 cannot be read: No answer." in remark.text


def test_no_basal_is_shown_that_may_be_that_of_a_drawer() -> None:
    two = account(RUNNING)
    old, new = two.pumps
    two.failing[new.serial_number] = NetworkError("No answer")
    reader = two.source(wall(6)).read(span(1, 4))
    taken = NEW_YORK.instant(CHANGE.at + MINUTE)
    basals = reader.basals()
    assert units(basals, span(1, 2)) > 10
    assert max(basal.ends for basal in basals) <= taken
    assert not any(basal.cut for basal in basals)
    two.failing = {old.serial_number: NetworkError("No answer")}
    basals = two.source(wall(6)).read(span(2, 4)).basals()
    assert units(basals, span(3, 4)) > 10


def test_what_a_shorter_range_may_bring_is_asked_for_again_first() -> None:
    two = account(CHANGE)
    two.failing[two.pumps[0].serial_number] = ApiError("Nothing usable", 500)
    source = two.source(wall(6))
    with pytest.raises(ApiError, match="Nothing usable"):
        source.read(span(1, 4)).boluses()
    reader = source.read(span(2, 3))
    assert reader.boluses()
    assert len(reader.remarks) == 1


def test_where_it_is_not_known_which_pump_was_worn_before_nothing_is_taken_back() -> None:
    two = quiet_account()
    old, _ = two.pumps
    source = two.source(wall(7))
    source.pumps(span(4.6, 5))
    source.read(span(4.6, 5)).boluses()
    asked = len(two.asked)
    two.failing[old.serial_number] = ApiError("Nothing usable", 500)
    window = span(4.6, 5)
    reader = source.read(window)
    with pytest.raises(ApiError, match="Nothing usable"):
        # Its log touches the range's margin; with the range of one day the other's is shown.
        source.read(span(4.2, 5.5)).basals()
    basals = reader.basals()
    assert len(two.asked) > asked
    assert not any(basal.cut for basal in basals)
    assert [remark.heals for remark in reader.remarks] == [True]


def test_where_no_pump_answers_the_part_fails() -> None:
    two = account(CHANGE)
    two.failing = {pump.serial_number: NetworkError("No answer") for pump in two.pumps}
    reader = two.source(wall(6)).read(span(2, 3))
    with pytest.raises(NetworkError):
        reader.boluses()
    assert reader.remarks == []


# The pump in use


def test_the_pump_in_use_shows_its_settings_and_its_state() -> None:
    drawer = replace(CHANGE, in_drawer=10 * DAY)
    two = account(drawer)
    old, new = two.pumps
    old.settings = replace(SETTINGS, low_alert=70.0)
    # The old one uploads last, and its log goes on longest.
    old.uploaded_until, new.uploaded_until = wall(6), wall(5, hours=23)
    source = two.source(wall(6))
    source.pumps(span(5, 6))
    reader = source.read(span(5, 6))
    status = reader.device_status()
    assert status is not None
    assert status.suspended is False
    assert reader.worn().serial == new.serial_number
    assert source.pump_settings().low_alert == 80
    assert {it.in_use for it in source.pumps(span(5, 6)) if it.name.endswith("1717")} == {True}
    assert reader.insulin_on_board()[-1].at < NEW_YORK.instant(wall(6))


def test_without_any_sign_the_newest_event_says_which_pump_is_in_use() -> None:
    idle = replace(LIFE, boluses=[], suspensions=[], site_changes=[])
    pumps = [
        SimulatedPump(idle, zone=ZONE, serial=serial, began=wall(began), ended=wall(4, hours=hours))
        for serial, began, hours in (("90211717", 2.5, 5), ("90210042", 0, 2))
    ]
    for pump in pumps:
        pump.uploaded_until = wall(5)
    assert Account(*pumps).source(wall(5)).read(span(3, 5)).worn().serial == "90211717"


def test_the_counter_grows_with_each_upload_of_each_pump() -> None:
    two = account(replace(CHANGE, in_drawer=4 * DAY))
    old, new = two.pumps
    source = two.source(wall(6))
    counters = []
    for old_hours, new_hours in ((60, 60), (60, 61), (62, 61), (80, 61), (80, 90)):
        old.uploaded_until, new.uploaded_until = wall(0, hours=old_hours), wall(0, hours=new_hours)
        counters.append(source.upload_counter() or 0)
    assert counters == sorted(set(counters))
    assert source.upload_counter() == counters[-1]
    named = two.source(wall(6), serial=old.serial_number)
    before = named.upload_counter()
    new.uploaded_until = wall(5)
    assert named.upload_counter() == before


def test_the_pumps_are_named_with_the_time_of_their_logs() -> None:
    two = account(CHANGE)
    for pump in two.pumps:
        pump.uploaded_until = wall(5)
    old, new = two.source(wall(6)).pumps(span(1, 3))
    assert old.name == "t:slim X2 Insulin Pump …0042"
    assert (old.is_read, old.in_use, new.is_read, new.in_use) == (True, False, True, True)
    assert old.first == NEW_YORK.instant(wall(0))
    assert old.last is not None
    assert timedelta(0) <= NEW_YORK.instant(CHANGE.at + CHANGE.in_drawer) - old.last < HOUR
    assert new.first is not None
    assert MINUTE <= new.first - NEW_YORK.instant(CHANGE.at) <= 2 * MINUTE
    only, other = two.source(wall(6), serial="90211717").pumps(span(1, 3))
    assert (only.is_read, other.is_read, other.in_use) == (False, True, True)


def test_the_first_cartridge_of_a_life_needs_no_sign_before_it() -> None:
    change = SiteChange(wall(0, hours=3), "cartridge")
    assert midnight(FIRST) < change.at
    two = account(CHANGE)
    found = two.source(wall(6)).read(span(0, 1)).basals()
    given = sum(it.rate * it.duration_seconds / 3600 for it in LIFE.basal if it.end <= wall(1))
    assert units(found, span(0, 1)) == pytest.approx(given, abs=0.2)
