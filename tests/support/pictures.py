"""Makes the pictures of the README, all from simulated data: `make pictures`.

One is a day of the report that `--demo` writes; the other is the chart of the real Nightscout,
filled by a sync. Both show the same day, whenever they are made.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tconnectsync.app import assemble
from tconnectsync.cli.demo import DAYS, FIRST_DAY, ZONE, demo
from tconnectsync.cli.options import Options
from tconnectsync.clock import Clock
from tconnectsync.domain.clock import TimeRange
from tconnectsync.simulators.person import live
from tests.support.browser import browser
from tests.support.command import computer, tandem_source
from tests.support.real_nightscout import NightscoutSite, RealNightscout
from tests.support.settings import host

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
WIDTH = 1200
"""Pixels."""
LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)
EVENING = datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, 20, 40, tzinfo=ZoneInfo(ZONE))
"""When somebody looks at Nightscout."""
LONGEST_WAIT = 60.0
"""Longest time (seconds) until Nightscout shows what it holds."""

SETTING = ".day { padding: 24px } .day h3 { margin-top: 0 } .day details { display: none }"
"""CSS for the picture of a day of the report, without the list that is closed anyway."""
SHIFT = """(() => {
  const Real = Date, by = %d;
  globalThis.Date = new Proxy(Real, {
    apply: () => new Date().toString(),
    construct: (_, given) => given.length ? new Real(...given) : new Real(Real.now() + by),
    get: (real, name) => name === "now" ? () => Real.now() + by : real[name],
  });
})();"""
"""JavaScript that sets a clock forward or back, by milliseconds."""
FEATURES = ("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "CGM", "DEVICE_STATUS", "IOB")
LOOK = {
    "AUTH_DEFAULT_ROLES": "readable",
    "ENABLE": "careportal basal iob cob cage iage sage pump bgnow delta direction timeago",
    "SHOW_PLUGINS": "basal iob cob cage iage sage pump careportal delta direction",
    "BASAL_RENDER": "default",
    "PUMP_FIELDS": "reservoir battery",
    "THEME": "colors",
    "TIME_FORMAT": "24",
    "TZ": ZONE,
    **{f"ALARM_{name}": "off" for name in ("HIGH", "LOW", "URGENT_HIGH", "URGENT_LOW")},
}
"""How the real Nightscout is set up."""


def report_picture(window: Browser) -> bytes:
    """Return a day of the report of the demo, as PNG."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        demo(Options(quiet=True, output=file), host(file.parent))
        page = window.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(file.as_uri())
        page.add_style_tag(content=SETTING)
        return page.locator(f"#day-{LAST_DAY}").screenshot()


def nightscout_picture(window: Browser) -> bytes:
    """Return the chart of the real Nightscout after a sync, as PNG."""
    by = (EVENING - datetime.now(UTC)) // timedelta(milliseconds=1)
    with TemporaryDirectory() as folder:
        clock = Path(folder, "clock.js")
        clock.write_text(SHIFT % by, "utf-8")
        with RealNightscout({**LOOK, "NODE_OPTIONS": f"--require {clock}"}) as site:
            readings = _fill(site, Path(folder))
            _wait_until(lambda: f"sgvs:{readings}," in site.log.read_text("utf-8"))
            page = window.new_page(
                viewport={"width": WIDTH, "height": 720}, timezone_id=ZONE, locale="en-GB"
            )
            page.add_init_script(SHIFT % by)
            page.add_init_script("localStorage.setItem('focusHours', '12')")
            page.goto(site.url)
            # Lines, areas and dots move to their places at first.
            page.locator(".chart-focus circle").nth(readings // 5).wait_for(state="attached")
            page.wait_for_timeout(3000)
            return page.screenshot()


def _fill(site: NightscoutSite, folder: Path) -> int:
    """Sync two days until :data:`EVENING`; return how many sensor readings the site holds then."""
    clock = Clock(now=lambda: EVENING)
    with tandem_source(live(FIRST_DAY, DAYS), ZONE) as tandem:
        tandem.login.now = clock.now
        tandem.uploaded_until = EVENING.replace(tzinfo=None)
        variables = computer(folder, tandem, site.url, site.secret, ZONE).variables
        here = host(folder, clock, {**variables, "ENABLE_TESTING_MODES": "true"})
        cycle = assemble(here.configuration().settings(), FEATURES, here)
        outcome = cycle.run(TimeRange(EVENING - timedelta(days=2), EVENING))
        assert outcome.is_complete, outcome.failures
    return sum(entry["type"] == "sgv" for entry in site.contents()["entries"])


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Nightscout does not show its data after {LONGEST_WAIT:.0f} s.")
        time.sleep(0.2)


PICTURES = {"report-day.png": report_picture, "nightscout.png": nightscout_picture}


def main() -> int:
    """Make the pictures and say how large they are; return the exit code."""
    FOLDER.mkdir(exist_ok=True)
    with browser() as window:
        for name, make in PICTURES.items():
            picture = make(window)
            (FOLDER / name).write_bytes(picture)
            sys.stdout.write(f"docs/pictures/{name}: {len(picture) / 1000:.0f} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
