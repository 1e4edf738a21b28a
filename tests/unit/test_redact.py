"""What must not be shown is not shown."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import subprocess
import sys
from urllib.parse import quote

import pytest

from tconnectsync.redact import RedactingFormatter, Redactor

SECRETS = {"PASSWORD": 'p"ss wörd/&', "EMAIL": "Someone@example.org", "SERIAL": "00123456"}
redact = Redactor(SECRETS)
EVERY_CHARACTER = "".join(map(chr, range(sys.maxunicode + 1)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('login with p"ss wörd/& failed', "login with [PASSWORD] failed"),
        ("password=p%22ss%20w%C3%B6rd%2F%26&x=1", "password=[PASSWORD]&x=1"),
        ("password=p%22ss+w%C3%B6rd%2F%26&x=1", "password=[PASSWORD]&x=1"),
        (r'{"p": "p\"ss w\u00f6rd/&"}', '{"p": "[PASSWORD]"}'),
        ("SOMEONE@EXAMPLE.ORG", "[EMAIL]"),
        ("sn=00123456", "sn=[SERIAL]"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_found_in_every_dress(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_the_sha1_of_a_secret_is_as_secret() -> None:
    digest = hashlib.sha1(SECRETS["PASSWORD"].encode()).hexdigest()
    assert redact(f"api-secret: {digest}") == "api-secret: [PASSWORD]"


@pytest.mark.parametrize("letter", "abcdefghijklmnopqrstuvwxyz0123456789")
def test_a_secret_is_found_in_whatever_fits_it_where_case_is_ignored(letter: str) -> None:
    for other in re.findall(letter, EVERY_CHARACTER, re.IGNORECASE):
        for secret in (letter, letter.upper()):
            assert Redactor({"PASSWORD": secret * 8})(f"a-{other * 8}!") == "a-[PASSWORD]!"


def test_a_secret_whose_letters_change_with_their_case_is_found_as_it_is() -> None:
    secret = "-İ-ß-1-ſ-"
    for text in (secret, quote(secret)):
        assert Redactor({"PASSWORD": secret})(f"a {text}!") == "a [PASSWORD]!"


def test_a_short_secret_does_not_garble_words() -> None:
    assert Redactor({"PASSWORD": "a"})("a cat and a") == "[PASSWORD] cat and [PASSWORD]"


def test_without_secrets_everything_is_shown() -> None:
    assert Redactor({"PASSWORD": ""})("as it is") == "as it is"


def test_tracebacks_are_redacted_too() -> None:
    try:
        raise RuntimeError(f"failed for {SECRETS['EMAIL']}")
    except RuntimeError:
        info = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "Trouble with %s", ("00123456",), info)
    text = RedactingFormatter(redact).format(record)
    assert "Trouble with [SERIAL]" in text
    assert "failed for [EMAIL]" in text
    assert SECRETS["EMAIL"] not in text


@pytest.mark.parametrize(
    "text",
    [
        'p"ss wörd/&',
        "p%22ss%20w%c3%b6rd%2f%26",
        "p%22ss+w%F6rd/&",
        "p%2522ss%2520w%25C3%25B6rd%252F%2526",
        "p&quot;ss w&ouml;rd/&amp;",
        "p&#34;ss w&#246;rd&#x2f;&#038;",
        r"p\"ss w\u00f6rd\/\u0026",
        r"p%5C%22ss%20w%5Cu00f6rd%2F%26",
    ],
)
def test_a_password_is_found_however_it_is_written(text: str) -> None:
    assert redact(f"<{text}>") == "<[PASSWORD]>"


@pytest.mark.parametrize("before", ["", "a", "ab", "someone:"])
def test_base64_hides_nothing_from_us(before: str) -> None:
    password = "correct horse battery"
    coded = base64.b64encode(f"{before}{password}:end".encode()).decode()
    shown = Redactor({"PASSWORD": password})(f"Login {coded}")
    assert "[PASSWORD]" in shown
    assert coded[6:20] not in shown


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_hashes_are_as_secret(algorithm: str) -> None:
    digest = hashlib.new(algorithm, SECRETS["PASSWORD"].encode()).hexdigest()
    assert redact(digest.upper()) == "[PASSWORD]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("users/9F1C2A34-5b6c-4d7e-8f90-a1b2c3d4e5f6?x", "users/[GUID]?x"),
        ("id 9f1c2a345b6c4d7e8f90a1b2c3d4e5f6.", "id [GUID]."),
        ("ask jo.doe+pump@mail.example.org, please", "ask [EMAIL], please"),
        ("user=jo%40example.org&x", "user=[EMAIL]&x"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqbyJ9.c2lnbmF0dXJl-_", "Bearer [TOKEN]"),
        ("5f1c2a345b6c4d7e8f90a1b2", "5f1c2a345b6c4d7e8f90a1b2"),
    ],
)
def test_what_looks_personal_is_hidden_whosever_it_is(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


@pytest.mark.parametrize(
    "text",
    ["https://Robin.Example.org:8443/ns/", "robin.example.org", "//ROBIN.example.org%3A8443/x"],
)
def test_the_host_of_an_address_is_hidden_in_any_form(text: str) -> None:
    redactor = Redactor()
    redactor.learn_address("NS_URL", "https://robin.example.org:8443/ns")
    assert "[NS_URL]" in redactor(text)
    assert "robin" not in redactor(text).lower()


def test_the_host_of_an_address_in_another_script_is_hidden_as_both() -> None:
    redactor = Redactor()
    redactor.learn_address("NS_URL", "https://jörg.example.org")
    assert redactor("jörg.example.org xn--jrg-sna.example.org") == "[NS_URL] [NS_URL]"


def test_a_host_that_is_only_a_word_does_not_garble_sentences() -> None:
    redactor = Redactor()
    redactor.learn_address("NS_URL", "http://nightscout:1337/")
    assert redactor("Nightscout at http://nightscout:1337") == "Nightscout at [NS_URL]"


ACCOUNT = {
    "account": {"patientFullName": "Robin van Sample", "caregiverFullName": ""},
    "people": [{"firstName": "May", "lastName": "Sample-Doe", "birthDate": "1990-02-03T00:00:00"}],
    "secretQuestionId": 1,
    "secretAnswer": "blue",
    "dateOfBirth": "0001-01-01T00:00:00",
    "pumps": [{"serialNumber": 90210042}, {"Serial #": "METER-77"}],
    "hasControlIQ": True,
    "dose": 1,
}


@pytest.mark.parametrize(
    "text",
    [
        "Robin van Sample",
        "Sample, Robin",
        "robin's",
        "May Sample-Doe",
        "MAY",
        "2/3/1990",
        "02/03/1990",
        "1990-02-03",
        "Feb 3, 1990",
        "03.02.1990",
        "blue",
        "90210042",
        "meter-77",
    ],
)
def test_what_an_account_says_is_hidden_elsewhere_too(text: str) -> None:
    redactor = Redactor()
    redactor.learn_from(ACCOUNT)
    left = re.sub(r"\[[A-Z_]+\]", "", redactor(text))
    assert not re.search(r"\w{2}", left)


def test_what_an_account_says_garbles_no_other_text() -> None:
    redactor = Redactor()
    redactor.learn_from(ACCOUNT)
    text = "It may give 1 U at 0001-01-01; blues, and a robinia."
    assert redactor(text) == text


def test_personal_keys_are_hidden_at_any_depth() -> None:
    assert Redactor().clean(ACCOUNT) == {
        "account": {"patientFullName": "[PATIENT_FULL_NAME]", "caregiverFullName": ""},
        "people": [
            {"firstName": "[FIRST_NAME]", "lastName": "[LAST_NAME]", "birthDate": "[BIRTH_DATE]"}
        ],
        "secretQuestionId": "[SECRET_QUESTION_ID]",
        "secretAnswer": "[SECRET_ANSWER]",
        "dateOfBirth": "[DATE_OF_BIRTH]",
        "pumps": [{"serialNumber": "[SERIAL_NUMBER]"}, {"Serial #": "[SERIAL]"}],
        "hasControlIQ": True,
        "dose": 1,
    }


QUOTED = {
    "firstName": "May",
    "name": "May Sample-Doe",
    "lastName": "Sample-Doe",
    "dateOfBirth": "1990-02-03T00:00:00",
    "serialNumber": 90210042,
    "access_token": "half \"quoted\" 'token'",
    "headers": {"api-secret": "0123456789", "Cookie": "UserGUID=x; accessToken=abcdef"},
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(QUOTED),
        repr(QUOTED),
        repr(json.dumps(QUOTED)),
        json.dumps({"message": json.dumps(QUOTED)}),
        json.dumps(QUOTED)[:-20],
        repr(RuntimeError("It broke.", QUOTED)),
    ],
)
def test_what_an_error_quotes_of_a_payload_is_hidden_and_learned(text: str) -> None:
    redactor = Redactor()
    shown = redactor(text)
    hidden = ("May", "Doe", "1990", "90210042", "quoted", "0123456789", "abcdef")
    assert not [value for value in hidden if value in shown]
    assert "[FIRST_NAME]" in shown
    assert redactor("May, 90210042") == "[FIRST_NAME], [SERIAL_NUMBER]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /x?sn=90210042&day=1", "GET /x?sn=[SN]&day=1"),
        ("'code=abc&code_verifier=def'", "'code=[CODE]&code_verifier=[CODE_VERIFIER]'"),
        ("Bearer abcdefgh12345678", "Bearer [TOKEN]"),
        ("proxy http://robin:pass@10.0.0.1:80", "proxy http://[LOGIN]@10.0.0.1:80"),
        (
            "'eventCode': 'custom', \"kind\": \"token\"",
            "'eventCode': 'custom', \"kind\": \"token\"",
        ),
        ("KeyError: 'serialNumber'", "KeyError: 'serialNumber'"),
        ("f(token=login.token)", "f(token=login.token)"),
        ("TCONNECT_PASSWORD=(hidden)", "TCONNECT_PASSWORD=(hidden)"),
        ("'password': '[PASSWORD]'", "'password': '[PASSWORD]'"),
    ],
)
def test_what_addresses_and_forms_carry_is_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


@pytest.mark.parametrize("quotations", range(4))
def test_a_password_is_found_however_often_it_was_quoted(quotations: int) -> None:
    text = SECRETS["PASSWORD"]
    for _ in range(quotations):
        text = json.dumps(text)
    assert "wörd" not in redact(text)
    assert "ss w" not in redact(text)


def test_the_login_in_a_proxys_address_is_as_secret_as_the_address() -> None:
    redactor = Redactor({"REQUESTS_PROXY": "http://robin:hidden%2Bwell@10.0.0.1:8080"})
    assert redactor("hidden+well of robin") == "[REQUESTS_PROXY] of [REQUESTS_PROXY]"


def test_a_serial_number_is_hidden_as_a_number_too() -> None:
    assert redact("sn 123456, 00123456") == "sn [SERIAL], [SERIAL]"


def test_each_of_several_serial_numbers_is_hidden() -> None:
    redact = Redactor({"SERIAL": "00123456,90210042"})
    assert redact("sn 123456, 90210042") == "sn [SERIAL], [SERIAL]"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["\\", '"', "'a':", '"a":"', '\\"a\\":', "?a=b", "://a@"])
def test_hostile_texts_do_not_keep_it_busy(piece: str) -> None:
    assert redact(piece * 20_000)


WORDS = Redactor({"TCONNECT_PASSWORD": "wrong", "NS_SECRET": "Proxy", "EMAIL": "a@b.example"})


@pytest.mark.parametrize(
    "sentence",
    [
        "The password may be wrong: write it again.",
        "A proxy answers, not the site. Something is wrong.",
        "TCONNECT_PASSWORD is wrong (or NS_SECRET).",
        "The pump's clock isn't wrong, and the proxy's isn't.",
    ],
)
def test_a_password_that_is_a_word_of_ours_leaves_our_sentences_as_they_are(sentence: str) -> None:
    assert WORDS.sentence(sentence) == sentence


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('It says "the password wrong is short".', 'It says "the password [TCONNECT_PASSWORD] is'),
        ("It says 'wrong', which is wrong.", "It says '[TCONNECT_PASSWORD]', which is wrong."),
        ("GET /wrong?secret=Proxy", "GET /[TCONNECT_PASSWORD]?secret=[SECRET]"),
        ("https://user:wrong@proxy.example", "https://[LOGIN]@[NS_SECRET].example"),
        ("a@b.example is wrong", "[EMAIL] is wrong"),
        ('{"password": "wrong"}', '{"password": "[PASSWORD]"}'),
    ],
)
def test_such_a_password_is_hidden_where_it_is_data(text: str, shown: str) -> None:
    assert WORDS.sentence(text).startswith(shown)
    assert not re.search(r"""["'/=:]wrong""", WORDS.sentence(text))


