"""``--demo``: three days of a simulated pump, synced twice, what came of it, and a report of it.

The simulated cloud and the small Nightscout speak real HTTP on loopback; what runs between them is
the ordinary program. With ``--serve`` the small Nightscout stays, to be looked at in a browser.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tconnectsync import config
from tconnectsync.app import assemble, open_history, open_nightscout
from tconnectsync.cli.pagefile import file_to_write, write_page
from tconnectsync.cli.say import ignore, print_result
from tconnectsync.clouds import TANDEM_SOURCE, cloud_named
from tconnectsync.errors import TconnectsyncError, UsageError
from tconnectsync.nightscout.eventtypes import TEMP_BASAL
from tconnectsync.report.figures import make_report
from tconnectsync.report.model import SMALLEST_DIFFERENCE
from tconnectsync.report.page import render
from tconnectsync.simulators.history import PumpHistory, basal_insulin, bolus_insulin
from tconnectsync.simulators.nightscout.homepage import home_page
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.pump import SERIAL_NUMBER
from tconnectsync.stop import Stop, Stopped
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import date_range

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options

FIRST_DAY = date(2024, 6, 3)
DAYS = 3
ZONE = "America/New_York"
FEATURES = ("BASAL", "BOLUS", "PUMP_EVENTS")
FILE = Path("tconnectsync-demo-report.html")
"""Where the report goes unless another file is named."""
LINKS = {
    "/report": "The report of these days",
    "/api/v1/treatments.json?find[created_at][$gte]=2024-01-01&count=100": (
        "The newest 100 treatments as the API shows them"
    ),
    "/api/v1/status.json": "What the API says of the site",
}
"""Where to look besides the page itself."""
HOUR = 3600.0


@dataclass(frozen=True)
class Insulin:
    """How much insulin was given, in U."""

    basal: float
    bolus: float


def demo(options: Options, host: Host) -> int:
    """Run the demo and show it line by line; return the exit code.

    Raises:
        ConfigError: there is no such cloud.
        UsageError: it has no simulator.
        TconnectsyncError: a run failed, insulin did not add up, or the second run was not idle.
    """
    cloud = cloud_named(options.source or TANDEM_SOURCE.name)
    if cloud.simulator is None:
        raise UsageError(f"--demo has no simulation of {cloud.title}. Leave out --source.")
    path = file_to_write(options._replace(output=options.output or FILE), host)
    # The simulated cloud's logins are no business of the real one's.
    host = replace(host, caches=())
    show = ignore if options.quiet else print
    history = live(FIRST_DAY, DAYS)
    email, password, secret = "someone@example.org", secrets.token_hex(), secrets.token_hex()
    # A browser cannot send the secret; without --serve nothing has to be shown in one.
    roles = "readable" if options.serve else "denied"
    with (
        cloud.simulator(history, email=email, password=password, zone=ZoneInfo(ZONE)) as tandem,
        SmallNightscout(secret, default_roles=roles) as nightscout,
    ):
        settings = config.load(
            {
                "TCONNECT_EMAIL": email,
                "TCONNECT_PASSWORD": password,
                "PUMP_SERIAL_NUMBER": str(SERIAL_NUMBER),
                "NS_URL": nightscout.url,
                "NS_SECRET": secret,
                "TIMEZONE_NAME": ZONE,
                "TCONNECT_SOURCE": cloud.name,
                "CACHE_CREDENTIALS": "false",
                **tandem.variables,
            },
            {},
        )
        show(f"A simulated pump, a simulated {cloud.title} and a small Nightscout on this")
        show(f"computer; between them tconnectsync, for {DAYS} days from {FIRST_DAY} on.")
        _sync_twice(settings, history, nightscout, host, show)
        page = _report(settings, history, host)
        if not write_page(path, page):
            return 1
        show("")
        show(f"A report of these days, to be opened in a browser: {path}")
        if options.serve:
            _serve(nightscout, page, cloud.title, host)
    return 0


def _sync_twice(
    settings: config.Settings,
    history: PumpHistory,
    nightscout: SmallNightscout,
    host: Host,
    show: Callable[[str], None],
) -> None:
    """Run twice over all days, and show what came of it.

    Raises:
        TconnectsyncError: a run failed, insulin did not add up, or the second run was not idle.
    """
    first = _run(settings, history, host)
    given, shown = _given(history), _shown(nightscout.treatments)
    show("")
    for line in _arrived(nightscout.treatments, given, shown):
        show(line)
    second = _run(settings, history, host)
    show("")
    show(f"First run: {first.created} treatments created.")
    show(f"Second run: {second.created + second.updated} changes.")
    shown = _shown(nightscout.treatments)
    differences = (given.basal - shown.basal, given.bolus - shown.bolus)
    differ = any(abs(it) >= SMALLEST_DIFFERENCE for it in differences)
    if differ or second.created or second.updated:
        raise TconnectsyncError(
            "The demo did not come out as it should: see above. Please report this as a defect."
        )


def _report(settings: config.Settings, history: PumpHistory, host: Host) -> str:
    """Return the page about all of the days."""
    story = open_history(settings, host)
    chosen = date_range(history.first_day, _last_day(history), story.clock, story.now())
    report = make_report(
        story,
        chosen,
        pumps=[pump.name for pump in story.pumps(chosen) if pump.is_read],
        settings=story.settings(),
        nightscout=open_nightscout(settings.nightscout, host.clock),
    )
    for failure in story.outcome.failures:
        raise failure.error
    return render(report)


def _serve(nightscout: SmallNightscout, report: str, title: str, host: Host) -> None:
    """Show the small Nightscout in a browser until somebody asks to stop."""
    about = (
        f"It lives in the memory of this computer until tconnectsync --demo --serve ends. All of "
        f"its data are simulated; tconnectsync has copied them from a simulated {title}."
    )
    nightscout.pages["/report"] = lambda: report
    nightscout.pages["/"] = lambda: home_page(nightscout.treatments, about, LINKS)
    with suppress(Stopped), Stop(host.clock.monotonic).listening():
        print_result(
            f"\nLook at the small Nightscout: {nightscout.url}/\nTo stop it, press Ctrl-C."
        )
        while True:
            host.clock.sleep(HOUR)


def _run(settings: config.Settings, history: PumpHistory, host: Host) -> Outcome:
    cycle = assemble(settings, FEATURES, host)
    chosen = date_range(history.first_day, _last_day(history), cycle.clock, cycle.now())
    outcome = cycle.run(chosen)
    for failure in outcome.failures:
        raise failure.error
    return outcome


def _last_day(history: PumpHistory) -> date:
    return history.end.date() - timedelta(days=1)


def _arrived(treatments: Iterable[dict[str, Any]], given: Insulin, shown: Insulin) -> Iterator[str]:
    """Show what is in Nightscout: a table by kind, and insulin beside the pump's own count."""
    counts = Counter(treatment["eventType"] for treatment in treatments)
    yield "In Nightscout        documents"
    for kind, count in counts.most_common():
        yield f"  {kind:<18} {count:>9}"
    yield ""
    yield "Insulin                   pump    Nightscout"
    rows = {
        "basal": (given.basal, shown.basal),
        "bolus": (given.bolus, shown.bolus),
        "total": (given.basal + given.bolus, shown.basal + shown.bolus),
    }
    for name, (pump, nightscout) in rows.items():
        yield f"  {name:<17} {pump:>8.2f} U    {nightscout:>8.2f} U"


def _given(history: PumpHistory) -> Insulin:
    """Return what the pump gave, to the end of what began on the last day."""
    start = datetime.combine(history.first_day, datetime.min.time())
    end = history.end + timedelta(days=1)
    return Insulin(
        basal=basal_insulin(history, start, end), bolus=bolus_insulin(history, start, end)
    )


def _shown(treatments: Iterable[dict[str, Any]]) -> Insulin:
    """Return what Nightscout shows to have been given."""
    treatments = list(treatments)
    return Insulin(
        basal=sum(
            treatment["absolute"] * treatment["duration"] / 60
            for treatment in treatments
            if treatment["eventType"] == TEMP_BASAL
        ),
        bolus=sum(treatment.get("insulin") or 0.0 for treatment in treatments),
    )
