"""Where we do not write what 3.0.3 writes of a recorded pump log.

For everything in :data:`EXCEPTIONS` a test asserts what we do instead. ``§`` are sections of
docs/protocol/tandem-source-processing.md.
"""

from __future__ import annotations

NOTHING_KNOWN = (
    "§4, §13.3: a basal without duration ends the one before it in Nightscout; ours is sent as "
    "soon as it is known to have lasted"
)
GAPS = "§4: fills a gap in the log with the rate before it; ours lasts for what the log supports"
WORDS = "names such as EmptyCartridgeAlarm; ours are the words of people"
HOW_IT_ENDED = "completionStatus is not shown; ours says how it ended and what was requested"
IN_PIECES = (
    "§19: shows the extended part when it has ended, and as a whole; ours shows it in pieces while "
    "it is given"
)

EXCEPTIONS: dict[str, str] = {
    "alarm-unknown-id": f"{WORDS}, and a number without a name is shown as one",
    "alarms": WORDS,
    "basal-run": NOTHING_KNOWN,
    "basal-sources": f"{GAPS}. {NOTHING_KNOWN}",
    "bolus-cancelled": HOW_IT_ENDED,
    "bolus-extended": f"{IN_PIECES}. {HOW_IT_ENDED}",
    "bolus-extended-in-progress": IN_PIECES,
    "cartridge": (
        "§7, §13.6: all are site changes, and the tubing replaces the cartridge of the same "
        "second; each has its own type with us"
    ),
    "cgm-alerts": f"{WORDS}; alerts without a name there, and signal loss, are left out",
    "cgm-g7-do-not-show": "§8, §13.10: sends 0 for a reading that is not to be shown; we skip it",
    "cgm-sessions-g7": (
        "§13.9: joining a running session resets the sensor's age; with us it began when it began"
    ),
    "suspend-resume": WORDS,
    "user-mode-open": "says 'Not Ended' in the text; ours grows in place and needs no mark",
}

GLUCOSE = (
    "glucose is a text without type or unit; ours is a number with both, and shown with BOLUS_BG "
    "only"
)
HUNDREDTHS = (
    "rounds insulin and rates to hundredths; ours keep what the pump said to the milliunit, so "
    "that the sums agree"
)
FORM = "numbers that no one entered are null or 0; ours are left out. Times have a space for the T"
IN_GENERAL = (GLUCOSE, HUNDREDTHS, FORM)
"""What differs in every case, and is therefore not compared or only roughly."""
