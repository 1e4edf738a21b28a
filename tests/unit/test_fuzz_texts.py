"""Texts and files of every kind, damaged: an answer, or an error in words, and in good time."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from tconnectsync.api.answers import parse_json
from tconnectsync.api.tconnect.ws2 import Ws2Api
from tconnectsync.api.tconnect.ws2csv import LISTS, parse_timeline
from tconnectsync.config.settings import Configuration, Settings, load, read_env_files
from tconnectsync.errors import ApiError, ConfigError, LogFileError, TconnectsyncError
from tconnectsync.http import HttpClient
from tconnectsync.simulators.loopback import LoopbackServer, Response
from tconnectsync.sources.tandemsource.log.logfile import LogFile
from tconnectsync.sources.tandemsource.log.logfileformats import read_log
from tconnectsync.sources.tconnect.pages import read_devices, read_settings
from tests.support.binary_log import binary_log
from tests.support.clocks import NO_WAITING
from tests.support.document_limits import require_plausible
from tests.support.event_builders import NEW_YORK
from tests.support.growth import processor_seconds
from tests.support.mutations import fuzz, mutated, mutated_bytes, mutated_text, nested
from tests.support.offline_clouds import NOW, log_entries, sync, tandem_payloads, tconnect_payloads
from tests.support.settings import account

MANY = 200_000


def in_good_time(seconds: float, do: Callable[[], Any]) -> None:
    """Fail if the processor works on something for long, whatever comes of it."""

    def do_or_refuse() -> None:
        with suppress(TconnectsyncError):
            do()

    assert processor_seconds(do_or_refuse) < seconds


# -- t:connect -----------------------------------------------------------------------------------


@given(text=mutated_text(tconnect_payloads(control_iq=False)["csv"]))
@fuzz(100)
def test_a_damaged_export_is_read_or_refused(text: str) -> None:
    try:
        timeline = parse_timeline(text)
    except ApiError:
        return
    assert timeline.keys() == set(LISTS)
    for rows in timeline.values():
        assert all(isinstance(each, str) for row in rows for each in row.values())


@pytest.mark.parametrize(
    "text",
    [
        "Report Generated On," * MANY,
        "Patient Name\n" * MANY,
        '"' * MANY,
        '"EventDateTime\n' * MANY,
        ",\n" * MANY,
        "EventDateTime" + ",x" * MANY,
        "Readings (CGM / BGM),EventDateTime\n" + '"' + "x" * 10 * MANY,
        "\0" * MANY,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_an_export_made_to_take_long_does_not(text: str) -> None:
    in_good_time(5, lambda: parse_timeline(text))


JSONP = f"cb({json.dumps(tconnect_payloads()['suspensions'])})"


@pytest.fixture(scope="module")
def said() -> list[bytes]:
    return [b""]


@pytest.fixture(scope="module")
def ws2(said: list[bytes]) -> Any:
    with LoopbackServer(lambda request: Response(said[0], 200, "application/javascript")) as server:
        http = HttpClient("tconnectws2", NO_WAITING)
        settings = account("someone@example.org", "secret", ws2_url=server.url)
        yield Ws2Api(settings, http, http, "guid", lambda: NOW.date())


@given(text=mutated_text(JSONP))
@example(text="cb({})" + " " * MANY + "x")
@example(text="cb(" + ") " * MANY)
@example(text="cb")
@example(text="cb()")
@example(text=f"cb({json.dumps(nested(800))});")
@example(text="cb(" + "[" * MANY)
@fuzz(100)
def test_a_damaged_jsonp_answer_is_read_or_refused(
    ws2: Ws2Api, said: list[bytes], text: str
) -> None:
    said[0] = text.encode(errors="replace")
    in_good_time(3, lambda: ws2.basal_suspension("2024-06-03", "2024-06-04"))


@pytest.mark.parametrize(
    "text", ['cb({"a": 1})', 'cb({"a": 1});\n', ' cb({"a": 1} ) ; ', '{"a": 1}']
)
def test_jsonp_is_read_in_all_its_forms(ws2: Ws2Api, said: list[bytes], text: str) -> None:
    said[0] = text.encode()
    assert ws2.basal_suspension("2024-06-03", "2024-06-04") == {"a": 1}


PAGES: dict[str, Callable[[str], Any]] = {"devices": read_devices, "settings": read_settings}


@pytest.mark.parametrize("page", PAGES)
@given(data=st.data())
@fuzz(100)
def test_a_damaged_page_is_read_or_refused(page: str, data: st.DataObject) -> None:
    text = data.draw(mutated_text(tconnect_payloads()[page]))
    try:
        assert PAGES[page](text)
    except ApiError:
        return


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "piece",
    [
        "<div>",
        "<table><tr><td>",
        "<!--",
        "<![CDATA[",
        "<a <",
        "</",
        "&#x",
        "<?",
        "<a b='",
        "<script>",
    ],
)
def test_a_page_made_to_take_long_does_not(page: str, piece: str) -> None:
    text = tconnect_payloads()[page]
    for hostile in (text.replace("</body>", piece * 5000 + "</body>"), text + piece * 20_000):
        in_good_time(10, lambda hostile=hostile: PAGES[page](hostile))  # type: ignore[misc]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_an_unknown_declaration_is_read_or_refused(page: str) -> None:
    text = tconnect_payloads()[page]
    with suppress(ApiError):  # Other versions of the parser read it.
        assert PAGES[page](text.replace("<body", "<![x <body"))


def test_a_device_whose_link_is_no_address_has_no_settings() -> None:
    text = tconnect_payloads()["devices"]
    assert any(device.guid for device in read_devices(text).values())
    odd = read_devices(re.sub(r'href="[^"]*DeviceSettings', 'href="http://[DeviceSettings', text))
    assert not any(device.guid for device in odd.values())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_is_far_too_long_is_refused(page: str) -> None:
    text = tconnect_payloads()[page]
    assert PAGES[page](text)
    with pytest.raises(ApiError, match="far too long"):
        PAGES[page](text + " " * 2_000_000)


@given(text=mutated_text(json.dumps(tandem_payloads()["pumper"])))
@example(text="[" * 100_000)
@example(text='{"x":' * 100_000)
@example(text="9" * 100_000)
@example(text='"\\ud800"')
@fuzz(100)
def test_damaged_json_is_read_or_refused(text: str) -> None:
    with suppress(ApiError):
        assert json.dumps(parse_json(text, "data"))


# -- saved logs ----------------------------------------------------------------------------------


def saved(path: Path, data: bytes) -> None:
    """Read a saved log, and sync what can be read of it."""
    path.write_bytes(data)
    skipped: Counter[str] = Counter()
    try:
        records = read_log(path, skipped)
        log = LogFile(path, NEW_YORK, ignore_zero_basals=False, now=NOW)
    except LogFileError:
        return
    assert records
    assert log.covered.start < log.covered.end
    notebook, _ = sync(log, profiles=False)
    for document in (*notebook.treatments_written, *notebook.entries_written):
        require_plausible(document)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "pump.log"


BINARY = binary_log(log_entries()[:400])


@given(data=mutated_bytes(BINARY))
@fuzz(100)
def test_a_damaged_binary_log_is_imported_or_refused(path: Path, data: bytes) -> None:
    saved(path, data)


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 399), st.binary(min_size=16, max_size=16)), max_size=60
    )
)
@fuzz(40)
def test_a_binary_log_may_say_anything(path: Path, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(BINARY)
    for place, payload in changes:
        data[26 * place + 10 : 26 * place + 26] = payload
    saved(path, bytes(data))


@given(text=mutated_text(b64encode(BINARY).decode()))
@fuzz(40)
def test_a_damaged_base64_log_is_imported_or_refused(path: Path, text: str) -> None:
    saved(path, text.encode(errors="replace"))


@given(payload=mutated([tandem_payloads()["log"]]))
@fuzz(40)
def test_a_json_log_may_say_anything(path: Path, payload: Any) -> None:
    saved(path, json.dumps(payload).encode())


@given(data=mutated_bytes(json.dumps(tandem_payloads()["log"]).encode()))
@fuzz(40)
def test_a_damaged_json_log_is_imported_or_refused(path: Path, data: bytes) -> None:
    saved(path, data)


# -- .env ----------------------------------------------------------------------------------------

ENV = """\
# The account
TCONNECT_EMAIL='someone@example.org'
TCONNECT_PASSWORD="correct horse"
PUMP_SERIAL_NUMBER=90210042
NS_URL=https://site.example.org/
export NS_SECRET=a-secret-of-some-length
TIMEZONE_NAME=America/New_York
CATCH_UP_DAYS=14
TCONNECT_SOURCE=tandem-source
TCONNECT_REGION=US
REQUESTS_PROXY=
SYNC_GAPS=true
AUTOUPDATE_MAX_LOOP_INVOCATIONS=-1
NIGHTSCOUT_PROFILE_CARBS_HR_VALUE=20
TANDEM_SSO_URL=http://127.0.0.1:1
"""


def configured(path: Path, data: bytes) -> Settings | None:
    """Read settings from a file; ``None`` if they are refused in words."""
    path.write_bytes(data)
    try:
        return load({}, read_env_files((path,)))
    except ConfigError:
        return None


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / ".env"


def test_the_undamaged_file_is_accepted(env_file: Path) -> None:
    settings = configured(env_file, ENV.encode())
    assert settings is not None
    assert settings.nightscout.secret == "a-secret-of-some-length"


@given(text=mutated_text(ENV))
@fuzz(100)
def test_a_damaged_env_file_is_read_or_refused(env_file: Path, text: str) -> None:
    configured(env_file, text.encode(errors="surrogatepass"))


@given(data=mutated_bytes(ENV.encode()))
@fuzz(100)
def test_an_env_file_of_odd_bytes_is_read_or_refused(env_file: Path, data: bytes) -> None:
    configured(env_file, data)


ODD_SETTINGS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(("nan", "inf", "-inf", "1e400", "-1", "9" * 5000, "\ud800", "\0", "\r\nX: y")),
    st.sampled_from(("../..", "", "//", "\xa0", "http://[", "http://h:99999/", "http://u:p@h/")),
    st.sampled_from(("http://\u2100.example/", "http://.../", "https://x" + "y" * 300)),
)
NAMES = sorted(dotenv_values(stream=StringIO(ENV)))


@given(st.dictionaries(st.sampled_from(NAMES), ODD_SETTINGS))
@fuzz(100)
def test_settings_may_say_anything(odd: dict[str, str]) -> None:
    given_values = {name: each or "" for name, each in dotenv_values(stream=StringIO(ENV)).items()}
    with suppress(ConfigError):
        configuration = Configuration({**given_values, **odd}, {})
        assert configuration.settings()
        assert configuration.secrets
