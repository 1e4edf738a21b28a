"""How t:connect puts a bolus in words and figures, alike in TherapyEvents and in the CSV export."""

from __future__ import annotations

from tconnectsync.simulators.history import CARB_RATIO, CORRECTION_FACTOR, TARGET, BolusRecord

STATUS = {"completed": (3, "Completed"), "user aborted": (0, "User Aborted")}
"""The completion status as a number and in words; none while the bolus is running."""


def description(bolus: BolusRecord) -> str:
    """Return what kind of bolus it is, with the split of an extended one."""
    return f"Extended {bolus.immediate_percent}.00%/0.00" if bolus.extended else options(bolus)


def options(bolus: BolusRecord) -> str:
    """Return what was asked for: a plain, a correcting, an extended or an automatic bolus."""
    if bolus.extended:
        return "Extended"
    if bolus.kind == "automatic":
        return "Automatic Bolus/Correction"
    return "Standard/Correction" if bolus.correction else "Standard"


def bolus_type(bolus: BolusRecord) -> str:
    """Return whether the person or Control-IQ gave it."""
    return "Automatic Correction" if bolus.kind == "automatic" else "Carb"


def title(bolus: BolusRecord) -> str:
    """Return its heading in a report."""
    if bolus.extended:
        now, minutes = bolus.immediate_percent, bolus.extended.duration_minutes
        return f"Food Bolus: {now}% Extended {minutes} mins"
    if bolus.correction:
        return "Correction & Food Bolus" if bolus.food else "Correction Bolus"
    return "Food Bolus"


def details(bolus: BolusRecord) -> list[str]:
    """Return the further lines of a report: the settings used, and what was overridden."""
    ratio = 0 if bolus.kind == "automatic" else CARB_RATIO
    lines = [f"CF 1:{CORRECTION_FACTOR} - Carb Ratio 1:{ratio} - Target BG {TARGET}"]
    if bolus.override:
        calculated = bolus.food + bolus.correction
        lines.append(f"Override: Pump calculated Bolus = {calculated:.1f} units")
    return lines


def split(bolus: BolusRecord) -> tuple[float, float]:
    """Return how much of the insulin given was for food and for correction; 0 when overridden."""
    if bolus.override:
        return 0.0, 0.0
    food = min(bolus.food, bolus.insulin)
    return food, round(min(bolus.correction, bolus.insulin - food), 2)
