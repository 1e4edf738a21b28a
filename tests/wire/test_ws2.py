"""What is asked of tconnectws2, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tconnectsync.errors import ApiError, NetworkError
from tconnectsync.simulators.loopback import Fault, Response
from tests.wire.fake_tconnect import GUID, LOGIN, Bench, html, serve

CSV = "/therapytimeline2csv"
IOB = 'Type,EventID,EventDateTime,IOB\n"IOB","81","2021-04-01T00:00:19","13.24"\n'
SUSPENSION = '{"BasalSuspension":[{"EventDateTime":"/Date(1638663490000-0000)/"}]}'


@pytest.fixture
def bench() -> Iterator[Bench]:
    with serve() as bench:
        bench.fake.data = Response(IOB.encode(), content_type="text/csv")
        yield bench


def text(body: str) -> Response:
    return Response(body.encode(), content_type="text/javascript")


def test_the_csv_is_asked_for_by_user_and_days_without_authorization(bench: Bench) -> None:
    timeline = bench.api.ws2.therapy_timeline_csv("2021-04-01", "2021-04-02")
    request = bench.requests(CSV)[0]
    assert request.path == f"{CSV}/{GUID}/04-01-2021/04-02-2021"
    assert request.query == {"format": "csv"}
    assert "authorization" not in request.headers
    assert list(timeline) == ["readingData", "iobData", "basalData", "bolusData"]
    assert [row["IOB"] for row in timeline["iobData"]] == ["13.24"]


def test_a_long_range_is_asked_for_in_windows_and_joined_in_their_order(bench: Bench) -> None:
    for number, path in enumerate(
        ["04-01-2021/04-02-2021", "04-03-2021/04-04-2021", "04-05-2021/04-05-2021"]
    ):
        bench.fake.pages[f"{CSV}/{GUID}/{path}"] = text(IOB.replace("13.24", str(number)))
    timeline = bench.api.ws2.therapy_timeline_csv("2021-04-01", "2021-04-05")
    assert [row["IOB"] for row in timeline["iobData"]] == ["0", "1", "2"]
    assert len(bench.requests(CSV)) == 3


def test_three_days_are_one_request(bench: Bench) -> None:
    bench.api.ws2.therapy_timeline_csv("2021-04-01", "2021-04-03")
    assert len(bench.requests(CSV)) == 1


def test_an_empty_body_is_a_range_without_data(bench: Bench) -> None:
    bench.fake.data = Response(b"")
    assert not any(bench.api.ws2.therapy_timeline_csv().values())


def test_one_failed_window_fails_the_whole_range(bench: Bench) -> None:
    bench.fail(CSV, None, Response(status=403))
    with pytest.raises(ApiError, match=r"\(HTTP 403\)$"):
        bench.api.ws2.therapy_timeline_csv("2021-04-01", "2021-04-04")


@pytest.mark.parametrize(
    ("failure", "waits"),
    [(Response(status=500), [60, 120]), (Fault.DROP, [1, 5]), (Fault.CUT, [1, 5])],
)
def test_the_csv_is_tried_three_times(
    bench: Bench, failure: Response | Fault, waits: list[float]
) -> None:
    bench.fail(CSV, failure, failure)
    assert bench.api.ws2.therapy_timeline_csv()["iobData"]
    assert bench.waits == waits


def test_who_is_in_a_hurry_does_not_wait_long_for_the_csv(bench: Bench) -> None:
    bench.fail(CSV, *[Response(status=500)] * 2)
    with pytest.raises(ApiError):
        bench.api.ws2.therapy_timeline_csv(patient=False)
    assert bench.waits == [1]


def test_after_the_third_http_500_there_is_no_further_wait(bench: Bench) -> None:
    bench.fail(CSV, *[Response(b"Options,Error,Output,ResponseStatus\n", 500)] * 3)
    with pytest.raises(ApiError) as raised:
        bench.api.ws2.therapy_timeline_csv()
    assert raised.value.status == 500
    assert raised.value.can_retry
    assert len(bench.requests(CSV)) == 3
    assert bench.waits == [60, 120]


def test_after_the_third_dropped_connection_there_is_no_further_wait(bench: Bench) -> None:
    bench.fail(CSV, Fault.DROP, Fault.DROP, Fault.DROP)
    with pytest.raises(NetworkError):
        bench.api.ws2.therapy_timeline_csv()
    assert bench.waits == [1, 5]


def test_a_slow_csv_is_given_up_and_tried_again(bench: Bench) -> None:
    api = bench.client(read_timeout=0.2)
    bench.fail(CSV, Response(delay=1.0))
    assert api.ws2.therapy_timeline_csv()["iobData"]
    assert bench.waits == [1]


@pytest.mark.parametrize(
    "body",
    [
        IOB + '"IOB","9","2021-04-01T00:0',
        "<html>Sorry</html>",
        "Options,Error,Output,ResponseStatus\n,,,ErrorCode\n",
    ],
)
def test_a_csv_that_is_cut_or_none_is_not_taken_for_data(bench: Bench, body: str) -> None:
    bench.fake.data = text(body)
    with pytest.raises(ApiError) as raised:
        bench.api.ws2.therapy_timeline_csv()
    assert raised.value.status is None


@pytest.mark.parametrize(
    "body", [f"cb({SUSPENSION})", f"cb({SUSPENSION});", f"\n cb( {SUSPENSION} ) ;\n", SUSPENSION]
)
def test_suspensions_are_unwrapped_whatever_the_wrapping(bench: Bench, body: str) -> None:
    bench.fake.data = text(body)
    suspensions = bench.api.ws2.basal_suspension("2021-04-01", "2021-04-02")
    assert len(suspensions["BasalSuspension"]) == 1
    request = bench.requests("/basalsuspension")[0]
    assert request.path == f"/basalsuspension/{GUID}/04-01-2021/04-02-2021/"
    assert request.query == {"callback": "cb"}


def test_suspensions_can_be_limited_to_site_changes(bench: Bench) -> None:
    bench.fake.data = text('cb({"BasalSuspension":[]})')
    bench.api.ws2.basal_suspension("2021-04-01", "2021-04-02", site_changes_only=True)
    request = bench.requests("/basalsuspension")[0]
    assert request.path == f"/basalsuspension/{GUID}/04-01-2021/04-02-2021/filterbasal/1"
    assert request.query == {"callback": "cb"}


@pytest.mark.parametrize(
    "answer",
    [
        text(f"cb({SUSPENSION}"),
        text(f"cb({SUSPENSION[:-3]})"),
        text(f"other({SUSPENSION})"),
        text("cb([])"),
        text("cb()"),
        text(""),
        html("<html>Sorry</html>"),
    ],
)
def test_anything_else_than_suspensions_is_an_error(bench: Bench, answer: Response) -> None:
    bench.fake.data = answer
    with pytest.raises(ApiError) as raised:
        bench.api.ws2.basal_suspension()
    assert raised.value.status is None


@pytest.mark.parametrize("payload", ["[1]", '{"a":1}', "null"])
def test_basal_iq_data_of_any_form_is_passed_on(bench: Bench, payload: str) -> None:
    bench.fake.data = text(f"cb({payload})")
    bench.api.ws2.basaliqtech("2021-04-01", "2021-04-02")
    request = bench.requests("/basaliqtech")[0]
    assert request.path == f"/basaliqtech/{GUID}/04-01-2021/04-02-2021"
    assert request.query == {"callback": "cb"}


def test_endpoints_other_than_the_csv_do_not_wait_for_minutes(bench: Bench) -> None:
    bench.fail("/basaliqtech", Response(status=500), Response(status=500))
    with pytest.raises(ApiError, match=r"\(HTTP 500\)$"):
        bench.api.ws2.basaliqtech()
    assert bench.waits == [1]


def test_the_user_is_learnt_from_one_login_and_then_kept(bench: Bench) -> None:
    bench.api.ws2.therapy_timeline_csv()
    bench.now += timedelta(days=30)
    bench.api.ws2.therapy_timeline_csv()
    assert len(bench.requests(LOGIN, "POST")) == 1
