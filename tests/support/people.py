"""Several people on one computer, each with an account, a pump, a life and a site of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha1
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedPump, SimulatedTandemSource
from tests.support.command import NEW_YORK, Computer

PEOPLE = "people"
"""The folder with everybody's file."""


@dataclass
class Somebody:
    """One of them."""

    name: str
    email: str
    password: str
    secret: str
    serial: str
    tandem: SimulatedTandemSource
    site: SmallNightscout

    @property
    def variables(self) -> dict[str, str]:
        """What this person's file sets."""
        return {
            "TCONNECT_EMAIL": self.email,
            "TCONNECT_PASSWORD": self.password,
            "PUMP_SERIAL_NUMBER": self.serial,
            "NS_URL": self.site.url,
            "NS_SECRET": self.secret,
            **self.tandem.variables,
        }

    @property
    def personal(self) -> dict[str, str]:
        """What must not be met in anything that is about somebody else."""
        login = self.tandem.login
        return {
            "e-mail": self.email,
            "password": self.password,
            "secret": self.secret,
            "hash of the secret": sha1(self.secret.encode(), usedforsecurity=False).hexdigest(),
            "serial": self.serial,
            "address of the site": urlsplit(self.site.url).netloc,
            "address of the cloud": urlsplit(self.tandem.url).netloc,
            "pumper": login.pumper_id,
            "account": login.account_id,
            "assignment": self.tandem.assignment_id,
            **{f"token {number}": token for number, token in enumerate(login.tokens)},
        }


@contextmanager
def household(
    folder: Path,
    first: date,
    days: int,
    *names: str,
    until: datetime | None = None,
    zone: str = NEW_YORK,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[dict[str, Somebody]]:
    """Let some people live for some days, and write their files; give them by their names.

    ``until`` is when their pumps have uploaded, by their wall clocks, which show ``zone``; ``now``
    is the clock of the services.
    """
    with ExitStack() as serving:
        found = {}
        for number, name in enumerate(names):
            email, password = f"{name}.sample@example.org", f'{name}\'s secret "horse" & 100%'
            pump = SimulatedPump(
                live(first, days, seed=number + 1),
                zone=ZoneInfo(zone),
                serial=f"9021{number + 10:04}",
                uploaded_until=until,
            )
            tandem = SimulatedTandemSource(
                pump, email=email, password=password, zone=ZoneInfo(zone)
            )
            secret = f"the long secret of {name}"
            site = SmallNightscout(secret, now=now)
            tandem.login.now = now
            serving.enter_context(tandem)
            serving.enter_context(site)
            found[name] = Somebody(name, email, password, secret, pump.serial_number, tandem, site)
            write_settings(folder / PEOPLE / f"{name}.env", found[name].variables)
        write_settings(
            folder / PEOPLE / ".env",
            {"TIMEZONE_NAME": zone, "TCONNECT_SOURCE": TANDEM_SOURCE.name},
        )
        yield found


def write_settings(file: Path, variables: Mapping[str, str]) -> None:
    """Replace a file of settings."""
    file.parent.mkdir(exist_ok=True)
    lines = [
        "{}='{}'\n".format(name, value.replace("\\", "\\\\").replace("'", "\\'"))
        for name, value in variables.items()
    ]
    file.write_text("".join(lines))
    file.chmod(0o600)


def shared_computer(folder: Path, **variables: str) -> Computer:
    """Return the computer of all of them, on which nothing is set besides their files."""
    return Computer(folder, variables)
