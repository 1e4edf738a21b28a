"""The questions of `--setup` in their order; each answer is tried at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tconnectsync.check.results import State
from tconnectsync.cli.ask import ask, ask_unseen, choose, confirm, say_wrapped
from tconnectsync.clouds import TANDEM_SOURCE, cloud_named
from tconnectsync.config import values
from tconnectsync.config.notices import unavailable
from tconnectsync.config.variables import VARIABLES
from tconnectsync.errors import TconnectsyncError
from tconnectsync.setup.countries import Country, country
from tconnectsync.setup.homezone import proposed_zone
from tconnectsync.setup.trials import is_refusal
from tconnectsync.setup.uploaders import Advice, advice
from tconnectsync.sync.features import DEFAULT, FEATURES

if TYPE_CHECKING:
    from tconnectsync.check.results import Result
    from tconnectsync.setup.draft import Draft
    from tconnectsync.setup.trials import Trials

REGIONS = {
    "US": "the US region (United States, Canada and Mexico)",
    "EU": "the EU region (all other countries)",
}
PROVISIONAL_ZONE = "UTC"
"""For what is asked before the zone is known, where it makes no difference."""
UNTESTED = "Go on without testing this"


class Interview:
    """Asks the questions and leaves the answers in the draft.

    Args:
        draft: the answers, and what the file said before.
        trials: tries them.
        source: the cloud that an option names, if one does.
        region: the region that an option names, if one does.
    """

    def __init__(
        self, draft: Draft, trials: Trials, source: str | None = None, region: str | None = None
    ) -> None:
        self._draft = draft
        self._trials = trials
        self._source = source or draft.before("TCONNECT_SOURCE").lower() or TANDEM_SOURCE.name
        self._region = region or draft.before("TCONNECT_REGION").upper()
        self._country = ""
        self._refused: set[tuple[str, ...]] = set()
        """What a service refused, with where; it is not sent there again."""
        self.is_logged_in = False

    def run(self) -> None:
        """Ask all questions."""
        cloud = cloud_named(self._source)
        if cloud is not TANDEM_SOURCE or self._draft.before("TCONNECT_SOURCE"):
            print(f"The data come from {cloud.title}.")
            self._answer("TCONNECT_SOURCE", self._source)
        else:
            self._draft.answers.pop("TCONNECT_SOURCE", None)
        self._answer("TIMEZONE_NAME", self._draft.before("TIMEZONE_NAME") or PROVISIONAL_ZONE)
        if cloud is TANDEM_SOURCE:
            self._ask_country()
        self._ask_email()
        self._log_in()
        if self.is_logged_in:
            self._find_pumps()
        elif "PUMP_SERIAL_NUMBER" in cloud.needs:
            self._type_serial()
        self._ask_site()
        is_known = self._ask_secret()
        self._ask_zone()
        self._ask_features(is_known=is_known)

    def _ask_country(self) -> None:
        def parse(text: str) -> Country:
            if self._region and text == self._region:
                return Country("", REGIONS[self._region], self._region)
            return country(text)

        found = ask("In which country was the Tandem account opened", parse, self._region)
        print(f"  {found.name}: {REGIONS[found.region]}." if found.code else f"  {found.name}.")
        self._region, self._country = found.region, found.code
        self._answer("TCONNECT_REGION", found.region)

    def _ask_email(self) -> None:
        def parse(text: str) -> str:
            if text.count("@") != 1 or " " in text or "." not in text.partition("@")[2]:
                raise ValueError("write the whole e-mail address, for example robin@example.org")
            return _no_example("TCONNECT_EMAIL", text)

        question = "E-mail address of the Tandem account"
        self._answer("TCONNECT_EMAIL", ask(question, parse, self._proposed("TCONNECT_EMAIL")))

    def _log_in(self) -> None:
        """Ask for the password and try it; what was refused is asked for again, not sent again."""
        self._ask_password()
        while True:
            result = self._trials.log_in(self._draft.configuration())
            _show([result])
            if result.state is State.OK:
                self.is_logged_in = True
                return
            if is_refusal(result):
                self._refused.add(self._account())
                print("What was sent was refused, and it is not sent there again.")
                self._correct_account()
            elif not self._go_on_after_trouble():
                return

    def _account(self) -> tuple[str, ...]:
        names = ("TCONNECT_REGION", "TCONNECT_EMAIL", "TCONNECT_PASSWORD")
        return tuple(self._draft.answers.get(name, "") for name in names)

    def _corrections(self) -> dict[str, Callable[[], None]]:
        """Return what can be changed about an account, and what asks for it."""
        found: dict[str, Callable[[], None]] = {
            "Type another password": self._ask_password,
            "Type another e-mail address": self._ask_email,
        }
        if "TCONNECT_REGION" in self._draft.answers:
            other = "EU" if self._region == "US" else "US"

            def change() -> None:
                self._region, self._country = other, ""
                self._answer("TCONNECT_REGION", other)

            found[f"Try {REGIONS[other]}; its accounts are others"] = change
        return found

    def _correct_account(self) -> None:
        """Have an account that was refused corrected until it is another one."""
        while self._account() in self._refused:
            choices = self._corrections()
            list(choices.values())[choose("What now", list(choices)) - 1]()
            if self._account() in self._refused:
                print("  This was refused a moment ago.")

    def _go_on_after_trouble(self) -> bool:
        """Ask what to do after a login that failed for another reason; return whether to try it."""
        choices = {"Try again": lambda: None, **self._corrections()}
        number = choose("What now", [*choices, UNTESTED])
        if number > len(choices):
            return False
        list(choices.values())[number - 1]()
        if self._account() in self._refused:
            self._correct_account()
        return True

    def _ask_password(self) -> None:
        name = "TCONNECT_PASSWORD"
        proposed = self._proposed(name)
        if (*self._account()[:2], proposed) in self._refused:
            proposed = ""
        question = "Its password (it does not show while you type)"
        self._secret(name, ask_unseen(question, lambda text: _no_example(name, text), proposed))

    def _find_pumps(self) -> None:
        """Show the pumps of the account; ask whose they are where that is not clear."""
        serial = self._draft.before("PUMP_SERIAL_NUMBER")
        self._answer("PUMP_SERIAL_NUMBER", serial)
        try:
            pumps = self._trials.known_pumps(self._draft.configuration())
        except TconnectsyncError as error:
            say_wrapped(f"  {error}", 2)
            pumps = {}
        needs_one = "PUMP_SERIAL_NUMBER" in cloud_named(self._source).needs
        if needs_one and len(pumps) == 1:
            self._secret("PUMP_SERIAL_NUMBER", next(iter(pumps.values())))
        elif len(pumps) > 1:
            self._choose_pump(pumps, is_needed=needs_one)
        elif needs_one:
            self._type_serial()
        results = self._trials.pumps(self._draft.configuration())
        _show(results)
        if any(result.exit_code == 2 for result in results if result.state is State.FAILED):
            self._choose_pump(pumps, is_needed=True)
            _show(self._trials.pumps(self._draft.configuration()))

    def _choose_pump(self, pumps: dict[str, str], *, is_needed: bool) -> None:
        serials = list(pumps.values())
        print("The account has several pumps:")
        choices = [f"Only {name}" for name in pumps]
        usual = 1
        if not is_needed:
            choices.append("All of them: they are, or were, one person's, one after the other")
            usual = len(choices)
        before = self._draft.answers.get("PUMP_SERIAL_NUMBER", "").lstrip("0")
        plain = [serial.lstrip("0") for serial in serials]
        proposed = plain.index(before) + 1 if before in plain else usual
        number = choose("Which of them belong to this Nightscout site", choices, proposed)
        self._secret("PUMP_SERIAL_NUMBER", serials[number - 1] if number <= len(serials) else "")

    def _type_serial(self) -> None:
        name = "PUMP_SERIAL_NUMBER"
        question = "Serial number of the pump (on its back)"
        self._secret(name, ask(question, values.serial, self._proposed(name)))

    def _ask_site(self) -> None:
        """Ask for the address of the site until a Nightscout answers there."""
        proposed = self._proposed("NS_URL")
        skip = bool(self._draft.configuration().values.get("NS_SKIP_TLS_VERIFY"))
        while True:
            url = ask("Address of the Nightscout site", _site, proposed, _without_login(proposed))
            proposed = url
            try:
                self._answer("NS_URL", self._found(url, skip_tls_verify=skip))
                return
            except TconnectsyncError as error:
                say_wrapped(f"Nightscout: failed. {error}", 2)
            if choose("What now", ["Type the address again", UNTESTED]) == 2:
                self._answer("NS_URL", url)
                return

    def _found(self, url: str, *, skip_tls_verify: bool) -> str:
        own, remark = self._trials.site(url, skip_tls_verify=skip_tls_verify)
        if remark:
            say_wrapped(f"  {remark}", 2)
        print(f"  Nightscout answers at {_without_login(own)}.")
        return own

    def _ask_secret(self) -> bool:
        """Ask for the secret until the site accepts it; return whether it does."""
        name = "NS_SECRET"
        url = self._draft.answers["NS_URL"]
        while True:
            proposed = self._proposed(name)
            if (url, proposed) in self._refused:
                proposed = ""
            question = "API secret of the site, or an access token (it does not show)"
            text = ask_unseen(question, lambda text: _no_example(name, text), proposed)
            if (url, text) in self._refused:
                print("  The site refused this a moment ago; type another one.")
                continue
            self._secret(name, text)
            results = list(self._trials.rights(self._draft.configuration(), DEFAULT))
            _show(results)
            failed = [it for it in results if it.state is State.FAILED]
            if not failed:
                return True
            if choose("What now", ["Type another secret", UNTESTED], 1) == 2:
                return False
            if any(it.error and it.error.fatal for it in failed):
                self._refused.add((url, text))

    def _ask_zone(self) -> None:
        """Ask for the zone of the pump's clock, and let the pump's log judge it."""
        proposed = self._draft.before("TIMEZONE_NAME") or proposed_zone(self._country)
        while True:
            question = "Time zone that the pump's clock is set to, such as Europe/Berlin"
            zone = ask(question, _zone, proposed)
            self._answer("TIMEZONE_NAME", zone)
            if not self.is_logged_in:
                return
            results = list(self._trials.clocks(self._draft.configuration()))
            _show(results)
            if all(it.state is not State.FAILED for it in results):
                return
            if confirm(f"Keep {zone} all the same"):
                return
            here = proposed_zone(self._country)
            proposed = here if here != zone else ""

    def _ask_features(self, *, is_known: bool) -> None:
        """Say what makes sense beside what the site has, and ask what to sync."""
        found = self._advice() if is_known else Advice(DEFAULT)
        for remark in found.remarks:
            say_wrapped(f"- {remark}", 2)
        before = self._draft.before("FEATURES")
        proposed = values.features(before) if _is_features(before) else found.features
        print("What can be shown in Nightscout (* is proposed):")
        lacks = cloud_named(self._source).lacks
        for feature in FEATURES.values():
            if feature.name not in lacks:
                mark = "*" if feature.name in proposed else " "
                say_wrapped(f"  {mark} {feature.name:<29} {feature.meaning}", 34)

        def parse(text: str) -> tuple[str, ...]:
            names = values.features(text)
            enabled = self._draft.configuration().values.get("ENABLE_TESTING_MODES", False)
            if problem := unavailable(names, self._source, testing_enabled=enabled):
                raise ValueError(problem.removesuffix("."))
            return names

        chosen = ask("Which of these, with blanks between them", parse, " ".join(proposed))
        self._answer("FEATURES", ",".join(chosen))  # Without blanks: plain for every reader.
        if is_known and set(chosen) - set(DEFAULT):
            results = self._trials.rights(self._draft.configuration(), chosen)
            _show(it for it in results if it.state is State.FAILED)

    def _advice(self) -> Advice:
        lacks = cloud_named(self._source).lacks
        try:
            return advice(self._trials.seen(self._draft.configuration()), lacks)
        except TconnectsyncError as error:
            say_wrapped(f"What is on the site cannot be seen: {error}", 2)
            return Advice(DEFAULT)

    def _proposed(self, name: str) -> str:
        return self._draft.answers.get(name) or self._draft.before(name)

    def _answer(self, name: str, value: str) -> None:
        self._draft.answers.pop(name, None)  # So that they stand in the order of the questions.
        self._draft.answers[name] = value

    def _secret(self, name: str, value: str) -> None:
        self._answer(name, value)
        self._trials.redactor.learn(name, value)


def _show(results: Iterable[Result]) -> None:
    for result in results:
        for number, line in enumerate(str(result).splitlines()):
            say_wrapped(line, 4 if number else 25)


def _no_example(name: str, text: str) -> str:
    """Return an answer that is not the example of ``.env.example``, which counts as no answer."""
    if text == next(it.placeholder for it in VARIABLES if it.name == name):
        raise ValueError("this is the example from .env.example, which counts as nothing")
    return text


def _site(text: str) -> str:
    """Read the address of a site, also one without ``https://``."""
    return _no_example("NS_URL", values.site(text if "://" in text else f"https://{text}"))


def _zone(text: str) -> str:
    return values.zone(text).key


def _is_features(text: str) -> bool:
    try:
        return bool(values.features(text))
    except ValueError:
        return False


def _without_login(url: str) -> str:
    """Return an address without the user and password of a proxy."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return scheme + mark + place.rpartition("@")[2] + slash + path
