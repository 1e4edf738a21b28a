"""What other versions of tconnectsync left in Nightscout, written down from docs/protocol alone.

tconnectsync 2.x and 3.x: tandem-source-processing §2 to §8, from the entries of a pump's log.
tconnectsync 1.0: tconnect-processing §5 to §10, from what should be shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.tandemsource.entries import EPOCH, LogEntry
from tests.support.expected import OURS, Fact, expected
from tests.support.real_nightscout import Document

RATES = {0: "Suspended", 1: "Profile", 2: "TempRate", 3: "Algorithm", 4: "TempRateAndAlgorithm"}
BOLUSES = {0: "Standard Bolus", 1: "Extended Bolus", 3: "Automatic Bolus"}
BOLUSES |= {4: "BLE Standard Bolus", 5: "BLE Extended Bolus"}
NOTICES = {11: "Basal Suspension", 12: "Basal Resume", 5: "Alarm"}
STOPS = {0: "UserAborted", 1: "TerminatedByAlarm"}
ALARMS = {8: "EmptyCartridgeAlarm"}
NEVER_SENT = (18, 23)
STARTS = {1: "Sleep", 3: "Exercise"}
ENDS = {2: "Sleep", 4: "Exercise"}


def written_by_3(log: Sequence[LogEntry], zone: str, *runs: datetime) -> list[Document]:
    """Return the treatments that runs of 3.x leave behind.

    Args:
        log: the pump's log.
        zone: the configured zone.
        runs: when it ran, by the person's own clock; at each run, all that was logged had arrived.
    """
    left: dict[tuple[str, str], Document] = {}
    for run in runs:
        writer = _Writer([entry for entry in log if entry.at <= run], ZoneInfo(zone), left)
        for document in writer.documents():
            # Nightscout replaces what has the same type and time.
            left[document["eventType"], document["created_at"]] = document
    return list(left.values())


def written_by_2(log: Sequence[LogEntry], zone: str, *runs: datetime) -> list[Document]:
    """Return the treatments that runs of 2.x leave behind; it lost the extended parts."""
    documents = written_by_3([entry for entry in log if entry.code != 21], zone, *runs)
    filled = {"reason": "Cartridge Filled", "notes": "Cartridge Filled"}
    return [
        document | filled if "Cartridge" in str(document.get("notes")) else document
        for document in documents
    ]


def readings_written_by_3(log: Sequence[LogEntry], zone: str) -> list[Document]:
    """Return the entries that 3.x writes for the readings of a G7; "do not show" as 0."""
    entries = []
    for entry in log:
        if entry.code != 399:
            continue
        wall = EPOCH + timedelta(seconds=entry.properties["egvTimeStamp"])
        at = wall.replace(tzinfo=ZoneInfo(zone))
        entries.append(
            {
                "type": "sgv",
                "sgv": entry.properties["currentGlucoseDisplayValue"],
                "date": int(at.timestamp() * 1000),
                "dateString": f"{at:%Y-%m-%dT%H:%M:%S%z}",
                "device": OURS,
                "pump_event_id": str(entry.number),
            }
        )
    return entries


def written_by_1(history: PumpHistory, zone: str) -> list[Document]:
    """Return what 1.0 writes of a history from t:connect: no extended parts, and nulls."""
    complete = (fact for fact in expected(history, zone) if "(Extended part)" not in fact.text)
    return [_written_by_1(fact, ZoneInfo(zone)) for fact in complete]


def _written_by_1(fact: Fact, zone: ZoneInfo) -> Document:
    document: Document = {
        "eventType": fact.kind,
        "created_at": fact.at.astimezone(zone).isoformat(" "),
        "enteredBy": OURS,
    }
    match fact.kind:
        case "Temp Basal":
            insulin = {"carbs": None, "insulin": None}
            rate = {"duration": fact.minutes, "absolute": fact.rate, "rate": fact.rate}
            return document | {"reason": fact.text} | rate | insulin
        case "Combo Bolus":
            return document | {"carbs": fact.carbs, "insulin": fact.insulin, "notes": fact.text}
        case "Sleep" | "Exercise":
            document["duration"] = fact.minutes
    return document | {"reason": fact.text, "notes": fact.text}


class _Writer:
    """One run: what is known, and what earlier runs left in Nightscout."""

    def __init__(
        self, known: list[LogEntry], zone: ZoneInfo, left: dict[tuple[str, str], Document]
    ) -> None:
        self._known = known
        self._zone = zone
        self._left = left

    def documents(self) -> Iterator[Document]:
        yield from self._basals()
        yield from self._boluses()
        for code in NOTICES:
            yield from self._notices(code)
        # The three kinds of fill share a watermark that is looked up once.
        fills = self._after("Site Change")
        for code in (33, 61, 63):
            yield from (self._fill(entry) for entry in fills if entry.code == code)
        yield from self._modes()
        yield from self._sensor_sessions()

    def _after(self, *types: str) -> list[LogEntry]:
        """Return the entries after the newest document of some types."""
        newest = max((at for kind, at in self._left if kind in types), default="")
        return [entry for entry in self._known if self._time(entry) > newest]

    def _basals(self) -> Iterator[Document]:
        entries = [entry for entry in self._after("Temp Basal") if entry.code == 279]
        if not entries:
            return
        for entry, end in pairwise([*entries, self._known[-1]]):
            rate = round(entry.properties["commandedRate"] / 1000, 2)
            yield {
                "eventType": "Temp Basal",
                "reason": RATES[entry.properties["commandedRateSource"]],
                "duration": (end.wall - entry.wall).total_seconds() / 60 or None,
                "absolute": rate,
                "rate": rate,
                "created_at": self._time(entry),
                "carbs": None,
                "insulin": None,
                "enteredBy": OURS,
                "pump_event_id": str(entry.number),
            }

    def _boluses(self) -> Iterator[Document]:
        for entry in self._after("Combo Bolus"):
            if entry.code == 20:
                yield self._bolus(entry)
            elif entry.code == 21:
                yield self._part_of_bolus(entry, "Extended Bolus", [entry])

    def _bolus(self, entry: LogEntry) -> Document:
        same = [
            e for e in self._known if e.properties.get("bolusId") == entry.properties["bolusId"]
        ]
        first, second, third = (next(e for e in same if e.code == code) for code in (64, 65, 66))
        notes = BOLUSES[second.properties["options"]]
        notes += " (Override)" if second.properties["userOverride"] else ""
        document = self._part_of_bolus(entry, notes, [entry, first, second, third])
        document["carbs"] = first.properties["carbAmount"]
        glucose = first.properties["bg"]
        return document | ({"glucose": str(glucose)} if glucose else {})

    def _part_of_bolus(self, entry: LogEntry, notes: str, sources: list[LogEntry]) -> Document:
        return {
            "eventType": "Combo Bolus",
            "created_at": self._time(entry),
            "carbs": 0,
            "insulin": round(entry.properties["insulinDelivered"], 2),
            "notes": notes,
            "enteredBy": OURS,
            "pump_event_id": _numbers(*sources),
        }

    def _notices(self, code: int) -> Iterator[Document]:
        kind = NOTICES[code]
        for entry in self._after(kind):
            if entry.code != code or entry.properties.get("alarmId") in NEVER_SENT:
                continue
            text = "Basal resumed"
            if code == 11:
                text = STOPS[entry.properties["suspendReason"]]
            elif code == 5:
                text = ALARMS[entry.properties["alarmId"]]
            yield self._document(kind, text, entry)

    def _fill(self, entry: LogEntry) -> Document:
        text = {
            33: f"Cartridge Filled ({entry.properties.get('insulinVolume')}u filled)",
            61: f"Cannula Filled ({entry.properties.get('primeSize')}u primed)",
            63: "Tubing Filled",
        }
        return self._document("Site Change", text[entry.code], entry)

    def _modes(self) -> Iterator[Document]:
        """Pair starts with ends; what an earlier run left as "Not Ended" is written anew."""
        start: LogEntry | None = None
        for entry in self._after("Sleep", "Exercise"):
            if entry.code != 229:
                continue
            action = entry.properties["requestedAction"]
            if action in STARTS:
                start = entry
            elif start:
                yield self._mode(start, entry)
                start = None
            else:
                yield from self._left_open(entry)
        if start:
            yield self._mode(start, None)

    def _mode(self, start: LogEntry, end: LogEntry | None) -> Document:
        properties = start.properties
        kind = STARTS[properties["requestedAction"]]
        text = "Exercise (Timed)" if properties["exerciseChoice"] else "Exercise"
        if kind == "Sleep":
            text = "Sleep (Manual)" if properties["sleepStartedByGui"] else "Sleep (Scheduled)"
        if end is None:
            text += " - Not Ended"
        elif end.properties["exerciseStoppedByTimer"]:
            text += " (Stopped by timer)"
        until = (end or self._known[-1]).wall
        document = self._document(kind, text, start, *([end] if end else []))
        return document | {"duration": (until - start.wall).total_seconds() / 60}

    def _left_open(self, end: LogEntry) -> Iterator[Document]:
        open_ones = [d for d in self._left.values() if "Not Ended" in str(d.get("notes"))]
        for document in open_ones:
            numbers = str(document["pump_event_id"])
            start = next(entry for entry in self._known if str(entry.number) == numbers)
            yield self._mode(start, end)

    def _sensor_sessions(self) -> Iterator[Document]:
        kinds = {394: ("Sensor Start", "CGM Session Joined")}
        kinds |= {447: ("Sensor Stop", "CGM Session Stopped")}
        for entry in self._after("Sensor Start", "Sensor Stop"):
            if entry.code in kinds:
                document = self._document(*kinds[entry.code], entry)
                yield document | {"created_at": document["created_at"].replace(" ", "T")}

    def _document(self, kind: str, text: str, *entries: LogEntry) -> Document:
        return {
            "eventType": kind,
            "reason": text,
            "notes": text,
            "created_at": self._time(entries[0]),
            "enteredBy": OURS,
            "pump_event_id": _numbers(*entries),
        }

    def _time(self, entry: LogEntry) -> str:
        return entry.wall.replace(tzinfo=self._zone).isoformat(" ")


def _numbers(*entries: LogEntry) -> str:
    return ",".join(str(entry.number) for entry in entries)
