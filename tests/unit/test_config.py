"""The settings: where they come from and what is said about wrong ones."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tconnectsync.config import VARIABLES, Configuration, Settings, env_files, load, read_env_files
from tconnectsync.config.settings import GROUPS, NightscoutSettings, TandemSettings
from tconnectsync.errors import ConfigError
from tests.support.settings import COMPLETE


def problems(**changes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load({**COMPLETE, **changes}, {})
    return list(caught.value.problems)


def test_a_complete_configuration_is_read() -> None:
    settings = load(COMPLETE, {})
    assert settings.tandem.email == "someone@example.org"
    assert settings.tandem.zone.key == "Europe/Berlin"
    assert settings.tandem.web_url == "https://tconnect.tandemdiabetes.com"
    assert (settings.sync.fill_gaps, settings.nightscout.skip_tls_verify) == (True, False)
    assert settings.sync.catch_up_days == 14


def test_every_variable_is_a_field_of_the_settings_and_nothing_else_is() -> None:
    known = {f"{group}.{each.name}" for kind, group in GROUPS.items() for each in fields(kind)}
    assert sorted(v.field for v in VARIABLES) == sorted(known)
    assert list(GROUPS.values()) == [each.name for each in fields(Settings)]


def test_a_group_can_be_used_while_another_has_problems() -> None:
    configuration = Configuration({**COMPLETE, "NS_URL": "ns.example.org", "SYNC_GAPS": "?"}, {})
    assert configuration.group(TandemSettings).email == "someone@example.org"
    with pytest.raises(ConfigError) as caught:
        configuration.group(NightscoutSettings)
    (problem,) = caught.value.problems
    assert problem.startswith("NS_URL is not usable")
    assert [text.partition(" ")[0] for text in configuration.problems] == ["NS_URL", "SYNC_GAPS"]
    assert configuration.completed().sync.fill_gaps


def test_without_a_zone_there_are_no_settings_at_all() -> None:
    configuration = Configuration({**COMPLETE, "TIMEZONE_NAME": "New York"}, {})
    with pytest.raises(ConfigError, match="TIMEZONE_NAME"):
        configuration.completed()


def test_a_serial_number_keeps_its_leading_zeros() -> None:
    assert load(COMPLETE, {}).source.serial_number == "00123456"


def test_all_problems_are_reported_at_once_with_the_variable_s_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load({"NS_URL": "ns.example.org", "PUMP_SERIAL_NUMBER": "abc"}, {})
    text = str(caught.value)
    names = [v.name for v in VARIABLES if v.default is None] + ["PUMP_SERIAL_NUMBER"]
    assert all(name in text for name in names)
    assert len(caught.value.problems) == len(names)


@pytest.mark.parametrize(
    "variable", [v for v in VARIABLES if v.placeholder], ids=lambda variable: variable.name
)
def test_a_placeholder_counts_as_not_set(variable: object) -> None:
    name, placeholder = variable.name, variable.placeholder  # type: ignore[attr-defined]
    (problem,) = problems(**{"TCONNECT_SOURCE": "tconnect", name: placeholder})
    assert problem.startswith(name)
    assert "is not set" in problem


@pytest.mark.parametrize("text", ["00123456,90210042", " 00123456 90210042 ", "00123456; 90210042"])
def test_several_serial_numbers_are_for_tandem_source(text: str) -> None:
    both = {**COMPLETE, "PUMP_SERIAL_NUMBER": text}
    several = load({**both, "TCONNECT_SOURCE": "tandem-source"}, {}).source
    assert several.serial_number == "00123456,90210042"
    with pytest.raises(ConfigError, match="t:connect reads one pump, so give one number"):
        load({**both, "TCONNECT_SOURCE": "tconnect"}, {})


def test_tandem_source_needs_no_serial_number() -> None:
    settings = load({**COMPLETE, "PUMP_SERIAL_NUMBER": "11111111"}, {})
    assert (settings.source.name, settings.source.serial_number) == ("tandem-source", "")


def test_the_region_may_be_written_small() -> None:
    assert load({**COMPLETE, "TCONNECT_REGION": "eu"}, {}).tandem.region == "EU"


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("PUMP_SERIAL_NUMBER", "12ab", "digits"),
        ("NS_URL", "my-site.example.org", "whole address"),
        ("NS_URL", "https://ns.example.org/?token=abc", "NS_SECRET"),
        ("NS_URL", "https://user:12#3@ns.example.org/", "as %2F %3F %23 %40"),
        ("NS_URL", "https://user:12/3@ns.example.org/", "as %2F %3F %23 %40"),
        ("NS_URL", "https://user:12?3@ns.example.org/", "as %2F %3F %23 %40"),
        ("NS_URL", "https://user:p#w@ns.example.org/", "whole address"),
        ("NS_URL", "https://ns.example.org:abc/", "whole address"),
        ("NS_URL", "https://ns.example.org:99999/", "whole address"),
        ("NS_URL", "https://my site.example.org/", "whole address"),
        ("NS_URL", "https://a..example.org/", "whole address"),
        ("NS_URL", "ftp://ns.example.org/", "whole address"),
        ("TANDEM_SOURCE_URL", "https://user:pw@source.example.org", "without name"),
        ("TIMEZONE_NAME", "New York", "America/New_York"),
        ("TIMEZONE_NAME", "../../etc/passwd", "America/New_York"),
        ("SYNC_GAPS", "maybe", "true or false"),
        ("CATCH_UP_DAYS", "a week", "number of days"),
        ("CATCH_UP_DAYS", "nan", "number of days"),
        ("TCONNECT_SOURCE", "elsewhere", "tandem-source, tconnect"),
        ("TCONNECT_REGION", "Germany", "EU"),
        ("TANDEM_SOURCE_URL", "source.example.org", "whole address"),
        ("TCONNECT_WEB_URL", "ftp://x", "whole address"),
    ],
)
def test_a_wrong_value_is_answered_with_what_to_write_instead(
    name: str, value: str, advice: str
) -> None:
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name} is not usable")
    assert advice in problem


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:1337",
        "https://[::1]:1337/",
        "https://192.168.1.5/ns",
        "https://käse.example.org",
        "https://my_site.example.org/api/v1/",
        "https://user:p%40ss@ns.example.org/x",
        "https://ns.example.org:8080/@anna",
        "HTTPS://NS.EXAMPLE.ORG",
    ],
)
def test_what_can_be_the_address_of_a_site_is_taken(address: str) -> None:
    assert load({**COMPLETE, "NS_URL": address}, {}).nightscout.url == address


@pytest.mark.parametrize("end", ["#", "#/", "#something", "/#", "/path/#x"])
def test_what_only_a_browser_needs_of_an_address_is_left_out_and_mentioned(end: str) -> None:
    given = {**COMPLETE, "NS_URL": f"https://ns.example.org{end}"}
    assert load(given, {}).nightscout.url == f"https://ns.example.org{end.partition('#')[0]}"
    (notice,) = Configuration(given, {}).notices()
    assert "The part of NS_URL after #" in notice


def test_a_secret_that_is_too_short_for_nightscout_is_pointed_out() -> None:
    (notice,) = Configuration({**COMPLETE, "NS_SECRET": "only-eleven"}, {}).notices()
    assert "NS_SECRET (the environment) has fewer than 12 characters" in notice
    assert "only-eleven" not in notice
    assert Configuration({**COMPLETE, "NS_SECRET": "twelve-chars"}, {}).notices() == []


def test_a_login_in_the_address_of_the_site_is_a_secret() -> None:
    address = "https://robin:s%40cret-word@ns.example.org"
    configuration = Configuration({**COMPLETE, "NS_URL": address}, {})
    assert "s%40cret-word" not in repr(configuration.settings())
    assert configuration.secrets["NS_URL"] == address
    assert "NS_URL" not in Configuration(COMPLETE, {}).secrets


def test_problems_do_not_repeat_secrets() -> None:
    text = " ".join(problems(NS_SECRET="", NS_URL="s3cret", REQUESTS_PROXY="http://u:pw@h"))
    assert "pw" not in text
    assert "correct horse" not in text


@pytest.mark.parametrize("given", ["proxy:8080", "10.0.0.1", "https://", "ftp://u:pw@h", "http:h"])
def test_a_proxy_needs_a_whole_address(given: str) -> None:
    (problem,) = problems(REQUESTS_PROXY=given)
    assert problem.startswith("REQUESTS_PROXY is not usable: write a whole address, with http://")
    assert given not in problem
    for whole in ("http://proxy:8080", "socks5h://u:pw@10.0.0.1:1080", "https://[::1]:3128"):
        assert load({**COMPLETE, "REQUESTS_PROXY": whole}, {}).tandem.proxy == whole


@pytest.mark.parametrize("given", ["robin", "robin.example.org", "@example.org", "robin@", "a b@c"])
def test_what_is_no_e_mail_address_is_not_sent_to_tandem(given: str) -> None:
    (problem,) = problems(TCONNECT_EMAIL=given)
    assert "TCONNECT_EMAIL is not usable: write the whole e-mail address" in problem
    assert f"{given}." not in problem


@pytest.mark.parametrize("mark", ["'", '"'])
def test_quotation_marks_left_by_docker_are_dropped(mark: str) -> None:
    quoted = {name: f"{mark}{value}{mark}" for name, value in COMPLETE.items()}
    assert load(quoted, {}) == load(COMPLETE, {})


def test_the_older_names_of_two_variables_still_work_and_are_mentioned() -> None:
    older = {**COMPLETE, "API_SECRET": "another secret", "TZ": ":America/Chicago"}
    del older["NS_SECRET"], older["TIMEZONE_NAME"]
    settings = load(older, {})
    assert settings.nightscout.secret == "another secret"
    assert settings.tandem.zone.key == "America/Chicago"
    assert Configuration(older, {}).notices() == [
        "NS_SECRET is not set; API_SECRET is used instead.",
        "TIMEZONE_NAME is not set; TZ is used instead.",
    ]


def test_a_variable_without_effect_is_mentioned() -> None:
    (notice,) = Configuration(COMPLETE, {"NS_IGNORE_CONN_ERRORS": "true"}).notices()
    assert notice.startswith("NS_IGNORE_CONN_ERRORS has no effect any more")


def test_settings_do_not_show_secrets() -> None:
    configuration = Configuration(COMPLETE, {})
    shown = repr(configuration.settings()) + repr(configuration)
    assert not any(secret in shown for secret in configuration.secrets.values() if secret)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_environment_wins_over_a_file(tmp_path: Path) -> None:
    write(tmp_path / ".env", "TCONNECT_EMAIL=file@example.org\nTCONNECT_PASSWORD=from file\n")
    files = read_env_files(env_files(tmp_path / "home", tmp_path))
    environment = {k: v for k, v in COMPLETE.items() if k != "TCONNECT_PASSWORD"}
    settings = load(environment, files)
    assert settings.tandem.email == "someone@example.org"
    assert settings.tandem.password == "from file"


def test_the_working_directory_wins_over_the_home_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(home / ".config/tconnectsync/.env", "TCONNECT_EMAIL=home@example.org\nNS_URL=x")
    candidates = env_files(home, tmp_path)
    assert read_env_files(candidates)["TCONNECT_EMAIL"] == "home@example.org"
    write(tmp_path / ".env", "TCONNECT_EMAIL=here@example.org")
    assert read_env_files(candidates) == {"TCONNECT_EMAIL": "here@example.org"}


def test_a_password_with_special_characters_survives_the_file(tmp_path: Path) -> None:
    write(tmp_path / ".env", "TCONNECT_PASSWORD='a$b${c}#d \"e'\n")
    assert read_env_files((tmp_path / ".env",)) == {"TCONNECT_PASSWORD": 'a$b${c}#d "e'}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        load(COMPLETE, read_env_files((tmp_path / ".env",)))


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    assert read_env_files(env_files(tmp_path, tmp_path)) == {}
