"""The steps of a check that ask a cloud through its adapter alone, as they suit every cloud."""

from __future__ import annotations

from tconnectsync.check.results import CheckRequest, Step, age_in_words, in_words
from tconnectsync.domain.words import number_of
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.registry import cloud_named


def steps(asked: CheckRequest) -> list[Step]:
    """Return the steps: the pumps of the account, and what happened in the range."""
    cloud = cloud_named(asked.settings.tconnect_source)
    source = cloud.open_source(asked.api, asked.settings, asked.pump_clock, asked.clock, True)

    def pumps() -> str:
        source.force_login()
        found = [span.name for span in source.pumps(asked.wanted) if span.is_read]
        return f"Read: {', '.join(found)}." if found else f"{cloud.title} answers."

    def data() -> str:
        reader = source.read(asked.wanted)
        basals, boluses, readings = reader.basals(), reader.boluses(), reader.readings()
        instants = [*(it.ends for it in (*basals, *boluses)), *(it.at for it in readings)]
        not_understood = in_words(reader.skipped, nothing_found=not instants)
        findings = asked.findings
        findings.asked_for_events, findings.gapless = True, bool(basals or readings)
        findings.newest = max(instants, default=None)
        newest = age_in_words(findings.newest, asked.clock.now()) if findings.newest else "unknown"
        said = " ".join(
            [
                f"{number_of(len(basals), 'basal')}, {len(boluses)} boluses, "
                f"{number_of(len(readings), 'reading')}, the newest {newest}.{not_understood}",
                *(remark.text for remark in reader.remarks),
            ]
        )
        if any(remark.missing for remark in reader.remarks):
            raise TconnectsyncError(said)
        return said

    return [("Account and pumps", pumps), ("Pump's data", data)]