def test_such_a_password_is_hidden_everywhere_in_what_is_not_ours() -> None:
    assert WORDS("all wrong, wrongly") == "all [TCONNECT_PASSWORD], wrongly"
    try:
        raise ValueError("wrong it is")
    except ValueError:
        info = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "This is wrong", (), info)
    said, _, trace = RedactingFormatter(WORDS).format(record).partition("\n")
    assert said.endswith("This is wrong")
    assert "ValueError: [TCONNECT_PASSWORD] it is" in trace
    assert "wrong" not in trace.rpartition("ValueError")[2]


def test_a_password_that_no_text_of_ours_has_is_hidden_in_sentences_too() -> None:
    rare = Redactor({"PASSWORD": "xylophonist", "NS_SECRET": "wrong it is"})
    assert rare.sentence("The xylophonist: wrong it is.") == "The [PASSWORD]: [NS_SECRET]."


def test_our_texts_are_searched_only_for_a_password_that_a_sentence_has() -> None:
    program = """if True:
        import sys
        from tconnectsync.redact import Redactor
        opened = []
        redact = Redactor({"PASSWORD": "wrong", "NS_SECRET": "xylophonist"})
        sys.addaudithook(lambda name, values: opened.append(values) if name == "open" else None)
        assert redact.sentence("This is right.") == "This is right."
        assert not opened
        assert redact.sentence("This is wrong.") == "This is wrong."
        assert opened
        """
    subprocess.run([sys.executable, "-c", program], check=True)
